//! `cargo bench --bench start`: the cost of the small verbs and of a Tab, and the size of the pane process.

#[path = "../tests/it/common/mod.rs"]
#[allow(dead_code, unused_imports, unused_macros, reason = "a bench uses its part of the tests' world")]
mod common;
mod lab;

use std::fs;
use std::time::Duration;

use common::{World, wait_for};
use lab::table::{self, Promise};
use lab::{Cost, cost, median};

const TURNS: usize = 60;

/// The number of peers for a Tab.
const FLEET: usize = 1000;

/// How long a Tab may take; a longer delay is noticeable.
const TAB: Duration = Duration::from_millis(15);

/// Resident memory that the pane process may have, in KiB.
const PANE_KIB: u64 = 3 * 1024;

fn main() {
    lab::machine();
    let world = World::new();
    world.add("one", &["sleep", "1000"]);
    world.add("asleep", &["sleep", "1000"]);
    world.peer(&["wake", "one"]);
    world.declare("agent", &["--agent", "claude"], &["/bin/sleep", "1000"]);
    println!("user+system time, children included");
    table::head();
    for (words, promise) in [
        (&["--version"][..], Promise::Within(Duration::from_millis(3))),
        (&["why", "asleep"], Promise::Within(Duration::from_millis(10))),
        (&["why", "one"], Promise::Within(Duration::from_millis(10))),
        (&["why", "agent"], Promise::Within(Duration::from_millis(10))),
        (&["list"], Promise::None),
        (&["reap"], Promise::None),
    ] {
        let costs: Vec<_> = (0..TURNS).map(|_| cost(&mut lab::peer(&world, words))).collect();
        let what = match words {
            ["why", "one"] => "peer why, of one that is awake".to_owned(),
            ["why", "agent"] => "peer why, of an agent with a large profile".to_owned(),
            words => format!("peer {}", words.join(" ")),
        };
        table::line(&what, median(&costs).cpu, None, promise);
    }
    pane(&world);
    completion(&world);
}

/// The cost of a Tab in a fleet of a thousand that all have a topic: the shell waits for it, so wall-clock time counts
/// too.
fn completion(world: &World) {
    println!("\na Tab among {FLEET} peers, each with a topic");
    table::head();
    let spec = fs::read(world.path("config/peers/one.toml")).expect("it was declared");
    for number in 0..FLEET {
        fs::write(world.path(&format!("config/peers/p{number}.toml")), &spec).expect("write");
        fs::write(world.path(&format!("state/p{number}.topic")), format!("topic {number}\n")).expect("write");
    }
    let asked = |words: &[&str], found: &str| {
        let mut command = lab::peer(world, &[&["--", "peer"], words].concat());
        let index = words.len().to_string();
        command.env("PEER_COMPLETE", "bash").env("_CLAP_IFS", "\n").env("_CLAP_COMPLETE_INDEX", index);
        let output = command.output().expect("it starts");
        assert!(String::from_utf8_lossy(&output.stdout).lines().any(|line| line == found), "{output:?}");
        command
    };
    for (what, mut command) in [
        ("a name", asked(&["wake", "p99"], "p999")),
        ("a verb", asked(&["sta"], "status")),
        ("a topic", asked(&["wake", "one", "--topic", "topic 99"], "topic 999")),
    ] {
        let costs: Vec<_> = (0..TURNS).map(|_| cost(&mut command)).collect();
        let Cost { wall, cpu } = median(&costs);
        table::line(&format!("completion of {what}, user+system"), cpu, None, Promise::Within(TAB));
        table::line(&format!("completion of {what}, wall clock"), wall, None, Promise::Within(TAB));
    }
}

/// The memory of the pane process, a second after it started its agent.
fn pane(world: &World) {
    std::thread::sleep(Duration::from_secs(1));
    let status = format!("/proc/{}/status", world.pane_process("one"));
    let (resident, own) = wait_for("the memory of the pane process", || {
        let text = fs::read_to_string(&status).ok()?;
        Some((field(&text, "VmRSS:")?, field(&text, "RssAnon:")?))
    });
    let mib = |kib: u64| format!("{}.{:02} MiB", kib / 1024, kib % 1024 * 100 / 1024);
    table::number("peer pane, resident", &mib(resident), Some(resident < PANE_KIB), "under 3 MiB");
    table::number("  of which nobody else's (RssAnon)", &mib(own), None, "");
}

fn field(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.trim().trim_end_matches(" kB").parse().ok()
}
