//! The machine's clocks: whether it was suspended or its clock was set since the last tick. Nothing can happen during a
//! suspension, and no time passes when the clock is set, so neither counts as idle time.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::policy::time::Timestamp;
use crate::store::Heartbeat;

/// Shorter suspensions and steps are just the difference between two readings of two clocks, or a clock that is being
/// slewed (43 s a day at most).
const NOTICEABLE: Duration = Duration::from_secs(5);

#[cfg(target_os = "linux")]
const WITH_SLEEP: ClockId = ClockId::CLOCK_BOOTTIME;
#[cfg(target_os = "linux")]
const WITHOUT_SLEEP: ClockId = ClockId::CLOCK_MONOTONIC;
// clock_gettime(3) on macOS: CLOCK_UPTIME_RAW does not increment while the system is asleep.
#[cfg(target_os = "macos")]
const WITH_SLEEP: ClockId = ClockId::from_raw(nix::libc::CLOCK_MONOTONIC_RAW);
#[cfg(target_os = "macos")]
const WITHOUT_SLEEP: ClockId = ClockId::from_raw(nix::libc::CLOCK_UPTIME_RAW);

fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).map(Duration::from).unwrap_or_default()
}

/// Returns how long the machine has been up, suspensions included. This clock is never set.
pub(super) fn up() -> Duration {
    read(WITH_SLEEP)
}

/// Returns how long the machine has been running since it booted, without suspensions.
pub(super) fn running() -> Duration {
    read(WITHOUT_SLEEP)
}

/// Returns how long the machine has been suspended since it booted: the difference between the clock that includes
/// suspensions and the one that does not.
pub(super) fn suspended() -> Duration {
    up().saturating_sub(running())
}

/// Whether the machine was suspended since the last tick. A smaller value than at that tick means another boot, and
/// proves nothing.
pub(super) fn slept(before: &Heartbeat, suspended: Duration) -> bool {
    before.tick > 0 && suspended > Duration::from_millis(before.suspended_ms).saturating_add(NOTICEABLE)
}

/// Whether the wall clock was set since the last tick, so that it differs from the clock that is never set. Another
/// boot proves nothing, nor does a heartbeat of an older `peer`.
pub(super) fn was_set(before: &Heartbeat, now: Timestamp, up: Duration) -> bool {
    let then = Duration::from_millis(before.up_ms);
    if before.tick == 0 || before.up_ms == 0 || up < then {
        return false;
    }
    let (on, back) = (now.since(before.started_at_ms), before.started_at_ms.since(now));
    let passed = up.saturating_sub(then);
    on > passed.saturating_add(NOTICEABLE) || on.saturating_add(NOTICEABLE) < passed || back > NOTICEABLE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_either_way_is_told_from_time_that_passed() {
        let before = Heartbeat {
            tick: 1,
            started_at_ms: Timestamp::from_ms(1_000_000_000),
            up_ms: 500_000,
            ..Heartbeat::default()
        };
        let after = |wall_s: i64, up_s: u64| {
            let now = Timestamp::from_ms(1_000_000_000_u64.saturating_add_signed(wall_s * 1000));
            was_set(&before, now, Duration::from_secs(500 + up_s))
        };
        assert!(!after(60, 60) && !after(64, 60) && !after(56, 60) && !after(86_400, 86_400));
        assert!(after(86_460, 60) && after(-86_340, 60) && after(0, 60) && after(66, 60));
        let other_boot = Heartbeat { up_ms: 900_000, ..before.clone() };
        assert!(!was_set(&other_boot, Timestamp::from_ms(5), Duration::from_secs(1)));
        assert!(!was_set(&Heartbeat { up_ms: 0, ..before }, Timestamp::from_ms(5), Duration::from_secs(1)));
    }
}
