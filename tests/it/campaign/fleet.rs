//! A fleet that lives through faults, and the checks after each round.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use peer_adapters::process;
use peer_adapters::runtime::RuntimeKind;

use super::faults::FAULTS;
use super::ledger::Counts;
use crate::common::random::Random;
use crate::common::{Run, World};

/// Peers of a fleet: on tmux they share a server.
const PEERS: usize = 3;

/// Most faults of a round: enough that one comes while another is being handled.
const MOST_FAULTS: u64 = 10;

/// How long a probe waits for a server that is stopped.
const PROBE_TIMEOUT: &str = "2s";

/// How often a wake is tried if it could not query the runtime (exit code 6): the machine is loaded, and no agent is
/// lost.
const MAX_TRIES: u32 = 3;

/// What the test knows of one peer, independently of `peer`.
#[derive(Default)]
struct Known {
    /// Conversation ids that were seen on an agent's command line.
    ids: BTreeSet<String>,
    /// The most deaths that may be recorded since the last reset.
    deaths: usize,
    /// Messages that were sent with exit code 0, and must be there once.
    said: Vec<String>,
    /// Messages of verbs that were killed, which may be there once.
    perhaps: Vec<String>,
}

/// A world with peers in it, and the random choices for them.
pub(super) struct Fleet {
    pub(super) world: World,
    pub(super) random: Random,
    known: Vec<Known>,
    counts: Counts,
    messages: u64,
}

impl Fleet {
    pub(super) fn new(kind: RuntimeKind, seed: u64) -> Self {
        let world = World::on_within(kind, PROBE_TIMEOUT);
        let known: Vec<Known> = (0..PEERS).map(|_| Known::default()).collect();
        for peer in 0..PEERS {
            // Like Claude Code, it reports itself which conversation it is in.
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

    /// Allows for this many more true deaths of a peer.
    pub(super) fn may_die(&mut self, peer: usize, deaths: usize) {
        self.known[peer].deaths += deaths;
    }

    /// A new message.
    pub(super) fn next_message(&mut self) -> String {
        self.messages += 1;
        format!("message {}.", self.messages)
    }

    pub(super) fn may_arrive(&mut self, peer: usize, message: &str) {
        self.known[peer].perhaps.push(message.to_owned());
    }

    /// Goes through this many rounds, and returns what happened.
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

    /// Stops all peers; nothing of them may be left afterwards.
    fn end(&mut self) {
        for peer in 0..PEERS {
            let run = self.world.peer(&["stop", &Self::name(peer)]);
            self.never(run.code != 0, "stops that fail after settling", &format!("all rounds: {run:?}"));
        }
        let left = self.world.processes();
        self.never(!left.is_empty(), "orphans left", &format!("all rounds: {left:?}"));
    }

    /// Does the work of a timer, and of a user who undoes a stop and closes the panes opened beside an agent.
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

    /// Checks one peer, wakes it with a message, and checks again.
    fn check(&mut self, peer: usize, when: &str) {
        let name = Self::name(peer);
        self.never(self.agents(&name).len() > 1, "second agents", when);
        // True deaths lead to the hold of a crash loop, as they should; the user resets it.
        let before = self.take_back_deaths(&name);
        let message = self.next_message();
        let mut run = self.wake(&name, &message);
        if self.has_own_draft(&name, &run) {
            // A person who typed while a verb did sees the mixture, and clears it.
            self.world.peer(&["key", &name, "C-c"]);
            self.count("by hand: own draft cleared");
            run = self.wake(&name, &message);
        }
        if run.code == 7 && run.stderr.contains(": no answer to ") {
            // The runtime did not answer within its deadline, on a machine that is busy. Sent again, the message is looked
            // for first, so it is said once all the same; that is checked at the end.
            self.count("messages sent again after exit 7");
            run = self.wake(&name, &message);
        }
        if run.code == 0 {
            self.known[peer].said.push(message);
        }
        let failed = run.code != 0;
        let shows = if failed { self.world.screen(&name) } else { String::new() };
        self.never(failed, "wakes that fail after settling", &format!("{when}: {run:?}\n{}", shows.trim_end()));
        // A death that was still going on during the tick is recorded by the wake.
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

    /// Resets a peer that has died, and returns how many deaths were recorded.
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
            if run.code != 6 || tries == MAX_TRIES {
                return run;
            }
            tries += 1;
            self.count("wakes that were tried again, as a probe had no answer");
        }
    }

    /// Whether a message was refused because of what a person typed: `/clear`, into what a verb typed at that moment.
    fn has_own_draft(&self, name: &str, run: &Run) -> bool {
        run.stderr.contains("unsent draft") && self.world.screen(name).contains("/clear")
    }

    /// Checks that every message to a peer is in one of its conversations, once.
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

    /// The agents of one peer: its processes without those that another of them started, such as the stty(1) of a demo
    /// agent whose window is resized.
    fn agents(&self, name: &str) -> Vec<u32> {
        let mark = format!("PEER_NAME={name}");
        let is_its = |pid: &u32| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
        };
        let its: Vec<u32> = self.world.processes().into_iter().filter(is_its).collect();
        // The parent of a process that has ended since is not known, and it counts no more.
        let parent = |pid: u32| process::status(pid).expect("/proc").map(|status| status.parent);
        its.iter().copied().filter(|pid| parent(*pid).is_some_and(|parent| !its.contains(&parent))).collect()
    }

    /// Counts what must never happen, and prints everything that helps to find the cause.
    fn never(&mut self, happened: bool, what: &str, when: &str) {
        if happened {
            eprintln!("{what}, {} after {when}", self.world.kind().as_str());
            for pid in self.world.processes() {
                let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                eprintln!("    process {pid}: {}", line.replace('\0', " "));
            }
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
