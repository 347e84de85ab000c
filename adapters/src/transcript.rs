//! What an agent's own files say: which conversation it has, whether a message reached it, when it was last active.
//!
//! Read only. Everything blocks on the file system alone, and reads a file's tail where the file may be large.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::agent::{Profile, Start};

/// Looks up a variable as the agent's own environment has it.
pub type Lookup<'a> = &'a (dyn Fn(&str) -> Option<OsString> + Sync);

/// The files of one agent in one working directory.
#[derive(Clone, Copy)]
pub struct Files<'a> {
    /// What is known of the agent.
    pub profile: &'a Profile,
    /// The agent's home directory.
    pub home: &'a std::path::Path,
    /// The agent's environment: `CLAUDE_CONFIG_DIR`, `CODEX_HOME`, `XDG_DATA_HOME` and the like move its files.
    pub env: Lookup<'a>,
    /// The agent's working directory, real path (symbolic links resolved).
    pub cwd: &'a std::path::Path,
}

/// A place in a conversation's transcript: what comes after it is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The conversation, where its id is known yet.
    pub conversation: Option<String>,
    /// How far it was written: bytes of a file, or the time in ms of the newest record of a database.
    pub position: u64,
}

/// Files of an agent could not be read: nothing is known.
#[derive(Debug, thiserror::Error)]
pub enum TranscriptError {
    /// The kernel refused.
    #[error("cannot read {}: {source}", .path.display())]
    Io {
        /// What was to be read.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Files<'_> {
    /// The words for this start, see [`Profile::arguments`].
    pub fn arguments(&self, start: Start<'_>) -> Vec<String> {
        let _ = start;
        Vec::new()
    }

    /// The transcript of a conversation that can be resumed; `None` where there is none.
    ///
    /// # Errors
    /// Nothing is known; do not take it for "no conversation".
    pub fn exists(&self, id: &str) -> Result<Option<PathBuf>, TranscriptError> {
        let _ = id;
        Ok(None)
    }

    /// The conversation that the processes `pids` (the agent and its children) opened after `since`.
    ///
    /// `None` as long as it cannot be told for certain; never one that `taken` says belongs to another.
    ///
    /// # Errors
    /// Nothing is known; ask again.
    pub fn discover(
        &self,
        since: SystemTime,
        pids: &[u32],
        taken: impl Fn(&str) -> bool,
    ) -> Result<Option<String>, TranscriptError> {
        let _ = (since, pids, taken("x"));
        Ok(None)
    }

    /// The end of the transcript now; to be taken before a message is put in.
    ///
    /// # Errors
    /// Nothing is known.
    pub fn mark(&self, id: Option<&str>) -> Result<Mark, TranscriptError> {
        Ok(Mark { conversation: id.map(str::to_owned), position: 0 })
    }

    /// Whether the person's message is in the transcript after the mark. `id` is needed where the mark was taken
    /// before the conversation had one.
    ///
    /// # Errors
    /// Nothing is known.
    pub fn accepted(&self, mark: &Mark, id: Option<&str>, text: &str) -> Result<bool, TranscriptError> {
        let _ = (mark, id, text);
        Ok(false)
    }

    /// When the agent last did something, by its own files.
    ///
    /// # Errors
    /// Nothing is known.
    pub fn last_activity(&self, id: Option<&str>, pid: u32) -> Result<Option<SystemTime>, TranscriptError> {
        let _ = (id, pid);
        Ok(None)
    }

    /// Whether a turn is in progress, where the files tell it.
    ///
    /// # Errors
    /// Nothing is known.
    pub fn turn_in_progress(&self, id: Option<&str>, pid: u32) -> Result<Option<bool>, TranscriptError> {
        let _ = (id, pid);
        Ok(None)
    }
}
