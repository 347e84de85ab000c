//! Both axes of many peers: one listing per server, whatever the number of peers, and all servers concurrently.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::{OptionFuture, join, join_all};
use peer_adapters::process::ProcessId;
use peer_adapters::runtime::{Listing, Runtime, RuntimeError, RuntimeKind, SessionRow};
use tokio::task::JoinHandle;

use crate::engine::observe::{Observation, Standing, is_at, process_axis, process_id, standing};
use crate::engine::{Engine, Result};
use crate::policy::axis::Axis;
use crate::policy::ending::Incarnation;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::store::{Place, SessionRecord};

mod answer;

use answer::{Answer, Listed};

/// The result of observing a fleet.
#[derive(Debug, Default)]
pub struct FleetObservation {
    /// Both axes of each record.
    pub observations: HashMap<PeerName, Observation>,
    /// The servers that gave no answer.
    pub silent: Vec<Silent>,
    /// Sessions with a tag of this state directory that no record names.
    pub untracked: Vec<UntrackedSession>,
    /// Directories of sessions with servers of their own that no record names and in which nothing of this fleet runs.
    pub unused: Vec<(RuntimeKind, PathBuf)>,
    /// When the kernel was queried about the agents.
    pub agents_at: Timestamp,
}

/// A server that did not answer, or could not be queried.
#[derive(Debug)]
pub struct Silent {
    /// The reason.
    pub error: RuntimeError,
    /// How many records name it, and are therefore unknown.
    pub peers: usize,
}

/// A server that was queried before all the records that may name it were read.
pub(crate) struct Prefetched {
    place: Place,
    /// The time just before the query.
    at: Timestamp,
    listing: JoinHandle<std::result::Result<Listing, RuntimeError>>,
}

/// A session with a tag of this state directory that is not the recorded one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UntrackedSession {
    /// The peer in its tag.
    pub peer: PeerName,
    /// The incarnation in its tag.
    pub incarnation: Incarnation,
    /// Its runtime.
    pub runtime: RuntimeKind,
    /// The address of the server that lists it.
    pub server: PathBuf,
    /// The server's process.
    pub server_process: ProcessId,
    /// The session as it is listed.
    pub row: SessionRow,
}

impl UntrackedSession {
    /// Whether this is the pane at `place`.
    pub(crate) fn is_at(&self, place: &Place) -> bool {
        let same_server = place.server_process.is_none_or(|recorded| process_id(recorded) == self.server_process);
        same_server && place.server == self.server && is_at(place, &self.row)
    }
}

impl Engine {
    /// Observes every record. Blocks for at most one probe deadline, because the servers are queried concurrently.
    ///
    /// # Errors
    /// A record names a runtime that this version does not know. What could not be observed is unknown, and not an error.
    pub async fn observe_fleet(&self, records: &[(PeerName, &SessionRecord)]) -> Result<FleetObservation> {
        self.observe_servers(records, &[], None).await
    }

    /// As [`Engine::observe_fleet`], and also observes sessions with servers of their own that no record names, at the
    /// cost of one directory listing. (A shared server lists all of its sessions anyway.)
    ///
    /// # Errors
    /// As [`Engine::observe_fleet`].
    pub async fn observe_fleet_and_untracked(
        &self,
        records: &[(PeerName, &SessionRecord)],
    ) -> Result<FleetObservation> {
        let claimed: HashSet<&Path> = records.iter().map(|(_, record)| record.place.server.as_path()).collect();
        let (mut more, mut unread) = (Vec::new(), Vec::new());
        for kind in RuntimeKind::ALL {
            match kind.facts().servers_on_disk(self.state.root()) {
                Ok(dirs) => more.extend(dirs.into_iter().map(|dir| (kind, dir))),
                Err(error) => unread.push(Silent { error, peers: 0 }),
            }
        }
        more.retain(|(_, dir)| !claimed.contains(dir.as_path()));
        let mut observed = self.observe_servers(records, &more, None).await?;
        observed.silent.extend(unread);
        let more: HashSet<_> = more.into_iter().collect();
        observed.unused.retain(|unused| more.contains(unused));
        Ok(observed)
    }

    /// As [`Engine::observe_fleet`], if one of the servers was queried before all the records were read. The server is
    /// queried again if its answer is too old for a record.
    ///
    /// # Errors
    /// As [`Engine::observe_fleet`].
    pub(crate) async fn observe_fleet_after(
        &self,
        records: &[(PeerName, &SessionRecord)],
        prefetched: Option<Prefetched>,
    ) -> Result<FleetObservation> {
        let mut observed = self.observe_servers(records, &[], prefetched).await?;
        let too_early = |(name, record): &&(PeerName, &SessionRecord)| {
            observed.observations.get(name).is_some_and(|observation| may_have_come_since(record, observation))
        };
        let again: Vec<_> = records.iter().filter(too_early).cloned().collect();
        if !again.is_empty() {
            let FleetObservation { observations, silent, .. } = self.observe_fleet(&again).await?;
            observed.observations.extend(observations);
            observed.silent.extend(silent);
        }
        Ok(observed)
    }

    /// Starts the query of the server that a record names, without waiting for its answer. `None` if the server cannot
    /// be queried separately, or if the record is from another boot.
    ///
    /// Only for a shared server, which is most likely that of all other records too.
    pub(crate) async fn prefetch(&self, record: &SessionRecord) -> Option<Prefetched> {
        let runtime = self.runtime_of(&record.place).ok().filter(|runtime| runtime.kind().facts().shares_server())?;
        if standing(record) != Standing::Here {
            return None;
        }
        let (place, at) = (record.place.clone(), self.now());
        let server = place.server.clone();
        let listing = tokio::spawn(async move { runtime.list(&server).await });
        // The caller goes on to read files without yielding, so the client must be started now.
        tokio::task::yield_now().await;
        Some(Prefetched { place, at, listing })
    }

