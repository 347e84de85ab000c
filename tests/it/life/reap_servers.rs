//! One tick and servers that are killed, stopped, cut off or cannot be queried.
//!
//! On tmux one server hosts the fleet. On zellij each session is a separate server, whose life the kernel shows. So a
//! fault of a server affects the fleet on tmux and one peer on zellij. And what keeps a client from querying (no
//! binary, no permission) makes a peer unknown on tmux and goes unnoticed on zellij.

use crate::common;
use crate::common::ticks::{done, fleet, settle, skipped, tick, verdict, wait_until_quiet};
use crate::common::{World, lives, on_each_runtime, quoted, signal, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::runtime::RuntimeKind;
use peer_adapters::socket::{self, Listener};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

on_each_runtime! {
    a_killed_server_is_one_event_and_the_fleet_resumes
    survivors_of_a_killed_server_are_ended_and_nobody_is_counted
    a_stopped_server_is_unknown_and_costs_nobody_else_a_verdict
    a_missing_binary_is_never_a_death
    a_socket_that_was_removed_under_a_living_server_is_unknown
    a_socket_that_may_not_be_used_is_never_a_death
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
