//! Whole fleets on both runtimes: the cost of a tick, and that one hung session affects only its own peer.
//!
//! `PEER_TEST_ROUNDS=100 cargo test --test it fleets` is the long form.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::common::{World, lives, on_each_runtime, quoted, signal, stop, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::runtime::RuntimeKind::{self, Tmux, Zellij};
use serde_json::{Value, json};

on_each_runtime! {
    twenty_wakes_at_once_in_directories_of_their_own_all_succeed
}

/// Puts a program in front of both binaries that records each start, then executes the binary.
fn count_starts(world: &World) {
    let log = world.path("starts");
    std::fs::write(&log, "").expect("write");
    let path = world.path("config/config.toml");
    let mut config = std::fs::read_to_string(&path).expect("read");
    for kind in [Tmux, Zellij] {
        let real = peer_adapters::command::resolve(kind.as_str().as_ref(), None, std::path::Path::new("/"));
        let counter = world.path(&format!("counted-{kind}"));
        let script = format!(
            "#!/bin/sh\necho {kind} \"$*\" >>'{}'\nexec '{}' \"$@\"\n",
            log.display(),
            real.expect("both are on PATH").display()
        );
        std::fs::write(&counter, script).expect("write");
        std::fs::set_permissions(&counter, std::fs::Permissions::from_mode(0o755)).expect("chmod");
        let binary = format!("binary = \"{}\"\n", counter.display());
        config = match kind {
            Tmux => config.replace("[tmux]\n", &format!("[tmux]\n{binary}")),
            Zellij => config + &format!("[zellij]\n{binary}"),
        };
    }
    std::fs::write(&path, config).expect("write");
}

/// The starts since the last call, one per line.
fn starts(world: &World) -> Vec<String> {
    let log = std::fs::read_to_string(world.path("starts")).expect("read");
    std::fs::write(world.path("starts"), "").expect("write");
    log.lines().map(str::to_owned).collect()
}

/// Declares this many peers on `kind`, wakes them, and ages them as if they had run for an hour.
fn fleet(world: &World, kind: RuntimeKind, count: usize) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|number| format!("{}{number}", &kind.as_str()[..1])).collect();
    for name in &names {
        let run = world.peer(&["add", name, "--runtime", kind.as_str(), "--agent", "command", "--", "cat"]);
        assert_eq!(run.code, 0, "{run:?}");
        world.set_in_spec(name, "idle_timeout = \"0s\"");
    }
    let words: Vec<&str> = ["wake", "--jobs", "8"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let run = world.peer(&words);
    assert_eq!(run.code, 0, "{run:?}");
    for name in &names {
        world.edit(name, "session", |record| {
            let long_ago = record["woke_at_ms"].as_u64().expect("a time") - 3_600_000;
            record["woke_at_ms"] = json!(long_ago);
            record["ready_at_ms"] = json!(long_ago + 1000);
        });
    }
    names
}

/// One tick that does nothing; returns how long it took by its own clock, and what it could not judge.
#[track_caller]
fn tick(world: &World, probed: usize) -> (Duration, Vec<Value>) {
    let run = world.peer(&["reap", "--json"]);
    assert_eq!(run.code, 0, "{run:?}");
    let tick = run.json();
    assert_eq!((&tick["probed"], &tick["done"]), (&json!(probed), &json!([])), "{tick}");
    let skipped = tick["skipped"].as_array().expect("a list").clone();
    (Duration::from_millis(tick["duration_ms"].as_u64().expect("a number")), skipped)
}

/// A tick that could judge all of it.
#[track_caller]
fn idle_tick(world: &World, probed: usize) -> Duration {
    let (took, skipped) = tick(world, probed);
    assert_eq!(skipped, Vec::<Value>::new());
    took
}

/// The number of peers with each verdict of the last tick.
fn verdicts(world: &World) -> BTreeMap<String, usize> {
    let text = std::fs::read_to_string(world.path("state/heartbeat.json")).expect("a heartbeat");
    let beat: Value = serde_json::from_str(&text).expect("JSON");
    let mut counted = BTreeMap::new();
    for pulse in beat["peers"].as_object().expect("peers").values() {
        *counted.entry(pulse["verdict"].as_str().expect("a verdict").to_owned()).or_default() += 1;
    }
    counted
}

