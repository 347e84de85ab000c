//! `cargo bench --bench tick`: a tick with nothing to do over a fleet on one tmux server, compared with one raw listing
//! of it.
//!
//! `cargo bench --bench tick -- 100 1000` chooses the sizes of the fleets, and `PEER_BENCH_LARGE=1` adds the largest
//! one with a promise, for which Linux has not enough terminals by default. Every peer has its own session on a real
//! server; see `lab/fleet.rs` for what is made in bulk. strace and valgrind are used if they are installed.

#[path = "../tests/it/common/mod.rs"]
#[allow(dead_code, unused_imports, unused_macros, reason = "a bench uses its part of the tests' world")]
mod common;
mod lab;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use common::World;
use lab::table::{self, Promise};
use lab::{Cost, cost, fleet, in_turns, median};

/// Linux has 4,096 terminals for the whole machine, and other programs need some.
const SIZES: [usize; 4] = [1, 100, 1000, 3000];

/// The largest fleet for which there is a promise.
const LARGE: usize = 5000;

/// Instructions are counted up to this size; valgrind is some fifty times slower than the machine.
const COUNTED: usize = 1000;

/// How many times `has-session` is run, to extrapolate its time to N.
const SAMPLE: usize = 20;

/// The fields of a listing, so that the raw command requests the same as ours.
const FORMAT: &str = "#{pid}\t#{session_id}\t#{pane_id}\t#{pane_pid}\t#{pane_dead}\t#{session_attached}\t\
    #{window_activity}\t#{session_name}\t#{@peer_tag}\t.";

fn main() {
    let chosen: Vec<usize> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    let mut sizes = if chosen.is_empty() { SIZES.to_vec() } else { chosen };
    if std::env::var_os("PEER_BENCH_LARGE").is_some() {
        sizes.push(LARGE);
    }
    lab::machine();
    for size in sizes {
        measure(size);
    }
}

fn measure(size: usize) {
    let world = World::new();
    fleet::populate(&world, size, Duration::from_secs(60));
    println!("\n{size} peers");
    table::head();
    let turns = if size < 1000 { 40 } else { 15 };
    let reap = |_| cost(&mut lab::peer(&world, &["reap"]));
    let (ours, raw) = in_turns(turns, reap, |_| listing(&world));
    let promise = if size == 1000 { Promise::Times(3.0) } else { Promise::None };
    table::line("peer reap, list-panes -a with our fields", ours.wall, Some(raw.wall), promise);
    table::line("  user+system time, server not counted", ours.cpu, Some(raw.cpu), Promise::None);
    let list = |_| cost(&mut lab::peer(&world, &["list"]));
    // As a user types it, which prints more of each pane than ours requests; and with the fields that ours requests.
    let (ours_list, typed) = in_turns(turns, list, |_| cost(&mut client(&world, &["list-panes", "-a"])));
    let promise = if size == 1000 { Promise::Times(1.5) } else { Promise::None };
    table::line("peer list, list-panes -a as it is typed", ours_list.wall, Some(typed.wall), promise);
    let (ours_list, raw_list) = in_turns(turns, list, |_| listing(&world));
    table::line("  with no fields but ours", ours_list.wall, Some(raw_list.wall), Promise::None);
    table::line(
        &format!("peer reap, {size} × has-session (from {SAMPLE})"),
        ours.wall,
        Some(one_each(&world, size)),
        Promise::None,
    );
    let expected = u32::try_from(size).expect("a size");
    table::number("  a peer", &format!("{:.1} µs", ours.wall.as_secs_f64() * 1e6 / f64::from(expected)), None, "");
    effects(&world);
    if size <= COUNTED {
        instructions(&world);
    }
    long_awake(&world, size, turns, raw);
}

fn client(world: &World, words: &[&str]) -> Command {
    let mut client = Command::new("tmux");
    client.args(["-u", "-S"]).arg(world.socket()).args(words).env_remove("TMUX");
    client
}

fn listing(world: &World) -> Cost {
    cost(&mut client(world, &["list-panes", "-a", "-F", FORMAT]))
}

/// The time that a query of each session separately would take.
fn one_each(world: &World, size: usize) -> Duration {
    let asked: Vec<_> = (0..SAMPLE)
        .map(|sample| {
            let number = sample * size / SAMPLE;
            cost(&mut client(world, &["has-session", "-t", &format!("=peer-{number:04}-1")]))
        })
        .collect();
    median(&asked).wall * u32::try_from(size).expect("a size")
}

/// Processes that one tick starts, and files that it changes.
fn effects(world: &World) {
    match lab::processes_started(world, &["reap"]) {
        Some(started) => table::number("processes started", &started.to_string(), Some(started == 1), "exactly 1"),
        None => table::number("processes started", "?", None, "strace is not installed"),
    }
    let before = world.snapshot();
    cost(&mut lab::peer(world, &["reap"]));
    let after = world.snapshot();
    let changed: Vec<&Path> =
        after.iter().filter(|(path, file)| before.get(*path) != Some(file)).map(|(path, _)| path.as_path()).collect();
    let only_heartbeat = changed.len() == 1 && changed[0].ends_with("heartbeat.json") && before.len() == after.len();
    table::number("files written", &changed.len().to_string(), Some(only_heartbeat), "1, heartbeat.json");
}

fn instructions(world: &World) {
    let Some(count) = lab::instructions(world, &["reap"]) else {
        return table::number("instructions", "?", None, "valgrind is not installed");
    };
    let millions = format!("{}.{} M", count / 1_000_000, count / 100_000 % 10);
    table::number("instructions, by callgrind", &millions, None, "");
}

/// The same fleet, awake for longer than its idle timeout and kept awake by the output of its panes: each tick has to
/// read where the agent records its activity.
fn long_awake(world: &World, size: usize, turns: usize, raw: Cost) {
    for number in 0..size {
        world.edit(&format!("peer-{number:04}"), "session", |record| {
            let woke = record["woke_at_ms"].as_u64().expect("a time") - 7_200_000;
            record["woke_at_ms"] = woke.into();
        });
    }
    let costs: Vec<_> = (0..turns).map(|_| cost(&mut lab::peer(world, &["reap"]))).collect();
    let promise = if size == 1000 { Promise::Times(3.0) } else { Promise::None };
    table::line("peer reap, awake for longer than idle", median(&costs).wall, Some(raw.wall), promise);
}
