//! Reads an agent's own files: its conversation, whether a message reached it, when it was last active.
//!
//! Read-only. Each call blocks only on the file system; a file that may be large is read from its end, or from a mark
//! on. An ambiguous result is no result: a conversation is never guessed.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::agent::{Profile, Start, StatusKind, TranscriptKind};
use crate::process::ProcessId;

mod children;
mod claude;
mod codex;
#[cfg(feature = "sqlite")]
mod database;
mod entries;
mod lines;
#[cfg(feature = "sqlite")]
mod opencode;
mod pi;
mod refusal;

pub use entries::{Entry, EntryKind, Glance, Tokens};
pub use refusal::{Refusal, RefusedFor};

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

/// The queries that each transcript format must answer; see the methods of [`Files`] for their meaning.
trait Layout {
    fn path(&self, id: &str) -> Result<Option<PathBuf>, TranscriptError>;
    fn discover(&self, since: SystemTime, pids: &[u32]) -> Result<Vec<String>, TranscriptError>;
    /// See [`Files::process_markers`]; none for an agent whose conversations cannot be found this way.
    fn process_markers(&self, _pids: &[u32]) -> Result<Vec<String>, TranscriptError> {
        Ok(Vec::new())
    }
    /// Returns the conversations that these process markers belong to, that of the newest marker last.
    fn of_markers(&self, _since: SystemTime, _process_markers: &[String]) -> Result<Vec<String>, TranscriptError> {
        Ok(Vec::new())
    }
    /// See [`Files::current`]; `known` itself if the run is still in it.
    fn current(&self, run: &Run<'_>, known: &str) -> Result<Option<String>, TranscriptError>;
    /// See [`Files::is_of_here`]; of a conversation that is there.
    fn is_of_here(&self, _id: &str) -> Result<bool, TranscriptError> {
        Ok(true)
    }
    /// See [`Files::open_in`]; none for an agent that does not tell.
    fn open_in(&self, _id: &str) -> Result<Option<u32>, TranscriptError> {
        Ok(None)
    }
    fn end(&self, id: &str) -> Result<u64, TranscriptError>;
    fn messages_after(&self, id: &str, position: u64) -> Result<Vec<String>, TranscriptError>;
    /// Returns the user's messages from `since` on; a record without a time counts as new.
    fn messages_since(&self, id: &str, since: SystemTime) -> Result<Vec<String>, TranscriptError>;
    /// See [`Files::telling`].
    fn telling(&self, id: Option<&str>, pid: u32) -> Result<Vec<PathBuf>, TranscriptError>;
    /// See [`Files::entries`]; the conversation exists.
    fn entries_after(&self, id: &str, position: u64) -> Result<Vec<Entry>, TranscriptError>;
    /// See [`Files::glance`]; `path` is its transcript.
    fn glance(&self, id: &str, path: PathBuf) -> Result<Glance, TranscriptError>;
    fn last_activity(&self, id: Option<&str>, pid: u32) -> Result<Option<SystemTime>, TranscriptError>;
    fn turn_in_progress(&self, id: Option<&str>, pid: u32) -> Result<Option<bool>, TranscriptError>;
    /// See [`Files::refused`]; of a conversation that is there.
    fn refused(&self, _id: &str) -> Result<Option<Refusal>, TranscriptError> {
        Ok(None)
    }
    /// Returns the content of its status file; `None` for an agent without one.
    fn status(&self, _pid: u32) -> Result<Option<AgentStatus>, TranscriptError> {
        Ok(None)
    }
}

/// What an agent reports about itself in its status file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentStatus {
    /// Whether it is working or waiting for a permission.
    pub busy: bool,
    /// When its activity last changed, if it reports that.
    pub since: Option<SystemTime>,
    /// What it needs the user for, in its own words; it is then busy.
    pub waits_for: Option<String>,
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

    /// Returns what the agent's status file reports about the process `pid`. It is one small file, cheap enough for
    /// each row of a list.
    ///
    /// # Errors
    /// Nothing is known.
    pub fn status(&self, pid: u32) -> Result<Option<AgentStatus>, TranscriptError> {
        self.layout().map_or(Ok(None), |layout| layout.status(pid))
    }

    /// Returns the directory of the agent's status files, if it keeps any.
    pub fn status_directory(&self) -> Option<PathBuf> {
        self.profile.conversation.status.map(|kind| match kind {
            StatusKind::ClaudeSession => claude::Claude(*self).status_directory(),
        })
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

/// Returns what a status file in `directory` ([`Files::status_directory`]) reports about a process that is known to be
/// alive. Reads one small file, and asks the kernel nothing.
///
/// # Errors
/// Nothing is known.
pub fn status_in(
    kind: StatusKind,
    directory: &Path,
    process: ProcessId,
) -> Result<Option<AgentStatus>, TranscriptError> {
    match kind {
        StatusKind::ClaudeSession => claude::status_in(directory, process),
    }
}

/// Returns whether a turn is in progress, by the newest record about turns: `(it continues, its time)`.
///
/// A record from before the process started belongs to an earlier process, which was killed in the middle of its turn.
fn turn_of(pid: u32, newest: Option<(bool, SystemTime)>) -> Result<Option<bool>, TranscriptError> {
    let Some((goes_on, time)) = newest else { return Ok(None) };
    if !goes_on {
        return Ok(Some(false));
    }
    let started = started(pid).map_err(TranscriptError::io(Path::new("/proc/stat")))?;
    Ok(started.map(|started| time >= started))
}

/// Returns when a live process started, by the wall clock; up to 2 s early.
#[cfg(target_os = "linux")]
fn started(pid: u32) -> io::Result<Option<SystemTime>> {
    // USER_HZ is 100 on every Linux that Rust runs on, whatever the kernel's own rate (proc(5)).
    const TICKS: u64 = 100;
    // `btime` is in whole seconds and moves with the clock. Better to take an old turn for a new one than the reverse.
    const SLACK: u64 = 2;
    let Some(process) = crate::process::status(pid)? else { return Ok(None) };
    let text = crate::file::read_to_string(Path::new("/proc/stat"), crate::file::MOST)?;
    let boot = text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<u64>().ok());
    let since = boot.map(|boot| (boot + process.id.start / TICKS).saturating_sub(SLACK));
    Ok(since.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)))
}

/// Returns when a live process started: its identity is that time, in microseconds.
#[cfg(not(target_os = "linux"))]
fn started(pid: u32) -> io::Result<Option<SystemTime>> {
    let process = crate::process::status(pid)?;
    Ok(process.map(|process| SystemTime::UNIX_EPOCH + Duration::from_micros(process.id.start)))
}

#[cfg(test)]
mod tests;
