//! Ctrl-C, a closed terminal or a service manager's signal during a delivery: the sender reports what became of the
//! message.

use std::process::{Child, Stdio};
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::common::{Run, World, killed, lives, on_each_runtime, signal, wait_until};
use peer_adapters::runtime::RuntimeKind;
use serde_json::json;

on_each_runtime! {
    before_its_agent_is_ready_nothing_was_typed
    a_start_without_a_message_goes_on_and_says_so
    before_its_enter_it_stands_in_the_composer_and_is_said_once
    after_its_enter_nobody_knows
    the_next_sender_of_a_text_that_was_left_says_what_became_of_it
    a_killed_senders_text_is_known_although_the_record_is_lost
    a_killed_senders_accents_are_known_and_a_draft_is_still_a_persons
    a_message_goes_out_although_the_directory_of_panes_was_removed
}

const DEMO: &str = include_str!("../../../scripts/demo/agents/demo.toml");

fn sender(world: &World, words: &[&str]) -> Child {
    world.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("peer runs")
}

/// Ends a sender with this signal; returns its exit code and its log entry.
#[track_caller]
fn ends(world: &World, sender: Child, by: Signal) -> (Run, serde_json::Value) {
    signal(sender.id(), by);
    let run = Run::finish(sender, None, Instant::now());
    let events = world.events("a", "message.unconfirmed");
    let told = events.last().unwrap_or_else(|| panic!("no event: {run:?}")).clone();
    assert_eq!(told["signal"], by as i32, "{told}");
    (run, told)
}

fn before_its_agent_is_ready_nothing_was_typed(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--start-delay", "600000"]);
    let sender = sender(&world, &["wake", "a", "-m", "hello", "--json"]);
    wait_until("its agent runs", || world.session("a")["process"].is_object());
    let (run, told) = ends(&world, sender, Signal::SIGINT);
    let document = &run.json()["peers"][0];
    assert_eq!((run.code, &document["code"]), (130, &json!(130)), "{run:?}");
    assert_eq!((&document["cause"], &document["retryable"]), (&json!("not-typed"), &json!(true)));
    assert_eq!((&told["cause"], &told["incarnation"]), (&json!("not-typed"), &json!(1)));
    assert!(lives(world.agent("a")), "its start goes on");
    assert!(world.peer(&["log", "a"]).stdout.contains("message.unconfirmed"));
}

fn a_start_without_a_message_goes_on_and_says_so(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--start-delay", "600000"]);
    for verb in [&["wake", "a"][..], &["new", "a"]] {
        let sender = sender(&world, verb);
        let before = world.session("a")["incarnation"].as_u64().unwrap_or(0);
        let is_next = |session: &serde_json::Value| verb[0] == "wake" || session["incarnation"].as_u64() > Some(before);
        wait_until("its agent runs", || {
            let session = world.session("a");
            session["process"].is_object() && is_next(&session)
        });
        signal(sender.id(), Signal::SIGINT);
        let run = Run::finish(sender, None, Instant::now());
        run.fails(130, "error: a goes on starting: SIGINT came first\nhint: peer stop a ends it\n");
        assert!(lives(world.agent("a")), "its start goes on");
    }
    assert!(world.events("a", "message.unconfirmed").is_empty(), "there was no message");
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
}

fn before_its_enter_it_stands_in_the_composer_and_is_said_once(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a"]);
    // Its Enter comes this long after its paste.
    world.profile("demo", &DEMO.replace("settle = \"100ms\"", "settle = \"60s\""));
    let sender = sender(&world, &["send", "a", "hello"]);
    wait_until("it is typed", || world.screen("a").lines().any(|line| line.starts_with("> hello")));
    let (run, told) = ends(&world, sender, Signal::SIGTERM);
    assert_eq!((run.code, run.stdout.as_str(), &told["cause"]), (143, "", &json!("not-sent")));
    let says = "error: the message to a was typed but not sent: SIGTERM came first\nhint: peer screen a shows it; it is safe to send it again\n";
    assert_eq!(run.stderr, says);
    world.profile("demo", DEMO);
    world.peer(&["send", "a", "hello"]).prints("a: already awake; message delivered\n");
    assert_eq!(world.said(&world.conversation("a")), ["hello"]);
}

