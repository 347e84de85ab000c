//! The ring of a peer's counted deaths (`NAME.deaths`).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::policy::ending::{EndCause, Incarnation};
use crate::policy::time::Timestamp;

/// The largest number of deaths kept per peer. It exceeds [`MAX_RESTARTS_DEFAULT`](super::MAX_RESTARTS_DEFAULT) because
/// the latch is computed from the ring. With a smaller number the latch could never close; with a much larger one the
/// file would cover months.
pub const DEATHS_MAX: usize = 32;

/// The uptime after readiness that makes a peer stable: 300 s. If it were shorter, a slow crash loop would never back
/// off; if it were longer, an agent that dies once an hour would reach the latch within a day.
pub const STABLE_AFTER: Duration = Duration::from_secs(300);

/// One counted death.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "DeathEntry")]
pub struct Death {
    /// When it was recorded.
    pub at_ms: Timestamp,
    /// The cause, if the entry has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<EndCause>,
    /// The incarnation that died, if the entry has it. It keeps two passes from counting one death twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<Incarnation>,
}

/// The accepted forms of an entry. A bare time, written manually or by an older tool, is accepted too.
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
    /// Sorts the deaths by time and keeps the newest [`DEATHS_MAX`].
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
    /// Returns the deaths, oldest first.
    pub fn as_slice(&self) -> &[Death] {
        &self.0
    }

    /// Returns the number of deaths, which is the number of deaths in a row.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns `true` if there are no deaths.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the newest death.
    pub fn last(&self) -> Option<&Death> {
        self.0.last()
    }

    /// Forgets every death once an incarnation has been ready for [`STABLE_AFTER`], and returns whether there were any.
    /// Called by each tick while the peer is awake, and at its end before that death is added.
    pub fn trim_stable(&mut self, ready_for: Duration) -> bool {
        let stable = ready_for >= STABLE_AFTER && !self.is_empty();
        if stable {
            self.0.clear();
        }
        stable
    }

    /// Adds the death of `incarnation`, and returns whether it was added. Each incarnation's death counts once, and a
    /// cause that is not counted is never added.
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
