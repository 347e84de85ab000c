//! `servers.json`: which process was last known to serve each socket of ours.
//!
//! It saves a wake from reading every record of the fleet, to find out whether the server on its path is the one that the
//! others were made on. Whoever cannot read it, or finds another process there, reads the records.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use fs2::FileExt;
use peer_adapters::file;

use super::records::Process;
use super::{Result, StateDir, StoreError, Stored, read_text};

const FILE: &str = "servers.json";

/// Making a server listen again: one at a time, because each time it does, it hangs up on whoever was about to ask it.
#[derive(Debug)]
pub struct Reaching {
    /// Held until this is dropped.
    _lock: File,
}

impl StateDir {
    /// Begins to make a server listen again. `None`: somebody is at it. Never blocks.
    ///
    /// # Errors
    /// The lock file cannot be made.
    pub fn try_reaching(&self) -> Result<Option<Reaching>> {
        let path = self.root.join("servers.lock");
        let file = file::open_or_create(&path).map_err(StoreError::new("open", &path))?;
        match FileExt::try_lock_exclusive(&file) {
            Ok(()) => Ok(Some(Reaching { _lock: file })),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(StoreError::new("lock", path)(error)),
        }
    }

    /// The server last known to listen at `path`.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn server_at(&self, path: &Path) -> Result<Option<Process>> {
        Ok(self.servers()?.get(path).copied())
    }

    /// Notes who listens at `path`. Of two who note at once one may be lost, and is found again by the records.
    ///
    /// # Errors
    /// The directory is read-only or the disk is full.
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
