//! `peer start`: allow wakes again.

use crate::engine::{Engine, Result};
use crate::policy::name::PeerName;
use crate::store::{Event, Marker};

impl Engine {
    /// Takes the stop back. Returns whether there was one.
    ///
    /// # Errors
    /// Nobody declared it, or its marker cannot be removed.
    pub async fn start(&self, name: &PeerName) -> Result<bool> {
        let peer = self.known(name)?;
        let locked = self.lock(name).await?;
        let stopped = peer.files.has(Marker::Stopped)?;
        locked.unmark(Marker::Stopped)?;
        if stopped {
            self.log(&Event::new(self.now(), "peer.started").peer(name))?;
        }
        Ok(stopped)
    }
}
