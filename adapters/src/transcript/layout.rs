//! What each transcript format must answer.

use std::path::PathBuf;
use std::time::SystemTime;

use super::{AgentStatus, Entry, Glance, Refusal, Run, TranscriptError};

/// The queries that each transcript format must answer; see the methods of [`super::Files`] for their meaning.
pub(super) trait Layout {
    fn path(&self, id: &str) -> Result<Option<PathBuf>, TranscriptError>;
    fn discover(&self, since: SystemTime, pids: &[u32]) -> Result<Vec<String>, TranscriptError>;
    /// See [`super::Files::process_markers`]; none for an agent whose conversations cannot be found this way.
    fn process_markers(&self, _pids: &[u32]) -> Result<Vec<String>, TranscriptError> {
        Ok(Vec::new())
    }
    /// Returns the conversations that these process markers belong to, that of the newest marker last.
    fn of_markers(&self, _since: SystemTime, _process_markers: &[String]) -> Result<Vec<String>, TranscriptError> {
        Ok(Vec::new())
    }
    /// See [`super::Files::current`]; `known` itself if the run is still in it.
    fn current(&self, run: &Run<'_>, known: &str) -> Result<Option<String>, TranscriptError>;
    /// See [`super::Files::is_of_here`]; of a conversation that is there.
    fn is_of_here(&self, _id: &str) -> Result<bool, TranscriptError> {
        Ok(true)
    }
    /// See [`super::Files::open_in`]; none for an agent that does not tell.
    fn open_in(&self, _id: &str) -> Result<Option<u32>, TranscriptError> {
        Ok(None)
    }
    fn end(&self, id: &str) -> Result<u64, TranscriptError>;
    fn messages_after(&self, id: &str, position: u64) -> Result<Vec<String>, TranscriptError>;
    /// Returns the user's messages from `since` on; a record without a time counts as new.
    fn messages_since(&self, id: &str, since: SystemTime) -> Result<Vec<String>, TranscriptError>;
    /// See [`super::Files::activity_files`].
    fn activity_files(&self, id: Option<&str>, pid: u32) -> Result<Vec<PathBuf>, TranscriptError>;
    /// See [`super::Files::entries`]; the conversation exists.
    fn entries_after(&self, id: &str, position: u64) -> Result<Vec<Entry>, TranscriptError>;
    /// See [`super::Files::glance`]; `path` is its transcript.
    fn glance(&self, id: &str, path: PathBuf) -> Result<Glance, TranscriptError>;
    fn last_activity(&self, id: Option<&str>, pid: u32) -> Result<Option<SystemTime>, TranscriptError>;
    fn turn_in_progress(&self, id: Option<&str>, pid: u32) -> Result<Option<bool>, TranscriptError>;
    /// See [`super::Files::refused`]; of a conversation that is there.
    fn refused(&self, _id: &str) -> Result<Option<Refusal>, TranscriptError> {
        Ok(None)
    }
    /// Returns the content of its status file; `None` for an agent without one.
    fn status(&self, _pid: u32) -> Result<Option<AgentStatus>, TranscriptError> {
        Ok(None)
    }
}
