//! Reads an agent's own files: its conversation, whether a message reached it, when it was last active.
//!
//! Read-only. Each call blocks only on the file system; a file that may be large is read from its end, or from a mark
//! on. An ambiguous result is no result: a conversation is never guessed.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::agent::{Profile, Start, TranscriptKind};
use crate::process::ProcessId;

mod children;
mod claude;
mod codex;
#[cfg(feature = "sqlite")]
mod database;
mod entries;
mod folder;
mod layout;
mod lines;
#[cfg(feature = "sqlite")]
mod opencode;
mod pi;
mod refusal;
mod status;
mod turn;

pub use entries::{Entry, EntryKind, Glance, Tokens};
use layout::Layout;
pub use refusal::{Refusal, RefusedFor};
pub use status::{AgentStatus, status_in};
use turn::turn_of;

/// The variable that names the file in which an agent reports its conversation.
pub const SAID: &str = "PEER_CONVERSATION_FILE";

/// The content of that file.
#[derive(serde::Deserialize)]
struct Said {
    /// The conversation's transcript, which may not exist yet.
    transcript: PathBuf,
}

/// Looks up a variable in the agent's own environment.
pub type Lookup<'a> = &'a (dyn Fn(&str) -> Option<OsString> + Sync);

/// The files of one agent in one working directory.
#[derive(Clone, Copy)]
pub struct Files<'a> {
    /// The agent's profile.
    pub profile: &'a Profile,
    /// The agent's home directory.
    pub home: &'a Path,
    /// The agent's environment: `CLAUDE_CONFIG_DIR`, `CODEX_HOME`, `XDG_DATA_HOME` and the like move its files.
    pub env: Lookup<'a>,
    /// The agent's working directory as a real path (symbolic links resolved): agents file conversations under it.
    pub cwd: &'a Path,
}

/// A position in a conversation's transcript: everything after it is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The conversation, if it had an id yet. Without one, everything in its transcript is new.
    pub conversation: Option<String>,
    /// The end of the transcript: bytes of a file, or the time of the newest record of a database in ms.
    pub position: u64,
}

/// One run of an agent, for queries about its files.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// When it was requested: none of its records is older.
    pub since: SystemTime,
    /// The process that was started; it may have ended.
    pub leader: Option<ProcessId>,
    /// Its live processes, the one that was started first, children after their parents.
    pub pids: &'a [u32],
    /// The [`Files::process_markers`] that were recorded while it was alive.
    pub process_markers: &'a [String],
}

/// Files of an agent could not be read: nothing is known.
#[derive(Debug, thiserror::Error)]
pub enum TranscriptError {
    /// The kernel reported an error.
    #[error("cannot read {}: {source}", .path.display())]
    Io {
        /// The path that was to be read.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// The agent's database could not be queried.
    #[cfg(feature = "sqlite")]
    #[error("cannot query {}: {source}", .path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// The error from sqlite.
        source: rusqlite::Error,
    },
}

impl TranscriptError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

