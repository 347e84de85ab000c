//! What an agent's own files say: which conversation it has, whether a message reached it, when it was last active.
//!
//! Read only. Each call blocks on the file system alone; a file that may be large is read from its end, or from a mark
//! on. Where several answers are possible there is none: a conversation is never guessed.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::agent::{Profile, Start, TranscriptKind};
use crate::process::ProcessId;

mod children;
mod claude;
mod codex;
mod database;
mod entries;
mod lines;
mod opencode;
mod pi;

pub use entries::{Entry, Glance, Tokens, What};

/// The variable that names the file in which an agent says which conversation it is in.
pub const SAID: &str = "PEER_CONVERSATION_FILE";

/// The content of that file.
#[derive(serde::Deserialize)]
struct Said {
    /// The conversation's transcript, which may not be there yet.
    transcript: PathBuf,
}

/// Looks up a variable as the agent's own environment has it.
pub type Lookup<'a> = &'a (dyn Fn(&str) -> Option<OsString> + Sync);

/// The files of one agent in one working directory.
#[derive(Clone, Copy)]
pub struct Files<'a> {
    /// What is known of the agent.
    pub profile: &'a Profile,
    /// The agent's home directory.
    pub home: &'a Path,
    /// The agent's environment: `CLAUDE_CONFIG_DIR`, `CODEX_HOME`, `XDG_DATA_HOME` and the like move its files.
    pub env: Lookup<'a>,
    /// The agent's working directory, real path (symbolic links resolved): agents file conversations under it.
    pub cwd: &'a Path,
}

/// A place in a conversation's transcript: what comes after it is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The conversation, where it had an id yet; without one everything in its transcript is new.
    pub conversation: Option<String>,
    /// How far it was written: bytes of a file, or the time of the newest record of a database in ms.
    pub position: u64,
}

/// One run of an agent, of which its files are asked.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// When it was asked for: nothing of it is older.
    pub since: SystemTime,
    /// The process that was started; it may have ended.
    pub leader: Option<ProcessId>,
    /// Its living processes, the one that was started first, children behind their parents.
    pub pids: &'a [u32],
    /// What was noted of [`Files::traces`] while it lived.
    pub traces: &'a [String],
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
    /// The agent's database could not be asked.
    #[error("cannot query {}: {source}", .path.display())]
    Database {
        /// The database.
        path: PathBuf,
        /// What sqlite said.
        source: rusqlite::Error,
    },
}

impl TranscriptError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// What each layout of transcripts must answer; see the methods of [`Files`] for the meanings.
trait Layout {
    fn path(&self, id: &str) -> Result<Option<PathBuf>, TranscriptError>;
    fn discover(&self, since: SystemTime, pids: &[u32]) -> Result<Vec<String>, TranscriptError>;
    /// See [`Files::traces`]; none for an agent whose conversations are told in no such way.
    fn traces(&self, _pids: &[u32]) -> Result<Vec<String>, TranscriptError> {
        Ok(Vec::new())
    }
    /// The conversations that these traces belong to, the newest trace's last.
    fn of_traces(&self, _since: SystemTime, _traces: &[String]) -> Result<Vec<String>, TranscriptError> {
        Ok(Vec::new())
    }
    /// See [`Files::current`]; `known` itself where the run is still in it.
    fn current(&self, run: &Run<'_>, known: &str) -> Result<Option<String>, TranscriptError>;
    fn end(&self, id: &str) -> Result<u64, TranscriptError>;
    fn messages_after(&self, id: &str, position: u64) -> Result<Vec<String>, TranscriptError>;
    /// What a person said from `since` on; a record without a time counts as new.
    fn messages_since(&self, id: &str, since: SystemTime) -> Result<Vec<String>, TranscriptError>;
    /// See [`Files::telling`].
    fn telling(&self, id: Option<&str>, pid: u32) -> Result<Vec<PathBuf>, TranscriptError>;
    /// See [`Files::entries`]; of a conversation that is there.
    fn entries_after(&self, id: &str, position: u64) -> Result<Vec<Entry>, TranscriptError>;
    /// See [`Files::glance`]; `path` is its transcript.
    fn glance(&self, id: &str, path: PathBuf) -> Result<Glance, TranscriptError>;
    fn last_activity(&self, id: Option<&str>, pid: u32) -> Result<Option<SystemTime>, TranscriptError>;
    fn turn_in_progress(&self, id: Option<&str>, pid: u32) -> Result<Option<bool>, TranscriptError>;
    /// What its status file says; none for an agent that keeps no such file.
    fn status(&self, _pid: u32) -> Result<Option<AgentStatus>, TranscriptError> {
        Ok(None)
    }
}

/// What an agent says of itself in its status file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentStatus {
    /// It works, or waits for a permission.
    pub busy: bool,
    /// When it last changed what it is doing, where it says so.
    pub since: Option<SystemTime>,
    /// What it waits for a person for, in its own words; it is busy then.
    pub waits_for: Option<String>,
}

