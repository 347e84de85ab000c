//! With `policy = "ephemeral"`, each incarnation works on one message. If it dies, the message is queued again, once.

use std::fs;

use nix::sys::signal::Signal;
use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};

use crate::common::ticks::tick;
use crate::common::{World, on_each_runtime, signal, wait_until};

on_each_runtime! {
    each_message_has_an_incarnation_of_its_own
    a_worker_that_dies_gives_its_message_back_once
}

fn workers(on: RuntimeKind, words: &[&str]) -> World {
    let world = World::on(on);
    world.demo("w", words);
    world.set_in_spec("w", "policy = \"ephemeral\"");
    world
}

/// Returns `[incarnation, message]` of each delivery.
fn delivered(world: &World) -> Vec<[u64; 2]> {
    let number = |event: &Value, key: &str| event[key].as_u64().expect("a number");
    let events = world.events("w", "message.delivered");
    events.iter().map(|event| [number(event, "incarnation"), number(event, "message")]).collect()
}

/// A process was killed between the acceptance of a message and its record.
#[test]
fn a_worker_whose_message_is_found_again_gets_no_other() {
    let world = workers(RuntimeKind::Tmux, &[]);
    world.peer(&["wake", "w"]);
    world.press("w", &["-l", "one"]);
    world.press("w", &["Enter"]);
    wait_until("it has it", || world.said(&world.conversation("w")) == ["one"]);
    let at = &world.session("w")["woke_at_ms"];
    let unseen = json!({ "text": "", "conversation": world.conversation("w"), "position": 0, "at_ms": at });
    let begun = json!({ "incarnation": 1, "at_ms": at, "said": "one", "unseen": unseen });
    let message = json!({ "id": 1, "at_ms": at, "text": "one", "topic": "numbers", "begun": begun });
    fs::create_dir_all(world.path("state/inbox/w")).expect("created");
    fs::write(world.path("state/inbox/w/1.message"), message.to_string()).expect("written");
    world.peer(&["send", "w", "--queue", "two"]).prints("w: queued as 2\n");
    tick(&world, &[]);
    assert_eq!((delivered(&world), ids(&world, "messages"), ids(&world, "taken")), (vec![[1, 1]], vec![2], vec![1]));
    assert_eq!(world.said(&world.conversation("w")), ["one"]);
    assert!(fs::read_to_string(world.file("w", "topic")).expect("topics").contains("numbers"));
}

fn ids(world: &World, key: &str) -> Vec<u64> {
    let told = world.peer(&["inbox", "w", "--json"]).json()[key].clone();
    told.as_array().expect("a list").iter().map(|message| message["id"].as_u64().expect("a number")).collect()
}

fn each_message_has_an_incarnation_of_its_own(on: RuntimeKind) {
    let world = workers(on, &["--on-message", &format!("'{}' self-done", env!("CARGO_BIN_EXE_peer"))]);
    for number in 1..=3 {
        world.peer(&["send", "w", "--queue", &format!("task {number}")]).prints(&format!("w: queued as {number}\n"));
    }
    tick(&world, &[]);
    assert_eq!((delivered(&world), ids(&world, "messages"), ids(&world, "taken")), (vec![[1, 1]], vec![2, 3], vec![1]));
    let told = world.peer(&["inbox", "w"]).stdout;
    assert!(told.contains("  task 1\n      incarnation 1 works on it\n"), "{told}");
    assert!(
        told.ends_with("w: not delivered yet: it has another message; each is for an incarnation of its own\n"),
        "{told}"
    );
    wait_until("it says that it is done", || world.has("w", "done"));
    // The worker is free, but gets no second message.
    world.peer(&["send", "w", "--queue", "task 4"]).prints("w: queued as 4\n");
    tick(&world, &[]);
    world.peer(&["wake", "w"]).prints("w: already awake\n");
    assert_eq!(delivered(&world).len(), 1);
    for number in 2..=4 {
        // Backdates the activity, so that the test does not have to wait until the worker has been quiet long enough.
        wait_until("it says that it is done", || world.has("w", "done"));
        quiet(&world);
        wait_until("it is parked, and the next one has the next message", || {
            tick(&world, &[]);
            delivered(&world).len() == number
        });
    }
    assert_eq!(delivered(&world), [[1, 1], [2, 2], [3, 3], [4, 4]]);
    wait_until("it says that it is done", || world.has("w", "done"));
    quiet(&world);
    wait_until("it is parked", || {
        tick(&world, &[]);
        world.session("w").is_null()
    });
    assert!(!world.path("state/inbox/w").exists(), "all of them are done with");
    assert_eq!(world.events("w", "session.reaped").len(), 4);
    assert!(world.events("w", "message.returned").is_empty() && world.events("w", "message.expired").is_empty());
}

