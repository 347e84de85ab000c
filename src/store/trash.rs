//! Restores what `peer rm` removed: `trash/NAME-TIME/` has every file of the peer, including its spec.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use peer_adapters::file;

use super::{Locked, Result, StateDir, StoreError, atomic, inbox};
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;

/// The file in the trash with the names of the variables that were kept for a peer, one a line.
const KEPT_NAMES: &str = "kept-env";

/// A removed peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trashed {
    /// The name of the peer.
    pub peer: PeerName,
    /// When it was removed.
    pub removed_at: Timestamp,
    dir: PathBuf,
}

impl Trashed {
    fn spec_path(&self) -> PathBuf {
        self.dir.join(format!("{}.toml", self.peer))
    }

    fn kept_names_path(&self) -> PathBuf {
        self.dir.join(KEPT_NAMES)
    }

    /// Returns the names of the variables that were kept for it. Their values were deleted.
    pub fn kept_names(&self) -> Vec<String> {
        let text = file::read_to_string(&self.kept_names_path(), file::MOST).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Returns the content of its spec.
    ///
    /// # Errors
    /// If the spec cannot be read.
    pub fn spec(&self) -> Result<String> {
        let path = self.spec_path();
        file::read_to_string(&path, file::MOST).map_err(StoreError::new("read", path))
    }
}

/// Notes in the trash which variables were kept for a peer.
///
/// # Errors
/// If the file cannot be written.
pub fn note_kept_names(trash: &Path, names: &[String]) -> Result<()> {
    let path = trash.join(KEPT_NAMES);
    fs::write(&path, names.join("\n") + "\n").map_err(StoreError::new("write", path))
}

impl StateDir {
    /// Returns every removed peer that can be restored, the most recently removed one first.
    ///
    /// # Errors
    /// If the trash cannot be listed.
    pub fn trashed(&self) -> Result<Vec<Trashed>> {
        let trash = self.root().join("trash");
        let entries = match fs::read_dir(&trash) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(StoreError::new("list", &trash))?,
        };
        let told = |dir: PathBuf| {
            let (name, time) = dir.file_name()?.to_str()?.rsplit_once('-')?;
            let found = Trashed { peer: name.parse().ok()?, removed_at: Timestamp::from_ms(time.parse().ok()?), dir };
            found.spec_path().exists().then_some(found)
        };
        let mut found: Vec<Trashed> = entries.flatten().filter_map(|entry| told(entry.path())).collect();
        found.sort_by_key(|trashed| std::cmp::Reverse(trashed.removed_at));
        Ok(found)
    }

    /// Moves all files of a removed peer except its spec back into place. If this is interrupted, the next call does
    /// the rest, since the peer does not exist without its spec.
    ///
    /// # Errors
    /// If a file cannot be moved.
    pub fn restore_files(&self, _locked: &Locked, trashed: &Trashed) -> Result<()> {
        fs::create_dir_all(self.root().join("panes")).map_err(StoreError::new("create", self.root()))?;
        for (from, to) in self.to_restore(trashed)? {
            let is_message = to.starts_with(self.root().join(inbox::DIR));
            if is_message {
                self.make_inbox(&trashed.peer)?;
            }
            fs::rename(&from, &to).map_err(StoreError::new("move", from))?;
            if is_message {
                atomic::sync_directory_of(&to)?;
            }
        }
        Ok(())
    }

    /// Returns a file that a restore would overwrite: a later peer of this name left it. What an interrupted restore has
    /// moved back is no longer in the trash, so it is not in the way.
    ///
    /// # Errors
    /// If the trash cannot be listed.
    pub fn in_the_way_of(&self, trashed: &Trashed) -> Result<Option<PathBuf>> {
        Ok(self.to_restore(trashed)?.into_iter().map(|(_, to)| to).find(|to| fs::symlink_metadata(to).is_ok()))
    }

    /// Returns each file in the trash that belongs back, except the spec, with its place.
    fn to_restore(&self, trashed: &Trashed) -> Result<Vec<(PathBuf, PathBuf)>> {
        let spec = trashed.spec_path();
        let entries: io::Result<Vec<_>> = fs::read_dir(&trashed.dir).and_then(Iterator::collect);
        let entries = entries.map_err(StoreError::new("list", &trashed.dir))?;
        let ours = format!("{}.", trashed.peer);
        let mut found = Vec::new();
        for path in entries.iter().map(fs::DirEntry::path) {
            let Some(file) = path.file_name().and_then(|file| file.to_str()).filter(|_| path != spec) else { continue };
            // `N.message`; the file of a peer whose name is a number has another ending.
            if inbox::is_message(file) {
                found.push((path.clone(), self.root().join(inbox::DIR).join(trashed.peer.as_str()).join(file)));
                continue;
            }
            if !file.starts_with(&ours) {
                continue;
            }
            // `NAME.N.exit` belongs in `panes/`.
            let of_a_pane = file.split('.').nth(1).is_some_and(|part| part.parse::<u64>().is_ok());
            let dir = if of_a_pane { self.root().join("panes") } else { self.root().to_owned() };
            let to = dir.join(file);
            found.push((path, to));
        }
        Ok(found)
    }

    /// Removes the rest of the peer from the trash, once its spec is back in place.
    ///
    /// # Errors
    /// If the directory is read-only.
    pub fn empty_trash_of(&self, trashed: &Trashed) -> Result<()> {
        atomic::remove(&trashed.kept_names_path())?;
        atomic::remove(&trashed.spec_path())?;
        // Fails if there are other files in it, which stay.
        let _ = fs::remove_dir(&trashed.dir);
        Ok(())
    }
}
