//! `peer reset`: forget deaths, hold and the failed latch.

use crate::engine::{Engine, Result};
use crate::policy::name::PeerName;
use crate::store::Event;

impl Engine {
    /// Clears the deaths of one peer and returns how many there were.
    ///
    /// # Errors
    /// Nobody declared it, or its ring cannot be removed.
    pub async fn reset(&self, name: &PeerName) -> Result<usize> {
        self.known(name)?;
        let locked = self.lock(name).await?;
        self.heal(&locked)?;
        let forgiven = locked.forgive()?.len();
        self.log(&Event::new(self.now(), "peer.reset").peer(name).with("deaths", forgiven))?;
        Ok(forgiven)
    }
}
