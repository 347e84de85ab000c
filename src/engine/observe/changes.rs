//! When to look at a pane. A capture costs 3 ms of two processes on tmux and five times that on zellij, while the agent
//! that is awaited needs the processor itself.

use std::time::Duration;

use peer_adapters::writes::Writes;
use tokio::time::Instant;

use crate::store::SessionRecord;

/// The interval at which the kernel is queried for the agent's writes; each query takes some 10 microseconds.
const KERNEL_POLL: Duration = Duration::from_millis(4);

/// The same at first: an agent that has just got keys usually reacts within milliseconds.
const EARLY_POLL: Duration = Duration::from_millis(1);
const EARLY: Duration = Duration::from_millis(100);

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
    began: Instant,
    first: First,
}

/// When the first look is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    AtOnce,
    /// When the agent has written, but not before this time.
    AtWrite(Instant),
    /// It is over.
    Over,
}

impl Changes {
    /// Watches the agent of a record whose screen has just been looked at, with at least `gap` between two looks.
    pub(crate) fn of(record: &SessionRecord, gap: Duration) -> Self {
        let mut writes = record.process.map(|agent| Writes::of(agent.id.pid));
        let seen = writes.as_mut().and_then(Writes::count);
        let now = Instant::now();
        let (took, first) = (Duration::ZERO, First::Over);
        Self { writes, seen, changed: now, looked: now, took, gap, began: now, first }
    }

    /// The same for an agent whose screen has not been looked at: a look is due at once.
    pub(crate) fn unseen(record: &SessionRecord, gap: Duration) -> Self {
        Self { first: First::AtOnce, ..Self::of(record, gap) }
    }

    /// The same for an agent that is about to get keys: a look is due when it has reacted.
    pub(crate) fn before_keys(record: &SessionRecord, gap: Duration) -> Self {
        Self { first: First::AtWrite(Instant::now()), ..Self::of(record, gap) }
    }

    /// Delays the first look until `delay` from now.
    pub(crate) fn delay_first(&mut self, delay: Duration) {
        self.first = First::AtWrite(Instant::now() + delay);
    }

    /// Waits until something is due.
    pub(crate) async fn next(&mut self) -> Due {
        loop {
            let (seen, now) = (self.writes.as_mut().and_then(Writes::count), Instant::now());
            let is_new = seen != self.seen;
            if is_new {
                (self.seen, self.changed) = (seen, now);
            }
            if self.is_due(now) {
                (self.looked, self.first) = (now, First::Over);
                return Due::Screen;
            }
            if is_new {
                return Due::Files;
            }
            let is_early = self.began.elapsed() < EARLY;
            tokio::time::sleep(if is_early { EARLY_POLL } else { KERNEL_POLL }).await;
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
        let gap = match self.first {
            First::AtOnce => return true,
            First::AtWrite(not_before) if now < not_before => return false,
            First::AtWrite(_) if self.changed > self.looked => return true,
            First::AtWrite(_) if self.seen.is_some() => MAX_INTERVAL,
            First::AtWrite(_) | First::Over => self.gap,
        };
        let is_shown = since(self.changed) >= SHOWN_AFTER;
        let was_early = self.looked < self.changed + SHOWN_AFTER;
        let may_be_new = self.seen.is_none() || self.changed > self.looked || (is_shown && was_early);
        rested >= MAX_INTERVAL.max(self.took * IDLE_FACTOR)
            || (may_be_new && rested >= gap.max(self.took * IDLE_FACTOR))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn changes(changed: Instant, looked: Instant, seen: Option<u64>) -> Changes {
        Changes { writes: None, seen, changed, looked, took: MS * 5, gap: MS * 15, began: looked, first: First::Over }
    }

    /// Whether a look is due `after` ms after the last one, if the agent wrote `wrote` ms after it.
    fn due(wrote: Option<u32>, seen: Option<u64>, after: u32) -> bool {
        let looked = Instant::now() + MS * 1000;
        let changed = wrote.map_or(looked - MS * 500, |wrote| looked + MS * wrote);
        changes(changed, looked, seen).is_due(looked + MS * after)
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
            Changes { took: MS, ..changes(changed, looked, Some(7)) }.is_due(looked + MS * after)
        };
        assert!(!of(2, 15) && of(2, 18));
        assert!(!of(20, 99));
    }

    #[test]
    fn where_the_kernel_does_not_tell_each_turn_is_a_look() {
        assert!(!due(None, None, 14) && due(None, None, 15));
    }
    #[test]
    fn the_first_look_after_keys_is_due_when_the_agent_has_written() {
        let began = Instant::now() + MS * 1000;
        let due = |wrote: u32, seen: Option<u64>, after: u32| {
            let first = First::AtWrite(began + MS);
            Changes { first, ..changes(began + MS * wrote, began, seen) }.is_due(began + MS * after)
        };
        assert!(due(2, Some(7), 2) && !due(0, None, 0));
        assert!(!due(0, Some(7), 99) && due(0, Some(7), 100));
        assert!(!due(0, None, 14) && due(0, None, 15), "where the kernel does not report writes");
        assert!(Changes { first: First::AtOnce, ..changes(began, began, Some(7)) }.is_due(began));
    }
}
