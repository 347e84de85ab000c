//! What a tick did, as it is returned, printed and logged.

use std::fmt;

use serde::Serialize;

use crate::policy::name::PeerName;

/// One thing that a tick did, or in a dry run would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TickAction {
    /// The peer.
    pub peer: PeerName,
    /// What was done.
    pub what: ActionKind,
    /// The cause.
    pub cause: String,
}

/// The kinds of what a tick does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActionKind {
    /// An idle agent was ended, to be resumed by the next wake.
    Parked,
    /// An agent was ended, or its end was recorded.
    Ended,
    /// An agent whose session is gone was ended.
    OrphanEnded,
    /// An agent was ended for the memory that it held.
    Drained,
    /// The record of a living agent was reconstructed.
    Recovered,
    /// A session that nothing needs was removed.
    Cleared,
    /// The agent was started again.
    Restarted,
    /// What was due in the inbox was delivered.
    Delivered,
    /// A start whose driver was gone was seen through.
    Supervised,
    /// The agent got its `limit_prompt` after a usage limit.
    Continued,
    /// A turn without progress was interrupted.
    Interrupted,
}

impl ActionKind {
    /// Returns the name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parked => "parked",
            Self::Ended => "ended",
            Self::OrphanEnded => "orphan-ended",
            Self::Drained => "drained",
            Self::Recovered => "recovered",
            Self::Cleared => "cleared",
            Self::Restarted => "restarted",
            Self::Delivered => "delivered",
            Self::Supervised => "supervised",
            Self::Continued => "continued",
            Self::Interrupted => "interrupted",
        }
    }
}

impl fmt::Display for ActionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
