//! `peer reset`: forgets a peer's deaths, which ends its backoff and its failed state.

use crate::engine::{Engine, Result};
use crate::policy::event::EventName;
use crate::policy::name::PeerName;
use crate::store::Event;

impl Engine {
    /// Clears the deaths of one peer and returns how many there were.
    ///
    /// # Errors
    /// The peer is not declared, or its death ring cannot be removed.
    pub async fn reset(&self, name: &PeerName) -> Result<usize> {
        self.known(name)?;
        let locked = self.lock(name).await?;
        self.quarantine_corrupt(&locked)?;
        let forgiven = locked.reset_deaths()?.len();
        self.log(&Event::new(self.now(), EventName::PeerReset).peer(name).with("deaths", forgiven))?;
        Ok(forgiven)
    }
}
