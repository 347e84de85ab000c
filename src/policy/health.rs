//! Decides whether and when a peer may be started again, from the guard, the backoff, the latch and the budgets.
//!
//! Everything is computed from the state files. A guard, a delay or a latch therefore survives every restart of `peer`,
//! and clearing the ring (`peer reset`, a changed spec) clears all of them at once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

mod deaths;
#[cfg(test)]
mod tests;

pub use deaths::{DEATHS_MAX, Death, Deaths};

use super::ending::{End, EndCause, MEMORY_DRAINS, RecentEnds, RestartDelayRule, RestartedBy, SELF_FRESHES};
use super::time::Timestamp;

/// The number of counted deaths within [`GUARD_WINDOW`] at which every wake is refused. Two are bad luck (a crash and a
/// failed retry). With a larger number, an agent that dies in its first second burns that many starts, and their
/// tokens, before the user learns of it.
pub const GUARD_DEATHS: usize = 3;

/// How far back the guard looks: 300 s. If it were shorter, an agent that takes two minutes to die would loop forever;
/// if it were longer, a user who has fixed the cause would wait for nothing.
pub const GUARD_WINDOW: Duration = Duration::from_secs(300);

/// The number of deaths in a row after which a peer has failed, unless its spec sets another. With the backoff at its
/// cap, this is about an hour and a half of attempts. A smaller number gives up during a short outage; a larger one
/// restarts all night.
pub const MAX_RESTARTS_DEFAULT: u32 = 20;

/// What the guard and the latch allow now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breaker {
    /// Starts are allowed.
    Closed,
    /// There were too many deaths within [`GUARD_WINDOW`].
    CrashLoop {
        /// Counted deaths within [`GUARD_WINDOW`].
        deaths: usize,
        /// How long until fewer than [`GUARD_DEATHS`] remain; never zero.
        retry_after: Duration,
    },
    /// The peer has failed. Only `peer reset`, a changed spec or a forced start brings it back.
    Failed {
        /// Counted deaths in a row.
        deaths: usize,
    },
}

impl Breaker {
    /// Judges the recorded deaths at `now`. The latch is checked first because waiting does not release it.
    pub fn judge(deaths: &Deaths, max_restarts: u32, now: Timestamp) -> Self {
        if latched(deaths, max_restarts) {
            return Self::Failed { deaths: deaths.len() };
        }
        guard(deaths, now).unwrap_or(Self::Closed)
    }
}

/// Whether there were `max_restarts` deaths in a row; 0 never latches. Values above [`DEATHS_MAX`] mean [`DEATHS_MAX`],
/// because the ring keeps no more.
fn latched(deaths: &Deaths, max_restarts: u32) -> bool {
    let limit = usize::try_from(max_restarts).unwrap_or(usize::MAX).min(DEATHS_MAX);
    limit > 0 && deaths.len() >= limit
}

/// Returns [`Breaker::CrashLoop`] while too many deaths are recent.
fn guard(deaths: &Deaths, now: Timestamp) -> Option<Breaker> {
    let times = recent(deaths, now);
    let decisive = times.len().checked_sub(GUARD_DEATHS).map(|index| times[index])?;
    let retry_after = GUARD_WINDOW.saturating_sub(now.since(decisive)) + decisive.since(now);
    Some(Breaker::CrashLoop { deaths: times.len(), retry_after })
}

/// Returns when the deaths were that the guard counts.
///
/// A death up to one window in the future also counts as recent, so that setting the clock back a little does not
/// release the guard. A death further ahead was recorded by a wrong clock, and must not block wakes until that day.
pub fn recent(deaths: &Deaths, now: Timestamp) -> Vec<Timestamp> {
    let counts = |death: &&Death| now.since(death.at_ms) < GUARD_WINDOW && death.at_ms.since(now) < GUARD_WINDOW;
    deaths.as_slice().iter().filter(counts).map(|death| death.at_ms).collect()
}

/// The first step of the backoff: 30 s. A shorter one hammers an API that is down; a longer one turns one hiccup into a
/// visible outage.
const BACKOFF_FIRST: Duration = Duration::from_secs(30);

/// The largest step of the backoff: 300 s, reached with the fifth death. With a longer one, the peer is still down when
/// the outage ends; with a shorter one, the latch closes within the hour.
const BACKOFF_MAX: Duration = Duration::from_secs(300);

/// The ends after which a peer is restarted automatically: `restart` in its spec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// None. The peer comes back with the next wake.
    #[default]
    OnWake,
    /// Ends that the agent did not choose: deaths, a memory drain, a closed pane, a lost runtime, a reboot.
    OnFailure,
    /// Those and completion. A park or a stop is never undone.
    Always,
}

impl Restart {
    /// Whether this policy covers an end of this cause.
    const fn covers(self, cause: EndCause) -> bool {
        match cause.meaning().restarted_by {
            RestartedBy::None => false,
            RestartedBy::OnlyAlways => matches!(self, Self::Always),
            RestartedBy::OnFailure => !matches!(self, Self::OnWake),
            RestartedBy::Every => true,
        }
    }
}

/// The health settings of a peer's spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthPolicy {
    /// Which ends are followed by an automatic restart.
    pub restart: Restart,
    /// The number of deaths in a row that closes the latch, from 0 (never) to [`DEATHS_MAX`].
    pub max_restarts: u32,
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Self { restart: Restart::default(), max_restarts: MAX_RESTARTS_DEFAULT }
    }
}

