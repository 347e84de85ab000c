//! The conversation changes in mid-session, by a command that the user types in the pane or that was sent. The record,
//! list, log, proof of delivery and next resume follow the agent, and no peer takes another's conversation.
//!
//! The demo agent handles `/clear` and `/resume ID` as Claude Code does: its status file has the new id, and the
//! transcript of a new conversation appears with its first message.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::Path;

use crate::common::ticks::tick;
use crate::common::{World, on_each_runtime, signal, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};

on_each_runtime! {
    a_tick_notices_what_a_person_cleared
    a_stop_notices_what_a_person_cleared
    a_kill_does_not_hide_what_a_person_cleared
    a_clear_that_is_sent_is_on_record_when_the_send_returns
    a_message_in_a_conversation_begun_after_its_mark_is_delivered_once
    what_was_cleared_and_never_spoken_in_is_not_the_old_context_again
    one_that_is_gone_back_to_is_the_one_to_resume
    a_conversation_of_another_peer_is_never_taken
    a_link_that_moves_while_it_is_awake_changes_nothing
    a_link_that_moved_while_it_slept_is_a_fresh_start_that_is_said
}

/// A demo agent that has had one message, and its conversation.
fn awake(on: RuntimeKind, words: &[&str]) -> (World, String) {
    let world = World::on(on);
    world.demo("a", &[&["--status-file"], words].concat());
    world
        .peer(&["wake", "a", "--topic", "t", "-m", "first"])
        .prints("a: woken fresh (first-wake); message delivered\n");
    let first = world.conversation("a");
    (world, first)
}

/// Types a line in the pane, as the user does.
#[track_caller]
fn type_by_hand(world: &World, line: &str) {
    world.press("a", &["-l", line]);
    world.press("a", &["Enter"]);
}

/// Clears the conversation as the user does; returns the id in the agent's status file after that.
#[track_caller]
fn clear(world: &World) -> String {
    let before = told(world);
    type_by_hand(world, "/clear");
    wait_until("its status file names another conversation", || told(world) != before);
    told(world)
}

/// The conversation in the agent's status file.
fn told(world: &World) -> String {
    let path = world.path(&format!("home/demo/sessions/{}.json", world.agent("a")));
    let status: Value = serde_json::from_str(&fs::read_to_string(path).expect("it keeps one")).expect("JSON");
    status["sessionId"].as_str().expect("an id").to_owned()
}

#[track_caller]
fn speak_by_hand(world: &World, conversation: &str, text: &str) {
    type_by_hand(world, text);
    wait_until("it is answered", || world.said(conversation).last().is_some_and(|last| last == text));
}

/// Asserts that `second` has replaced `first`: it is recorded once, both are in the list, and the topics of the first
/// are gone.
#[track_caller]
fn moved(world: &World, first: &str, second: &str) {
    assert_eq!(
        (world.conversation("a").as_str(), world.conversations("a")),
        (second, vec![first.into(), second.into()])
    );
    let events = world.events("a", "conversation.changed");
    let said: Vec<_> = events.iter().map(|e| (&e["previous"], &e["conversation"], &e["incarnation"])).collect();
    assert_eq!(said, [(&json!(first), &json!(second), &json!(1))], "{events:?}");
    assert!(!world.has("a", "topic") || fs::read_to_string(world.file("a", "topic")).expect("readable").is_empty());
}

fn a_tick_notices_what_a_person_cleared(on: RuntimeKind) {
    let (world, first) = awake(on, &[]);
    tick(&world, &[]);
    let second = clear(&world);
    tick(&world, &["--dry-run"]);
    assert_eq!(world.conversation("a"), first, "a dry run changes nothing");
    tick(&world, &[]);
    moved(&world, &first, &second);
    tick(&world, &[]);
    moved(&world, &first, &second);
    world.peer(&["send", "a", "hello"]).prints("a: already awake; message delivered\n");
    assert_eq!((world.said(&first), world.said(&second)), (vec!["first".to_owned()], vec!["hello".to_owned()]));
}

fn a_stop_notices_what_a_person_cleared(on: RuntimeKind) {
    let (world, first) = awake(on, &[]);
    let second = clear(&world);
    speak_by_hand(&world, &second, "by hand");
    world.peer(&["stop", "a"]);
    moved(&world, &first, &second);
    world.peer(&["start", "a"]);
    world.peer(&["wake", "a", "-m", "after"]).prints("a: woken resumed (stopped); message delivered\n");
    assert_eq!(
        (world.said(&first), world.said(&second)),
        (vec!["first".into()], vec!["by hand".into(), "after".into()])
    );
}

fn a_kill_does_not_hide_what_a_person_cleared(on: RuntimeKind) {
    let (world, first) = awake(on, &[]);
    let second = clear(&world);
    speak_by_hand(&world, &second, "by hand");
    signal(world.agent("a"), Signal::SIGKILL);
    assert_eq!(world.await_end("a")["conversation"], second.as_str());
    moved(&world, &first, &second);
    world.peer(&["wake", "a", "--resume"]).prints("a: woken resumed (asked-resume)\n");
}

