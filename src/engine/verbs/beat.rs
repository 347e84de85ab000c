//! `peer beat` and `peer self-done`: what an agent reports about itself from inside its pane.

use crate::engine::{Engine, Result};
use crate::policy::name::PeerName;
use crate::store::AgentSignal;

impl Engine {
    /// Records that the agent of this pane is alive and working.
    ///
    /// # Errors
    /// [`crate::engine::EngineError::NotInPane`].
    pub fn beat(&self) -> Result<PeerName> {
        self.note(AgentSignal::Beat)
    }

    /// Records that the ephemeral agent of this pane has done its task.
    ///
    /// # Errors
    /// [`crate::engine::EngineError::NotInPane`].
    pub fn self_done(&self) -> Result<PeerName> {
        self.note(AgentSignal::Done)
    }

    fn note(&self, word: AgentSignal) -> Result<PeerName> {
        let (peer, incarnation) = self.caller()?;
        peer.own_record(incarnation)?;
        peer.files.note(word, self.now())?;
        Ok(peer.name)
    }
}
