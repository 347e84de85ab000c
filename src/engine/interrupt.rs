//! `peer interrupt`: the key that stops the agent's turn.

use super::observe::target;
use super::{Engine, EngineError, Result};
use crate::policy::name::PeerName;
use crate::store::Phase;

impl Engine {
    /// Presses the profile's interrupt key in the pane of one peer that is awake. One that is not ready yet has no turn to
    /// stop, and what it shows may take that key for an answer: Claude Code leaves when its question for trust gets Escape.
    ///
    /// # Errors
    /// [`EngineError::NotAwake`] and [`EngineError::StillStarting`]: nothing was pressed. Else the runtime's own.
    pub async fn interrupt(&self, name: &PeerName) -> Result<()> {
        let peer = self.peer(name)?;
        let _locked = self.lock(name).await?;
        let record = self.awake(&peer).await?;
        if matches!(record.phase, Phase::Starting { .. }) {
            return Err(EngineError::StillStarting { peer: peer.name });
        }
        Ok(self.runtime_of(&record.place)?.press(&target(&record.place), &peer.profile.interrupt).await?)
    }
}
