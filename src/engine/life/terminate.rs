//! The ladder: how a living incarnation is brought to its end.
//!
//! Intent on disk, the agent's own quit keys, `SIGTERM`, `SIGKILL`, then a second look at both axes. Only this
//! incarnation's own process groups are ever signalled.

use std::time::Duration;

use nix::sys::signal::Signal;
use peer_adapters::process::{self, Family, ProcessId, Status};
use peer_adapters::runtime::{Capture, RuntimeError};
use tokio::time::Instant;

use crate::engine::life::record_end;
use crate::engine::observe::conversation::Learner;
use crate::engine::observe::{self, Sight, process_axis, process_id, target};
use crate::engine::{Engine, EngineError, POLL, Peer, Result};
use crate::policy::axis::Axis;
use crate::policy::ending::Intent;
use crate::store::{LastEnd, Locked, Marker, SessionRecord};

/// How long after `SIGKILL` a process may still be there. The kernel needs milliseconds; one in uninterruptible sleep
/// (a dead network mount) can need for ever, and then a person must know.
const KILL_GRACE: Duration = Duration::from_secs(5);

impl Engine {
    /// Ends the incarnation on record and records the end; blocks for the profile's graces and `KILL_GRACE` at most.
    ///
    /// # Errors
    /// Nothing is signalled when either axis is unknown, or when the intent could not be written. [`EngineError::NotEnded`] when something survives: the
    /// record stands and says what was intended.
    pub async fn end(
        &self,
        peer: &Peer,
        locked: &Locked,
        mut record: SessionRecord,
        why: Option<Intent>,
    ) -> Result<LastEnd> {
        let sight = self.observe(&peer.name, &record).await?;
        Self::refuse_unknown(peer, &sight)?;
        self.end_agent(peer, locked, &mut record, &sight, why).await?;
        self.clear_session(peer, &record).await?;
        record_end::record_end(&self.state, locked, &record, record_end::Absence::cleared(&sight), self.now())
    }

    /// The same at the word of a person, who may also end what nobody can reach any more: an agent in a pane whose server
    /// lives, and to which no socket leads. It is ended by signals alone, and then its session by the server's process.
    ///
    /// # Errors
    /// As [`Engine::end`].
    pub(crate) async fn end_by_hand(
        &self,
        peer: &Peer,
        locked: &Locked,
        mut record: SessionRecord,
        sight: &Sight,
        why: Intent,
    ) -> Result<LastEnd> {
        if !sight.is_cut_off(&record.place) {
            return self.end(peer, locked, record, Some(why)).await;
        }
        // One that ended by itself has its own cause.
        let why = if sight.process == Axis::Dead { record.intent } else { Some(why) };
        self.end_agent(peer, locked, &mut record, sight, why).await?;
        self.runtime_of(&record.place)?.remove(&target(&record.place)).await?;
        record_end::record_end(&self.state, locked, &record, record_end::Absence::cleared(sight), self.now())
    }

    /// Steps 1 to 5, and what is learned and kept on the way.
    async fn end_agent(
        &self,
        peer: &Peer,
        locked: &Locked,
        record: &mut SessionRecord,
        sight: &Sight,
        why: Option<Intent>,
    ) -> Result<()> {
        self.write_intent(locked, record, why)?;
        // A stopped id is an id that the next resume needs: look once more while its process can still be asked.
        Learner::new(&peer.profile, &peer.spec.cwd).learn(&self.state, locked, record)?;
        self.keep_screen(record, locked, sight).await;
        if process_axis(record) != Axis::Dead {
            self.climb(peer, record, sight).await?;
        }
        self.await_exit_record(peer, record).await
    }

