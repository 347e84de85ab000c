//! `peer edit`: replaces the text of a spec, unless it was changed meanwhile.

use crate::engine::{Engine, Result};
use crate::policy::event::EventName;
use crate::policy::name::PeerName;
use crate::store::Event;

/// The result of an edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edited {
    /// The text is the spec now.
    Saved {
        /// Whether an incarnation is recorded, which was started by the old spec.
        awake: bool,
    },
    /// The spec already had this text.
    Unchanged,
    /// The spec was changed since it was read, and nothing was written. Contains the current text.
    Changed(String),
}

impl Engine {
    /// Writes a text that was already checked as the spec of a peer, if the spec still is `base`.
    ///
    /// # Errors
    /// The spec was removed meanwhile, or cannot be written.
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
        self.log(&Event::new(self.now(), EventName::PeerEdited).peer(name))?;
        Ok(Edited::Saved { awake: locked.files().session()?.present().is_some() })
    }
}
