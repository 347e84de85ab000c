//! A file that cannot be used affects only its own peer: all others are listed, reaped and woken.

use std::fs;

use crate::common;
use crate::common::{World, lives, wait_until};
use serde_json::json;

/// Puts something in the place of a good file.
type Spoil = fn(&World, &str);

fn directory(world: &World, suffix: &str) {
    let path = world.file("bad", suffix);
    let _ = fs::remove_file(&path);
    fs::create_dir(path).expect("create");
}

fn fifo(world: &World, suffix: &str) {
    let path = world.file("bad", suffix);
    let _ = fs::remove_file(&path);
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).expect("mkfifo");
}

fn device(world: &World, suffix: &str) {
    let path = world.file("bad", suffix);
    let _ = fs::remove_file(&path);
    std::os::unix::fs::symlink("/dev/zero", path).expect("symlink");
}

fn unknown_runtime(world: &World, _: &str) {
    world.edit("bad", "session", |record| record["runtime"] = json!("screen"));
}

fn absurd_values(world: &World, _: &str) {
    world.edit("bad", "session", |record| {
        record["woke_at_ms"] = json!(u64::MAX);
        record["ready_at_ms"] = json!(u64::MAX);
        record["process"] = json!({ "pid": u32::MAX, "start": u64::MAX, "session": 0 });
    });
}

fn absurd_end(world: &World, _: &str) {
    let end =
        json!({ "incarnation": u64::MAX, "cause": "crashed", "counted": true, "at_ms": u64::MAX, "agent": "command" });
    world.write("bad", "end", &end.to_string());
}

#[test]
fn a_bad_file_costs_its_own_peer_and_nobody_else() {
    let spoils: [(&str, Spoil, &str); 10] = [
        ("an unknown runtime", unknown_runtime, ""),
        ("absurd values", absurd_values, ""),
        ("an absurd end", absurd_end, ""),
        ("a directory as record", directory, "session"),
        ("a directory as end", directory, "end"),
        ("a directory as ring of deaths", directory, "deaths"),
        ("a directory as list of conversations", directory, "conversations"),
        ("a FIFO as record", fifo, "session"),
        ("a FIFO as end", fifo, "end"),
        ("a device as record", device, "session"),
    ];
    for (what, spoil, suffix) in spoils {
        let world = World::new();
        for name in ["bad", "good", "over"] {
            world.add(name, &["cat"]);
            assert_eq!(world.peer(&["wake", name]).code, 0);
        }
        let good = world.agent("good");
        // Its pane process was killed before it could record the end, so the tick has to.
        let over = world.agent("over");
        common::signal(world.pane_process("over"), nix::sys::signal::Signal::SIGKILL);
        wait_until("it is dead", || !lives(over));
        let exit = json!({ "incarnation": 1, "at_ms": 1, "code": 3, "uptime_ms": 5, "max_rss_kib": 7 });
        fs::write(world.path("state/panes/over.1.exit"), exit.to_string()).expect("write");
        spoil(&world, suffix);
        let list = world.peer(&["list", "--json"]);
        let rows = list.json();
        let states: Vec<_> =
            rows["peers"].as_array().expect("rows").iter().map(|row| (&row["peer"], &row["state"])).collect();
        assert!(states.contains(&(&json!("good"), &json!("awake"))), "{what}: {list:?}");
        let tick = world.peer(&["reap"]);
        assert!(!world.has("over", "session") && tick.stdout.contains("over: ended"), "{what}: {tick:?}");
        let doctor = world.peer(&["doctor"]);
        assert!(doctor.stdout.contains("tmux"), "{what}: {doctor:?}");
        world.peer(&["wake", "good"]).prints("good: already awake\n");
        assert_eq!(world.peer(&["wake", "over"]).code, 0, "{what}");
        // Whatever the file is, it does not crash `peer`.
        for verb in [&["status", "bad"][..], &["why", "bad"], &["wake", "bad"], &["stop", "bad"]] {
            let run = world.peer(verb);
            assert!((0..=7).contains(&run.code) && !run.stderr.contains("panicked"), "{what}: {verb:?}: {run:?}");
        }
        assert!(lives(good), "{what}");
    }
}

