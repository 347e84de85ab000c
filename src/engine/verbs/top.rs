//! `peer top`: the fleet observed repeatedly, with what only becomes visible over time.

mod signs;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use peer_adapters::process;

use crate::engine::observe::turn::Turns;
use crate::engine::verbs::list::Fleet;
use crate::engine::{Engine, Result};
use crate::policy::event::EventName;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::store::Tail;
use signs::{Signs, Watched};

/// How many looks in a row may find that nothing can have changed before a full look is made anyway. Not every change
/// gives a sign, for example a server that hangs, or a backoff that is over.
const UNCHANGED: u32 = 4;
/// How many memory samples are kept per peer: with a look every two seconds, the last half minute of a working agent.
const SAMPLES: usize = 16;
/// Starts are counted in this many spans …
pub const SPANS: usize = 12;
/// … of this length each: the last hour.
const SPAN: Duration = Duration::from_secs(300);

/// What was observed over time.
#[derive(Debug)]
pub struct Watcher {
    log: Tail,
    turns: Turns,
    starts: HashMap<PeerName, VecDeque<Timestamp>>,
    memory: HashMap<PeerName, VecDeque<u64>>,
    /// What gives a sign when something happens, its state before the last look, and how many looks since then have
    /// found it unchanged.
    watched: Watched,
    signs: Option<Signs>,
    unchanged: u32,
}

/// One look.
#[derive(Debug, Default)]
pub struct View {
    /// When it was taken.
    pub at: Timestamp,
    /// All peers.
    pub fleet: Fleet,
    /// Memory of each running agent's process tree in KiB, oldest first.
    pub memory: HashMap<PeerName, Vec<u64>>,
    /// How often each peer was started in each of the last [`SPANS`] spans of five minutes, oldest first.
    pub starts: HashMap<PeerName, [u64; SPANS]>,
}

impl Watcher {
    /// Returns a watcher that has not looked yet.
    pub fn new(engine: &Engine) -> Self {
        Self {
            log: engine.state.journal().tail(),
            turns: Turns::default(),
            starts: HashMap::new(),
            memory: HashMap::new(),
            watched: Watched::default(),
            signs: None,
            unchanged: 0,
        }
    }

    /// Looks at all peers if something can have changed since the last look, and at every fifth call in any case.
    ///
    /// # Errors
    /// As [`Watcher::look`].
    pub async fn look_again(&mut self, engine: &Engine) -> Result<Option<View>> {
        if self.unchanged < UNCHANGED && self.signs.is_some() && self.watched.now() == self.signs {
            self.unchanged += 1;
            return Ok(None);
        }
        self.look(engine).await.map(Some)
    }

    /// Looks at all peers: one listing per server, one walk over the process table, and the new lines of the log.
    ///
    /// # Errors
    /// As [`Engine::list`], or the log cannot be read.
    pub async fn look(&mut self, engine: &Engine) -> Result<View> {
        (self.signs, self.unchanged) = (None, 0);
        // Taken before the look, because what happens during the look may be too late for it.
        let signs = self.watched.now();
        let fleet = engine.list_since(&engine.config.names()?, &mut self.turns).await?;
        let watched = Watched::of(engine, &fleet);
        self.signs = signs.filter(|_| watched == self.watched);
        self.watched = watched;
        self.sample_memory(&fleet);
        self.count_starts(engine.now())?;
        let memory = self.memory.iter().map(|(name, kib)| (name.clone(), kib.iter().copied().collect())).collect();
        let now = engine.now();
        let starts = self.starts.iter().map(|(name, at)| (name.clone(), spans(at, now))).collect();
        Ok(View { at: now, fleet, memory, starts })
    }

    fn sample_memory(&mut self, fleet: &Fleet) {
        let running: Vec<_> = fleet.rows.iter().filter_map(|row| Some((&row.peer, row.pid?))).collect();
        let pids: Vec<u32> = running.iter().map(|(_, pid)| *pid).collect();
        // A process that the kernel does not report has no sample.
        let trees = if pids.is_empty() { Vec::new() } else { process::tree_memory_kib(&pids).unwrap_or_default() };
        self.memory.retain(|name, _| running.iter().any(|(runs, _)| *runs == name));
        for ((name, _), kib) in running.into_iter().zip(trees) {
            let samples = self.memory.entry(name.clone()).or_default();
            samples.extend(kib);
            while samples.len() > SAMPLES {
                samples.pop_front();
            }
        }
    }

    fn count_starts(&mut self, now: Timestamp) -> Result<()> {
        let oldest = SPAN * u32::try_from(SPANS).unwrap_or(u32::MAX);
        for event in self.log.next_events()?.into_iter().filter(|event| event.is(EventName::WakeDecided)) {
            if let (Some(peer), Ok(at)) = (event.peer, event.ts.parse::<Timestamp>()) {
                self.starts.entry(peer).or_default().push_back(at);
            }
        }
        for starts in self.starts.values_mut() {
            starts.retain(|at| now.since(*at) < oldest);
        }
        Ok(())
    }
}

fn spans(starts: &VecDeque<Timestamp>, now: Timestamp) -> [u64; SPANS] {
    let mut counts = [0; SPANS];
    for at in starts {
        let ago = usize::try_from(now.since(*at).as_secs() / SPAN.as_secs()).unwrap_or(usize::MAX);
        if let Some(count) = SPANS.checked_sub(ago.saturating_add(1)).and_then(|index| counts.get_mut(index)) {
            *count += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_counted_by_age_the_newest_last() {
        let now = Timestamp::from_ms(10_000_000);
        let ago = |seconds: u64| Timestamp::from_ms(10_000_000 - seconds * 1000);
        let counts = spans(&[ago(3599), ago(301), ago(299), ago(0), ago(7200)].into(), now);
        assert_eq!(counts, [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]);
    }
}
