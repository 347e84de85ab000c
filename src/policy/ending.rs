//! How an incarnation can end, and what each end means.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of one start of an agent; it only grows over the life of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The cause of an end: every incarnation has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndCause {
    /// Parked by the reaper because nothing happened for long enough.
    IdleReaped,
    /// Parked by `peer stop`.
    Stopped,
    /// The agent asked for a clean restart of itself.
    SelfFresh,
    /// A person asked for a fresh start (`peer new`, `wake --fresh`) while it was awake.
    Replaced,
    /// Exit 0 after it had been ready for a while.
    Completed,
    /// Exit 0 before that.
    CompletedEarly,
    /// Another exit code.
    Crashed,
    /// A signal that nobody here sent.
    Killed,
    /// Gone, and nobody saw how.
    Vanished,
    /// It promised beats and stopped sending them.
    Unresponsive,
    /// It never started: the binary, the directory or the pane was not to be had.
    SpawnFailed,
    /// Ended because it outgrew its memory limit.
    MemoryDrained,
    /// The multiplexer's server went away under it.
    RuntimeLost,
    /// The machine restarted under it.
    Rebooted,
}

impl EndCause {
    /// The name in files, in logs and on the screen.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IdleReaped => "idle-reaped",
            Self::Stopped => "stopped",
            Self::SelfFresh => "self-fresh",
            Self::Replaced => "replaced",
            Self::Completed => "completed",
            Self::CompletedEarly => "completed-early",
            Self::Crashed => "crashed",
            Self::Killed => "killed",
            Self::Vanished => "vanished",
            Self::Unresponsive => "unresponsive",
            Self::SpawnFailed => "spawn-failed",
            Self::MemoryDrained => "memory-drained",
            Self::RuntimeLost => "runtime-lost",
            Self::Rebooted => "rebooted",
        }
    }

    /// Whether this end is a death that the crash-loop guard counts.
    pub const fn counted(self) -> bool {
        matches!(
            self,
            Self::CompletedEarly
                | Self::Crashed
                | Self::Killed
                | Self::Vanished
                | Self::Unresponsive
                | Self::SpawnFailed
        )
    }
}

impl fmt::Display for EndCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
