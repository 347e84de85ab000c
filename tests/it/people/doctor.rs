//! `peer doctor`: each possible problem is found, named with its remedy, and affects the exit code if it must.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common;
use crate::common::{Run, World, wait_until};
use serde_json::Value;

/// The findings that are not ok, as `level about: what -> cure`, without those that depend on this machine alone.
#[track_caller]
fn findings(world: &World, flags: &[&str]) -> (i32, Vec<String>) {
    let run = world.peer(&[&["doctor", "--json"], flags].concat());
    assert_eq!(run.stderr, "", "{run:?}");
    let document = run.json();
    assert_eq!(document["schema"], "peer.doctor/1");
    let machine = ["tmux", "zellij", "agents", "disk", "limits", "timer"];
    let found = document["findings"].as_array().expect("findings");
    let told = found.iter().filter(|f| f["level"] != "ok" && !machine.contains(&f["about"].as_str().expect("text")));
    let line = |f: &Value| {
        let text = |key: &str| f[key].as_str().unwrap_or("-").replace(&world.path("").display().to_string(), "/W/");
        format!("{} {}: {} -> {}", text("level"), text("about"), text("what"), text("cure"))
    };
    (run.code, told.map(line).collect())
}

#[test]
fn a_fleet_in_good_health_breaks_nothing() {
    let world = World::new();
    world.add("api", &["cat"]);
    world.peer(&["wake", "api"]);
    assert_eq!(findings(&world, &[]), (0, Vec::new()));
    let run = world.peer(&["doctor"]);
    assert!(run.code == 0 && run.stderr.is_empty(), "{run:?}");
    let state = world.path("state");
    for line in [
        format!("ok       state: {} is private to you", state.display()),
        "ok       peers: 1 declared, 1 with a session on record".to_owned(),
        "         -> peer timer install, or keep `peer watch` running".to_owned(),
    ] {
        assert!(run.stdout.lines().any(|known| known == line), "{line}\n{}", run.stdout);
    }
    assert!(run.stdout.contains(" at /") && run.stdout.contains(": tmux 3."), "{}", run.stdout);
    assert!(!run.stdout.contains('\x1b'));
}

#[test]
fn looking_changes_nothing() {
    let world = World::new();
    world.add("api", &["cat"]);
    world.peer(&["wake", "api"]);
    let before = world.snapshot();
    findings(&world, &[]);
    findings(&world, &["--as-cron"]);
    assert!(world.snapshot() == before);
}

#[test]
fn directories_and_files_that_are_wrong() {
    let world = World::new();
    world.add("api", &["cat"]);
    fs::set_permissions(world.path("state"), fs::Permissions::from_mode(0o755)).expect("ours");
    let open = "warning state: /W/state has mode 755: others may read topics and environments -> chmod 700 /W/state";
    assert_eq!(findings(&world, &[]), (0, vec![open.to_owned()]));
    fs::set_permissions(world.path("state"), fs::Permissions::from_mode(0o777)).expect("ours");
    let (code, found) = findings(&world, &[]);
    assert!(code == 1 && found.len() == 1 && found[0].contains("others may write to it (mode 777)"), "{found:?}");
    fs::set_permissions(world.path("state"), fs::Permissions::from_mode(0o700)).expect("ours");
    world.configure("idel = 3\n");
    let (code, found) = findings(&world, &[]);
    assert!(code == 1 && found[0].starts_with("broken peer: /W/config/config.toml:6: "), "{found:?}");
}

#[test]
fn peers_whose_program_directory_or_spec_is_gone() {
    let world = World::new();
    fs::create_dir(world.path("work/there")).expect("create");
    let tool = world.path("work/tool");
    fs::write(&tool, "#!/bin/sh\n").expect("write");
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).expect("ours");
    world.add("a", &[tool.to_str().expect("UTF-8")]);
    world.declare("b", &["--agent", "command", "--cwd", "there"], &["cat"]);
    world.add("c", &["cat"]);
    fs::remove_file(tool).expect("ours");
    fs::remove_dir(world.path("work/there")).expect("ours");
    fs::write(world.path("config/peers/c.toml"), "agent = 3\n").expect("write");
    let (code, found) = findings(&world, &[]);
    assert_eq!((code, found.len()), (1, 3), "{found:?}");
    assert_eq!(found[0], "broken a: /W/work/tool is gone, or not executable -> peer edit a");
    assert_eq!(found[1], "broken b: its working directory /W/work/there is gone -> peer edit b");
    assert!(found[2].starts_with("broken c: /W/config/peers/c.toml:1: agent: ") && found[2].ends_with("peer edit c"));
}

