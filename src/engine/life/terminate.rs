//! The ladder that ends a living agent: its own quit keys, `SIGTERM`, `SIGKILL`, and a second observation. Only the
//! process groups of this incarnation are ever signalled.

use std::time::Duration;

use nix::sys::signal::Signal;
use peer_adapters::process::{self, Family, ProcessId, Status};
use tokio::time::Instant;

use crate::engine::observe::{Observation, process_id, target};
use crate::engine::{Engine, EngineError, POLL, Peer, Result};
use crate::store::SessionRecord;

/// How long a process may still exist after `SIGKILL`. The kernel needs milliseconds; a process in uninterruptible
/// sleep (a dead network mount) may never exit, which a person must know.
const KILL_GRACE: Duration = Duration::from_secs(5);

impl Engine {
    /// Steps 2 to 5.
    pub(crate) async fn terminate(&self, peer: &Peer, record: &SessionRecord, observation: &Observation) -> Result<()> {
        let Some(agent) = record.process else { return Ok(()) };
        let leader = process_id(agent.id);
        let grace = peer.profile.quit.term_grace;
        if observation.row.is_some() && self.ask_to_quit(peer, record, leader).await? {
            return self.end_rest(peer, record, leader, grace).await;
        }
        self.signal_and_wait(peer, record, leader, Signal::SIGTERM, grace).await?;
        self.end_rest(peer, record, leader, Duration::ZERO).await
    }

    /// Presses the agent's own quit keys. Returns whether it exited.
    async fn ask_to_quit(&self, peer: &Peer, record: &SessionRecord, leader: ProcessId) -> Result<bool> {
        let runtime = self.runtime_of(&record.place)?;
        let quit = &peer.profile.quit;
        for step in &quit.steps {
            match runtime.press(&target(&record.place), &step.keys).await {
                Ok(()) => {}
                // The pane takes no keys any more, or that is unknown; signals need no runtime.
                Err(error) => {
                    tracing::debug!(%error, "quit keys");
                    return Ok(false);
                }
            }
            if self.wait_gone(peer, leader, step.wait).await? {
                return Ok(true);
            }
        }
        if quit.steps.is_empty() {
            return Ok(false);
        }
        self.wait_gone(peer, leader, quit.grace).await
    }

    /// Sends `SIGKILL` to what is left of the pane's session, then checks a last time.
    async fn end_rest(&self, peer: &Peer, record: &SessionRecord, leader: ProcessId, term: Duration) -> Result<()> {
        if !term.is_zero() && !self.survivors(record)?.is_empty() {
            self.signal_and_wait(peer, record, leader, Signal::SIGTERM, term).await?;
        }
        if !self.survivors(record)?.is_empty() {
            self.signal_and_wait(peer, record, leader, Signal::SIGKILL, KILL_GRACE).await?;
        }
        match self.survivors(record)?.first() {
            None => Ok(()),
            Some(left) => Err(EngineError::NotEnded {
                peer: peer.name.clone(),
                detail: format!("pid {} survives SIGKILL", left.id.pid),
            }),
        }
    }

    async fn signal_and_wait(
        &self,
        peer: &Peer,
        record: &SessionRecord,
        leader: ProcessId,
        signal: Signal,
        grace: Duration,
    ) -> Result<()> {
        for group in self.groups(record, leader)? {
            let signal = as_heard(group.pid, signal);
            process::signal_group(group, signal).map_err(|source| not_signalled(peer, group.pid, signal, source))?;
        }
        let started = Instant::now();
        while started.elapsed() < grace {
            if self.survivors(record)?.is_empty() {
                return Ok(());
            }
            self.progress.waiting(&format!("{} to end after {signal}", peer.name), started.elapsed(), grace);
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    async fn wait_gone(&self, peer: &Peer, leader: ProcessId, grace: Duration) -> Result<bool> {
        let started = Instant::now();
        loop {
            if process::find(leader)?.is_none() {
                return Ok(true);
            }
            if started.elapsed() >= grace {
                return Ok(false);
            }
            self.progress.waiting(&format!("{} to quit by itself", peer.name), started.elapsed(), grace);
            tokio::time::sleep(POLL).await;
        }
    }

    /// Returns what is left of this incarnation: the agent, its process group, and everything else in the pane's
    /// terminal session except the pane process.
    fn survivors(&self, record: &SessionRecord) -> Result<Vec<Status>> {
        let Some(agent) = record.process else { return Ok(Vec::new()) };
        // A pid or session id can be reused once all its holders have ended, so only processes count that started no
        // earlier than the agent.
        let younger = |status: &Status| status.id.start >= agent.id.start;
        let pane = record.place.pane_process.map(process_id);
        let mut left = process::members(Family::Session(agent.session))?;
        left.extend(process::members(Family::Group(agent.id.pid))?);
        left.retain(|status| younger(status) && Some(status.id) != pane);
        left.sort_by_key(|status| status.id);
        left.dedup();
        Ok(left)
    }

    /// Returns the process groups to signal: the agent's first, then those of its jobs in the same terminal session.
    fn groups(&self, record: &SessionRecord, leader: ProcessId) -> Result<Vec<ProcessId>> {
        let mut groups = vec![leader];
        for status in self.survivors(record)? {
            if status.group != leader.pid && !groups.iter().any(|group| group.pid == status.group) {
                // A group's id is its leader's pid. If the leader has exited, the group's oldest member represents it.
                let id = process::status(status.group)?
                    .map_or(ProcessId { pid: status.group, start: status.id.start }, |leader| leader.id);
                groups.push(id);
            }
        }
        Ok(groups)
    }
}

/// Returns the signal that a process group obeys. A shell at a terminal ignores `SIGTERM` and exits on a hangup, as
/// when its terminal is closed; it then saves its history and hangs up its jobs (bash 5.2, zsh 5.9, dash 0.5).
fn as_heard(group: u32, signal: Signal) -> Signal {
    let deaf = signal == Signal::SIGTERM && process::ignores(group, signal);
    if deaf && !process::ignores(group, Signal::SIGHUP) { Signal::SIGHUP } else { signal }
}

/// Returns why a process could not be signalled. One that belongs to another user is known to exist; that is not a
/// failure of the kernel query.
fn not_signalled(peer: &Peer, pid: u32, signal: Signal, source: std::io::Error) -> EngineError {
    if source.kind() != std::io::ErrorKind::PermissionDenied {
        return source.into();
    }
    EngineError::NotSignalled { peer: peer.name.clone(), pid, owner: process::owner(pid), signal, source }
}
