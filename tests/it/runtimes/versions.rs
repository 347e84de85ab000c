//! The check of runtime versions, and what is recorded when they change under a fleet.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::common;
use crate::common::{World, lives, on_each_runtime, wait_until};
use peer_adapters::runtime::RuntimeKind;

on_each_runtime! {
    one_that_is_too_old_is_refused_at_the_door
    the_record_names_the_servers_version_and_executable
    an_executable_is_asked_for_its_version_once
    a_binary_that_is_gone_hides_nobody
}

fn installed(kind: RuntimeKind) -> PathBuf {
    peer_adapters::command::resolve(kind.as_str().as_ref(), None, Path::new("/")).expect("it is installed")
}

/// A shell script in the world, used in place of the runtime.
fn stand_in(world: &World, kind: RuntimeKind, body: &str) -> PathBuf {
    let path = world.path(&format!("bin-{kind}"));
    fs::create_dir_all(&path).expect("created");
    let path = path.join(kind.as_str());
    fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
    path
}

#[track_caller]
fn fine(world: &World, args: &[&str]) {
    let run = world.peer(args);
    assert_eq!(run.code, 0, "{args:?}: {run:?}");
}

/// Names the runtime's binary in `config.toml`.
fn configure(world: &World, kind: RuntimeKind, binary: &Path) {
    let path = world.path("config/config.toml");
    let text = fs::read_to_string(&path).expect("read");
    let line = format!("binary = {}\n", common::quoted(binary));
    let text = match kind {
        RuntimeKind::Tmux => text.replace("[tmux]\n", &format!("[tmux]\n{line}")),
        RuntimeKind::Zellij => format!("{text}\n[zellij]\n{line}"),
    };
    fs::write(path, text).expect("written");
}

fn one_that_is_too_old_is_refused_at_the_door(kind: RuntimeKind) {
    let world = World::on(kind);
    world.add("a", &["cat"]);
    let version = match kind {
        RuntimeKind::Tmux => "tmux 3.1c",
        RuntimeKind::Zellij => "zellij 0.43.1",
    };
    let old = stand_in(&world, kind, &format!("echo \"$*\" >>{}\necho {version}", world.path("asked").display()));
    configure(&world, kind, &old);
    for run in [
        world.peer(&["add", "b", "--runtime", kind.as_str(), "--", "cat"]),
        world.peer(&["wake", "a"]),
        world.peer(&["wake", "a"]),
        world.peer(&["new", "a"]),
    ] {
        assert!(run.code == 6 && run.stderr.contains(version) && run.stderr.contains("hint: "), "{run:?}");
    }
    assert!(!world.path("config/peers/b.toml").exists());
    assert_eq!((world.deaths("a"), world.has("a", "session"), world.has("a", "end")), (0, false, false));
    let asked = fs::read_to_string(world.path("asked")).expect("asked");
    let only_the_version = |line: &str| matches!(line, "-V" | "--version");
    assert!(asked.lines().all(only_the_version) && asked.lines().count() == 1, "{asked}");
}

fn the_record_names_the_servers_version_and_executable(kind: RuntimeKind) {
    let world = World::on(kind);
    world.add("a", &["cat"]);
    fine(&world, &["wake", "a"]);
    let record = world.session("a");
    let version = record["server_version"].as_str().expect("a version");
    assert!(version.starts_with(&format!("{kind} ")), "{version}");
    let binary = fs::canonicalize(installed(kind)).expect("there");
    assert_eq!(record["server_executable"].as_str(), binary.to_str());
    fine(&world, &["stop", "a"]);
}

fn an_executable_is_asked_for_its_version_once(kind: RuntimeKind) {
    let world = World::on(kind);
    let log = world.path("log");
    let script = format!("echo \"$*\" >>{}\nexec {} \"$@\"", log.display(), installed(kind).display());
    configure(&world, kind, &stand_in(&world, kind, &script));
    world.add("a", &["cat"]);
    for _ in 0..2 {
        fine(&world, &["wake", "a"]);
        fine(&world, &["list"]);
        fine(&world, &["stop", "a"]);
        fine(&world, &["start", "a"]);
    }
    let log = fs::read_to_string(log).expect("a log");
    assert_eq!(log.lines().filter(|line| matches!(*line, "-V" | "--version")).count(), 1, "{log}");
}

