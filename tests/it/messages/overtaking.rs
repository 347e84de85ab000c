//! A message that is sent directly does not overtake what is queued, or says so; and no message goes to another context
//! than the one that was asked for without a word.

use crate::common::{Run, World, killed, on_each_runtime, signal, wait_until};
use crate::messages::inbox::{heard, waiting};
use nix::sys::signal::Signal;
use peer_adapters::runtime::RuntimeKind;
use serde_json::json;
use std::process::Stdio;

on_each_runtime! {
    what_is_queued_comes_before_a_message_that_is_sent_directly
    what_an_agent_that_works_has_no_time_for_is_overtaken_and_that_is_said
    a_message_that_is_sent_again_is_said_once_before_what_is_queued
    a_fresh_wake_is_refused_while_it_is_awake_in_another_conversation
    a_turn_that_is_cut_off_is_told
}

fn what_is_queued_comes_before_a_message_that_is_sent_directly(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    for text in ["one", "two"] {
        assert_eq!(world.peer(&["send", "a", "--queue", text]).code, 0);
    }
    assert_eq!(world.peer(&["send", "a", "--after", "1h", "later"]).code, 0);
    world
        .peer(&["send", "a", "three"])
        .prints("a: woken fresh (first-wake); 2 queued messages delivered first; message delivered\n");
    assert_eq!((heard(&world), waiting(&world, "a")), (["one", "two", "three"].map(str::to_owned).to_vec(), vec![3]));
    world.peer(&["stop", "a"]);
    assert_eq!(world.peer(&["send", "a", "--queue", "four"]).code, 0);
    world.peer(&["start", "a"]);
    let run = world.peer(&["wake", "a", "-m", "five", "--json"]).json();
    assert_eq!((&run["peers"][0]["queued_delivered"], &run["peers"][0]["delivered"]), (&json!(1), &json!(true)));
    assert_eq!(heard(&world)[3..], ["four", "five"]);
    // It says what it did before it prints the answer alone.
    world.peer(&["stop", "a"]);
    world.peer(&["start", "a"]);
    let run = world.peer(&["send", "a", "-w", "six"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "ack turns=6: six\n"), "{run:?}");
    assert_eq!(run.stderr, "note: a: woken resumed (stopped); message delivered\n");
    assert_eq!(world.peer(&["send", "a", "-w", "seven"]).stderr, "");
}

fn what_an_agent_that_works_has_no_time_for_is_overtaken_and_that_is_said(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--slow-turn"]);
    world.peer(&["wake", "a", "-m", "SLOW 600"]);
    world.await_screen("a", "esc to interrupt");
    assert_eq!(world.peer(&["send", "a", "--queue", "one"]).code, 0);
    let run = world.peer(&["send", "a", "two"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "a: already awake; message delivered\n"), "{run:?}");
    assert_eq!(run.stderr, "note: a: a queued message waits: it is busy\n");
    assert_eq!(waiting(&world, "a"), [1]);
    world.peer(&["interrupt", "a"]);
    wait_until("a tick finds it free", || {
        world.peer(&["reap"]);
        waiting(&world, "a").is_empty()
    });
    assert_eq!(heard(&world), ["SLOW 600", "two", "one"]);
}

/// A sender is killed between its paste and its Enter, and the message is sent again while another one is queued.
fn a_message_that_is_sent_again_is_said_once_before_what_is_queued(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--swallow-until", world.path("awake").to_str().expect("UTF-8")]);
    world.peer(&["wake", "a"]);
    let mut sender = world.command(&["send", "a", "again"]).stdout(Stdio::null()).spawn().expect("it starts");
    world.await_screen("a", "swallowed an Enter");
    // What is queued meanwhile waits for the lock of the sender.
    let queue = ["send", "a", "--queue", "one"];
    let queued = world.command(&queue).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    wait_until("it is queued", || world.path("state/inbox/a/1.message").exists());
    signal(queued.id(), Signal::SIGKILL);
    killed(&mut sender);
    Run::finish(queued, None, std::time::Instant::now());
    std::fs::write(world.path("awake"), "").expect("write");
    let run = world.peer(&["send", "a", "again"]);
    assert_eq!(run.code, 0, "{run:?}");
    wait_until("both were said", || {
        world.peer(&["reap"]);
        waiting(&world, "a").is_empty()
    });
    assert_eq!(heard(&world), ["again", "one"]);
}

fn a_fresh_wake_is_refused_while_it_is_awake_in_another_conversation(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    // What was started fresh, and has got nothing, is what is asked for.
    world.peer(&["wake", "a"]);
    world.peer(&["wake", "a", "--fresh", "-m", "one"]).prints("a: already awake; message delivered\n");
    let refused = "error: cannot wake a: it is awake, and not in a new conversation\nhint: peer new a\n";
    world.peer(&["wake", "a", "--fresh", "-m", "two"]).fails(4, refused);
    world.peer(&["wake", "a", "--fresh", "--force"]).fails(4, refused);
    let told = world.peer(&["wake", "a", "--fresh", "--json"]).json();
    assert_eq!(told["peers"][0]["cause"], "in-another-conversation");
    let why = world.peer(&["why", "a", "--fresh"]).stdout;
    assert!(why.contains("refuse (in-another-conversation): it is awake, and not in a new conversation"), "{why}");
    assert_eq!(heard(&world), ["one"]);
    world.peer(&["new", "a", "-m", "two"]).prints("a: woken fresh (asked-fresh); message delivered\n");
}

fn a_turn_that_is_cut_off_is_told(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--slow-turn"]);
    let works = || {
        assert_eq!(world.peer(&["send", "a", "SLOW 600"]).code, 0);
        wait_until("it works", || world.peer(&["list", "--format", "{state}"]).stdout == "busy\n");
    };
    works();
    world.peer(&["stop", "a"]).prints("a: parked and stopped; the turn that was in progress was cut off\n");
    world.peer(&["start", "a"]);
    works();
    world.peer(&["new", "a"]).prints("a: woken fresh (asked-fresh); the turn that was in progress was cut off\n");
    assert_eq!(world.peer(&["send", "a", "-w", "one"]).stdout, "ack turns=1: one\n");
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    world.peer(&["start", "a"]);
    works();
    world.lose_server("a");
    let run = world.peer(&["wake", "a"]);
    assert_eq!(run.stdout, "a: woken resumed (runtime-lost); the turn that was in progress was cut off\n", "{run:?}");
    let run = world.peer(&["last", "a"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "ack turns=1: one\n"), "{run:?}");
    let stale = |why: &str| {
        format!("note: the newest message to a has no answer: its turn {why}; this answers an earlier one\n")
    };
    // Its profile does not say how to tell.
    assert_eq!(run.stderr, stale("is in progress, or was cut off"));
    works();
    world.peer(&["stop", "a"]).prints("a: parked and stopped; the turn that was in progress was cut off\n");
    assert_eq!(world.peer(&["last", "a"]).stderr, stale("was stopped or cut off"));
    assert_eq!(world.peer(&["last", "a", "--json"]).json()["unanswered"], "cut-off");
}
