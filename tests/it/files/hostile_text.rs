//! Arguments, paths, topics, file names and screens come from elsewhere: no terminal executes what they contain, and
//! readers of JSON get them unchanged.

use std::fs;

use crate::common::{Run, World, wait_until};
use peer_adapters::screen::misleads;
use serde_json::Value;

/// The clipboard, a colour, a cleared screen by C1, a title by C1, a change of direction, line ends, and DEL.
const HOSTILE: &str = "x\u{1b}]52;c;aGk=\u{7}\u{1b}[31my\u{9b}2J\u{9d}0;t\u{9c}z\u{202e}w\u{2066}\u{2069}\u{2028}\u{2029}\u{85}\u{7f}\u{8}";

/// Asserts that neither stream holds anything that a terminal would execute.
#[track_caller]
fn harmless(world: &World, args: &[&str]) -> Run {
    let run = world.peer(args);
    for text in [&run.stdout, &run.stderr] {
        let found = text.chars().find(|c| misleads(*c) && *c != '\n');
        assert_eq!(found, None, "{args:?}: {run:?}");
    }
    run
}

fn holds(value: &Value, text: &str) -> bool {
    match value {
        Value::String(found) => found.contains(text),
        Value::Array(values) => values.iter().any(|value| holds(value, text)),
        Value::Object(fields) => fields.values().any(|value| holds(value, text)),
        _ => false,
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "tables of commands")]
fn nothing_that_others_wrote_is_carried_out_by_a_terminal() {
    let world = World::new();
    let dir = world.work().join(HOSTILE);
    fs::create_dir(&dir).expect("create");
    let cwd = dir.to_str().expect("UTF-8");
    let add = ["add", "a", "--runtime", "tmux", "--agent", "command", "--cwd", cwd, "--prompt", HOSTILE];
    let argv = ["--", "/bin/sh", "-c", "printf '%s\\n' \"$0\"; exec cat", HOSTILE];
    harmless(&world, &[&add[..], &argv].concat());
    let added = harmless(&world, &[&add[..], &["--replace", "--json"], &argv].concat());
    assert!(holds(&added.json(), HOSTILE), "{added:?}");
    harmless(&world, &["wake", "a", "--topic", HOSTILE]);
    // Every view, for people and for programs.
    for args in [
        &["show", "a"][..],
        &["list"],
        &["list", "--format", "{topic} {cwd} {agent}"],
        &["status", "a"],
        &["status", "a", "--short"],
        &["why", "a", "--topic", HOSTILE],
        &["log"],
        &["doctor"],
        &["agents"],
        &["reap"],
    ] {
        harmless(&world, args);
    }
    for args in [
        &["show", "a", "--json"][..],
        &["list", "--json"],
        &["status", "a", "--json"],
        &["wake", "a", "--topic", HOSTILE, "--json"],
    ] {
        let run = harmless(&world, args);
        let document = run.json();
        assert!(args[0] == "wake" || holds(&document, HOSTILE), "{args:?}: {run:?}");
    }
    for line in harmless(&world, &["log", "--json"]).stdout.lines() {
        serde_json::from_str::<Value>(line).expect("JSON");
    }
    // Arguments that are mistyped or invalid.
    for args in [
        &[HOSTILE][..],
        &["wake", HOSTILE],
        &["wake", "a", &format!("--{HOSTILE}")],
        &["add", "b", "--runtime", HOSTILE, "--", "cat"],
        &["add", "b", "--agent", HOSTILE],
        &["add", "b", "--", HOSTILE],
        &["add", "b", "--cwd", &format!("{HOSTILE}/none"), "--", "cat"],
        &["add", "b", "--idle", HOSTILE, "--", "cat"],
        &["list", "--format", &format!("{{{HOSTILE}}}")],
        &["send", "a", "--file", HOSTILE],
        &["completions", HOSTILE],
    ] {
        let run = harmless(&world, args);
        assert!(run.code != 0, "{args:?}: {run:?}");
    }
    // Errors that quote a file.
    let spec = world.path("config/peers/a.toml");
    let good = fs::read_to_string(&spec).expect("read");
    let quoted = toml::Value::from(HOSTILE).to_string();
    for bad in
        [format!("agent = {quoted}\n{good}"), format!("{quoted} = 1\n{good}"), format!("restart = {quoted}\n{good}")]
    {
        fs::write(&spec, bad).expect("write");
        for args in [&["list"][..], &["list", "--json"], &["status", "a"], &["reap"], &["doctor"]] {
            harmless(&world, args);
        }
    }
    fs::write(&spec, good).expect("write");
    world.profile("mine", &format!("extends = \"command\"\ndescription = {quoted}\nseen = {quoted}\n"));
    harmless(&world, &["agents"]);
    assert!(holds(&harmless(&world, &["agents", "--json"]).json(), HOSTILE));
}

#[test]
fn a_screen_is_shown_with_colours_at_most() {
    let world = World::new();
    let argv = ["/bin/sh", "-c", "printf '%s end\\n' \"$0\"; exec cat", HOSTILE];
    world.add("a", &argv);
    world.peer(&["wake", "a"]);
    wait_until("it is drawn", || world.peer(&["screen", "a"]).stdout.contains(" end"));
    for (args, colours) in [(&["screen", "a"][..], false), (&["screen", "a", "--ansi"], true)] {
        let run = world.peer(args);
        let mut rest = run.stdout.as_str();
        while let Some(at) = rest.find(|c| misleads(c) && c != '\n') {
            assert!(colours && rest[at..].starts_with("\u{1b}["), "{run:?}");
            let end =
                rest[at + 2..].find(|c: char| !c.is_ascii_digit() && c != ';' && c != ':').expect("a sequence ends");
            assert_eq!(rest[at + 2 + end..].chars().next(), Some('m'), "{run:?}");
            rest = &rest[at + 2 + end..];
        }
    }
}
