//! Finds, in an agent's own files, the refusal of its service that has stopped it, if no message or answer has followed.

use std::time::SystemTime;

use serde_json::Value;

use super::{Files, TranscriptError};

/// Why a service refuses an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedFor {
    /// A usage limit is reached.
    UsageLimit,
    /// The account or the key is not accepted.
    Account,
}

/// What an agent recorded about a refusal that has stopped it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: RefusedFor,
    /// When it stopped the agent, if recorded.
    pub at: Option<SystemTime>,
    /// The agent's own words, which may name the end of a limit.
    pub text: String,
    /// The end of a limit, if it is recorded as a number.
    pub until: Option<SystemTime>,
}

impl Files<'_> {
    /// Returns the refusal that has stopped the conversation. The newest record of a message, an answer or a refusal
    /// decides.
    ///
    /// # Errors
    /// If the agent's files cannot be found or read. Whether it is refused is unknown then.
    pub fn refused(&self, id: &str) -> Result<Option<Refusal>, TranscriptError> {
        let Some(layout) = self.layout() else { return Ok(None) };
        if layout.path(id)?.is_none() { Ok(None) } else { layout.refused(id) }
    }
}

/// Returns why the service refused, by the text of its error: a usage limit or a rate limit, or an account or key that
/// it does not accept. `None` for any other error.
pub(super) fn reason_in(text: &str) -> Option<RefusedFor> {
    const LIMIT: [&str; 8] =
        ["usage limit", "usage_limit", "hit your", "limit reached", "rate limit", "rate_limit", "quota", "429"];
    const ACCOUNT: [&str; 7] = [
        "401",
        "unauthorized",
        "invalid api key",
        "incorrect api key",
        "invalid x-api-key",
        "authentication_error",
        "please run /login",
    ];
    let text = text.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    match (has(&LIMIT), has(&ACCOUNT)) {
        (true, _) => Some(RefusedFor::UsageLimit),
        (_, true) => Some(RefusedFor::Account),
        _ => None,
    }
}

/// Returns the time under the first of these keys that holds seconds since the epoch.
pub(super) fn seconds(of: &Value, keys: &[&str]) -> Option<SystemTime> {
    let seconds = keys.iter().find_map(|key| of.get(key)?.as_u64())?;
    SystemTime::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(seconds))
}