#[test]
fn an_orphan_a_session_of_nobody_and_a_dead_socket() {
    let world = World::new();
    world.add("a", &["sh", "-c", "trap '' HUP; echo deaf; while :; do sleep 1000; done"]);
    world.add("b", &["cat"]);
    world.peer(&["wake", "a"]);
    world.peer(&["wake", "b"]);
    world.await_screen("a", "deaf");
    // It is not declared any more, and its session exists.
    fs::remove_file(world.file("b", "session")).expect("ours");
    fs::remove_file(world.path("config/peers/b.toml")).expect("ours");
    world.tmux(&["kill-session", "-t", &format!("={}:", world.session("a")["session"].as_str().expect("a name"))]);
    wait_until("its session is gone", || !world.tmux(&["list-sessions"]).contains("a-1"));
    let (code, found) = findings(&world, &[]);
    assert_eq!(
        (code, found),
        (
            0,
            vec![
                "warning a: its agent outlived its session -> peer reap".to_owned(),
                "warning session: session b-1 on /W/s belongs to no peer -> tmux -S /W/s kill-pane -t %1".to_owned(),
            ]
        )
    );
    let world = World::new();
    drop(std::os::unix::net::UnixListener::bind(world.socket()).expect("a socket"));
    let dead = "note socket: /W/s is a socket without a listener -> the next wake replaces it";
    assert_eq!(findings(&world, &[]), (0, vec![dead.to_owned()]));
}

#[test]
fn a_server_that_does_not_answer_is_said_once_for_all_its_peers() {
    let world = World::with_probe_timeout("500ms");
    world.add("a", &["cat"]);
    world.add("b", &["cat"]);
    wait_until("both are up, within a short deadline", || world.peer(&["wake", "a", "b"]).code == 0);
    common::stop(world.server().expect("a server").pid);
    let (code, found) = findings(&world, &[]);
    assert!(code == 1 && found.len() == 1 && found[0].starts_with("broken server: tmux at /W/s: "), "{found:?}");
    assert!(found[0].contains("kill -CONT"), "{found:?}");
}

#[test]
fn a_tmux_that_is_too_old_or_missing() {
    let world = World::new();
    let old = world.path("tmux");
    fs::write(&old, "#!/bin/sh\necho tmux 3.1c\n").expect("write");
    fs::set_permissions(&old, fs::Permissions::from_mode(0o755)).expect("ours");
    let text = fs::read_to_string(world.path("config/config.toml")).expect("read");
    let config = text.replace("[tmux]\n", &format!("[tmux]\nbinary = {old:?}\n"));
    fs::write(world.path("config/config.toml"), config).expect("write");
    let run = world.peer(&["doctor"]);
    let line = format!(
        "broken   tmux: tmux at {}: version mismatch (tmux 3.1c is installed, and 3.2 or newer is needed)\n\
         \x20        -> install a newer tmux\n",
        old.display()
    );
    assert!(run.code == 1 && run.stdout.contains(&line), "{run:?}");

    let none = World::new();
    let run = Run::of(none.command(&["doctor"]).env("PATH", none.path("home")), None);
    assert!(run.code == 1 && run.stdout.contains("broken   runtime: no multiplexer is installed\n"), "{run:?}");
}

#[test]
fn hooks_that_would_never_run() {
    let world = World::new();
    world.configure("\n[[hook]]\non = [\"sesion.ended\"]\ncommand = [\"/nonexistent\"]\n");
    world.configure("\n[[hook]]\non = [\"wake.\", \"*\"]\ncommand = [\"true\"]\n");
    assert_eq!(
        findings(&world, &[]),
        (
            1,
            vec![
                "warning hook: no event is named \"sesion.ended\", so it never runs -> did you mean session.ended?"
                    .to_owned(),
                "broken hook: /nonexistent was not found, or is not executable -> use its absolute path in config.toml"
                    .to_owned(),
            ]
        )
    );
}

#[test]
fn with_the_eyes_of_cron_the_fleet_may_be_another() {
    let world = World::new();
    let (code, found) = findings(&world, &["--as-cron"]);
    assert_eq!(code, 0);
    let cure = "-> peer timer install carries PEER_STATE_DIR and PEER_CONFIG_DIR";
    assert!(
        found.len() == 1 && found[0].starts_with("warning cron: a bare line of a crontab") && found[0].ends_with(cure)
    );
    // A tmux that is only on this shell's PATH does not exist for cron.
    let bin = world.path("bin");
    fs::create_dir(&bin).expect("create");
    fs::write(bin.join("zellij"), "#!/bin/sh\necho zellij 0.45.1\n").expect("write");
    fs::set_permissions(bin.join("zellij"), fs::Permissions::from_mode(0o755)).expect("ours");
    let path = format!("{}:/usr/bin:/bin", bin.display());
    let here = Run::of(world.command(&["doctor"]).env("PATH", &path), None);
    assert!(here.stdout.contains(&format!("ok       zellij: zellij 0.45.1 at {}/zellij", bin.display())), "{here:?}");
    let cron = Run::of(world.command(&["doctor", "--as-cron"]).env("PATH", &path), None);
    assert!(cron.stdout.contains("note     zellij: is not on PATH\n"), "{cron:?}");
}
