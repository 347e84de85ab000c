//! Why an agent is being ended, recorded before the first key or signal.

use serde::{Deserialize, Serialize};

use super::EndCause;

/// What a `peer` process recorded before it ended an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Intent {
    /// The reaper parks the agent.
    IdleReaped,
    /// `peer stop`.
    Stopped,
    /// `peer move`, `peer restart-runtime`, a restart because its turn was stalled, or `peer rename` or `peer rm` with
    /// `--force`.
    Moved,
    /// `peer self-fresh`.
    SelfFresh,
    /// `peer new`.
    Replaced,
    /// The agent exceeded its memory limit.
    MemoryDrained,
    /// The agent's heartbeats stopped.
    Unresponsive,
    /// A person chose a row that ends it. Recorded once it has exited, before its end is.
    Declined,
    /// The agent outlived its pane, which was closed.
    Closed,
    /// The agent outlived its runtime's server.
    RuntimeLost,
}

impl Intent {
    /// Returns the cause of the end that this intent leads to.
    pub const fn cause(self) -> EndCause {
        match self {
            Self::IdleReaped => EndCause::IdleReaped,
            Self::Stopped => EndCause::Stopped,
            Self::Moved => EndCause::Moved,
            Self::SelfFresh => EndCause::SelfFresh,
            Self::Replaced => EndCause::Replaced,
            Self::MemoryDrained => EndCause::MemoryDrained,
            Self::Unresponsive => EndCause::Unresponsive,
            Self::Declined => EndCause::Declined,
            Self::Closed => EndCause::Closed,
            Self::RuntimeLost => EndCause::RuntimeLost,
        }
    }

    /// Whether the intent applies to an agent that had already lost its terminal. An agent that has its terminal again
    /// is left alone.
    pub const fn is_for_orphan(self) -> bool {
        matches!(self, Self::Closed | Self::RuntimeLost)
    }
}
