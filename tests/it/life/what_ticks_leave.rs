//! What a tick leaves for the next one: a tick that hangs, files of killed writers, files that do not parse, and the
//! state of the machine's clocks.

use std::fs::{self, File};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use crate::common;
use crate::common::ticks::{settle, skipped, tick};
use crate::common::{World, ended, killed, stop, wait_for, wait_until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

fn read_json(world: &World, file: &str) -> Option<Value> {
    serde_json::from_str(&fs::read_to_string(world.path(file)).ok()?).ok()
}

#[test]
fn a_tick_that_hangs_is_found_by_the_next_one() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.peer(&["wake", "a"]);
    let server = world.server().expect("it runs").pid;
    stop(server);
    // It has an event to log, and cannot.
    let log = File::open(world.path("state/lifecycle.log")).expect("there");
    fs2::FileExt::lock_exclusive(&log).expect("free");
    let mut hanging = world.command(&["reap", "--budget", "1s"]).stdout(Stdio::null()).spawn().expect("starts");
    let ticks = |told: Value| told["process"]["pid"] == hanging.id();
    wait_until("it ticks", || read_json(&world, "state/reap-lock").is_some_and(ticks));
    let note = world.peer(&["reap"]);
    assert_eq!((note.code, note.stderr.as_str()), (0, "note: another tick is under way; this one does nothing\n"));
    // A minute later.
    let mut told = read_json(&world, "state/reap-lock").expect("it says who it is");
    told["began_ms"] = json!(told["began_ms"].as_u64().expect("a time").saturating_sub(60_000));
    fs::write(world.path("state/reap-lock"), told.to_string()).expect("write");
    let said = world.peer(&["reap"]);
    let pid = hanging.id();
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.starts_with(&format!("error: another tick (pid {pid}) has been running for ")), "{said:?}");
    assert!(said.stderr.contains("past its budget of 1 s: it is stuck\n"), "{said:?}");
    assert!(said.stderr.ends_with(&format!("hint: kill -KILL {pid}; the next tick continues its work\n")), "{said:?}");
    killed(&mut hanging);
    drop(log);
    common::signal(server, Signal::SIGCONT);
    world.peer(&["reap"]).prints("");
    // The pid that a killed tick left is ignored.
    let lock = File::options().write(true).open(world.path("state/reap-lock")).expect("there");
    fs::write(world.path("state/reap-lock"), told.to_string()).expect("write");
    fs2::FileExt::lock_exclusive(&lock).expect("free");
    let note = world.peer(&["reap"]);
    assert_eq!((note.code, note.stderr.as_str()), (0, "note: another tick is under way; this one does nothing\n"));
}

