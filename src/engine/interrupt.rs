//! `peer interrupt`: the key that stops the agent's turn.

use super::observe::target;
use super::{Engine, Result};
use crate::policy::name::PeerName;

impl Engine {
    /// Presses the profile's interrupt key in the pane of one peer that is awake.
    ///
    /// # Errors
    /// [`super::EngineError::NotAwake`], or the runtime's own.
    pub async fn interrupt(&self, name: &PeerName) -> Result<()> {
        let peer = self.peer(name)?;
        let _locked = self.lock(name).await?;
        let record = self.awake(&peer).await?;
        Ok(self.runtime_of(&record.place)?.press(&target(&record.place), &peer.profile.interrupt).await?)
    }
}
