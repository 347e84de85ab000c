//! `peer restart-runtime`: ends a server, and continues its peers, each in its conversation, on a new server of the
//! installed version.
//!
//! If this is killed on the way, the peers are parked, and the next wake resumes them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use peer_adapters::process::{self, ProcessId};
use peer_adapters::runtime::{Listing, RuntimeName};
use serde::Serialize;
use tokio::time::Instant;

use crate::engine::observe::live::Live;
use crate::engine::observe::process_id;
use crate::engine::observe::turn::own_status;
use crate::engine::peer::runtimes::kind_of;
use crate::engine::verbs::wake::Woken;
use crate::engine::{Engine, EngineError, POLL, Peer, Result};
use crate::policy::ending::Intent;
use crate::policy::name::PeerName;
use crate::store::{Place, Process, SessionRecord, Stored};

/// How long a server may take to end. It takes milliseconds.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// The options of a restart.
#[derive(Clone, Copy, Debug, Default)]
pub struct RestartRequest {
    /// Also restart servers whose peers are at work, or would start over.
    pub now: bool,
    /// Only report what would be done.
    pub dry_run: bool,
}

/// The outcome for one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartOutcome {
    /// It would be restarted.
    Planned,
    /// Something forbids it, and nothing was changed.
    Refused,
    /// It ended, and its peers are awake again.
    Restarted,
    /// It was begun, and not completed.
    Incomplete,
}

/// One server, and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct RestartedServer {
    /// The runtime, as the records name it.
    pub runtime: RuntimeName,
    /// Its socket, or its session's directory.
    pub server: PathBuf,
    /// The version that it runs.
    pub version: Option<String>,
    /// Its former process.
    pub pid: Option<u32>,
    /// The peers on it.
    pub peers: Vec<PeerName>,
    /// The outcome.
    pub outcome: RestartOutcome,
    /// What forbids the restart, or what went wrong.
    pub why: Vec<String>,
    /// How its peers were woken.
    pub woken: Vec<Woken>,
}

/// The outcome of a restart.
#[derive(Debug, Default)]
pub struct Restarts {
    /// The servers that were meant, sorted by their addresses.
    pub servers: Vec<RestartedServer>,
    /// Peers that were meant and whose record cannot be read: where they run is unknown, and nothing of theirs was changed.
    pub broken: Vec<(PeerName, EngineError)>,
}

impl Engine {
    /// Parks all peers of each server that hosts one of `names` (of every recorded server, if `names` is empty), ends
    /// the server, and wakes the peers.
    ///
    /// # Errors
    /// A name is not declared, or the directory of specs cannot be read; nothing was changed. What fails for one server is
    /// in its outcome.
    pub async fn restart_runtime(&self, names: &[PeerName], how: RestartRequest) -> Result<Restarts> {
        for name in names {
            self.peer(name)?;
        }
        let is_meant = |name: &PeerName| names.is_empty() || names.contains(name);
        let mut servers: BTreeMap<PathBuf, Vec<(PeerName, SessionRecord)>> = BTreeMap::new();
        let mut restarts = Restarts::default();
        for name in self.config.names()? {
            match self.state.peer(&name).session().map(Stored::present) {
                Ok(Some(record)) => servers.entry(record.place.server.clone()).or_default().push((name, record)),
                Ok(None) => {}
                Err(error) if is_meant(&name) => restarts.broken.push((name, error.into())),
                // If it runs on a server that is meant, its session belongs to no record, and refuses that server.
                Err(_) => {}
            }
        }
        servers.retain(|_, on_it| on_it.iter().any(|(name, _)| is_meant(name)));
        for on_it in servers.into_values() {
            restarts.servers.push(self.restart_server(on_it, how).await);
        }
        Ok(restarts)
    }

    async fn restart_server(&self, on_it: Vec<(PeerName, SessionRecord)>, how: RestartRequest) -> RestartedServer {
        let processes = processes_of(&on_it);
        // A record may still name a server that has ended.
        let of_living =
            |(_, record): &&(PeerName, SessionRecord)| record.place.server_process == processes.first().copied();
        let place = on_it.iter().find(of_living).unwrap_or(&on_it[0]).1.place.clone();
        let mut server = RestartedServer {
            runtime: place.runtime.clone(),
            version: place.server_version.clone(),
            pid: place.server_process.map(|process| process.pid),
            peers: on_it.iter().map(|(name, _)| name.clone()).collect(),
            outcome: RestartOutcome::Planned,
            why: self.what_forbids(&place, &on_it, how.now).await,
            woken: Vec::new(),
            server: place.server.clone(),
        };
        if !server.why.is_empty() {
            server.outcome = RestartOutcome::Refused;
        }
        if how.dry_run || !server.why.is_empty() {
            return server;
        }
        let mut parked = Vec::new();
        for name in &server.peers {
            self.progress.notice(&format!("{name}: parking it"));
            match self.park_for_restart(name, how.now).await {
                Ok(true) => parked.push(name.clone()),
                Ok(false) => {}
                Err(error) => server.why.push(format!("{name}: {error}")),
            }
        }
        for process in processes {
            if server.why.is_empty()
                && let Err(why) = self.end_server(&place, process_id(process)).await
            {
                server.why.push(why);
            }
        }
        for name in &parked {
            match self.wake_again(name).await {
                Ok(woken) => server.woken.push(woken),
                Err(error) => server.why.push(format!("{name} could not be resumed: {error}")),
            }
        }
        server.outcome = if server.why.is_empty() { RestartOutcome::Restarted } else { RestartOutcome::Incomplete };
        server
    }

