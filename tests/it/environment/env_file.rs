//! The file of variables that are kept for a peer: who may read it, what is believed of it, and when it goes.

use super::kept_variables::{SECRET, add, chmod, environment, kept_file, mode, peer_with, spec, with_profile};
use crate::common;
use crate::common::{Run, World, lives, on_each_runtime};
use peer_adapters::runtime::RuntimeKind;
use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;

on_each_runtime! {
    a_file_that_went_bad_ends_nothing
}

/// Whatever would start an agent reads the file first, and ends nothing if that fails.
fn a_file_that_went_bad_ends_nothing(on: RuntimeKind) {
    let world = with_profile(on);
    assert_eq!(add(&world, &[("MINE_KEY", "x")], &["--keep-env", "MINE_KEY"]).code, 0);
    world.peer(&["wake", "a"]).prints("a: woken fresh (first-wake)\n");
    let (agent, file) = (world.agent("a"), kept_file(&world));
    chmod(&file, 0o644);
    let said = format!(
        "error: cannot use the env_file {0}: its group or others can read or write it (mode 644)\nhint: chmod 600 {0}\n",
        file.display()
    );
    world.peer(&["new", "a"]).fails(1, &said);
    let incarnation = world.session("a")["incarnation"].to_string();
    let inside = [("PEER_NAME", "a"), ("PEER_INCARNATION", incarnation.as_str())];
    peer_with(&world, &inside, &["self-fresh"]).fails(1, &said);
    let other = if on == RuntimeKind::Tmux { "zellij" } else { "tmux" };
    world.peer(&["move", "a", "--runtime", other]).fails(1, &said);
    let restart = world.peer(&["restart-runtime", "a", "--now"]);
    assert!(restart.code != 0 && format!("{restart:?}").contains("mode 644"), "{restart:?}");
    assert!(lives(agent));
    // An agent that is awake can still be messaged and viewed.
    world.peer(&["wake", "a"]).prints("a: already awake\n");
    for args in [&["list"][..], &["status", "a"], &["why", "a"], &["reap"]] {
        assert_eq!(world.peer(args).code, 0, "{args:?}");
    }
    world.peer(&["stop", "a"]);
    world.peer(&["start", "a"]);
    world.peer(&["wake", "a"]).fails(1, &said);
    chmod(&file, 0o600);
    assert_eq!(world.peer(&["wake", "a"]).code, 0);
}

