//! `cargo bench --bench turns`: the cost of observing turns (`-- list` or `-- wait` for one part). Compares a list of 1,000
//! peers with their turns to one without, and measures `peer wait` on 100 peers and the delay until it notices the end of
//! a turn.
//!
//! The agents are sleeping processes that keep Claude Code's status file or show a line in their pane; see
//! `lab/fleet.rs`.

#[path = "../tests/it/common/mod.rs"]
#[allow(dead_code, unused_imports, unused_macros, reason = "a bench uses its part of the tests' world")]
mod common;
mod lab;

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use common::World;
use lab::fleet::{self, Kind};
use lab::table::{self, Promise};
use lab::{Cost, cost, in_turns, median};

/// The number of peers in the list.
const LISTED: usize = 1000;
/// The number of peers to wait for.
const AWAITED: usize = 100;
/// How long to wait for them.
const WAITED: Duration = Duration::from_secs(60);
/// The number of turns whose end is measured.
const ENDS: usize = 20;

/// How long after a pane's last output its screen counts as unchanged.
const SETTLED: Duration = Duration::from_secs(12);

const CLAUDE: Kind = Kind { agent: "claude", shows: "" };
const SCREEN: Kind = Kind { agent: "shows", shows: "works" };

/// The profile of an agent that only its screen and its hooks show to be busy.
const PROFILE: &str = "description = \"shows\"\nbusy = ['^works']\n[ready]\nscreen = ['^ready']\n\
                       [hooks]\nreports = [\"turn-finished\"]\n";

fn main() {
    lab::machine();
    table::head();
    let is_named = |part: &str| std::env::args().any(|word| word == part);
    if !is_named("wait") {
        list();
    }
    if is_named("list") {
        return;
    }
    waits(CLAUDE, "by their status files");
    waits(SCREEN, "by their screens");
    noticed();
}

fn list() {
    let (with, without) = (World::new(), World::new());
    fleet::populate_with(&with, LISTED, Duration::from_secs(60), CLAUDE);
    fleet::populate(&without, LISTED, Duration::from_secs(60));
    // Three in ten are busy. The others are free, and a tick has captured their screens.
    (0..LISTED).for_each(|number| fleet::says(&with, number, if number % 10 < 3 { "busy" } else { "idle" }));
    std::thread::sleep(SETTLED);
    for world in [&with, &without] {
        cost(&mut lab::peer(world, &["reap", "--budget", "120s"]));
    }
    let list = |world: &World| cost(&mut lab::peer(world, &["list"]));
    let (ours, raw) = in_turns(15, |_| list(&with), |_| list(&without));
    table::line("list of 1,000 with turns, one without", ours.wall, Some(raw.wall), Promise::Times(1.2));
    table::line("  user+system time of it", ours.cpu, Some(raw.cpu), Promise::None);
    counted(&with, &without);
}

/// Prints what does not depend on the load of the machine: system calls and instructions of a list.
fn counted(with: &World, without: &World) {
    let numbers = |of: fn(&World, &[&str]) -> Option<u64>| of(with, &["list"]).zip(of(without, &["list"]));
    if let Some((ours, raw)) = numbers(lab::system_calls) {
        table::number("  system calls of it", &format!("{ours}, without turns {raw}"), None, "");
    }
    if let Some((ours, raw)) = numbers(lab::instructions) {
        table::number(
            "  instructions of it",
            &format!("{} M, without turns {} M", ours / 1_000_000, raw / 1_000_000),
            None,
            "",
        );
    }
}

