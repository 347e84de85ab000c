//! One tick on real tmux and zellij: what both axes say of each peer, and what follows from it.

use std::fs;

use crate::common::ticks::{done, fleet, settle, tick, verdict, wait_until_quiet};
use crate::common::{World, lives, on_each_runtime, signal, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::runtime::RuntimeKind;
use serde_json::json;

on_each_runtime! {
    an_end_that_was_recorded_is_told_once_and_its_session_is_cleared
    ended_while_its_recorder_could_not_write_is_acted_on_at_once
    an_agent_that_nobody_saw_die_is_confirmed_and_buried
    a_beat_of_a_moment_ago_contradicts_an_absence
    gone_on_both_axes_with_a_record_of_its_end_needs_no_second_look
    an_orphan_is_ended_with_the_ladder
    a_recycled_pid_is_neither_the_agent_nor_signalled
    when_most_of_the_fleet_vanishes_at_once_the_next_tick_must_agree
    an_agent_without_a_record_is_found_again_and_no_second_one_is_started
    an_older_agent_beside_the_one_on_record_is_ended
}

/// Kills pane process and agent, so that no process is left to record the end.
#[track_caller]
pub(super) fn kill_unrecorded(world: &World, name: &str) {
    let (pane, agent) = (world.pane_process(name), world.agent(name));
    // The parent first: stopping it would not suffice, because tmux continues stopped processes of its panes.
    signal(pane, Signal::SIGKILL);
    wait_until("its parent is gone", || !lives(pane));
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(agent).expect("a pid")), Signal::SIGKILL);
    wait_until("both are gone", || !lives(pane) && !lives(agent));
}

fn an_end_that_was_recorded_is_told_once_and_its_session_is_cleared(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["sh", "-c", "echo last words; exec sleep 1000"]);
    world.peer(&["wake", "a"]);
    wait_until("it has spoken", || world.screen("a").contains("last words"));
    signal(world.agent("a"), Signal::SIGKILL);
    assert_eq!(world.await_end("a")["cause"], "killed");
    assert_eq!(world.sessions(), ["a-1"], "its last screen is on show until it is cleared");
    let document = tick(&world, &[]);
    assert_eq!(done(&document), [["a", "cleared", "its agent had ended, its session was left over"]]);
    assert_eq!(world.sessions(), Vec::<String>::new());
    assert!(fs::read_to_string(world.file("a", "screen")).expect("kept").contains("last words"));
    assert!(done(&tick(&world, &[])).is_empty());
}

fn ended_while_its_recorder_could_not_write_is_acted_on_at_once(on: RuntimeKind) {
    let world = World::on(on);
    fleet(&world, &["a"]);
    let record = world.session("a");
    signal(world.agent("a"), Signal::SIGKILL);
    world.await_end("a");
    // As if the pane process had been killed between its exit record and the end.
    let exit = json!({"incarnation": 1, "at_ms": record["woke_at_ms"], "signal": 9, "uptime_ms": 5, "max_rss_kib": 1});
    fs::write(world.path("state/panes/a.1.exit"), exit.to_string()).expect("write");
    world.write("a", "session", &record.to_string());
    fs::remove_file(world.file("a", "end")).expect("it is there");
    fs::remove_file(world.file("a", "deaths")).expect("it is there");
    let document = tick(&world, &[]);
    assert_eq!(done(&document), [["a", "ended", "crashed (SIGKILL)"]]);
    assert_eq!((verdict(&world, "a"), world.deaths("a")), ("ended".into(), 1));
}

fn an_agent_that_nobody_saw_die_is_confirmed_and_buried(on: RuntimeKind) {
    let world = World::on(on);
    fleet(&world, &["a"]);
    // A young incarnation is not taken for gone.
    world.edit("a", "session", |record| record["woke_at_ms"] = json!(u64::MAX / 4));
    kill_unrecorded(&world, "a");
    assert!(done(&tick(&world, &[])).is_empty());
    assert_eq!((verdict(&world, "a"), world.has("a", "session")), ("agent-gone".into(), true));
    settle(&world, "a");
    world.edit("a", "session", |record| record["woke_at_ms"] = json!(1));
    // Nor is one whose pane has just changed: tmux counts the death of a pane as output, zellij does not.
    if on == RuntimeKind::Tmux {
        assert!(done(&tick(&world, &[])).is_empty());
        assert!(world.has("a", "session"), "busy");
        wait_until_quiet(&world, "a", 16);
    }
    let document = tick(&world, &[]);
    assert_eq!(done(&document), [["a", "ended", "crashed (pane gone)"]]);
    assert!(document["duration_ms"].as_u64().expect("a time") >= 500, "it looked again: {document}");
    assert_eq!((&world.end("a")["cause"], world.deaths("a")), (&json!("vanished"), 1));
    assert_eq!(world.sessions(), Vec::<String>::new());
}

