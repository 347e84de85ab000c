//! A spec that cannot be used makes no agent unreachable: a running agent is shown, messaged and stopped by its record.

use std::fs;
use std::path::PathBuf;

use crate::common::{Run, World, lives, on_each_runtime};
use peer_adapters::runtime::RuntimeKind;

on_each_runtime! {
    what_runs_is_seen_spoken_to_and_stopped_by_its_record
    what_runs_is_removed_by_its_record
}

fn spec(world: &World) -> PathBuf {
    world.path("config/peers/a.toml")
}

/// Ways to break the spec of a demo agent, with the error for each.
const WAYS: [(&str, &str); 5] = [
    ("below its last table", ": max_restarts: invalid type: integer `5`, expected a string (inside [env])"),
    ("nonsense", ":1: key with no value"),
    ("no profile", ": agent: no agent profile is named \"dmo\""),
    ("no runtime", ": runtime: there is no runtime \"zelij\""),
    ("a directory", "a.toml: "),
];

fn break_spec(world: &World, way: &str) {
    let path = spec(world);
    let text = fs::read_to_string(&path).expect("a spec");
    let broken = match way {
        "below its last table" => format!("{text}max_restarts = 5\n"),
        "nonsense" => format!("nonsense\n{text}"),
        "no profile" => text.replace("agent = \"demo\"", "agent = \"dmo\""),
        "no runtime" => {
            let runtime = format!("runtime = \"{}\"", world.kind().as_str());
            text.replace(&runtime, "runtime = \"zelij\"")
        }
        _ => {
            fs::remove_file(&path).expect("ours");
            return fs::create_dir(&path).expect("ours");
        }
    };
    assert_ne!(broken, text, "{way}");
    fs::write(path, broken).expect("ours");
}

#[track_caller]
fn works(world: &World, words: &[&str]) -> Run {
    let run = world.peer(words);
    assert_eq!(run.code, 0, "{words:?}: {run:?}");
    run
}

fn what_runs_is_seen_spoken_to_and_stopped_by_its_record(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "hello"]).prints("a: woken fresh (first-wake); message delivered\n");
    let (text, conversation, agent) =
        (fs::read(spec(&world)).expect("a spec"), world.conversation("a"), world.agent("a"));
    for (way, says) in WAYS {
        break_spec(&world, way);
        let list = world.peer(&["list"]);
        assert!(list.stdout.contains("\na ") && list.stdout.contains(on.as_str()), "{way}: {list:?}");
        assert!(list.code == 1 && list.stderr.contains(says), "{way}: {list:?}");
        let status = works(&world, &["status", "a"]).stdout;
        assert!(status.contains("Agent: d") && status.contains("Warning:") && status.contains(says), "{way}: {status}");
        assert!(works(&world, &["status", "a", "--short"]).stdout.starts_with("a "));
        let show = works(&world, &["show", "a"]);
        assert!(show.stdout.contains("demo_agent") && show.stderr.contains(says), "{way}: {show:?}");
        assert!(works(&world, &["why", "a"]).stdout.contains("already-awake"));
        assert!(works(&world, &["screen", "a"]).stdout.contains("hello"));
        assert!(works(&world, &["transcript", "a"]).stdout.contains("hello"), "{way}");
        works(&world, &["log", "a"]);
        works(&world, &["interrupt", "a"]);
        works(&world, &["reset", "a"]);
        world.peer(&["send", "a", way]).prints("a: already awake; message delivered\n");
        // Verbs that need the spec report the error and how to fix it, before they touch anything.
        for words in [["new", "a"], ["wake", "a"]] {
            let run = world.peer(&words);
            assert!(run.code == 1 && run.stderr.contains(says), "{way}: {run:?}");
            assert!(way == "a directory" || run.stderr.contains("hint: peer edit a\n"), "{way}: {run:?}");
        }
        assert!(lives(agent), "{way}");
        if way == "a directory" {
            fs::remove_dir(spec(&world)).expect("ours");
        }
        fs::write(spec(&world), &text).expect("ours");
    }
    break_spec(&world, "nonsense");
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    assert!(!lives(agent));
    works(&world, &["start", "a"]);
    let why = works(&world, &["why", "a"]).stdout;
    assert!(why.starts_with("a: a wake would fail: ") && !why.contains("\n=> 1"), "{why}");
    assert!(works(&world, &["status", "a"]).stdout.contains("Next: peer edit a\n"));
    let wake = world.peer(&["wake", "a"]);
    assert!(
        wake.code == 1 && wake.stderr.contains("key with no value") && wake.stderr.contains("peer edit a"),
        "{wake:?}"
    );
    fs::write(spec(&world), &text).expect("ours");
    world.peer(&["wake", "a"]).prints("a: woken resumed (stopped)\n");
    assert_eq!(world.conversation("a"), conversation);
}

fn what_runs_is_removed_by_its_record(on: RuntimeKind) {
    for (way, _) in WAYS {
        let world = World::on(on);
        world.demo("a", &[]);
        world.peer(&["wake", "a"]);
        let agent = world.agent("a");
        break_spec(&world, way);
        world.peer(&["rm", "a"]).fails(4, "error: a is awake\nhint: peer stop a, or use --force\n");
        assert!(lives(agent));
        let removed = works(&world, &["rm", "a", "--force", "--json"]).json();
        let trash = PathBuf::from(removed["peers"][0]["trash"].as_str().expect("a directory"));
        assert!(!lives(agent) && trash.join("a.toml").exists(), "{way}");
        assert_eq!(world.peer(&["list", "--json"]).json()["peers"], serde_json::json!([]));
    }
}

#[test]
fn a_tick_parks_the_others_and_names_the_broken_one() {
    let world = World::new();
    for name in ["a", "b"] {
        world.demo(name, &[]);
        world.set_in_spec(name, "idle_timeout = \"1ms\"");
    }
    world.peer(&["wake", "a", "b"]);
    break_spec(&world, "below its last table");
    let agent = world.agent("a");
    let tick = crate::common::wait_for("b is parked", || {
        let tick = works(&world, &["reap", "--json"]).json();
        world.session("b").is_null().then_some(tick)
    });
    let skipped = tick["skipped"].to_string();
    assert!(skipped.contains("a: ") && skipped.contains("(inside [env])"), "{tick}");
    assert!(lives(agent));
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
}

#[test]
fn what_never_ran_is_named_and_removed() {
    let world = World::new();
    world.add("a", &["cat"]);
    break_spec(&world, "nonsense");
    let list = world.peer(&["list", "--json"]);
    assert_eq!((list.code, &list.json()["peers"]), (1, &serde_json::json!([])));
    assert!(list.json()["broken"][0]["error"].as_str().is_some_and(|error| error.contains("a.toml:1: ")));
    works(&world, &["rm", "a"]);
    world
        .peer(&["status", "a"])
        .fails(3, "error: there is no peer named a\nhint: it was removed: peer restore a brings it back\n");
}
