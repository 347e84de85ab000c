//! The values that profiles are made of, each checked while it is read so that an error carries its line.

use std::fmt;
use std::time::Duration;

use regex::{Regex, RegexBuilder};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// A regular expression over the plain text of a screen; `^` and `$` mean the ends of a line.
#[derive(Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// The compiled expression.
    pub fn regex(&self) -> &Regex {
        &self.0
    }

    /// Whether it matches anywhere in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        RegexBuilder::new(&text).multi_line(true).build().map(Self).map_err(|error| {
            // The library's own message is a drawing over several lines; its last line says what is wrong.
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned();
            D::Error::custom(format!("{text:?} is no regular expression: {why}"))
        })
    }
}

/// The name of an environment variable, or the beginning of one followed by `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable(String);

impl Variable {
    /// Whether `name` is the variable, or one of the variables, that is meant.
    pub fn matches(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == self.0,
        }
    }
}

impl<'de> Deserialize<'de> for Variable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let name = text.strip_suffix('*').unwrap_or(&text);
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(D::Error::custom(format!("{text:?} is no variable: use a name, or its beginning and `*`")));
        }
        Ok(Self(text))
    }
}

/// Reads `300ms`, `90s`, `1h30m`.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text)
        .map_err(|error| D::Error::custom(format!("{text:?} is no duration like `90s` or `1h30m`: {error}")))
}

#[cfg(test)]
mod tests {
    use super::Variable;

    #[test]
    fn a_variable_is_exact_or_a_beginning() {
        let exact = Variable("TMUX".to_owned());
        assert!(exact.matches("TMUX") && !exact.matches("TMUX_PANE"));
        let beginning = Variable("ZELLIJ*".to_owned());
        assert!(beginning.matches("ZELLIJ") && beginning.matches("ZELLIJ_PANE_ID") && !beginning.matches("XZELLIJ"));
    }
}
