//! A mistake in `config.toml` locks nobody out: what observes or ends a recorded agent goes by the record and names the
//! mistake, and what would start something is refused with it. Only `config.toml` says where the fleet's server is: the
//! default place is not it, and nothing is looked for or started there.

use std::fs;
use std::time::Duration;

use peer_adapters::runtime::RuntimeKind;
use serde_json::json;

use crate::common::attached::Attached;
use crate::common::top::Top;
use crate::common::{Run, World, lives, on_each_runtime, stop, wait_until};

on_each_runtime! {
    what_is_on_record_is_seen_and_ended
    what_would_start_something_is_refused_with_the_line
    a_server_that_hangs_is_unknown_and_not_absent
    what_an_agent_reports_is_recorded
    a_view_shows_the_mistake_and_ends_what_it_is_asked_to_end
    an_agent_whose_record_is_lost_is_found
    what_cannot_be_read_at_all_is_named
}

/// The mistake, as it is told: the socket of the fleet's server is under a key that does not exist.
const MISTAKE: &str = "config.toml:2: sokcet: unknown field `sokcet`, expected `socket` or `binary` (inside [tmux])";

fn break_config(world: &World) {
    let path = world.path("config/config.toml");
    let good = fs::read_to_string(&path).expect("read");
    let bad = good.replace("socket =", "sokcet =");
    assert_ne!(good, bad);
    fs::write(&path, bad).expect("write");
}

fn mend_config(world: &World) {
    let path = world.path("config/config.toml");
    let bad = fs::read_to_string(&path).expect("read");
    fs::write(&path, bad.replace("sokcet =", "socket =")).expect("write");
}

/// Asserts that it worked and that the mistake was named once.
#[track_caller]
fn works(world: &World, words: &[&str]) -> Run {
    let run = world.peer(words);
    let told = format!("note: {}/{MISTAKE}; until this is fixed, ", world.path("config").display());
    assert!(run.code == 0 && run.stderr.starts_with(&told), "{words:?}: {run:?}");
    assert!(
        run.stderr.contains("\nhint: did you mean `socket`?\n") && run.stderr.matches(MISTAKE).count() == 1,
        "{run:?}"
    );
    run
}

fn what_is_on_record_is_seen_and_ended(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--asks"]);
    world.add("b", &["cat"]);
    world.peer(&["wake", "a", "-m", "hello"]);
    let agent = world.agent("a");
    break_config(&world);
    assert_eq!(works(&world, &["list", "--format", "{name} {state}"]).stdout, "a awake\nb never-started\n");
    assert_eq!(works(&world, &["list", "--json"]).json()["peers"][0]["state"], json!("awake"));
    let status = works(&world, &["status", "a"]).stdout;
    assert!(status.starts_with("● a awake") && status.ends_with("Next: peer send a TEXT\n"), "{status}");
    let asleep = works(&world, &["status", "b"]).stdout;
    assert!(asleep.ends_with("Next: peer doctor\n"), "no wake is promised: {asleep}");
    assert!(works(&world, &["status"]).stdout.contains("1 awake, 1 never-started"));
    assert!(works(&world, &["screen", "a"]).stdout.contains("hello"));
    assert!(works(&world, &["transcript", "a"]).stdout.contains("hello"));
    assert!(!works(&world, &["last", "a"]).stdout.is_empty());
    assert!(works(&world, &["conversations", "a"]).stdout.contains(&world.conversation("a")));
    assert!(works(&world, &["log", "a"]).stdout.contains("wake.ready"));
    works(&world, &["wait", "a"]);
    works(&world, &["key", "a", "x", "BSpace"]);
    assert!(works(&world, &["answer", "a"]).stdout.contains("no open question"));
    works(&world, &["interrupt", "a"]);
    Attached::to(&world, "a").close(&world, "a");
    // What needs nothing of it says nothing of it.
    for words in [&["help"][..], &["help", "states"], &["completions", "bash"], &["--version"]] {
        let run = world.peer(words);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{words:?}");
    }
    assert_eq!(works(&world, &["stop", "a"]).stdout, "a: parked and stopped\n");
    assert!(!lives(agent) && world.session("a").is_null());
    mend_config(&world);
    world.peer(&["start", "a"]).prints("a: may be woken again\n");
    world.peer(&["wake", "a"]).prints("a: woken resumed (stopped)\n");
}

fn what_would_start_something_is_refused_with_the_line(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["cat"]);
    break_config(&world);
    let refused = format!("error: {}/{MISTAKE}\nhint: did you mean `socket`?\n", world.path("config").display());
    for words in [
        &["wake", "a"][..],
        &["send", "a", "hello"],
        &["send", "a", "hello", "--queue"],
        &["new", "a"],
        &["move", "a", "--runtime", "zellij"],
        &["restart-runtime", "a"],
        &["reap"],
        &["watch"],
        &["add", "b", "--", "cat"],
        &["rm", "a"],
        &["start", "a"],
        // Their answers would be of defaults that the file may change.
        &["show", "a"],
        &["why", "a"],
    ] {
        world.peer(words).fails(1, &refused);
    }
    let attached = Attached::once(&world, "a").end();
    assert_eq!(attached, Some(1), "it sleeps, and attaching would start it");
    assert!(world.sessions().is_empty() && world.processes().is_empty() && world.session("a").is_null());
    let (code, found) = (world.peer(&["doctor"]).code, world.peer(&["doctor"]).stdout);
    assert!(
        found.starts_with("broken   peer: ") && found.lines().next().is_some_and(|l| l.ends_with(MISTAKE)),
        "{found}"
    );
    assert!(code == 1 && found.contains("state: ") && found.contains("limits: "), "it checks the rest: {found}");
}

