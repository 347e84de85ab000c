//! A peer gets another name: its files are renamed one by one, and `renaming.json` stands there until the last one is, so that
//! the next command finishes what somebody was killed in.

use std::fs;

use serde::{Deserialize, Serialize};

use super::{Locked, Result, StateDir, StoreError, atomic};
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;

const FILE: &str = "renaming.json";

/// What was begun and not finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renaming {
    /// What it was called.
    pub from: PeerName,
    /// What it is called from now on.
    pub to: PeerName,
}

impl StateDir {
    /// The renaming that is under way, or that somebody was killed in. One failed open where there is none.
    pub fn renaming(&self) -> Option<Renaming> {
        serde_json::from_str(&self.kept_file(FILE)?).ok()
    }

    /// Begins one: from here on the next command finishes it. No incarnation that either name had comes again under the new one.
    ///
    /// # Errors
    /// The disk is full or the directory read-only: nothing is renamed then.
    pub fn begin_renaming(&self, from: &Locked, to: &Locked, now: Timestamp) -> Result<()> {
        from.keep_highest(now)?;
        to.keep_highest_of(from, now)?;
        let renaming = Renaming { from: from.files().name().clone(), to: to.files().name().clone() };
        let path = self.root().join(FILE);
        atomic::write_unlocked(&path, serde_json::to_string(&renaming).expect("two names").as_bytes())
    }

    /// Renames what is left of the files. A launch file is removed: it holds the environment of an incarnation that is over.
    ///
    /// # Errors
    /// A file cannot be renamed; the next command goes on there.
    pub fn rename_files(&self, from: &Locked, to: &Locked) -> Result<()> {
        let (old, new) = (from.files().name().as_str(), to.files().name().as_str());
        for path in from.files().all_on_disk()? {
            if path.extension().is_some_and(|ending| ending == "launch") {
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

    /// The last file, of whatever kind, has its new name.
    ///
    /// # Errors
    /// The directory is read-only.
    pub fn end_renaming(&self) -> Result<()> {
        self.forget_file(FILE)
    }
}
