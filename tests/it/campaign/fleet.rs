//! A fleet that lives through faults, and what is looked at after each round.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use peer_adapters::runtime::RuntimeKind;

use super::faults::FAULTS;
use super::ledger::Counts;
use crate::common::random::Random;
use crate::common::{Run, World};

/// Peers of a fleet: on tmux they share a server.
const PEERS: usize = 3;

/// Faults of a round: enough that one comes while another is being dealt with.
const MOST_FAULTS: u64 = 10;

/// A probe that finds its server stopped gives up after so long.
const PROBE_TIMEOUT: &str = "2s";

/// How often a wake is tried where it says that it could not look (exit code 6): a loaded machine, not a lost agent.
const TRIES: u32 = 3;

/// What is known of one peer beside what `peer` knows of it.
#[derive(Default)]
struct Known {
    /// Conversation ids that were seen on an agent's command line.
    ids: BTreeSet<String>,
    /// Deaths that may be on record at most, since the last reset.
    deaths: usize,
    /// What was said with exit code 0, and must be there once.
    said: Vec<String>,
    /// What was said by a verb that was killed, and may be there once.
    perhaps: Vec<String>,
}

/// A world with peers in it, and the choices that are made for them.
pub(super) struct Fleet {
    pub(super) world: World,
    pub(super) random: Random,
    known: Vec<Known>,
    counts: Counts,
    messages: u64,
}

impl Random {
    /// An index of something with so many elements.
    pub(super) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("below a length")
    }
}

impl Fleet {
    pub(super) fn new(kind: RuntimeKind, seed: u64) -> Self {
        let world = World::on_within(kind, PROBE_TIMEOUT);
        let known: Vec<Known> = (0..PEERS).map(|_| Known::default()).collect();
        for peer in 0..PEERS {
            // As Claude Code does, it says itself which conversation it is in.
            world.demo(&Self::name(peer), &["--status-file"]);
        }
        Self { world, random: Random::new(seed), known, counts: Counts::new(), messages: 0 }
    }

    pub(super) fn name(peer: usize) -> String {
        format!("p{peer}")
    }

    pub(super) fn count(&mut self, what: &str) {
        *self.counts.entry(what.to_owned()).or_default() += 1;
    }

    /// So many more deaths of this peer are true ones.
    pub(super) fn may_die(&mut self, peer: usize, deaths: usize) {
        self.known[peer].deaths += deaths;
    }

    /// A text that was never said before.
    pub(super) fn next_message(&mut self) -> String {
        self.messages += 1;
        format!("message {}.", self.messages)
    }

    pub(super) fn may_arrive(&mut self, peer: usize, message: &str) {
        self.known[peer].perhaps.push(message.to_owned());
    }

    /// Goes through so many rounds, and returns what happened.
    pub(super) fn live(mut self, rounds: u32) -> Counts {
        for round in 0..rounds {
            let mut story = Vec::new();
            for _ in 0..=self.random.below(MOST_FAULTS) {
                let (fault, peer) = (FAULTS[self.random.index(FAULTS.len())], self.random.index(PEERS));
                story.push(format!("{fault:?} {}", Self::name(peer)));
                fault.happen(&mut self, peer);
            }
            self.settle();
            for peer in 0..PEERS {
                self.check(peer, &format!("round {round} ({})", story.join(", ")));
            }
            self.count("rounds");
        }
        self.end();
        self.counts
    }

    /// Stops everybody; nothing of them may be left then.
    fn end(&mut self) {
        for peer in 0..PEERS {
            let run = self.world.peer(&["stop", &Self::name(peer)]);
            self.never(run.code != 0, "stops that fail after settling", &format!("all rounds: {run:?}"));
        }
        let left = self.world.processes();
        self.never(!left.is_empty(), "orphans left", &format!("all rounds: {left:?}"));
    }

