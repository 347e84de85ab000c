//! Both axes of many peers: one listing call a server, whatever the number of peers, and servers side by side.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::{OptionFuture, join, join_all};
use peer_adapters::process::ProcessId;
use peer_adapters::runtime::{Listing, Runtime, RuntimeError, RuntimeKind, SessionRow};
use peer_adapters::zellij::Zellij;
use tokio::task::JoinHandle;

use crate::engine::observe::{Own, Sight, Standing, is_at, is_pane_of, judge, process_axis, process_id, standing};
use crate::engine::{Engine, Result};
use crate::policy::axis::Axis;
use crate::policy::ending::Incarnation;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::store::{Place, SessionRecord};

/// What one look at a fleet saw.
#[derive(Debug, Default)]
pub struct Survey {
    /// Both axes of each record.
    pub sights: HashMap<PeerName, Sight>,
    /// Servers of which nothing is known, and how many records that leaves unknown.
    pub silent: Vec<Silent>,
    /// Sessions with a tag of ours that no record names.
    pub strays: Vec<Stray>,
    /// Directories of zellij sessions that no record names and in which nothing of ours runs.
    pub unused: Vec<PathBuf>,
    /// When the kernel was asked about the agents.
    pub agents_at: Timestamp,
}

/// A server that did not answer, or could not be asked.
#[derive(Debug)]
pub struct Silent {
    /// Why.
    pub error: RuntimeError,
    /// How many records name it.
    pub peers: usize,
}

/// A server that was asked before every record that may name it had been read.
pub(crate) struct Ahead {
    place: Place,
    /// Before it was asked.
    at: Timestamp,
    listing: JoinHandle<std::result::Result<Listing, RuntimeError>>,
}

/// A session of ours that is not the one on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    /// Whose, by its tag.
    pub peer: PeerName,
    /// Which start, by its tag.
    pub incarnation: Incarnation,
    /// `tmux` or `zellij`.
    pub runtime: String,
    /// Where the server that lists it listens.
    pub server: PathBuf,
    /// Which process that server is.
    pub server_process: ProcessId,
    /// How it is listed.
    pub row: SessionRow,
}

impl Stray {
    /// Whether it is the pane that was there.
    pub(crate) fn is_at(&self, place: &Place) -> bool {
        let same_server = place.server_process.is_none_or(|recorded| process_id(recorded) == self.server_process);
        same_server && place.server == self.server && is_at(place, &self.row)
    }
}

impl Engine {
    /// Looks at every record. Blocks for one probe deadline at most, since the servers are asked side by side.
    ///
    /// # Errors
    /// A record names an unknown runtime. What could not be seen is unknown and no error.
    pub async fn survey(&self, records: &[(PeerName, &SessionRecord)]) -> Result<Survey> {
        self.survey_all(records, &[], None).await
    }

    /// The same, and at zellij sessions that no record names: tmux lists those of its server by itself. Costs one directory
    /// listing.
    ///
    /// # Errors
    /// As [`Engine::survey`].
    pub async fn survey_with_strays(&self, records: &[(PeerName, &SessionRecord)]) -> Result<Survey> {
        let claimed: HashSet<&Path> = records.iter().map(|(_, record)| record.place.server.as_path()).collect();
        let (dirs, unread) = match Zellij::server_dirs(self.state.root()) {
            Ok(dirs) => (dirs, None),
            Err(error) => (Vec::new(), Some(Silent { error, peers: 0 })),
        };
        let more: Vec<_> = dirs.into_iter().filter(|dir| !claimed.contains(dir.as_path())).collect();
        let mut survey = self.survey_all(records, &more, None).await?;
        survey.silent.extend(unread);
        let more: HashSet<PathBuf> = more.into_iter().collect();
        survey.unused.retain(|dir| more.contains(dir));
        Ok(survey)
    }

    /// As [`Engine::survey`], where one of the servers was asked before all of them were read. Where its answer is too old for what a
    /// record says, it is asked again.
    ///
    /// # Errors
    /// The same.
    pub(crate) async fn survey_from(
        &self,
        records: &[(PeerName, &SessionRecord)],
        ahead: Option<Ahead>,
    ) -> Result<Survey> {
        let mut survey = self.survey_all(records, &[], ahead).await?;
        let too_early = |(name, record): &&(PeerName, &SessionRecord)| {
            survey.sights.get(name).is_some_and(|sight| may_have_come_since(record, sight))
        };
        let again: Vec<_> = records.iter().filter(too_early).cloned().collect();
        if !again.is_empty() {
            let Survey { sights, silent, .. } = self.survey(&again).await?;
            survey.sights.extend(sights);
            survey.silent.extend(silent);
        }
        Ok(survey)
    }

