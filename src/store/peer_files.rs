//! The files of one peer, for reading.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::{
    AgentSignal, AwaitedTurn, Inventory, LastEnd, Marker, Result, SessionRecord, StoreError, Stored, atomic,
    fleet_files, lock, read_text,
};
use crate::policy::health::Deaths;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;

/// Files that exist only after a start, or for an adopted conversation.
pub(super) const RUN: [&str; 3] = ["session", "end", "conversations"];

/// The files of one peer, for reading.
#[derive(Clone, Debug)]
pub struct PeerFiles {
    pub(super) root: PathBuf,
    pub(super) name: PeerName,
    /// A file that is not in it counts as absent.
    pub(super) inventory: Option<Inventory>,
}

impl PeerFiles {
    /// Returns the name of the peer.
    pub fn name(&self) -> &PeerName {
        &self.name
    }

    /// Returns the path of the file with this suffix: `NAME.suffix`.
    pub fn path(&self, suffix: &str) -> PathBuf {
        self.root.join(format!("{}.{suffix}", self.name))
    }

    pub(super) fn read_json<T: DeserializeOwned>(&self, suffix: &str) -> Result<Stored<T>> {
        Ok(self.read_text(suffix)?.parse())
    }

    pub(super) fn read_text(&self, suffix: &str) -> Result<Stored<String>> {
        if self.is_known_absent(suffix) { Ok(Stored::Absent) } else { read_text(&self.path(suffix)) }
    }

    pub(super) fn is_known_absent(&self, suffix: &str) -> bool {
        self.inventory.as_ref().is_some_and(|there| !there.has(&format!("{}.{suffix}", self.name)))
    }

    /// Takes the exclusive right to await the answer to a message (`NAME.turn`). Returns `None` if another process has
    /// it. It is released when the returned value is dropped, or by the kernel when its holder exits.
    ///
    /// # Errors
    /// If the file cannot be opened or locked.
    pub fn try_turn(&self) -> Result<Option<AwaitedTurn>> {
        lock::try_turn(self)
    }

    /// Reads the recorded incarnation, `NAME.session`.
    ///
    /// # Errors
    /// If the file exists and cannot be read. The state of the peer is unknown then.
    pub fn session(&self) -> Result<Stored<SessionRecord>> {
        self.read_json("session")
    }

    /// Reads the last end, `NAME.end`.
    ///
    /// # Errors
    /// As [`PeerFiles::session`].
    pub fn end(&self) -> Result<Stored<LastEnd>> {
        self.read_json("end")
    }

    /// Reads the counted deaths, `NAME.deaths`. A corrupt ring is reported as corrupt and counts as empty.
    ///
    /// # Errors
    /// As [`PeerFiles::session`].
    pub fn deaths(&self) -> Result<Stored<Deaths>> {
        self.read_json("deaths")
    }

    /// Whether a marker exists. Only its existence matters; its content is for people.
    ///
    /// # Errors
    /// If the directory cannot be searched.
    pub fn has(&self, marker: Marker) -> Result<bool> {
        if self.is_known_absent(marker.suffix()) {
            return Ok(false);
        }
        let path = self.path(marker.suffix());
        path.try_exists().map_err(StoreError::new("look at", path))
    }

    /// Returns when a marker was set, according to its only line. A marker without a valid time counts from the epoch.
    ///
    /// # Errors
    /// If the file exists and cannot be read.
    pub fn marked_at(&self, marker: Marker) -> Result<Option<Timestamp>> {
        Ok(match self.read_text(marker.suffix())? {
            Stored::Absent => None,
            Stored::Corrupt(_) => Some(Timestamp::default()),
            Stored::Present(text) => Some(text.parse().unwrap_or_default()),
        })
    }

    /// Records a signal that an agent sends about itself.
    ///
    /// It needs no lock, because only the latest signal counts. A delivery holds the lock until the agent has accepted
    /// the message, and the agent's own hook must not wait for that.
    ///
    /// # Errors
    /// If the disk is full or the directory is read-only.
    pub fn note(&self, word: AgentSignal, now: Timestamp) -> Result<()> {
        atomic::write_unlocked(&self.path(word.marker().suffix()), format!("{now}\n").as_bytes())
    }

    /// Returns the topics of the current conversation, newest last.
    ///
    /// # Errors
    /// As [`PeerFiles::session`].
    pub fn topics(&self) -> Result<Vec<String>> {
        Ok(self.read_text("topic")?.present().map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default())
    }

    /// Returns the last screen of the most recently ended incarnation.
    ///
    /// # Errors
    /// As [`PeerFiles::session`].
    pub fn kept_screen(&self) -> Result<Stored<String>> {
        self.read_text("screen")
    }

    /// Returns the path of the `env_file` that `peer` manages. It holds the variables that `peer add --keep-env` keeps.
    pub fn env_file(&self) -> PathBuf {
        self.path("env")
    }

    /// Whether the peer was ever started or given a conversation, as far as its files show.
    pub fn has_run(&self) -> bool {
        RUN.iter().any(|suffix| self.path(suffix).exists())
    }

    /// Whether an end was recorded and later set aside because it did not parse.
    ///
    /// # Errors
    /// If the directory cannot be listed.
    pub fn has_lost_end(&self) -> Result<bool> {
        let prefix = format!("{}.end.corrupt-", self.name);
        let lost =
            |path: &PathBuf| path.file_name().and_then(|file| file.to_str()).is_some_and(|f| f.starts_with(&prefix));
        Ok(self.in_directory(&self.root)?.iter().any(lost))
    }

    /// Returns every existing file of this peer, including launch and exit records but not the lock.
    ///
    /// # Errors
    /// If the directory cannot be listed.
    pub fn all_on_disk(&self) -> Result<Vec<PathBuf>> {
        let mut found = self.in_directory(&self.root)?;
        found.append(&mut self.in_directory(&self.root.join("panes"))?);
        found.append(&mut self.of_inbox()?);
        found.sort();
        Ok(found)
    }

    pub(super) fn in_directory(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(StoreError::new("list", dir))?,
        };
        let prefix = format!("{}.", self.name);
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(StoreError::new("list", dir))?;
            let name = entry.file_name();
            let Some(file) = name.to_str().filter(|file| !fleet_files::is_of_the_fleet(file)) else { continue };
            if file.strip_prefix(&prefix).is_some_and(|suffix| suffix != "lock") {
                found.push(entry.path());
            }
        }
        Ok(found)
    }
}
