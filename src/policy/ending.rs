//! How an incarnation can end, and what each end means.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

mod record;
#[cfg(test)]
mod tests;

pub use record::{End, EndReport, Exit, Reached, RecentEnd, RecentEnds};

use record::{SIGHUP, SIGKILL, SIGTERM};

use super::state::State;
use super::time::Timestamp;

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
    /// Parked to go on in another runtime, or in another version of it.
    Moved,
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
    /// Somebody took its terminal away while the runtime's server lived: a pane or a session was closed.
    Closed,
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
    /// Every one.
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

    /// The name in files, in logs and on the screen.
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

    /// Under which name this end is entered in its budget: ends that nothing failed in share that of clean exits.
    pub(super) const fn spends(self) -> Self {
        match self {
            Self::Closed => Self::Completed,
            other => other,
        }
    }

    /// Whether somebody wanted another context instead of the one that it had.
    pub(super) const fn gives_context_up(self) -> bool {
        matches!(self, Self::SelfFresh | Self::Replaced)
    }

    /// Whether this end is a death that the crash-loop guard counts.
    pub const fn counted(self) -> bool {
        self.meaning().counted
    }

    /// What this end means: the table of the contract's section 5, for breaker, list and log alike.
    pub const fn meaning(self) -> Meaning {
        match self {
            Self::IdleReaped => Meaning { state: State::Asleep, shown_as: "asleep", ..QUIET },
            Self::Moved => Meaning { state: State::Asleep, shown_as: "moved", ..QUIET },
            Self::Stopped => Meaning { state: State::Stopped, shown_as: "stopped", ..QUIET },
            Self::SelfFresh => {
                Meaning { budget: Some(SELF_FRESHES), state: State::Starting, shown_as: "restarting", ..QUIET }
            }
            // Seen only when the fresh start that was to follow did not come about.
            Self::Replaced => Meaning { state: State::Asleep, shown_as: "replaced", ..QUIET },
            Self::Completed => Meaning {
                budget: Some(CLEAN_EXITS),
                hold: HoldRule::PastBudget(PAUSE),
                state: State::Completed,
                shown_as: "completed",
                ..QUIET
            },
            // An agent does not close its own pane, so it did not fail; but whatever closes it may close the next one too.
            Self::Closed => {
                Meaning { budget: Some(CLEAN_EXITS), hold: HoldRule::PastBudget(PAUSE), shown_as: "closed", ..QUIET }
            }
            Self::CompletedEarly
            | Self::Crashed
            | Self::Killed
            | Self::Vanished
            | Self::Unresponsive
            | Self::SpawnFailed => DEATH,
            Self::MemoryDrained => {
                Meaning { budget: Some(MEMORY_DRAINS), hold: HoldRule::Always(PAUSE), shown_as: "drained", ..QUIET }
            }
            Self::RuntimeLost | Self::Rebooted => Meaning { state: State::Lost, shown_as: "lost", ..QUIET },
        }
    }
}

/// What an end means for the next automatic restart, and for whoever looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// Whether the crash-loop guard counts it.
    pub counted: bool,
    /// How many of it are taken as they come, where it has a budget of its own.
    pub budget: Option<Budget>,
    /// What keeps an automatic restart waiting.
    pub hold: HoldRule,
    /// The state that a person sees while nothing else holds.
    pub state: State,
    /// That state in the words of this end.
    pub shown_as: &'static str,
}

/// What keeps an automatic restart waiting after an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HoldRule {
    /// Nothing.
    None,
    /// The backoff, longer with each death in a row.
    Backoff,
    /// This long, each time.
    Always(Duration),
    /// Nothing within the budget; past it, this long.
    PastBudget(Duration),
}

/// How many ends of one kind within a time are taken as they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// That many are within it; one more is past it.
    pub most: usize,
    /// Within this time.
    pub window: Duration,
}

/// Clean exits and closed panes together: 10 in 60 s. A worker that finishes a task every few seconds is within it; fewer would slow it down, more
/// would let an agent that leaves at once with 0 spin a core.
pub const CLEAN_EXITS: Budget = Budget { most: 10, window: Duration::from_secs(60) };

/// Self-freshes: 5 in 300 s. Each costs the reading of an initial prompt; fewer hinders an agent that cleans up after
/// each of some short tasks, more feeds one whose instructions make it start over at once.
pub const SELF_FRESHES: Budget = Budget { most: 5, window: Duration::from_secs(300) };

/// Memory drains: one more than 3 in 600 s is told to a person. Fewer alarms for a heavy afternoon; more hides a limit
/// that is simply too low.
pub const MEMORY_DRAINS: Budget = Budget { most: 3, window: Duration::from_secs(600) };

/// The hold after a drain, and past the budget of clean exits: 30 s, the first step of the backoff. Shorter and the
/// machine has not got its memory back; longer and a fleet's worker is missed.
pub const PAUSE: Duration = Duration::from_secs(30);

/// Ready for this long (10 s) makes exit 0 a completion. Shorter and an agent that shows its prompt and leaves, because
/// a resume was refused or a login is missing, passes for finished work; longer and quick tasks pass for crashes.
pub const COMPLETED_AFTER: Duration = Duration::from_secs(10);

