//! The runtime axis and the process axis of a peer, with the time of each observation.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// What one witness reports. `Unknown` is a separate value: it never leads to a signal, a marker or a start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// The witness found it.
    Alive,
    /// The witness answered that it does not exist.
    Dead,
    /// The witness could not be queried, did not answer in time, or is contradicted by another witness. Holds the
    /// reason.
    Unknown(String),
}

impl Axis {
    /// Returns whether it is alive, or `None` if that is unknown.
    pub const fn alive(&self) -> Option<bool> {
        match self {
            Self::Alive => Some(true),
            Self::Dead => Some(false),
            Self::Unknown(_) => None,
        }
    }

    /// Returns the reason if the axis is unknown.
    pub fn why_unknown(&self) -> Option<&str> {
        match self {
            Self::Unknown(why) => Some(why),
            Self::Alive | Self::Dead => None,
        }
    }
}

/// A value with the time of its observation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped<T> {
    /// What was observed.
    pub value: T,
    /// When it was observed.
    pub at_ms: Timestamp,
}
