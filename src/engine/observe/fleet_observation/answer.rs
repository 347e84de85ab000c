//! The answer of one server about all the peers that are on it.

use std::collections::HashMap;

use peer_adapters::process::ProcessId;
use peer_adapters::runtime::{Gone, Listing, RuntimeError, SessionRow};

use crate::engine::observe::{Observation, Own, is_pane_of, judge, process_axis, process_id};
use crate::policy::axis::Axis;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::store::SessionRecord;

/// The answer of one server, with its panes grouped by the peer in their tag, so that a fleet is judged in one pass.
pub(super) struct Answer {
    pub(super) listing: std::result::Result<Listed, RuntimeError>,
    at: Timestamp,
    pub(super) unknown: usize,
}

impl Answer {
    pub(super) fn new(listing: std::result::Result<Listing, RuntimeError>, at: Timestamp, ours: &str) -> Self {
        Self { listing: listing.map(|listing| by_peer(listing, ours)), at, unknown: 0 }
    }

    pub(super) fn judge(&mut self, name: &PeerName, record: &SessionRecord, agent: Axis) -> Observation {
        let own = match &mut self.listing {
            Err(error) => {
                self.unknown += 1;
                Err(&*error)
            }
            Ok(Listed::Gone(gone)) => Ok(Own::Gone(*gone)),
            Ok(Listed::Up(panes)) => Ok(panes.take(name, record)),
        };
        let mut observation = judge(record, own, self.at, agent);
        // The agent may have ended with its session after the kernel was queried; that would not be an orphan.
        if observation.process == Axis::Alive && observation.runtime == Axis::Dead {
            observation.process = process_axis(record);
        }
        observation
    }
}

pub(super) enum Listed {
    Gone(Gone),
    Up(Panes),
}

/// What one server process hosts.
pub(super) struct Panes {
    pub(super) server: ProcessId,
    /// The panes of each peer: one, plus what is left of older incarnations.
    pub(super) of: HashMap<String, Vec<SessionRow>>,
    /// The panes without a tag of this state directory.
    others: Vec<SessionRow>,
}

impl Panes {
    /// Takes what concerns one record: its pane, and everything else with the peer's tag. The listing of another server
    /// says nothing about the record, and what it lists does not count as a leftover.
    fn take(&mut self, name: &PeerName, record: &SessionRecord) -> Own {
        let server = self.server;
        if record.place.server_process.is_some_and(|recorded| process_id(recorded) != server) {
            return Own::Up { server, row: None, tagged: Vec::new() };
        }
        let mut tagged = self.of.remove(name.as_str()).unwrap_or_default();
        let own = tagged.iter().position(|row| is_pane_of(record, row, true));
        let row = own.map(|at| tagged.swap_remove(at)).or_else(|| self.take_untagged(record));
        Own::Up { server, row, tagged }
    }

    /// Takes the recorded pane if the user changed its tag or moved it to a session with a tag: an older version of
    /// `peer` tagged the session, not the pane.
    fn take_untagged(&mut self, record: &SessionRecord) -> Option<SessionRow> {
        let lists = std::iter::once(&mut self.others).chain(self.of.values_mut());
        lists.into_iter().find_map(|rows| {
            let at = rows.iter().position(|row| is_pane_of(record, row, false))?;
            Some(rows.swap_remove(at))
        })
    }
}

fn by_peer(listing: Listing, ours: &str) -> Listed {
    let (server, rows) = match listing {
        Listing::Gone(gone) => return Listed::Gone(gone),
        Listing::Up { server, rows } => (server, rows),
    };
    let mut panes = Panes { server, of: HashMap::with_capacity(rows.len()), others: Vec::new() };
    for row in rows {
        let peer = row.tag.strip_prefix(ours).and_then(|rest| rest.split_once('/')).map(|(peer, _)| peer.to_owned());
        match peer {
            Some(peer) => panes.of.entry(peer).or_insert_with(|| Vec::with_capacity(1)).push(row),
            None => panes.others.push(row),
        }
    }
    Listed::Up(panes)
}
