//! Which deaths still count towards backoff and failure.

use std::time::SystemTime;

use crate::engine::{Engine, Peer, Result};
use crate::policy::health::{Breaker, Deaths};
use crate::policy::time::Timestamp;

impl Engine {
    /// Returns the peer's counted deaths. If the peer has failed, a spec that was changed since the last death clears
    /// them: what would be started now is not what failed.
    ///
    /// # Errors
    /// The peer's death ring cannot be read.
    pub(crate) fn deaths(&self, peer: &Peer) -> Result<Deaths> {
        Ok(self.unless_changed_since(peer, peer.files.deaths()?.present().unwrap_or_default()))
    }

    /// Returns these deaths, or none if they amount to a failure and the spec was changed since the last one.
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
