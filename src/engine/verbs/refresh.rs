//! `peer refresh`: fresh at the next natural wake; nothing is disturbed now.

use crate::engine::{Engine, Result};
use crate::policy::name::PeerName;
use crate::store::Marker;

impl Engine {
    /// Marks one peer for a fresh start.
    ///
    /// # Errors
    /// Nobody declared it, or its marker cannot be written.
    pub async fn refresh(&self, name: &PeerName) -> Result<()> {
        self.peer(name)?;
        let locked = self.lock(name).await?;
        Ok(locked.mark(Marker::FreshNext, self.now())?)
    }
}
