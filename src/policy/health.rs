//! Whether a peer may be started again, and when: the guard, the backoff, the latch and the budgets.
//!
//! Everything is computed from what the state files hold, so a guard, a hold or a latch survives every restart of
//! `peer`, and clearing the ring (`peer reset`, a changed spec) clears all of them at once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

mod deaths;
#[cfg(test)]
mod tests;

pub use deaths::{DEATHS_MAX, Death, Deaths, STABLE_AFTER};

use super::ending::{End, EndCause, HoldRule, MEMORY_DRAINS, RecentEnds, SELF_FRESHES};
use super::time::Timestamp;

/// Counted deaths within [`GUARD_WINDOW`] that refuse every wake. Two is a bad day (a crash and one failed retry);
/// with more, an agent that dies in its first second burns that many starts, and their tokens, before anyone is told.
pub const GUARD_DEATHS: usize = 3;

/// How far back the guard looks: 300 s. Shorter and an agent that takes two minutes to die loops for ever; longer and a
/// person who repaired the cause waits for nothing.
pub const GUARD_WINDOW: Duration = Duration::from_secs(300);

/// Deaths in a row after which a peer is failed, unless its spec says otherwise. With the backoff at its cap that is
/// about an hour and a half of trying; fewer gives up during a short outage, more restarts all night.
pub const MAX_RESTARTS_DEFAULT: u32 = 20;

/// What the guard and the latch say about starting the peer now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// Nothing stands against a start.
    Closed,
    /// Too many deaths in too short a time.
    CrashLoop {
        /// Counted deaths within [`GUARD_WINDOW`].
        deaths: usize,
        /// How long until fewer than [`GUARD_DEATHS`] remain; never zero.
        retry_after: Duration,
    },
    /// Given up: only `peer reset`, a changed spec or an operator's force starts it.
    Failed {
        /// Counted deaths in a row.
        deaths: usize,
    },
}

impl Breaker {
    /// Judges the ring at `now`. The latch is asked first, since waiting does not open it.
    pub fn judge(deaths: &Deaths, max_restarts: u32, now: Timestamp) -> Self {
        if latched(deaths, max_restarts) {
            return Self::Failed { deaths: deaths.len() };
        }
        guard(deaths, now).unwrap_or(Self::Closed)
    }
}

/// Whether `max_restarts` deaths came in a row; 0 never latches. More than [`DEATHS_MAX`] means that many: the ring
/// remembers no more.
fn latched(deaths: &Deaths, max_restarts: u32) -> bool {
    let limit = usize::try_from(max_restarts).unwrap_or(usize::MAX).min(DEATHS_MAX);
    limit > 0 && deaths.len() >= limit
}

/// [`Breaker::CrashLoop`] while too many deaths are recent.
///
/// A death up to one window in the future is recent too, so that a small step back of the clock opens nothing; one
/// further ahead was written by a clock that was wrong, and must not refuse wakes until that day.
fn guard(deaths: &Deaths, now: Timestamp) -> Option<Breaker> {
    let recent = |death: &&Death| now.since(death.at_ms) < GUARD_WINDOW && death.at_ms.since(now) < GUARD_WINDOW;
    let times: Vec<Timestamp> = deaths.as_slice().iter().filter(recent).map(|death| death.at_ms).collect();
    let decisive = times.len().checked_sub(GUARD_DEATHS).map(|index| times[index])?;
    let retry_after = GUARD_WINDOW.saturating_sub(now.since(decisive)) + decisive.since(now);
    Some(Breaker::CrashLoop { deaths: times.len(), retry_after })
}

/// First step of the backoff: 30 s. Shorter hammers an API that is down; longer makes one hiccup a visible outage.
const BACKOFF_FIRST: Duration = Duration::from_secs(30);

/// Largest step of the backoff: 300 s, reached with the fifth death. Longer and nobody is there when the outage ends;
/// shorter and the latch closes within the hour.
const BACKOFF_MAX: Duration = Duration::from_secs(300);

/// Which ends are followed by a restart that nobody asked for: the `restart` of a spec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// None: it comes back with the next wake.
    #[default]
    OnWake,
    /// Those that the agent did not choose: deaths, a memory drain, a closed pane, a lost runtime, a reboot.
    OnFailure,
    /// Those, and completion. A park or a stop is never undone.
    Always,
}

impl Restart {
    /// Whether it covers an end of this cause. A self-fresh is always followed by its fresh start: that is what it is.
    const fn covers(self, cause: EndCause) -> bool {
        match cause {
            EndCause::SelfFresh => true,
            EndCause::IdleReaped | EndCause::Stopped | EndCause::Moved => false,
            EndCause::Completed | EndCause::Replaced => matches!(self, Self::Always),
            EndCause::CompletedEarly
            | EndCause::Crashed
            | EndCause::Killed
            | EndCause::Vanished
            | EndCause::Unresponsive
            | EndCause::SpawnFailed
            | EndCause::MemoryDrained
            | EndCause::Closed
            | EndCause::RuntimeLost
            | EndCause::Rebooted => !matches!(self, Self::OnWake),
        }
    }
}

