//! The log records what was declared, changed, stopped and removed, and messages that failed, even for peers that are
//! gone.

use std::process::Command;

use crate::common::{Run, World, wait_until};

fn events(world: &World) -> Vec<String> {
    let log = world.log().into_iter().filter(|event| event["peer"] == "a");
    log.map(|event| event["event"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn each_thing_that_a_person_does_leaves_a_line() {
    let world = World::new();
    world.add("a", &["cat"]);
    let again = ["add", "a", "--agent", "command", "--replace", "--idle", "1h", "--runtime", "tmux", "--", "cat"];
    let run = world.peer(&again);
    assert_eq!((run.code, run.stderr.as_str()), (0, "note: a: idle_timeout was not set, is \"1h\"\n"), "{run:?}");
    let mut edit: Command = world.command(&["edit", "a"]);
    Run::of(edit.env("EDITOR", "sed -i s/1h/2h/"), None).prints("a: saved\n");
    world.peer(&["stop", "a"]);
    world.peer(&["start", "a"]);
    world.peer(&["start", "a"]);
    world.peer(&["refresh", "a"]);
    world.peer(&["rm", "a"]);
    let expected =
        ["peer.added", "peer.added", "peer.edited", "peer.stopped", "peer.started", "peer.refreshed", "peer.removed"];
    assert_eq!(events(&world), expected);
    let added = world.events("a", "peer.added");
    assert_eq!((&added[0]["replaced"], &added[1]["replaced"]), (&serde_json::Value::Null, &serde_json::json!(true)));
    // For a peer that is gone, too.
    let log = world.peer(&["log", "a"]);
    assert!(log.code == 0 && log.stdout.lines().count() == expected.len(), "{log:?}");
    assert!(log.stdout.contains("trash/a-"), "{log:?}");
    world.peer(&["log", "b"]).fails(3, "error: there is no peer named b\nhint: peer add b -- COMMAND\n");
}

#[test]
fn a_turn_that_a_person_stopped_is_told() {
    let world = World::new();
    world.demo("a", &["--slow-turn"]);
    world.peer(&["wake", "a", "-m", "SLOW 600"]);
    world.await_screen("a", "esc to interrupt");
    world.peer(&["interrupt", "a"]).prints("a: interrupted\n");
    assert_eq!(world.events("a", "agent.interrupted").len(), 1);
    // If there is none, nothing is done.
    world.peer(&["interrupt", "a"]);
    assert_eq!(world.events("a", "agent.interrupted").len(), 1);
}

#[test]
fn a_message_that_did_not_arrive_is_told() {
    let world = World::new();
    world.demo("a", &[]);
    world.peer(&["wake", "a"]);
    world.press("a", &["-l", "my draft"]);
    wait_until("it shows", || world.screen("a").contains("> my draft"));
    assert_eq!(world.peer(&["send", "a", "hello"]).code, 7);
    let told = world.events("a", "message.unconfirmed");
    assert_eq!((told.len(), &told[0]["cause"], &told[0]["incarnation"]), (1, &"not-typed".into(), &1.into()));
    assert!(!told[0].to_string().contains("draft"), "what a pane shows is not written down");
}
