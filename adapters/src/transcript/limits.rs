//! Where an agent wrote down that a usage limit has stopped it, and nothing was said or answered since.

use std::time::SystemTime;

use serde_json::Value;

use super::{Files, TranscriptError};

/// What an agent says of a usage limit that has stopped it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// When it did, where it says so.
    pub at: Option<SystemTime>,
    /// In its own words, which may name the end of the limit.
    pub text: String,
    /// The end of the limit, where that stands there as a number.
    pub until: Option<SystemTime>,
}

impl Files<'_> {
    /// The usage limit that has stopped the conversation, by the newest record that tells of a message, an answer or a limit.
    ///
    /// # Errors
    /// Nothing is known.
    pub fn limited(&self, id: &str) -> Result<Option<Notice>, TranscriptError> {
        let Some(layout) = self.layout() else { return Ok(None) };
        if layout.path(id)?.is_none() { Ok(None) } else { layout.limited(id) }
    }
}

/// Whether the error of a service reads like a usage limit, or a rate that was too high.
pub(super) fn is_limit(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let words = ["usage limit", "usage_limit", "hit your", "limit reached", "rate limit", "rate_limit", "quota", "429"];
    words.iter().any(|word| text.contains(word))
}

/// Seconds since the epoch, behind one of these keys.
pub(super) fn seconds(of: &Value, keys: &[&str]) -> Option<SystemTime> {
    let seconds = keys.iter().find_map(|key| of.get(key)?.as_u64())?;
    SystemTime::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(seconds))
}
