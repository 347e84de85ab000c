//! Each hint of `peer timer` is typed, with a crontab or a systemd of the test's own.

use std::fs;
use std::time::{Duration, SystemTime};

use super::timer::{own_crontab, peer, stand_in};
use super::timer_systemd::own_systemd;
use crate::common::{Run, World, killed, wait_until};

fn words(command: &str) -> Vec<&str> {
    command.strip_prefix("peer ").expect("a command of ours").split_whitespace().collect()
}

/// The only hint on stderr.
#[track_caller]
fn hint(run: &Run) -> &str {
    let mut hints = run.stderr.lines().filter_map(|line| line.strip_prefix("hint: "));
    let hint = hints.next().unwrap_or_else(|| panic!("no hint: {run:?}"));
    assert!(hints.next().is_none(), "{run:?}");
    hint
}

#[test]
fn a_timer_that_is_missing_is_installed() {
    let world = World::new();
    let (run_dir, path) = own_systemd(&world, "nothing");
    let of = |args: &[&str]| Run::of(world.command(args).env("PATH", &path).env("XDG_RUNTIME_DIR", &run_dir), None);
    let missing = of(&["timer", "status"]);
    assert_eq!((missing.code, hint(&missing)), (1, "peer timer install"));
    let installed = of(&words(hint(&missing)));
    assert_eq!((installed.code, installed.stdout.as_str()), (0, "timer: installed (systemd), a tick every 1m\n"));
    let status = of(&["timer", "status"]);
    assert_eq!((status.code, status.stderr.as_str()), (0, ""));
}

#[test]
fn a_timer_that_does_not_tick_is_explained() {
    let world = World::new();
    let (_, path) = own_crontab(&world);
    assert_eq!(peer(&world, &path, &["timer", "install", "--kind", "cron"]).code, 0);
    let long_ago = SystemTime::now() - Duration::from_secs(600);
    let script = world.path("state/timer.sh");
    fs::File::options().append(true).open(&script).and_then(|file| file.set_modified(long_ago)).expect("aged");
    let late = peer(&world, &path, &["timer", "status"]);
    assert_eq!((late.code, hint(&late)), (1, "peer doctor shows why it does not tick"));
    let doctor = peer(&world, &path, &["doctor"]);
    assert_eq!(doctor.code, 1);
    assert!(doctor.stdout.contains("timer: cron every 60 s; there was no tick yet\n"), "{doctor:?}");
    // Which says what to do in turn.
    let cure = "-> check that the cron daemon is running; peer timer install rewrites the line";
    assert!(doctor.stdout.contains(cure), "{doctor:?}");
    assert_eq!(peer(&world, &path, &["timer", "install", "--kind", "cron"]).code, 0);
    assert_eq!(peer(&world, &path, &["timer", "status"]).code, 0, "its first tick is still to come");
}

#[test]
fn what_cron_cannot_do_leads_to_what_it_can() {
    let world = World::new();
    let (crontab, path) = own_crontab(&world);
    let refused = peer(&world, &path, &["timer", "install", "--kind", "cron", "--every", "90s"]);
    let offered = hint(&refused).strip_prefix("use ").expect("intervals").split([',', ' ']).next().expect("one");
    assert_eq!(peer(&world, &path, &["timer", "install", "--kind", "cron", "--every", offered]).code, 0);
    assert!(crontab.exists());
    let refuses = stand_in(&world, "crontab", "echo 'must be privileged' >&2; exit 1");
    let refused = peer(&world, &refuses, &["timer", "install", "--kind", "cron"]);
    let command = hint(&refused).strip_suffix(" prints the line, to be added manually").expect("a command");
    let printed = peer(&world, &refuses, &words(command));
    assert!(printed.code == 0 && printed.stdout.contains("* * * * * "), "{printed:?}");
}

/// Without `XDG_RUNTIME_DIR`, the stand-in for systemctl does not answer. The hint depends on whether a manager of our
/// user runs on this machine; the way out is the same.
#[test]
fn where_the_manager_does_not_answer_cron_is_installed() {
    let world = World::new();
    let (_, path) = own_systemd(&world, "nothing");
    own_crontab(&world);
    let refused = peer(&world, &path, &["timer", "install", "--kind", "systemd"]);
    let command = hint(&refused).rsplit_once("; or ").expect("a way without root").1;
    peer(&world, &path, &words(command)).prints("timer: installed (cron), a tick every 1m\n");
}

#[test]
fn where_the_manager_refuses_its_status_is_named() {
    let world = World::new();
    let (run_dir, path) = own_systemd(&world, "daemon-reload");
    let mut install = world.command(&["timer", "install", "--kind", "systemd"]);
    let refused = Run::of(install.env("PATH", &path).env("XDG_RUNTIME_DIR", &run_dir), None);
    let offered = "systemctl --user status shows what your systemd manager does; or peer timer install --kind cron";
    assert_eq!((refused.code, hint(&refused)), (1, offered));
}

#[test]
fn where_neither_is_there_a_watch_ticks() {
    let world = World::new();
    let nothing = world.path("bin");
    fs::create_dir_all(&nothing).expect("create");
    let nothing = nothing.to_str().expect("UTF-8");
    let refused = peer(&world, nothing, &["timer", "install"]);
    assert_eq!((refused.code, hint(&refused)), (1, "install cron, or keep `peer watch` running"));
    let mut watch = world.command(&["watch"]);
    let mut watch = watch.env("PATH", nothing).stdout(std::process::Stdio::null()).spawn().expect("spawned");
    wait_until("it ticks", || world.path("state/heartbeat.json").exists());
    wait_until("which status knows", || peer(&world, nothing, &["timer", "status"]).code == 0);
    killed(&mut watch);
}