const QUIET: Meaning =
    Meaning { counted: false, budget: None, hold: HoldRule::None, state: State::Asleep, shown_as: "asleep" };
const DEATH: Meaning =
    Meaning { counted: true, budget: None, hold: HoldRule::Backoff, state: State::Crashed, shown_as: "crashed" };

impl fmt::Display for EndCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What somebody of ours wrote down before it ended an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Intent {
    /// The reaper parks it.
    IdleReaped,
    /// `peer stop`.
    Stopped,
    /// `peer move`, `peer restart-runtime`.
    Moved,
    /// `peer self-fresh`.
    SelfFresh,
    /// `peer new`.
    Replaced,
    /// It outgrew its memory limit.
    MemoryDrained,
    /// Its beats stopped.
    Unresponsive,
    /// It outlived its pane, which somebody closed.
    Closed,
    /// It outlived its runtime's server.
    RuntimeLost,
}

impl Intent {
    /// The cause of the end that it leads to.
    pub const fn cause(self) -> EndCause {
        match self {
            Self::IdleReaped => EndCause::IdleReaped,
            Self::Stopped => EndCause::Stopped,
            Self::Moved => EndCause::Moved,
            Self::SelfFresh => EndCause::SelfFresh,
            Self::Replaced => EndCause::Replaced,
            Self::MemoryDrained => EndCause::MemoryDrained,
            Self::Unresponsive => EndCause::Unresponsive,
            Self::Closed => EndCause::Closed,
            Self::RuntimeLost => EndCause::RuntimeLost,
        }
    }

    /// Whether it is for an agent that had lost its terminal already. One that is found with it again is left alone.
    pub const fn of_an_orphan(self) -> bool {
        matches!(self, Self::Closed | Self::RuntimeLost)
    }

    /// This intent, if it was written for the incarnation that was woken at `woke_at`.
    ///
    /// A park marker stays until the next wake is ready, so an older one lies there while a resume fails: it is not why
    /// that resume died.
    pub fn written_for(self, written_at: Timestamp, woke_at: Timestamp) -> Option<Self> {
        (written_at >= woke_at).then_some(self)
    }
}

/// What tells that an incarnation is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Its parent saw it go.
    Exit {
        /// With a code or by a signal.
        exit: Exit,
        /// Since when it had been ready.
        ready_at: Option<Timestamp>,
    },
    /// The pane process got SIGHUP before the agent was gone: its terminal was taken away, and how the agent then left is
    /// not its own doing.
    HungUp,
    /// It could not be started.
    SpawnFailed,
    /// Both axes were asked, and asked again, and it is not there.
    Absent,
    /// Nothing is known but that it is over.
    NotKnown,
}

/// Whether the runtime's server was there when the end was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// It answered.
    Up,
    /// No socket, or nobody listening on it.
    Gone,
}

/// Everything by which an end is classified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndFacts {
    /// What one of us wrote before ending this very incarnation; see [`Intent::written_for`].
    pub intent: Option<Intent>,
    /// What tells that it is over.
    pub evidence: Evidence,
    /// Its runtime's server.
    pub server: Server,
    /// Whether the machine runs under another boot id than the incarnation was started under.
    pub rebooted: bool,
    /// When it ended, or was found to have.
    pub at: Timestamp,
}

/// The one cause of an end: an intent, then the exit record, then what took it away, then a confirmed absence. What is
/// not known is an absence too, and counted.
pub fn classify(facts: &EndFacts) -> EndCause {
    if let Some(intent) = facts.intent {
        return intent.cause();
    }
    let gone = facts.rebooted || facts.server == Server::Gone;
    match facts.evidence {
        // The hangup of a terminal reaches the agent too, and its parent may see that end before its own SIGHUP.
        Evidence::Exit { exit: Exit::Signal(SIGHUP), .. } if gone => taken_away(facts, EndCause::Killed),
        // A machine that goes down ends everything with these two; the agent's parent may still have lived to see it.
        Evidence::Exit { exit: Exit::Signal(SIGTERM | SIGKILL), .. } if facts.rebooted => EndCause::Rebooted,
        Evidence::Exit { exit: Exit::Signal(_), .. } => EndCause::Killed,
        Evidence::Exit { exit: Exit::Code(0), ready_at } => {
            let completed = ready_at.is_some_and(|ready| facts.at.since(ready) >= COMPLETED_AFTER);
            if completed { EndCause::Completed } else { EndCause::CompletedEarly }
        }
        Evidence::Exit { exit: Exit::Code(_), .. } => EndCause::Crashed,
        Evidence::SpawnFailed => EndCause::SpawnFailed,
        Evidence::HungUp => taken_away(facts, EndCause::Closed),
        Evidence::Absent | Evidence::NotKnown => taken_away(facts, EndCause::Vanished),
    }
}

/// What took it away, where the agent did not go by itself; `alone` where its server is still there.
const fn taken_away(facts: &EndFacts, alone: EndCause) -> EndCause {
    match (facts.rebooted, facts.server) {
        (true, _) => EndCause::Rebooted,
        (false, Server::Gone) => EndCause::RuntimeLost,
        (false, Server::Up) => alone,
    }
}