/// The word of an agent must not be lost, and must not fail it, because a person made a mistake elsewhere.
fn what_an_agent_reports_is_recorded(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.add("w", &["cat"]);
    world.set_in_spec("w", "policy = \"ephemeral\"");
    for name in ["a", "w"] {
        assert_eq!(world.peer(&["wake", name]).code, 0);
    }
    break_config(&world);
    let reported = |name: &str, verb: &str| {
        Run::of(world.command(&[verb]).env("PEER_NAME", name).env("PEER_INCARNATION", "1"), None)
    };
    let (beat, done) = (reported("a", "beat"), reported("w", "self-done"));
    assert!(beat.code == 0 && world.has("a", "beat"), "{beat:?}");
    assert!(done.code == 0 && world.has("w", "done"), "{done:?}");
    let mut hook = world.command(&["agent-hook", "turn-started", "--received-ms", "1"]);
    let hook = Run::of(hook.env("PEER_NAME", "a").env("PEER_INCARNATION", "1"), None);
    assert_eq!(hook.code, 0, "{hook:?}");
    for name in ["a", "w"] {
        works(&world, &["stop", name]);
    }
}

fn a_view_shows_the_mistake_and_ends_what_it_is_asked_to_end(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.demo("b", &[]);
    world.peer(&["wake", "a"]);
    let agent = world.agent("a");
    let file = world.path("config/config.toml");
    let good = fs::read(&file).expect("readable");
    break_config(&world);
    let top = Top::start(&world, "200", "50");
    top.until_row("a", "awake");
    top.until("the mistake", |screen| screen.contains("config.toml:2: sokcet: unknown field"));
    top.press(&["x"]);
    top.until("the question", |screen| screen.contains("stop a, and refuse wakes? y/n"));
    top.press(&["y"]);
    top.until_row("a", "stopped");
    assert!(!lives(agent));
    top.press(&["j"]);
    top.until("b is chosen", |screen| screen.contains("\n> b "));
    top.press(&["w"]);
    top.until("the refusal", |screen| screen.contains("config.toml:2: sokcet") && screen.contains("did you mean"));
    fs::write(&file, good).expect("written");
    top.press(&["w"]);
    top.until("that it is mended", |screen| screen.contains("it had a mistake when this view was opened"));
    assert!(world.session("b").is_null());
    top.press(&["q"]);
    top.assert_given_back("[code 0]");
}

fn a_server_that_hangs_is_unknown_and_not_absent(on: RuntimeKind) {
    // Read from the rest of the file.
    let world = World::on_within(on, "700ms");
    world.demo("a", &[]);
    world.peer(&["wake", "a"]);
    let (agent, server) = (world.agent("a"), world.server_of("a").pid);
    break_config(&world);
    stop(server);
    assert_eq!(works(&world, &["list", "--format", "{state}"]).stdout, "unknown\n");
    let refused = world.peer(&["stop", "a"]);
    assert!(refused.code == 6 && refused.took < Duration::from_secs(30), "{refused:?}");
    assert!(lives(agent) && !world.session("a").is_null());
    crate::common::signal(server, nix::sys::signal::Signal::SIGCONT);
    works(&world, &["stop", "a"]);
    wait_until("it has ended", || !lives(agent));
}

fn an_agent_whose_record_is_lost_is_found(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    let agent = world.agent("a");
    break_config(&world);
    fs::remove_file(world.file("a", "session")).expect("ours");
    assert_eq!(works(&world, &["list", "--format", "{state}"]).stdout, "unknown\n");
    assert!(lives(agent));
    let stopped = works(&world, &["stop", "a"]);
    assert_eq!(stopped.stdout, "a: parked and stopped\n");
    wait_until("it has ended", || !lives(agent));
}

fn what_cannot_be_read_at_all_is_named(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a"]);
    let path = world.path("config/config.toml");
    let good = fs::read_to_string(&path).expect("read");
    for (text, says) in [("[tmux\nsocket = 1\n", "config.toml:1: "), ("", "not a regular file")] {
        fs::remove_file(&path).expect("ours");
        if text.is_empty() {
            fs::create_dir(&path).expect("create");
        } else {
            fs::write(&path, text).expect("write");
        }
        let list = world.peer(&["list", "--format", "{state}"]);
        assert!(list.stdout == "awake\n" && list.code == 0 && list.stderr.contains(says), "{list:?}");
        let woken = world.peer(&["wake", "a"]);
        assert!(woken.code == 1 && woken.stderr.starts_with("error: ") && woken.stderr.contains(says), "{woken:?}");
        let doctor = world.peer(&["doctor"]).stdout;
        assert!(doctor.starts_with("broken   peer: ") && doctor.contains(says), "{doctor}");
    }
    fs::remove_dir(&path).expect("ours");
    fs::write(&path, good).expect("write");
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
}
