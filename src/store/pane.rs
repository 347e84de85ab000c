//! What a wake hands to the pane process, and what the pane process leaves: one file each an incarnation, in `panes/`.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{Seek, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use fs2::FileExt;
use nix::sys::signal::Signal;
use peer_adapters::file;
use peer_adapters::inherited::Inherited;
use serde::{Deserialize, Serialize};

use super::{Host, Locked, PeerFiles, Result, StateDir, StoreError, Stored, atomic, lock};
use crate::policy::ending::Incarnation;
use crate::policy::name::PeerName;
use crate::policy::report::Known;
use crate::policy::time::Timestamp;

/// What `peer self-fresh` sends to the pane process once its mark is on disk.
pub const SELF_FRESH: Signal = Signal::SIGUSR2;

/// How to start the agent. It holds the whole environment, so it is a 0600 file and never an argument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// Absolute path of the executable, then its arguments.
    pub argv: Vec<OsText>,
    /// Working directory.
    pub cwd: PathBuf,
    /// The configuration that was in force, for the pane process, whose own environment is the runtime's.
    pub config_dir: PathBuf,
    /// Where it was launched: what is left of it cannot be judged elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
    /// The boot of that machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// How long a self-fresh waits between `SIGTERM` and `SIGKILL`.
    #[serde(default)]
    pub grace_ms: u64,
    /// The agent's environment, all of it but what the terminal itself sets.
    pub env: Vec<(OsText, OsText)>,
    /// Umask, nice value and limits of whoever woke it, and what its spec says over them.
    #[serde(default)]
    pub inherited: Inherited,
}

/// Text as the operating system passes it: mostly UTF-8, and then a plain JSON string; bytes where it is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OsTextForm", into = "OsTextForm")]
pub struct OsText(pub OsString);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum OsTextForm {
    Text(String),
    Bytes { bytes: Vec<u8> },
}

impl From<OsTextForm> for OsText {
    fn from(form: OsTextForm) -> Self {
        Self(match form {
            OsTextForm::Text(text) => text.into(),
            OsTextForm::Bytes { bytes } => OsString::from_vec(bytes),
        })
    }
}

impl From<OsText> for OsTextForm {
    fn from(text: OsText) -> Self {
        match text.0.into_string() {
            Ok(text) => Self::Text(text),
            Err(text) => Self::Bytes { bytes: text.into_vec() },
        }
    }
}

/// How the agent's process ended, as its parent saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// Whose end.
    pub incarnation: Incarnation,
    /// When it was reaped.
    pub at_ms: Timestamp,
    /// Exit code, where it exited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// Signal number, where one ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// How long it ran.
    pub uptime_ms: u64,
    /// Peak resident memory.
    pub max_rss_kib: u64,
    /// The terminal was hung up first; whether the runtime's server outlived that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hangup: Option<Hangup>,
    /// The agent could not be started at all; why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spawn_error: Option<String>,
}

impl ExitRecord {
    /// The end of an agent of which nothing was seen.
    pub fn unseen(incarnation: Incarnation, at: Timestamp) -> Self {
        Self {
            incarnation,
            at_ms: at,
            code: None,
            signal: None,
            uptime_ms: 0,
            max_rss_kib: 0,
            hangup: None,
            spawn_error: None,
        }
    }
}

/// What a hangup of the terminal meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hangup {
    /// The runtime's server is gone too.
    ServerGone,
    /// The server lives; only this pane was closed.
    PaneClosed,
}

/// The ending of the file in which an agent says which conversation it is in.
const CONVERSATION: &str = "conversation";

/// The ending of the file in which stands what is known of an agent's turns by its own reports.
const TURN: &str = "turn";

/// A file of that kind is shorter than this; of one that is not, nothing is known.
const MOST_OF_TURN: u64 = 64 * 1024;

impl PeerFiles {
    /// The file in which the agent of one incarnation says which conversation it is in, where its profile has it say so.
    pub fn said_path(&self, incarnation: Incarnation) -> PathBuf {
        self.pane_path(incarnation, CONVERSATION)
    }

    /// The file in which stands what the agent of one incarnation reported of its turns.
    pub fn turn_path(&self, incarnation: Incarnation) -> PathBuf {
        self.pane_path(incarnation, TURN)
    }

    /// What is known of the turns of one incarnation by its own reports. Nothing where none was heard, and in the moment in which
    /// another one is written down.
    pub fn known_turn(&self, incarnation: Incarnation) -> Option<Known> {
        serde_json::from_slice(&file::read(&self.turn_path(incarnation), MOST_OF_TURN).ok()?).ok()
    }