#[test]
fn a_record_with_an_unknown_runtime_is_named_by_every_view() {
    let world = World::new();
    world.add("bad", &["cat"]);
    world.peer(&["wake", "bad"]);
    unknown_runtime(&world, "");
    for verb in [&["list", "--json"][..], &["status", "bad"], &["doctor"], &["reap"]] {
        let run = world.peer(verb);
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(said.contains("bad") && said.contains("screen"), "{verb:?}: {run:?}");
    }
}

#[test]
fn a_restart_of_all_servers_leaves_that_of_an_unknown_runtime_and_restarts_the_others() {
    let world = World::new();
    world.add("bad", &["cat"]);
    world.peer(&["add", "good", "--runtime", "zellij", "--", "cat"]);
    assert_eq!(world.peer(&["wake", "bad", "good"]).code, 0);
    let (left, ended) = (world.agent("bad"), world.agent("good"));
    unknown_runtime(&world, "");
    let run = world.peer(&["restart-runtime", "--now", "--json"]);
    let servers = run.json()["servers"].as_array().expect("servers").clone();
    let of = |name: &str| servers.iter().find(|server| server["peers"] == json!([name])).expect("its server");
    assert_eq!((of("bad")["outcome"].as_str(), of("bad")["runtime"].as_str()), (Some("refused"), Some("screen")));
    assert!(of("bad")["why"].to_string().contains("no such runtime"), "{run:?}");
    assert_eq!(of("good")["outcome"], "restarted", "{run:?}");
    assert_eq!(run.code, 4, "{run:?}");
    assert!(lives(left) && !lives(ended) && lives(world.agent("good")));
}

/// A newer version knows a third runtime, and started an agent there. Here that agent is unknown: it is neither ended nor
/// started a second time, and its files stay as they are.
#[test]
fn what_a_newer_version_started_on_a_runtime_of_its_own_is_left_alone() {
    let world = World::new();
    world.add("new", &["cat"]);
    assert_eq!(world.peer(&["wake", "new"]).code, 0);
    let (agent, pane) = (world.agent("new"), world.pane_process("new"));
    world.edit("new", "session", |record| record["runtime"] = json!("screen"));
    let path = world.path("config/peers/new.toml");
    let text = |path| fs::read_to_string(path).expect("read");
    let spec = text(path.clone()).replace("runtime = \"tmux\"", "runtime = \"screen\"");
    fs::write(&path, &spec).expect("write");
    let record = text(world.file("new", "session"));
    assert!(record.contains("screen") && spec.contains("screen"), "{record}\n{spec}");

    let unchanged = |what: &str| {
        assert!(lives(agent) && lives(pane), "{what}");
        assert_eq!(text(world.file("new", "session")), record, "{what}");
        assert_eq!(text(path.clone()), spec, "{what}");
    };
    for verb in [
        &["wake", "new", "-m", "hello"][..],
        &["wake", "new", "--fresh"],
        &["new", "new"],
        &["send", "new", "hello"],
        &["stop", "new"],
        &["stop", "new", "--force"],
        &["attach", "new"],
        &["rm", "new"],
        &["restart-runtime", "new"],
    ] {
        let run = world.peer(verb);
        assert!(run.code != 0, "{verb:?}: {run:?}");
        unchanged(&format!("{verb:?}: {run:?}"));
    }
    // A tick says so, and counts no death, however often it looks.
    for _ in 0..3 {
        let tick = world.peer(&["reap"]);
        assert!(format!("{}{}", tick.stdout, tick.stderr).contains("screen"), "{tick:?}");
        unchanged(&format!("{tick:?}"));
    }
    let list = world.peer(&["list", "--json"]).json();
    assert_eq!(list["peers"][0]["state"], "unknown", "{list}");
    assert!(!world.has("new", "deaths") && !world.has("new", "end"));
    // The version that knows the runtime goes on where it was.
    world.edit("new", "session", |record| record["runtime"] = json!("tmux"));
    fs::write(&path, spec.replace("screen", "tmux")).expect("write");
    world.peer(&["wake", "new"]).prints("new: already awake\n");
}
