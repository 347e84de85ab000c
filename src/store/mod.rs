//! The state directory: everything that `peer` remembers, in files that the user can read with `ls` and `cat`.
//!
//! Reading needs no lock, because every write renames a whole file into place. Every change to a peer's files goes
//! through [`Locked`], which exists only while the peer's advisory lock is held. The kernel releases the lock when its
//! holder exits. `peer-files(5)` lists the files and their meanings.

mod atomic;
mod conversations;
mod damage;
mod ending;
mod heartbeat;
mod hints;
mod inbox;
mod incarnations;
mod inventory;
mod journal;
mod leftovers;
mod lock;
mod pane;
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
pub use ending::{LastEnd, Outcome, PendingConversation, Session};
pub use heartbeat::{Heartbeat, PeerObservation, TickInProgress, TickLock, Watch};
pub use inbox::{Inbox, Queued, StartedDelivery};
pub use inventory::Inventory;
pub use journal::{Event, Journal, Tail};
pub use lock::{AwaitedTurn, Gate, Locked, Starting};
pub use pane::{ExitRecord, Hangup, Launch, OsText, SELF_FRESH, TypingClaim};
pub use records::{AgentProcess, AgentSignal, Host, Marker, Phase, Place, Process, SessionRecord, TextLength, Unseen};
pub use renaming::Renaming;
pub use trash::Trashed;

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

/// Files that exist only after a start, or for an adopted conversation.
const RUN: [&str; 3] = ["session", "end", "conversations"];

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
        Journal::new(self.root.join("lifecycle.log"), self.listener.clone())
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
        let path = self.root.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StoreError::new("remove", path)(error)),
            _ => Ok(()),
        }
    }

    /// Returns the content that [`StateDir::keep_file`] wrote, or `None` if it does not exist or cannot be read.
    pub fn kept_file(&self, name: &str) -> Option<String> {
        read_text(&self.root.join(name)).ok()?.present()
    }

    /// Moves all files of a peer to `trash/NAME-TIME/`, under its lock, and returns that path.
    ///
    /// A remaining launch file is removed: it holds an environment, and secrets do not belong in the trash. The lock
    /// file keeps the highest incarnation number.
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
            let file = path.file_name().expect("a listed file has a name");
            if path.extension().is_some_and(|ending| ending == "launch") {
                fs::remove_file(&path).map_err(StoreError::new("remove", &path))?;
                continue;
            }
            fs::rename(&path, trash.join(file)).map_err(StoreError::new("move", &path))?;
        }
        locked.clear_inbox();
        Ok(trash)
    }
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

/// The files of one peer, for reading.
#[derive(Clone, Debug)]
pub struct PeerFiles {
    root: PathBuf,
    name: PeerName,
    /// A file that is not in it counts as absent.
    inventory: Option<Inventory>,
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

    fn read_json<T: DeserializeOwned>(&self, suffix: &str) -> Result<Stored<T>> {
        self.read_text(suffix).map(|stored| match stored {
            Stored::Absent => Stored::Absent,
            Stored::Corrupt(why) => Stored::Corrupt(why),
            Stored::Present(text) => match serde_json::from_str(&text) {
                Ok(value) => Stored::Present(value),
                Err(error) => Stored::Corrupt(error.to_string()),
            },
        })
    }

    fn read_text(&self, suffix: &str) -> Result<Stored<String>> {
        if self.is_known_absent(suffix) { Ok(Stored::Absent) } else { read_text(&self.path(suffix)) }
    }

    fn is_known_absent(&self, suffix: &str) -> bool {
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
    pub fn deaths(&self) -> Result<Stored<crate::policy::health::Deaths>> {
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

    /// Whether the peer was ever started, as far as its files show.
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

    fn in_directory(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(StoreError::new("list", dir))?,
        };
        let prefix = format!("{}.", self.name);
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(StoreError::new("list", dir))?;
            let name = entry.file_name();
            let ours = name.to_str().and_then(|file| file.strip_prefix(&prefix)).is_some_and(|suffix| suffix != "lock");
            if ours {
                found.push(entry.path());
            }
        }
        Ok(found)
    }
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
