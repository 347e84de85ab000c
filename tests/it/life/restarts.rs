//! `peer restart-runtime`: every peer of a server continues its conversation on a new server.

use std::time::{Duration, Instant};

use crate::common;
use crate::common::{World, killed, lives, on_each_runtime, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::process;
use peer_adapters::runtime::RuntimeKind;

on_each_runtime! {
    its_peers_go_on_in_their_conversations
    a_spec_that_cannot_be_read_costs_no_other_server_its_outcome
    one_that_is_killed_on_the_way_leaves_peers_that_resume
}

#[track_caller]
fn fine(world: &World, args: &[&str]) -> String {
    let run = world.peer(args);
    assert_eq!(run.code, 0, "{args:?}: {run:?}");
    run.stdout
}

fn its_peers_go_on_in_their_conversations(kind: RuntimeKind) {
    let world = World::on(kind);
    world.demo("a", &[]);
    world.demo("b", &[]);
    world.demo("c", &[]);
    fine(&world, &["wake", "a", "-m", "one"]);
    fine(&world, &["wake", "b", "-m", "one"]);
    let before: Vec<_> =
        ["a", "b"].map(|name| (world.server_of(name), world.session(name)["conversation"].clone())).to_vec();
    let plan = fine(&world, &["restart-runtime", "--dry-run"]);
    assert!(plan.contains("would park"), "{plan}");
    assert_eq!(world.server_of("a"), before[0].0, "nothing was done");
    let said = world.peer(&["restart-runtime", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    for server in said.json()["servers"].as_array().expect("servers") {
        assert_eq!(server["outcome"], "restarted", "{server}");
    }
    for (name, (server, conversation)) in ["a", "b"].into_iter().zip(before) {
        assert!(process::find(server).expect("/proc").is_none(), "{name}: the old server is gone");
        assert_ne!(world.server_of(name), server);
        assert_eq!(
            (&world.session(name)["conversation"], &world.session(name)["resumed"]),
            (&conversation, &true.into())
        );
        assert_eq!(world.deaths(name), 0);
    }
    assert!(!world.has("c", "session"), "one that was asleep stays so");
}

fn a_spec_that_cannot_be_read_costs_no_other_server_its_outcome(kind: RuntimeKind) {
    let world = World::on(kind);
    for name in ["a", "b"] {
        world.demo(name, &[]);
        fine(&world, &["wake", name, "-m", "one"]);
    }
    let agent = world.agent("b");
    std::fs::write(world.path("config/peers/b.toml"), "agent = 3\n").expect("written");
    let run = world.peer(&["restart-runtime", "--json"]);
    assert_eq!(run.code, 4, "{run:?}");
    let document = run.json();
    let servers = document["servers"].as_array().expect("servers");
    let of = |name: &str| {
        let hosts = |server: &&serde_json::Value| server["peers"].as_array().expect("names").contains(&name.into());
        servers.iter().find(hosts).expect("its server")
    };
    assert_eq!(of("b")["outcome"], "refused", "{document}");
    assert!(of("b")["why"].to_string().contains("b: "), "{document}");
    // On tmux they share a server, so neither is touched.
    assert_eq!(of("a")["outcome"], if kind == RuntimeKind::Tmux { "refused" } else { "restarted" }, "{document}");
    assert_eq!(world.agent("b"), agent);
}

fn one_that_is_killed_on_the_way_leaves_peers_that_resume(kind: RuntimeKind) {
    let world = World::on(kind);
    for name in ["a", "b"] {
        world.demo(name, &[]);
        fine(&world, &["wake", name, "-m", "one"]);
    }
    let conversations = ["a", "b"].map(|name| world.session(name)["conversation"].clone());
    let mut restart = world.command(&["restart-runtime"]).spawn().expect("it starts");
    wait_until("one is parked", || world.has("a", "end") || world.has("b", "end"));
    killed(&mut restart);
    for (name, conversation) in ["a", "b"].into_iter().zip(conversations) {
        fine(&world, &["wake", name]);
        assert_eq!((&world.session(name)["conversation"], world.deaths(name)), (&conversation, 0), "{name}");
    }
}

#[test]
fn what_forbids_it_is_said_and_nothing_is_touched() {
    let world = World::new();
    world.add("a", &["cat"]);
    fine(&world, &["wake", "a"]);
    let (agent, server) = (world.agent("a"), world.server());
    let over = world.peer(&["restart-runtime"]);
    assert!(over.code == 4 && over.stdout.contains("a would start over"), "{over:?}");
    world.tmux(&["new-session", "-d", "-s", "mine", "sleep", "1000"]);
    let theirs = world.peer(&["restart-runtime", "--now"]);
    assert!(
        theirs.code == 4 && theirs.stdout.contains("session mine on it does not belong to this fleet"),
        "{theirs:?}"
    );
    let inside = common::Run::of(world.command(&["restart-runtime", "--now"]).env("PEER_NAME", "a"), None);
    assert!(inside.code == 4 && inside.stdout.contains("runs this command itself"), "{inside:?}");
    assert_eq!(world.peer(&["restart-runtime", "nobody"]).code, 3);
    assert!(lives(agent) && world.server() == server);
    world.tmux(&["kill-session", "-t", "=mine:"]);
    let begin = Instant::now();
    let run = world.peer(&["restart-runtime", "a", "--now"]);
    assert!(run.code == 0 && begin.elapsed() < Duration::from_secs(30), "{run:?}");
    assert!(world.server() != server && !lives(agent) && world.deaths("a") == 0);
}

/// A server ended while nobody looked, and only one of its peers has been woken since.
#[test]
fn the_server_that_lives_is_ended_though_a_record_names_one_that_has_ended() {
    let world = World::new();
    for name in ["a", "b"] {
        world.demo(name, &[]);
        fine(&world, &["wake", name, "-m", "one"]);
    }
    let first = world.server_of("a");
    // The pane processes first, so that they record no end.
    for pid in ["a", "b"].map(|name| world.pane_process(name)).into_iter().chain([first.pid]) {
        common::signal(pid, Signal::SIGKILL);
    }
    wait_until("the server has ended", || process::find(first).expect("/proc").is_none());
    fine(&world, &["wake", "b"]);
    let second = world.server_of("b");
    assert!(world.server_of("a") == first && second != first, "the record of the other one still names it");
    let document = world.peer(&["restart-runtime", "--json"]).json();
    assert_eq!(document["servers"][0]["outcome"], "restarted", "{document}");
    assert_eq!(document["servers"][0]["pid"], second.pid, "{document}");
    assert!(process::find(second).expect("/proc").is_none() && world.server_of("b") != second);
}

#[test]
fn a_record_that_is_no_file_refuses_its_own_peer() {
    let world = World::on(RuntimeKind::Zellij);
    for name in ["a", "b"] {
        world.demo(name, &[]);
        fine(&world, &["wake", name, "-m", "one"]);
    }
    let (agent, other) = (world.agent("a"), world.agent("b"));
    std::fs::rename(world.file("a", "session"), world.path("aside")).expect("moved");
    std::fs::create_dir(world.file("a", "session")).expect("made");
    let run = world.peer(&["restart-runtime", "b"]);
    assert!(run.code == 0 && !lives(other), "{run:?}");
    let run = world.peer(&["restart-runtime"]);
    assert!(run.code == 4 && run.stderr.contains("a: cannot read") && run.stdout.contains(": restarted"), "{run:?}");
    let document = world.peer(&["restart-runtime", "a", "--json"]).json();
    assert_eq!((&document["servers"], &document["broken"][0]["peer"]), (&serde_json::json!([]), &"a".into()));
    assert!(lives(agent));
}