    /// Asks the server that a record names, and does not wait for its answer. `None`: it cannot be asked by itself, or the
    /// record is of another boot.
    ///
    /// Only tmux: its one server is most likely that of all the others, while one of zellij is one session.
    pub(crate) async fn ask_ahead(&self, record: &SessionRecord) -> Option<Ahead> {
        let runtime = self.runtime_of(&record.place).ok().filter(|runtime| runtime.kind() == RuntimeKind::Tmux)?;
        if standing(record) != Standing::Here {
            return None;
        }
        let (place, at) = (record.place.clone(), self.now());
        let server = place.server.clone();
        let listing = tokio::spawn(async move { runtime.list(&server).await });
        // Whoever goes on to read files lets no task run: now is when the client is started.
        tokio::task::yield_now().await;
        Some(Ahead { place, at, listing })
    }

    async fn survey_all(
        &self,
        records: &[(PeerName, &SessionRecord)],
        more: &[PathBuf],
        mut ahead: Option<Ahead>,
    ) -> Result<Survey> {
        let standings: Vec<_> = records.iter().map(|(_, record)| standing(record)).collect();
        let here = records.iter().zip(&standings).filter(|(_, standing)| **standing == Standing::Here);
        let current = here.map(|((_, record), _)| *record);
        // The kernel is asked about the agents while the servers make up their answers.
        let agents = async { (self.now(), records.iter().map(|(_, record)| process_axis(record)).collect::<Vec<_>>()) };
        let (answers, (agents_at, agents)) = join(self.ask(current, more, ahead.as_mut()), agents).await;
        let mut answers = answers?;
        let sights = HashMap::with_capacity(records.len());
        let mut survey = Survey { sights, agents_at, ..Survey::default() };
        for (((name, record), agent), standing) in records.iter().zip(agents).zip(standings) {
            let server = server(record);
            let sight = match answers.get_mut(&server).filter(|_| standing == Standing::Here) {
                Some(answer) => answer.judge(name, record, agent),
                None => standing.sight(self.now()),
            };
            if let Some(process) = sight.answered {
                survey.strays.extend(sight.leftovers.iter().filter_map(|row| stray(server, process, row.clone())));
            }
            survey.sights.insert(name.clone(), sight);
        }
        for (server, answer) in answers {
            survey.leave_over(server, answer);
        }
        Ok(survey)
    }

    async fn ask<'a>(
        &self,
        records: impl Iterator<Item = &'a SessionRecord>,
        more: &'a [PathBuf],
        ahead: Option<&'a mut Ahead>,
    ) -> Result<HashMap<Server<'a>, Answer>> {
        let ours = self.tag_root();
        let ahead = ahead.map(|Ahead { place, at, listing }| (address(place), *at, listing));
        let mut known: HashSet<_> = ahead.iter().map(|(server, ..)| *server).collect();
        let mut of_runtime = HashMap::<_, (Arc<dyn Runtime>, Vec<Server<'a>>)>::new();
        for record in records {
            let server = server(record);
            if known.insert(server) {
                let runtime = self.runtime_of(&record.place)?;
                let binary = (server.0, record.place.binary.as_path());
                of_runtime.entry(binary).or_insert_with(|| (runtime, Vec::new())).1.push(server);
            }
        }
        if !more.is_empty() {
            let zellij = RuntimeKind::Zellij.as_str();
            let dirs = more.iter().map(|dir| (zellij, dir.as_os_str()));
            // Together with the others where there are any: what the kernel knows of sockets is read once a runtime.
            if let Some((_, (_, servers))) = of_runtime.iter_mut().find(|((runtime, _), _)| *runtime == zellij) {
                servers.extend(dirs);
            } else {
                let runtime = self.zellij_by_the_kernel();
                of_runtime.insert((zellij, Path::new("")), (runtime, dirs.collect()));
            }
        }
        let asked = of_runtime.into_values().map(async |(runtime, servers)| {
            let paths: Vec<&Path> = servers.iter().map(|server| Path::new(server.1)).collect();
            // A slow server must not make the answers of the others look newer than they are.
            let at = self.now();
            let listings = runtime.list_all(&paths).await;
            let answers = listings.into_iter().map(|listing| Answer::new(listing, at, &ours));
            servers.into_iter().zip(answers).collect::<Vec<_>>()
        });
        let asked_ahead = OptionFuture::from(ahead.map(async |(server, at, listing)| {
            let listing = listing.await.expect("nobody aborts it, and an adapter that panics is a bug");
            (server, Answer::new(listing, at, &ours))
        }));
        let (asked, ahead) = join(join_all(asked), asked_ahead).await;
        Ok(asked.into_iter().flatten().chain(ahead).collect())
    }
}

