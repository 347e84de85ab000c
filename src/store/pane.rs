//! The files in `panes/` through which a wake and the pane process of an incarnation exchange data.

use std::collections::BTreeSet;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use peer_adapters::file;
use serde::{Deserialize, Serialize};

use super::lock::{Wait, lock_file};
use super::locked::write_json;
use super::{Launch, Locked, PeerFiles, Result, StateDir, StoreError, Stored, TextLength, atomic};
use crate::policy::ending::Incarnation;
use crate::policy::name::PeerName;
use crate::policy::report::TurnRecord;
use crate::policy::time::Timestamp;

/// The signal that `peer self-fresh` sends to the pane process once its marker is on disk.
pub const SELF_FRESH: Signal = Signal::SIGUSR2;

/// How the agent's process ended, as its parent saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// The incarnation that ended.
    pub incarnation: Incarnation,
    /// When the process was reaped.
    pub at_ms: Timestamp,
    /// The exit code, if it exited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The signal number, if a signal ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// How long the agent ran.
    pub uptime_ms: u64,
    /// Its peak resident memory.
    pub max_rss_kib: u64,
    /// Set if the terminal was hung up first; shows whether the runtime's server survived that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hangup: Option<Hangup>,
    /// Why the agent could not be started, if it could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spawn_error: Option<String>,
}

impl ExitRecord {
    /// Creates a record for an agent whose end was not seen.
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

/// The meaning of a terminal hangup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hangup {
    /// The runtime's server is gone as well.
    ServerGone,
    /// The server still runs; only this pane was closed.
    PaneClosed,
}

/// The fingerprint and length of the text that a sender is typing. The session record has them too, but it can be lost,
/// and then only this file shows that the text in the composer is not a person's draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypingClaim {
    /// The fingerprint of the text.
    pub text: String,
    /// Its fingerprint without the characters that take no column, if it has any: some terminals do not draw them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmarked: Option<String>,
    /// Its length. Records of older versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extent: Option<TextLength>,
}

/// The suffix of the file in which an agent reports its conversation.
const CONVERSATION: &str = "conversation";
/// The suffix of the file with the text that is being typed.
const TYPING: &str = "typing";

/// The suffix of the file with what was reported and seen of an agent's turns.
const TURN: &str = "turn";

/// The maximum size of that file, in bytes. A longer file is ignored.
const MOST_OF_TURN: u64 = 64 * 1024;

impl PeerFiles {
    /// Returns the path at which the agent of an incarnation reports its conversation, if its profile makes it do so.
    pub fn conversation_path(&self, incarnation: Incarnation) -> PathBuf {
        self.pane_path(incarnation, CONVERSATION)
    }

    /// Returns the path of the file with what was reported and seen of the turns of one incarnation.
    pub fn turn_path(&self, incarnation: Incarnation) -> PathBuf {
        self.pane_path(incarnation, TURN)
    }

    /// Returns what is on record about the turns of one incarnation. `None` if that is nothing yet, or if another process
    /// is writing the file at this moment.
    pub fn known_turn(&self, incarnation: Incarnation) -> Option<TurnRecord> {
        serde_json::from_slice(&file::read(&self.turn_path(incarnation), MOST_OF_TURN).ok()?).ok()
    }

    /// Updates what is known about the turns of one incarnation: `change` maps the old value to the new one, or to `None`
    /// if it stays. Returns `None`, without blocking and without a change, if another process is updating the file.
    ///
    /// The file is locked itself and written in place. The peer's lock would not do: a delivery holds it until the
    /// agent has accepted the message, and the agent's hook must not wait for that.
    ///
    /// # Errors
    /// If the disk is full or the directory is read-only, or if `change` fails.
    pub fn change_known_turn<E: From<StoreError>>(
        &self,
        incarnation: Incarnation,
        change: impl FnOnce(Option<TurnRecord>) -> std::result::Result<Option<TurnRecord>, E>,
    ) -> std::result::Result<Option<()>, E> {
        let path = self.turn_path(incarnation);
        self.make_panes()?;
        let mut file = file::open_or_create(&path).map_err(StoreError::new("open", &path))?;
        if !lock_file(&file, &path, Wait::Never)? {
            return Ok(None);
        }
        let before = file::part(&file, 0, MOST_OF_TURN).map_err(StoreError::new("read", &path))?;
        let Some(known) = change(serde_json::from_slice(&before).ok())? else { return Ok(Some(())) };
        let text = serde_json::to_vec(&known).expect("plain data");
        file.set_len(0).and_then(|()| file.rewind()).map_err(StoreError::new("write", &path))?;
        file.write_all(&text).map_err(StoreError::new("write", &path))?;
        Ok(Some(()))
    }

    fn pane_path(&self, incarnation: Incarnation, suffix: &str) -> PathBuf {
        self.root.join("panes").join(format!("{}.{incarnation}.{suffix}", self.name))
    }

    /// Returns the path of an incarnation's launch file.
    pub(super) fn launch_path(&self, incarnation: Incarnation) -> PathBuf {
        self.pane_path(incarnation, "launch")
    }

