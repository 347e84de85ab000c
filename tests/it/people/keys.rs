//! `peer key`: keys arrive as the user's terminal would send them, or none is pressed.

use std::fs;

use crate::common::{World, on_each_runtime, wait_until};
use peer_adapters::runtime::RuntimeKind;
use serde_json::json;

on_each_runtime! {
    keys_arrive_by_the_names_of_tmux
    a_word_that_is_no_key_is_refused_before_any_is_pressed
    nothing_is_pressed_where_the_agent_does_not_run
    a_prompt_that_an_escape_puts_back_is_ours
}

/// A program that records each byte that it reads.
fn recorder(on: RuntimeKind) -> World {
    let world = World::on(on);
    let script = format!("stty raw -echo; echo up; exec cat >{}", world.path("heard").display());
    world.add("a", &["sh", "-c", &script]);
    world.peer(&["wake", "a"]);
    world.await_screen("a", "up");
    world
}

fn heard(world: &World) -> String {
    fs::read_to_string(world.path("heard")).unwrap_or_default()
}

fn keys_arrive_by_the_names_of_tmux(on: RuntimeKind) {
    let world = recorder(on);
    let words =
        ["key", "a", "1", "Enter", "Up", "S-Tab", "btab", "C-c", "C-C", "Escape", "M-x", "F5", "PPage", ";", "y"];
    world.peer(&words).prints("a: pressed 1 Enter Up BTab BTab C-c C-c Escape M-x F5 PageUp ; y\n");
    let expected = "1\r\x1b[A\x1b[Z\x1b[Z\x03\x03\x1b\x1bx\x1b[15~\x1b[5~;y";
    wait_until("each arrived, in order", || heard(&world) == expected);
    let events = world.events("a", "keys.pressed");
    assert_eq!(
        (events.len(), &events[0]["keys"], &events[0]["incarnation"]),
        (1, &json!("1 Enter Up BTab BTab C-c C-c Escape M-x F5 PageUp ; y"), &json!(1))
    );
}

fn a_word_that_is_no_key_is_refused_before_any_is_pressed(on: RuntimeKind) {
    let world = recorder(on);
    for word in ["Entr", "C-1", "F13", "F01", "", "yes", "é", "C-Enter"] {
        let run = world.peer(&["key", "a", "x", word]);
        let names = "use Enter, Escape, Tab, BTab, Up, Down, Left, Right, BSpace, Space, Home, End, PageUp, PageDown, Insert, \
                     Delete, F1 to F12, C-a to C-z, M- and a character, or one printable character";
        assert!(run.code == 2 && run.stdout.is_empty() && run.stderr.contains(names), "{run:?}");
    }
    assert_eq!(world.peer(&["key", "a"]).code, 2);
    world.peer(&["key", "a", "q"]).prints("a: pressed q\n");
    wait_until("the one that is a key arrived", || !heard(&world).is_empty());
    assert_eq!((heard(&world).as_str(), world.events("a", "keys.pressed").len()), ("q", 1));
}

fn nothing_is_pressed_where_the_agent_does_not_run(on: RuntimeKind) {
    let world = World::on(on);
    world.peer(&["key", "b", "Enter"]).fails(3, "error: there is no peer named b\nhint: peer list shows every peer\n");
    world.add("a", &["cat"]);
    let not_awake = "error: a is not awake\nhint: peer wake a\n";
    world.peer(&["key", "a", "Enter"]).fails(4, not_awake);
    world.peer(&["wake", "a"]);
    world.close_session("a");
    let run = world.peer(&["key", "a", "Enter"]);
    assert!(run.code == 4 && run.stderr.starts_with("error: a is not awake\n"), "{run:?}");
    world.await_end("a");
    world.peer(&["key", "a", "Enter"]).fails(4, not_awake);
    assert!(world.events("a", "keys.pressed").is_empty());
}

fn a_prompt_that_an_escape_puts_back_is_ours(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--slow-turn", "--put-back"]);
    world.peer(&["wake", "a", "-m", "SLOW 600 first"]).prints("a: woken fresh (first-wake); message delivered\n");
    world.await_screen("a", "esc to interrupt");
    world.peer(&["key", "a", "Escape"]).prints("a: pressed Escape\n");
    wait_until("it stands in the composer again", || {
        world.screen("a").lines().filter(|line| line.starts_with("> SLOW 600 first")).count() == 2
    });
    world.peer(&["send", "a", "second"]).prints("a: already awake; message delivered\n");
    assert_eq!(world.said(&world.conversation("a")), ["SLOW 600 first", "second"]);
}

#[test]
fn nothing_is_pressed_in_a_pane_that_a_person_lets_run_something_else() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.peer(&["wake", "a"]);
    let place = world.place("a");
    let script = format!("stty raw -echo; echo theirs; exec cat >{}", world.path("heard").display());
    world.tmux(&["respawn-pane", "-k", "-t", &place.pane, &script]);
    wait_until("theirs runs", || world.tmux(&["capture-pane", "-p", "-t", &place.pane]).contains("theirs"));
    let run = world.peer(&["key", "a", "x"]);
    assert!(run.code == 4 && run.stderr.starts_with("error: a is not awake\n"), "{run:?}");
    assert_eq!(heard(&world), "");
}