impl Files<'_> {
    /// The words for this start: [`Profile::arguments`] with the transcript's path filled in.
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

    /// Where the extension is to be by which the agent says its conversation ([`Speaker::text`]), where its profile names one.
    ///
    /// [`Speaker::text`]: crate::agent::Speaker::text
    pub fn extension(&self) -> Option<PathBuf> {
        let speaker = self.profile.conversation.says?;
        Some(self.directory("PEER_STATE_DIR")?.join(speaker.file_name()))
    }

    /// What the agent itself said last of which conversation it is in.
    fn said(&self) -> Result<Option<Said>, TranscriptError> {
        let Some(path) = self.directory(SAID) else { return Ok(None) };
        match crate::file::read(&path, crate::file::MOST) {
            // Half-written, or another version's: it tells nothing, and the next look may.
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(TranscriptError::io(&path)(error)),
        }
    }

    /// The transcript of a conversation that can be resumed; `None` where there is none. For an agent whose
    /// conversations share a database, the database.
    ///
    /// # Errors
    /// Nothing is known; do not take it for "no conversation".
    pub fn exists(&self, id: &str) -> Result<Option<PathBuf>, TranscriptError> {
        self.layout().map_or(Ok(None), |layout| layout.path(id))
    }

    /// The conversation that the processes `pids` (the agent and its children) have open now and did not have open
    /// before `since`, the start of the agent.
    ///
    /// `None` as long as it cannot be told for certain, which is always so before the first message; never one that
    /// `taken` says belongs to another. Also worth asking later: a person may begin another conversation inside the
    /// agent (`/clear`, `/new`).
    ///
    /// # Errors
    /// Nothing is known; ask again.
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

    /// The conversation that a run is in now, where that is another than `known`, which it was in before: a person or a
    /// message may begin another one, or go back to an older one, at any time (`/clear`, `/new`, `/resume`, `/branch`). The
    /// transcript of one in which nothing was said may not exist yet.
    ///
    /// `None` where it is still that one, and as long as it cannot be told for certain; never one that `taken` says belongs
    /// to another.
    ///
    /// # Errors
    /// Nothing is known; ask again.
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

    /// What marks the processes `pids` in the agent's own files, as long as they live: by it [`Files::traced`] tells which
    /// conversation was theirs when there is nobody left to ask. Known before the first message. Opaque; to be kept.
    ///
    /// # Errors
    /// Nothing is known; ask again.
    pub fn traces(&self, pids: &[u32]) -> Result<Vec<String>, TranscriptError> {
        self.layout().map_or(Ok(Vec::new()), |layout| layout.traces(pids))
    }

    /// The conversation of a process that may have ended, by the traces that it left, the newest trace first; never one
    /// that `taken` says belongs to another. `since` is the start of the agent.
    ///
    /// # Errors
    /// Nothing is known; ask again.
    pub fn traced(
        &self,
        since: SystemTime,
        traces: &[String],
        taken: impl Fn(&str) -> bool,
    ) -> Result<Option<String>, TranscriptError> {
        let Some(layout) = self.layout().filter(|_| !traces.is_empty()) else { return Ok(None) };
        let mut found = layout.of_traces(since, traces)?;
        found.retain(|id| !taken(id));
        Ok(found.pop())
    }

    /// The end of the transcript now; to be taken before a message is put in.
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

    /// Whether the person's message is in the transcript after the mark.
    ///
    /// `id` names the conversation where the mark was taken before it had one. What the agent changes
    /// is not compared ([`crate::agent::MessageRule::alters`]). `false` says "not yet": Codex and pi write a message down that
    /// they queued behind a running turn only when its own turn comes, and pi writes nothing before its first answer.
    ///
    /// # Errors
    /// Nothing is known.
    pub fn accepted(&self, mark: &Mark, id: Option<&str>, text: &str) -> Result<bool, TranscriptError> {
        let (Some(layout), Some(id)) = (self.layout(), mark.conversation.as_deref().or(id)) else { return Ok(false) };
        Ok(self.holds(&layout.messages_after(id, mark.position)?, text))
    }

    /// Whether a person said `text` in this conversation at `since` or later: for a message that came into a conversation
    /// that began, or was gone back to, after its mark was taken.
    ///
    /// # Errors
    /// Nothing is known.
    pub fn said_since(&self, id: &str, since: SystemTime, text: &str) -> Result<bool, TranscriptError> {
        let Some(layout) = self.layout() else { return Ok(false) };
        Ok(self.holds(&layout.messages_since(id, since)?, text))
    }

    /// When the agent last did something, by its own files: the later one of its status file and the last record of
    /// its transcript. Never a file's modification time: agents rewrite files while they idle.
    ///
    /// # Errors
    /// Nothing is known.
    pub fn last_activity(&self, id: Option<&str>, pid: u32) -> Result<Option<SystemTime>, TranscriptError> {
        self.layout().map_or(Ok(None), |layout| layout.last_activity(id, pid))
    }

    /// Whether a turn is in progress, where the files tell it.
    ///
    /// # Errors
    /// Nothing is known.
    pub fn turn_in_progress(&self, id: Option<&str>, pid: u32) -> Result<Option<bool>, TranscriptError> {
        self.layout().map_or(Ok(None), |layout| layout.turn_in_progress(id, pid))
    }

    /// What the agent's status file says of the process `pid`: one small file, so cheap enough for each row of a list.
    ///
    /// # Errors
    /// Nothing is known.
    pub fn status(&self, pid: u32) -> Result<Option<AgentStatus>, TranscriptError> {
        self.layout().map_or(Ok(None), |layout| layout.status(pid))
    }

    /// Whether the text is one of the messages.
    fn holds(&self, messages: &[String], text: &str) -> bool {
        messages.iter().any(|message| self.profile.is_said(message, text))
    }

    fn layout(&self) -> Option<Box<dyn Layout + '_>> {
        Some(match self.profile.conversation.transcript? {
            TranscriptKind::ClaudeJsonl => Box::new(claude::Claude(*self)),
            TranscriptKind::CodexRollout => Box::new(codex::Codex(*self)),
            TranscriptKind::PiSession => Box::new(pi::Pi(*self)),
            TranscriptKind::OpencodeDb => Box::new(opencode::Opencode(*self)),
        })
    }

    /// A directory that a variable names, if it is set to something.
    fn directory(&self, variable: &str) -> Option<PathBuf> {
        (self.env)(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
    }
}

