//! The state directory: everything that `peer` remembers, in files that the user can read with `ls` and `cat`.
//!
//! Reading needs no lock, because every write renames a whole file into place. Every change to a peer's files goes
//! through [`Locked`], which exists only while the peer's advisory lock is held. The kernel releases the lock when its
//! holder exits. `peer-files(5)` lists the files and their meanings.

mod atomic;
mod conversations;
mod damage;
mod ending;
mod fleet_files;
mod heartbeat;
mod hints;
mod inbox;
mod incarnations;
mod inventory;
mod journal;
mod launch;
mod leftovers;
mod lock;
mod locked;
mod marker;
mod pane;
mod peer_files;
mod records;
mod renaming;
mod servers;
mod trash;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use peer_adapters::file;
use serde::de::DeserializeOwned;

use crate::policy::ending::Incarnation;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;

pub use conversations::{ConversationEntry, Origin, Owners};
pub use damage::Damage;
pub use ending::{Ends, LastEnd, Outcome, Session};
pub use heartbeat::{Heartbeat, PeerObservation, TickInProgress, TickLock, Watch};
pub use inbox::{Inbox, Queued, StartedDelivery};
pub use inventory::Inventory;
#[cfg(feature = "top")]
pub use journal::Tail;
pub use journal::{Event, Journal};
pub use launch::{Launch, OsText};
pub use lock::{AwaitedTurn, Gate, Locked, Starting};
pub use marker::{AgentSignal, ClearedBy, Marker};
pub use pane::{ExitRecord, Hangup, SELF_FRESH, TypingClaim};
pub use peer_files::PeerFiles;
pub use records::{AgentProcess, Host, Phase, Place, Process, SessionRecord, TextLength, Unseen};
pub use servers::ReconnectLock;
pub use trash::{Trashed, note_kept_names};

/// The error for a failed operation on a state file.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", .path.display())]
pub struct StoreError {
    /// The operation: `read`, `write`, `lock` …
    pub action: &'static str,
    /// The file or directory concerned.
    pub path: PathBuf,
    /// The error from the kernel.
    pub source: io::Error,
}

impl StoreError {
    pub(crate) fn new(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self { action, path, source }
    }
}

/// The result type of this module.
pub type Result<T> = std::result::Result<T, StoreError>;

/// The content of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored<T> {
    /// The file does not exist.
    Absent,
    /// The file exists and parsed.
    Present(T),
    /// The file exists and does not parse; holds the reason. Treat it as absent, and set it aside under the lock.
    Corrupt(String),
}

impl<T> Stored<T> {
    /// Returns the value, if the file exists and parsed.
    pub fn present(self) -> Option<T> {
        match self {
            Self::Present(value) => Some(value),
            Self::Absent | Self::Corrupt(_) => None,
        }
    }
}

impl Stored<String> {
    /// Parses JSON. Text that does not parse is corrupt.
    fn parse<T: DeserializeOwned>(self) -> Stored<T> {
        match self {
            Self::Absent => Stored::Absent,
            Self::Corrupt(why) => Stored::Corrupt(why),
            Self::Present(text) => match serde_json::from_str(&text) {
                Ok(value) => Stored::Present(value),
                Err(error) => Stored::Corrupt(error.to_string()),
            },
        }
    }
}

/// The state directory.
#[derive(Clone, Debug)]
pub struct StateDir {
    root: PathBuf,
    listener: Option<journal::Listener>,
}

