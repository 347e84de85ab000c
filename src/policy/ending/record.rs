//! The record of a peer's last end (`NAME.end`), and the recent ends that it carries along.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Budget, EndCause, Incarnation};
use crate::policy::time::{Timestamp, millis};

/// How the agent's process ended, as its parent saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exit {
    /// It exited with this code (0 to 255).
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

/// The last end of a peer, as stored in `NAME.end`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The incarnation that ended.
    pub incarnation: Incarnation,
    /// Why it ended.
    pub cause: EndCause,
    /// Whether the guard counted it. Repeats [`EndCause::counted`] for readers of the file.
    pub counted: bool,
    /// When it was recorded.
    pub at_ms: Timestamp,
    /// The exit code or signal, if a process saw it: `"code": 3` or `"signal": 9`.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// The time from the agent's start to its end, in milliseconds; 0 if it never ran.
    #[serde(default)]
    pub uptime_ms: u64,
    /// The agent's peak resident memory in KiB, if its parent could read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rss_kib: Option<u64>,
    /// Whether the incarnation never became ready.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unready: bool,
    /// If the incarnation never became ready: the end before it, which still decides what the next wake does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<EndCause>,
    /// The number of starts in a row that should have resumed a conversation and ended before they were ready.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed_resumes: u32,
    /// Recent ends whose cause has a budget, carried over from record to record.
    #[serde(default, skip_serializing_if = "RecentEnds::is_empty")]
    pub recent: RecentEnds,
}

/// The facts about one incarnation at its end, before they are combined with the ends before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndReport {
    /// The incarnation that ended.
    pub incarnation: Incarnation,
    /// Its cause, as classified.
    pub cause: EndCause,
    /// When it ended.
    pub at: Timestamp,
    /// The exit code or signal, if a process saw it.
    pub exit: Option<Exit>,
    /// How long the agent ran.
    pub uptime: Duration,
    /// Peak resident memory, in KiB.
    pub max_rss_kib: Option<u64>,
    /// How far the incarnation had come.
    pub reached: Reached,
}

/// How far an incarnation had come when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// It became ready. What happened to its context after that is its own doing.
    Ready,
    /// It should have started a conversation, and never became ready.
    FreshStart,
    /// It should have resumed a conversation, and never became ready.
    Resume,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl fmt::Display for Exit {
    /// Writes `exit 3` or `SIGKILL`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Code(code) => write!(f, "exit {code}"),
            Self::Signal(number) => match signal_name(number) {
                Some(name) => f.write_str(name),
                None => write!(f, "signal {number}"),
            },
        }
    }
}

/// Returns the name of a signal that has the same number on every Unix.
const fn signal_name(number: i32) -> Option<&'static str> {
    Some(match number {
        SIGHUP => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        8 => "SIGFPE",
        SIGKILL => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        SIGTERM => "SIGTERM",
        24 => "SIGXCPU",
        _ => return None,
    })
}

/// The terminal was hung up.
pub(super) const SIGHUP: i32 = 1;
/// Immediate end: by the out-of-memory killer, by a machine that shuts down, or by the user.
pub(super) const SIGKILL: i32 = 9;
/// Request to end.
pub(super) const SIGTERM: i32 = 15;

impl End {
    /// Creates the record for `report`. It carries over what outlives the `previous` end of the same peer.
    pub fn new(report: EndReport, previous: Option<&Self>) -> Self {
        let EndReport { incarnation, cause, at, exit, uptime, max_rss_kib, reached } = report;
        let unready = reached != Reached::Ready;
        let before = if unready { previous.and_then(Self::lasting_cause) } else { None };
        let failed_resumes = match reached {
            Reached::Resume => previous.map_or(0, |end| end.failed_resumes).saturating_add(1),
            Reached::Ready | Reached::FreshStart => 0,
        };
        let mut recent = previous.map(|end| end.recent.clone()).unwrap_or_default();
        recent.record(cause, at);
        Self {
            incarnation,
            cause,
            counted: cause.counted(),
            at_ms: at,
            exit,
            uptime_ms: millis(uptime),
            max_rss_kib,
            unready,
            before,
            failed_resumes,
            recent,
        }
    }

