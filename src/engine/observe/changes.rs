//! When to look at a pane. A capture costs 3 ms of two processes on tmux and five times that on zellij, while the agent
//! that is awaited needs the processor itself.

use std::time::Duration;

use peer_adapters::writes::Writes;
use tokio::time::Instant;

use crate::store::SessionRecord;

/// The interval at which the kernel is queried for the agent's writes; each query takes a few microseconds.
const KERNEL_POLL: Duration = Duration::from_millis(4);

/// How long a runtime usually needs to show what the agent has written. A look that came sooner is repeated.
const SHOWN_AFTER: Duration = Duration::from_millis(20);

/// The longest time between two looks: a runtime on a loaded machine may show output late, and a person may change the
/// pane.
const MAX_INTERVAL: Duration = Duration::from_millis(100);

/// The least time between two looks, as a multiple of what one costs.
const IDLE_FACTOR: u32 = 3;

/// What to check next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// The agent has written something, so its files may have changed.
    Files,
    /// Its screen may have changed as well.
    Screen,
}

/// When one agent wrote, and when its screen was last captured.
pub(crate) struct Changes {
    writes: Option<Writes>,
    seen: Option<u64>,
    changed: Instant,
    /// When the last look began, and how long it took.
    looked: Instant,
    took: Duration,
    gap: Duration,
}

impl Changes {
    /// Watches the agent of a record whose screen has just been looked at, with at least `gap` between two looks.
    pub(crate) fn of(record: &SessionRecord, gap: Duration) -> Self {
        let mut writes = record.process.map(|agent| Writes::of(agent.id.pid));
        let seen = writes.as_mut().and_then(Writes::count);
        let now = Instant::now();
        Self { writes, seen, changed: now, looked: now, took: Duration::ZERO, gap }
    }

    /// Waits until something is due.
    pub(crate) async fn next(&mut self) -> Due {
        loop {
            tokio::time::sleep(KERNEL_POLL).await;
            let (seen, now) = (self.writes.as_mut().and_then(Writes::count), Instant::now());
            let is_new = seen != self.seen;
            if is_new {
                (self.seen, self.changed) = (seen, now);
            }
            if self.is_due(now) {
                self.looked = now;
                return Due::Screen;
            }
            if is_new {
                return Due::Files;
            }
        }
    }

    /// Waits until a look at the screen is due.
    pub(crate) async fn screen(&mut self) {
        while self.next().await != Due::Screen {}
    }

    /// Records that the look that was due is over.
    pub(crate) fn looked(&mut self) {
        self.took = self.looked.elapsed();
    }

    fn is_due(&self, now: Instant) -> bool {
        let since = |at: Instant| now.saturating_duration_since(at);
        let rested = since(self.looked);
        let is_shown = since(self.changed) >= SHOWN_AFTER;
        let was_early = self.looked < self.changed + SHOWN_AFTER;
        let may_be_new = self.seen.is_none() || self.changed > self.looked || (is_shown && was_early);
        rested >= MAX_INTERVAL.max(self.took * IDLE_FACTOR)
            || (may_be_new && rested >= self.gap.max(self.took * IDLE_FACTOR))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// What is due `after` ms after the last look, if the agent wrote `wrote` ms after it.
    fn due(wrote: Option<u32>, seen: Option<u64>, after: u32) -> bool {
        let looked = Instant::now() + MS * 1000;
        let changed = wrote.map_or(looked - MS * 500, |wrote| looked + MS * wrote);
        let changes = Changes { writes: None, seen, changed, looked, took: MS * 5, gap: MS * 15 };
        changes.is_due(looked + MS * after)
    }

    #[test]
    fn a_screen_that_stands_still_is_looked_at_rarely() {
        assert!(!due(None, Some(7), 99));
        assert!(due(None, Some(7), 100));
    }

    #[test]
    fn a_change_is_looked_at_once_the_last_look_is_long_enough_ago() {
        assert!(!due(Some(4), Some(7), 14));
        assert!(due(Some(4), Some(7), 15));
        assert!(due(Some(60), Some(7), 60));
    }

    #[test]
    fn a_look_that_came_too_soon_behind_a_change_is_repeated() {
        let looked = Instant::now() + MS * 1000;
        let of = |wrote_before: u32, after: u32| {
            let changed = looked - MS * wrote_before;
            let changes = Changes { writes: None, seen: Some(7), changed, looked, took: MS, gap: MS * 15 };
            changes.is_due(looked + MS * after)
        };
        assert!(!of(2, 15) && of(2, 18));
        assert!(!of(20, 99));
    }

    #[test]
    fn where_the_kernel_does_not_tell_each_turn_is_a_look() {
        assert!(!due(None, None, 14) && due(None, None, 15));
    }
}