/// The state of an unobserved end whose session is closed too: on zellij the session's server ended with it, and a
/// server that is gone takes along what it hosted.
pub(super) fn unseen(on: RuntimeKind) -> &'static str {
    if on == RuntimeKind::Tmux { "crashed (pane gone)" } else { "lost" }
}

fn a_beat_of_a_moment_ago_contradicts_an_absence(on: RuntimeKind) {
    let world = World::on(on);
    fleet(&world, &["a", "b"]);
    kill_unrecorded(&world, "a");
    world.close_session("a");
    let now = humantime::format_rfc3339_millis(std::time::SystemTime::now());
    world.write("a", "beat", &format!("{now}\n"));
    let document = tick(&world, &[]);
    assert!(done(&document).is_empty(), "{document}");
    assert_eq!((verdict(&world, "a"), world.has("a", "session")), ("gone".into(), true));
    world.write("a", "beat", "2020-01-01T00:00:00Z\n");
    assert_eq!(done(&tick(&world, &[])), [["a", "ended", unseen(on)]]);
}

fn gone_on_both_axes_with_a_record_of_its_end_needs_no_second_look(on: RuntimeKind) {
    let world = World::on(on);
    fleet(&world, &["a", "b"]);
    world.close_session("a");
    let end = world.await_end("a");
    assert_eq!((&end["cause"], &end["counted"]), (&json!("closed"), &json!(false)), "its pane was closed by hand");
    assert!(world.has("b", "session"));
}

fn an_orphan_is_ended_with_the_ladder(on: RuntimeKind) {
    let world = World::on(on);
    world.add("b", &["cat"]);
    // It outlives its pane, as gemini does: it ignores the hangup and the errors of its terminal.
    world.profile(
        "graced",
        "extends = \"command\"\ndescription = \"for a test\"\n[quit]\ngrace = \"100ms\"\nterm_grace = \"100ms\"\n",
    );
    world.declare(
        "a",
        &["--agent", "graced"],
        &["sh", "-c", "trap '' HUP TERM; echo deaf; while :; do sleep 0.1; done"],
    );
    world.peer(&["wake", "a", "b"]);
    world.await_screen("a", "deaf");
    let (agent, pane) = (world.agent("a"), world.pane_process("a"));
    signal(pane, Signal::SIGKILL);
    world.close_session("a");
    assert!(lives(agent));
    assert!(done(&tick(&world, &[])).is_empty(), "it has just been started");
    assert_eq!((verdict(&world, "a"), lives(agent)), ("orphan".into(), true));
    settle(&world, "a");
    let document = tick(&world, &[]);
    assert_eq!(done(&document), [["a", "orphan-ended", "closed"]]);
    assert!(!lives(agent) && !world.has("a", "session"));
    assert_eq!((world.events("a", "session.orphan-ended").len(), world.deaths("a")), (1, 0));
    assert_eq!(world.processes(), [world.agent("b")]);
}

fn a_recycled_pid_is_neither_the_agent_nor_signalled(on: RuntimeKind) {
    let world = World::on(on);
    fleet(&world, &["a", "bystander"]);
    let bystander = world.agent("bystander");
    kill_unrecorded(&world, "a");
    world.close_session("a");
    world.edit("a", "session", |record| {
        record["process"]["start"] = json!(record["process"]["start"].as_u64().expect("a time") - 100);
        record["process"]["pid"] = json!(bystander);
        record["process"]["session"] = json!(bystander);
    });
    assert_eq!(done(&tick(&world, &[])), [["a", "ended", unseen(on)]]);
    assert!(lives(bystander));
    assert_eq!(done(&tick(&world, &[])), Vec::<[String; 3]>::new());
    assert_eq!(verdict(&world, "bystander"), "healthy");
}

