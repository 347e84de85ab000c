//! Ending an incarnation: its agent is ended, what it leaves on the runtime is cleared, and the end is recorded.
//!
//! The intent is written before the first signal, and the record is removed last, so that whoever comes next completes
//! what a killed process began. The steps are those of section 6 of docs/lifecycle.md.

use peer_adapters::runtime::{Capture, RuntimeError};

use crate::engine::life::record_end::{EndContext, record_end};
use crate::engine::observe::conversation::ConversationFinder;
use crate::engine::observe::live::why_orphaned;
use crate::engine::observe::{Observation, elsewhere, process_axis, target, target_of_row};
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::axis::Axis;
use crate::policy::ending::Intent;
use crate::policy::event::EventName;
use crate::store::{Event, LastEnd, Locked, Marker, SessionRecord};

impl Engine {
    /// Ends the recorded incarnation and records the end. Blocks for at most the profile's grace periods and 5 s
    /// after `SIGKILL`.
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
        record_end(&self.state, locked, &record, EndContext::cleared(&observation), self.now())
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
        record_end(&self.state, locked, &record, EndContext::cleared(observation), self.now())
    }

    /// Ends an agent that outlived its session (row 6 of the wake table). The cause of its end is what removed the
    /// session, and not how it reacts to the ladder.
    pub(crate) async fn end_orphan(
        &self,
        peer: &Peer,
        locked: &Locked,
        record: SessionRecord,
        observation: &Observation,
    ) -> Result<()> {
        let incarnation = record.incarnation;
        let intent = record.intent.unwrap_or_else(|| why_orphaned(observation));
        self.end(peer, locked, record, Some(intent)).await?;
        self.log(&Event::new(self.now(), EventName::SessionOrphanEnded).peer(&peer.name).incarnation(incarnation))
    }

    /// Records the end of an agent that is gone (row 7 of the wake table). The rest of its session is cleared first, so
    /// that a pass that is killed in between finds the record again.
    pub(crate) async fn record_dead_session(
        &self,
        peer: &Peer,
        locked: &Locked,
        record: &SessionRecord,
        observation: &Observation,
    ) -> Result<()> {
        let mut record = record.clone();
        ConversationFinder::of(peer).find(&self.state, locked, &mut record)?;
        self.await_exit_record(peer, &record).await?;
        let observation = &self.confirm_end(peer, &record, observation.clone()).await?;
        self.keep_screen(&record, locked, observation).await;
        self.clear_session(peer, &record).await?;
        // A pane process that was alive until its pane was cleared has recorded that end.
        self.await_exit_record(peer, &record).await?;
        record_end(&self.state, locked, &record, EndContext::cleared(observation), self.now())?;
        Ok(())
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
                let target = target_of_row(&record.place.server, observation.answered, row);
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
        if elsewhere(place.host.as_ref(), false, last.end.at_ms)?.is_some() {
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
