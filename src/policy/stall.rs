//! Whether a turn makes progress, and what is done where it does not.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// How much of a core an agent's processes must have used on average to count as progress, in percent: a spinner that is drawn,
/// or a timer that fires, uses less, and a compiler, a test or a search more.
const COMPUTES_PERCENT: u128 = 2;

/// How old what a tick saw of a turn may be, and still be told: ticks come once a minute, and a machine may be loaded.
const STAMPED_WITHIN: Duration = Duration::from_secs(10 * 60);

/// The last that was seen of the progress of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// When something was seen to happen last.
    pub at_ms: Timestamp,
    /// How much CPU time the agent's processes had used then, where the kernel tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<u64>,
    /// When that was looked at.
    pub looked_ms: Timestamp,
}

/// What may tell of progress in a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signs {
    /// The newest of: its beginning, a message, a record in a transcript, its own or a child's, output of its pane.
    pub newest: Option<Timestamp>,
    /// How much CPU time its processes have used by now, where the kernel tells.
    pub cpu_ms: Option<u64>,
}

impl Progress {
    /// What is known after a look that saw `signs`. At the first look nothing is known of what was computed before it.
    pub fn after(before: Option<Self>, signs: Signs, now: Timestamp) -> Self {
        let Signs { newest, cpu_ms } = signs;
        let Some(before) = before else { return Self { at_ms: now, cpu_ms, looked_ms: now } };
        let used = cpu_ms.zip(before.cpu_ms).map_or(0, |(now, then)| now.saturating_sub(then));
        let computes = u128::from(used) * 100 > now.since(before.looked_ms).as_millis() * COMPUTES_PERCENT;
        // Where one of them has ended the sum is smaller: something happened.
        let ended = cpu_ms.zip(before.cpu_ms).is_some_and(|(now, then)| now < then);
        let seen = before.at_ms.max(newest.unwrap_or_default().min(now));
        Self { at_ms: if computes || ended { now } else { seen }, cpu_ms, looked_ms: now }
    }

    /// Since when nothing has happened, where that is for `timeout` at least. `output`: when its pane put something out last, by
    /// a look of now. `None` too where nobody has looked for a while.
    pub fn stalled(self, output: Option<Timestamp>, timeout: Option<Duration>, now: Timestamp) -> Option<Timestamp> {
        let at = output.map_or(self.at_ms, |output| self.at_ms.max(output));
        let known = now.since(self.looked_ms) <= STAMPED_WITHIN;
        timeout.filter(|timeout| known && now.since(at) >= *timeout).map(|_| at)
    }
}

/// What is done about an agent that makes no progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnStall {
    /// It is told of, and no more.
    #[default]
    Notify,
    /// Its turn is stopped, by the keys of its profile.
    Interrupt,
    /// It is parked and resumed, twice an hour at most.
    Restart,
}

/// What is done about an agent that a usage limit stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnLimit {
    /// It is told of, and no more.
    #[default]
    Notify,
    /// Once the limit is over, it is sent its `limit_prompt`.
    Continue,
}

/// How often a peer is restarted for want of progress, at most, and within which time.
pub const STALL_RESTARTS: usize = 2;
/// See [`STALL_RESTARTS`].
pub const STALL_RESTART_WINDOW: Duration = Duration::from_secs(60 * 60);

/// What is sent once a limit is over, unless a spec says otherwise.
pub const LIMIT_PROMPT: &str = "The usage limit is over. Go on where you stopped.";

/// Within how long after the end of a limit a peer is sent its prompt: a fleet that is stopped by one limit does not speak at one
/// moment.
const SPREAD: Duration = Duration::from_secs(60);

/// When a peer of this name goes on after a limit: at a moment of its own within the minute behind it.
pub fn continues_at(name: &str, until: Timestamp) -> Timestamp {
    // FNV-1a: the same at each tick, and another for another name or another limit.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name.bytes().chain(until.as_ms().to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let spread = u64::try_from(SPREAD.as_millis()).unwrap_or(u64::MAX);
    until.after(Duration::from_millis((hash >> 16) % spread))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Timestamp {
        Timestamp::from_ms(1_000_000_000 + s * 1000)
    }

    fn signs(newest: Option<u64>, cpu_ms: u64) -> Signs {
        Signs { newest: newest.map(at), cpu_ms: Some(cpu_ms) }
    }

    /// Whether it is stalled after looks at these seconds, with a timeout of 100 s.
    fn stalled(looks: &[(u64, Signs)], now: u64) -> Option<u64> {
        let mut progress = None;
        for (when, signs) in looks {
            progress = Some(Progress::after(progress, *signs, at(*when)));
        }
        let since = progress?.stalled(None, Some(Duration::from_secs(100)), at(now))?;
        Some((since.as_ms() - 1_000_000_000) / 1000)
    }

    #[test]
    fn a_turn_in_which_nothing_happens_is_stalled_after_the_timeout_and_not_before() {
        let looks = [(60, signs(Some(0), 500)), (120, signs(Some(0), 510))];
        assert_eq!(stalled(&looks, 159), None, "what was computed before the first look nobody knows");
        assert_eq!(stalled(&looks, 160), Some(60));
    }

    #[test]
    fn a_record_output_a_child_or_computing_is_progress() {
        let first = (60, signs(Some(0), 500));
        assert_eq!(stalled(&[first, (120, signs(Some(110), 500))], 200), None);
        assert_eq!(stalled(&[first, (120, signs(Some(110), 500))], 210), Some(110));
        // A tenth of a core; a hundredth is a spinner.
        assert_eq!(stalled(&[first, (120, signs(None, 6500))], 219), None);
        assert_eq!(stalled(&[first, (120, signs(None, 1100))], 160), Some(60));
        assert_eq!(stalled(&[first, (120, signs(None, 100))], 219), None, "a process of it has ended");
        let seen = Progress::after(None, signs(None, 0), at(0));
        assert_eq!(seen.stalled(Some(at(70)), Some(Duration::from_secs(100)), at(150)), None);
    }

    #[test]
    fn where_nobody_has_looked_for_a_while_or_nobody_wants_to_know_nothing_is_told() {
        let seen = Progress::after(None, signs(None, 0), at(0));
        assert_eq!(seen.stalled(None, Some(Duration::from_secs(100)), at(601)), None);
        assert_eq!(seen.stalled(None, None, at(500)), None);
    }

    #[test]
    fn a_fleet_goes_on_at_many_moments_of_the_minute_after_a_limit() {
        let until = at(7);
        let mut moments: Vec<u64> = (0..100).map(|n| continues_at(&format!("peer-{n}"), until).as_ms()).collect();
        assert!(moments.iter().all(|moment| (until.as_ms()..until.as_ms() + 60_000).contains(moment)), "{moments:?}");
        moments.sort_unstable();
        moments.dedup();
        assert!(moments.len() > 90, "{moments:?}");
        assert_eq!(continues_at("a", until), continues_at("a", until));
    }
}