fn when_most_of_the_fleet_vanishes_at_once_the_next_tick_must_agree(on: RuntimeKind) {
    let world = World::on(on);
    let names = ["a", "b", "c", "d", "e", "f"];
    fleet(&world, &names);
    for name in &names[..5] {
        kill_unrecorded(&world, name);
        world.close_session(name);
    }
    let document = tick(&world, &[]);
    assert!(done(&document).is_empty(), "{document}");
    assert!(names.iter().all(|name| world.has(name, "session")));
    let ended: Vec<String> = done(&tick(&world, &[])).into_iter().map(|[peer, ..]| peer).collect();
    assert_eq!(ended, names[..5]);
    assert!(world.has("f", "session"));
}

fn an_agent_without_a_record_is_found_again_and_no_second_one_is_started(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.set_in_spec("a", "restart = \"always\"");
    world.peer(&["wake", "a", "-m", "hello"]);
    let (agent, conversation) = (world.agent("a"), world.conversation("a"));
    for lose in ["remove", "corrupt"] {
        match lose {
            "remove" => fs::remove_file(world.file("a", "session")).expect("it is there"),
            _ => world.write("a", "session", "{"),
        }
        assert_eq!(done(&tick(&world, &["--dry-run"])), [["a", "recovered", "its record was lost"]]);
        assert_eq!(done(&tick(&world, &[])), [["a", "recovered", "its record was lost"]]);
        assert_eq!(
            (world.agent("a"), world.conversation("a"), world.processes()),
            (agent, conversation.clone(), vec![agent])
        );
        tick(&world, &[]);
        assert_eq!(verdict(&world, "a"), "healthy");
    }
    world.peer(&["wake", "a", "-m", "again"]).prints("a: already awake; message delivered\n");
    assert_eq!(world.said(&conversation), ["hello", "again"]);
}

/// A dead pane without an end, and a session of the user's with a name like ours. Neither can exist on zellij, where a
/// session has its own directory. A living pane without a record is reported on both: the next case.
#[test]
fn sessions_of_ours_that_no_record_names_are_cleared() {
    let world = World::new();
    fleet(&world, &["a", "b"]);
    let agent = world.agent("a");
    let record = world.session("a");
    let tag = world.tmux(&["show-options", "-p", "-v", "-t", "=a-1:", "@peer_tag"]);
    let tag = tag.split_once("/1@").expect("a tag and a process").0.to_owned() + "/7@#{pane_pid}";
    // A dead pane of an incarnation that is not recorded.
    world.tmux(&["new-session", "-d", "-s", "a-7", "sleep 1000"]);
    world.tmux(&["set-option", "-p", "-F", "-t", "=a-7:", "@peer_tag", &tag]);
    world.tmux(&["set-option", "-w", "-t", "=a-7:", "remain-on-exit", "on"]);
    // The user's own session, with a name like ours.
    world.tmux(&["new-session", "-d", "-s", "b-9", "sleep 1000"]);
    assert_eq!(
        done(&tick(&world, &[])),
        Vec::<[String; 3]>::new(),
        "what lives and runs no agent of ours is let alone"
    );
    world.tmux(&["respawn-pane", "-k", "-t", "=a-7:", "true"]);
    world.tmux(&["set-option", "-p", "-F", "-t", "=a-7:", "@peer_tag", &tag]);
    wait_until("its pane is dead", || world.tmux(&["list-panes", "-t", "=a-7:", "-F", "#{pane_dead}"]).trim() == "1");
    assert_eq!(done(&tick(&world, &[])), [["a", "cleared", "session a-7 is not on record"]]);
    let listed = world.tmux(&["list-sessions", "-F", "#{session_name}"]);
    assert_eq!(listed, "a-1\nb-1\nb-9\n");
    assert_eq!((world.session("a"), lives(agent)), (record, true));
    assert!(done(&tick(&world, &[])).is_empty());
}

fn an_older_agent_beside_the_one_on_record_is_ended(on: RuntimeKind) {
    let world = World::on(on);
    fleet(&world, &["a", "b"]);
    let (old, young) = (world.agent("a"), world.agent("b"));
    // As if it had been replaced by another start whose pane process did not see the name that the first one holds.
    let mut other = world.session("b");
    other["incarnation"] = json!(2);
    world.write("a", "session", &other.to_string());
    let document = tick(&world, &[]);
    assert_eq!(done(&document), [["a", "cleared", "session a-1 is not on record"]], "{document}");
    assert_eq!((lives(old), lives(young)), (false, true));
}