    /// Reads the launch file of an incarnation.
    ///
    /// # Errors
    /// If the file exists and cannot be read.
    pub fn launch(&self, incarnation: Incarnation) -> Result<Stored<Launch>> {
        Ok(super::read_text(&self.launch_path(incarnation))?.parse())
    }

    /// Returns the incarnations that have a launch file, newest first, with the time at which it was written. A launch
    /// file exists from before the start until after the end, so a launch file without a session record means that a
    /// record was lost.
    ///
    /// # Errors
    /// If the directory cannot be listed.
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

    /// Returns all files in `panes/` of this peer, with their incarnations.
    pub(super) fn in_panes(&self) -> Result<Vec<(Incarnation, PathBuf)>> {
        let prefix = format!("{}.", self.name);
        let number = |path: &PathBuf| {
            path.file_name()?.to_str()?.strip_prefix(&prefix)?.split('.').next()?.parse().map(Incarnation).ok()
        };
        let found = self.in_directory(&self.root.join("panes"))?;
        Ok(found.into_iter().filter_map(|path| Some((number(&path)?, path))).collect())
    }

    /// Reads what a sender was typing when it was killed; absent if no sender was.
    ///
    /// # Errors
    /// If the file exists and cannot be read.
    pub fn typing_claim(&self, incarnation: Incarnation) -> Result<Stored<TypingClaim>> {
        Ok(super::read_text(&self.pane_path(incarnation, TYPING))?.parse())
    }

    /// Reads the exit record of an incarnation.
    ///
    /// # Errors
    /// If the file exists and cannot be read.
    pub fn exit(&self, incarnation: Incarnation) -> Result<Stored<ExitRecord>> {
        Ok(super::read_text(&self.pane_path(incarnation, "exit"))?.parse())
    }

    /// Writes the exit record. It needs no lock, because only one process writes this file. The end must be on disk at
    /// once, even while the `peer stop` that caused it holds the lock.
    ///
    /// # Errors
    /// If the disk is full. The end will then be recorded as unseen.
    pub fn write_exit(&self, exit: &ExitRecord) -> Result<()> {
        self.make_panes()?;
        write_json(&self.pane_path(exit.incarnation, "exit"), exit)
    }

    /// Creates `panes/` if it was deleted while the agent ran. If the whole state directory is gone, it is not
    /// recreated.
    fn make_panes(&self) -> Result<()> {
        if self.root.is_dir() { super::ensure_private_dir(&self.root.join("panes")) } else { Ok(()) }
    }
}

impl Locked {
    /// Writes the launch file of an incarnation.
    ///
    /// # Errors
    /// As [`Locked::write_session`].
    pub fn write_launch(&self, incarnation: Incarnation, launch: &Launch) -> Result<()> {
        let path = self.files().launch_path(incarnation);
        super::ensure_private_dir(path.parent().expect("it is in panes/"))?;
        write_json(&path, launch)
    }

    /// Records the text that is about to be typed. Call this before the first key.
    ///
    /// # Errors
    /// As [`Locked::write_session`].
    pub fn write_typing_claim(&self, incarnation: Incarnation, claim: &TypingClaim) -> Result<()> {
        let path = self.files().pane_path(incarnation, TYPING);
        // A cleaner may have removed the directory while the agent ran; a message must still go out.
        super::ensure_private_dir(path.parent().expect("it is in panes/"))?;
        write_json(&path, claim)
    }

    /// Removes the claim. Call this once the record shows what became of the text.
    ///
    /// # Errors
    /// If the directory is read-only.
    pub fn remove_typing_claim(&self, incarnation: Incarnation) -> Result<()> {
        atomic::remove(&self.files().pane_path(incarnation, TYPING))
    }

    /// Removes the files of incarnations before `current`. A start that was given up leaves a launch file and never
    /// ends.
    ///
    /// # Errors
    /// If the directory is read-only.
    pub fn remove_older_pane_files(&self, current: Incarnation) -> Result<()> {
        for (incarnation, path) in self.files().in_panes()? {
            if incarnation < current {
                atomic::remove(&path)?;
            }
        }
        Ok(())
    }

    /// Removes the files of an ended incarnation.
    ///
    /// # Errors
    /// If the directory is read-only.
    pub fn remove_pane_files(&self, incarnation: Incarnation) -> Result<()> {
        for suffix in ["launch", "exit", CONVERSATION, TYPING, TURN] {
            atomic::remove(&self.files().pane_path(incarnation, suffix))?;
        }
        Ok(())
    }
}

impl StateDir {
    /// Whether an agent was ever launched from this directory. `false` after the directory was recreated.
    pub fn has_launched(&self) -> bool {
        self.root().join("panes").is_dir()
    }

    /// Returns the peers that have a launch file, from one directory listing for the whole fleet.
    ///
    /// # Errors
    /// If the directory cannot be listed.
    pub fn launched(&self) -> Result<BTreeSet<PeerName>> {
        Ok(launch_files(self.root())?.into_iter().map(|(name, _)| name).collect())
    }
}

/// Lists every `panes/NAME.N.launch`.
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
