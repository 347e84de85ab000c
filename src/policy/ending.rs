//! How an incarnation can end, and what each end means.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

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

/// How the agent's process went, as its parent saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exit {
    /// It exited with this code, 0 to 255.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

/// The last end of a peer, as `NAME.end` holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Whose end it was.
    pub incarnation: Incarnation,
    /// The one cause.
    pub cause: EndCause,
    /// Whether the guard counted it; [`EndCause::counted`] written out for the person who reads the file.
    pub counted: bool,
    /// When it was recorded.
    pub at_ms: Timestamp,
    /// Code or signal, where somebody saw it: `"code": 3` or `"signal": 9`.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// From the start of the agent to its end; 0 when it never ran.
    #[serde(default)]
    pub uptime_ms: u64,
    /// Peak resident memory of the agent, where its parent could read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rss_kib: Option<u64>,
    /// After a spawn that failed: the end before it, which still says what the next wake does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<EndCause>,
    /// Recent ends that have a budget of their own, carried from end to end.
    #[serde(default, skip_serializing_if = "RecentEnds::is_empty")]
    pub recent: RecentEnds,
}

/// What is known of one incarnation when it ends, before it is put beside the ends that came earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndReport {
    /// Whose end.
    pub incarnation: Incarnation,
    /// Its cause, from the classifier.
    pub cause: EndCause,
    /// When.
    pub at: Timestamp,
    /// Code or signal, where somebody saw it.
    pub exit: Option<Exit>,
    /// How long the agent ran.
    pub uptime: Duration,
    /// Peak resident memory, in KiB.
    pub max_rss_kib: Option<u64>,
}

impl End {
    /// The record for `report`, after the `previous` end of the same peer: it carries on what outlives one end.
    pub fn new(report: EndReport, previous: Option<&Self>) -> Self {
        let EndReport { incarnation, cause, at, exit, uptime, max_rss_kib } = report;
        let before = if cause == EndCause::SpawnFailed { previous.and_then(Self::lasting_cause) } else { None };
        let mut recent = previous.map(|end| end.recent.clone()).unwrap_or_default();
        recent.record(cause, at);
        Self {
            incarnation,
            cause,
            counted: cause.counted(),
            at_ms: at,
            exit,
            uptime_ms: u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX),
            max_rss_kib,
            before,
            recent,
        }
    }

    /// The cause that decides the next wake: a spawn that failed changed nothing, so the end before it still does.
    /// `None` when nothing ever ran.
    pub fn lasting_cause(&self) -> Option<EndCause> {
        if self.cause == EndCause::SpawnFailed { self.before } else { Some(self.cause) }
    }
}

/// An end with a budget of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentEnd {
    /// When.
    pub at_ms: Timestamp,
    /// Its cause.
    pub cause: EndCause,
}

/// Most entries that [`RecentEnds`] keeps. The largest budget is 10; one entry more than each of the three budgets
/// needs fits easily, and the file stays one screen.
const RECENT_MAX: usize = 32;

/// Recent ends that are no deaths but have a budget (clean exits, self-freshes, memory drains), oldest first.
///
/// They travel in `NAME.end`, so that the state directory needs no file more and one rename replaces both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecentEnds(Vec<RecentEnd>);

impl RecentEnds {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many ends of this cause lie within `window` before `at`, one at `at` itself included.
    pub fn count(&self, cause: EndCause, window: Duration, at: Timestamp) -> usize {
        let within = |end: &&RecentEnd| end.cause == cause && end.at_ms <= at && at.since(end.at_ms) < window;
        self.0.iter().filter(within).count()
    }

    /// When the last end of this cause was.
    pub fn last(&self, cause: EndCause) -> Option<Timestamp> {
        self.0.iter().rev().find(|end| end.cause == cause).map(|end| end.at_ms)
    }

    /// Remembers an end, if its cause has a budget.
    pub fn record(&mut self, cause: EndCause, at: Timestamp) {
        if !matches!(cause, EndCause::Completed | EndCause::SelfFresh | EndCause::MemoryDrained) {
            return;
        }
        self.0.push(RecentEnd { at_ms: at, cause });
        let excess = self.0.len().saturating_sub(RECENT_MAX);
        self.0.drain(..excess);
    }
}
