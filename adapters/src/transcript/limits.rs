//! Finds, in an agent's own files, the usage limit that has stopped it, if no message or answer has followed.

use std::time::SystemTime;

use serde_json::Value;

use super::{Files, TranscriptError};

/// What an agent recorded about a usage limit that has stopped it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// When the limit stopped the agent, if recorded.
    pub at: Option<SystemTime>,
    /// The agent's own words, which may name the end of the limit.
    pub text: String,
    /// The end of the limit, if it is recorded as a number.
    pub until: Option<SystemTime>,
}

impl Files<'_> {
    /// Returns the usage limit that has stopped the conversation. The newest record of a message, an answer or a limit
    /// decides.
    ///
    /// # Errors
    /// If the agent's files cannot be found or read. Whether a limit holds is unknown then.
    pub fn limited(&self, id: &str) -> Result<Option<Notice>, TranscriptError> {
        let Some(layout) = self.layout() else { return Ok(None) };
        if layout.path(id)?.is_none() { Ok(None) } else { layout.limited(id) }
    }
}

/// Whether the error text of a service describes a usage limit or a rate limit.
pub(super) fn is_limit(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let words = ["usage limit", "usage_limit", "hit your", "limit reached", "rate limit", "rate_limit", "quota", "429"];
    words.iter().any(|word| text.contains(word))
}

/// Returns the time under the first of these keys that holds seconds since the epoch.
pub(super) fn seconds(of: &Value, keys: &[&str]) -> Option<SystemTime> {
    let seconds = keys.iter().find_map(|key| of.get(key)?.as_u64())?;
    SystemTime::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(seconds))
}