/// Whether a turn is in progress, by the newest record that tells of turns: `(it goes on, its time)`.
///
/// A record from before the process began is of an earlier process, which was killed in the middle of its turn.
fn turn_of(pid: u32, newest: Option<(bool, SystemTime)>) -> Result<Option<bool>, TranscriptError> {
    let Some((goes_on, time)) = newest else { return Ok(None) };
    if !goes_on {
        return Ok(Some(false));
    }
    let started = started(pid).map_err(TranscriptError::io(Path::new("/proc/stat")))?;
    Ok(started.map(|started| time >= started))
}

/// When a living process began, by the wall clock; up to 2 s early.
#[cfg(target_os = "linux")]
fn started(pid: u32) -> io::Result<Option<SystemTime>> {
    // USER_HZ is 100 on every Linux that Rust runs on, whatever the kernel's own rate (proc(5)).
    const TICKS: u64 = 100;
    // `btime` is in whole seconds and moves with the clock: better to call an old turn young than a young one old.
    const SLACK: u64 = 2;
    let Some(process) = crate::process::status(pid)? else { return Ok(None) };
    let text = crate::file::read_to_string(Path::new("/proc/stat"), crate::file::MOST)?;
    let boot = text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<u64>().ok());
    let since = boot.map(|boot| (boot + process.id.start / TICKS).saturating_sub(SLACK));
    Ok(since.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)))
}

/// When a living process began: its identity is that time, in microseconds.
#[cfg(not(target_os = "linux"))]
fn started(pid: u32) -> io::Result<Option<SystemTime>> {
    let process = crate::process::status(pid)?;
    Ok(process.map(|process| SystemTime::UNIX_EPOCH + Duration::from_micros(process.id.start)))
}

#[cfg(test)]
mod tests;
