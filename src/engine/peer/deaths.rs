//! Which deaths still count.

use std::time::SystemTime;

use crate::engine::{Engine, Peer, Result};
use crate::policy::health::{Breaker, Deaths};
use crate::policy::time::Timestamp;

impl Engine {
    /// The counted deaths of a peer. A spec that was changed since the last one opens the latch: what failed is not what
    /// would be started now.
    ///
    /// # Errors
    /// Its ring cannot be read.
    pub(crate) fn deaths(&self, peer: &Peer) -> Result<Deaths> {
        Ok(self.unless_changed_since(peer, peer.files.deaths()?.present().unwrap_or_default()))
    }

    /// These deaths, unless they close a latch that a changed spec has opened.
    pub(crate) fn unless_changed_since(&self, peer: &Peer, deaths: Deaths) -> Deaths {
        let judged = Breaker::judge(&deaths, peer.effective.max_restarts.value, self.now());
        let latched = matches!(judged, Breaker::Failed { .. });
        let last = deaths.last().map(|death| death.at_ms);
        if latched && self.spec_changed_at(peer) > last { Deaths::default() } else { deaths }
    }

    fn spec_changed_at(&self, peer: &Peer) -> Option<Timestamp> {
        let modified = std::fs::metadata(self.config.spec_path(&peer.name)).and_then(|meta| meta.modified());
        modified.ok().filter(|at| *at > SystemTime::UNIX_EPOCH).map(Timestamp::from)
    }
}
