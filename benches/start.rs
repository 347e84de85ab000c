//! `cargo bench --bench start`: what the small verbs cost, and how large the process in the pane is.

#[path = "../tests/common/mod.rs"]
mod common;
mod lab;

use std::fs;
use std::time::Duration;

use common::{World, wait_for};
use lab::table::{self, Promise};
use lab::{cost, median};

const TURNS: usize = 60;

/// Resident memory that the process in the pane may have, in KiB.
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
}

/// The process in the pane, a second after it started its agent.
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
