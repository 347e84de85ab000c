//! The state directory: everything `peer` remembers, in files a person can read with `ls` and `cat`.
//!
//! Reading needs no lock, because every write is a whole file renamed into place. Changing anything of a peer goes
//! through [`Locked`], the one mutator, which exists only while that peer's advisory lock is held; the kernel releases
//! the lock when its holder dies. The files and their meanings are listed in `peer-files(5)`.

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

pub use conversations::{ConversationEntry, Owners};
pub use damage::Damage;
pub use ending::{LastEnd, Outcome, Session, Unlearned};
pub use heartbeat::{Heartbeat, Pulse, TickUnderWay, Ticking, Watch};
pub use inbox::{Begun, Inbox, Queued};
pub use inventory::Inventory;
pub use journal::{EVENTS, Event, Journal, Tail};
pub use lock::{AwaitedTurn, Gate, Locked, Starting};
pub use pane::{ExitRecord, Hangup, Launch, OsText, SELF_FRESH};
pub use records::{AgentProcess, Extent, Host, Marker, Phase, Place, Process, SessionRecord, Unseen, Word};
pub use renaming::Renaming;
pub use trash::Trashed;

/// What went wrong with a file of ours, and on which file.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", .path.display())]
pub struct StoreError {
    /// What was tried: `read`, `write`, `lock` …
    pub action: &'static str,
    /// On which file or directory.
    pub path: PathBuf,
    /// What the kernel said.
    pub source: io::Error,
}

impl StoreError {
    pub(crate) fn new(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self { action, path, source }
    }
}

/// Shorthand for what every operation here returns.
pub type Result<T> = std::result::Result<T, StoreError>;

/// What a file held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored<T> {
    /// There is no such file.
    Absent,
    /// It parsed.
    Present(T),
    /// It is there and does not parse; why. To be treated as absent and set aside under the lock.
    Corrupt(String),
}

impl<T> Stored<T> {
    /// The value, where there is a good one.
    pub fn present(self) -> Option<T> {
        match self {
            Self::Present(value) => Some(value),
            Self::Absent | Self::Corrupt(_) => None,
        }
    }
}

/// Files that only a start leaves.
const RUN: [&str; 3] = ["session", "end", "conversations"];

/// The state directory.
#[derive(Clone, Debug)]
pub struct StateDir {
    root: PathBuf,
    listener: Option<journal::Listener>,
}

impl StateDir {
    /// Opens the directory, making it (mode 0700) where it is missing. One `stat` where it is there.
    ///
    /// # Errors
    /// It cannot be made, is no directory, belongs to another user, or others may write to it: nothing may be trusted
    /// or started then.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        ensure_private_dir(&root)?;
        // By one name, whatever link it is reached by: its agents are known by it in the kernel and on their servers.
        let root = root.canonicalize().unwrap_or(root);
        Ok(Self { root, listener: None })
    }

    /// The same directory with somebody who hears of each event once it is in the log, on the thread that wrote it and
    /// while a peer's lock may be held: whoever listens must not wait.
    #[must_use]
    pub fn heard_by(mut self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.listener = Some(journal::Listener::new(listener));
        self
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A view of one peer's files; touches nothing.
    pub fn peer(&self, name: &PeerName) -> PeerFiles {
        PeerFiles { root: self.root.clone(), name: name.clone(), inventory: None }
    }

    /// The decision log.
    pub fn journal(&self) -> Journal {
        Journal::new(self.root.join("lifecycle.log"), self.listener.clone())
    }

    /// Tries to take a peer's lock. `None`: somebody holds it. Never blocks.
    ///
    /// # Errors
    /// The lock file cannot be made or locked (a read-only directory, a full disk).
    pub fn try_lock(&self, name: &PeerName) -> Result<Option<Locked>> {
        lock::try_lock(self.peer(name))
    }

    /// Takes a peer's lock, waiting as long as it takes; for the pane process, which has nothing else to do.
    ///
    /// # Errors
    /// As [`StateDir::try_lock`].
    pub fn lock_blocking(&self, name: &PeerName) -> Result<Locked> {
        lock::lock_blocking(self.peer(name))
    }

    /// Lets the pane process of an incarnation start its agent and write it down, while the wake that started it holds the
    /// peer's lock: whoever else would change the record waits. Blocks for whoever is about to replace the incarnation.
    ///
    /// # Errors
    /// As [`StateDir::try_lock`].
    pub fn start_in_pane(&self, name: &PeerName, incarnation: Incarnation) -> Result<Starting> {
        lock::start_in_pane(self.peer(name), incarnation)
    }

    /// Writes a file of the whole fleet's, when it differs from what is there.
    ///
    /// # Errors
    /// The directory is read-only or the disk is full.
    pub fn keep_file(&self, name: &str, content: &str) -> Result<()> {
        let path = self.root.join(name);
        if read_text(&path)? == Stored::Present(content.to_owned()) {
            return Ok(());
        }
        atomic::write_unlocked(&path, content.as_bytes())
    }

    /// Takes away what [`StateDir::keep_file`] wrote.
    ///
    /// # Errors
    /// The directory is read-only.
    pub fn forget_file(&self, name: &str) -> Result<()> {
        let path = self.root.join(name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StoreError::new("remove", path)(error)),
            _ => Ok(()),
        }
    }

    /// What [`StateDir::keep_file`] wrote; `None` where it is not there or cannot be read.
    pub fn kept_file(&self, name: &str) -> Option<String> {
        read_text(&self.root.join(name)).ok()?.present()
    }

    /// Moves all files of a peer to `trash/NAME-TIME/`, under its lock, and returns where they are. A launch file that is left
    /// is removed: it holds an environment, and a trash is no place for secrets. Its highest incarnation stays in the lock file.
    ///
    /// # Errors
    /// A file cannot be moved; what was moved stays in the trash.
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

