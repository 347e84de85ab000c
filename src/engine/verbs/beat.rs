//! `peer beat` and `peer self-done`: what an agent says of itself from inside its pane.

use crate::engine::{Engine, Result};
use crate::policy::name::PeerName;
use crate::store::Word;

impl Engine {
    /// Notes that the agent of this pane is alive and at work.
    ///
    /// # Errors
    /// [`crate::engine::EngineError::NotInPane`].
    pub fn beat(&self) -> Result<PeerName> {
        self.note(Word::Beat)
    }

    /// Notes that the ephemeral agent of this pane has done its task.
    ///
    /// # Errors
    /// [`crate::engine::EngineError::NotInPane`].
    pub fn self_done(&self) -> Result<PeerName> {
        self.note(Word::Done)
    }

    fn note(&self, word: Word) -> Result<PeerName> {
        let (peer, incarnation) = self.caller()?;
        Self::own_record(&peer, incarnation)?;
        peer.files.note(word, self.now())?;
        Ok(peer.name)
    }
}
