//! `peer edit`: replaces the text of a spec, unless it was changed meanwhile.

use std::path::Path;

use crate::engine::observe::launched;
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

    /// Whether a peer's conversation stays behind in its former directory: its agent has it there, and would not find
    /// it from the present one. `false` if that is unknown.
    ///
    /// # Errors
    /// A file of the peer cannot be read.
    pub fn leaves_conversation_in(&self, name: &PeerName, before: &Path) -> Result<bool> {
        let peer = self.peer(name)?;
        let current = peer.files.session()?.present().and_then(|record| record.conversation);
        let id = match current {
            Some(id) => Some(id),
            None => self.last_conversation(&peer, peer.files.end()?.present().as_ref())?.id,
        };
        let Some(id) = id else { return Ok(false) };
        let env = self.agent_environment(&peer);
        let has = |cwd: &Path| {
            let found = launched::with_files(&peer.profile, cwd, &env, |files| files.exists(&id));
            found.ok().map(|found| found.is_some())
        };
        Ok(before != peer.spec.cwd && has(before) == Some(true) && has(&peer.spec.cwd) == Some(false))
    }
}