    /// Returns what this peer has against a restart of its server.
    async fn what_forbids_of(&self, name: &PeerName, record: &SessionRecord, now: bool) -> Result<Vec<String>> {
        let peer = self.peer(name)?;
        let mut why = Vec::new();
        why.extend(self.admit(&peer.spec).await.err().map(|error| error.to_string()));
        why.extend(self.kept_variables_of(&peer).err().map(|error| error.to_string()));
        why.extend(self.what_forbids_a_park(&peer, record.clone(), now).await?.map(|it| format!("{name} {it}")));
        Ok(why)
    }

    /// Returns everything that is known to forbid the restart, before anything is changed.
    async fn what_forbids(&self, place: &Place, on_it: &[(PeerName, SessionRecord)], now: bool) -> Vec<String> {
        let mut why = Vec::new();
        for (name, record) in on_it {
            // An error here must not hide the outcomes of servers that were restarted before.
            match self.what_forbids_of(name, record, now).await {
                Ok(reasons) => why.extend(reasons),
                Err(error) => why.push(format!("{name}: {error}")),
            }
        }
        why.dedup();
        if place.kind().is_some_and(|kind| kind.facts().shares_server())
            && let Ok(runtime) = self.runtime_of(place)
            && let Ok(Listing::Up { rows, .. }) = runtime.list(&place.server).await
        {
            let theirs = rows.iter().filter(|row| !row.tag.starts_with(&self.tag_root()));
            why.extend(theirs.map(|row| format!("session {} on it does not belong to this fleet", row.session)));
            let known = |session: &str| on_it.iter().any(|(_, record)| record.place.session == session);
            let untracked = rows.iter().filter(|row| row.tag.starts_with(&self.tag_root()) && !row.pane_dead);
            let untracked = untracked.filter(|row| !on_it.iter().any(|(_, record)| record.place.pane == row.pane));
            why.extend(
                untracked
                    .filter(|row| !known(&row.session))
                    .map(|row| format!("session {} belongs to no peer", row.session)),
            );
        }
        why
    }

    async fn what_forbids_a_park(&self, peer: &Peer, record: SessionRecord, now: bool) -> Result<Option<String>> {
        if self.var("PEER_NAME").is_some_and(|own| own == peer.name.as_str()) {
            return Ok(Some("runs this command itself: run it in another terminal".to_owned()));
        }
        let live = self.live(peer, Some(record)).await?;
        let busy = own_status(peer, &live).is_some_and(|status| status.busy);
        Ok(match live {
            Live::None => None,
            Live::Starting(_) => Some("is starting".to_owned()),
            Live::Session(_, observation) if observation.is_over() => None,
            Live::Session(record, observation) => match observation.unknown() {
                Some(refusal) => Some(format!("is not known well enough: {refusal}")),
                None if now => None,
                None if busy || self.is_at_work(peer, &record).await => Some("is busy".to_owned()),
                None if !peer.profile.capabilities().resume => {
                    Some(format!("would start over: {} cannot resume a conversation", peer.spec.agent))
                }
                None => None,
            },
        })
    }

    /// Parks one peer, after checking once more under its lock what it is doing. Returns whether it was awake.
    async fn park_for_restart(&self, name: &PeerName, now: bool) -> Result<bool> {
        let peer = self.peer(name)?;
        let locked = self.lock(name).await?;
        let Some(record) = self.on_record(&peer, &locked)? else { return Ok(false) };
        if let Some(why) = self.what_forbids_a_park(&peer, record.clone(), now).await? {
            return Err(EngineError::NotEnded { peer: name.clone(), detail: format!("it {why}") });
        }
        match self.live(&peer, Some(record)).await? {
            Live::None => self.clear_left(&peer, &locked).await.map(|()| false),
            Live::Session(record, observation) if observation.is_over() => {
                self.record_dead_session(&peer, &locked, &record, &observation).await.map(|()| false)
            }
            Live::Starting(record) | Live::Session(record, _) => {
                self.end(&peer, &locked, *record, Some(Intent::Moved)).await.map(|_| true)
            }
        }
    }

    /// Ends a recorded server, once its own listing shows that nothing runs in it.
    async fn end_server(&self, place: &Place, server: ProcessId) -> std::result::Result<(), String> {
        let lives = || process::find(server).map(|found| found.is_some()).map_err(|error| error.to_string());
        let kind = kind_of(&place.runtime).map_err(|error| error.to_string())?;
        if kind.facts().shares_server() && lives()? {
            let runtime = self.runtime_of(place).map_err(|error| error.to_string())?;
            match runtime.list(&place.server).await.map_err(|error| error.to_string())? {
                Listing::Up { server: listens, rows } if listens == server => {
                    if let Some(row) = rows.iter().find(|row| !row.pane_dead) {
                        return Err(format!(
                            "the server was not ended: session {} came up on it meanwhile",
                            row.session
                        ));
                    }
                }
                other => return Err(format!("the server was not ended: it does not answer for itself ({other:?})")),
            }
            process::signal(server, Signal::SIGTERM).map_err(|error| error.to_string())?;
        }
        let begin = Instant::now();
        while lives()? {
            if begin.elapsed() > END_PATIENCE {
                return Err(format!("the server, pid {}, does not end", server.pid));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    async fn wake_again(&self, name: &PeerName) -> Result<Woken> {
        self.progress.notice(&format!("{name}: waking it"));
        self.wake_moved(name).await
    }
}

/// Returns the servers at one address that these records name and that have not ended, each once.
fn processes_of(on_it: &[(PeerName, SessionRecord)]) -> Vec<Process> {
    let mut found: Vec<Process> = Vec::new();
    for server in on_it.iter().filter_map(|(_, record)| record.place.server_process) {
        if !found.contains(&server) && !matches!(process::find(process_id(server)), Ok(None)) {
            found.push(server);
        }
    }
    found
}
