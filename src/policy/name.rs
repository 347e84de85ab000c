//! The validated name of a peer.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The maximum length in characters. With `-INCARNATION` appended, a runtime's session name stays under 64.
const MAX_LEN: usize = 48;

/// A peer's name: `[a-z0-9][a-z0-9_-]{0,47}`. It is safe in a file name, a tmux target and a zellij session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PeerName(String);

/// The error for text that is not a valid peer name. Its message states the rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a peer name: use 1 to 48 of a-z, 0-9, '-' and '_', beginning with a letter or a digit")]
pub struct BadName(String);

impl PeerName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PeerName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
        let well_formed = (1..=MAX_LEN).contains(&text.len())
            && text.chars().all(allowed)
            && text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if well_formed { Ok(Self(text.to_owned())) } else { Err(BadName(text.to_owned())) }
    }
}

impl TryFrom<String> for PeerName {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<PeerName> for String {
    fn from(name: PeerName) -> Self {
        name.0
    }
}

impl fmt::Display for PeerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_the_rule_allows() {
        for name in ["a", "0", "api-2", "a_b", &"x".repeat(48)] {
            assert_eq!(name.parse::<PeerName>().map(String::from), Ok(name.to_owned()));
        }
    }

    #[test]
    fn refuses_the_rest_with_the_rule() {
        for name in ["", "-a", "_a", "A", "a b", "a/b", "..", "ä", "a\n", &"x".repeat(49)] {
            let error = name.parse::<PeerName>().expect_err(name);
            assert!(error.to_string().contains("use 1 to 48 of a-z"), "{error}");
        }
    }
}
