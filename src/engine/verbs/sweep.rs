//! Directories of zellij sessions that no record names any more: of starts and ends that were cut short, and of sessions in
//! which a person's own panes outlived ours. tmux keeps nothing on disk.

use std::path::{Path, PathBuf};

use peer_adapters::runtime::{Listing, RuntimeKind};
use peer_adapters::zellij::Zellij;
use tokio::time::Instant;

use crate::engine::observe::survey::{self, Stray};
use crate::engine::{Engine, Peer, Result};
use crate::policy::name::PeerName;
use crate::store::Locked;

/// Whose a directory is.
enum Owner {
    /// Of this peer, by the tag of its session or by its name.
    Peer(PeerName),
    /// Of this state directory.
    Ours,
}

impl Engine {
    /// Clears up in these directories until `deadline`. Best effort: what cannot be cleared now is found by the next tick.
    pub(crate) async fn sweep_sessions(&self, dirs: &[PathBuf], deadline: Instant) {
        Zellij::sweep_drafts(self.state.root());
        for dir in dirs.iter().take_while(|_| Instant::now() < deadline) {
            if let Err(error) = self.sweep_session(dir).await {
                tracing::debug!(%error, dir = %dir.display(), "the directory of a session");
            }
        }
    }

    async fn sweep_session(&self, dir: &Path) -> Result<()> {
        let locked = match self.owner_of(dir) {
            None => return Ok(()),
            // Under its lock no session of it is made; of one that nobody declares, none is.
            Some(Owner::Peer(name)) if self.config.spec_path(&name).exists() => {
                let Some(locked) = self.state.try_lock(&name)? else { return Ok(()) };
                if locked.files().session()?.present().is_some_and(|record| record.place.server == dir) {
                    return Ok(());
                }
                Some(locked)
            }
            Some(Owner::Peer(_) | Owner::Ours) => None,
        };
        self.zellij().sweep(dir).await?;
        drop(locked);
        Ok(())
    }

    /// Leaves nothing of a peer in sessions that are not on record, neither an agent nor a directory.
    ///
    /// # Errors
    /// What is there cannot be told, or not be ended.
    pub(crate) async fn sweep_peer(&self, peer: &Peer, locked: &Locked) -> Result<()> {
        let on_record = locked.files().session()?.present().map(|record| record.place.server);
        let zellij = self.zellij_by_the_kernel();
        for dir in Zellij::server_dirs(self.state.root())? {
            let is_its = || matches!(self.owner_of(&dir), Some(Owner::Peer(name)) if name == peer.name);
            if on_record.as_ref() == Some(&dir) || !may_be_of(&dir, &peer.name) || !is_its() {
                continue;
            }
            if let Ok(Listing::Up { server, rows }) = zellij.list(&dir).await {
                let at = (RuntimeKind::Zellij.as_str(), dir.as_os_str());
                let strays: Vec<Stray> = rows.into_iter().filter_map(|row| survey::stray(at, server, row)).collect();
                for stray in &strays {
                    self.clear_stray(peer, locked, stray).await?;
                }
            }
            self.zellij().sweep(&dir).await?;
        }
        Ok(())
    }

    fn owner_of(&self, dir: &Path) -> Option<Owner> {
        if let Some(tag) = Zellij::tag_of(dir) {
            let rest = tag.strip_prefix(&self.tag_root())?;
            return Some(Owner::Peer(rest.split_once('/')?.0.parse().ok()?));
        }
        if dir.parent() != Some(&self.state.root().join(RuntimeKind::Zellij.as_str())) {
            return None;
        }
        let name = dir.file_name()?.to_str()?.rsplit_once('-').and_then(|(name, _)| name.parse().ok());
        Some(name.map_or(Owner::Ours, Owner::Peer))
    }
}

/// Whether a directory can be of this peer by its name alone: one that is named for another is not looked into, and one
/// with a digest for a name has no hyphen.
fn may_be_of(dir: &Path, name: &PeerName) -> bool {
    let Some(dir) = dir.file_name().and_then(|name| name.to_str()) else { return false };
    dir.rsplit_once('-').is_none_or(|(of, _)| of == name.as_str())
}
