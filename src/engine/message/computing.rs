//! Whether an agent computes without drawing anything. Its screen is then older than what it has read: pi 0.73.1 shows a
//! message of 100 KB in its composer for 12 s after it has taken it.

use std::time::Duration;

use peer_adapters::process;
use peer_adapters::writes::Writes;
use tokio::time::Instant;

use crate::store::SessionRecord;

/// The time over which it is judged.
const WINDOW: Duration = Duration::from_millis(500);

/// The part of that time for which an agent that computes has a processor. Agents that wait were seen to use a fiftieth; a loaded
/// machine leaves one that computes less than all.
const SHARE: u32 = 10;

/// The bytes that an agent that draws nothing may write all the same: its threads wake each other with 8 at a time. A spinner
/// writes more.
const SILENCE: u64 = 64;

/// The longest time that is granted in all. pi needs 5 to 12 s for a line of 100 KB and more than a minute for one of 200 KB.
const GRANTED: Duration = Duration::from_secs(120);

/// What an agent has computed and written, and for how long it was seen to compute without drawing.
pub(super) struct Computing {
    pid: Option<u32>,
    writes: Option<Writes>,
    since: Instant,
    used: Option<Duration>,
    written: Option<u64>,
    granted: Duration,
}

impl Computing {
    pub(super) fn of(record: &SessionRecord) -> Self {
        let pid = record.process.map(|agent| agent.id.pid);
        // The first window measures nothing: most looks are over sooner, and should cost nothing more.
        let (since, granted) = (Instant::now(), Duration::ZERO);
        Self { pid, writes: pid.map(Writes::of), since, used: None, written: None, granted }
    }

    fn now(&mut self) -> (Option<Duration>, Option<u64>) {
        // Only the agent's own process: what it runs computes while it waits.
        (self.pid.and_then(process::cpu_time), self.writes.as_mut().and_then(Writes::count))
    }

    /// Returns for how long the agent was seen to compute without drawing. Its screen may be that much late.
    pub(super) fn time(&mut self) -> Duration {
        let elapsed = self.since.elapsed();
        if elapsed >= WINDOW {
            let (used, written) = self.now();
            if computes(elapsed, self.used.zip(used), self.written.zip(written)) {
                self.granted = GRANTED.min(self.granted + elapsed);
            }
            (self.since, self.used, self.written) = (Instant::now(), used, written);
        }
        self.granted
    }
}

/// Judges the processor time used and the bytes written at the beginning and the end of a window. What is not known is no work.
fn computes(window: Duration, used: Option<(Duration, Duration)>, written: Option<(u64, u64)>) -> bool {
    let works = used.is_some_and(|(before, after)| after.saturating_sub(before) * SHARE >= window);
    works && written.is_some_and(|(before, after)| before.abs_diff(after) < SILENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_waits_or_draws_does_not_compute_unseen() {
        let ms = Duration::from_millis;
        let seen = |used: u64, written: u64| computes(ms(500), Some((ms(40), ms(40 + used))), Some((7, 7 + written)));
        assert!(seen(300, 0) && seen(50, 17));
        assert!(!seen(10, 0), "an idle agent");
        assert!(!seen(300, 400), "a spinner");
        assert!(!computes(ms(500), None, Some((7, 7))) && !computes(ms(500), Some((ms(0), ms(400))), None));
    }
}