#[test]
fn forty_peers_on_both_runtimes_are_judged_by_one_tick_that_starts_one_process() {
    let world = World::on(Zellij);
    count_starts(&world);
    fleet(&world, Tmux, 20);
    fleet(&world, Zellij, 20);
    starts(&world);
    idle_tick(&world, 40);
    let started = starts(&world);
    assert!(started.len() == 1 && started[0].contains("list-panes"), "{started:?}");
    assert_eq!(verdicts(&world), BTreeMap::from([("healthy".to_owned(), 40)]));
}

/// The number of records from which a list queries the server of the first while it still reads the others.
const PARALLEL_READ_MIN: usize = 130;

/// The number of records that do not parse, and the bytes in each: just below the size that is refused unread.
const SLOW: usize = 60;
const SLOW_BYTES: u64 = 15 << 20;

#[test]
fn a_wake_after_the_server_was_asked_and_before_its_record_was_read_is_not_listed_as_gone() {
    // The list is stopped while a wake runs, and its client waits meanwhile.
    let world = World::with_probe_timeout("60s");
    for name in ["first", "woken"] {
        world.add(name, &["cat"]);
    }
    let spec = |name: &str| world.path(&format!("config/peers/{name}.toml"));
    for number in 0..PARALLEL_READ_MIN {
        std::fs::copy(spec("first"), spec(&format!("p{number}"))).expect("copy");
    }
    assert_eq!(world.peer(&["wake", "first"]).code, 0);
    // Between the two records are some that take long to read (a second in all), so that the list is still reading when
    // its tmux client starts. That client stops the list until the wake is done and the answer is ready.
    let slow: Vec<_> = (0..SLOW).map(|number| world.file(&format!("p{number}"), "session")).collect();
    for file in &slow {
        std::fs::File::create(file).and_then(|file| file.set_len(SLOW_BYTES)).expect("a long file of nothing");
    }
    let (armed, done) = (world.path("armed"), world.path("woken"));
    count_starts(&world);
    let counter = world.path("counted-tmux");
    let hand_over = std::fs::read_to_string(&counter).expect("read");
    let (start, exec) = hand_over.split_once("exec ").expect("it hands over");
    let script = format!(
        "{start}if [ \"${{*#*list-panes}}\" != \"$*\" ] && mv {armed} {done} 2>&-; then\n  kill -STOP $PPID\n  \
         {real} >{done}/answer\n  {peer} wake woken >{done}/said 2>&1\n  kill -CONT $PPID\n  \
         exec cat {done}/answer\nfi\nexec {exec}",
        armed = quoted(&armed),
        done = quoted(&done),
        real = exec.trim_end(),
        peer = quoted(world.command(&[]).get_program().as_ref()),
    );
    std::fs::write(&counter, script).expect("write");
    // From here on its version is known, and its next start is the listing.
    world.peer(&["why", "first"]);
    starts(&world);
    std::fs::create_dir(&armed).expect("create");
    let state = |name: &str| {
        let rows = world.peer(&["list", "--json"]).json()["peers"].clone();
        let row = rows.as_array().expect("rows").iter().find(|row| row["peer"] == name).cloned();
        row.expect("everybody is listed")["state"].clone()
    };
    let listings = |world: &World| starts(world).iter().filter(|start| start.contains("list-panes")).count();
    assert_eq!((state("woken"), listings(&world)), (json!("awake"), 2));
    // A peer that was ready before the query and is absent from the answer is gone, which takes no second query.
    for file in &slow {
        std::fs::remove_file(file).expect("removed");
    }
    world.edit("woken", "session", |record| {
        record["pane"] = json!("%999");
        record["pane_process"] = json!({ "pid": 1, "start": 0 });
        record["process"] = json!({ "pid": 1, "start": 0, "session": 1 });
    });
    assert_eq!((state("woken"), listings(&world)), (json!("crashed"), 1));
}

