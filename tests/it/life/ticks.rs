//! The tick itself: what it stamps, what it leaves alone, and that it ends in time.

use std::fs;

use crate::common::ticks::{done, fleet, pulse, settle, skipped, tick, verdict, wait_until_quiet};
use crate::common::{World, lives, on_each_runtime, wait_until};
use peer_adapters::runtime::RuntimeKind;
use serde_json::json;

on_each_runtime! {
    a_tick_with_nothing_to_do_stamps_both_axes_and_says_nothing
    a_fleet_that_was_never_woken_needs_no_runtime
    a_dry_run_changes_nothing_and_says_what_it_would_do
    only_one_peer_leaves_what_is_known_of_the_others
}

fn parks_after_a_second(world: &World, name: &str) {
    let path = world.path(&format!("config/peers/{name}.toml"));
    let spec = fs::read_to_string(&path).expect("readable");
    fs::write(path, spec.replace("idle_timeout = \"0s\"", "idle_timeout = \"1s\"")).expect("write");
}

fn a_tick_with_nothing_to_do_stamps_both_axes_and_says_nothing(on: RuntimeKind) {
    let world = World::on(on);
    fleet(&world, &["a", "b"]);
    let log = world.log();
    world.peer(&["reap"]).prints("");
    let a = pulse(&world, "a");
    assert_eq!((&a["runtime"]["value"], &a["process"]["value"]), (&json!("alive"), &json!("alive")), "{a}");
    assert!(a["runtime"]["at_ms"].is_u64() && a["process"]["at_ms"].is_u64(), "{a}");
    assert_eq!((verdict(&world, "a"), verdict(&world, "b")), ("healthy".into(), "healthy".into()));
    assert_eq!(world.log(), log, "no news is no event");
    let first = tick(&world, &[]);
    let second = tick(&world, &[]);
    assert_eq!((&first["schema"], &first["probed"]), (&json!("peer.reap/1"), &json!(2)), "{first}");
    assert_eq!(second["tick"].as_u64(), first["tick"].as_u64().map(|n| n + 1));
}

fn a_fleet_that_was_never_woken_needs_no_runtime(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["cat"]);
    // The table for tmux exists already.
    let path = world.path("config/config.toml");
    let config = fs::read_to_string(&path).expect("readable");
    let config = config.replace("[tmux]\n", "[tmux]\nbinary = \"/nonexistent/tmux\"\n");
    fs::write(path, config + "[zellij]\nbinary = \"/nonexistent/zellij\"\n").expect("write");
    let document = tick(&world, &[]);
    assert_eq!((&document["probed"], skipped(&document)), (&json!(0), Vec::<String>::new()));
    assert!(world.server().is_none() && world.zellij_servers().is_empty());
}

fn a_dry_run_changes_nothing_and_says_what_it_would_do(on: RuntimeKind) {
    let world = World::on(on);
    fleet(&world, &["a", "b", "c"]);
    world.edit("a", "session", |record| record["process"]["start"] = json!(1));
    world.close_session("a");
    wait_until("its pane process has left", || !world.has("a", "session") || !lives(world.pane_process("a")));
    parks_after_a_second(&world, "b");
    wait_until_quiet(&world, "b", 2);
    let before = world.snapshot();
    let run = world.peer(&["reap", "--dry-run"]);
    assert_eq!(world.snapshot(), before);
    assert!(run.stdout.contains("b: would be parked (idle for "), "{run:?}");
    assert_eq!(tick(&world, &["--dry-run"])["tick"], 0);
    assert_eq!(world.snapshot(), before);
}

fn only_one_peer_leaves_what_is_known_of_the_others(on: RuntimeKind) {
    let world = World::on(on);
    fleet(&world, &["a", "b"]);
    tick(&world, &[]);
    let b = pulse(&world, "b");
    let document = tick(&world, &["--only", "a"]);
    assert_eq!((&document["probed"], pulse(&world, "b")), (&json!(1), b));
    let run = world.peer(&["reap", "--only", "nobody"]);
    assert_eq!(run.code, 3, "{run:?}");
}

/// The lock is on a file, so no runtime is involved.
#[test]
fn two_ticks_never_overlap_and_the_second_is_no_failure() {
    let world = World::with_probe_timeout("2s");
    fleet(&world, &["a"]);
    let held = fs::File::create(world.path("state/reap-lock")).expect("create");
    let held = nix::fcntl::Flock::lock(held, nix::fcntl::FlockArg::LockExclusive).expect("free");
    let run = world.peer(&["reap"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{run:?}");
    assert_eq!(run.stderr, "note: another tick is under way; this one does nothing\n");
    assert_eq!(world.peer(&["reap", "--json"]).json()["overlap"], true);
    assert!(!world.path("state/heartbeat.json").exists());
    drop(held);
    world.peer(&["reap"]).prints("");
}

/// For the time that ladders take, which is the same on each runtime: see life/ladder.rs.
#[test]
fn what_the_budget_has_no_room_for_is_said_and_done_by_the_next_tick() {
    let world = World::new();
    world.profile(
        "graced",
        "extends = \"command\"\ndescription = \"for a test\"\n[quit]\ngrace = \"1500ms\"\nterm_grace = \"1500ms\"\n",
    );
    let names = ["a", "b", "c", "d", "e", "f"];
    for name in names {
        world.declare(name, &["--agent", "graced"], &["sh", "-c", "trap '' TERM HUP; echo deaf; exec sleep 1000"]);
        world.set_in_spec(name, "idle_timeout = \"1s\"");
    }
    assert_eq!(world.peer(&[&["wake"], &names[..]].concat()).code, 0);
    for name in names {
        world.await_screen(name, "deaf");
        settle(&world, name);
        wait_until_quiet(&world, name, 2);
    }
    let first = tick(&world, &["--budget", "2s"]);
    assert!(skipped(&first).iter().any(|line| line.ends_with("the tick had no time left for f")), "{first}");
    assert_eq!(done(&first).len() + skipped(&first).len(), names.len(), "{first}");
    assert!(world.has("f", "session"), "{first}");
    let text = fs::read_to_string(world.path("state/heartbeat.json")).expect("stamped all the same");
    assert!(text.contains("had no time left"), "{text}");
    wait_until("all are parked", || {
        tick(&world, &["--budget", "20s"]);
        !names.iter().any(|name| world.has(name, "session"))
    });
    assert!(names.iter().all(|name| world.end(name)["cause"] == "idle-reaped"), "a cut ladder is gone on with");
    assert_eq!(world.processes(), Vec::<u32>::new());
}
