//! How often a wait observes peers: by the processor time that it takes, and sooner while a screen lags behind files.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use tokio::time::Instant;

use crate::policy::name::PeerName;

/// The least time between two observations, as a multiple of the processor time that one takes: they take at most a
/// hundredth of a core. The runtimes' servers take some beside.
const IDLE_FACTOR: u32 = 150;

/// How much processor time the observations of single peers may take before they are throttled.
const ALLOWANCE: Duration = Duration::from_millis(200);

/// When to look again at a screen that still shows a turn although the agent's files show that it is over, each time
/// counted from the look before. An agent draws after it has written: opencode 20 to 80 ms later on an idle machine.
const REDRAWN: [Duration; 5] = [
    Duration::from_millis(30),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
];

/// The beginning of something whose cost is measured. Time does not do for that: on a loaded machine everything takes
/// long and costs the same.
pub(super) struct Cost {
    used: Duration,
}

impl Cost {
    pub(super) fn begin() -> Self {
        Self { used: processor_time() }
    }

    /// Returns the processor time that was taken since the beginning.
    fn taken(&self) -> Duration {
        processor_time().saturating_sub(self.used)
    }

    /// Returns how often, at most, this may be done all the time.
    pub(super) fn allowed_every(&self) -> Duration {
        self.taken() * IDLE_FACTOR
    }
}

/// The processor time for observations of single peers, whose files can change all the time.
pub(super) struct Budget {
    began: Instant,
    spent: Duration,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), spent: Duration::ZERO }
    }

    pub(super) fn spend(&mut self, cost: &Cost) {
        self.spent += cost.taken();
    }

    /// Returns how long to wait before the next observation, so that the budget lasts.
    pub(super) fn owed(&self) -> Duration {
        let earned = ALLOWANCE + self.began.elapsed() / IDLE_FACTOR;
        self.spent.saturating_sub(earned) * IDLE_FACTOR
    }
}

/// The peers whose screens show a turn although their files show that it is over.
#[derive(Default)]
pub(super) struct Lagging {
    names: Vec<PeerName>,
    /// How often they have been looked at again.
    looks: usize,
    due: Option<Instant>,
}

impl Lagging {
    /// Returns when to look at them again; `None` without any.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Takes the peers out for one more look. [`Lagging::looked`] follows.
    pub(super) fn take(&mut self) -> Vec<PeerName> {
        std::mem::take(&mut self.names)
    }

    /// Adds peers, and begins again with short intervals.
    pub(super) fn add(&mut self, names: Vec<PeerName>) {
        if !names.is_empty() {
            self.names.extend(names);
            self.looks = 0;
            self.schedule();
        }
    }

    /// Leaves the peers of `names` after one more look at them.
    pub(super) fn looked(&mut self, names: Vec<PeerName>) {
        self.names = names;
        self.looks += 1;
        self.schedule();
    }

    fn schedule(&mut self) {
        let interval = REDRAWN.get(self.looks).filter(|_| !self.names.is_empty());
        self.due = interval.map(|interval| Instant::now() + *interval);
        if self.due.is_none() {
            self.names.clear();
        }
    }
}

/// Returns the processor time that this process and its clients have taken so far.
fn processor_time() -> Duration {
    let of = |who| {
        getrusage(who).map_or(Duration::ZERO, |usage| {
            let used = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
            Duration::from_micros(used.try_into().unwrap_or(0))
        })
    };
    of(UsageWho::RUSAGE_SELF) + of(UsageWho::RUSAGE_CHILDREN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_that_lags_is_looked_at_soon_and_not_for_ever() {
        let name: PeerName = "slow".parse().expect("is a name");
        let mut lagging = Lagging::default();
        assert_eq!(lagging.due(), None);
        for _ in 0..2 {
            lagging.add(vec![name.clone()]);
            for interval in REDRAWN {
                let due = lagging.due().expect("a look is due");
                assert!(due <= Instant::now() + interval, "a look within {interval:?}");
                assert_eq!(lagging.take(), std::slice::from_ref(&name));
                lagging.looked(vec![name.clone()]);
            }
            assert_eq!(lagging.due(), None, "a screen that does not change is left to the look at all");
            assert_eq!(lagging.take(), []);
        }
        lagging.add(vec![name.clone()]);
        lagging.looked(Vec::new());
        assert_eq!(lagging.due(), None, "it is free");
    }

    #[test]
    fn what_takes_processor_time_is_done_seldom() {
        let cost = Cost::begin();
        while cost.taken() < Duration::from_millis(2) {
            std::hint::black_box(processor_time());
        }
        assert!(cost.allowed_every() >= Duration::from_millis(200), "at most a hundredth of a core");
        let mut budget = Budget::new();
        assert_eq!(budget.owed(), Duration::ZERO);
        budget.spent = ALLOWANCE + Duration::from_secs(1);
        assert!(budget.owed() >= Duration::from_secs(100), "it has to be earned first");
    }
}
