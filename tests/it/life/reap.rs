//! One tick on real tmux and zellij: what both axes say of each peer, and what follows from it.
//!
//! On tmux one server hosts the fleet. On zellij each session is a separate server, whose life the kernel shows. So a
//! fault of a server affects the fleet on tmux and one peer on zellij. And what keeps a client from querying (no
//! binary, no permission) makes a peer unknown on tmux and goes unnoticed on zellij.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::common;
use crate::common::ticks::{done, fleet, settle, skipped, tick, verdict, wait_until_quiet};
use crate::common::{World, lives, on_each_runtime, quoted, signal, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::runtime::RuntimeKind;
use peer_adapters::socket::{self, Listener};
use serde_json::{Value, json};

on_each_runtime! {
    an_end_that_was_recorded_is_told_once_and_its_session_is_cleared
    ended_while_its_recorder_could_not_write_is_acted_on_at_once
    an_agent_that_nobody_saw_die_is_confirmed_and_buried
    a_beat_of_a_moment_ago_contradicts_an_absence
    gone_on_both_axes_with_a_record_of_its_end_needs_no_second_look
    an_orphan_is_ended_with_the_ladder
    a_recycled_pid_is_neither_the_agent_nor_signalled
    a_killed_server_is_one_event_and_the_fleet_resumes
    survivors_of_a_killed_server_are_ended_and_nobody_is_counted
    a_stopped_server_is_unknown_and_costs_nobody_else_a_verdict
    a_missing_binary_is_never_a_death
    a_socket_that_was_removed_under_a_living_server_is_unknown
    a_socket_that_may_not_be_used_is_never_a_death
    when_most_of_the_fleet_vanishes_at_once_the_next_tick_must_agree
    an_agent_without_a_record_is_found_again_and_no_second_one_is_started
    an_older_agent_beside_the_one_on_record_is_ended
}

/// Kills pane process and agent, so that no process is left to record the end.
#[track_caller]
fn kill_unrecorded(world: &World, name: &str) {
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
    assert_eq!(done(&document), [["a", "cleared", "its session was left"]]);
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
fn unseen(on: RuntimeKind) -> &'static str {
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

/// Kills every server that hosts one of the peers with SIGKILL.
fn lose_every_server(world: &World, names: &[&str]) {
    let sockets: Vec<PathBuf> = names.iter().map(|name| socket_of(world, name)).collect();
    let mut servers: Vec<_> = names.iter().map(|name| world.server_of(name).pid).collect();
    servers.sort_unstable();
    servers.dedup();
    for server in &servers {
        signal(*server, Signal::SIGKILL);
    }
    // A process is seen to be gone before its last thread has released the socket.
    let gone = |path: &PathBuf| matches!(socket::listener(path), Ok(Listener::Gone(_)));
    wait_until("they are gone", || sockets.iter().all(gone) && !servers.iter().any(|server| lives(*server)));
}

/// Asserts one event per lost server, which names all peers on it: one for the fleet on tmux, one per peer on zellij.
#[track_caller]
fn is_told_once_a_server(world: &World, names: &[&str]) {
    let lost = world.log().into_iter().filter(|event| event["event"] == "runtime.lost");
    let mut lost: Vec<Value> = lost.map(|event| event["peers"].clone()).collect();
    lost.sort_by_key(Value::to_string);
    match world.kind() {
        RuntimeKind::Tmux => assert_eq!(lost, [json!(names)]),
        RuntimeKind::Zellij => assert_eq!(lost, names.iter().map(|name| json!([name])).collect::<Vec<_>>()),
    }
}

fn a_killed_server_is_one_event_and_the_fleet_resumes(on: RuntimeKind) {
    let world = World::on(on);
    // Each start on zellij is one more server.
    let names = match on {
        RuntimeKind::Tmux => &["a", "b", "c", "d", "e", "f"][..],
        RuntimeKind::Zellij => &["a", "b", "c"],
    };
    for name in names {
        world.demo(name, &[]);
        world.set_in_spec(name, "restart = \"on-failure\"");
        assert_eq!(world.peer(&["wake", name, "-m", &format!("I am {name}")]).code, 0);
    }
    let before: Vec<String> = names.iter().map(|name| world.conversation(name)).collect();
    lose_every_server(&world, names);
    for name in names {
        assert_eq!(world.await_end(name)["cause"], "runtime-lost", "its pane process looked whether the server lives");
    }
    let document = tick(&world, &["--budget", "60s"]);
    let restarted = done(&document);
    assert_eq!(restarted.len(), names.len(), "{document}");
    assert!(restarted.iter().all(|[_, what, cause]| what == "restarted" && cause == "resume (runtime-lost)"));
    is_told_once_a_server(&world, names);
    let after: Vec<String> = names.iter().map(|name| world.conversation(name)).collect();
    assert_eq!(before, after);
    assert!(names.iter().all(|name| world.deaths(name) == 0));
    assert!(done(&tick(&world, &[])).is_empty());
    is_told_once_a_server(&world, names);
}

fn survivors_of_a_killed_server_are_ended_and_nobody_is_counted(on: RuntimeKind) {
    let world = World::on(on);
    world.profile(
        "graced",
        "extends = \"command\"\ndescription = \"for a test\"\n[quit]\ngrace = \"100ms\"\nterm_grace = \"100ms\"\n",
    );
    for name in ["a", "b"] {
        world.declare(
            name,
            &["--agent", "graced"],
            &["sh", "-c", "trap '' HUP; echo deaf; while :; do sleep 0.1; done"],
        );
    }
    world.peer(&["wake", "a", "b"]);
    for name in ["a", "b"] {
        world.await_screen(name, "deaf");
    }
    let agents = [world.agent("a"), world.agent("b")];
    lose_every_server(&world, &["a", "b"]);
    assert!(agents.iter().all(|agent| lives(*agent)), "they ignore the hangup");
    let document = tick(&world, &[]);
    assert_eq!(done(&document), [["a", "ended", "lost"], ["b", "ended", "lost"]]);
    assert_eq!(verdict(&world, "a"), "runtime-lost");
    assert!(!agents.iter().any(|agent| lives(*agent)));
    for name in ["a", "b"] {
        assert_eq!((&world.end(name)["cause"], world.deaths(name)), (&json!("runtime-lost"), 0));
    }
    is_told_once_a_server(&world, &["a", "b"]);
}

/// Asserts that the peer is unknown: it is named in `skipped`, and nothing is marked, signalled or started.
#[track_caller]
fn stays_unknown(world: &World, name: &str, why: &str) {
    let (record, agent) = (world.session(name), world.agent(name));
    let document = tick(world, &[]);
    assert!(done(&document).is_empty(), "{document}");
    assert!(skipped(&document).iter().any(|line| line.contains(why)), "{why}: {document}");
    assert_eq!(verdict(world, name), "unknown");
    assert_eq!((world.session(name), lives(agent)), (record, true));
    assert!(!world.has(name, "idle-reaped") && world.end(name).is_null());
}

fn a_stopped_server_is_unknown_and_costs_nobody_else_a_verdict(on: RuntimeKind) {
    // Long enough for all servers that answer on a loaded machine, and within the tick's budget for the one that does
    // not.
    let world = World::on_within(on, "5s");
    for (name, socket) in [("a", None), ("b", Some(world.path("s2")))] {
        world.add(name, &["sleep", "1000"]);
        // On zellij it has a separate server anyway.
        if let (Some(socket), RuntimeKind::Tmux) = (socket, on) {
            world.set_in_spec(name, &format!("socket = {}", quoted(&socket)));
        }
    }
    world.set_in_spec("a", "idle_timeout = \"1s\"\nbeat_timeout = \"1s\"\nrestart = \"always\"");
    assert_eq!(world.peer(&["wake", "a", "b"]).code, 0);
    settle(&world, "a");
    settle(&world, "b");
    world.set_in_spec("b", "idle_timeout = \"1s\"");
    let server = world.server_of("a").pid;
    common::stop(server);
    wait_until_quiet(&world, "b", 2);
    let document = tick(&world, &[]);
    assert_eq!(
        done(&document).iter().map(|[peer, what, _]| (peer.as_str(), what.as_str())).collect::<Vec<_>>(),
        [("b", "parked")]
    );
    assert_eq!(skipped(&document).len(), 1, "{document}");
    assert!(skipped(&document)[0].contains("peers not judged: 1"), "{document}");
    assert!(document["duration_ms"].as_u64().expect("a time") < 20_000, "{document}");
    assert_eq!(world.log().iter().filter(|event| event["event"] == "probe.timed-out").count(), 1);
    stays_unknown(&world, "a", if on == RuntimeKind::Tmux { "does not answer" } else { "is stopped" });
    signal(server, Signal::SIGCONT);
    assert_eq!(done(&tick(&world, &[])).len(), 1, "and the promised beats are missed once it answers");
}

fn a_missing_binary_is_never_a_death(on: RuntimeKind) {
    let world = World::on(on);
    fleet(&world, &["a"]);
    world.edit("a", "session", |record| record["binary"] = json!("/nonexistent/binary"));
    let document = tick(&world, &[]);
    // tmux is queried by another client that fits the server; on zellij no process is started to query.
    assert_eq!((done(&document), skipped(&document)), (vec![], vec![]));
    assert_eq!((verdict(&world, "a"), lives(world.agent("a"))), ("healthy".to_owned(), true));
}

/// The socket of the server that hosts this peer.
fn socket_of(world: &World, name: &str) -> PathBuf {
    let place = world.place(name);
    match world.kind() {
        RuntimeKind::Tmux => place.server,
        RuntimeKind::Zellij => place.server.join("contract_version_1").join(place.session),
    }
}

fn a_socket_that_was_removed_under_a_living_server_is_unknown(on: RuntimeKind) {
    let world = World::on(on);
    fleet(&world, &["a"]);
    let (server, socket) = (world.server_of("a"), socket_of(&world, "a"));
    fs::rename(&socket, world.path("moved")).expect("rename");
    match on {
        // A verb that may change something can make it listen again.
        RuntimeKind::Tmux => {
            let document = tick(&world, &["--dry-run"]);
            assert!(skipped(&document)[0].contains("lives and cannot be reached"), "{document}");
            assert!(!socket.exists());
        }
        RuntimeKind::Zellij => {
            stays_unknown(&world, "a", "lives and cannot be reached");
            fs::rename(world.path("moved"), &socket).expect("rename");
        }
    }
    tick(&world, &[]);
    assert_eq!(verdict(&world, "a"), "healthy");
    assert_eq!(world.server_of("a"), server);
}

fn a_socket_that_may_not_be_used_is_never_a_death(on: RuntimeKind) {
    let world = World::on(on);
    fleet(&world, &["a"]);
    let (socket, agent) = (socket_of(&world, "a"), world.agent("a"));
    let mode = |mode| fs::set_permissions(&socket, fs::Permissions::from_mode(mode)).expect("chmod");
    let moved = world.path("moved");
    // Root may use any socket, so a file that only looks like a socket stands in for the refusal.
    let root = nix::unistd::geteuid().is_root();
    if root {
        fs::rename(&socket, &moved).expect("rename");
        fs::create_dir(&socket).expect("create");
    } else {
        mode(0o000);
    }
    let document = tick(&world, &[]);
    // The kernel shows that a zellij server listens.
    let expected = if on == RuntimeKind::Tmux { "unknown" } else { "healthy" };
    assert_eq!((done(&document), verdict(&world, "a")), (vec![], expected.to_owned()), "{document}");
    assert!(lives(agent) && world.end("a").is_null());
    if root {
        fs::remove_dir(&socket).expect("remove");
        fs::rename(&moved, &socket).expect("rename");
    } else {
        mode(0o600);
    }
    tick(&world, &[]);
    assert_eq!(verdict(&world, "a"), "healthy");
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