fn a_clear_that_is_sent_is_on_record_when_the_send_returns(on: RuntimeKind) {
    let (world, first) = awake(on, &["--late-status", "200"]);
    world.peer(&["send", "a", "--command", "/clear"]).prints("a: already awake; message delivered\n");
    moved(&world, &first, &told(&world));
}

fn a_message_in_a_conversation_begun_after_its_mark_is_delivered_once(on: RuntimeKind) {
    // Its status file shows the new conversation long after the message was typed.
    let (world, first) = awake(on, &["--late-status", "2500"]);
    type_by_hand(&world, "/clear");
    wait_until("it began another one", || world.screen("a").matches("new conversation").count() == 2);
    world.peer(&["send", "a", "first"]).prints("a: already awake; message delivered\n");
    let second = told(&world);
    assert_eq!((world.said(&first), world.said(&second)), (vec!["first".to_owned()], vec!["first".to_owned()]));
    moved(&world, &first, &second);
}

fn what_was_cleared_and_never_spoken_in_is_not_the_old_context_again(on: RuntimeKind) {
    let (world, first) = awake(on, &[]);
    let second = clear(&world);
    world.peer(&["stop", "a"]);
    moved(&world, &first, &second);
    world.peer(&["start", "a"]);
    let woken = world.peer(&["wake", "a", "-m", "after"]);
    assert_eq!(woken.stdout, "a: woken fresh (stopped-no-conversation); message delivered\n", "{woken:?}");
    assert_eq!(woken.stderr, not_found(&world.work()));
    let third = world.conversation("a");
    assert_eq!(world.conversations("a"), [first.as_str(), &second, &third]);
    assert_eq!((world.said(&first), world.said(&third)), (vec!["first".to_owned()], vec!["after".to_owned()]));
}

fn one_that_is_gone_back_to_is_the_one_to_resume(on: RuntimeKind) {
    let (world, first) = awake(on, &[]);
    let second = clear(&world);
    speak_by_hand(&world, &second, "by hand");
    tick(&world, &[]);
    type_by_hand(&world, &format!("/resume {first}"));
    wait_until("its status file names the first again", || told(&world) == first);
    world.peer(&["stop", "a"]);
    assert_eq!(world.conversations("a"), [first.as_str(), &second, &first], "newest last");
    world.peer(&["start", "a"]);
    world.peer(&["wake", "a", "-m", "after"]).prints("a: woken resumed (stopped); message delivered\n");
    assert_eq!(world.said(&first), ["first", "after"]);
}

fn a_conversation_of_another_peer_is_never_taken(on: RuntimeKind) {
    let (world, first) = awake(on, &[]);
    world.demo("b", &[]);
    world.peer(&["wake", "b", "-m", "to b"]);
    let theirs = world.conversation("b");
    type_by_hand(&world, &format!("/resume {theirs}"));
    wait_until("its status file names the other's", || told(&world) == theirs);
    tick(&world, &[]);
    world.peer(&["stop", "a"]);
    assert_eq!((world.conversation("a"), world.conversations("a")), (first.clone(), vec![first]));
    assert!(world.events("a", "conversation.changed").is_empty());
}

/// A demo agent whose directory is a link, which can be pointed to another directory.
fn not_found(cwd: &Path) -> String {
    format!("note: a: its conversation was not found for {}, so it starts fresh\n", cwd.display())
}

fn awake_behind_a_link(on: RuntimeKind) -> World {
    let world = World::on(on);
    for dir in ["work/one", "work/two"] {
        fs::create_dir(world.path(dir)).expect("created");
    }
    std::os::unix::fs::symlink(world.path("work/one"), world.path("work/link")).expect("linked");
    let link = world.path("work/link");
    world.demo_with("a", &["--cwd", link.to_str().expect("UTF-8")], &["--status-file"]);
    world.peer(&["wake", "a", "-m", "first"]).prints("a: woken fresh (first-wake); message delivered\n");
    world
}

fn move_link(world: &World) {
    fs::remove_file(world.path("work/link")).expect("removed");
    std::os::unix::fs::symlink(world.path("work/two"), world.path("work/link")).expect("linked");
}

fn a_link_that_moves_while_it_is_awake_changes_nothing(on: RuntimeKind) {
    let world = awake_behind_a_link(on);
    move_link(&world);
    world.peer(&["send", "a", "second"]).prints("a: already awake; message delivered\n");
    let status = world.peer(&["status", "a", "--json"]).json().to_string();
    assert!(status.contains(&format!("{}.jsonl", world.conversation("a"))), "{status}");
}

fn a_link_that_moved_while_it_slept_is_a_fresh_start_that_is_said(on: RuntimeKind) {
    let world = awake_behind_a_link(on);
    world.peer(&["stop", "a"]);
    world.peer(&["start", "a"]);
    move_link(&world);
    let woken = world.peer(&["wake", "a", "-m", "second"]);
    assert_eq!(woken.stdout, "a: woken fresh (stopped-no-conversation); message delivered\n", "{woken:?}");
    assert_eq!(woken.stderr, not_found(&world.path("work/link")));
    assert_eq!(world.conversations("a").len(), 2);
}
