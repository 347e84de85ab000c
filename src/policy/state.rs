//! The words for what a peer is, as a person sees them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a peer is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Its agent runs and waits.
    Awake,
    /// It comes up, or comes back.
    Starting,
    /// Its agent runs and works.
    Busy,
    /// Its agent runs, and needs a person's answer.
    Waiting,
    /// Parked: the next wake brings it back.
    Asleep,
    /// Parked by hand: wakes are refused.
    Stopped,
    /// It finished.
    Completed,
    /// It died.
    Crashed,
    /// It died, and no start is due or allowed yet.
    Held,
    /// It died too often: wakes are refused until a reset.
    Failed,
    /// Its runtime, its machine or its session went away under it.
    Lost,
    /// A witness did not answer.
    Unknown,
    /// It was declared, and nothing else.
    NeverStarted,
}

impl State {
    /// Every one.
    pub const ALL: [Self; 13] = [
        Self::Awake,
        Self::Starting,
        Self::Busy,
        Self::Waiting,
        Self::Asleep,
        Self::Stopped,
        Self::Completed,
        Self::Crashed,
        Self::Held,
        Self::Failed,
        Self::Lost,
        Self::Unknown,
        Self::NeverStarted,
    ];

    /// The name on the screen and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Awake => "awake",
            Self::Starting => "starting",
            Self::Busy => "busy",
            Self::Waiting => "waiting",
            Self::Asleep => "asleep",
            Self::Stopped => "stopped",
            Self::Completed => "completed",
            Self::Crashed => "crashed",
            Self::Held => "held",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Unknown => "unknown",
            Self::NeverStarted => "never-started",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
