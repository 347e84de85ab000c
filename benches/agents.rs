//! `scripts/bench-agents`: how long the real agents take to get a message through `peer`, compared with the same steps
//! done manually in the same runtime, in alternation.
//!
//! A turn is a life: started fresh with a message, messaged again, ended, resumed with a message. Both sides end at the
//! same fact: the agent has the message in its own record. The manual side is a client of the runtime that starts the
//! agent, checks until the profile's rule for readiness holds, pastes and presses Enter at once, and checks the record.
//!
//! Arguments: `claude`, `codex`, `pi`, `opencode`, `tmux`, `zellij`, a number of turns.

#[path = "lab/by_hand.rs"]
mod by_hand;
#[path = "../tests/it/common/mod.rs"]
#[allow(dead_code, unused_imports, unused_macros, reason = "a bench uses its part of the tests' world")]
mod common;
mod lab;

use std::time::{Duration, Instant};

use by_hand::ByHand;
use common::real_agent::Agent;
use lab::table::{self, Promise};
use lab::{Cost, cost, median};
use peer_adapters::runtime::RuntimeKind;

const AGENTS: [&str; 4] = ["claude", "codex", "pi", "opencode"];
const TURNS: usize = 7;

/// The pause between two steps, in which an agent writes down what it has done, so that neither side pays for that.
const REST: Duration = Duration::from_millis(700);

/// The steps of a turn that are measured.
const STEPS: [&str; 3] = ["fresh", "resume", "send"];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_asked = |all: &[&'static str]| -> Vec<&'static str> {
        let asked: Vec<_> = all.iter().copied().filter(|name| words.iter().any(|word| word == name)).collect();
        if asked.is_empty() { all.to_vec() } else { asked }
    };
    let turns = words.iter().find_map(|word| word.parse().ok()).unwrap_or(TURNS);
    lab::machine();
    table::head();
    for name in is_asked(&AGENTS) {
        for runtime in is_asked(&["tmux", "zellij"]) {
            let kind = if runtime == "tmux" { RuntimeKind::Tmux } else { RuntimeKind::Zellij };
            measure(name, kind, turns);
        }
    }
}

fn measure(name: &'static str, kind: RuntimeKind, turns: usize) {
    let agent = Agent::new(name, kind, if name == "pi" { &["--model", "mock/mock"] } else { &[] });
    let by_hand = ByHand::new(&agent);
    // The first life of either side finds nothing in the page cache, and no server.
    by_hand.life(0);
    through_peer(&agent, &by_hand, 0);
    let (mut raw, mut ours) = ([const { Vec::new() }; 3], [const { Vec::new() }; 3]);
    for turn in 1..=turns {
        let lives = [(&mut raw, by_hand.life(turn)), (&mut ours, through_peer(&agent, &by_hand, turn))];
        for (all, life) in lives {
            all.iter_mut().zip(life).for_each(|(all, took)| all.push(Cost { wall: took, cpu: Duration::ZERO }));
        }
    }
    for ((step, ours), raw) in STEPS.iter().zip(&ours).zip(&raw) {
        let what = format!("{name} on {}, {step}", kind.as_str());
        let (ours, raw) = (median(ours).wall, median(raw).wall);
        let more = ours.as_secs_f64() * 1e3 - raw.as_secs_f64() * 1e3;
        table::line(&format!("{what} ({more:+.0} ms)"), ours, Some(raw), promise(name, kind, step));
    }
}

fn promise(name: &str, kind: RuntimeKind, step: &str) -> Promise {
    match (name, kind, step) {
        ("claude" | "codex", RuntimeKind::Tmux, "fresh") => Promise::Above(Duration::from_millis(200)),
        ("claude" | "codex", RuntimeKind::Tmux, "resume") => Promise::Above(Duration::from_millis(300)),
        ("claude" | "codex", RuntimeKind::Tmux, _) => Promise::Above(Duration::from_millis(150)),
        _ => Promise::Times(1.3),
    }
}

/// The same life through `peer`; returns how long fresh, resume and send took, from the start of the command to its
/// exit.
fn through_peer(agent: &Agent, by_hand: &ByHand<'_>, turn: usize) -> [Duration; 3] {
    let say = |words: &[&str], what: &str, turns: usize| {
        let text = format!("bench ours {what} {turn}");
        let words = [words, &[text.as_str()]].concat();
        let took = cost(&mut agent.command(&words)).wall;
        assert!(by_hand.has_accepted(agent.name, &text), "{words:?}: it came back, and the message is not on record");
        agent.remembers(turns, &text);
        std::thread::sleep(REST);
        took
    };
    let park = || {
        agent.peer(&["stop", agent.name]);
        agent.peer(&["start", agent.name]);
    };
    let fresh = say(&["wake", agent.name, "--fresh", "-m"], "fresh", 1);
    let sent = say(&["send", agent.name], "send", 2);
    park();
    let resumed = say(&["wake", agent.name, "--resume", "-m"], "resume", 3);
    park();
    [fresh, resumed, sent]
}

/// Checks every few milliseconds until `holds` returns true, and returns how long that took; `None` if it took more
/// than a minute.
fn until(started: Instant, mut holds: impl FnMut() -> bool) -> Option<Duration> {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        if Instant::now() > end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Some(started.elapsed())
}