/// Backdates the record and the agent's own files, as if nothing had happened for a minute.
fn quiet(world: &World) {
    let ago = |at: &Value| json!(at.as_u64().expect("a time") - 60_000);
    world.edit("w", "session", |record| {
        for key in ["woke_at_ms", "ready_at_ms", "delivered_at_ms"] {
            record[key] = ago(&record[key]);
        }
    });
    let transcript = world.transcript_of(&world.conversation("w"));
    let text = fs::read_to_string(&transcript).expect("a transcript");
    let lines = text.lines().map(|line| {
        let mut record: Value = serde_json::from_str(line).expect("JSON");
        record["timestamp"] = json!("2026-01-01T00:00:00.000Z");
        record.to_string() + "\n"
    });
    fs::write(&transcript, lines.collect::<String>()).expect("write");
    let done = world.file("w", "done");
    let at: humantime::Timestamp = fs::read_to_string(&done).expect("read").trim().parse().expect("a time");
    let earlier = *at - std::time::Duration::from_secs(50);
    fs::write(done, format!("{}\n", humantime::format_rfc3339_millis(earlier))).expect("write");
}

fn a_worker_that_dies_gives_its_message_back_once(on: RuntimeKind) {
    let world = workers(on, &["--slow-turn"]);
    world.peer(&["send", "w", "--queue", "SLOW 600 one"]).prints("w: queued as 1\n");
    world.peer(&["send", "w", "--queue", "two"]).prints("w: queued as 2\n");
    let dies = || {
        world.peer(&["wake", "w"]);
        world.await_screen("w", "esc to interrupt");
        signal(world.agent("w"), Signal::SIGKILL);
        world.await_end("w");
    };
    dies();
    assert_eq!((ids(&world, "messages"), ids(&world, "taken")), (vec![1, 2], vec![]));
    let returned = world.events("w", "message.returned");
    assert_eq!((&returned[0]["message"], &returned[0]["cause"], returned.len()), (&json!(1), &json!("killed"), 1));
    // A requested stop does not count against the message.
    world.peer(&["wake", "w"]);
    world.await_screen("w", "esc to interrupt");
    world.peer(&["stop", "w"]);
    world.peer(&["start", "w"]);
    assert_eq!(ids(&world, "messages"), [1, 2]);
    dies();
    assert_eq!((ids(&world, "messages"), ids(&world, "taken")), (vec![2], vec![]));
    let dead = world.peer(&["inbox", "w", "--dead"]).stdout;
    assert!(
        dead.contains("  SLOW 600 one\n      its worker ended before it reported that it was done: killed\n"),
        "{dead}"
    );
    let expired = world.events("w", "message.expired");
    assert_eq!((&expired[0]["message"], &expired[0]["cause"]), (&json!(1), &json!("not-done")));
    world.peer(&["wake", "w"]);
    assert_eq!(delivered(&world), [[1, 1], [2, 1], [3, 1], [4, 2]]);
    // Only a message from the inbox counts as taken.
    assert_eq!(ids(&world, "taken"), [2]);
}