#[test]
fn a_tick_over_fifty_peers_on_zellij_starts_no_process() {
    let world = World::on(Zellij);
    count_starts(&world);
    let names = fleet(&world, Zellij, 50);
    starts(&world);
    let took = idle_tick(&world, 50);
    assert_eq!((starts(&world), verdicts(&world)), (Vec::new(), BTreeMap::from([("healthy".to_owned(), 50)])));
    let place = world.place(&names[0]);
    let asked = Instant::now();
    world.zellij(&place, &["--session", &place.session, "action", "list-panes"]);
    eprintln!("a tick over 50: {took:?}; one raw list-panes: {:?}", asked.elapsed());
    // A list of them starts no process either.
    assert_eq!(world.peer(&["list", "--json"]).json()["peers"].as_array().map(Vec::len), Some(50));
    assert_eq!(starts(&world), Vec::<String>::new());
}

#[test]
fn a_hung_session_of_zellij_costs_its_own_peer_a_verdict_and_nobody_else_anything() {
    let world = World::on(Zellij);
    count_starts(&world);
    let names = fleet(&world, Zellij, 5);
    let (hung, agent) = (world.server_of(&names[2]).pid, world.agent(&names[2]));
    stop(hung);
    starts(&world);
    let (took, skipped) = tick(&world, 5);
    assert_eq!(starts(&world), Vec::<String>::new());
    assert!(skipped.len() == 1 && skipped[0].as_str().is_some_and(|line| line.contains("is stopped")), "{skipped:?}");
    assert!(took < Duration::from_secs(5), "{took:?}: it was waited for");
    let expected = BTreeMap::from([("healthy".to_owned(), 4), ("unknown".to_owned(), 1)]);
    assert_eq!(verdicts(&world), expected);
    // The peers that are not hung work as before.
    for name in [&names[1], &names[3]] {
        world.peer(&["wake", name, "-m", "hello"]).prints(&format!("{name}: already awake; message delivered\n"));
        assert_eq!(world.peer(&["screen", name]).code, 0);
    }
    assert_eq!(world.peer(&["wake", &names[2]]).code, 6);
    assert!(lives(agent) && world.deaths(&names[2]) == 0);
    signal(hung, Signal::SIGCONT);
    wait_until("it answers", || world.peer(&["wake", &names[2]]).code == 0);
    idle_tick(&world, 5);
    assert_eq!((verdicts(&world), world.agent(&names[2])), (BTreeMap::from([("healthy".to_owned(), 5)]), agent));
}

/// How often the test is repeated: each wake of a fleet is another interleaving.
fn rounds() -> u32 {
    std::env::var("PEER_TEST_ROUNDS").ok().and_then(|count| count.parse().ok()).unwrap_or(3)
}

fn twenty_wakes_at_once_in_directories_of_their_own_all_succeed(on: RuntimeKind) {
    let world = World::on(on);
    let names: Vec<String> = (0..20).map(|number| format!("p{number}")).collect();
    for name in &names {
        let cwd = world.path(&format!("work/{name}"));
        std::fs::create_dir(&cwd).expect("create");
        world.declare(name, &["--agent", "command", "--cwd", cwd.to_str().expect("UTF-8")], &["cat"]);
    }
    for round in 0..rounds() {
        let wake = |name: &String| {
            let run = world.peer(&["wake", name, "--fresh"]);
            assert!(run.code == 0 && run.stderr.is_empty(), "round {round}: {run:?}");
        };
        std::thread::scope(|scope| names.iter().for_each(|name| drop(scope.spawn(move || wake(name)))));
        assert_eq!((world.processes().len(), world.sessions().len()), (20, 20), "round {round}");
        let stop: Vec<&str> = ["stop", "--jobs", "20"].into_iter().chain(names.iter().map(String::as_str)).collect();
        assert_eq!(world.peer(&stop).code, 0, "round {round}");
        assert_eq!((world.processes(), world.session_dirs()), (Vec::new(), Vec::new()), "round {round}");
        assert_eq!(world.peer(&["start", "--all"]).code, 0);
    }
}
