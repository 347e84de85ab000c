//! Servers that are alive and no longer listen on their path, because a cleaner removed the socket or its directory.
//!
//! What such a server hosts lives on and cannot be observed, and a second server on the same path would hide it for
//! good. So no server is started there while the recorded one is alive; it is made to listen again instead.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use peer_adapters::process::{self, ProcessId};
use peer_adapters::runtime::{Runtime, RuntimeError, RuntimeKind};
use peer_adapters::socket::{self, Listener};
use tokio::time::Instant;

use crate::engine::observe::live::Live;
use crate::engine::observe::{Standing, process_id, recorded, standing};
use crate::engine::{Engine, Peer, Result, pause};
use crate::policy::event::EventName;
use crate::store::{Event, Place, ReconnectLock, SessionRecord, Stored};

/// How often one observation makes a server listen again. Another command that does the same takes the socket away for
/// a moment.
const ATTEMPTS: u32 = 3;

impl Engine {
    /// As [`Engine::live`], for a caller that is about to act: a server that cannot be reached is first made to listen
    /// again.
    pub(crate) async fn live_in_reach(&self, peer: &Peer, record: Option<SessionRecord>) -> Result<Live> {
        let mut live = self.live(peer, record).await?;
        for _ in 0..ATTEMPTS {
            let Live::Session(record, observation) = &live else { break };
            let Some(server) = observation.unreachable else { break };
            let (record, told) = (record.as_ref().clone(), self.reach(&record.place, server).await?);
            live = self.live(peer, Some(record)).await?;
            if !told {
                break;
            }
        }
        Ok(live)
    }

    /// Makes the recorded server process listen on its path again. Returns whether that was necessary.
    ///
    /// # Errors
    /// The server is alive and does not listen; the state of what it hosts is unknown.
    pub(crate) async fn reach(&self, place: &Place, server: ProcessId) -> Result<bool> {
        self.listen_again(self.runtime_of(place)?.as_ref(), &place.server, server).await
    }

    async fn listen_again(&self, runtime: &dyn Runtime, path: &Path, server: ProcessId) -> Result<bool> {
        let _lock = self.reconnect_lock(runtime.kind(), path).await?;
        match runtime.listen_again(path, server).await {
            Ok(false) => return Ok(false),
            Ok(true) => {}
            // It has ended meanwhile; the next observation sees that.
            Err(RuntimeError::ServerGone { .. }) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
        let event = Event::new(self.now(), EventName::ServerReached).with("server", path.display().to_string());
        self.log(&event.with("pid", server.pid))?;
        Ok(true)
    }

    /// Waits until no other process makes a server listen again. That takes milliseconds, unless that process is stopped.
    ///
    /// # Errors
    /// [`RuntimeError::NotAnswering`] after the time that a probe may take.
    async fn reconnect_lock(&self, kind: RuntimeKind, path: &Path) -> Result<ReconnectLock> {
        let (started, limit) = (Instant::now(), self.settings.probe.timeout.0);
        loop {
            if let Some(lock) = self.state.try_reconnect_lock()? {
                return Ok(lock);
            }
            let elapsed = started.elapsed();
            if elapsed > limit {
                let lock = self.state.reconnect_lock_path();
                let detail = format!("another peer command has held {} for {limit:?}", lock.display());
                return Err(RuntimeError::NotAnswering { runtime: kind, server: path.to_owned(), detail }.into());
            }
            self.progress.waiting("another peer command to reach the server", elapsed, limit);
            pause(started).await;
        }
    }

    /// Checks whether a session may be created at `path`: never beside a server that is recorded there, is alive, and
    /// is not the one that listens. If no process listens there, the recorded server is made to listen again. Returns
    /// the listening process, if it is known to be the server of this fleet.
    ///
    /// Costs a connection and one small file; the fleet's records are read only if those do not suffice.
    ///
    /// # Errors
    /// [`RuntimeError::OtherServer`]; or the recorded server cannot be made to listen.
    pub(crate) async fn claim(&self, runtime: &dyn Runtime, path: &Path) -> Result<Option<ProcessId>> {
        if !runtime.kind().facts().shares_server() {
            return Ok(None);
        }
        let found = match socket::listener(path) {
            Ok(Listener::Up(found)) => Some(found.process.id),
            Ok(Listener::Gone(_)) => None,
            // The runtime reports which.
            Ok(Listener::Full) | Err(_) => return Ok(None),
        };
        if found.is_some() && self.state.server_at(path)? == found.map(recorded) {
            return Ok(found);
        }
        let other = self.living_servers(path)?.into_iter().find(|server| Some(*server) != found);
        match (found, other) {
            (Some(found), Some(recorded)) => {
                let server = path.to_owned();
                Err(RuntimeError::OtherServer { runtime: runtime.kind(), server, recorded, found }.into())
            }
            (None, Some(server)) => {
                self.listen_again(runtime, path, server).await?;
                Ok(Some(server))
            }
            (_, None) => Ok(None),
        }
    }

    /// Returns the address of the fleet's server of that name in a directory that no longer exists, if the server that
    /// listened there is alive with all its panes.
    pub(crate) fn where_it_was(&self, kind: RuntimeKind, name: &str) -> Result<Option<PathBuf>> {
        let of = |variable: &str| self.var(variable).cloned();
        let Some(socket) = kind.facts().vanished_address(name, &of) else { return Ok(None) };
        let server = self.state.server_at(&socket)?.map(process_id);
        Ok(server.filter(|server| lives(*server)).map(|_| socket))
    }

    /// Returns the living servers that records name for a path, the one with most peers first.
    fn living_servers(&self, path: &Path) -> Result<Vec<ProcessId>> {
        let mut peers = BTreeMap::<ProcessId, usize>::new();
        for name in self.config.names()? {
            // An unreadable record only affects its own peer.
            let Some(record) = self.state.peer(&name).session().ok().and_then(Stored::present) else { continue };
            let server = record.place.server_process.map(process_id).filter(|_| record.place.server == path);
            if let Some(server) = server.filter(|_| standing(&record) == Standing::Here) {
                *peers.entry(server).or_default() += 1;
            }
        }
        let mut living: Vec<_> = peers.into_iter().filter(|(server, _)| lives(*server)).collect();
        living.sort_by_key(|(_, peers)| std::cmp::Reverse(*peers));
        Ok(living.into_iter().map(|(server, _)| server).collect())
    }
}

/// Whether a server is alive. Counts as alive unless it is known to have ended.
fn lives(server: ProcessId) -> bool {
    !matches!(process::find(server), Ok(None))
}
