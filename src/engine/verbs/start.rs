//! `peer start`: allows wakes again.

use crate::engine::{Engine, Result};
use crate::policy::event::EventName;
use crate::policy::name::PeerName;
use crate::store::{ClearedBy, Event, Marker};

impl Engine {
    /// Removes the stop. Returns whether there was one.
    ///
    /// # Errors
    /// The peer is not declared, or its marker cannot be removed.
    pub async fn start(&self, name: &PeerName) -> Result<bool> {
        let peer = self.known(name)?;
        let locked = self.lock(name).await?;
        let stopped = peer.files.has(Marker::Stopped)?;
        locked.clear_markers(ClearedBy::Start)?;
        if stopped {
            self.log(&Event::new(self.now(), EventName::PeerStarted).peer(name))?;
        }
        Ok(stopped)
    }
}
