//! Whether a peer may be started again, and when: the guard, the backoff, the latch and the budgets.
//!
//! Everything is computed from what the state files hold, so a guard, a hold or a latch survives every restart of
//! `peer`, and clearing the ring (`peer reset`, a changed spec) clears all of them at once.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ending::{EndCause, Incarnation};
use super::time::Timestamp;

/// Most deaths kept of one peer. Larger than [`MAX_RESTARTS_DEFAULT`], so that the latch can be read off the ring;
/// smaller and it could never close, much larger and a person reading the file sees months.
pub const DEATHS_MAX: usize = 32;

/// Counted deaths within [`GUARD_WINDOW`] that refuse every wake. Two is a bad day (a crash and one failed retry);
/// with more, an agent that dies in its first second burns that many starts, and their tokens, before anyone is told.
pub const GUARD_DEATHS: usize = 3;

/// How far back the guard looks: 300 s. Shorter and an agent that takes two minutes to die loops for ever; longer and a
/// person who repaired the cause waits for nothing.
pub const GUARD_WINDOW: Duration = Duration::from_secs(300);

/// Deaths in a row after which a peer is failed, unless its spec says otherwise. With the backoff at its cap that is
/// about an hour and a half of trying; fewer gives up during a short outage, more restarts all night.
pub const MAX_RESTARTS_DEFAULT: u32 = 20;

/// One counted death.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "DeathEntry")]
pub struct Death {
    /// When it was recorded.
    pub at_ms: Timestamp,
    /// The cause, where the entry says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<EndCause>,
    /// Whose death it was, where the entry says it: it keeps two passes from counting one death twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<Incarnation>,
}

/// What an entry may look like in the file: a bare time, written by hand or by an older tool, is read too.
#[derive(Deserialize)]
#[serde(untagged)]
enum DeathEntry {
    Bare(Timestamp),
    Full {
        at_ms: Timestamp,
        #[serde(default)]
        cause: Option<EndCause>,
        #[serde(default)]
        incarnation: Option<Incarnation>,
    },
}

impl From<DeathEntry> for Death {
    fn from(entry: DeathEntry) -> Self {
        match entry {
            DeathEntry::Bare(at_ms) => Self { at_ms, cause: None, incarnation: None },
            DeathEntry::Full { at_ms, cause, incarnation } => Self { at_ms, cause, incarnation },
        }
    }
}

/// The counted deaths of a peer since it was last stable, oldest first, at most [`DEATHS_MAX`]: `NAME.deaths`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Death>", into = "Vec<Death>")]
pub struct Deaths(Vec<Death>);

impl From<Vec<Death>> for Deaths {
    /// Keeps the newest [`DEATHS_MAX`], in the order of their times whatever order they came in.
    fn from(mut deaths: Vec<Death>) -> Self {
        deaths.sort_by_key(|death| death.at_ms);
        let excess = deaths.len().saturating_sub(DEATHS_MAX);
        deaths.drain(..excess);
        Self(deaths)
    }
}

impl From<Deaths> for Vec<Death> {
    fn from(deaths: Deaths) -> Self {
        deaths.0
    }
}

impl Deaths {
    /// The deaths, oldest first.
    pub fn as_slice(&self) -> &[Death] {
        &self.0
    }

    /// How many there are, which is how many came in a row.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The newest death.
    pub fn last(&self) -> Option<&Death> {
        self.0.last()
    }

    /// Adds the death of `incarnation`, and says whether it was added: the death of one incarnation counts once, and a
    /// cause that is not counted never does.
    pub fn record(&mut self, cause: EndCause, incarnation: Incarnation, at: Timestamp) -> bool {
        let known = self.0.iter().any(|death| death.incarnation == Some(incarnation));
        if known || !cause.counted() {
            return false;
        }
        let mut deaths = std::mem::take(&mut self.0);
        deaths.push(Death { at_ms: at, cause: Some(cause), incarnation: Some(incarnation) });
        *self = Self::from(deaths);
        true
    }
}

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
pub(super) fn latched(deaths: &Deaths, max_restarts: u32) -> bool {
    let limit = usize::try_from(max_restarts).unwrap_or(usize::MAX).min(DEATHS_MAX);
    limit > 0 && deaths.len() >= limit
}

/// [`Breaker::CrashLoop`] while too many deaths are recent.
///
/// A death up to one window in the future is recent too, so that a small step back of the clock opens nothing; one
/// further ahead was written by a clock that was wrong, and must not refuse wakes until that day.
pub(super) fn guard(deaths: &Deaths, now: Timestamp) -> Option<Breaker> {
    let recent = |death: &&Death| now.since(death.at_ms) < GUARD_WINDOW && death.at_ms.since(now) < GUARD_WINDOW;
    let times: Vec<Timestamp> = deaths.as_slice().iter().filter(recent).map(|death| death.at_ms).collect();
    let decisive = times.len().checked_sub(GUARD_DEATHS).map(|index| times[index])?;
    let retry_after = GUARD_WINDOW.saturating_sub(now.since(decisive)) + decisive.since(now);
    Some(Breaker::CrashLoop { deaths: times.len(), retry_after })
}
