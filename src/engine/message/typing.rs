//! The delivery of one text to one agent: into its composer, or into its terminal if it has none.

use std::cell::Cell;
use std::time::Duration;

use peer_adapters::agent::Accepted;
use peer_adapters::runtime::Runtime;
use tokio::time::Instant;

use super::fingerprint::fingerprint;
use super::proof::Proof;
use crate::engine::error::Undelivered;
use crate::engine::message::interruption::interrupted;
use crate::engine::observe::process_axis;
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::axis::Axis;
use crate::store::{Locked, SessionRecord};

/// How long acceptance may take in all.
pub(super) const ACCEPT_PATIENCE: Duration = Duration::from_secs(20);

/// The delivery of one text to one agent.
pub(super) struct Typing<'a> {
    pub(super) engine: &'a Engine,
    pub(super) peer: &'a Peer,
    pub(super) locked: &'a Locked,
    pub(super) runtime: &'a dyn Runtime,
    pub(super) record: &'a mut SessionRecord,
    /// How far the text is known to have come.
    pub(super) reached: Cell<Undelivered>,
}

impl<'a> Typing<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        peer: &'a Peer,
        locked: &'a Locked,
        runtime: &'a dyn Runtime,
        record: &'a mut SessionRecord,
    ) -> Self {
        Self { engine, peer, locked, runtime, record, reached: Cell::new(Undelivered::NotTyped) }
    }
}

impl Typing<'_> {
    /// Types `text` and waits for the proof that the agent's profile names. A `command` leaves no trace in a
    /// transcript, so its acceptance by the composer is proof enough.
    pub(super) async fn type_in(&mut self, text: &str, command: bool) -> Result<()> {
        match self.peer.profile.message.accepted {
            Accepted::Consumed => {
                let typed = self.engine.interruption.before(self.type_into_terminal(text)).await;
                typed.map_err(|signal| interrupted(self.peer, self.reached.get(), signal))?
            }
            Accepted::Transcript | Accepted::Composer => {
                let proof = if command { None } else { self.proof()? };
                self.type_into_composer(text, command, proof.as_ref()).await
            }
        }
    }

    /// Returns the position in the transcript from which to look for a message, if the profile names the transcript as
    /// proof.
    pub(super) fn proof(&self) -> Result<Option<Proof>> {
        let needed = self.peer.profile.message.accepted == Accepted::Transcript;
        needed.then(|| Proof::taken_before(self.peer, self.locked, self.record)).transpose()
    }

    /// Whether this text is the one that was sent before and not seen to arrive, and has arrived now.
    pub(super) fn has_arrived(&self, text: Option<&str>) -> Result<bool> {
        let (Some(text), Some(unseen)) = (text, &self.record.unseen) else { return Ok(false) };
        if fingerprint(text) != unseen.text {
            return Ok(false);
        }
        Proof::behind(self.peer, self.locked, self.record, unseen)?.given(self.peer, self.record, text)
    }

    pub(super) fn undelivered(&self, how: Undelivered, why: impl Into<String>) -> EngineError {
        EngineError::NotAccepted { peer: self.peer.name.clone(), how, why: why.into(), asks: None }
    }

    pub(super) fn waiting(&self, what: &str, started: Instant, limit: Duration) {
        self.engine.progress.waiting(&format!("{} {what}", self.peer.name), started.elapsed(), limit);
    }

    pub(super) fn check_alive(&self, how: Undelivered) -> Result<()> {
        if process_axis(self.record) == Axis::Dead { Err(self.undelivered(how, "it ended")) } else { Ok(()) }
    }
}
