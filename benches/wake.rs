//! `cargo bench --bench wake`: a wake of a plain command, compared with `tmux new-session -d` of the same command, on
//! one running server.
//!
//! Both start `sleep 1000` in a new session. Ours also returns only when the agent runs and its incarnation is
//! recorded, keeps a pane process, and logs the reason.

#[path = "../tests/it/common/mod.rs"]
#[allow(dead_code, unused_imports, unused_macros, reason = "a bench uses its part of the tests' world")]
mod common;
mod lab;

use std::process::Command;
use std::time::Duration;

use common::World;
use lab::table::{self, Promise};
use lab::{cost, in_turns};

/// Enough that the median is that of an undisturbed start, even if every third one is disturbed.
const TURNS: usize = 60;

fn main() {
    lab::machine();
    let world = World::new();
    for turn in 0..TURNS {
        world.add(&format!("w{turn}"), &["sleep", "1000"]);
    }
    // Starts the server, and brings both programs into the page cache.
    world.add("first", &["sleep", "1000"]);
    world.peer(&["wake", "first"]);
    let (ours, raw) = in_turns(
        TURNS,
        |turn| cost(&mut lab::peer(&world, &["wake", &format!("w{turn}")])),
        |turn| cost(&mut new_session(&world, turn)),
    );
    let again = |_| cost(&mut lab::peer(&world, &["wake", "first"]));
    let (awake, has) = in_turns(TURNS, again, |_| cost(&mut client(&world, &["has-session", "-t", "=first-1"])));
    table::head();
    table::line("wake of a plain command", ours.wall, Some(raw.wall), Promise::Times(2.0));
    table::line("  user+system time of it", ours.cpu, Some(raw.cpu), Promise::None);
    table::line("wake of one that is awake, has-session", awake.wall, Some(has.wall), Promise::None);
    println!("\nof which, by lifecycle.log: {}", until_ready(&world));
}

fn client(world: &World, words: &[&str]) -> Command {
    let mut client = Command::new("tmux");
    client.args(["-u", "-S"]).arg(world.socket()).args(words).env_remove("TMUX").current_dir(world.work());
    client
}

fn new_session(world: &World, turn: usize) -> Command {
    let name = format!("raw-{turn}");
    client(world, &["new-session", "-d", "-x", "200", "-y", "50", "-s", &name, "--", "sleep", "1000"])
}

/// The median of the times from the decision to readiness.
fn until_ready(world: &World) -> String {
    let mut all: Vec<u64> = world
        .log()
        .iter()
        .filter(|event| event["event"] == "wake.ready")
        .filter_map(|event| event["after_ms"].as_u64())
        .collect();
    all.sort_unstable();
    format!("{:?} from the decision to readiness", Duration::from_millis(all[all.len() / 2]))
}