#[test]
fn what_killed_writers_left_is_swept_and_nothing_else() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.peer(&["wake", "a"]);
    settle(&world, "a");
    let dead = {
        let mut child = std::process::Command::new("true").spawn().expect("starts");
        let pid = child.id();
        ended(&mut child);
        pid
    };
    let me = std::process::id();
    let left = [
        format!("state/a.beat.tmp{dead}"),
        format!("state/versions.json.tmp{dead}"),
        format!("config/peers/a.toml.tmp{dead}"),
        "state/a.session.tmp".to_owned(),
        "state/heartbeat.json.tmp".to_owned(),
        "state/panes/a.1.exit.tmp".to_owned(),
        "state/panes/gone.7.launch.tmp".to_owned(),
    ];
    let stays = [
        format!("state/a.done.tmp{me}"),
        "state/notes.tmp".to_owned(),
        "state/a.notes.tmp".to_owned(),
        "state/a.conversations".to_owned(),
        "config/peers/mine.tmp".to_owned(),
    ];
    let aged = |file: &String, seconds: u64| {
        let file = File::options().append(true).create(true).open(world.path(file)).expect("made");
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds)).expect("ours");
    };
    for file in left.iter().chain(&stays) {
        aged(file, 60);
    }
    world.peer(&["reap", "--dry-run"]);
    assert!(left.iter().all(|file| world.path(file).exists()), "a dry run removes nothing");
    world.peer(&["reap"]);
    let there = |file: &&String| world.path(file).exists();
    // A minute suffices for the file of a writer that is gone, but not if the writer cannot be determined; the tick's
    // own file was renamed.
    assert_eq!(left.iter().filter(there).count(), 3, "{:?}", left.iter().filter(there).collect::<Vec<_>>());
    left.iter().filter(there).for_each(|file| aged(file, 3600));
    world.peer(&["reap"]);
    assert_eq!(left.iter().filter(there).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(stays.iter().filter(|file| !world.path(file).exists()).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(world.has("a", "session"));
}

#[test]
fn files_that_do_not_parse_are_named() {
    let world = World::new();
    world.demo("a", &[]);
    assert_eq!(world.peer(&["wake", "a", "-m", "hello"]).code, 0);
    tick(&world, &[]);
    let good = fs::read_to_string(world.file("a", "conversations")).expect("there");
    fs::write(world.file("a", "conversations"), format!("{{\"at_ms\":1\n{good}")).expect("write");
    fs::write(world.file("a", "topic"), [0xff, 0xfe]).expect("write");
    fs::write(world.path("state/heartbeat.json"), "{").expect("write");
    fs::write(world.path("state/servers.json"), "[]").expect("write");
    let status = world.peer(&["status", "a"]);
    let doctor = world.peer(&["doctor"]);
    for name in ["a.conversations: 1 of its 2 lines", "a.topic: it is not UTF-8", "heartbeat.json: ", "servers.json: "]
    {
        assert!(status.stdout.contains(name), "{name}: {status:?}");
        assert!(doctor.stdout.contains(name), "{name}: {doctor:?}");
    }
    assert_eq!(status.code, 0, "{status:?}");
    let warnings = world.peer(&["status", "a", "--json"]).json()["warnings"].as_array().expect("a list").len();
    assert_eq!(warnings, 4);
    let named = skipped(&tick(&world, &[]));
    assert!(named.iter().any(|line| line.contains("heartbeat.json")), "{named:?}");
    // The tick has written a new heartbeat.
    let named = skipped(&tick(&world, &[]));
    assert!(!named.iter().any(|line| line.contains("heartbeat.json")), "{named:?}");
    assert!(fs::read_to_string(world.file("a", "conversations")).expect("there").ends_with(&good), "nothing is lost");
}

/// Moves the last record of the transcript this far into the past.
fn transcript_earlier(world: &World, name: &str, ms: u64) {
    let work = fs::canonicalize(world.work()).expect("it is there").display().to_string();
    let slug: String = work.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let path = world.path(&format!("home/demo/projects/{slug}/{}.jsonl", world.conversation(name)));
    let at = humantime::format_rfc3339_millis(SystemTime::now() - Duration::from_millis(ms)).to_string();
    let text = fs::read_to_string(&path).expect("a transcript");
    let aged = text.lines().map(|line| {
        let mut record: Value = serde_json::from_str(line).expect("JSON");
        record["timestamp"] = json!(at);
        format!("{record}\n")
    });
    fs::write(&path, aged.collect::<String>()).expect("write");
}

#[test]
fn a_clock_that_is_set_by_a_day_parks_nobody() {
    const DAY: u64 = 86_400_000;
    let world = World::new();
    for name in ["a", "b", "c"] {
        world.demo(name, &[]);
        world.set_in_spec(name, "idle_timeout = \"1h\"");
    }
    assert_eq!(world.peer(&["wake", "a", "b", "c", "-m", "hello"]).code, 0);
    tick(&world, &[]);
    // As if everything had been recorded by a clock that was a day behind and has been set since.
    for name in ["a", "b", "c"] {
        world.edit(name, "session", |record| {
            for key in ["woke_at_ms", "ready_at_ms", "delivered_at_ms"] {
                record[key] = json!(record[key].as_u64().expect("a time") - DAY);
            }
        });
        transcript_earlier(&world, name, DAY);
    }
    let mut beat = read_json(&world, "state/heartbeat.json").expect("a heartbeat");
    let began = beat["started_at_ms"].as_u64().expect("a time");
    assert!(beat["up_ms"].as_u64().is_some_and(|up| up > 0), "{beat}");
    beat["started_at_ms"] = json!(began - DAY);
    fs::write(world.path("state/heartbeat.json"), beat.to_string()).expect("write");
    world.peer(&["reap"]).prints("");
    world.peer(&["reap"]).prints("");
    let after = read_json(&world, "state/heartbeat.json").expect("a heartbeat");
    assert!(after["machine_woke_at_ms"].as_u64() >= Some(began), "{after}");
    // An hour later they are idle: the day does not count, but the hour does.
    beat = after;
    beat["machine_woke_at_ms"] = json!(began - 3_700_000);
    fs::write(world.path("state/heartbeat.json"), beat.to_string()).expect("write");
    let parked = wait_for("a tick", || Some(world.peer(&["reap"])));
    assert_eq!(parked.stdout.matches(": parked").count(), 3, "{parked:?}");
}

#[test]
fn an_end_whose_pass_was_killed_is_logged_once_and_its_launch_file_does_not_stay() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.peer(&["wake", "a"]);
    let launch = world.path("state/panes/a.1.launch");
    let files = [world.file("a", "session"), launch.clone()].map(|path| (fs::read(&path).expect("a file"), path));
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    let ends = || world.events("a", "session.ended").len();
    assert_eq!((ends(), launch.exists()), (1, false));
    // Killed before it removed the record, and before it removed the launch file.
    for killed in [&files[..], &files[1..]] {
        for (content, path) in killed {
            fs::write(path, content).expect("written");
        }
        assert_eq!(world.peer(&["reap"]).code, 0);
        assert_eq!((ends(), world.has("a", "session"), launch.exists()), (1, false, false));
    }
}