fn the_next_sender_of_a_text_that_was_left_says_what_became_of_it(on: RuntimeKind) {
    let world = World::on(on);
    let takes_enter = world.path("takes-enter");
    world.demo("a", &["--swallow-until", takes_enter.to_str().expect("UTF-8")]);
    world.peer(&["wake", "a"]);
    world.profile("demo", &DEMO.replace("settle = \"100ms\"", "settle = \"60s\""));
    let mut first = sender(&world, &["send", "a", "hello"]);
    wait_until("it is typed", || world.screen("a").lines().any(|line| line.starts_with("> hello")));
    killed(&mut first);
    world.profile("demo", DEMO);
    let next = sender(&world, &["send", "a", "hello"]);
    world.await_screen("a", "swallowed an Enter");
    let (run, told) = ends(&world, next, Signal::SIGINT);
    assert_eq!((run.code, &told["cause"]), (130, &json!("not-sent")), "{run:?}");
    std::fs::write(takes_enter, "").expect("written");
    world.peer(&["send", "a", "hello"]).prints("a: already awake; message delivered\n");
    assert_eq!(world.said(&world.conversation("a")), ["hello"]);
}

/// The record says whose text it is; where it is lost as well, the claim beside it does.
fn a_killed_senders_text_is_known_although_the_record_is_lost(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a"]);
    world.profile("demo", &DEMO.replace("settle = \"100ms\"", "settle = \"60s\""));
    let mut sender = sender(&world, &["send", "a", "hello"]);
    wait_until("it is typed", || world.screen("a").lines().any(|line| line.starts_with("> hello")));
    killed(&mut sender);
    std::fs::write(world.path("state/a.session"), "").expect("written");
    world.profile("demo", DEMO);
    assert_eq!(world.peer(&["send", "a", "hello"]).code, 0);
    assert_eq!(world.said(&world.conversation("a")), ["hello"]);
    assert!(!world.path("state/panes/a.1.typing").exists(), "what became of it is known");
}

/// zellij does not draw an accent that is not composed with its letter.
fn a_killed_senders_accents_are_known_and_a_draft_is_still_a_persons(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a"]);
    let typed = |message: &str, begins: &str| {
        world.profile("demo", &DEMO.replace("settle = \"100ms\"", "settle = \"60s\""));
        let mut sender = sender(&world, &["send", "a", message]);
        let shown = format!("> {begins}");
        wait_until("it is typed", || world.screen("a").lines().any(|line| line.starts_with(&shown)));
        killed(&mut sender);
        world.profile("demo", DEMO);
    };
    typed("cafe\u{301} for two", "caf");
    world.peer(&["send", "a", "another"]).prints("a: already awake; message delivered\n");
    assert_eq!(world.said(&world.conversation("a")), ["cafe\u{301} for two", "another"]);
    typed("the\u{301} for two", "th");
    world.press("a", &["-l", " and me"]);
    wait_until("it shows", || {
        world.screen("a").lines().any(|line| line.starts_with("> th") && line.contains("and me"))
    });
    let run = world.peer(&["send", "a", "not typed"]);
    assert!(run.code == 7 && run.stderr.contains("the input box holds an unsent draft"), "{run:?}");
    assert!(world.screen("a").contains("and me"), "untouched");
    assert_eq!(world.said(&world.conversation("a")).len(), 2);
}

fn a_message_goes_out_although_the_directory_of_panes_was_removed(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a"]);
    std::fs::remove_dir_all(world.path("state/panes")).expect("removed");
    // The launch file said where its transcript is, so the delivery cannot be confirmed.
    assert_eq!(world.peer(&["send", "a", "hello"]).code, 7);
    assert_eq!(world.said(&world.conversation("a")), ["hello"]);
}

fn after_its_enter_nobody_knows(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["sleep", "100000"]);
    world.peer(&["wake", "a"]);
    let sender = sender(&world, &["send", "a", "hello", "--json"]);
    // The terminal echoes what the agent does not read.
    wait_until("it is typed", || world.screen("a").contains("hello"));
    let (run, told) = ends(&world, sender, Signal::SIGHUP);
    let document = run.json();
    assert_eq!((run.code, &document["cause"], &document["retryable"]), (129, &json!("not-seen"), &json!(false)));
    assert_eq!(told["cause"], "not-seen");
}

#[test]
fn one_that_is_started_to_ignore_a_hangup_goes_on() {
    let world = World::new();
    world.demo("a", &[]);
    world.peer(&["wake", "a"]);
    world.profile("demo", &DEMO.replace("settle = \"100ms\"", "settle = \"3s\""));
    let peer = world.command(&["send", "a", "hello"]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(peer.get_program()).args(peer.get_args());
    shell.env_clear().envs(peer.get_envs().filter_map(|(key, value)| Some((key, value?)))).current_dir(world.work());
    let sender = shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("sh");
    wait_until("it is typed", || world.screen("a").lines().any(|line| line.starts_with("> hello")));
    signal(sender.id(), Signal::SIGHUP);
    Run::finish(sender, None, Instant::now()).prints("a: already awake; message delivered\n");
}
