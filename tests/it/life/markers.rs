//! Markers and what they must not do: each test is a case of a context that was lost or wrongly revived.

use crate::common::{World, lives, on_each_runtime, signal, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::runtime::RuntimeKind;
use serde_json::json;

on_each_runtime! {
    a_resume_that_fails_keeps_the_park_marker
    the_park_marker_goes_when_any_wake_is_ready
    attach_crash_wake_does_not_resume_the_crash
    a_stop_that_was_killed_half_way_does_not_make_a_later_crash_a_park
    a_refresh_is_used_up_only_by_a_wake_that_is_ready
    deaths_are_counted_once_however_many_look
    topics_are_kept_at_most_sixteen_and_cut_at_two_hundred_characters
}

fn a_resume_that_fails_keeps_the_park_marker(on: RuntimeKind) {
    // A marker that was removed before the launch turned one failed boot into a lost context.
    let world = World::on(on);
    world.demo("a", &["--die-on-resume", "200"]);
    world.peer(&["wake", "a", "-m", "hello"]);
    let conversation = world.conversation("a");
    world.peer(&["stop", "a"]);
    world.peer(&["start", "a"]);
    assert!(world.has("a", "idle-reaped"));
    let run = world.peer(&["wake", "a"]);
    assert_eq!(run.code, 5, "{run:?}");
    assert!(run.stderr.starts_with("error: a was started, but it ended (crashed (exit 1))"), "{run:?}");
    assert!(world.has("a", "idle-reaped"), "kept: nothing was ready");
    let end = world.end("a");
    assert_eq!((&end["cause"], &end["counted"]), (&json!("crashed"), &json!(true)), "the park is not why it died");
    assert_eq!(world.conversations("a").first(), Some(&conversation), "an id is never lost");
    // A start that never was ready says nothing about the context.
    let decision = world.peer(&["why", "a", "--json"]).json()["decision"].clone();
    assert_eq!(decision, format!("resume {conversation} (stopped)"));
}

fn the_park_marker_goes_when_any_wake_is_ready(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    world.peer(&["stop", "a"]);
    world.peer(&["start", "a"]);
    world.peer(&["wake", "a", "--fresh"]).prints("a: woken fresh (asked-fresh)\n");
    assert!(!world.has("a", "idle-reaped"));
}

fn attach_crash_wake_does_not_resume_the_crash(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    let conversation = world.conversation("a");
    world.peer(&["stop", "a"]);
    world.peer(&["start", "a"]);
    attach(&world, "a");
    assert_eq!(world.session("a")["cause"], "asked-resume");
    assert_eq!(world.session("a")["conversation"], conversation.as_str());
    assert!(!world.has("a", "idle-reaped"), "attach consumes it");
    signal(world.agent("a"), Signal::SIGKILL);
    world.await_end("a");
    world.peer(&["wake", "a"]).prints("a: woken fresh (killed)\n");
    assert_ne!(world.conversation("a"), conversation);
}

/// Attaches from a terminal (a pane of another server) and detaches once the peer's screen shows.
fn attach(world: &World, name: &str) {
    let person = world.path("s-person");
    let peer = env!("CARGO_BIN_EXE_peer");
    let dirs = [
        format!("PEER_STATE_DIR={}", world.path("state").display()),
        format!("PEER_CONFIG_DIR={}", world.path("config").display()),
    ];
    let said = world.tmux_on(
        &person,
        &[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "100",
            "-y",
            "30",
            "env",
            "-u",
            "TMUX",
            &dirs[0],
            &dirs[1],
            peer,
            "attach",
            name,
        ],
    );
    assert_eq!(said, "");
    // Its status line, or the agent's text if there is none.
    let sign = match world.kind() {
        RuntimeKind::Tmux => format!("[{name}-2]"),
        RuntimeKind::Zellij => "resumed conversation".to_owned(),
    };
    wait_until("the person sees it", || world.tmux_on(&person, &["capture-pane", "-p"]).contains(&sign));
    wait_until("it is awake", || world.session(name)["phase"] == "ready");
    match world.kind() {
        RuntimeKind::Tmux => drop(world.tmux(&["detach-client", "-s", &format!("={name}-2")])),
        RuntimeKind::Zellij => {
            for key in ["C-b", "d"] {
                world.tmux_on(&person, &["send-keys", key]);
            }
        }
    }
    wait_until("the person's shell is back", || world.tmux_on(&person, &["list-sessions"]).contains("no server"));
}

fn a_stop_that_was_killed_half_way_does_not_make_a_later_crash_a_park(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    // The state that a stop leaves if it is killed between its intent and its first key.
    world.edit("a", "session", |record| record["intent"] = json!("stopped"));
    world.write("a", "idle-reaped", "2026-11-21T00:00:00Z\n");
    // Its keys may be on their way, so the ending is completed first.
    world.peer(&["wake", "a"]).prints("a: woken resumed (stopped)\n");
    assert!(!world.has("a", "idle-reaped") && !world.has("a", "stopped"));
    signal(world.agent("a"), Signal::SIGKILL);
    let end = world.await_end("a");
    assert_eq!((&end["cause"], &end["counted"]), (&json!("killed"), &json!(true)));
    world.peer(&["wake", "a"]).prints("a: woken fresh (killed)\n");
}

#[test]
fn the_heartbeat_finishes_an_ending_that_was_killed_half_way() {
    let world = World::new();
    for (name, intent) in [("stopped", "stopped"), ("parked", "idle-reaped")] {
        world.demo(name, &[]);
        world.peer(&["wake", name, "-m", "hello"]);
        world.edit(name, "session", |record| record["intent"] = json!(intent));
        assert_eq!(world.peer(&["reap"]).code, 0);
        assert_eq!((&world.end(name)["cause"], world.deaths(name)), (&json!(intent), 0));
        assert_eq!((world.has(name, "stopped"), world.processes().len()), (intent == "stopped", 0));
    }
}

fn a_refresh_is_used_up_only_by_a_wake_that_is_ready(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--trust-dialog"]);
    world.peer(&["refresh", "a"]).prints("a: fresh at its next wake\n");
    assert_eq!(world.peer(&["wake", "a"]).code, 5, "it asks and nobody may answer");
    assert!(world.has("a", "fresh-next"));
}

fn deaths_are_counted_once_however_many_look(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["sleep", "1000"]);
    world.peer(&["wake", "a"]);
    let agent = world.agent("a");
    signal(agent, Signal::SIGKILL);
    // The signal may not have taken effect yet; a stop meanwhile would find the agent alive and park it.
    wait_until("the kernel to have ended it", || !lives(agent));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| world.peer(&["stop", "a"]).prints("a: stopped; it was not awake\n"));
        }
    });
    assert_eq!((world.deaths("a"), world.events("a", "session.ended").len()), (1, 1));
}

fn topics_are_kept_at_most_sixteen_and_cut_at_two_hundred_characters(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["cat"]);
    for number in 0..18 {
        let topic = format!("{number} {}", "é".repeat(300));
        assert_eq!(world.peer(&["wake", "a", "-t", &topic, "-m", "x"]).code, 0);
    }
    let text = std::fs::read_to_string(world.file("a", "topic")).expect("topics");
    let topics: Vec<&str> = text.lines().collect();
    assert_eq!((topics.len(), topics[0].chars().count(), &topics[15][..3]), (16, 200, "17 "));
}
