//! `peer watch`: the tick in the foreground, under systemd or by hand.

mod common;

use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{PATIENCE, Run, World, signal, wait_until};
use nix::sys::signal::Signal;

#[test]
fn it_ticks_tells_systemd_and_ends_cleanly_on_sigterm() {
    let world = World::new();
    world.add("a", &["sleep", "1000"]);
    world.set_in_spec("a", "idle_timeout = \"0s\"\nrestart = \"on-failure\"");
    world.peer(&["wake", "a"]);
    // Another path than one of tmux's sockets, which begin with s.
    let path = world.path("notify");
    let systemd = UnixDatagram::bind(&path).expect("bind");
    systemd.set_read_timeout(Some(PATIENCE)).expect("set");
    let heard = || {
        let mut buffer = [0; 256];
        let length = systemd.recv(&mut buffer).expect("it speaks");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    let mut command = world.command(&["watch", "--every", "1s"]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "30000000");
    let started = Instant::now();
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let pid = child.id();
    assert_eq!((heard().trim(), world.path("state/heartbeat.json").exists()), ("READY=1", true), "ready after a tick");
    assert_eq!((heard().trim(), heard().trim()), ("WATCHDOG=1", "WATCHDOG=1"), "each tick feeds it");
    assert!(started.elapsed() >= Duration::from_secs(1), "at its interval");
    // What it starts does not speak to systemd in its name.
    let old = world.agent("a");
    signal(world.server().expect("a server").pid, Signal::SIGKILL);
    wait_until("it brings the peer back", || world.session("a")["phase"] == "ready" && world.agent("a") != old);
    let environ = std::fs::read(format!("/proc/{}/environ", world.agent("a"))).expect("ours");
    let environ = String::from_utf8_lossy(&environ).into_owned();
    assert!(environ.contains("PEER_NAME=a") && !environ.contains("NOTIFY_SOCKET") && !environ.contains("WATCHDOG"));
    signal(pid, Signal::SIGTERM);
    let run = Run::finish(child, None, Instant::now());
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    assert!(run.stdout.contains("a: restarted (fresh (runtime-lost-no-conversation))"), "{run:?}");
    let mut last = heard();
    while last.trim() == "WATCHDOG=1" {
        last = heard();
    }
    assert_eq!(last.trim(), "STOPPING=1");
}

#[test]
fn sigterm_waits_for_the_tick_that_is_under_way() {
    let world = World::with_probe_timeout("3s");
    world.add("a", &["sleep", "1000"]);
    world.set_in_spec("a", "idle_timeout = \"0s\"");
    world.peer(&["wake", "a"]);
    let mut command = world.command(&["watch", "--every", "1s"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    wait_until("a tick is done", || world.path("state/heartbeat.json").exists());
    // The next one has to wait for its server.
    let server = world.server().expect("a server").pid;
    common::stop(server);
    let stamped = || std::fs::read_to_string(world.path("state/heartbeat.json")).expect("a heartbeat");
    wait_until("a tick says so", || stamped().contains("peers not judged"));
    signal(child.id(), Signal::SIGTERM);
    let run = Run::finish(child, None, Instant::now());
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.stderr.lines().all(|line| line.starts_with("skipped: ")), "{run:?}");
    assert!(run.took < Duration::from_secs(20), "{run:?}");
    signal(server, Signal::SIGCONT);
}

#[test]
fn an_interval_that_leaves_no_time_to_work_is_refused() {
    let world = World::new();
    assert_eq!(world.peer(&["watch", "--every", "10ms"]).code, 2);
}
