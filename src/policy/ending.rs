//! The causes of an incarnation's end, what each cause means, and how it is determined.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

mod cause;
mod classify;
mod intent;
mod record;
#[cfg(test)]
mod tests;

pub use cause::{EndCause, NextWake, RestartedBy, WorkerMessage};
pub use classify::{EndFacts, Evidence, Server, classify};
pub use intent::Intent;
pub use record::{End, EndReport, Exit, Reached, RecentEnds};

/// The number of one start of an agent. It only grows over the life of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What delays an automatic restart after an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartDelayRule {
    /// No delay.
    None,
    /// The backoff, which grows with each death in a row.
    Backoff,
    /// The given delay, every time.
    Always(Duration),
    /// No delay within the budget, the given delay beyond it.
    PastBudget(Duration),
}

/// How many ends of one kind are allowed without a delay within a time window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The largest number within the budget. One more exceeds it.
    pub most: usize,
    /// The time window.
    pub window: Duration,
}

/// The shared budget of clean exits and closed panes: 10 in 60 s. A worker that finishes a task every few seconds stays
/// within it. A smaller budget would slow such a worker down; a larger one would let an agent that exits with 0 at once
/// spin a core.
pub const CLEAN_EXITS: Budget = Budget { most: 10, window: Duration::from_secs(60) };

/// The budget of self-freshes: 5 in 300 s. Each one costs reading an initial prompt. A smaller budget hinders an agent
/// that cleans up after each of several short tasks; a larger one feeds an agent whose instructions make it restart at
/// once.
pub const SELF_FRESHES: Budget = Budget { most: 5, window: Duration::from_secs(300) };

/// The budget of memory drains: more than 3 in 600 s alert the user. A smaller budget raises an alarm for one heavy
/// afternoon; a larger one hides a limit that is simply too low.
pub const MEMORY_DRAINS: Budget = Budget { most: 3, window: Duration::from_secs(600) };

/// The restart delay after a memory drain, and beyond the budget of clean exits: 30 s, the first step of the backoff.
/// If it were shorter, the machine would not have its memory back; if it were longer, a fleet would miss its worker.
pub const PAUSE: Duration = Duration::from_secs(30);

/// How long an agent must have been ready (10 s) for exit 0 to count as a completion. If it were shorter, an agent that
/// shows its prompt and exits, because a resume was refused or a login is missing, would count as finished work; if it
/// were longer, quick tasks would count as crashes.
pub const COMPLETED_AFTER: Duration = Duration::from_secs(10);
