//! Clean-up of directories of sessions that no record names any more: from starts and ends that were cut short, and from
//! sessions in which the user's own panes outlived the peer's. A shared server keeps nothing on disk.

use std::path::{Path, PathBuf};

use peer_adapters::runtime::{Listing, RuntimeKind};
use tokio::time::Instant;

use crate::engine::observe::fleet_observation::{self, UntrackedSession};
use crate::engine::{Engine, Peer, Result};
use crate::policy::name::PeerName;
use crate::store::Locked;

/// The owner of a directory.
enum Owner {
    /// This peer, by the tag of its session or by its name.
    Peer(PeerName),
    /// This state directory.
    Ours,
}

impl Engine {
    /// Cleans up these directories until `deadline`. Best effort: the next tick finds what is left.
    pub(crate) async fn sweep_sessions(&self, dirs: &[(RuntimeKind, PathBuf)], deadline: Instant) {
        for kind in RuntimeKind::ALL {
            kind.facts().sweep_drafts(self.state.root());
        }
        for (kind, dir) in dirs.iter().take_while(|_| Instant::now() < deadline) {
            if let Err(error) = self.sweep_session(*kind, dir).await {
                tracing::debug!(%error, dir = %dir.display(), "the directory of a session");
            }
        }
    }

    async fn sweep_session(&self, kind: RuntimeKind, dir: &Path) -> Result<()> {
        let locked = match self.owner_of(kind, dir) {
            None => return Ok(()),
            // While its lock is held, no session of a peer is created; a peer that is not declared creates none.
            Some(Owner::Peer(name)) if self.config.spec_path(&name).exists() => {
                let Some(locked) = self.state.try_lock(&name)? else { return Ok(()) };
                if locked.files().session()?.present().is_some_and(|record| record.place.server == dir) {
                    return Ok(());
                }
                Some(locked)
            }
            Some(Owner::Peer(_) | Owner::Ours) => None,
        };
        self.to_clean_up(kind).sweep(dir).await?;
        drop(locked);
        Ok(())
    }

    /// Removes everything of a peer in sessions that are not recorded: agents and directories.
    ///
    /// # Errors
    /// Something there cannot be observed, or cannot be ended.
    pub(crate) async fn sweep_peer(&self, peer: &Peer, locked: &Locked) -> Result<()> {
        let on_record = locked.files().session()?.present().map(|record| record.place.server);
        for kind in RuntimeKind::ALL {
            for dir in kind.facts().servers_on_disk(self.state.root())? {
                let is_its = || matches!(self.owner_of(kind, &dir), Some(Owner::Peer(name)) if name == peer.name);
                if on_record.as_ref() != Some(&dir) && may_be_of(&dir, &peer.name) && is_its() {
                    self.sweep_directory_of(peer, locked, kind, &dir).await?;
                }
            }
        }
        Ok(())
    }

    async fn sweep_directory_of(&self, peer: &Peer, locked: &Locked, kind: RuntimeKind, dir: &Path) -> Result<()> {
        if let Ok(Listing::Up { server, rows }) = self.by_the_kernel(kind).list(dir).await {
            let at = (kind, dir.as_os_str());
            let untracked: Vec<UntrackedSession> =
                rows.into_iter().filter_map(|row| fleet_observation::untracked(at, server, row)).collect();
            for untracked in &untracked {
                self.clear_untracked(peer, locked, untracked).await?;
            }
        }
        self.to_clean_up(kind).sweep(dir).await?;
        Ok(())
    }

    fn owner_of(&self, kind: RuntimeKind, dir: &Path) -> Option<Owner> {
        if let Some(tag) = kind.facts().tag_on_disk(dir) {
            let rest = tag.strip_prefix(&self.tag_root())?;
            return Some(Owner::Peer(rest.split_once('/')?.0.parse().ok()?));
        }
        if dir.parent() != Some(&self.state.root().join(kind.as_str())) {
            return None;
        }
        let name = dir.file_name()?.to_str()?.rsplit_once('-').and_then(|(name, _)| name.parse().ok());
        Some(name.map_or(Owner::Ours, Owner::Peer))
    }
}

/// Whether a directory can belong to this peer, judging by its name: a directory named after another peer does not, and
/// one named after a digest has no hyphen.
fn may_be_of(dir: &Path, name: &PeerName) -> bool {
    let Some(dir) = dir.file_name().and_then(|name| name.to_str()) else { return false };
    dir.rsplit_once('-').is_none_or(|(of, _)| of == name.as_str())
}
