//! `peer edit`: replaces the text of a spec, unless it was changed meanwhile.

use std::path::Path;

use crate::engine::observe::launched;
use crate::engine::{Engine, EngineError, Result};
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

/// What a peer whose directory was changed leaves in the former one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftBehind {
    /// The conversation that it was in.
    pub conversation: String,
    /// The newest one of its earlier conversations that its agent has in the present directory.
    pub here: Option<String>,
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

    /// Returns what a peer leaves in its former directory: its conversation, if its agent has that there and would not find
    /// it from the present one. `None` if not, or if that is unknown.
    ///
    /// # Errors
    /// A file of the peer cannot be read.
    pub fn left_behind(&self, name: &PeerName, before: &Path) -> Result<Option<LeftBehind>> {
        let peer = self.peer(name)?;
        let current = peer.files.session()?.present().and_then(|record| record.conversation);
        let id = match current {
            Some(id) => Some(id),
            None => self.last_conversation(&peer, peer.files.end()?.present().as_ref())?.id,
        };
        let Some(conversation) = id else { return Ok(None) };
        let env = self.agent_environment(&peer);
        let has = |cwd: &Path, id: &str| {
            let found = launched::with_files(&peer.profile, cwd, &env, |files| files.exists(id));
            found.ok().map(|found| found.is_some())
        };
        let (here, there) = (has(&peer.spec.cwd, &conversation), has(before, &conversation));
        if before == peer.spec.cwd || here != Some(false) || there != Some(true) {
            return Ok(None);
        }
        let earlier = peer.files.conversations()?.into_iter().rev().map(|entry| entry.conversation);
        let here = earlier.into_iter().find(|id| has(&peer.spec.cwd, id) == Some(true));
        Ok(Some(LeftBehind { conversation, here }))
    }

    /// Returns why a peer could not be started now, if that can be seen without trying.
    ///
    /// # Errors
    /// Its spec cannot be read.
    pub fn why_not_startable(&self, name: &PeerName) -> Result<Option<EngineError>> {
        Ok(self.check_startable(&self.peer(name)?).err())
    }
}