/// Version managers keep each version in a separate directory, and remove it with the version.
fn a_binary_that_is_gone_hides_nobody(kind: RuntimeKind) {
    let world = World::on(kind);
    let versioned = world.path("installs/1").join(kind.as_str());
    fs::create_dir_all(versioned.parent().expect("a parent")).expect("created");
    fs::copy(installed(kind), &versioned).expect("copied");
    let dir = versioned.parent().expect("a parent").display().to_string();
    let path = format!("{dir}:{}", std::env::var("PATH").expect("PATH"));
    world.add("a", &["cat"]);
    let woken = common::Run::of(world.command(&["wake", "a"]).env("PATH", path), None);
    assert_eq!(woken.code, 0, "{woken:?}");
    assert_eq!(world.session("a")["binary"].as_str(), versioned.to_str());
    let agent = world.agent("a");
    fs::remove_file(&versioned).expect("ours");
    for command in [&["list"][..], &["wake", "a"], &["screen", "a"], &["reap"]] {
        let run = world.peer(command);
        assert!(run.code == 0 && !run.stderr.contains("not installed"), "{command:?}: {run:?}");
    }
    assert!(lives(agent) && world.deaths("a") == 0);
    // Even if no other binary is found.
    let bare = common::Run::of(world.command(&["stop", "a"]).env("PATH", world.path("home")), None);
    assert_eq!(bare.code, 0, "{bare:?}");
    wait_until("it is gone", || !lives(agent));
    let ends = world.events("a", "session.ended");
    assert!(ends.len() == 1 && ends[0]["cause"] == "stopped" && world.deaths("a") == 0, "{ends:?}");
}

/// Only the output of tmux is parsed.
#[test]
fn a_wrapper_that_prints_lines_of_its_own_is_named_at_the_door_and_passed_over() {
    for line in ["echo hello", "echo hello >&2"] {
        let world = World::new();
        let tmux = installed(RuntimeKind::Tmux);
        configure(
            &world,
            RuntimeKind::Tmux,
            &stand_in(&world, RuntimeKind::Tmux, &format!("{line}\nexec {} \"$@\"", tmux.display())),
        );
        let added = world.peer(&["add", "a", "--agent", "command", "--", "cat"]);
        assert!(added.code == 0 && added.stderr.contains("prints lines of its own"), "{added:?}");
        let woken = world.peer(&["wake", "a"]);
        assert_eq!(woken.code, 0, "{woken:?}");
        let agent = world.agent("a");
        assert_eq!(world.peer(&["wake", "a"]).code, 0);
        assert!(lives(agent));
        let stopped = world.peer(&["stop", "a"]);
        assert_eq!(stopped.code, 0, "{stopped:?}");
        wait_until("it is gone", || !lives(agent));
        assert_eq!((world.deaths("a"), world.processes().len()), (0, 0));
        let doctor = world.peer(&["doctor"]);
        assert!(doctor.stdout.contains("prints lines of its own"), "{doctor:?}");
    }
}

#[test]
fn a_start_whose_answer_cannot_be_read_leaves_no_agent_that_is_not_on_record() {
    for (when, line) in [
        ("*new-session*", "echo hello"),
        ("*new-session*", "echo hello >&2"),
        ("*new-session*|*list-panes*", "echo hello"),
    ] {
        let world = World::new();
        let tmux = installed(RuntimeKind::Tmux);
        let script = format!("case \"$*\" in {when}) {line};; esac\nexec {} \"$@\"", tmux.display());
        configure(&world, RuntimeKind::Tmux, &stand_in(&world, RuntimeKind::Tmux, &script));
        world.add("a", &["cat"]);
        let woken = world.peer(&["wake", "a"]);
        let agents = world.processes();
        assert!(agents.iter().all(|pid| world.session("a")["process"]["pid"] == *pid), "{agents:?} {woken:?}");
        assert_eq!((woken.code, agents.len()), (0, 1), "{woken:?}");
        assert_eq!(world.deaths("a"), 0);
    }
}

#[test]
fn doctor_makes_a_session_and_says_what_failed() {
    let world = World::new();
    let fine = world.peer(&["doctor"]);
    assert!(!fine.stdout.contains("trial"), "{fine:?}");
    let tmux = installed(RuntimeKind::Tmux);
    for (when, answer, step) in [
        ("*new-session*", "echo refused >&2; exit 1", "creating a session failed"),
        ("*list-panes*", "echo hello; exit 0", "listing it failed"),
        ("*capture-pane*", "exit 1", "reading its screen failed"),
    ] {
        let script = format!("case \"$*\" in {when}) {answer};; esac\nexec {} \"$@\"", tmux.display());
        let sick = stand_in(&world, RuntimeKind::Tmux, &script);
        let path =
            format!("{}:{}", sick.parent().expect("a directory").display(), std::env::var("PATH").expect("PATH"));
        let run = common::Run::of(world.command(&["doctor"]).env("PATH", path).env("TMPDIR", world.path("home")), None);
        let line = run.stdout.lines().find(|line| line.contains("trial session")).unwrap_or_default();
        assert!(run.code == 1 && line.starts_with("broken   tmux: ") && line.contains(step), "{run:?}");
        let left = fs::read_dir(world.path("home")).expect("there").flatten().map(|entry| entry.file_name());
        let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with("peer-")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
