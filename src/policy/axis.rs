//! The two axes of a peer's life, each with its own time.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// What one witness says. `Unknown` is a value of its own: it never leads to a signal, a marker or a start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// The witness saw it.
    Alive,
    /// The witness answered, and it is not there.
    Dead,
    /// The witness could not be asked, did not answer in time, or is contradicted by another; why.
    Unknown(String),
}

impl Axis {
    /// Whether it is there; `None` while that is not known.
    pub const fn alive(&self) -> Option<bool> {
        match self {
            Self::Alive => Some(true),
            Self::Dead => Some(false),
            Self::Unknown(_) => None,
        }
    }

    /// Why it is not known, where it is not.
    pub fn why_unknown(&self) -> Option<&str> {
        match self {
            Self::Unknown(why) => Some(why),
            Self::Alive | Self::Dead => None,
        }
    }
}

/// A value and when it was observed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped<T> {
    /// What was observed.
    pub value: T,
    /// When.
    pub at_ms: Timestamp,
}