/// Measures the share of a core that `peer wait` on all peers takes: itself, its clients, and what the runtime's server
/// does in addition to what it does for idle panes.
fn waits(kind: Kind, how: &str) {
    let world = fleet_of(AWAITED, kind);
    let names: Vec<String> = (0..AWAITED).map(|number| fleet::name(number).to_string()).collect();
    let timeout = format!("{}s", WAITED.as_secs());
    let words: Vec<&str> =
        ["wait", "--timeout", &timeout].into_iter().chain(names.iter().map(String::as_str)).collect();
    let server = world.server().expect("a server").pid;
    let idle = cpu_of(server);
    std::thread::sleep(WAITED);
    let idle = cpu_of(server).saturating_sub(idle);
    let (before, children) = (cpu_of(server), lab::children_cpu());
    let run = lab::peer(&world, &words).stderr(Stdio::null()).status().expect("it starts");
    assert_eq!(run.code(), Some(9), "nobody's turn ends");
    let ours = lab::children_cpu().saturating_sub(children);
    let servers = cpu_of(server).saturating_sub(before).saturating_sub(idle);
    let share = |of: Duration| of.as_secs_f64() / WAITED.as_secs_f64() * 100.0;
    let (all, what) = (share(ours + servers), format!("wait on {AWAITED} {how}, of a core"));
    table::number(&what, &format!("{all:.2} %"), Some(all < 1.0), "under 1 %");
    table::number("  of that its own and its clients'", &format!("{:.2} %", share(ours)), None, "");
    table::number("  the server without it", &format!("{:.2} %", share(idle)), None, "");
}

fn fleet_of(size: usize, kind: Kind) -> World {
    let world = World::new();
    world.profile("shows", PROFILE);
    fleet::populate_with(&world, size, Duration::from_secs(60), kind);
    if kind.agent == "claude" {
        (0..size).for_each(|number| fleet::says(&world, number, "busy"));
    }
    std::thread::sleep(SETTLED);
    cost(&mut lab::peer(&world, &["reap"]));
    world
}

/// Returns the user and system time of a process so far.
fn cpu_of(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let fields: Vec<&str> = stat.rsplit(") ").next().expect("a line").split(' ').collect();
    let ticks: u64 = [11, 12].iter().map(|at| fields[*at].parse::<u64>().expect("a number")).sum();
    // USER_HZ is 100 (proc(5)).
    Duration::from_millis(ticks * 10)
}

/// Measures the time from the end of a turn to the end of `peer wait`, in a fleet of `AWAITED` peers.
fn noticed() {
    let world = fleet_of(AWAITED, CLAUDE);
    let by_file = median_of(|_| {
        fleet::says(&world, 0, "busy");
        let wait = waiting(&world);
        let ended = Instant::now();
        fleet::says(&world, 0, "idle");
        over(wait, ended)
    });
    table::line("wait notices an end, by a status file", by_file, None, Promise::Within(Duration::from_millis(100)));
    let world = fleet_of(AWAITED, SCREEN);
    let by_hook = median_of(|_| {
        // By then the last report is no longer believed over the screen.
        std::thread::sleep(Duration::from_millis(1500));
        let wait = waiting(&world);
        let ended = Instant::now();
        let mut hook = lab::peer(&world, &["agent-hook", "turn-finished"]);
        hook.env("PEER_NAME", fleet::name(0).as_str()).env("PEER_INCARNATION", "1");
        cost(&mut hook);
        over(wait, ended)
    });
    table::line("wait notices an end, by a hook", by_hook, None, Promise::Within(Duration::from_millis(100)));
}

fn median_of(mut one: impl FnMut(usize) -> Duration) -> Duration {
    let costs: Vec<Cost> = (0..ENDS).map(|end| Cost { wall: one(end), cpu: Duration::ZERO }).collect();
    median(&costs).wall
}

/// Starts `peer wait` on the first peer, and returns once it waits.
fn waiting(world: &World) -> Child {
    let mut wait = lab::peer(world, &["wait", fleet::name(0).as_str()]);
    let wait = wait.stdin(Stdio::null()).spawn().expect("it starts");
    std::thread::sleep(Duration::from_millis(300));
    wait
}

fn over(mut wait: Child, since: Instant) -> Duration {
    assert!(wait.wait().expect("ours").success());
    since.elapsed()
}
