//! The causes of an incarnation's end, what each cause means, and how it is determined.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

mod classify;
mod intent;
mod record;
#[cfg(test)]
mod tests;

pub use classify::{EndFacts, Evidence, Server, classify};
pub use intent::Intent;
pub use record::{End, EndReport, Exit, Reached, RecentEnds};

use super::state::State;

/// The number of one start of an agent. It only grows over the life of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The cause of an end. Every end has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndCause {
    /// The reaper parked the agent because it was idle for too long.
    IdleReaped,
    /// `peer stop` parked the agent.
    Stopped,
    /// The agent was parked to continue in another runtime, or in another version of its runtime.
    Moved,
    /// The agent requested a fresh restart of itself.
    SelfFresh,
    /// The user requested a fresh start (`peer new`, `wake --fresh`) while the agent was awake.
    Replaced,
    /// The agent exited with 0 after it had been ready for at least [`COMPLETED_AFTER`].
    Completed,
    /// The agent exited with 0 before that.
    CompletedEarly,
    /// The agent exited with another code.
    Crashed,
    /// A signal that `peer` did not send ended the agent.
    Killed,
    /// The pane or session was closed while the runtime's server kept running.
    Closed,
    /// The agent is gone, and no witness saw how it ended.
    Vanished,
    /// The agent had promised heartbeats and stopped sending them.
    Unresponsive,
    /// The agent never started: the binary, the directory or the pane was unavailable.
    SpawnFailed,
    /// The agent was ended because it exceeded its memory limit.
    MemoryDrained,
    /// The multiplexer's server went away while the agent ran.
    RuntimeLost,
    /// The machine restarted while the agent ran.
    Rebooted,
}

impl EndCause {
    /// All causes.
    pub const ALL: [Self; 16] = [
        Self::IdleReaped,
        Self::Stopped,
        Self::Moved,
        Self::SelfFresh,
        Self::Replaced,
        Self::Completed,
        Self::CompletedEarly,
        Self::Crashed,
        Self::Killed,
        Self::Closed,
        Self::Vanished,
        Self::Unresponsive,
        Self::SpawnFailed,
        Self::MemoryDrained,
        Self::RuntimeLost,
        Self::Rebooted,
    ];

    /// Returns the name used in files, in logs and on the screen.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IdleReaped => "idle-reaped",
            Self::Stopped => "stopped",
            Self::Moved => "moved",
            Self::SelfFresh => "self-fresh",
            Self::Replaced => "replaced",
            Self::Completed => "completed",
            Self::CompletedEarly => "completed-early",
            Self::Crashed => "crashed",
            Self::Killed => "killed",
            Self::Closed => "closed",
            Self::Vanished => "vanished",
            Self::Unresponsive => "unresponsive",
            Self::SpawnFailed => "spawn-failed",
            Self::MemoryDrained => "memory-drained",
            Self::RuntimeLost => "runtime-lost",
            Self::Rebooted => "rebooted",
        }
    }

    /// Returns the cause whose budget this end counts against. Ends without a failure share the budget of clean exits.
    pub(super) const fn budget_cause(self) -> Self {
        match self {
            Self::Closed => Self::Completed,
            other => other,
        }
    }

    /// Whether this end deliberately gives up the agent's context for a new one.
    pub(super) const fn gives_context_up(self) -> bool {
        matches!(self, Self::SelfFresh | Self::Replaced)
    }

    /// Whether this end is a death that the crash-loop guard counts.
    pub const fn counted(self) -> bool {
        self.meaning().counted
    }

    /// Returns what this end means, as the table in section 5 of the contract defines it. The breaker, `peer list` and
    /// the log all read this one table.
    pub const fn meaning(self) -> EndMeaning {
        match self {
            Self::IdleReaped => EndMeaning { state: State::Asleep, shown_as: "asleep", ..NOT_A_DEATH },
            Self::Moved => EndMeaning { state: State::Asleep, shown_as: "moved", ..NOT_A_DEATH },
            Self::Stopped => EndMeaning { state: State::Stopped, shown_as: "stopped", ..NOT_A_DEATH },
            Self::SelfFresh => {
                EndMeaning { budget: Some(SELF_FRESHES), state: State::Starting, shown_as: "restarting", ..NOT_A_DEATH }
            }
            // Visible only if the fresh start that should have followed did not happen.
            Self::Replaced => EndMeaning { state: State::Asleep, shown_as: "replaced", ..NOT_A_DEATH },
            Self::Completed => EndMeaning {
                budget: Some(CLEAN_EXITS),
                restart_delay: RestartDelayRule::PastBudget(PAUSE),
                state: State::Completed,
                shown_as: "completed",
                ..NOT_A_DEATH
            },
            // An agent does not close its own pane, so it did not fail. But whatever closed this pane may close the
            // next one too.
            Self::Closed => EndMeaning {
                budget: Some(CLEAN_EXITS),
                restart_delay: RestartDelayRule::PastBudget(PAUSE),
                shown_as: "closed",
                ..NOT_A_DEATH
            },
            Self::CompletedEarly
            | Self::Crashed
            | Self::Killed
            | Self::Vanished
            | Self::Unresponsive
            | Self::SpawnFailed => DEATH,
            Self::MemoryDrained => EndMeaning {
                budget: Some(MEMORY_DRAINS),
                restart_delay: RestartDelayRule::Always(PAUSE),
                shown_as: "drained",
                ..NOT_A_DEATH
            },
            Self::RuntimeLost | Self::Rebooted => EndMeaning { state: State::Lost, shown_as: "lost", ..NOT_A_DEATH },
        }
    }
}

/// What an end means for the next automatic restart and for the display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndMeaning {
    /// Whether the crash-loop guard counts it.
    pub counted: bool,
    /// How many such ends are allowed without a delay, if the cause has a budget.
    pub budget: Option<Budget>,
    /// What delays an automatic restart.
    pub restart_delay: RestartDelayRule,
    /// The state that is shown if nothing more important applies.
    pub state: State,
    /// The label of that state for this end.
    pub shown_as: &'static str,
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

const NOT_A_DEATH: EndMeaning = EndMeaning {
    counted: false,
    budget: None,
    restart_delay: RestartDelayRule::None,
    state: State::Asleep,
    shown_as: "asleep",
};
const DEATH: EndMeaning = EndMeaning {
    counted: true,
    budget: None,
    restart_delay: RestartDelayRule::Backoff,
    state: State::Crashed,
    shown_as: "crashed",
};

impl fmt::Display for EndCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
