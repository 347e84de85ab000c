//! State directories of each format that was ever released, all of which stay readable.
//!
//! They are in `tests/golden`, as the version in their name wrote them, except for `@WORLD@`, `@MACHINE@`, `@HOST@` and
//! `@PID_NAMESPACE@`, which are those of the test. Their agents ran on this machine before its last boot. Never edit
//! one to make a test pass; a new format gets a new directory.

#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use peer_adapters::process::{self, Host};
use serde_json::{Value, json};

use crate::common::World;

/// Puts the directory of a version into the world.
fn old(version: &str) -> World {
    let world = World::new();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(version);
    let host = process::host().expect("this machine");
    copy(&from, &world.path(""), &|text| filled(text, &world, host));
    world
}

/// Fills this world and this machine into a text.
fn filled(text: &str, world: &World, host: &Host) -> String {
    text.replace("@WORLD@", world.path("").to_str().expect("UTF-8").trim_end_matches('/'))
        .replace("@MACHINE@", &host.machine)
        .replace("@HOST@", &host.name)
        .replace("@PID_NAMESPACE@", &host.pid_namespace.expect("Linux has them").to_string())
}

fn copy(from: &Path, to: &Path, fill: &dyn Fn(&str) -> String) {
    for entry in fs::read_dir(from).expect("a directory of the repository") {
        let path = entry.expect("readable").path();
        let target = to.join(path.file_name().expect("named"));
        if path.is_dir() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&target).expect("made");
            copy(&path, &target, fill);
        } else {
            fs::write(&target, fill(&fs::read_to_string(&path).expect("text"))).expect("write");
            fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).expect("ours");
        }
    }
}

/// What `peer` reports of each peer, and what a wake of it would do. The number of deaths that still count is left out,
/// because it depends on the time of day.
fn seen(world: &World) -> Vec<String> {
    let list = world.peer(&["list", "--json"]).json();
    assert_eq!(list["broken"], json!([]), "{list:#}");
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let of = |peer: &Value| {
        let why = world.peer(&["why", &word(&peer["peer"]), "--json"]).json();
        let then = if why["then"].is_null() { &why["decision"] } else { &why["then"] };
        let keys = ["peer", "state", "last_end_cause", "topic"].map(|key| word(&peer[key]));
        format!("{}: {}", keys.join(" "), word(then))
    };
    list["peers"].as_array().expect("peers").iter().map(of).collect()
}

#[test]
fn what_0_1_wrote_is_read() {
    let world = old("0.1");
    world.profile("demo", include_str!("../../../scripts/demo/agents/demo.toml"));
    let expected = [
        "crashed lost killed null: resume 3bd6ef41-dfa1-49b2-a1e0-db3a8206e21e (rebooted)",
        "fresh crashed killed topic of fresh: start fresh (refresh)",
        "kept lost null null: resume 6c8ec41d-3364-48dd-bf95-6d4dbc8c4c32 (rebooted)",
        "never never-started null null: start fresh (first-wake)",
        "parked asleep idle-reaped topic of parked: resume 9e3ec98e-680b-4fb2-b2e7-f22a4f09273a (idle-reaped)",
        "stopped stopped stopped topic of stopped: refuse (stopped): it was stopped with `peer stop`",
        "tmux lost replaced null: resume b26cfacf-3d38-4f55-be02-dfed4743db36 (rebooted)",
        "zellij lost null topic of zellij: resume a5d842ee-627a-4146-bf67-a43b09cc434d (rebooted)",
    ];
    for name in ["crashed", "fresh", "kept", "parked", "stopped", "tmux", "zellij"] {
        let ids = fs::read_to_string(world.file(name, "conversations")).expect("each had one");
        for id in ids.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")) {
            world.transcript(id["conversation"].as_str().expect("an id"));
        }
    }
    assert_eq!(seen(&world), expected);
    // A tick writes each record again in today's format, with the same content.
    assert_eq!(world.peer(&["reap"]).code, 0);
    let ended: Vec<String> = seen(&world).iter().map(|line| line.split_once(": ").expect("two").1.to_owned()).collect();
    let before: Vec<&str> = expected.iter().map(|line| line.split_once(": ").expect("two").1).collect();
    assert_eq!(ended, before);
    assert_eq!(world.peer(&["log", "parked"]).code, 0);
}