    /// Step 1. Only a park leaves the marker that lets the next wake resume.
    fn write_intent(&self, locked: &Locked, record: &mut SessionRecord, why: Option<Intent>) -> Result<()> {
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

    /// Keeps the last screen for `peer screen`. A runtime that does not answer costs the picture, not the end.
    pub(crate) async fn keep_screen(&self, record: &SessionRecord, locked: &Locked, sight: &Sight) {
        if sight.row.is_none() {
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
    pub(crate) async fn climb(&self, peer: &Peer, record: &SessionRecord, sight: &Sight) -> Result<()> {
        let Some(agent) = record.process else { return Ok(()) };
        let leader = process_id(agent.id);
        let grace = peer.profile.quit.term_grace;
        if sight.row.is_some() && self.ask_to_quit(peer, record, leader).await? {
            return self.end_rest(peer, record, leader, grace).await;
        }
        self.signal_and_wait(peer, record, leader, Signal::SIGTERM, grace).await?;
        self.end_rest(peer, record, leader, Duration::ZERO).await
    }

    /// Asks in the agent's own words. Returns whether it left.
    async fn ask_to_quit(&self, peer: &Peer, record: &SessionRecord, leader: ProcessId) -> Result<bool> {
        let runtime = self.runtime_of(&record.place)?;
        let quit = &peer.profile.quit;
        for step in &quit.steps {
            match runtime.press(&target(&record.place), &step.keys).await {
                Ok(()) => {}
                // Its pane takes no keys any more, or nobody can tell: signals need no runtime.
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

    /// `SIGKILL` for what is left of the pane's session, then the last look.
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

    /// What is left of this incarnation: the agent, its group, and everything else in the pane's terminal session but
    /// the pane process of ours.
    fn survivors(&self, record: &SessionRecord) -> Result<Vec<Status>> {
        let Some(agent) = record.process else { return Ok(Vec::new()) };
        // A pid and a session id can be reused once everybody who held them has ended: only those count that started
        // no earlier than the agent itself.
        let younger = |status: &Status| status.id.start >= agent.id.start;
        let pane = record.place.pane_process.map(process_id);
        let mut left = process::members(Family::Session(agent.session))?;
        left.extend(process::members(Family::Group(agent.id.pid))?);
        left.retain(|status| younger(status) && Some(status.id) != pane);
        left.sort_by_key(|status| status.id);
        left.dedup();
        Ok(left)
    }

    /// The process groups to signal: the agent's first, then those of its jobs in the same terminal session.
    fn groups(&self, record: &SessionRecord, leader: ProcessId) -> Result<Vec<ProcessId>> {
        let mut groups = vec![leader];
        for status in self.survivors(record)? {
            if status.group != leader.pid && !groups.iter().any(|group| group.pid == status.group) {
                // A group's number is its leader's pid; where the leader has ended, its oldest member stands for it.
                let id = process::status(status.group)?
                    .map_or(ProcessId { pid: status.group, start: status.id.start }, |leader| leader.id);
                groups.push(id);
            }
        }
        Ok(groups)
    }

    /// Step 6: removes the runtime's session and looks again. A server that is gone has no session.
    ///
    /// # Errors
    /// The runtime did not answer: the agent is gone and its empty session may be left; the record stands.
    pub(crate) async fn clear_session(&self, peer: &Peer, record: &SessionRecord) -> Result<()> {
        let sight = self.observe(&peer.name, record).await?;
        match (&sight.runtime, &sight.row) {
            (Axis::Dead, _) => Ok(()),
            (Axis::Alive, Some(row)) => {
                let runtime = self.runtime_of(&record.place)?;
                let target = observe::target_of_row(&record.place.server, sight.answered, row);
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

    /// Clears what stands on a runtime of a peer that is not awake: the last incarnation's session with its last screen,
    /// which is kept, and what a start left that never came about. A runtime that does not answer keeps the former for
    /// the next pass: a dead pane stands in nobody's way.
    ///
    /// # Errors
    /// A file of ours cannot be written, or what a given-up start left is still there: its record stands.
    pub(crate) async fn clear_left(&self, peer: &Peer, locked: &Locked) -> Result<()> {
        // Whoever calls this has seen that nobody is awake; a record that stands is the only trace of such a start.
        if let Some(SessionRecord { place, .. }) = peer.files.session()?.present() {
            self.runtime_of(&place)?.abandon(&place.server, &place.session).await?;
        }
        let Some(last) = peer.files.end()?.present() else { return Ok(()) };
        let Some(place) = &last.left else { return Ok(()) };
        // What is under its path here is not what it left.
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

/// A shell at a terminal ignores `SIGTERM`, and leaves at a hangup, as it does when its terminal is closed: it keeps its
/// history then, and hangs up what it started (bash 5.2, zsh 5.9, dash 0.5).
fn as_heard(group: u32, signal: Signal) -> Signal {
    let deaf = signal == Signal::SIGTERM && process::ignores(group, signal);
    if deaf && !process::ignores(group, Signal::SIGHUP) { Signal::SIGHUP } else { signal }
}

/// Why a process got no signal: one of another user's is there and known, and the kernel was asked about it well enough.
fn not_signalled(peer: &Peer, pid: u32, signal: Signal, source: std::io::Error) -> EngineError {
    if source.kind() != std::io::ErrorKind::PermissionDenied {
        return source.into();
    }
    EngineError::NotSignalled { peer: peer.name.clone(), pid, owner: process::owner(pid), signal, source }
}
