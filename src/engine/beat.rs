//! `peer beat` and `peer self-done`: what an agent says of itself from inside its pane.

use super::{Engine, Result};
use crate::policy::name::PeerName;
use crate::store::Marker;

impl Engine {
    /// Notes that the agent of this pane is alive and at work.
    ///
    /// # Errors
    /// [`super::EngineError::NotInPane`].
    pub async fn beat(&self) -> Result<PeerName> {
        self.note(Marker::Beat).await
    }

    /// Notes that the ephemeral agent of this pane has done its task.
    ///
    /// # Errors
    /// [`super::EngineError::NotInPane`].
    pub async fn self_done(&self) -> Result<PeerName> {
        self.note(Marker::Done).await
    }

    async fn note(&self, marker: Marker) -> Result<PeerName> {
        let (peer, incarnation) = self.caller()?;
        let locked = self.lock(&peer.name).await?;
        Self::own_record(&peer, incarnation)?;
        locked.mark(marker, self.now())?;
        Ok(peer.name)
    }
}
