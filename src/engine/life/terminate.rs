//! The ladder that ends a living incarnation.
//!
//! The intent is written to disk, then come the agent's own quit keys, `SIGTERM`, `SIGKILL`, and a second observation
//! of both axes. Only the process groups of this incarnation are ever signalled.

use std::time::Duration;

use nix::sys::signal::Signal;
use peer_adapters::process::{self, Family, ProcessId, Status};
use peer_adapters::runtime::{Capture, RuntimeError};
use tokio::time::Instant;

use crate::engine::life::record_end;
use crate::engine::observe::conversation::ConversationFinder;
use crate::engine::observe::{self, Observation, process_axis, process_id, target};
use crate::engine::{Engine, EngineError, POLL, Peer, Result};
use crate::policy::axis::Axis;
use crate::policy::ending::Intent;
use crate::store::{LastEnd, Locked, Marker, SessionRecord};

/// How long a process may still exist after `SIGKILL`. The kernel needs milliseconds; a process in uninterruptible
/// sleep (a dead network mount) may never exit, which a person must know.
const KILL_GRACE: Duration = Duration::from_secs(5);

impl Engine {
    /// Ends the recorded incarnation and records the end. Blocks for at most the profile's grace periods and
    /// `KILL_GRACE`.
    ///
    /// # Errors
    /// Nothing is signalled if an axis is unknown or the intent could not be written. [`EngineError::NotEnded`] if
    /// something survives: the record stays, with the intent.
    pub async fn end(
        &self,
        peer: &Peer,
        locked: &Locked,
        mut record: SessionRecord,
        why: Option<Intent>,
    ) -> Result<LastEnd> {
        let observation = self.observe(&peer.name, &record).await?;
        Self::refuse_unknown(peer, &observation)?;
        self.end_agent(peer, locked, &mut record, &observation, why).await?;
        self.clear_session(peer, &record).await?;
        record_end::record_end(&self.state, locked, &record, record_end::EndContext::cleared(&observation), self.now())
    }

    /// As [`Engine::end`], on the user's request, which may also end what can no longer be reached: an agent in a pane
    /// whose server is alive and has no usable socket. The agent is ended by signals alone, and then the session by the
    /// server's process.
    ///
    /// # Errors
    /// As [`Engine::end`].
    pub(crate) async fn end_by_hand(
        &self,
        peer: &Peer,
        locked: &Locked,
        mut record: SessionRecord,
        observation: &Observation,
        why: Intent,
    ) -> Result<LastEnd> {
        if !observation.is_cut_off(&record.place) {
            return self.end(peer, locked, record, Some(why)).await;
        }
        // An agent that already ended has its own cause.
        let why = if observation.process == Axis::Dead { record.intent } else { Some(why) };
        self.end_agent(peer, locked, &mut record, observation, why).await?;
        self.runtime_of(&record.place)?.remove(&target(&record.place)).await?;
        record_end::record_end(&self.state, locked, &record, record_end::EndContext::cleared(observation), self.now())
    }

    /// Steps 1 to 5, with what is learned and kept on the way.
    async fn end_agent(
        &self,
        peer: &Peer,
        locked: &Locked,
        record: &mut SessionRecord,
        observation: &Observation,
        why: Option<Intent>,
    ) -> Result<()> {
        self.write_intent(locked, record, why)?;
        // The next resume needs the conversation's id: look once more while the agent's process still exists.
        ConversationFinder::of(peer).find(&self.state, locked, record)?;
        self.keep_screen(record, locked, observation).await;
        if process_axis(record) != Axis::Dead {
            self.terminate(peer, record, observation).await?;
        }
        self.await_exit_record(peer, record).await
    }

    /// Step 1. Only a park leaves the marker that lets the next wake resume.
    fn write_intent(&self, locked: &Locked, record: &mut SessionRecord, why: Option<Intent>) -> Result<()> {
        locked.consume_markers(record)?;
        record.intent = why;
        locked.write_session(record)?;
        if matches!(why, Some(Intent::IdleReaped | Intent::Stopped | Intent::Moved)) {
            locked.mark(Marker::IdleReaped, self.now())?;
        }
        if why == Some(Intent::Stopped) {
            locked.mark(Marker::Stopped, self.now())?;
        }
        Ok(())
    }

