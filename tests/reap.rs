//! One tick on real tmux: what both axes say of each peer, and what follows from it.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use common::ticks::{done, fleet, pulse, settle, skipped, tick, verdict};
use common::{World, lives, signal, wait_until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

fn parks_after_a_second(world: &World, name: &str) {
    let path = world.path(&format!("config/peers/{name}.toml"));
    let spec = fs::read_to_string(&path).expect("readable");
    fs::write(path, spec.replace("idle_timeout = \"0s\"", "idle_timeout = \"1s\"")).expect("write");
}

/// Kills pane process and agent, so that nobody is left to record the end.
#[track_caller]
fn kill_unrecorded(world: &World, name: &str) {
    let (pane, agent) = (world.pane_process(name), world.agent(name));
    // The parent first: stopping it would not do, because tmux continues what it finds stopped in a pane.
    signal(pane, Signal::SIGKILL);
    wait_until("its parent is gone", || !lives(pane));
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(agent).expect("a pid")), Signal::SIGKILL);
    wait_until("both are gone", || !lives(pane) && !lives(agent));
}

/// tmux stamps activity in whole seconds, and a pane that dies shows that: as if it had been quiet for long.
fn quiet(world: &World, name: &str) {
    let pane = world.pane(name);
    let quiet = || {
        let said = world.tmux(&["display-message", "-p", "-t", &pane, "#{window_activity}"]);
        let at: u64 = said.trim().parse().expect("seconds");
        std::time::UNIX_EPOCH.elapsed().expect("a time").as_secs() >= at + 16
    };
    wait_until("its pane was quiet for 15 s", quiet);
}

#[test]
fn a_tick_with_nothing_to_do_stamps_both_axes_and_says_nothing() {
    let world = World::new();
    fleet(&world, &["a", "b"]);
    let log = world.log();
    world.peer(&["reap"]).prints("");
    let a = pulse(&world, "a");
    assert_eq!((&a["runtime"]["value"], &a["process"]["value"]), (&json!("alive"), &json!("alive")), "{a}");
    assert!(a["runtime"]["at_ms"].is_u64() && a["process"]["at_ms"].is_u64(), "{a}");
    assert_eq!((verdict(&world, "a"), verdict(&world, "b")), ("healthy".into(), "healthy".into()));
    assert_eq!(world.log(), log, "no news is no event");
    let first = tick(&world, &[]);
    let second = tick(&world, &[]);
    assert_eq!((&first["schema"], &first["probed"]), (&json!("peer.reap/1"), &json!(2)), "{first}");
    assert_eq!(second["tick"].as_u64(), first["tick"].as_u64().map(|n| n + 1));
}

#[test]
fn a_fleet_that_was_never_woken_needs_no_runtime() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.configure("[zellij]\nbinary = \"/nonexistent/zellij\"\n");
    let document = tick(&world, &[]);
    assert_eq!((&document["probed"], skipped(&document), world.server()), (&json!(0), Vec::<String>::new(), None));
}

#[test]
fn an_end_that_was_recorded_is_told_once_and_its_session_is_cleared() {
    let world = World::new();
    world.add("a", &["sh", "-c", "echo last words; exec sleep 1000"]);
    world.peer(&["wake", "a"]);
    wait_until("it has spoken", || world.screen("a").contains("last words"));
    signal(world.agent("a"), Signal::SIGKILL);
    assert_eq!(world.await_end("a")["cause"], "killed");
    assert!(world.tmux(&["list-sessions"]).contains("a-1"), "its last screen is on show until it is cleared");
    let document = tick(&world, &[]);
    assert_eq!(done(&document), [["a", "cleared", "its session was left"]]);
    assert!(!world.tmux(&["list-sessions"]).contains("a-1"));
    assert!(fs::read_to_string(world.file("a", "screen")).expect("kept").contains("last words"));
    assert!(done(&tick(&world, &[])).is_empty());
}

