//! Whether the machine was asleep: nothing could happen meanwhile, so the time does not count as idle.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::store::Heartbeat;

/// Suspensions shorter than this are the difference between two readings of two clocks.
const NOTICEABLE: Duration = Duration::from_secs(5);

/// How long the machine has been suspended since it booted: what the clock that runs on in suspension is ahead of the one
/// that does not.
pub(super) fn suspended() -> Duration {
    #[cfg(target_os = "linux")]
    let (with, without) = (ClockId::CLOCK_BOOTTIME, ClockId::CLOCK_MONOTONIC);
    // clock_gettime(3) on macOS: CLOCK_UPTIME_RAW does not increment while the system is asleep.
    #[cfg(target_os = "macos")]
    let (with, without) =
        (ClockId::from_raw(nix::libc::CLOCK_MONOTONIC_RAW), ClockId::from_raw(nix::libc::CLOCK_UPTIME_RAW));
    let read = |clock| clock_gettime(clock).map(Duration::from).unwrap_or_default();
    read(with).saturating_sub(read(without))
}

/// Whether it slept since the tick before. A smaller value than then means another boot, and says nothing.
pub(super) fn slept(before: &Heartbeat, suspended: Duration) -> bool {
    before.tick > 0 && suspended > Duration::from_millis(before.suspended_ms) + NOTICEABLE
}
