//! What else starts and stops the agent of a peer.

use std::path::PathBuf;

use crate::engine::{Engine, Peer};

impl Engine {
    /// Returns what else starts and stops this agent: the manager in its spec, or a user unit or launchd plist with the
    /// peer's name.
    pub(crate) fn manager_of(&self, peer: &Peer) -> Option<String> {
        if let Some(manager) = &peer.spec.managed_by {
            return Some(manager.clone());
        }
        let home = PathBuf::from(self.var("HOME")?);
        // Empty means unset (XDG Base Directory Specification).
        let units = self.var("XDG_CONFIG_HOME").filter(|dir| !dir.is_empty());
        let units = units.map_or_else(|| home.join(".config"), PathBuf::from);
        let unit = units.join("systemd/user").join(format!("peer-{}.service", peer.name));
        let plist = home.join("Library/LaunchAgents").join(format!("peer.{}.plist", peer.name));
        [unit, plist].into_iter().find(|path| path.exists()).map(|path| path.display().to_string())
    }
}
