//! Renames a peer by renaming its files one by one. `renaming.json` exists until the last file is renamed, so that the
//! next command can finish a renaming that was interrupted.

use std::fs;

use serde::{Deserialize, Serialize};

use super::{Locked, Result, StateDir, StoreError, atomic, is_never_kept};
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;

const FILE: &str = "renaming.json";

/// A renaming that was begun and is not finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renaming {
    /// The old name.
    pub from: PeerName,
    /// The new name.
    pub to: PeerName,
}

impl StateDir {
    /// Returns the renaming that is in progress or was interrupted. Costs one failed open if there is none.
    pub fn renaming(&self) -> Option<Renaming> {
        serde_json::from_str(&self.kept_file(FILE)?).ok()
    }

    /// Begins a renaming, which the next command finishes from here on. Incarnation numbers of either name are not used
    /// again under the new name. Returns `false` if another one is recorded, whose peers have locks of their own; nothing
    /// is begun then.
    ///
    /// # Errors
    /// If the disk is full or the directory is read-only. Nothing is renamed then.
    pub fn begin_renaming(&self, from: &Locked, to: &Locked, now: Timestamp) -> Result<bool> {
        from.keep_highest(now)?;
        to.keep_highest_of(from, now)?;
        let renaming = Renaming { from: from.files().name().clone(), to: to.files().name().clone() };
        atomic::create(&self.root().join(FILE), serde_json::to_string(&renaming).expect("two names").as_bytes())
    }

    /// Renames the remaining files.
    ///
    /// # Errors
    /// If a file cannot be renamed. The next command continues there.
    pub fn rename_files(&self, from: &Locked, to: &Locked) -> Result<()> {
        let (old, new) = (from.files().name().as_str(), to.files().name().as_str());
        for path in from.files().all_on_disk()? {
            if is_never_kept(&path) {
                atomic::remove(&path)?;
                continue;
            }
            if path.starts_with(from.files().inbox_dir()) {
                let dir = to.files().inbox_dir();
                fs::create_dir_all(&dir).map_err(StoreError::new("create", &dir))?;
                let file = path.file_name().expect("a listed file has a name");
                fs::rename(&path, dir.join(file)).map_err(StoreError::new("rename", &path))?;
                continue;
            }
            let file = path.file_name().and_then(|file| file.to_str()).and_then(|file| file.strip_prefix(old));
            let Some(suffix) = file else { continue };
            fs::rename(&path, path.with_file_name(format!("{new}{suffix}")))
                .map_err(StoreError::new("rename", &path))?;
        }
        Ok(())
    }

    /// Ends the renaming after the last file, of whatever kind, has its new name.
    ///
    /// # Errors
    /// If the directory is read-only.
    pub fn end_renaming(&self) -> Result<()> {
        self.forget_file(FILE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_renamings_one_is_begun() {
        let dir = tempfile::tempdir().expect("directory");
        let state = StateDir::open(dir.path().join("state")).expect("state");
        let lock = |name: &str| state.try_lock(&name.parse().expect("a name")).expect("usable").expect("free");
        let (a, b, c, d) = (lock("a"), lock("b"), lock("c"), lock("d"));
        let now = Timestamp::from_ms(1);
        assert!(state.begin_renaming(&a, &b, now).expect("written"));
        assert!(!state.begin_renaming(&c, &d, now).expect("usable"), "another one is under way");
        assert_eq!(state.renaming().expect("recorded").from.as_str(), "a");
        state.end_renaming().expect("removed");
        assert!(state.begin_renaming(&c, &d, now).expect("written"));
        let left =
            fs::read_dir(state.root()).expect("listed").filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        assert!(!left.into_iter().any(|file| file.contains(".tmp")));
    }
}