#[test]
fn a_file_that_cannot_be_believed_starts_nothing_and_is_never_waited_for() {
    let world = World::new();
    world.add("a", &["cat"]);
    let file = world.path("secrets");
    world.set_in_spec("a", &format!("env_file = {}", common::quoted(&file)));
    let cannot = |why: &str| format!("error: cannot read the env_file {}: {why}", file.display());
    let refused = |says: &str| {
        let run = world.peer(&["wake", "a"]);
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{says}: {run:?}");
        assert!(run.stderr.starts_with(says) && !run.stderr.contains("secret-value"), "{says}: {run:?}");
        let doctor = world.peer(&["doctor"]);
        assert!(doctor.code == 1 && doctor.stdout.contains("broken   a: ") && !doctor.stdout.contains("secret-value"));
        assert_eq!(world.peer(&["list"]).code, 0);
    };
    refused(&cannot("No such file or directory"));
    fs::create_dir(&file).expect("made");
    refused(&cannot("it is a directory, and not a regular file"));
    fs::remove_dir(&file).expect("ours");
    nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).expect("made");
    refused(&cannot("it is a FIFO, and not a regular file"));
    fs::remove_file(&file).expect("ours");
    let written = |content: &[u8], mode: u32| {
        fs::write(&file, content).expect("written");
        chmod(&file, mode);
    };
    written("#".repeat((128 << 10) + 1).as_bytes(), 0o600);
    refused(&cannot("it has 131073 bytes, and more than 131072 are never read"));
    written(b"A=\xff\xfe", 0o600);
    refused(&cannot("it is not UTF-8"));
    written(b"A=secret-value", 0o640);
    refused(&format!("error: cannot use the env_file {}: its group or others can read", file.display()));
    written(b"A=1\nB=secret-value x\n", 0o600);
    refused(&format!("error: {}:2: B: its value holds a space", file.display()));
    written(b"A=1\n# again\nA=secret-value\n", 0o600);
    refused(&format!("error: {}:3: A: it stands in line 1 already", file.display()));
    written(b"PEER_NAME=secret-value", 0o600);
    refused(&format!("error: {}:1: PEER_NAME: peer sets its own", file.display()));
    if nix::unistd::geteuid().is_root() {
        written(b"A=secret-value", 0o600);
        chown(&file, Some(4_242), None).expect("root may");
        refused(&format!("error: cannot trust {}: it belongs to uid 4242", file.display()));
        chown(&file, Some(0), None).expect("root may");
    }
    assert!(world.server().is_none() && world.processes().is_empty());
    written(b"A=1\n", 0o400);
    world.peer(&["wake", "a"]).prints("a: woken fresh (first-wake)\n");
    world.set_in_spec("a", "");
    let spec = spec(&world).replace(&file.display().to_string(), "secrets");
    fs::write(world.path("config/peers/a.toml"), spec).expect("written");
    let run = world.peer(&["wake", "a"]);
    assert!(run.stderr.contains("a.toml:2: env_file: it is not an absolute path"), "{run:?}");
}

/// A shell can source the file that `peer` writes, and what the user writes in shell syntax has the same meaning for
/// `peer`.
#[test]
fn a_shell_reads_the_file_as_it_is_read_here() {
    let world = with_profile(RuntimeKind::Tmux);
    let by_shell = |name: &str, file: &Path| {
        let script = format!(". '{}'; printf %s \"${name}\"", file.display());
        Run::of(std::process::Command::new("sh").args(["-c", &script]), None).stdout
    };
    for value in [SECRET, "plain/+=^%@:,.-_", "~/x", "`id`", "a\\nb\\", "#x", " x ", "it's", "a'b\"c$d`e\\f"] {
        assert_eq!(add(&world, &[("MINE_KEY", value)], &["--keep-env", "MINE_KEY"]).code, 0, "{value}");
        assert_eq!(by_shell("MINE_KEY", &kept_file(&world)), value);
    }
    let file = world.path("secrets");
    fs::write(&file, "export A=a/b # why\nB='$x \"y\"'\n  C=\"\\$x \\\"y\\\" \\\\ \\`\"\nD=\nE=x=y\n")
        .expect("written");
    chmod(&file, 0o600);
    assert_eq!(add(&world, &[], &["--replace", "--env-file", file.to_str().expect("UTF-8")]).code, 0);
    world.peer(&["wake", "a"]).prints("a: woken fresh (first-wake)\n");
    let has = environment(world.agent("a"));
    for name in ["A", "B", "C", "D", "E"] {
        assert_eq!(has[name], by_shell(name, &file), "{name}");
    }
}

#[test]
fn it_is_nobody_elses_to_read_at_any_moment_whatever_the_umask() {
    let world = with_profile(RuntimeKind::Tmux);
    let words = ["add", "a", "--agent", "mine", "--runtime", "tmux", "--keep-env", "MINE_KEY", "--", "cat"];
    let run = world.peer_after("umask 000; export MINE_KEY=secret", &words);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(mode(&kept_file(&world)), 0o600);
    // A file that a killed writer left behind is removed like any other.
    let left = world.path("state/a.env.tmp");
    fs::write(&left, "MINE_KEY=secret\n").expect("written");
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(1_000);
    fs::File::options().write(true).open(&left).expect("ours").set_modified(old).expect("set");
    world.peer(&["reap"]);
    assert!(!left.exists() && kept_file(&world).exists());
}
