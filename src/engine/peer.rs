//! A declared peer, with everything that its spec leads to.

use peer_adapters::agent::{self, Profile};

use super::{Engine, EngineError, Result};
use crate::config::{Effective, PeerSpec, nearest};
use crate::policy::name::PeerName;
use crate::store::PeerFiles;

/// A declared peer.
#[derive(Debug)]
pub struct Peer {
    /// Its name.
    pub name: PeerName,
    /// What was typed.
    pub spec: PeerSpec,
    /// What it means.
    pub effective: Effective,
    /// How its agent works.
    pub profile: Profile,
    /// Its files.
    pub files: PeerFiles,
}

impl Engine {
    /// Loads a peer: its spec and its agent's profile.
    ///
    /// # Errors
    /// Nobody declared it, or one of the two files is wrong.
    pub fn peer(&self, name: &PeerName) -> Result<Peer> {
        let Some(spec) = self.config.spec(name)? else { return Err(self.no_such_peer(name)) };
        let effective = Effective::of(&spec, &self.settings);
        let profile = self.profile(&spec.agent)?;
        Ok(Peer { name: name.clone(), spec, effective, profile, files: self.state.peer(name) })
    }

    /// The error for a name that nobody declared, with the one that may have been meant.
    pub fn no_such_peer(&self, name: &PeerName) -> EngineError {
        let names = self.config.names().unwrap_or_default();
        let nearest = nearest(name.as_str(), names.iter().map(PeerName::as_str)).map(str::to_owned);
        EngineError::NoSuchPeer { peer: name.clone(), nearest }
    }

    /// A profile by name: the person's own first, then the built-in one.
    ///
    /// # Errors
    /// Nobody has one of that name, or the person's own is wrong.
    pub fn profile(&self, name: &str) -> Result<Profile> {
        if let Some((path, text)) = self.config.profile_text(name)? {
            return Profile::parse(name, &text)
                .map_err(|source| EngineError::Profile { path, source: Box::new(source) });
        }
        Profile::builtin(name).ok_or_else(|| {
            let own = self.config.profile_names().unwrap_or_default();
            let known = agent::BUILTIN.iter().map(|(name, _)| *name).chain(own.iter().map(String::as_str));
            EngineError::NoSuchProfile { name: name.to_owned(), nearest: nearest(name, known).map(str::to_owned) }
        })
    }
}
