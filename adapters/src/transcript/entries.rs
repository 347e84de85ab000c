//! What was said in a conversation, by whom and when, in one form for every transcript format.
//!
//! These are foreign files: of a long one, only the last 16 MiB are read, and anything that is not a valid record is
//! skipped.

use std::path::PathBuf;
use std::time::SystemTime;

use super::{Files, TranscriptError};

/// One event in a transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it happened, if recorded.
    pub at: Option<SystemTime>,
    /// The turn or message that it belongs to, if the agent records that.
    pub of: Option<String>,
    /// What happened.
    pub kind: EntryKind,
}

/// The kinds of entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A message that the agent has accepted, from the user or from a program acting as the user.
    UserMessage(String),
    /// A message that waits for the current turn to end.
    QueuedMessage(String),
    /// What the agent wrote, and its cost. The text is empty if it only called a tool.
    AgentText {
        /// The text.
        text: String,
        /// The model's answer that it is part of; one answer may be recorded in several parts.
        part_of: Option<String>,
        /// The cost of that answer.
        tokens: Option<Tokens>,
    },
    /// A turn is over.
    TurnEnd {
        /// Whether it was stopped, or failed.
        aborted: bool,
    },
}

/// The cost of a model's answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Input tokens, including cached ones.
    pub input: u64,
    /// Output tokens.
    pub output: u64,
}

/// A summary of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// The file it is stored in.
    pub path: PathBuf,
    /// When its first record was written.
    pub first_at: Option<SystemTime>,
    /// When its last record was written.
    pub last_at: Option<SystemTime>,
    /// The first message.
    pub first_words: Option<String>,
}

impl Files<'_> {
    /// Returns the entries after a [`super::Mark`]'s position, oldest first; 0 is the beginning. `None` if there is no
    /// transcript.
    ///
    /// # Errors
    /// Nothing is known.
    pub fn entries(&self, id: &str, position: u64) -> Result<Option<Vec<Entry>>, TranscriptError> {
        let Some(layout) = self.layout() else { return Ok(None) };
        if layout.path(id)?.is_none() {
            return Ok(None);
        }
        layout.entries_after(id, position).map(Some)
    }

    /// Returns the files that change when a turn of the conversation begins, continues or ends, including those that do
    /// not exist yet: its transcript and, if the process `pid` has one, its status file.
    ///
    /// # Errors
    /// Nothing is known.
    pub fn activity_files(&self, id: Option<&str>, pid: u32) -> Result<Vec<PathBuf>, TranscriptError> {
        self.layout().map_or(Ok(Vec::new()), |layout| layout.activity_files(id, pid))
    }

    /// Returns when the conversation began and was last written to, and its first words. `None` if there is no
    /// transcript. Reads only its beginning and its end.
    ///
    /// # Errors
    /// Nothing is known.
    pub fn glance(&self, id: &str) -> Result<Option<Glance>, TranscriptError> {
        let Some(layout) = self.layout() else { return Ok(None) };
        let Some(path) = layout.path(id)? else { return Ok(None) };
        layout.glance(id, path).map(Some)
    }
}

/// Returns the first message among entries from a conversation's beginning.
pub(super) fn first_words(entries: impl IntoIterator<Item = Entry>) -> Option<String> {
    entries.into_iter().find_map(|entry| match entry.kind {
        EntryKind::UserMessage(text) => Some(text),
        EntryKind::QueuedMessage(_) | EntryKind::AgentText { .. } | EntryKind::TurnEnd { .. } => None,
    })
}

/// Returns the sum of these token counts.
pub(super) fn count(of: &serde_json::Value, keys: &[&str]) -> u64 {
    keys.iter().filter_map(|key| of.get(key)?.as_u64()).fold(0, u64::saturating_add)
}
