//! A cache of the process that last served each of `peer`'s sockets (`servers.json`).
//!
//! It saves a wake from reading every record of the fleet to find out whether the server on its path is the one that
//! the other sessions were made on. A reader that cannot use the file, or finds another process on the path, reads the
//! records.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use peer_adapters::file;

use super::fleet_files::RECONNECT_LOCK;
use super::lock::{Wait, lock_file};
use super::records::Process;
use super::{Result, StateDir, StoreError, Stored, read_text};

const FILE: &str = "servers.json";

/// The exclusive right to make a server listen again. One process at a time may do so, because each attempt disconnects
/// the clients that are about to query the server.
#[derive(Debug)]
pub struct ReconnectLock {
    /// Held until this is dropped.
    _lock: File,
}

impl StateDir {
    /// Begins to make a server listen again. Returns `None` if another process is doing so. Never blocks.
    ///
    /// # Errors
    /// If the lock file cannot be created.
    pub fn try_reconnect_lock(&self) -> Result<Option<ReconnectLock>> {
        let path = self.reconnect_lock_path();
        let file = file::open_or_create(&path).map_err(StoreError::new("open", &path))?;
        Ok(lock_file(&file, &path, Wait::Never)?.then_some(ReconnectLock { _lock: file }))
    }

    /// Returns the path of the lock of those who make a server listen again.
    pub fn reconnect_lock_path(&self) -> PathBuf {
        self.root.join(RECONNECT_LOCK)
    }

    /// Returns the server that was last known to listen at `path`.
    ///
    /// # Errors
    /// If the file exists and cannot be read.
    pub fn server_at(&self, path: &Path) -> Result<Option<Process>> {
        Ok(self.servers()?.get(path).copied())
    }

    /// Records the server that listens at `path`. If two processes write at once, one entry may be lost, and is
    /// recovered from the records.
    ///
    /// # Errors
    /// If the directory is read-only or the disk is full.
    pub fn note_server(&self, path: &Path, server: Process) -> Result<()> {
        let mut servers = self.servers()?;
        servers.insert(path.to_owned(), server);
        let text = serde_json::to_string(&servers).expect("paths that came from text, and numbers");
        self.keep_file(FILE, &text)
    }

    fn servers(&self) -> Result<BTreeMap<PathBuf, Process>> {
        let text = read_text(&self.root.join(FILE))?;
        Ok(match text {
            Stored::Present(text) => serde_json::from_str(&text).unwrap_or_default(),
            Stored::Absent | Stored::Corrupt(_) => BTreeMap::new(),
        })
    }
}
