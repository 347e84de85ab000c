//! Each session of zellij has its own server, and each may hang by itself: together they cost no more than one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use nix::sys::signal::Signal;
use peer_adapters::runtime::RuntimeKind;
use serde_json::json;

use crate::common::{Run, World, lives, quoted, signal, stop};

/// More than the screens that are captured at once, so that some are looked at when the deadline is already over.
const SERVERS: usize = 9;

/// An agent whose screen shows whether it waits, so that a listing looks at it.
const PROFILE: &str = "description = \"asks\"\n[ready]\nscreen = ['^ready$']\n[[dialog]]\nid = \"permission\"\n\
    screen = '^(May I [^\\n]*\\?)$'\nneeds_person = true\n";

fn fleet() -> (World, Vec<String>) {
    let world = World::on(RuntimeKind::Zellij);
    world.profile("asker", PROFILE);
    let names: Vec<String> = (0..SERVERS).map(|number| format!("p{number}")).collect();
    for name in &names {
        world.declare(name, &["--agent", "asker"], &["sh", "-c", "echo ready; exec cat"]);
        assert_eq!(world.peer(&["wake", name]).code, 0);
    }
    (world, names)
}

/// Every look at the whole fleet: a listing, what it needs, and a tick, which must end nothing.
fn looks(world: &World) -> [Run; 3] {
    let runs = [&["list", "--format", "{name} {state}"][..], &["status"], &["reap", "--json"]];
    let runs = runs.map(|words| world.peer(words));
    assert!(runs.iter().all(|run| run.code == 0), "{runs:?}");
    assert_eq!(runs[2].json()["done"], json!([]), "none is taken for gone");
    runs
}

fn all(names: &[String], state: &str) -> String {
    names.iter().map(|name| [name, " ", state, "\n"].concat()).collect()
}

#[test]
fn many_stopped_servers_are_unknown_at_once() {
    let (world, names) = fleet();
    let agents: Vec<u32> = names.iter().map(|name| world.agent(name)).collect();
    let servers: Vec<u32> = names.iter().map(|name| world.server_of(name).pid).collect();
    for server in &servers {
        stop(*server);
    }
    let runs = looks(&world);
    assert_eq!(runs[0].stdout, all(&names, "unknown"));
    // The kernel shows that they are stopped: not even one of them is waited for, which would take 30 s each.
    let took: Duration = runs.iter().map(|run| run.took).sum();
    assert!(took < Duration::from_secs(30), "{took:?}");
    assert!(agents.iter().all(|agent| lives(*agent)) && names.iter().all(|name| !world.has(name, "end")));
    for server in &servers {
        signal(*server, Signal::SIGCONT);
    }
    assert_eq!(looks(&world)[0].stdout, all(&names, "awake"));
}

#[test]
fn many_servers_that_do_not_answer_cost_one_deadline() {
    const DEADLINE: Duration = Duration::from_secs(3);
    // One after the other they would take 27 s, and in turns as they are captured still 6 s; a loaded machine adds to the
    // one deadline.
    const MOST: Duration = Duration::from_secs(18);
    let (world, names) = fleet();
    // No client of theirs gets an answer, as of servers that hang.
    let client = world.path("zellij");
    fs::write(&client, "#!/bin/sh\nexec sleep 1000\n").expect("write");
    fs::set_permissions(&client, fs::Permissions::from_mode(0o755)).expect("ours");
    let config = world.path("config/config.toml");
    let good = fs::read_to_string(&config).expect("read");
    let short = good.replace("\"30s\"", &format!("\"{}s\"", DEADLINE.as_secs()));
    fs::write(&config, format!("{short}[zellij]\nbinary = {}\n", quoted(&client))).expect("write");
    let runs = looks(&world);
    assert_eq!(runs[0].stdout, all(&names, "awake"), "the kernel shows that they live");
    assert!(runs[0].took >= DEADLINE, "otherwise none was waited for: {:?}", runs[0].took);
    for run in &runs {
        assert!(run.took < MOST, "{:?} for {SERVERS} servers, {DEADLINE:?} each: {run:?}", run.took);
    }
    fs::write(&config, good).expect("write");
    assert_eq!(looks(&world)[0].stdout, all(&names, "awake"));
}