    /// What a timer does, and a person who undoes their stop and closes what they have opened beside an agent.
    fn settle(&mut self) {
        if self.world.kind() == RuntimeKind::Tmux {
            for peer in 0..PEERS {
                if let Some(pane) = self.world.json_or_null(&Self::name(peer), "session")["pane"].as_str() {
                    self.world.tmux(&["kill-pane", "-a", "-t", pane]);
                }
            }
        }
        let tick = self.world.peer(&["reap"]);
        if tick.code != 0 {
            self.count(&format!("ticks with exit code {}", tick.code));
        }
        for peer in 0..PEERS {
            self.world.peer(&["start", &Self::name(peer)]);
        }
    }

    /// Looks at one peer, wakes it with a message, and looks again.
    fn check(&mut self, peer: usize, when: &str) {
        let name = Self::name(peer);
        self.never(self.agents(&name).len() > 1, "second agents", when);
        // True deaths lead to a crash loop's hold, as they should; a person takes it back.
        let before = self.take_back_deaths(&name);
        let message = self.next_message();
        let run = self.wake(&name, &message);
        if run.code == 0 {
            self.known[peer].said.push(message);
        }
        self.never(run.code != 0, "wakes that fail after settling", &format!("{when}: {run:?}"));
        // One that was still ending when the tick looked is recorded by the wake.
        let counted = before + self.take_back_deaths(&name);
        let allowed = std::mem::take(&mut self.known[peer].deaths);
        self.never(counted > allowed, "false deaths", &format!("{when}: {counted} counted, {allowed} true"));
        let agents = self.agents(&name);
        self.never(agents.len() > 1, "second agents", when);
        self.known[peer].ids.extend(agents.iter().filter_map(|pid| id_on_command_line(*pid)));
        let kept: BTreeSet<String> = self.world.conversations(&name).into_iter().collect();
        self.never(!self.known[peer].ids.is_subset(&kept), "lost ids", when);
        self.look_for_messages(peer, when);
    }

    /// Resets a peer that has died, and returns how many deaths were on record.
    fn take_back_deaths(&self, name: &str) -> usize {
        let counted = self.world.json_or_null(name, "deaths").as_array().map_or(0, Vec::len);
        if counted > 0 {
            self.world.peer(&["reset", name]);
        }
        counted
    }

    fn wake(&mut self, name: &str, message: &str) -> Run {
        let mut tries = 1;
        loop {
            let run = self.world.peer(&["wake", name, "-m", message]);
            if run.code != 6 || tries == TRIES {
                return run;
            }
            tries += 1;
            self.count("wakes that were tried again, as a probe had no answer");
        }
    }

    /// Everything that was ever said to a peer is in one of its conversations, once.
    fn look_for_messages(&mut self, peer: usize, when: &str) {
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for id in self.world.conversations(&Self::name(peer)).into_iter().collect::<BTreeSet<_>>() {
            for text in self.world.said(&id) {
                *found.entry(text).or_default() += 1;
            }
        }
        let times = |text: &String| found.get(text).copied().unwrap_or(0);
        let lost = self.known[peer].said.iter().any(|text| times(text) == 0);
        let twice = self.known[peer].said.iter().chain(&self.known[peer].perhaps).any(|text| times(text) > 1);
        self.never(lost, "messages lost", when);
        self.never(twice, "messages twice", when);
    }

    /// The agents of one peer, and what they started.
    fn agents(&self, name: &str) -> Vec<u32> {
        let mark = format!("PEER_NAME={name}");
        let is_its = |pid: &u32| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        };
        self.world.processes().into_iter().filter(is_its).collect()
    }

    /// Notes what must never happen, with all that is needed to look for the cause.
    fn never(&mut self, happened: bool, what: &str, when: &str) {
        if happened {
            eprintln!("{what}, {} after {when}", self.world.kind().as_str());
            for event in self.world.log().iter().rev().take(12).rev() {
                eprintln!("    {event}");
            }
            self.count(what);
        }
    }
}

/// The conversation that an agent was started with.
fn id_on_command_line(pid: u32) -> Option<String> {
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<&str> = line.split('\0').collect();
    let at = words.iter().position(|word| *word == "--session-id" || *word == "--resume")?;
    Some((*words.get(at + 1)?).to_owned())
}
