//! Writes whole files through a temporary file and an atomic rename.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use peer_adapters::file;

use super::{Result, StoreError};

/// Whether a file must survive a power cut from the moment the write returns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// The page cache is enough, because no agent survives a power cut either.
    Cached,
    /// Fsync the file and its directory.
    Synced,
}

/// Writes `content` to `path` through a temporary file beside it, with mode 0600. A reader sees the old file or the new
/// one.
///
/// The temporary name is fixed, because one process writes `path` at a time: the holder of the peer's lock, or the pane
/// process for what only it writes. A writer that is killed leaves
/// one file, which the next write of the same path overwrites, so such files do not accumulate.
pub(super) fn write(path: &Path, content: &[u8], durability: Durability) -> Result<()> {
    write_through(path, ".tmp", content, durability)
}

/// Like [`write()`], for a path that no lock covers: the temporary name is unique to the process, so that two writers
/// do not share a file.
pub(super) fn write_unlocked(path: &Path, content: &[u8]) -> Result<()> {
    write_through(path, &format!(".tmp{}", std::process::id()), content, Durability::Cached)
}

/// Like [`write_unlocked`], unless `path` exists: of two processes that create it at once, one does. Returns whether it
/// was this one.
pub(super) fn create(path: &Path, content: &[u8]) -> Result<bool> {
    let temporary = write_beside(path, &format!(".tmp{}", std::process::id()), content, Durability::Cached)?;
    let linked = fs::hard_link(&temporary, path);
    remove(&temporary)?;
    match linked {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        linked => linked.map(|()| true).map_err(StoreError::new("create", path)),
    }
}

/// Writes `content` to a temporary file beside `path`, and returns its path.
fn write_beside(path: &Path, suffix: &str, content: &[u8], durability: Durability) -> Result<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    let temporary = PathBuf::from(name);
    let mut file = file::replace(&temporary).map_err(StoreError::new("create", &temporary))?;
    file.write_all(content).map_err(StoreError::new("write", &temporary))?;
    if durability == Durability::Synced {
        file.sync_all().map_err(StoreError::new("sync", &temporary))?;
    }
    Ok(temporary)
}

fn write_through(path: &Path, suffix: &str, content: &[u8], durability: Durability) -> Result<()> {
    let temporary = write_beside(path, suffix, content, durability)?;
    fs::rename(temporary, path).map_err(StoreError::new("rename", path))?;
    if durability == Durability::Synced {
        sync_directory_of(path)?;
    }
    Ok(())
}

/// Removes a file. A missing file counts as removed.
pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StoreError::new("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Makes a new directory entry durable with an fsync of the directory.
pub(super) fn sync_directory_of(path: &Path) -> Result<()> {
    let dir = path.parent().expect("a state file has a directory");
    file::sync_directory(dir).map_err(StoreError::new("sync", dir))
}
