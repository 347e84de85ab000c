//! Errors in a profile: what is wrong, where, and what was probably meant.

use std::fmt;
use std::ops::Range;

use crate::nearest;

/// An error in a profile that makes it unusable. Displayed as `agent profile "x", line 3, column 1: …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileError {
    /// The profile's name.
    pub name: String,
    /// Line and column, both from 1, if the text itself is at fault; `None` if something is missing from it.
    pub at: Option<(usize, usize)>,
    /// The key that is wrong or missing, if there is one.
    pub key: Option<String>,
    /// The error, in lower case and without a full stop.
    pub message: String,
    /// The known key that is most similar to an unknown one.
    pub nearest: Option<String>,
}

impl std::error::Error for ProfileError {}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "agent profile {:?}", self.name)?;
        if let Some((line, column)) = self.at {
            write!(f, ", line {line}, column {column}")?;
        }
        write!(f, ": {}", self.message)?;
        match &self.nearest {
            Some(nearest) => write!(f, " (did you mean `{nearest}`?)"),
            None => Ok(()),
        }
    }
}

impl ProfileError {
    /// Creates an error about the profile as a whole.
    pub(super) fn about(name: &str, key: &str, message: impl Into<String>) -> Self {
        Self { name: name.to_owned(), at: None, key: Some(key.to_owned()), message: message.into(), nearest: None }
    }

    /// Locates an error of the TOML reader in `text`.
    pub(super) fn of_toml(name: &str, text: &str, error: &toml::de::Error) -> Self {
        let quoted: Vec<&str> = error.message().split('`').skip(1).step_by(2).collect();
        let (key, nearest) = match quoted.split_first() {
            Some((unknown, known)) if error.message().starts_with("unknown field") => {
                (Some((*unknown).to_owned()), nearest(unknown, known.iter().copied()).map(str::to_owned))
            }
            _ => (error.span().and_then(|span| key_before(text, &span)), None),
        };
        let at = error.span().map(|span| position(text, span.start));
        let message = error.message().lines().next().unwrap_or("not TOML").trim().to_owned();
        Self { name: name.to_owned(), at, key, message, nearest }
    }
}

/// Returns the key on the line of the wrong value.
fn key_before(text: &str, span: &Range<usize>) -> Option<String> {
    let start = text.get(..span.start)?.rfind('\n').map_or(0, |newline| newline + 1);
    let (key, _) = text.get(start..)?.lines().next()?.split_once('=')?;
    Some(key.trim().to_owned()).filter(|key| !key.is_empty())
}

/// Returns line and column, from 1, of a byte offset.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
