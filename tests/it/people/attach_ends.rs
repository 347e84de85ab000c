//! Whoever is attached to an agent that ends has the terminal back, and is told how it ended.

use std::fs::{self, File};
use std::io::Write;
use std::process::Stdio;

use crate::common::attached::on_a_terminal;
use crate::common::{Run, World, ended, on_each_runtime, wait_until};
use peer_adapters::runtime::RuntimeKind;

on_each_runtime! {
    who_is_attached_to_an_agent_that_ends_is_told_how
    who_is_attached_to_an_agent_that_starts_itself_fresh_stays
}

#[track_caller]
fn is_attached(world: &World, name: &str) -> bool {
    world.peer(&["status", name, "--json"]).json()["session"]["attached"].as_u64() > Some(0)
}

fn who_is_attached_to_an_agent_that_ends_is_told_how(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["sh", "-c", "echo up; read line; echo so long; exit 3"]);
    for end in ["typed", "stopped"] {
        world.peer(&["wake", "a"]);
        let seen = world.path(end);
        let mut attach = on_a_terminal(&world, "", "attach a");
        attach.stdin(Stdio::piped()).stdout(File::create(&seen).expect("writable"));
        let mut attach = attach.spawn().expect("script(1)");
        wait_until("somebody is attached", || is_attached(&world, "a"));
        let how = if end == "typed" {
            attach.stdin.as_mut().expect("piped").write_all(b"\r").expect("typed");
            "crashed (exit 3)"
        } else {
            world.peer(&["stop", "a"]);
            "stopped"
        };
        let said = format!("note: a: its agent has ended ({how}); peer screen a shows its last screen");
        let status = ended(&mut attach);
        let seen = fs::read_to_string(&seen).expect("text");
        assert!(status.success() && seen.contains(&said), "{end}: {status} {seen:?}");
    }
    let screen = world.peer(&["screen", "a"]);
    assert_eq!(screen.code, 0, "{screen:?}");
}

/// Its pane process stays the same.
fn who_is_attached_to_an_agent_that_starts_itself_fresh_stays(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    let mut attach = on_a_terminal(&world, "", "attach a").stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
    let attach = attach.as_mut().expect("script(1)");
    wait_until("somebody is attached", || is_attached(&world, "a"));
    let incarnation = world.session("a")["incarnation"].clone();
    let mut fresh = world.command(&["self-fresh"]);
    let fresh = Run::of(fresh.env("PEER_NAME", "a").env("PEER_INCARNATION", incarnation.to_string()), None);
    assert_eq!(fresh.code, 0, "{fresh:?}");
    wait_until("the next one is ready", || {
        let record = world.session("a");
        record["phase"] == "ready" && record["incarnation"] != incarnation
    });
    assert!(is_attached(&world, "a") && attach.try_wait().expect("ours").is_none());
    world.peer(&["stop", "a"]);
    ended(attach);
}
