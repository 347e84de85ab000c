//! Points in time, as the state files store them.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize, Serializer};

/// A point in time: milliseconds since the Unix epoch, by the machine's wall clock.
///
/// In JSON it is a plain number (fields end in `_ms`). For people and in marker files it is formatted as RFC 3339 in
/// UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Creates a timestamp from milliseconds since the epoch.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Returns the milliseconds since the epoch.
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// Returns the time from `earlier` to `self`, or zero if `earlier` is later (a clock that was set back).
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Returns the time `span` earlier, but not before the epoch.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)))
    }

    /// Returns the time `span` later.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }
}

/// Returns a time span in whole milliseconds, as JSON documents and state files have it (fields end in `_ms`).
pub fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The last millisecond of the year 9999.
const LAST_NAMED_MS: u64 = 253_402_300_799_999;

impl From<SystemTime> for Timestamp {
    /// Converts a time before the epoch to the epoch.
    fn from(time: SystemTime) -> Self {
        let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(millis(since_epoch))
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        UNIX_EPOCH + Duration::from_millis(time.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // RFC 3339 cannot express later times. A file with such a time is wrong, but still has to be displayed.
        let named = Self(self.0.min(LAST_NAMED_MS));
        humantime::format_rfc3339_millis(named.into()).fmt(f)
    }
}

/// The error for text that is not an RFC 3339 time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an RFC 3339 time")]
pub struct NotATime(String);

impl FromStr for Timestamp {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        humantime::parse_rfc3339_weak(text.trim()).map(Self::from).map_err(|_| NotATime(text.to_owned()))
    }
}

/// Writes a time that may be unknown as it is displayed, and not as a number: for `serialize_with`.
///
/// # Errors
/// Those of the serializer.
#[allow(clippy::ref_option, reason = "serde passes the field")]
pub fn rfc3339<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.collect_str(at),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_reads_the_same_millisecond() {
        let time = Timestamp::from_ms(1_795_305_600_123);
        assert_eq!(time.to_string(), "2026-11-22T00:00:00.123Z");
        assert_eq!(Timestamp::from_ms(u64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
        assert_eq!(time.to_string().parse(), Ok(time));
    }

    #[test]
    fn a_clock_set_back_gives_zero_and_not_an_underflow() {
        assert_eq!(Timestamp::from_ms(5).since(Timestamp::from_ms(9)), Duration::ZERO);
    }
}
