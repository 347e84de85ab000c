//! The files of an installation, written so that a failure can undo them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use peer_adapters::file;

use super::{EngineError, Result};

/// The changes to files, in order.
#[derive(Debug, Default)]
pub(super) struct Undo {
    done: Vec<Done>,
}

#[derive(Debug)]
enum Done {
    /// A directory that did not exist before.
    MadeDirectory(PathBuf),
    /// A file, with its previous content if it existed.
    Wrote(PathBuf, Option<Vec<u8>>),
}

impl Undo {
    /// Writes a file as a whole, because cron or systemd may be reading it, and creates missing parent directories.
    ///
    /// # Errors
    /// It cannot be written; earlier changes can still be undone.
    pub(super) fn write(&mut self, path: &Path, text: &str) -> Result<()> {
        let failed = |source| EngineError::Io { action: "write", path: path.to_owned(), source };
        let parents: Vec<_> = path.ancestors().skip(1).take_while(|dir| !dir.exists()).collect();
        for dir in parents.into_iter().rev() {
            fs::create_dir(dir).map_err(failed)?;
            self.done.push(Done::MadeDirectory(dir.to_owned()));
        }
        let before = match file::read(path, file::MOST) {
            Ok(before) => Some(before),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        self.done.push(Done::Wrote(path.to_owned(), before));
        file::write(path, text.as_bytes()).map_err(failed)
    }

    /// Notes a file, and its directory, that a command may create: `systemctl enable` creates a link.
    pub(super) fn made_by_others(&mut self, path: PathBuf) {
        if path.symlink_metadata().is_ok() {
            return;
        }
        let dir = path.parent().filter(|dir| !dir.exists()).map(Path::to_owned);
        self.done.extend(dir.map(Done::MadeDirectory));
        self.done.push(Done::Wrote(path, None));
    }

    /// Undoes all changes, the last one first. Best effort.
    pub(super) fn all(self) {
        for done in self.done.into_iter().rev() {
            let _ = match done {
                // Fails if the directory is not empty, because it is in use by then.
                Done::MadeDirectory(dir) => fs::remove_dir(dir),
                Done::Wrote(path, None) => fs::remove_file(path),
                Done::Wrote(path, Some(before)) => file::write(&path, &before),
            };
        }
    }
}

pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(EngineError::Io { action: "remove", path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_whole_and_is_taken_back_with_its_directories_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a directory");
        let (old, new, link) = (dir.path().join("old"), dir.path().join("a/b/new"), dir.path().join("a/b/wants/link"));
        fs::write(&old, "mine").expect("written");
        let mut undo = Undo::default();
        let mut reader = fs::File::open(&old).expect("there");
        undo.write(&old, "ours").expect("written");
        assert_eq!(io::read_to_string(&mut reader).expect("read"), "mine", "who reads it meanwhile reads it whole");
        undo.write(&new, "ours").expect("written");
        undo.made_by_others(link.clone());
        fs::create_dir(dir.path().join("a/b/wants")).expect("made");
        fs::write(&link, "").expect("written");
        undo.all();
        assert_eq!(fs::read_to_string(&old).expect("there"), "mine");
        assert!(!dir.path().join("a").exists());
        let mut undo = Undo::default();
        undo.write(&new, "ours").expect("written");
        fs::write(dir.path().join("a/somebody"), "").expect("written");
        undo.all();
        assert!(dir.path().join("a/somebody").exists() && !dir.path().join("a/b").exists());
    }
}