#[test]
fn ended_while_its_recorder_could_not_write_is_acted_on_at_once() {
    let world = World::new();
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

#[test]
fn an_agent_that_nobody_saw_die_is_confirmed_and_buried() {
    let world = World::new();
    fleet(&world, &["a"]);
    // The young are not believed to be gone.
    world.edit("a", "session", |record| record["woke_at_ms"] = json!(u64::MAX / 4));
    kill_unrecorded(&world, "a");
    assert!(done(&tick(&world, &[])).is_empty());
    assert_eq!((verdict(&world, "a"), world.has("a", "session")), ("agent-gone".into(), true));
    settle(&world, "a");
    world.edit("a", "session", |record| record["woke_at_ms"] = json!(1));
    // Nor is one whose pane has just changed.
    assert!(done(&tick(&world, &[])).is_empty());
    assert!(world.has("a", "session"), "busy");
    quiet(&world, "a");
    let document = tick(&world, &[]);
    assert_eq!(done(&document), [["a", "ended", "crashed (pane gone)"]]);
    assert!(document["duration_ms"].as_u64().expect("a time") >= 500, "it looked again: {document}");
    assert_eq!((&world.end("a")["cause"], world.deaths("a")), (&json!("vanished"), 1));
    assert!(!world.tmux(&["list-sessions"]).contains("a-1"));
}

#[test]
fn a_beat_of_a_moment_ago_contradicts_an_absence() {
    let world = World::new();
    fleet(&world, &["a", "b"]);
    kill_unrecorded(&world, "a");
    world.tmux(&["kill-session", "-t", "=a-1"]);
    let now = humantime::format_rfc3339_millis(std::time::SystemTime::now());
    world.write("a", "beat", &format!("{now}\n"));
    let document = tick(&world, &[]);
    assert!(done(&document).is_empty(), "{document}");
    assert_eq!((verdict(&world, "a"), world.has("a", "session")), ("gone".into(), true));
    world.write("a", "beat", "2020-01-01T00:00:00Z\n");
    assert_eq!(done(&tick(&world, &[])), [["a", "ended", "crashed (pane gone)"]]);
}

#[test]
fn gone_on_both_axes_with_a_record_of_its_end_needs_no_second_look() {
    let world = World::new();
    fleet(&world, &["a", "b"]);
    world.tmux(&["kill-session", "-t", "=a-1"]);
    let end = world.await_end("a");
    assert_eq!((&end["cause"], &end["counted"]), (&json!("vanished"), &json!(true)), "its pane was closed by hand");
    assert!(world.has("b", "session"));
}

#[test]
fn an_orphan_is_ended_with_the_ladder() {
    let world = World::new();
    world.add("b", &["cat"]);
    // It outlives its pane, as gemini does: it ignores the hangup, and its terminal's errors.
    world.profile(
        "graced",
        "extends = \"command\"\ndescription = \"for a test\"\n[quit]\ngrace = \"100ms\"\nterm_grace = \"100ms\"\n",
    );
    world.declare("a", &["--agent", "graced"], &["sh", "-c", "trap '' HUP TERM; while :; do sleep 0.1; done"]);
    world.peer(&["wake", "a", "b"]);
    let (agent, pane) = (world.agent("a"), world.pane_process("a"));
    signal(pane, Signal::SIGKILL);
    world.tmux(&["kill-session", "-t", "=a-1"]);
    assert!(lives(agent));
    assert!(done(&tick(&world, &[])).is_empty(), "it has just been started");
    assert_eq!((verdict(&world, "a"), lives(agent)), ("orphan".into(), true));
    settle(&world, "a");
    let document = tick(&world, &[]);
    assert_eq!(done(&document), [["a", "orphan-ended", "crashed (pane gone)"]]);
    assert!(!lives(agent) && !world.has("a", "session"));
    assert_eq!(world.events("a", "session.orphan-ended").len(), 1);
    assert_eq!(world.processes(), [world.agent("b")]);
}

#[test]
fn a_recycled_pid_is_neither_the_agent_nor_signalled() {
    let world = World::new();
    fleet(&world, &["a", "bystander"]);
    let bystander = world.agent("bystander");
    kill_unrecorded(&world, "a");
    world.tmux(&["kill-session", "-t", "=a-1"]);
    world.edit("a", "session", |record| {
        record["process"]["start"] = json!(record["process"]["start"].as_u64().expect("a time") - 100);
        record["process"]["pid"] = json!(bystander);
        record["process"]["session"] = json!(bystander);
    });
    assert_eq!(done(&tick(&world, &[])), [["a", "ended", "crashed (pane gone)"]]);
    assert!(lives(bystander));
    assert_eq!(done(&tick(&world, &[])), Vec::<[String; 3]>::new());
    assert_eq!(verdict(&world, "bystander"), "healthy");
}

#[test]
fn a_killed_server_is_one_event_and_the_fleet_resumes() {
    let world = World::new();
    let names = ["a", "b", "c", "d", "e", "f"];
    for name in names {
        world.demo(name, &[]);
        world.set_in_spec(name, "restart = \"on-failure\"");
        assert_eq!(world.peer(&["wake", name, "-m", &format!("I am {name}")]).code, 0);
    }
    let before: Vec<String> = names.iter().map(|name| world.conversation(name)).collect();
    signal(world.server().expect("a server").pid, Signal::SIGKILL);
    for name in names {
        assert_eq!(world.await_end(name)["cause"], "runtime-lost", "its pane process looked whether the server lives");
    }
    let document = tick(&world, &["--budget", "60s"]);
    let restarted = done(&document);
    assert_eq!(restarted.len(), names.len(), "{document}");
    assert!(restarted.iter().all(|[_, what, cause]| what == "restarted" && cause == "resume (runtime-lost)"));
    let lost: Vec<Value> = world.log().into_iter().filter(|event| event["event"] == "runtime.lost").collect();
    assert_eq!((lost.len(), &lost[0]["peers"]), (1, &json!(names)), "{lost:?}");
    let after: Vec<String> = names.iter().map(|name| world.conversation(name)).collect();
    assert_eq!((before, names.map(|name| world.deaths(name))), (after, [0; 6]));
    assert!(done(&tick(&world, &[])).is_empty());
    assert_eq!(world.log().iter().filter(|event| event["event"] == "runtime.lost").count(), 1);
}

#[test]
fn survivors_of_a_killed_server_are_ended_and_nobody_is_counted() {
    let world = World::new();
    world.profile(
        "graced",
        "extends = \"command\"\ndescription = \"for a test\"\n[quit]\ngrace = \"100ms\"\nterm_grace = \"100ms\"\n",
    );
    for name in ["a", "b"] {
        world.declare(name, &["--agent", "graced"], &["sh", "-c", "trap '' HUP; while :; do sleep 0.1; done"]);
    }
    world.peer(&["wake", "a", "b"]);
    let agents = [world.agent("a"), world.agent("b")];
    signal(world.server().expect("a server").pid, Signal::SIGKILL);
    wait_until("the server is gone", || world.server().is_none());
    assert!(agents.iter().all(|agent| lives(*agent)), "they ignore the hangup");
    let document = tick(&world, &[]);
    assert_eq!(
        done(&document),
        [["a", "orphan-ended", "lost"], ["b", "orphan-ended", "lost"]].map(|d| d.map(String::from)).map(|[p, _, c]| [
            p,
            "ended".to_owned(),
            c
        ])
    );
    assert_eq!(verdict(&world, "a"), "runtime-lost");
    assert!(!agents.iter().any(|agent| lives(*agent)));
    for name in ["a", "b"] {
        assert_eq!((&world.end(name)["cause"], world.deaths(name)), (&json!("runtime-lost"), 0));
    }
    assert_eq!(world.log().iter().filter(|event| event["event"] == "runtime.lost").count(), 1);
}

/// What is unknown: named in `skipped`, and nothing is marked, signalled or started.
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

#[test]
fn a_stopped_server_is_unknown_and_costs_nobody_else_a_verdict() {
    let world = World::with_probe_timeout("500ms");
    for (name, socket) in [("a", None), ("b", Some(world.path("s2")))] {
        world.add(name, &["sleep", "1000"]);
        if let Some(socket) = socket {
            world.set_in_spec(name, &format!("socket = {socket:?}"));
        }
    }
    world.set_in_spec("a", "idle_timeout = \"1s\"\nbeat_timeout = \"1s\"\nrestart = \"always\"");
    assert_eq!(world.peer(&["wake", "a", "b"]).code, 0);
    settle(&world, "a");
    settle(&world, "b");
    world.set_in_spec("b", "idle_timeout = \"1s\"");
    let server = world.server().expect("a server").pid;
    signal(server, Signal::SIGSTOP);
    quiet_other(&world, "s2", "b");
    let document = tick(&world, &[]);
    assert_eq!(
        done(&document).iter().map(|[peer, what, _]| (peer.as_str(), what.as_str())).collect::<Vec<_>>(),
        [("b", "parked")]
    );
    assert_eq!(skipped(&document).len(), 1, "{document}");
    assert!(skipped(&document)[0].contains("peers not judged: 1"), "{document}");
    assert!(document["duration_ms"].as_u64().expect("a time") < 20_000, "{document}");
    assert_eq!(world.log().iter().filter(|event| event["event"] == "probe.timed-out").count(), 1);
    stays_unknown(&world, "a", "does not answer");
    signal(server, Signal::SIGCONT);
    assert_eq!(done(&tick(&world, &[])).len(), 1, "and the promised beats are missed once it answers");
}

/// Waits until a pane on another socket has not printed for two seconds.
fn quiet_other(world: &World, socket: &str, name: &str) {
    let (socket, pane) = (world.path(socket), world.pane(name));
    wait_until("its pane is quiet", || {
        let said = world.tmux_on(&socket, &["display-message", "-p", "-t", &pane, "#{window_activity}"]);
        let at: u64 = said.trim().parse().expect("seconds");
        std::time::UNIX_EPOCH.elapsed().expect("a time").as_secs() >= at + 2
    });
}

#[test]
fn a_missing_tmux_is_unknown() {
    let world = World::new();
    fleet(&world, &["a"]);
    world.edit("a", "session", |record| record["binary"] = json!("/nonexistent/tmux"));
    stays_unknown(&world, "a", "is not installed");
}

#[test]
fn a_socket_that_was_removed_under_a_living_server_is_unknown() {
    let world = World::new();
    fleet(&world, &["a"]);
    let server = world.server().expect("a server").pid;
    fs::rename(world.socket(), world.path("moved")).expect("rename");
    stays_unknown(&world, "a", "its server lives and cannot be reached");
    fs::rename(world.path("moved"), world.socket()).expect("rename");
    tick(&world, &[]);
    assert_eq!(verdict(&world, "a"), "healthy");
    assert_eq!(world.server().expect("a server").pid, server);
}

#[test]
fn a_socket_that_may_not_be_used_is_unknown() {
    let world = World::new();
    fleet(&world, &["a"]);
    if nix::unistd::geteuid().is_root() {
        // Root may use any socket: a place that only looks like one stands in for the refusal.
        let real = world.path("moved");
        fs::rename(world.socket(), &real).expect("rename");
        fs::create_dir(world.socket()).expect("create");
        let document = tick(&world, &[]);
        assert!(done(&document).is_empty() && verdict(&world, "a") == "unknown", "{document}");
        fs::remove_dir(world.socket()).expect("remove");
        fs::rename(&real, world.socket()).expect("rename");
    } else {
        fs::set_permissions(world.socket(), fs::Permissions::from_mode(0o000)).expect("chmod");
        stays_unknown(&world, "a", "permission denied");
        fs::set_permissions(world.socket(), fs::Permissions::from_mode(0o600)).expect("chmod");
    }
    tick(&world, &[]);
    assert_eq!(verdict(&world, "a"), "healthy");
}

#[test]
fn when_most_of_the_fleet_vanishes_at_once_the_next_tick_must_agree() {
    let world = World::new();
    let names = ["a", "b", "c", "d", "e", "f"];
    fleet(&world, &names);
    for name in &names[..5] {
        kill_unrecorded(&world, name);
        world.tmux(&["kill-session", "-t", &format!("={name}-1")]);
    }
    let document = tick(&world, &[]);
    assert!(done(&document).is_empty(), "{document}");
    assert!(names.iter().all(|name| world.has(name, "session")));
    let ended: Vec<String> = done(&tick(&world, &[])).into_iter().map(|[peer, ..]| peer).collect();
    assert_eq!(ended, names[..5]);
    assert!(world.has("f", "session"));
}

#[test]
fn a_dry_run_changes_nothing_and_says_what_it_would_do() {
    let world = World::new();
    fleet(&world, &["a", "b", "c"]);
    world.edit("a", "session", |record| record["process"]["start"] = json!(1));
    world.tmux(&["kill-session", "-t", "=a-1"]);
    wait_until("its pane process has left", || !world.has("a", "session") || !lives(world.pane_process("a")));
    parks_after_a_second(&world, "b");
    quiet_other(&world, "s", "b");
    let before = world.snapshot();
    let run = world.peer(&["reap", "--dry-run"]);
    assert_eq!(world.snapshot(), before);
    assert!(run.stdout.contains("b: would be parked (idle for "), "{run:?}");
    assert_eq!(tick(&world, &["--dry-run"])["tick"], 0);
    assert_eq!(world.snapshot(), before);
}

#[test]
fn only_one_peer_leaves_what_is_known_of_the_others() {
    let world = World::new();
    fleet(&world, &["a", "b"]);
    tick(&world, &[]);
    let b = pulse(&world, "b");
    let document = tick(&world, &["--only", "a"]);
    assert_eq!((&document["probed"], pulse(&world, "b")), (&json!(1), b));
    let run = world.peer(&["reap", "--only", "nobody"]);
    assert_eq!(run.code, 3, "{run:?}");
}

#[test]
fn two_ticks_never_overlap_and_the_second_is_no_failure() {
    let world = World::with_probe_timeout("2s");
    fleet(&world, &["a"]);
    let held = fs::File::create(world.path("state/reap.lock")).expect("create");
    let held = nix::fcntl::Flock::lock(held, nix::fcntl::FlockArg::LockExclusive).expect("free");
    let run = world.peer(&["reap"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{run:?}");
    assert_eq!(run.stderr, "note: another tick is under way; this one does nothing\n");
    assert_eq!(world.peer(&["reap", "--json"]).json()["overlap"], true);
    assert!(!world.path("state/heartbeat.json").exists());
    drop(held);
    world.peer(&["reap"]).prints("");
}

#[test]
fn what_the_budget_has_no_room_for_is_said_and_done_by_the_next_tick() {
    let world = World::new();
    world.profile(
        "graced",
        "extends = \"command\"\ndescription = \"for a test\"\n[quit]\ngrace = \"1500ms\"\nterm_grace = \"1500ms\"\n",
    );
    let names = ["a", "b", "c", "d", "e", "f"];
    for name in names {
        world.declare(name, &["--agent", "graced"], &["sh", "-c", "trap '' TERM; exec sleep 1000"]);
        world.set_in_spec(name, "idle_timeout = \"1s\"");
    }
    assert_eq!(world.peer(&[&["wake"], &names[..]].concat()).code, 0);
    for name in names {
        settle(&world, name);
        quiet_other(&world, "s", name);
    }
    let first = tick(&world, &["--budget", "2s"]);
    assert!(first["duration_ms"].as_u64().expect("a time") < 4_000, "{first}");
    assert!(skipped(&first).iter().any(|line| line.ends_with("the tick had no time left for f")), "{first}");
    assert_eq!(done(&first).len() + skipped(&first).len(), names.len(), "{first}");
    let text = fs::read_to_string(world.path("state/heartbeat.json")).expect("stamped all the same");
    assert!(text.contains("had no time left"), "{text}");
    while names.iter().any(|name| world.has(name, "session")) {
        tick(&world, &["--budget", "20s"]);
    }
    assert!(names.iter().all(|name| world.end(name)["cause"] == "idle-reaped"), "a cut ladder is gone on with");
    assert_eq!(world.processes(), Vec::<u32>::new());
}

#[test]
fn an_agent_without_a_record_is_found_again_and_no_second_one_is_started() {
    let world = World::new();
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

#[test]
fn sessions_of_ours_that_no_record_names_are_cleared() {
    let world = World::new();
    fleet(&world, &["a", "b"]);
    let agent = world.agent("a");
    let record = world.session("a");
    let tag = world.tmux(&["show-options", "-v", "-t", "=a-1:", "@peer_tag"]).trim().to_owned();
    // A dead pane of an incarnation that is not on record.
    world.tmux(&["new-session", "-d", "-s", "a-7", "sleep 1000"]);
    world.tmux(&["set-option", "-t", "=a-7:", "@peer_tag", &tag.replace("/a/1", "/a/7")]);
    world.tmux(&["set-option", "-w", "-t", "=a-7:", "remain-on-exit", "on"]);
    // A person's own session, of a name like ours.
    world.tmux(&["new-session", "-d", "-s", "b-9", "sleep 1000"]);
    assert_eq!(
        done(&tick(&world, &[])),
        Vec::<[String; 3]>::new(),
        "what lives and runs no agent of ours is let alone"
    );
    world.tmux(&["respawn-pane", "-k", "-t", "=a-7:", "true"]);
    wait_until("its pane is dead", || world.tmux(&["list-panes", "-t", "=a-7:", "-F", "#{pane_dead}"]).trim() == "1");
    assert_eq!(done(&tick(&world, &[])), [["a", "cleared", "session a-7 is not on record"]]);
    let listed = world.tmux(&["list-sessions", "-F", "#{session_name}"]);
    assert_eq!(listed, "a-1\nb-1\nb-9\n");
    assert_eq!((world.session("a"), lives(agent)), (record, true));
    assert!(done(&tick(&world, &[])).is_empty());
}

#[test]
fn an_older_agent_beside_the_one_on_record_is_ended() {
    let world = World::new();
    fleet(&world, &["a", "b"]);
    let old = (world.agent("a"), fs::read_to_string(world.path("state/panes/a.1.launch")).expect("it is there"));
    // As if a record and its launch file had been lost, and another been started.
    fs::remove_file(world.file("a", "session")).expect("it is there");
    fs::remove_file(world.path("state/panes/a.1.launch")).expect("it is there");
    world.write(
        "a",
        "end",
        &json!({"incarnation": 1, "cause": "idle-reaped", "counted": false, "at_ms": 1, "agent": "command"})
            .to_string(),
    );
    assert_eq!(world.peer(&["wake", "a"]).code, 0);
    assert!(lives(old.0) && world.agent("a") != old.0);
    let young = world.agent("a");
    let document = tick(&world, &[]);
    assert_eq!(done(&document), [["a", "cleared", "session a-1 is not on record"]], "{document}");
    assert_eq!((lives(old.0), lives(young)), (false, true));
}
