//! Changes that the user makes without `peer`, and the messages about them: a spec under another name, a program that
//! is gone, a server that hangs.

use std::fs;

use nix::sys::signal::Signal;

use crate::common::files::executable;
use crate::common::{World, lives, on_each_runtime, signal, stop, wait_until};
use peer_adapters::runtime::RuntimeKind;
use serde_json::json;

on_each_runtime! {
    a_renamed_spec_is_noticed_and_has_a_way_back
    what_lost_its_spec_is_stopped_and_removed
    a_declaration_holds_from_the_next_start_on
}

fn spec(world: &World, name: &str) -> std::path::PathBuf {
    world.path(&format!("config/peers/{name}.toml"))
}

fn a_renamed_spec_is_noticed_and_has_a_way_back(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("old", &[]);
    world.peer(&["wake", "old", "-m", "hello"]);
    let conversation = world.conversation("old");
    for is_awake in [true, false] {
        fs::rename(spec(&world, "old"), spec(&world, "new")).expect("ours");
        let back = format!("mv {} {}", spec(&world, "new").display(), spec(&world, "old").display());
        let said =
            if is_awake { "old: its agent runs, and its spec is gone" } else { "old: it ran, and has conversations" };
        for words in [&["list"][..], &["status"]] {
            let run = world.peer(words);
            assert!(run.code == 0 && run.stderr.contains(said) && run.stderr.contains(&back), "{words:?}: {run:?}");
        }
        assert_eq!(world.peer(&["list", "--json"]).json()["undeclared"][0]["peer"], "old");
        let doctor = world.peer(&["doctor"]).stdout;
        assert!(doctor.contains("its spec is gone; that of new looks like it") && doctor.contains(&back), "{doctor}");
        fs::rename(spec(&world, "new"), spec(&world, "old")).expect("ours");
        assert!(world.peer(&["list"]).stderr.is_empty());
        if is_awake {
            world.peer(&["stop", "old"]);
            world.peer(&["start", "old"]);
        }
    }
    fs::rename(spec(&world, "old"), spec(&world, "new")).expect("ours");
    let woken = world.peer(&["wake", "new"]);
    assert!(woken.code == 0 && woken.stderr.contains("note: new: it starts for the first time. old: "), "{woken:?}");
    // The command that the note gives works.
    world.peer(&["stop", "new"]);
    fs::rename(spec(&world, "new"), spec(&world, "old")).expect("ours");
    world.peer(&["wake", "old"]).prints("old: woken resumed (stopped)\n");
    assert_eq!(world.conversation("old"), conversation);
}

fn what_lost_its_spec_is_stopped_and_removed(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    let agent = world.agent("a");
    fs::remove_file(spec(&world, "a")).expect("ours");
    assert!(world.peer(&["screen", "a"]).stdout.contains("hello"));
    assert_eq!(world.peer(&["wake", "a"]).code, 3);
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    assert!(!lives(agent));
    assert!(world.peer(&["status", "a"]).stdout.contains("Next: peer rm a\n"));
    assert_eq!(world.peer(&["rm", "a"]).code, 0);
    world.peer(&["status", "a"]).fails(3, "error: there is no peer named a\nhint: peer add a -- COMMAND\n");
}

fn a_declaration_holds_from_the_next_start_on(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["cat"]);
    let runtime = on.as_str();
    let replace = |idle: &str| {
        let words = ["add", "a", "--agent", "command", "--runtime", runtime, "--replace", "--idle", idle, "--", "cat"];
        world.peer(&words).stdout
    };
    assert!(!replace("1h").contains("next start"));
    world.peer(&["wake", "a"]);
    assert!(replace("2h").ends_with("; it takes effect at the next start\n"));
}

#[test]
fn a_program_that_is_gone_is_told_with_its_peer_and_a_way_out() {
    let world = World::new();
    let program = world.path("program");
    executable(&program, "exec cat");
    world.add("a", &[program.to_str().expect("UTF-8")]);
    fs::remove_file(&program).expect("ours");
    let says =
        format!("cannot wake a: cannot run its program {}: No such file or directory (os error 2)", program.display());
    let hint = "hint: install it again, or set another command in `peer edit a`\n";
    world.peer(&["wake", "a"]).fails(1, &format!("error: {says}\n{hint}"));
    let status = world.peer(&["status", "a"]).stdout;
    assert!(status.contains(&format!("Warning: {says}\n")) && status.ends_with("Next: peer edit a\n"), "{status}");
}

#[test]
fn on_a_server_that_hangs_each_verb_says_what_it_did_not_do() {
    let world = World::with_probe_timeout("300ms");
    world.add("a", &["cat"]);
    world.peer(&["wake", "a"]);
    let server = world.server().expect("it runs").pid;
    stop(server);
    for (words, says) in [
        (&["stop", "a"][..], "error: cannot stop a: its state is unknown (runtime axis)"),
        (&["screen", "a"], "error: cannot show a: its state is unknown"),
        (&["interrupt", "a"], "error: cannot interrupt a: its state is unknown"),
        (&["key", "a", "Enter"], "error: cannot press keys in a: its state is unknown"),
        (&["answer", "a"], "error: cannot answer a: its state is unknown"),
        (&["send", "a", "hello", "--no-wake"], "error: cannot send to a: its state is unknown"),
        (&["rm", "a", "--force"], "error: cannot remove a: its state is unknown"),
        (&["new", "a"], "error: cannot restart a: its state is unknown"),
        (&["wake", "a"], "error: cannot wake a: its state is unknown"),
    ] {
        let run = world.peer(words);
        assert!(run.code == 6 && run.stderr.starts_with(says), "{run:?}");
    }
    signal(server, Signal::SIGCONT);
    assert!(!world.has("a", "stopped"));
}

#[test]
fn the_last_one_that_is_removed_takes_its_server_along() {
    let world = World::new();
    for name in ["a", "b"] {
        world.add(name, &["cat"]);
    }
    world.peer(&["wake", "a", "b"]);
    assert_eq!(world.peer(&["rm", "a", "--force"]).code, 0);
    assert!(world.server().is_some(), "b is on it");
    assert_eq!(world.peer(&["rm", "b", "--force"]).code, 0);
    wait_until("it has ended", || world.server().is_none());
    // The user's own session stays, and so does the server.
    world.add("a", &["cat"]);
    world.peer(&["wake", "a"]);
    world.tmux(&["new-session", "-d", "-s", "mine", "sleep 1000"]);
    assert_eq!(world.peer(&["rm", "--all", "--yes", "--force"]).code, 0);
    assert!(world.tmux(&["list-sessions"]).starts_with("mine:"));
    assert_eq!(world.tmux(&["show-options", "-s", "exit-empty"]), "exit-empty off\n");
}

#[test]
fn a_dialog_that_there_is_not_is_refused_in_a_spec_too() {
    let world = World::new();
    world.demo("a", &[]);
    world.set_in_spec("a", "accept = [\"trustfolder\"]");
    let run = world.peer(&["wake", "a"]);
    assert!(run.code == 1 && run.stderr.contains("a.toml:1: accept: \"trustfolder\": demo has no dialog"), "{run:?}");
    assert!(run.stderr.ends_with("hint: did you mean trust-folder?\n"), "{run:?}");
    let told = world.peer(&["agents", "demo", "--json"]).json();
    assert!(told["agents"][0]["dialogs"]["acceptable"].as_array().expect("a list").contains(&json!("trust-folder")));
    assert!(world.peer(&["agents", "demo"]).stdout.contains("  dialogs that a spec may accept:\n    trust-folder\n"));
}
