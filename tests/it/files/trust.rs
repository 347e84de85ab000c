//! Specs and profiles are commands that run as the user: only those that the user or root could have written are
//! trusted, and what `peer` writes itself is private.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::not_run::is_root;
use crate::common::{Run, World};

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}

/// Asserts that the error names exactly this path and the command that fixes it, and that nothing was started.
#[track_caller]
fn refused(world: &World, path: &Path, why: &str, cure: &str) {
    let said = format!(
        "error: cannot trust {}: {why}, and its content is run as you\nhint: {cure} {}\n",
        path.display(),
        path.display()
    );
    world.peer(&["wake", "a"]).fails(1, &said);
    let list = world.peer(&["list"]);
    assert!(list.code == 1 && list.stderr.contains(&path.display().to_string()), "{list:?}");
    assert!(world.server().is_none() && world.processes().is_empty());
}

#[test]
fn what_others_may_write_to_is_not_carried_out() {
    let world = World::new();
    world.profile("mine", "extends = \"command\"\ndescription = \"mine\"\n");
    world.declare("a", &["--agent", "mine"], &["cat"]);
    for (path, bad, good) in [
        ("config", 0o777, 0o700),
        ("config", 0o1777, 0o755),
        ("config/peers", 0o757, 0o755),
        ("config/peers/a.toml", 0o666, 0o644),
        ("config/agents", 0o777, 0o775),
        ("config/agents/mine.toml", 0o602, 0o664),
        ("config/config.toml", 0o646, 0o600),
    ] {
        let path = world.path(path);
        chmod(&path, bad);
        refused(&world, &path, &format!("others may write to it (mode {bad:03o})"), "chmod go-w");
        chmod(&path, good);
    }
    world.peer(&["wake", "a"]).prints("a: woken fresh (first-wake)\n");
}

#[test]
fn what_belongs_to_another_user_is_not_carried_out() {
    if !is_root() {
        return;
    }
    let world = World::new();
    world.add("a", &["cat"]);
    for path in ["config", "config/peers", "config/peers/a.toml", "config/config.toml"] {
        let path = world.path(path);
        chown(&path, Some(4_242), None).expect("chown");
        refused(&world, &path, "it belongs to uid 4242", "if its content is trustworthy: sudo chown $USER");
        chown(&path, Some(0), None).expect("chown");
    }
    // A group that is not ours counts as others.
    let spec = world.path("config/peers/a.toml");
    chown(&spec, None, Some(4_242)).expect("chown");
    chmod(&spec, 0o660);
    refused(&world, &spec, "others may write to it (mode 660)", "chmod go-w");
    chmod(&spec, 0o640);
    world.peer(&["wake", "a"]).prints("a: woken fresh (first-wake)\n");
}

#[test]
fn what_is_made_is_private_whatever_the_umask() {
    let world = World::new();
    fs::remove_dir_all(world.path("config")).expect("ours");
    let plain = world.command(&[]);
    let mut shell = Command::new("bash");
    let add = ["add", "a", "--runtime", "tmux", "--agent", "command", "--", "cat"];
    shell.args(["-c", "umask 000; exec \"$@\"", "bash", env!("CARGO_BIN_EXE_peer")]).args(add);
    shell.env_clear().current_dir(world.work()).stdin(Stdio::null());
    for (key, value) in plain.get_envs() {
        shell.env(key, value.expect("set"));
    }
    let run = Run::of(&mut shell, None);
    assert_eq!(run.code, 0, "{run:?}");
    let mode = |path: &str| world.path(path).metadata().expect("it is there").permissions().mode() & 0o777;
    assert_eq!(["config", "config/peers", "state"].map(mode), [0o700; 3]);
    for file in fs::read_dir(world.path("state")).expect("ours").flatten() {
        assert_eq!(file.metadata().expect("there").permissions().mode() & 0o077, 0, "{}", file.path().display());
    }
    assert_eq!(mode("config/peers/a.toml"), 0o600);
}
