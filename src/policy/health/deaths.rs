//! The counted deaths of a peer: `NAME.deaths`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::policy::ending::{EndCause, Incarnation};
use crate::policy::time::Timestamp;

/// Most deaths kept of one peer. Larger than [`MAX_RESTARTS_DEFAULT`](super::MAX_RESTARTS_DEFAULT), so that the latch can be read off the ring;
/// smaller and it could never close, much larger and a person reading the file sees months.
pub const DEATHS_MAX: usize = 32;

/// Uptime after readiness that makes a peer stable: 300 s. Shorter and a slow crash loop never backs off; longer and an
/// agent that dies once an hour runs into the latch within a day.
pub const STABLE_AFTER: Duration = Duration::from_secs(300);

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

    /// Forgets every death once an incarnation was ready for [`STABLE_AFTER`], and says whether there was any to forget.
    /// Called by the tick while it is awake, and before its own death is recorded.
    pub fn trim_stable(&mut self, ready_for: Duration) -> bool {
        let stable = ready_for >= STABLE_AFTER && !self.is_empty();
        if stable {
            self.0.clear();
        }
        stable
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