/// Why an automatic restart is delayed, and until when. A requested wake is not delayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartDelay {
    /// The backoff after counted deaths.
    Backoff {
        /// When the backoff is over.
        until: Timestamp,
        /// Counted deaths in a row.
        deaths: usize,
    },
    /// The pause after an end that is not a death: a memory drain, or an exceeded budget.
    Pause {
        /// When the pause is over.
        until: Timestamp,
        /// The cause of the end that it follows.
        cause: EndCause,
    },
}

impl RestartDelay {
    /// Returns when the delay is over.
    pub const fn until(self) -> Timestamp {
        match self {
            Self::Backoff { until, .. } | Self::Pause { until, .. } => until,
        }
    }
}

/// The health of a peer, as `peer list`, `peer status` and the reaper use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// The number of counted deaths since the peer was last stable.
    pub deaths: usize,
    /// What the guard and the latch allow.
    pub breaker: Breaker,
    /// What delays an automatic restart now.
    pub restart_delay: Option<RestartDelay>,
}

impl Health {
    /// Assesses the recorded state at `now`.
    pub fn assess(deaths: &Deaths, last_end: Option<&End>, policy: HealthPolicy, now: Timestamp) -> Self {
        Self {
            deaths: deaths.len(),
            breaker: Breaker::judge(deaths, policy.max_restarts, now),
            restart_delay: last_end.and_then(|end| restart_delay_after(end, deaths, policy.restart, now)),
        }
    }

    /// Returns until when automatic restarts are delayed, as of `now`. `None` if there is no delay, or if the peer has
    /// failed and waiting would not help.
    pub fn held_until(&self, now: Timestamp) -> Option<Timestamp> {
        let guard = match self.breaker {
            Breaker::CrashLoop { retry_after, .. } => Some(now.after(retry_after)),
            Breaker::Closed | Breaker::Failed { .. } => None,
        };
        guard.max(self.restart_delay.map(RestartDelay::until))
    }
}

/// Returns the delay that follows `end`, if it is not over.
///
/// An end up to as far in the future as its delay is long holds too, as a death does for the guard. One further ahead was
/// recorded by a wrong clock, and must not hold the peer until that day.
fn restart_delay_after(end: &End, deaths: &Deaths, restart: Restart, now: Timestamp) -> Option<RestartDelay> {
    let until = |span| Some(end.at_ms.after(span)).filter(|until| now < *until && end.at_ms.since(now) < span);
    let pause = |until| RestartDelay::Pause { until, cause: end.cause };
    match end.cause.meaning().restart_delay {
        RestartDelayRule::None => None,
        RestartDelayRule::Backoff => {
            let owed = restart != Restart::OnWake && !deaths.is_empty();
            let until = until(backoff(deaths.len())).filter(|_| owed)?;
            Some(RestartDelay::Backoff { until, deaths: deaths.len() })
        }
        // A reset clears the recent ends, and the delay with them.
        RestartDelayRule::Always(span) => end.recent.last(end.cause).and_then(|_| until(span)).map(pause),
        RestartDelayRule::PastBudget(span) => {
            let budget = end.cause.meaning().budget?;
            let past = end.recent.count(end.cause, budget.window, end.at_ms) > budget.most;
            until(span).filter(|_| past).map(pause)
        }
    }
}

/// Returns how long an automatic restart waits after the `deaths`-th death in a row: 30, 60, 120, 240, 300, 300… s, and
/// zero without deaths.
pub fn backoff(deaths: usize) -> Duration {
    let Some(doublings) = deaths.checked_sub(1) else { return Duration::ZERO };
    let factor = u32::try_from(doublings).ok().and_then(|n| 2_u32.checked_pow(n)).unwrap_or(u32::MAX);
    BACKOFF_FIRST.saturating_mul(factor).min(BACKOFF_MAX)
}

/// Whether a peer that is not awake is restarted automatically.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoRestart {
    /// No, because of its policy, its last end or the latch.
    No,
    /// Yes, but not before this time.
    HeldUntil(Timestamp),
    /// Yes, now.
    Now,
}

/// Decides whether `restart` brings the peer back automatically after `last_end`. The wake table then decides whether
/// the wake is allowed.
pub fn should_restart(restart: Restart, last_end: Option<&End>, health: &Health, now: Timestamp) -> AutoRestart {
    let covered = last_end.is_some_and(|end| restart.covers(end.cause));
    if !covered || matches!(health.breaker, Breaker::Failed { .. }) {
        return AutoRestart::No;
    }
    health.held_until(now).map_or(AutoRestart::Now, AutoRestart::HeldUntil)
}

/// Whether memory drained so often recently that the user should be alerted.
pub fn drain_alert(recent: &RecentEnds, now: Timestamp) -> bool {
    recent.count(EndCause::MemoryDrained, MEMORY_DRAINS.window, now) > MEMORY_DRAINS.most
}

/// Checks that another self-fresh at `now` is within its budget.
///
/// # Errors
/// How long to wait until it is. The agent keeps its context until then.
pub fn self_fresh_allowed(recent: &RecentEnds, now: Timestamp) -> Result<(), Duration> {
    recent.room(EndCause::SelfFresh, SELF_FRESHES, now)
}
