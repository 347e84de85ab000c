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
    const LIMIT: [&str; 7] =
        ["usage limit", "usage_limit", "hit your", "limit reached", "rate limit", "rate_limit", "quota"];
    const ACCOUNT: [&str; 6] = [
        "unauthorized",
        "invalid api key",
        "incorrect api key",
        "invalid x-api-key",
        "authentication_error",
        "please run /login",
    ];
    // EDQUOT is an error of the machine.
    let text = text.to_ascii_lowercase().replace("disk quota", "");
    let has = |words: &[&str], status| words.iter().any(|word| text.contains(word)) || has_status(&text, status);
    match (has(&LIMIT, "429"), has(&ACCOUNT, "401")) {
        (true, _) => Some(RefusedFor::UsageLimit),
        (_, true) => Some(RefusedFor::Account),
        _ => None,
    }
}

/// Whether a text in lower case names this HTTP status: as its first word, after a word that introduces one, or after the words
/// for it. Anywhere else the number is part of an address or an id.
fn has_status(text: &str, status: &str) -> bool {
    const BEFORE: [&str; 7] = ["status", "statuscode", "status_code", "code", "error", "requests", "unauthorized"];
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '/' | '-' | '_');
    let words = || text.split(|c| !is_part(c)).map(|word| word.trim_matches('.')).filter(|word| !word.is_empty());
    let before = std::iter::once("status").chain(words());
    before.zip(words()).any(|(before, word)| word == status && (BEFORE.contains(&before) || before.starts_with("http")))
}

/// Returns the time under the first of these keys that holds seconds since the epoch.
pub(super) fn seconds(of: &Value, keys: &[&str]) -> Option<SystemTime> {
    let seconds = keys.iter().find_map(|key| of.get(key)?.as_u64())?;
    SystemTime::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(seconds))
}
