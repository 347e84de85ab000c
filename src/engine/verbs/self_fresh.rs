//! `peer self-fresh`: an agent requests a clean restart of itself, from inside its own pane.
//!
//! The caller is usually a tool call of the very agent that is to end. So the request only sets a marker and signals
//! the pane process, which ends the agent, records the next incarnation, and becomes its pane process.

use peer_adapters::process;

use crate::engine::observe::{elsewhere, process_id};
use crate::engine::{Engine, EngineError, Result};
use crate::policy::ending::{Incarnation, Intent};
use crate::policy::event::EventName;
use crate::policy::health::self_fresh_allowed;
use crate::policy::name::PeerName;
use crate::store::{Event, Marker, Process, SELF_FRESH};

/// A clean restart that is marked and has not begun.
#[derive(Debug)]
pub struct Marked {
    /// The peer.
    pub peer: PeerName,
    /// The incarnation that ends.
    pub incarnation: Incarnation,
    pane: Process,
}

impl Marked {
    /// Signals the pane process to begin. Call this once the agent has its answer.
    ///
    /// # Errors
    /// The pane process is gone: its agent is ended by the next tick.
    pub fn begin(&self) -> Result<()> {
        if process::signal(process_id(self.pane), SELF_FRESH)? {
            return Ok(());
        }
        Err(EngineError::NotInPane { problem: "the pane process of this pane is gone".to_owned() })
    }
}

impl Engine {
    /// Marks a clean restart of the agent that ran this command.
    ///
    /// # Errors
    /// [`EngineError::NotInPane`]; [`EngineError::TooManySelfFreshes`] with the time to wait, in which case the agent
    /// keeps its context.
    pub async fn self_fresh(&self) -> Result<Marked> {
        let (peer, incarnation) = self.caller()?;
        // If the `env_file` cannot be read, the next agent could not be started.
        self.kept_variables_of(&peer)?;
        let locked = self.lock(&peer.name).await?;
        let mut record = peer.own_record(incarnation)?;
        // Inside a container that the agent runs, its pane process has another pid.
        if let Some(owner) = elsewhere(record.place.host.as_ref(), false, record.woke_at_ms)? {
            return Err(EngineError::NotInPane { problem: format!("the pane was started {}", owner.text) });
        }
        let now = self.now();
        let recent = peer.files.end()?.present().map(|last| last.end.recent).unwrap_or_default();
        self_fresh_allowed(&recent, now)
            .map_err(|retry_after| EngineError::TooManySelfFreshes { peer: peer.name.clone(), retry_after })?;
        let gone = || EngineError::NotInPane { problem: "no pane process is recorded".to_owned() };
        let pane = record.place.pane_process.ok_or_else(gone)?;
        locked.mark(Marker::NewEager, now)?;
        record.intent = Some(Intent::SelfFresh);
        locked.write_session(&record)?;
        self.log(&Event::new(now, EventName::SelfFreshRequested).peer(&peer.name).incarnation(incarnation))?;
        Ok(Marked { peer: peer.name, incarnation, pane })
    }

    /// Waits for a fresh agent after a self-fresh and types its initial prompt. Run by the pane process, detached.
    ///
    /// # Errors
    /// As [`Engine::wake`].
    pub async fn seed(&self, name: &PeerName, incarnation: Incarnation) -> Result<()> {
        let peer = self.peer(name)?;
        self.await_ready(&peer, incarnation).await?;
        let locked = self.lock(name).await?;
        let mut record = peer.own_record(incarnation)?;
        self.deliver(&peer, &locked, &mut record, &crate::engine::message::Message::default()).await?;
        Ok(())
    }
}