/// What a peer's spec says of its health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthPolicy {
    /// What is restarted by itself.
    pub restart: Restart,
    /// Deaths in a row that close the latch, 0 (never) to [`DEATHS_MAX`].
    pub max_restarts: u32,
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Self { restart: Restart::default(), max_restarts: MAX_RESTARTS_DEFAULT }
    }
}

/// Why an automatic restart waits, and until when. A wake that somebody asks for does not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The backoff after counted deaths.
    Backoff {
        /// The end of the hold.
        until: Timestamp,
        /// Counted deaths in a row.
        deaths: usize,
    },
    /// After an end that is no death: memory was drained, or a budget was overdrawn.
    Pause {
        /// The end of the hold.
        until: Timestamp,
        /// The end that it follows.
        cause: EndCause,
    },
}

impl Hold {
    /// When it is over.
    pub const fn until(self) -> Timestamp {
        match self {
            Self::Backoff { until, .. } | Self::Pause { until, .. } => until,
        }
    }
}

/// How a peer is doing, as list, status and the reaper see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Counted deaths since it was last stable.
    pub deaths: usize,
    /// Guard and latch: what stands against any start.
    pub breaker: Breaker,
    /// What stands against an automatic one, while it lasts.
    pub hold: Option<Hold>,
}

impl Health {
    /// Assesses what the files say, at `now`.
    pub fn assess(deaths: &Deaths, last_end: Option<&End>, policy: HealthPolicy, now: Timestamp) -> Self {
        let hold = last_end.and_then(|end| hold_after(end, deaths, policy.restart));
        Self {
            deaths: deaths.len(),
            breaker: Breaker::judge(deaths, policy.max_restarts, now),
            hold: hold.filter(|hold| now < hold.until()),
        }
    }

    /// Until when nothing starts it by itself, at `now`; `None` when nothing is waited for, or when waiting is in vain
    /// because it failed.
    pub fn held_until(&self, now: Timestamp) -> Option<Timestamp> {
        let guard = match self.breaker {
            Breaker::CrashLoop { retry_after, .. } => Some(now.after(retry_after)),
            Breaker::Closed | Breaker::Failed { .. } => None,
        };
        guard.max(self.hold.map(Hold::until))
    }
}

/// The hold that follows `end`, whether or not it is over.
fn hold_after(end: &End, deaths: &Deaths, restart: Restart) -> Option<Hold> {
    let pause = |until| Hold::Pause { until, cause: end.cause };
    match end.cause.meaning().hold {
        HoldRule::None => None,
        HoldRule::Backoff => {
            let owed = restart != Restart::OnWake && !deaths.is_empty();
            owed.then(|| Hold::Backoff { until: end.at_ms.after(backoff(deaths.len())), deaths: deaths.len() })
        }
        // A reset forgets the recent ends, and the hold with them.
        HoldRule::Always(span) => end.recent.last(end.cause).map(|_| pause(end.at_ms.after(span))),
        HoldRule::PastBudget(span) => {
            let budget = end.cause.meaning().budget?;
            let past = end.recent.count(end.cause, budget.window, end.at_ms) > budget.most;
            past.then(|| pause(end.at_ms.after(span)))
        }
    }
}

/// How long an automatic restart waits after the `deaths`-th death in a row: 30, 60, 120, 240, 300, 300… s; nothing
/// after none.
pub fn backoff(deaths: usize) -> Duration {
    let Some(doublings) = deaths.checked_sub(1) else { return Duration::ZERO };
    let factor = u32::try_from(doublings).ok().and_then(|n| 2_u32.checked_pow(n)).unwrap_or(u32::MAX);
    BACKOFF_FIRST.saturating_mul(factor).min(BACKOFF_MAX)
}

/// Whether a peer that is not awake is to be started without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoRestart {
    /// No: its policy, its last end or the latch says so.
    No,
    /// Yes, but not before this time.
    HeldUntil(Timestamp),
    /// Yes, now.
    Now,
}

/// Whether `restart` starts the peer again by itself after `last_end`. Whether the wake is then allowed is the wake
/// table's to say.
pub fn should_restart(restart: Restart, last_end: Option<&End>, health: &Health, now: Timestamp) -> AutoRestart {
    let covered = last_end.is_some_and(|end| restart.covers(end.cause));
    if !covered || matches!(health.breaker, Breaker::Failed { .. }) {
        return AutoRestart::No;
    }
    health.held_until(now).map_or(AutoRestart::Now, AutoRestart::HeldUntil)
}

/// Whether memory drained so often of late that a person should be told.
pub fn drain_alert(recent: &RecentEnds, now: Timestamp) -> bool {
    recent.count(EndCause::MemoryDrained, MEMORY_DRAINS.window, now) > MEMORY_DRAINS.most
}

/// Whether another self-fresh at `now` is within its budget.
///
/// # Errors
/// How long to wait until it is; the agent keeps its context until then.
pub fn self_fresh_allowed(recent: &RecentEnds, now: Timestamp) -> Result<(), Duration> {
    recent.room(EndCause::SelfFresh, SELF_FRESHES, now)
}