impl StateDir {
    /// Opens the directory, and creates it (mode 0700) if it does not exist. An existing directory costs one `stat`.
    ///
    /// # Errors
    /// If it cannot be created, is not a directory, belongs to another user, or is writable by others. Nothing may be
    /// trusted or started then.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        ensure_private_dir(&root)?;
        // Use one name, whatever links lead to the directory: the kernel and the servers know its agents by that name.
        let root = root.canonicalize().unwrap_or(root);
        Ok(Self { root, listener: None })
    }

    /// Returns the same directory with a listener that receives each event after it is logged. The listener runs on the
    /// thread that logged the event, possibly while a peer's lock is held, so it must not block.
    #[must_use]
    pub fn with_listener(mut self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.listener = Some(journal::Listener::new(listener));
        self
    }

    /// Returns the path of the directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns a view of one peer's files, without any I/O.
    pub fn peer(&self, name: &PeerName) -> PeerFiles {
        PeerFiles { root: self.root.clone(), name: name.clone(), inventory: None }
    }

    /// Returns the decision log.
    pub fn journal(&self) -> Journal {
        Journal::new(self.root.join(fleet_files::LOG), self.listener.clone())
    }

    /// Tries to take a peer's lock. Returns `None` if another process holds it. Never blocks.
    ///
    /// # Errors
    /// If the lock file cannot be created or locked (a read-only directory, a full disk).
    pub fn try_lock(&self, name: &PeerName) -> Result<Option<Locked>> {
        lock::try_lock(self.peer(name))
    }

    /// Takes a peer's lock and blocks until it is free. For the pane process, which has nothing else to do.
    ///
    /// # Errors
    /// As [`StateDir::try_lock`].
    pub fn lock_blocking(&self, name: &PeerName) -> Result<Locked> {
        lock::lock_blocking(self.peer(name))
    }

    /// Lets the pane process of an incarnation start its agent and record it while the wake that started it holds the
    /// peer's lock. Other processes that would change the record wait. Blocks while another process is about to replace
    /// the incarnation.
    ///
    /// # Errors
    /// As [`StateDir::try_lock`].
    pub fn start_in_pane(&self, name: &PeerName, incarnation: Incarnation) -> Result<Starting> {
        lock::start_in_pane(self.peer(name), incarnation)
    }

    /// Writes a file of the whole fleet, if its content differs from the existing one.
    ///
    /// # Errors
    /// If the directory is read-only or the disk is full.
    pub fn keep_file(&self, name: &str, content: &str) -> Result<()> {
        let path = self.root.join(name);
        if read_text(&path)? == Stored::Present(content.to_owned()) {
            return Ok(());
        }
        atomic::write_unlocked(&path, content.as_bytes())
    }

    /// Removes a file that [`StateDir::keep_file`] wrote.
    ///
    /// # Errors
    /// If the directory is read-only.
    pub fn forget_file(&self, name: &str) -> Result<()> {
        atomic::remove(&self.root.join(name))
    }

    /// Returns the content that [`StateDir::keep_file`] wrote, or `None` if it does not exist or cannot be read.
    pub fn kept_file(&self, name: &str) -> Option<String> {
        read_text(&self.root.join(name)).ok()?.present()
    }

    /// Moves all files of a peer to `trash/NAME-TIME/`, under its lock, and returns that path.
    ///
    /// The lock file keeps the highest incarnation number.
    ///
    /// # Errors
    /// If a file cannot be moved. Files that were moved before stay in the trash.
    pub fn discard(&self, locked: &Locked, now: Timestamp) -> Result<PathBuf> {
        let name = locked.files().name().clone();
        let trash = self.root.join("trash").join(format!("{name}-{}", now.as_ms()));
        locked.keep_highest(now)?;
        ensure_private_dir(&self.root.join("trash"))?;
        ensure_private_dir(&trash)?;
        for path in locked.files().all_on_disk()? {
            if is_never_kept(&path) {
                atomic::remove(&path)?;
                continue;
            }
            let file = path.file_name().expect("a listed file has a name");
            fs::rename(&path, trash.join(file)).map_err(StoreError::new("move", &path))?;
        }
        locked.clear_inbox();
        Ok(trash)
    }
}

/// Whether a peer's file is removed where its others are moved. A launch file, or what a killed writer left of one, holds
/// the environment of an ended incarnation, and secrets do not belong in the trash.
fn is_never_kept(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "launch") || leftovers::is_temporary(path)
}

/// Creates `path` as a directory that only this user can use, or checks that it is one.
fn ensure_private_dir(path: &Path) -> Result<()> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(StoreError::new("create", path))?;
            return Ok(());
        }
        Err(error) => Err(error),
        Ok(meta) if !meta.is_dir() => Err(io::Error::new(io::ErrorKind::NotADirectory, "it is not a directory")),
        Ok(meta) if meta.uid() != nix::unistd::geteuid().as_raw() => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("it belongs to uid {}, and its records would decide what we kill", meta.uid()),
        )),
        Ok(meta) if meta.permissions().mode() & 0o022 != 0 => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("others may write to it (mode {:03o}); run chmod 700 on it", meta.permissions().mode() & 0o777),
        )),
        Ok(_) => Ok(()),
    }
    .map_err(StoreError::new("use", path))
}

fn read_text(path: &Path) -> Result<Stored<String>> {
    match file::read(path, file::MOST) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Stored::Absent),
        Err(error) => Err(StoreError::new("read", path)(error)),
        Ok(bytes) => Ok(match String::from_utf8(bytes) {
            Ok(text) => Stored::Present(text),
            Err(_) => Stored::Corrupt("it is not UTF-8".to_owned()),
        }),
    }
}