    /// Changes what is known of the turns of one incarnation: `change` is given what is known and says what is to be known then.
    /// One after the other, by a lock on the file itself, in which it is written in place: a delivery holds the peer's own lock
    /// until the agent has taken the message, and the agent's hook must not wait for that. `None`: somebody else is at it.
    ///
    /// # Errors
    /// The disk is full or the directory read-only; what `change` fails with.
    pub fn change_known_turn<E: From<StoreError>>(
        &self,
        incarnation: Incarnation,
        change: impl FnOnce(Option<Known>) -> std::result::Result<Known, E>,
    ) -> std::result::Result<Option<()>, E> {
        let path = self.turn_path(incarnation);
        let mut file = file::open_or_create(&path).map_err(StoreError::new("open", &path))?;
        match FileExt::try_lock_exclusive(&file) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(None),
            other => other.map_err(StoreError::new("lock", &path))?,
        }
        let before = file::part(&file, 0, MOST_OF_TURN).map_err(StoreError::new("read", &path))?;
        let known = change(serde_json::from_slice(&before).ok())?;
        let text = serde_json::to_vec(&known).expect("plain data");
        file.set_len(0).and_then(|()| file.rewind()).map_err(StoreError::new("write", &path))?;
        file.write_all(&text).map_err(StoreError::new("write", &path))?;
        Ok(Some(()))
    }

    fn pane_path(&self, incarnation: Incarnation, suffix: &str) -> PathBuf {
        self.root.join("panes").join(format!("{}.{incarnation}.{suffix}", self.name))
    }

    /// Where the launch file of one incarnation is.
    pub(super) fn launch_path(&self, incarnation: Incarnation) -> PathBuf {
        self.pane_path(incarnation, "launch")
    }

    /// The launch file of one incarnation.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn launch(&self, incarnation: Incarnation) -> Result<Stored<Launch>> {
        let text = super::read_text(&self.launch_path(incarnation))?;
        Ok(parse(text))
    }

    /// The incarnations that have a launch file, newest first, with the time at which it was written. One is there from
    /// before the start until after the end, so one without a record tells that a record was lost.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn launched(&self) -> Result<Vec<(Incarnation, Timestamp)>> {
        let mut found = Vec::new();
        for path in self.in_directory(&self.root.join("panes"))? {
            let file = path.file_name().and_then(|file| file.to_str()).and_then(|file| file.strip_suffix(".launch"));
            let number = file.and_then(|file| file.rsplit_once('.')?.1.parse().ok());
            let Some(number) = number else { continue };
            let written = path.metadata().and_then(|meta| meta.modified());
            found.push((Incarnation(number), written.map_err(StoreError::new("look at", &path))?.into()));
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        Ok(found)
    }

    /// Everything that incarnations left for their pane processes, or these for us.
    pub(super) fn in_panes(&self) -> Result<Vec<(Incarnation, PathBuf)>> {
        let prefix = format!("{}.", self.name);
        let number = |path: &PathBuf| {
            path.file_name()?.to_str()?.strip_prefix(&prefix)?.split('.').next()?.parse().map(Incarnation).ok()
        };
        let found = self.in_directory(&self.root.join("panes"))?;
        Ok(found.into_iter().filter_map(|path| Some((number(&path)?, path))).collect())
    }

    /// The exit record of one incarnation.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn exit(&self, incarnation: Incarnation) -> Result<Stored<ExitRecord>> {
        let text = super::read_text(&self.pane_path(incarnation, "exit"))?;
        Ok(parse(text))
    }

    /// Writes the exit record. It needs no lock, because one process alone may write this file: an end must be on disk
    /// at once, even while a `stop` that caused it holds the lock.
    ///
    /// # Errors
    /// The disk is full: the end will be recorded as one that nobody saw.
    pub fn write_exit(&self, exit: &ExitRecord) -> Result<()> {
        let path = self.pane_path(exit.incarnation, "exit");
        // Somebody may have deleted it while the agent ran. Where the whole state directory is gone, nothing is made anew.
        if self.root.is_dir() {
            super::ensure_private_dir(path.parent().expect("it is in panes/"))?;
        }
        lock::write_json(&path, exit)
    }
}

impl Locked {
    /// Writes the launch file of one incarnation.
    ///
    /// # Errors
    /// As [`Locked::write_session`].
    pub fn write_launch(&self, incarnation: Incarnation, launch: &Launch) -> Result<()> {
        let path = self.files().launch_path(incarnation);
        super::ensure_private_dir(path.parent().expect("it is in panes/"))?;
        lock::write_json(&path, launch)
    }

    /// Removes what incarnations before `current` left: a start that was given up has a launch file and no end.
    ///
    /// # Errors
    /// The directory is read-only.
    pub fn remove_older_pane_files(&self, current: Incarnation) -> Result<()> {
        for (incarnation, path) in self.files().in_panes()? {
            if incarnation < current {
                atomic::remove(&path)?;
            }
        }
        Ok(())
    }

    /// Removes the files of an incarnation that has ended.
    ///
    /// # Errors
    /// The directory is read-only.
    pub fn remove_pane_files(&self, incarnation: Incarnation) -> Result<()> {
        for suffix in ["launch", "exit", CONVERSATION, TURN] {
            atomic::remove(&self.files().pane_path(incarnation, suffix))?;
        }
        Ok(())
    }
}

impl StateDir {
    /// Whether anything was ever launched from this directory; one that was made anew does not know.
    pub fn has_launched(&self) -> bool {
        self.root().join("panes").is_dir()
    }

    /// The peers of which a launch file is there: one directory listing for the fleet.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn launched(&self) -> Result<BTreeSet<PeerName>> {
        Ok(launch_files(self.root())?.into_iter().map(|(name, _)| name).collect())
    }
}

/// Every `panes/NAME.N.launch`.
fn launch_files(root: &Path) -> Result<Vec<(PeerName, Incarnation)>> {
    let dir = root.join("panes");
    let entries = match std::fs::read_dir(&dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(StoreError::new("list", &dir))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let file = entry.map_err(StoreError::new("list", &dir))?.file_name();
        let parts = file.to_str().and_then(|file| file.strip_suffix(".launch")?.split_once('.'));
        let Some((name, number)) = parts else { continue };
        if let (Ok(name), Ok(number)) = (name.parse(), number.parse()) {
            found.push((name, Incarnation(number)));
        }
    }
    Ok(found)
}

fn parse<T: serde::de::DeserializeOwned>(text: Stored<String>) -> Stored<T> {
    match text {
        Stored::Absent => Stored::Absent,
        Stored::Corrupt(why) => Stored::Corrupt(why),
        Stored::Present(text) => match serde_json::from_str(&text) {
            Ok(value) => Stored::Present(value),
            Err(error) => Stored::Corrupt(error.to_string()),
        },
    }
}