    /// Returns the cause that decides the next wake, or `None` if no incarnation was ever ready.
    ///
    /// A start that never became ready shows nothing about the context that it should have continued, so the end before
    /// it still decides, unless that context was given up deliberately.
    pub fn lasting_cause(&self) -> Option<EndCause> {
        let unready = self.unready || self.cause == EndCause::SpawnFailed;
        if unready && !self.cause.gives_context_up() { self.before } else { Some(self.cause) }
    }

    /// Clears the used budgets, and with them any restart delay that follows from them (`peer reset`).
    pub fn reset(&mut self) {
        self.recent = RecentEnds::default();
    }

    /// Returns the end as it is displayed: `crashed (exit 3)`, `crashed (pane gone)`, `asleep`.
    pub fn shown_as(&self) -> String {
        let label = self.cause.meaning().shown_as;
        self.detail().map_or_else(|| label.to_owned(), |detail| format!("{label} ({detail})"))
    }

    /// Returns the part in parentheses of [`Self::shown_as`], if the end is a death.
    pub fn detail(&self) -> Option<String> {
        match self.cause {
            EndCause::Vanished => Some("pane gone".to_owned()),
            EndCause::Unresponsive => Some("unresponsive".to_owned()),
            EndCause::SpawnFailed => Some("spawn".to_owned()),
            _ if self.cause.counted() => self.exit.map(|exit| exit.to_string()),
            _ => None,
        }
    }
}

/// An end whose cause has a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentEnd {
    /// When it was.
    pub at_ms: Timestamp,
    /// Its cause.
    pub cause: EndCause,
}

/// Recent ends that are not deaths but have a budget (clean exits and closed panes, self-freshes, memory drains),
/// oldest first.
///
/// They are part of `NAME.end`, so the state directory needs no additional file, and one rename replaces both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecentEnds(Vec<RecentEnd>);

impl RecentEnds {
    /// Returns `true` if there are no entries.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts the ends that share the budget of `cause` within `window` before `at`, including one at `at` itself.
    pub fn count(&self, cause: EndCause, window: Duration, at: Timestamp) -> usize {
        self.within(cause, window, at).count()
    }

    fn within(&self, cause: EndCause, window: Duration, at: Timestamp) -> impl Iterator<Item = Timestamp> {
        let ends =
            self.0.iter().filter(move |end| end.cause.budget_cause() == cause.budget_cause()).map(|end| end.at_ms);
        ends.filter(move |&end| end <= at && at.since(end) < window)
    }

    /// Checks that one more end of this cause at `at` is within its budget.
    ///
    /// # Errors
    /// The time until the budget has room again, never zero.
    pub fn room(&self, cause: EndCause, budget: Budget, at: Timestamp) -> Result<(), Duration> {
        let mut times: Vec<_> = self.within(cause, budget.window, at).collect();
        times.sort_unstable();
        match times.len().checked_sub(budget.most) {
            None => Ok(()),
            Some(first_to_leave) => Err(budget.window.saturating_sub(at.since(times[first_to_leave]))),
        }
    }

    /// Returns when the last end of this cause was.
    pub fn last(&self, cause: EndCause) -> Option<Timestamp> {
        self.0.iter().rev().find(|end| end.cause == cause).map(|end| end.at_ms)
    }

    /// Adds an end, if its cause has a budget. Keeps the newest ends of each budget, one more than it allows: more are
    /// never needed, and ends of one kind displace none of another.
    pub fn record(&mut self, cause: EndCause, at: Timestamp) {
        let Some(budget) = cause.meaning().budget else { return };
        self.0.push(RecentEnd { at_ms: at, cause });
        let shares = |end: &RecentEnd| end.cause.budget_cause() == cause.budget_cause();
        let mut excess = self.0.iter().filter(|end| shares(end)).count().saturating_sub(budget.most + 1);
        self.0.retain(|end| {
            let drops = excess > 0 && shares(end);
            excess -= usize::from(drops);
            !drops
        });
    }
}
