//! The table of causes: what each end means.
//!
//! A new cause is one row here: the guard, automatic restarts, the wake table, inboxes, `peer list` and the log follow from it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Budget, CLEAN_EXITS, MEMORY_DRAINS, PAUSE, RestartDelayRule, SELF_FRESHES};
use crate::policy::state::State;

/// Defines [`EndCause`] from rows of `Variant = "name" => meaning`.
macro_rules! causes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal => $meaning:expr,)*) => {
        /// The cause of an end. Every end has exactly one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum EndCause {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl EndCause {
            /// All causes.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the name used in files, in logs and on the screen.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Returns what this end means, as the table in section 5 of the contract defines it.
            pub const fn meaning(self) -> EndMeaning {
                match self {
                    $(Self::$variant => $meaning,)*
                }
            }
        }
    };
}

causes! {
    /// The reaper parked the agent because it was idle for too long.
    IdleReaped = "idle-reaped" => EndMeaning { next_wake: NextWake::OfParked, message: WorkerMessage::Done, ..PARKED },
    /// `peer stop` parked the agent.
    Stopped = "stopped" => EndMeaning { state: State::Stopped, shown_as: "stopped", ..PARKED },
    /// The agent was parked to be resumed: in another runtime or another version of it, under another name, from the
    /// trash, or because its turn was stalled.
    Moved = "moved" => EndMeaning { shown_as: "moved", ..PARKED },
    /// The agent requested a fresh restart of itself.
    SelfFresh = "self-fresh" => EndMeaning {
        budget: Some(SELF_FRESHES),
        state: State::Starting,
        shown_as: "restarting",
        // It asks for a fresh start.
        restarted_by: RestartedBy::Every,
        next_wake: NextWake::Fresh,
        message: WorkerMessage::ReturnedOnce,
        ..PARKED
    },
    /// The user requested a fresh start (`peer new`) while the agent ran. Visible only if the fresh start
    /// that should have followed did not happen.
    Replaced = "replaced" => EndMeaning {
        shown_as: "replaced",
        restarted_by: RestartedBy::OnlyAlways,
        next_wake: NextWake::Fresh,
        ..PARKED
    },
    /// A person chose a row of the agent's question that ends it (`No, exit`), with `peer answer`.
    Declined = "declined" => EndMeaning { shown_as: "declined", ..PARKED },
    /// The agent exited with 0 after it had been ready for at least [`COMPLETED_AFTER`](super::COMPLETED_AFTER).
    Completed = "completed" => EndMeaning {
        budget: Some(CLEAN_EXITS),
        restart_delay: RestartDelayRule::PastBudget(PAUSE),
        state: State::Completed,
        shown_as: "completed",
        restarted_by: RestartedBy::OnlyAlways,
        // Exit 0: the work is done.
        next_wake: NextWake::Fresh,
        message: WorkerMessage::Done,
        ..PARKED
    },
    /// The agent exited with 0 before that.
    CompletedEarly = "completed-early" => DEATH,
    /// The agent exited with another code.
    Crashed = "crashed" => DEATH,
    /// A signal that `peer` did not send ended the agent.
    Killed = "killed" => DEATH,
    /// The pane or session was closed while the runtime's server kept running. An agent does not close its own pane, so it did
    /// not fail. But whatever closed this pane may close the next one too.
    Closed = "closed" => EndMeaning {
        budget: Some(CLEAN_EXITS),
        restart_delay: RestartDelayRule::PastBudget(PAUSE),
        shown_as: "closed",
        ..TAKEN_AWAY
    },
    /// The agent is gone, and no witness saw how it ended.
    Vanished = "vanished" => DEATH,
    /// The agent had promised heartbeats and stopped sending them.
    Unresponsive = "unresponsive" => DEATH,
    /// The agent never started: the binary, the directory or the pane was unavailable.
    SpawnFailed = "spawn-failed" => DEATH,
    /// The agent was ended because it exceeded its memory limit.
    MemoryDrained = "memory-drained" => EndMeaning {
        budget: Some(MEMORY_DRAINS),
        restart_delay: RestartDelayRule::Always(PAUSE),
        shown_as: "drained",
        next_wake: NextWake::OfDrained,
        message: WorkerMessage::ReturnedOnce,
        ..TAKEN_AWAY
    },
    /// The multiplexer's server went away while the agent ran.
    RuntimeLost = "runtime-lost" => EndMeaning { state: State::Lost, shown_as: "lost", ..TAKEN_AWAY },
    /// The machine restarted while the agent ran.
    Rebooted = "rebooted" => EndMeaning { state: State::Lost, shown_as: "lost", ..TAKEN_AWAY },
}

/// It was ended on purpose, to be continued.
const PARKED: EndMeaning = EndMeaning {
    counted: false,
    budget: None,
    restart_delay: RestartDelayRule::None,
    restarted_by: RestartedBy::None,
    next_wake: NextWake::Resume,
    message: WorkerMessage::Returned,
    state: State::Asleep,
    shown_as: "asleep",
};
/// It lost its place, through no fault of its own.
const TAKEN_AWAY: EndMeaning = EndMeaning { restarted_by: RestartedBy::OnFailure, ..PARKED };
const DEATH: EndMeaning = EndMeaning {
    counted: true,
    restart_delay: RestartDelayRule::Backoff,
    next_wake: NextWake::Fresh,
    message: WorkerMessage::ReturnedOnce,
    state: State::Crashed,
    shown_as: "crashed",
    ..TAKEN_AWAY
};

/// What an end means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndMeaning {
    /// Whether the crash-loop guard counts it.
    pub counted: bool,
    /// How many such ends are allowed without a delay, if the cause has a budget.
    pub budget: Option<Budget>,
    /// What delays an automatic restart.
    pub restart_delay: RestartDelayRule,
    /// Which values of `restart` in a spec restart the peer.
    pub restarted_by: RestartedBy,
    /// What the next wake makes of its conversation.
    pub next_wake: NextWake,
    /// What becomes of the message that an ephemeral worker had, unless the worker reported that it was done.
    pub message: WorkerMessage,
    /// The state that is shown if nothing more important applies.
    pub state: State,
    /// The label of that state for this end.
    pub shown_as: &'static str,
}

/// Which values of `restart` in a spec restart a peer after an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartedBy {
    /// None.
    None,
    /// `always`.
    OnlyAlways,
    /// `on-failure` and `always`.
    OnFailure,
    /// Each of them.
    Every,
}

/// What the next wake makes of the conversation, if nothing else is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextWake {
    /// It is broken, finished or given up.
    Fresh,
    /// It is healthy.
    Resume,
    /// It is resumed if topic and policy permit.
    OfParked,
    /// It is resumed, but not after a second drain in a short time.
    OfDrained,
}

/// What becomes of the message of an ephemeral worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerMessage {
    /// It is done: the worker was idle for long enough, or exited in order, and simply does not report.
    Done,
    /// The next worker has it: the worker did not cause the end.
    Returned,
    /// The next worker has it, if no other one died of it before.
    ReturnedOnce,
}

impl EndCause {
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
}

impl fmt::Display for EndCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