    /// Keeps the last screen for `peer screen`. If the runtime does not answer, the screen is lost but the agent is
    /// still ended.
    pub(crate) async fn keep_screen(&self, record: &SessionRecord, locked: &Locked, observation: &Observation) {
        if observation.row.is_none() {
            return;
        }
        let Ok(runtime) = self.runtime_of(&record.place) else { return };
        if let Ok(text) = runtime.capture(&target(&record.place), Capture { history: 0, ansi: true }).await
            && let Err(error) = locked.keep_screen(&text)
        {
            self.progress.notice(&error.to_string());
        }
    }

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

    /// Step 6: removes the runtime's session and checks again. A server that is gone has no session.
    ///
    /// # Errors
    /// The runtime did not answer: the agent is gone, its empty session may be left, and the record stays.
    pub(crate) async fn clear_session(&self, peer: &Peer, record: &SessionRecord) -> Result<()> {
        let observation = self.observe(&peer.name, record).await?;
        match (&observation.runtime, &observation.row) {
            (Axis::Dead, _) => Ok(()),
            (Axis::Alive, Some(row)) => {
                let runtime = self.runtime_of(&record.place)?;
                let target = observe::target_of_row(&record.place.server, observation.answered, row);
                match runtime.remove(&target).await {
                    Ok(()) | Err(RuntimeError::ServerGone { .. } | RuntimeError::NoSuchSession { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
                let again = self.observe(&peer.name, record).await?;
                match again.runtime {
                    Axis::Dead => Ok(()),
                    Axis::Alive => Err(self.session_left(peer, record, "it is still listed")),
                    Axis::Unknown(why) => Err(self.session_left(peer, record, &why)),
                }
            }
            (Axis::Alive, None) => Ok(()),
            (Axis::Unknown(why), _) => Err(self.session_left(peer, record, why)),
        }
    }

    /// Clears what a peer that is not awake left on a runtime: the last incarnation's session, whose last screen is
    /// kept, and the remains of a start that never completed. If the runtime does not answer, the session waits for the
    /// next pass; a dead pane does no harm.
    ///
    /// # Errors
    /// A file of `peer` cannot be written, or the remains of an abandoned start are still there; its record stays.
    pub(crate) async fn clear_left(&self, peer: &Peer, locked: &Locked) -> Result<()> {
        // The caller has checked that no agent is awake, so a record is the only trace of an abandoned start.
        if let Some(SessionRecord { place, .. }) = peer.files.session()?.present() {
            self.runtime_of(&place)?.discard_failed_create(&place.server, &place.session).await?;
        }
        let Some(last) = peer.files.end()?.present() else { return Ok(()) };
        let Some(place) = &last.left else { return Ok(()) };
        // On another host, what has this path is not what the peer left.
        if observe::elsewhere(place.host.as_ref(), false, last.end.at_ms)?.is_some() {
            return Ok(());
        }
        let runtime = self.runtime_of(place)?;
        if let Ok(text) = runtime.capture(&target(place), Capture { history: 0, ansi: true }).await {
            locked.keep_screen(&text)?;
        }
        match runtime.remove(&target(place)).await {
            Ok(()) | Err(RuntimeError::ServerGone { .. } | RuntimeError::NoSuchSession { .. }) => {
                Ok(locked.note_cleared(last)?)
            }
            Err(error) => {
                tracing::debug!(%error, "what the last incarnation left");
                Ok(())
            }
        }
    }

    fn session_left(&self, peer: &Peer, record: &SessionRecord, why: &str) -> EngineError {
        EngineError::NotEnded {
            peer: peer.name.clone(),
            detail: format!(
                "its agent is gone and its {} session {} could not be removed: {why}",
                record.place.runtime, record.place.session
            ),
        }
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