impl Survey {
    /// What no record claimed.
    fn leave_over(&mut self, server: Server<'_>, answer: Answer) {
        match answer.listing {
            // One that nobody is waiting for, and of which nothing can be said now.
            Err(error) if answer.unknown == 0 => tracing::debug!(%error, "a session that is not on record"),
            Err(error) => self.silent.push(Silent { error, peers: answer.unknown }),
            Ok(Listed::Gone(_)) => self.unused.push(server.1.into()),
            Ok(Listed::Up(panes)) => {
                if panes.of.is_empty() {
                    self.unused.push(server.1.into());
                }
                let left = panes.of.into_values().flatten();
                self.strays.extend(left.filter_map(|row| stray(server, panes.server, row)));
            }
        }
    }
}

/// What a server answered: its panes by the peer in their tag, so that a fleet is judged in one walk over them.
struct Answer {
    listing: std::result::Result<Listed, RuntimeError>,
    at: Timestamp,
    unknown: usize,
}

enum Listed {
    Gone(peer_adapters::runtime::Gone),
    Up(Panes),
}

/// What one server process hosts.
struct Panes {
    server: ProcessId,
    /// Of each peer; it has one, but for what was left of an older incarnation.
    of: HashMap<String, Vec<SessionRow>>,
    /// Those without a tag of ours.
    others: Vec<SessionRow>,
}

impl Panes {
    /// Takes what concerns one record: its pane, and whatever else carries the peer's tag. Another server's listing says
    /// nothing of it, and what that one lists is nobody's leftover.
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

    /// The pane on record where a person took its tag, or it has that of the session to which they moved it: an older
    /// version of ours gave the tag to the session.
    fn take_untagged(&mut self, record: &SessionRecord) -> Option<SessionRow> {
        let lists = std::iter::once(&mut self.others).chain(self.of.values_mut());
        lists.into_iter().find_map(|rows| {
            let at = rows.iter().position(|row| is_pane_of(record, row, false))?;
            Some(rows.swap_remove(at))
        })
    }
}

impl Answer {
    fn new(listing: std::result::Result<Listing, RuntimeError>, at: Timestamp, ours: &str) -> Self {
        Self { listing: listing.map(|listing| by_peer(listing, ours)), at, unknown: 0 }
    }

    fn judge(&mut self, name: &PeerName, record: &SessionRecord, agent: Axis) -> Sight {
        let own = match &mut self.listing {
            Err(error) => {
                self.unknown += 1;
                Err(&*error)
            }
            Ok(Listed::Gone(gone)) => Ok(Own::Gone(*gone)),
            Ok(Listed::Up(panes)) => Ok(panes.take(name, record)),
        };
        let mut sight = judge(record, own, self.at, agent);
        // It may have ended together with its session after the kernel was asked: that is no orphan.
        if sight.process == Axis::Alive && sight.runtime == Axis::Dead {
            sight.process = process_axis(record);
        }
        sight
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

/// Whether a session that was not there may have come after its server was asked, if the record was read after that. One
/// that was ready before was there, so it has gone.
fn may_have_come_since(record: &SessionRecord, sight: &Sight) -> bool {
    let absent = sight.runtime == Axis::Dead && !sight.rebooted || sight.answered.is_some() && sight.row.is_none();
    absent && record.ready_at().is_none_or(|ready| ready >= sight.listed_at)
}

pub(crate) fn stray(server: Server<'_>, process: ProcessId, row: SessionRow) -> Option<Stray> {
    let mut parts = row.tag.split('/').skip(1);
    let peer = parts.next()?.parse().ok()?;
    let incarnation = Incarnation(parts.next()?.parse().ok()?);
    let (runtime, server) = (server.0.to_owned(), server.1.into());
    Some(Stray { peer, incarnation, runtime, server, server_process: process, row })
}

/// A server, by runtime and address; the address as text, because to hash a path takes it apart.
pub(crate) type Server<'a> = (&'a str, &'a OsStr);

fn server(record: &SessionRecord) -> Server<'_> {
    address(&record.place)
}

fn address(place: &Place) -> Server<'_> {
    (&place.runtime, place.server.as_os_str())
}
