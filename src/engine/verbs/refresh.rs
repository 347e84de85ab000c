//! `peer refresh`: a fresh start at the next natural wake; nothing is disturbed now.

use crate::engine::{Engine, Result};
use crate::policy::event::EventName;
use crate::policy::name::PeerName;
use crate::store::{Event, Marker};

impl Engine {
    /// Marks one peer for a fresh start.
    ///
    /// # Errors
    /// The peer is not declared, or its marker cannot be written.
    pub async fn refresh(&self, name: &PeerName) -> Result<()> {
        self.known(name)?;
        let locked = self.lock(name).await?;
        locked.unmark(Marker::Adopted)?;
        locked.mark(Marker::FreshNext, self.now())?;
        self.log(&Event::new(self.now(), EventName::PeerRefreshed).peer(name))
    }
}
