//! `peer edit`: another text for a spec, unless somebody else has changed it meanwhile.

use crate::engine::{Engine, Result};
use crate::policy::name::PeerName;
use crate::store::Event;

/// What a changed spec came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edited {
    /// It is the spec now.
    Saved {
        /// An incarnation is on record, which was started by the one before.
        awake: bool,
    },
    /// The very same stands there.
    Unchanged,
    /// Somebody else has changed it since it was read; nothing was written. What it says now.
    Changed(String),
}

impl Engine {
    /// Writes a text that was checked as the spec of a peer, where that still says `base`.
    ///
    /// # Errors
    /// It was removed meanwhile, or cannot be written.
    pub async fn edit(&self, name: &PeerName, base: &str, text: &str) -> Result<Edited> {
        let locked = self.lock(name).await?;
        let Some(now) = self.config.spec_text(name)? else { return Err(self.no_such_peer(name)) };
        if now == text {
            return Ok(Edited::Unchanged);
        }
        if now != base {
            return Ok(Edited::Changed(now));
        }
        self.config.write_spec(name, text)?;
        self.log(&Event::new(self.now(), "peer.edited").peer(name))?;
        Ok(Edited::Saved { awake: locked.files().session()?.present().is_some() })
    }
}
