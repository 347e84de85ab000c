//! What was said in a conversation, by whom and when, in one form for every layout.
//!
//! Files of others: of many bytes the last 16 MiB are read, and what does not read like a record is passed over.

use std::path::PathBuf;
use std::time::SystemTime;

use super::{Files, TranscriptError};

/// One thing that a transcript tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When, where it says so.
    pub at: Option<SystemTime>,
    /// The turn or the message that it belongs to, where the agent writes that down.
    pub of: Option<String>,
    /// What it is.
    pub what: What,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A message that the agent has taken up, of a person or of a program in a person's place.
    Said(String),
    /// A message that waits behind the turn in progress.
    Queued(String),
    /// What the agent wrote, and what that cost. The text is empty where it only called a tool.
    Wrote {
        /// The text.
        text: String,
        /// Which answer of the model it is a part of; one may be written down in several.
        part_of: Option<String>,
        /// What that answer cost.
        tokens: Option<Tokens>,
    },
    /// A turn is over.
    Over {
        /// It was stopped, or failed.
        aborted: bool,
    },
}

/// What an answer of the model cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// What it was given, with what was cached.
    pub input: u64,
    /// What it gave.
    pub output: u64,
}

/// A conversation at a glance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// The file it is kept in.
    pub path: PathBuf,
    /// When its first record was written.
    pub first_at: Option<SystemTime>,
    /// When its last one was.
    pub last_at: Option<SystemTime>,
    /// What was said first.
    pub first_words: Option<String>,
}

impl Files<'_> {
    /// What the conversation holds behind a [`super::Mark`]'s position, oldest first; 0 is its beginning. `None` where there is
    /// no transcript.
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

    /// The files that change when a turn of the conversation begins, goes on or is over, those that are not there yet among
    /// them: its transcript, and where the process `pid` keeps one its status file.
    ///
    /// # Errors
    /// Nothing is known.
    pub fn telling(&self, id: Option<&str>, pid: u32) -> Result<Vec<PathBuf>, TranscriptError> {
        self.layout().map_or(Ok(Vec::new()), |layout| layout.telling(id, pid))
    }

    /// When the conversation began and was written to last, and its first words. `None` where there is no transcript. Reads
    /// its two ends.
    ///
    /// # Errors
    /// Nothing is known.
    pub fn glance(&self, id: &str) -> Result<Option<Glance>, TranscriptError> {
        let Some(layout) = self.layout() else { return Ok(None) };
        let Some(path) = layout.path(id)? else { return Ok(None) };
        layout.glance(id, path).map(Some)
    }
}

/// The first words among entries from a conversation's beginning.
pub(super) fn first_words(entries: impl IntoIterator<Item = Entry>) -> Option<String> {
    entries.into_iter().find_map(|entry| match entry.what {
        What::Said(text) => Some(text),
        What::Queued(_) | What::Wrote { .. } | What::Over { .. } => None,
    })
}

/// A number that counts tokens.
pub(super) fn count(of: &serde_json::Value, keys: &[&str]) -> u64 {
    keys.iter().filter_map(|key| of.get(key)?.as_u64()).fold(0, u64::saturating_add)
}
