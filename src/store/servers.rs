//! `servers.json`: which process was last known to serve each socket of ours.
//!
//! It saves a wake from reading every record of the fleet, to find out whether the server on its path is the one that the
//! others were made on. Whoever cannot read it, or finds another process there, reads the records.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::records::Process;
use super::{Result, StateDir, Stored, read_text};

const FILE: &str = "servers.json";

impl StateDir {
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
