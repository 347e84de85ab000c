//! The peers that a tick is about, as it sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use futures_util::future::join_all;
use peer_adapters::runtime::RuntimeKind;

use super::judge::not_judged;
use super::{Request, skipped, unchanged};
use crate::engine::observe::Observation;
use crate::engine::observe::fleet::{Looked, Member};
use crate::engine::observe::fleet_observation::UntrackedSession;
use crate::engine::observe::live::Live;
use crate::engine::{Engine, Peer, Result};
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::store::{Heartbeat, PeerFiles, SessionRecord};

/// One peer with a recorded incarnation, as this tick sees it.
pub(super) struct Subject {
    pub(super) peer: Peer,
    /// Its files as the tick found them, for the cheap checks. Before anything is done, the files are read again.
    pub(super) files: PeerFiles,
    pub(super) record: SessionRecord,
    pub(super) observation: Observation,
    pub(super) seen_at: Timestamp,
    /// When a tick last looked at it and found it healthy.
    pub(super) looked_at: Option<Timestamp>,
}

/// The input of a decision about one incarnation.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) peer: &'a Peer,
    pub(super) files: &'a PeerFiles,
    pub(super) record: &'a SessionRecord,
    pub(super) observation: &'a Observation,
}

impl Subject {
    pub(super) fn view(&self) -> View<'_> {
        View { peer: &self.peer, files: &self.files, record: &self.record, observation: &self.observation }
    }

    /// Whether this is a start in progress, or one that never completed: the concern of its driver, and later of the
    /// process that takes over.
    pub(super) fn is_on_its_way(&self) -> bool {
        self.record.ready_at().is_none()
            && matches!(Live::of(self.record.clone(), self.observation.clone()), Live::Starting(_) | Live::None)
    }
}

/// All the peers that a tick is about.
pub(super) struct Fleet {
    /// Peers with a recorded incarnation, observed.
    pub(super) subjects: Vec<Subject>,
    /// The other peers, which are not awake.
    pub(super) asleep: Vec<Peer>,
    /// Peers whose spec or record cannot be read.
    pub(super) unreadable: BTreeSet<PeerName>,
    /// Sessions of this fleet that no record names.
    pub(super) untracked: Vec<UntrackedSession>,
    /// Directories of sessions that no record names and that host nothing of this fleet.
    pub(super) unused: Vec<(RuntimeKind, PathBuf)>,
}

impl Engine {
    /// Reads every spec and record, and observes both axes of the peers that have one.
    pub(super) async fn fleet(&self, request: &Request, before: &Heartbeat, beat: &mut Heartbeat) -> Result<Fleet> {
        let mut names = self.config.names()?;
        names.retain(|name| request.only.as_ref().is_none_or(|only| only == name));
        if let Some(only) = request.only.as_ref().filter(|_| names.is_empty()) {
            return Err(self.no_such_peer(only));
        }
        // With only one peer's record, the sessions of all others would look untracked.
        let all = request.only.is_none();
        let look = self.look_at(&names, all, |peer, there| Ok(peer.files.as_of(there)));
        let Looked { members, observed } = look.await?;
        let seen_at = observed.agents_at;
        let mut subjects = Vec::with_capacity(members.len());
        let (mut asleep, mut unreadable) = (Vec::new(), BTreeSet::new());
        for (name, member) in members {
            // A broken spec does not say what to do with its peer.
            match member.and_then(|mut member| member.broken.take().map_or(Ok(member), Err)) {
                Ok(Member { peer, seen: Some((record, observation)), read: files, .. }) => {
                    let looked_at = unchanged::looked_at(before, &peer.name, &record);
                    subjects.push(Subject { peer, files, record, observation, seen_at, looked_at });
                }
                Ok(Member { peer, seen: None, .. }) => asleep.push(peer),
                // One broken spec must not cost the other peers their tick.
                Err(error) => {
                    beat.skipped.push(skipped(&name, &error));
                    unreadable.insert(name);
                }
            }
        }
        if !request.dry_run {
            subjects = self.reach_all(subjects, beat).await?;
        }
        beat.skipped.extend(not_judged(&subjects));
        if !request.dry_run {
            observed.silent.iter().try_for_each(|silent| self.log_silent(silent))?;
        }
        let (untracked, unused) = if all { (observed.untracked, observed.unused) } else { (Vec::new(), Vec::new()) };
        Ok(Fleet { subjects, asleep, unreadable, untracked, unused })
    }

    /// Makes servers that are alive and cannot be reached listen again, and observes the peers on them again.
    async fn reach_all(&self, subjects: Vec<Subject>, beat: &mut Heartbeat) -> Result<Vec<Subject>> {
        let is_hidden = |subject: &Subject| subject.observation.unreachable.is_some();
        if !subjects.iter().any(is_hidden) {
            return Ok(subjects);
        }
        let (hidden, seen): (Vec<_>, Vec<_>) = subjects.into_iter().partition(is_hidden);
        let mut servers = BTreeMap::new();
        for subject in &hidden {
            if let Some(server) = subject.observation.unreachable {
                servers.entry((server, subject.record.place.server.clone())).or_insert(&subject.record.place);
            }
        }
        let reached = servers.iter().map(|((server, _), place)| self.reach(place, *server));
        for reached in join_all(reached).await {
            if let Err(error) = reached {
                beat.skipped.push(error.to_string());
            }
        }
        drop(servers);
        let mut again = self.probe_again(hidden).await?;
        again.extend(seen);
        again.sort_by(|a, b| a.peer.name.cmp(&b.peer.name));
        Ok(again)
    }

    /// Returns the subjects with a new observation.
    pub(super) async fn probe_again(&self, subjects: Vec<Subject>) -> Result<Vec<Subject>> {
        let records: Vec<_> = subjects.iter().map(|subject| (subject.peer.name.clone(), &subject.record)).collect();
        let mut observed = self.observe_fleet(&records).await?;
        drop(records);
        let subjects = subjects.into_iter().filter_map(|subject| {
            let observation = observed.observations.remove(&subject.peer.name)?;
            Some(Subject { observation, seen_at: observed.agents_at, ..subject })
        });
        Ok(subjects.collect())
    }
}
