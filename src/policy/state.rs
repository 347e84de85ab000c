//! The states of a peer, under the names that the user sees.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The state of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The agent runs and waits for a message.
    Awake,
    /// The peer is being started or restarted.
    Starting,
    /// The agent runs and works on a turn.
    Busy,
    /// The agent runs and needs an answer from the user.
    Waiting,
    /// Its agent runs, and a usage limit has stopped it.
    Limited,
    /// Its agent runs, and nothing has happened in its turn for long.
    Stalled,
    /// Parked: the next wake brings it back.
    Asleep,
    /// Parked by the user: wakes are refused.
    Stopped,
    /// The agent finished.
    Completed,
    /// The agent died.
    Crashed,
    /// The agent died, and no restart is due or allowed yet.
    Held,
    /// The agent died too often: wakes are refused until a reset.
    Failed,
    /// The runtime, the machine or the session went away while the agent ran.
    Lost,
    /// A witness did not answer.
    Unknown,
    /// The peer was declared and never started.
    NeverStarted,
}

impl State {
    /// All states.
    pub const ALL: [Self; 15] = [
        Self::Awake,
        Self::Starting,
        Self::Busy,
        Self::Waiting,
        Self::Limited,
        Self::Stalled,
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

    /// Returns the name on the screen and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Awake => "awake",
            Self::Starting => "starting",
            Self::Busy => "busy",
            Self::Waiting => "waiting",
            Self::Limited => "limited",
            Self::Stalled => "stalled",
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
