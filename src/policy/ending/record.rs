//! What is written of an end: `NAME.end`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Budget, EndCause, Incarnation};
use crate::policy::time::Timestamp;

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
    /// It never became ready.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unready: bool,
    /// After a start that never became ready: the end before it, which still says what the next wake does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<EndCause>,
    /// How many starts in a row were to resume, and ended before they were ready.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed_resumes: u32,
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
    /// How far it had come.
    pub reached: Reached,
}

/// How far an incarnation had come when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// It was ready: what became of its context since is its own.
    Ready,
    /// It was to start a conversation, and never was ready.
    FreshStart,
    /// It was to resume one, and never was ready.
    Resume,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl fmt::Display for Exit {
    /// `exit 3`, or `SIGKILL`.
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

/// The name of a signal, where every Unix gives it the same number.
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
/// Ended at once: by the out-of-memory killer, by a machine going down, or by hand.
pub(super) const SIGKILL: i32 = 9;
/// Asked to end.
pub(super) const SIGTERM: i32 = 15;

impl End {
    /// The record for `report`, after the `previous` end of the same peer: it carries on what outlives one end.
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
            uptime_ms: u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX),
            max_rss_kib,
            unready,
            before,
            failed_resumes,
            recent,
        }
    }

    /// The cause that decides the next wake. A start that never was ready says nothing of the context that it was to go on
    /// with, so the end before it still does; unless somebody gave that context up. `None` when nothing ever was ready.
    pub fn lasting_cause(&self) -> Option<EndCause> {
        let unready = self.unready || self.cause == EndCause::SpawnFailed;
        if unready && !self.cause.gives_context_up() { self.before } else { Some(self.cause) }
    }

    /// Forgets the budgets that are used up, and with them any hold that they stand for (`peer reset`).
    pub fn reset(&mut self) {
        self.recent = RecentEnds::default();
    }

    /// The end as a person is shown it: `crashed (exit 3)`, `crashed (pane gone)`, `asleep`.
    pub fn shown_as(&self) -> String {
        let label = self.cause.meaning().shown_as;
        self.detail().map_or_else(|| label.to_owned(), |detail| format!("{label} ({detail})"))
    }

    /// What is in the brackets of [`Self::shown_as`], for an end that is a death.
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

/// An end with a budget of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentEnd {
    /// When.
    pub at_ms: Timestamp,
    /// Its cause.
    pub cause: EndCause,
}

/// Most entries that [`RecentEnds`] keeps. The three budgets together look at no more than 18 (10, 5 and 3) and one past
/// each; with fewer kept, ends of one kind could push another kind's out and open its budget early.
const RECENT_MAX: usize = 32;

/// Recent ends that are no deaths but have a budget (clean exits and closed panes, self-freshes, memory drains), oldest
/// first.
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

    /// How many ends that spend the budget of this cause lie within `window` before `at`, one at `at` itself included.
    pub fn count(&self, cause: EndCause, window: Duration, at: Timestamp) -> usize {
        self.within(cause, window, at).count()
    }

    fn within(&self, cause: EndCause, window: Duration, at: Timestamp) -> impl Iterator<Item = Timestamp> {
        let ends = self.0.iter().filter(move |end| end.cause.spends() == cause.spends()).map(|end| end.at_ms);
        ends.filter(move |&end| end <= at && at.since(end) < window)
    }

    /// Whether one more end of this cause at `at` is within its budget; else how long until it is.
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

    /// When the last end of this cause was.
    pub fn last(&self, cause: EndCause) -> Option<Timestamp> {
        self.0.iter().rev().find(|end| end.cause == cause).map(|end| end.at_ms)
    }

    /// Remembers an end, if its cause has a budget.
    pub fn record(&mut self, cause: EndCause, at: Timestamp) {
        if cause.meaning().budget.is_none() {
            return;
        }
        self.0.push(RecentEnd { at_ms: at, cause });
        let excess = self.0.len().saturating_sub(RECENT_MAX);
        self.0.drain(..excess);
    }
}