    async fn observe_servers(
        &self,
        records: &[(PeerName, &SessionRecord)],
        more: &[(RuntimeKind, PathBuf)],
        mut prefetched: Option<Prefetched>,
    ) -> Result<FleetObservation> {
        let standings: Vec<_> = records.iter().map(|(_, record)| standing(record)).collect();
        let here = records.iter().zip(&standings).filter(|(_, standing)| **standing == Standing::Here);
        let current = here.map(|((_, record), _)| *record);
        // The kernel is queried about the agents while the servers answer.
        let agents = async { (self.now(), records.iter().map(|(_, record)| process_axis(record)).collect::<Vec<_>>()) };
        let (answers, (agents_at, agents)) = join(self.ask(current, more, prefetched.as_mut()), agents).await;
        let mut answers = answers?;
        let observations = HashMap::with_capacity(records.len());
        let mut observed = FleetObservation { observations, agents_at, ..FleetObservation::default() };
        for (((name, record), agent), standing) in records.iter().zip(agents).zip(standings) {
            let server = server(record).filter(|_| standing == Standing::Here);
            let observation = match server.and_then(|server| answers.get_mut(&server)) {
                Some(answer) => answer.judge(name, record, agent),
                None => standing.observation(self.now()),
            };
            if let Some((server, process)) = server.zip(observation.answered) {
                observed
                    .untracked
                    .extend(observation.leftovers.iter().filter_map(|row| untracked(server, process, row.clone())));
            }
            observed.observations.insert(name.clone(), observation);
        }
        for (server, answer) in answers {
            observed.collect_unclaimed(server, answer);
        }
        Ok(observed)
    }

    async fn ask<'a>(
        &self,
        records: impl Iterator<Item = &'a SessionRecord>,
        more: &'a [(RuntimeKind, PathBuf)],
        prefetched: Option<&'a mut Prefetched>,
    ) -> Result<HashMap<Server<'a>, Answer>> {
        let ours = self.tag_root();
        let prefetched = prefetched.and_then(|Prefetched { place, at, listing }| Some((address(place)?, *at, listing)));
        let mut known: HashSet<_> = prefetched.iter().map(|(server, ..)| *server).collect();
        let mut of_runtime = HashMap::<_, (Arc<dyn Runtime>, Vec<Server<'a>>)>::new();
        for record in records {
            let Some(server) = server(record) else { continue };
            if known.insert(server) {
                let runtime = self.runtime_of(&record.place)?;
                let binary = (server.0, record.place.binary.as_path());
                of_runtime.entry(binary).or_insert_with(|| (runtime, Vec::new())).1.push(server);
            }
        }
        for (kind, dir) in more {
            let server = (*kind, dir.as_os_str());
            // Together with the other servers of that runtime, if there are any: the kernel's socket table is read once
            // per runtime.
            if let Some((_, (_, servers))) = of_runtime.iter_mut().find(|((runtime, _), _)| *runtime == server.0) {
                servers.push(server);
            } else {
                of_runtime.insert((server.0, Path::new("")), (self.by_the_kernel(*kind), vec![server]));
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
        let asked_ahead = OptionFuture::from(prefetched.map(async |(server, at, listing)| {
            let listing = listing.await.expect("nobody aborts it, and an adapter that panics is a bug");
            (server, Answer::new(listing, at, &ours))
        }));
        let (asked, prefetched) = join(join_all(asked), asked_ahead).await;
        Ok(asked.into_iter().flatten().chain(prefetched).collect())
    }
}

impl FleetObservation {
    /// Collects what no record claimed.
    fn collect_unclaimed(&mut self, server: Server<'_>, answer: Answer) {
        let place = (server.0, PathBuf::from(server.1));
        match answer.listing {
            // No peer depends on this server, and nothing can be said about it now.
            Err(error) if answer.unknown == 0 => tracing::debug!(%error, "a session that is not on record"),
            Err(error) => self.silent.push(Silent { error, peers: answer.unknown }),
            Ok(Listed::Gone(_)) => self.unused.push(place),
            Ok(Listed::Up(panes)) => {
                if panes.of.is_empty() {
                    self.unused.push(place);
                }
                let left = panes.of.into_values().flatten();
                self.untracked.extend(left.filter_map(|row| untracked(server, panes.server, row)));
            }
        }
    }
}

/// Whether an absent session may have been created after its server was queried. A session that was ready before the
/// query must have existed then, so it is gone.
fn may_have_come_since(record: &SessionRecord, observation: &Observation) -> bool {
    let absent = observation.runtime == Axis::Dead && !observation.rebooted
        || observation.answered.is_some() && observation.row.is_none();
    absent && record.ready_at().is_none_or(|ready| ready >= observation.listed_at)
}

pub(crate) fn untracked(server: Server<'_>, process: ProcessId, row: SessionRow) -> Option<UntrackedSession> {
    let mut parts = row.tag.split('/').skip(1);
    let peer = parts.next()?.parse().ok()?;
    let incarnation = Incarnation(parts.next()?.parse().ok()?);
    let (runtime, server) = (server.0, server.1.into());
    Some(UntrackedSession { peer, incarnation, runtime, server, server_process: process, row })
}

/// A server, by runtime and address. The address is text because hashing a path splits it into components.
pub(crate) type Server<'a> = (RuntimeKind, &'a OsStr);

fn server(record: &SessionRecord) -> Option<Server<'_>> {
    address(&record.place)
}

/// `None` for a runtime that this version does not know.
fn address(place: &Place) -> Option<Server<'_>> {
    Some((place.kind()?, place.server.as_os_str()))
}