/// Makes `path` a directory that only we can use, or checks that it is one.
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
    /// What is not in it is absent.
    inventory: Option<Inventory>,
}

impl PeerFiles {
    /// Whose files these are.
    pub fn name(&self) -> &PeerName {
        &self.name
    }

    /// Path of the file with this suffix: `NAME.suffix`.
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

    /// Takes the turn of a message whose answer is waited for, `NAME.turn`, where nobody has it: it is let go with what is
    /// returned, or by the kernel with its holder.
    ///
    /// # Errors
    /// It cannot be opened or locked.
    pub fn try_turn(&self) -> Result<Option<AwaitedTurn>> {
        lock::try_turn(self)
    }

    /// The incarnation on record, `NAME.session`.
    ///
    /// # Errors
    /// The file is there and cannot be read: nothing is known.
    pub fn session(&self) -> Result<Stored<SessionRecord>> {
        self.read_json("session")
    }

    /// The last end, `NAME.end`.
    ///
    /// # Errors
    /// As [`PeerFiles::session`].
    pub fn end(&self) -> Result<Stored<LastEnd>> {
        self.read_json("end")
    }

    /// The counted deaths, `NAME.deaths`; a corrupt ring reads as corrupt and counts as empty.
    ///
    /// # Errors
    /// As [`PeerFiles::session`].
    pub fn deaths(&self) -> Result<Stored<crate::policy::health::Deaths>> {
        self.read_json("deaths")
    }

    /// Whether a marker is there. Its content is for people: existence alone decides.
    ///
    /// # Errors
    /// The directory cannot be searched.
    pub fn has(&self, marker: Marker) -> Result<bool> {
        if self.is_known_absent(marker.suffix()) {
            return Ok(false);
        }
        let path = self.path(marker.suffix());
        path.try_exists().map_err(StoreError::new("look at", path))
    }

    /// When a marker was set, by its one line; a marker whose line says nothing counts from the epoch.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn marked_at(&self, marker: Marker) -> Result<Option<Timestamp>> {
        Ok(match self.read_text(marker.suffix())? {
            Stored::Absent => None,
            Stored::Corrupt(_) => Some(Timestamp::default()),
            Stored::Present(text) => Some(text.parse().unwrap_or_default()),
        })
    }

    /// Writes down what an agent says of itself. It needs no lock, because the last word is the one that counts: a
    /// delivery holds the lock until the agent has taken the message, and the agent's own hook must not wait for that.
    ///
    /// # Errors
    /// The disk is full or the directory read-only.
    pub fn note(&self, word: Word, now: Timestamp) -> Result<()> {
        atomic::write_unlocked(&self.path(word.marker().suffix()), format!("{now}\n").as_bytes())
    }

    /// Topics of the current conversation, newest last.
    ///
    /// # Errors
    /// As [`PeerFiles::session`].
    pub fn topics(&self) -> Result<Vec<String>> {
        Ok(self.read_text("topic")?.present().map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default())
    }

    /// The last screen of the last incarnation that ended.
    ///
    /// # Errors
    /// As [`PeerFiles::session`].
    pub fn kept_screen(&self) -> Result<Stored<String>> {
        self.read_text("screen")
    }

    /// Where the variables are that `peer add --keep-env` keeps, an `env_file` of our own.
    pub fn env_file(&self) -> PathBuf {
        self.path("env")
    }

    /// Whether it was ever started, as far as files tell.
    pub fn has_run(&self) -> bool {
        RUN.iter().any(|suffix| self.path(suffix).exists())
    }

    /// Whether an end was recorded and then set aside because it did not parse.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn has_lost_end(&self) -> Result<bool> {
        let prefix = format!("{}.end.corrupt-", self.name);
        let lost =
            |path: &PathBuf| path.file_name().and_then(|file| file.to_str()).is_some_and(|f| f.starts_with(&prefix));
        Ok(self.in_directory(&self.root)?.iter().any(lost))
    }

    /// Every file of this peer that exists now, launch and exit records included; the lock is not among them.
    ///
    /// # Errors
    /// The directory cannot be listed.
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