impl Files<'_> {
    /// Returns the arguments for this start: [`Profile::arguments`] with the transcript's path filled in.
    pub fn arguments(&self, start: Start<'_>) -> Vec<String> {
        let id = match start {
            Start::Fresh { chosen } => chosen,
            Start::Resume { conversation } => Some(conversation),
        };
        let path = match self.profile.conversation.transcript {
            Some(TranscriptKind::PiSession) => id.map(|id| pi::path(*self, id)),
            _ => None,
        };
        let mut words = self.profile.arguments(start, &path.unwrap_or_default().to_string_lossy());
        if let Some(extension) = self.extension() {
            words.extend(["-e".to_owned(), extension.to_string_lossy().into_owned()]);
        }
        words
    }

    /// Returns the path at which the agent's reporting extension ([`ReportingExtension::text`]) must be installed, if its profile
    /// has one.
    ///
    /// [`ReportingExtension::text`]: crate::agent::ReportingExtension::text
    pub fn extension(&self) -> Option<PathBuf> {
        let speaker = self.profile.conversation.says?;
        Some(self.directory("PEER_STATE_DIR")?.join(speaker.file_name()))
    }

    /// Returns the agent's own latest report of its conversation.
    fn said(&self) -> Result<Option<Said>, TranscriptError> {
        let Some(path) = self.directory(SAID) else { return Ok(None) };
        match crate::file::read(&path, crate::file::MOST) {
            // Half-written, or in another version's format: unusable now, and the next attempt may succeed.
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(TranscriptError::io(&path)(error)),
        }
    }

    /// Returns the transcript of a conversation that can be resumed; `None` if there is none. For an agent whose
    /// conversations share a database, the database.
    ///
    /// # Errors
    /// Nothing is known; do not take it for "no conversation".
    pub fn exists(&self, id: &str) -> Result<Option<PathBuf>, TranscriptError> {
        self.layout().map_or(Ok(None), |layout| layout.path(id))
    }

    /// Whether there is such a conversation, with a person and begun in this directory: an agent that is started here resumes it.
    ///
    /// # Errors
    /// Nothing is known; do not take it for "no conversation".
    pub fn is_of_here(&self, id: &str) -> Result<bool, TranscriptError> {
        let Some(layout) = self.layout() else { return Ok(false) };
        Ok(layout.path(id)?.is_some() && layout.is_of_here(id)?)
    }

    /// The living process that says it has this conversation open, where the agent says so (Claude Code).
    ///
    /// # Errors
    /// Nothing is known.
    pub fn open_in(&self, id: &str) -> Result<Option<u32>, TranscriptError> {
        self.layout().map_or(Ok(None), |layout| layout.open_in(id))
    }

    /// Returns the conversation that the processes `pids` (the agent and its children) have open now and did not have
    /// open before `since`, the start of the agent.
    ///
    /// `None` while it cannot be determined for certain, as is always the case before the first message. Never a
    /// conversation that, according to `taken`, belongs to another peer. Call it again later: a user may begin another
    /// conversation inside the agent (`/clear`, `/new`).
    ///
    /// # Errors
    /// Nothing is known; try again.
    pub fn discover(
        &self,
        since: SystemTime,
        pids: &[u32],
        taken: impl Fn(&str) -> bool,
    ) -> Result<Option<String>, TranscriptError> {
        let Some(layout) = self.layout() else { return Ok(None) };
        let mut found = layout.discover(since, pids)?;
        found.retain(|id| !taken(id));
        found.sort();
        found.dedup();
        Ok(if found.len() == 1 { found.pop() } else { None })
    }

    /// Returns the conversation that a run is in now, if it is not `known`, the one it was in before: a user or a
    /// message may begin another one, or return to an older one, at any time (`/clear`, `/new`, `/resume`, `/branch`).
    /// The transcript of a conversation in which nothing was said may not exist yet.
    ///
    /// `None` if it is still `known`, and while this cannot be determined for certain. Never a conversation that,
    /// according to `taken`, belongs to another peer.
    ///
    /// # Errors
    /// Nothing is known; try again.
    pub fn current(
        &self,
        run: &Run<'_>,
        known: &str,
        taken: impl Fn(&str) -> bool,
    ) -> Result<Option<String>, TranscriptError> {
        let Some(layout) = self.layout() else { return Ok(None) };
        let current = layout.current(run, known)?;
        Ok(current.filter(|id| id != known && !taken(id)))
    }

    /// Returns what identifies the processes `pids` in the agent's own files, while they are alive. After they have
    /// ended, [`Files::by_markers`] finds their conversation by it. Available before the first message. Opaque; the
    /// caller must store it.
    ///
    /// # Errors
    /// Nothing is known; try again.
    pub fn process_markers(&self, pids: &[u32]) -> Result<Vec<String>, TranscriptError> {
        self.layout().map_or(Ok(Vec::new()), |layout| layout.process_markers(pids))
    }

    /// Returns the conversation of a process that may have ended, by its process markers, that of the newest marker
    /// first. Never a conversation that, according to `taken`, belongs to another peer. `since` is the start of the
    /// agent.
    ///
    /// # Errors
    /// Nothing is known; try again.
    pub fn by_markers(
        &self,
        since: SystemTime,
        process_markers: &[String],
        taken: impl Fn(&str) -> bool,
    ) -> Result<Option<String>, TranscriptError> {
        let Some(layout) = self.layout().filter(|_| !process_markers.is_empty()) else { return Ok(None) };
        let mut found = layout.of_markers(since, process_markers)?;
        found.retain(|id| !taken(id));
        Ok(found.pop())
    }

    /// Returns the current end of the transcript; take it before a message is entered.
    ///
    /// # Errors
    /// Nothing is known.
    pub fn mark(&self, id: Option<&str>) -> Result<Mark, TranscriptError> {
        let position = match (self.layout(), id) {
            (Some(layout), Some(id)) => layout.end(id)?,
            _ => 0,
        };
        Ok(Mark { conversation: id.map(str::to_owned), position })
    }

    /// Returns `true` if the user's message is in the transcript after the mark.
    ///
    /// `id` names the conversation if it had none when the mark was taken. Changes that the agent makes are ignored
    /// ([`crate::agent::MessageRule::alters`]). `false` means "not yet": Codex and pi record a message that is queued
    /// behind a running turn only when its own turn comes, and pi writes nothing before its first answer.
    ///
    /// # Errors
    /// Nothing is known.
    pub fn accepted(&self, mark: &Mark, id: Option<&str>, text: &str) -> Result<bool, TranscriptError> {
        let (Some(layout), Some(id)) = (self.layout(), mark.conversation.as_deref().or(id)) else { return Ok(false) };
        Ok(self.holds(&layout.messages_after(id, mark.position)?, text))
    }

    /// Returns `true` if a user said `text` in this conversation at `since` or later. For a message that went into a
    /// conversation that was begun, or returned to, after its mark was taken.
    ///
    /// # Errors
    /// Nothing is known.
    pub fn said_since(&self, id: &str, since: SystemTime, text: &str) -> Result<bool, TranscriptError> {
        let Some(layout) = self.layout() else { return Ok(false) };
        Ok(self.holds(&layout.messages_since(id, since)?, text))
    }

    /// Returns when the agent was last active, by its own files: the later of its status file and the last record of
    /// its transcript. Never a file's modification time: agents rewrite files while they idle.
    ///
    /// # Errors
    /// Nothing is known.
    pub fn last_activity(&self, id: Option<&str>, pid: u32) -> Result<Option<SystemTime>, TranscriptError> {
        self.layout().map_or(Ok(None), |layout| layout.last_activity(id, pid))
    }

    /// Returns whether a turn is in progress, if the files show it.
    ///
    /// # Errors
    /// Nothing is known.
    pub fn turn_in_progress(&self, id: Option<&str>, pid: u32) -> Result<Option<bool>, TranscriptError> {
        self.layout().map_or(Ok(None), |layout| layout.turn_in_progress(id, pid))
    }

    /// Returns `true` if the text is one of the messages.
    fn holds(&self, messages: &[String], text: &str) -> bool {
        messages.iter().any(|message| self.profile.matches_record(message, text))
    }

    fn layout(&self) -> Option<Box<dyn Layout + '_>> {
        Some(match self.profile.conversation.transcript? {
            TranscriptKind::ClaudeJsonl => Box::new(claude::Claude(*self)),
            TranscriptKind::CodexRollout => Box::new(codex::Codex(*self)),
            TranscriptKind::PiSession => Box::new(pi::Pi(*self)),
            #[cfg(feature = "sqlite")]
            TranscriptKind::OpencodeDb => Box::new(opencode::Opencode(*self)),
        })
    }

    /// Returns the directory that a variable names, if it is set and not empty.
    fn directory(&self, variable: &str) -> Option<PathBuf> {
        (self.env)(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
    }
}

#[cfg(test)]
mod tests;
