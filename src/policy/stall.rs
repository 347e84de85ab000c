//! Decides whether a turn makes progress, and defines the reactions to a stalled turn and to a usage limit.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::time::{Timestamp, millis};

/// The average share of one core, in percent, above which the CPU time of an agent's processes counts as progress.
/// Drawing a spinner or firing a timer uses less; a compiler, a test run or a search uses more.
const COMPUTES_PERCENT: u128 = 2;

/// The maximum age of a tick's observation that may still report a stall. Ticks run once a minute, and the machine may
/// be loaded.
const STAMPED_WITHIN: Duration = Duration::from_secs(10 * 60);

/// The last observed progress of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names of JSON numbers state their unit")]
pub struct Progress {
    /// When activity was last observed.
    pub at_ms: Timestamp,
    /// The CPU time that the agent's processes had used at `looked_ms`, if the kernel reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<u64>,
    /// When the turn was last observed.
    pub looked_ms: Timestamp,
}

/// The signs from which progress in a turn is inferred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signs {
    /// The newest of: the start of the turn, a message, a transcript record of the agent or of its children, and output
    /// of its pane.
    pub newest: Option<Timestamp>,
    /// The CPU time that the agent's processes have used so far, if the kernel reports it.
    pub cpu_ms: Option<u64>,
}

impl Progress {
    /// Returns the progress after an observation of `signs`. The first observation counts as progress, because the CPU
    /// time used before it has no baseline. So does the first one after a long gap, unless the stall has been `reported`:
    /// that the agent continues is reported once it does something.
    pub fn after(before: Option<Self>, reported: bool, signs: Signs, now: Timestamp) -> Self {
        let Signs { newest, cpu_ms } = signs;
        let Some(before) = before.filter(|before| reported || before.is_recent(now)) else {
            return Self { at_ms: now, cpu_ms, looked_ms: now };
        };
        let used = cpu_ms.zip(before.cpu_ms).map_or(0, |(now, then)| now.saturating_sub(then));
        let computes = u128::from(used) * 100 > now.since(before.looked_ms).as_millis() * COMPUTES_PERCENT;
        // The sum shrinks when one of the processes has exited, and an exit is activity.
        let ended = cpu_ms.zip(before.cpu_ms).is_some_and(|(now, then)| now < then);
        let seen = before.at_ms.max(newest.unwrap_or_default().min(now));
        Self { at_ms: if computes || ended { now } else { seen }, cpu_ms, looked_ms: now }
    }

    /// Returns since when nothing has happened, if that was at least `timeout` ago. `output` is the time of the pane's
    /// last output, as observed now. Also returns `None` if the last observation is too old.
    pub fn stalled(self, output: Option<Timestamp>, timeout: Option<Duration>, now: Timestamp) -> Option<Timestamp> {
        let at = output.map_or(self.at_ms, |output| self.at_ms.max(output));
        timeout.filter(|timeout| self.is_recent(now) && now.since(at) >= *timeout).map(|_| at)
    }

    fn is_recent(self, now: Timestamp) -> bool {
        now.since(self.looked_ms) <= STAMPED_WITHIN
    }
}

/// What to do about an agent that makes no progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnStall {
    /// Report it only.
    #[default]
    Notify,
    /// Interrupt its turn with the keys of its profile.
    Interrupt,
    /// Park and resume it, at most twice an hour.
    Restart,
}

/// What to do about an agent that a usage limit stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnLimit {
    /// Report it only.
    #[default]
    Notify,
    /// Send it its `limit_prompt` once the limit is over.
    Continue,
}

/// The most restarts of a stalled peer within [`STALL_RESTART_WINDOW`].
pub const STALL_RESTARTS: usize = 2;
/// The period in which [`STALL_RESTARTS`] applies.
pub const STALL_RESTART_WINDOW: Duration = Duration::from_secs(60 * 60);

/// The message that is sent once a limit is over, unless the spec says otherwise.
pub const LIMIT_PROMPT: &str = "The usage limit is over. Go on where you stopped.";

/// The period after the end of a limit over which the prompts are spread, so that a fleet stopped by one limit does not
/// continue all at once.
const SPREAD: Duration = Duration::from_secs(60);

/// Returns when the peer `name` continues after a limit: at a time within the minute after it that depends on the name.
pub fn continues_at(name: &str, until: Timestamp) -> Timestamp {
    // FNV-1a: stable across ticks, and different for another name or another limit.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name.bytes().chain(until.as_ms().to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let spread = millis(SPREAD);
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

    /// Returns since when the turn is stalled at `now`, after observations at these seconds, with a timeout of 100 s.
    fn stalled(looks: &[(u64, Signs)], now: u64) -> Option<u64> {
        let mut progress = None;
        for (when, signs) in looks {
            progress = Some(Progress::after(progress, false, *signs, at(*when)));
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
        // A tenth of a core is progress. A hundredth is a spinner.
        assert_eq!(stalled(&[first, (120, signs(None, 6500))], 219), None);
        assert_eq!(stalled(&[first, (120, signs(None, 1100))], 160), Some(60));
        assert_eq!(stalled(&[first, (120, signs(None, 100))], 219), None, "a process of it has ended");
        let seen = Progress::after(None, false, signs(None, 0), at(0));
        assert_eq!(seen.stalled(Some(at(70)), Some(Duration::from_secs(100)), at(150)), None);
    }

    #[test]
    fn where_nobody_has_looked_for_a_while_or_nobody_wants_to_know_nothing_is_told() {
        let seen = Progress::after(None, false, signs(None, 0), at(0));
        assert_eq!(seen.stalled(None, Some(Duration::from_secs(100)), at(601)), None);
        assert_eq!(seen.stalled(None, None, at(500)), None);
    }

    #[test]
    fn the_first_look_after_a_gap_tells_nothing_of_the_time_before_it() {
        let looks = |second| [(0, signs(Some(0), 500)), (second, signs(Some(0), 500))];
        assert_eq!(stalled(&looks(600), 600), Some(0), "it was observed");
        assert_eq!(stalled(&looks(601), 700), None);
        assert_eq!(stalled(&looks(601), 701), Some(601));
        // What was reported stays so until the agent does something.
        let before = Progress::after(None, false, signs(None, 500), at(0));
        assert_eq!(Progress::after(Some(before), true, signs(None, 500), at(700)).at_ms, at(0));
        assert_eq!(Progress::after(Some(before), true, signs(Some(650), 500), at(700)).at_ms, at(650));
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
