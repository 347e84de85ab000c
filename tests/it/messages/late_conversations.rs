//! An agent that chooses its conversation's id itself, and with which only the user speaks in its pane: its id is never
//! lost, however soon it ends, and never taken from another peer.
//!
//! The agent here handles files as Codex does: it locks its id from the start, and writes its rollout later.
#![cfg(target_os = "linux")]

use std::fs;

use crate::common::ticks::tick;
use crate::common::{World, on_each_runtime, signal, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};

on_each_runtime! {
    a_tick_learns_it_while_the_agent_lives
    it_is_told_at_the_end_by_what_was_noted_before
    files_that_come_after_the_end_are_found_by_the_next_tick
    files_that_come_after_the_end_are_found_by_the_next_wake
    what_another_peer_owns_is_never_taken
    what_was_never_said_is_not_looked_for_for_ever
}

const ID: &str = "01a20156-aff9-7211-b4ef-d42a09e83923";

const PROFILE: &str = "extends = \"command\"\ndescription = \"for a test\"\n\
                       [arguments]\nresume = [\"resume\", \"{conversation}\"]\n\
                       [conversation]\nid = \"found\"\ntranscript = \"codex-rollout\"\n";

/// A peer that holds the lock of its conversation from the start.
fn awake(on: RuntimeKind) -> World {
    let world = World::on(on);
    world.profile("late", PROFILE);
    fs::create_dir_all(world.path("codex/thread-writer-locks")).expect("create");
    let home = format!("CODEX_HOME={}", world.path("codex").display());
    let script = format!("exec 9>>\"$CODEX_HOME/thread-writer-locks/${{2:-{ID}}}.lock\"; exec sleep 1000");
    world.declare("a", &["--agent", "late", "--env", &home], &["sh", "-c", &script, "agent"]);
    world.set_in_spec("a", "idle_timeout = \"0s\"");
    let lock = world.path("codex/thread-writer-locks").join(format!("{ID}.lock"));
    assert_eq!(world.peer(&["wake", "a"]).code, 0);
    wait_until("it has its lock", || lock.exists());
    // A real agent is ready when its composer shows; this one is ready as soon as it runs, and has its lock a moment
    // later.
    tick(&world, &[]);
    assert_eq!(
        (&world.session("a")["process_markers"], &world.session("a")["conversation"]),
        (&json!([ID]), &Value::Null)
    );
    world
}

/// Writes the rollout that exists once the user has said something in the pane.
fn spoken_to(world: &World) {
    let cwd = fs::canonicalize(world.work()).expect("it is there");
    let first = json!({"type": "session_meta", "payload": {"id": ID, "cwd": cwd, "source": "cli"}});
    let path = world.path("codex/sessions/2026/11/22").join(format!("rollout-2026-11-22T00-13-29-{ID}.jsonl"));
    fs::create_dir_all(path.parent().expect("it has one")).expect("create");
    fs::write(path, format!("{first}\n")).expect("write");
}

/// Kills the agent with a signal, and waits until its end is recorded.
#[track_caller]
fn killed(world: &World) -> Value {
    signal(world.agent("a"), Signal::SIGKILL);
    let end = world.await_end("a");
    assert_eq!(end["cause"], "killed");
    end
}

#[track_caller]
fn is_known(world: &World) {
    assert_eq!((world.conversations("a"), &world.end("a")["conversation"]), (vec![ID.to_owned()], &json!(ID)));
    assert!(world.end("a")["pending_conversation"].is_null(), "{}", world.end("a"));
    let learned = world.events("a", "conversation.learned");
    assert_eq!((learned.len(), &learned[0]["conversation"], &learned[0]["incarnation"]), (1, &json!(ID), &json!(1)));
}

/// Whether a wake that must resume would succeed; `why` changes nothing.
#[track_caller]
fn resumable(world: &World) -> bool {
    let before = world.snapshot();
    let decision = world.peer(&["why", "a", "--resume", "--json"]).json()["decision"].to_string();
    assert_eq!(world.snapshot(), before);
    decision.contains(ID)
}

fn a_tick_learns_it_while_the_agent_lives(on: RuntimeKind) {
    let world = awake(on);
    spoken_to(&world);
    tick(&world, &[]);
    assert_eq!((&world.session("a")["conversation"], world.conversations("a")), (&json!(ID), vec![ID.to_owned()]));
    assert!(world.session("a")["process_markers"].is_null(), "not needed any more");
    killed(&world);
    is_known(&world);
}

fn it_is_told_at_the_end_by_what_was_noted_before(on: RuntimeKind) {
    let world = awake(on);
    spoken_to(&world);
    killed(&world);
    is_known(&world);
    world.peer(&["wake", "a", "--resume"]).prints("a: woken resumed (asked-resume)\n");
}

fn files_that_come_after_the_end_are_found_by_the_next_tick(on: RuntimeKind) {
    let world = awake(on);
    let end = killed(&world);
    assert_eq!((&end["pending_conversation"]["process_markers"], &end["conversation"]), (&json!([ID]), &Value::Null));
    tick(&world, &[]);
    assert!(!resumable(&world) && world.conversations("a").is_empty(), "there is nothing yet");
    spoken_to(&world);
    assert!(resumable(&world), "as the wake would find it");
    tick(&world, &["--dry-run"]);
    assert!(world.conversations("a").is_empty());
    tick(&world, &[]);
    is_known(&world);
}

fn files_that_come_after_the_end_are_found_by_the_next_wake(on: RuntimeKind) {
    let world = awake(on);
    killed(&world);
    spoken_to(&world);
    world.peer(&["wake", "a", "--resume"]).prints("a: woken resumed (asked-resume)\n");
    is_known(&world);
    assert_eq!(world.session("a")["conversation"], ID);
}

fn what_another_peer_owns_is_never_taken(on: RuntimeKind) {
    let world = awake(on);
    world.add("b", &["cat"]);
    let owned = json!({"at_ms": 1, "conversation": ID, "agent": "late", "incarnation": 1});
    world.write("b", "conversations", &format!("{owned}\n"));
    spoken_to(&world);
    tick(&world, &[]);
    assert!(world.session("a")["conversation"].is_null());
    killed(&world);
    tick(&world, &[]);
    assert!(!resumable(&world));
    let run = world.peer(&["wake", "a", "--resume"]);
    assert!(run.code == 4 && run.stderr.contains("there is no conversation to resume"), "{run:?}");
    assert!(world.conversations("a").is_empty() && world.end("a")["conversation"].is_null());
}

fn what_was_never_said_is_not_looked_for_for_ever(on: RuntimeKind) {
    let world = awake(on);
    killed(&world);
    tick(&world, &[]);
    world.edit("a", "end", |end| end["at_ms"] = json!(end["at_ms"].as_u64().expect("a time") - 601_000));
    spoken_to(&world);
    tick(&world, &[]);
    assert!(world.conversations("a").is_empty(), "a tick has stopped looking");
    world.peer(&["wake", "a", "--resume"]).prints("a: woken resumed (asked-resume)\n");
    is_known(&world);
}
