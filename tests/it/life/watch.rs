//! `peer watch`: the tick in the foreground, started by systemd or by the user.

use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::common;
use crate::common::{PATIENCE, Run, World, ended, killed, signal, wait_until};
use nix::sys::signal::Signal;

#[test]
fn it_ticks_tells_systemd_and_ends_cleanly_on_sigterm() {
    let world = World::new();
    world.add("a", &["sleep", "1000"]);
    world.set_in_spec("a", "idle_timeout = \"0s\"\nrestart = \"on-failure\"");
    world.peer(&["wake", "a"]);
    // Not a path of a tmux socket, which begin with s.
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
    // The processes that it starts do not notify systemd in its name.
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

/// `peer watch` as systemd runs it, and its notifications.
struct Service {
    socket: UnixDatagram,
    child: std::process::Child,
}

impl Service {
    fn start(world: &World, every: &str, watchdog: Duration) -> Self {
        let path = world.path("notify");
        let socket = UnixDatagram::bind(&path).expect("bind");
        let mut command = world.command(&["watch", "--every", every]);
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        Self { socket, child }
    }

    /// Returns its next notification; `None` if there was none within `patience`.
    fn hear(&self, patience: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(patience)).expect("set");
        let mut buffer = [0; 256];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).trim().to_owned())
    }

    fn await_feed(&self) {
        while self.hear(PATIENCE).expect("it is fed") != "WATCHDOG=1" {}
    }

    fn end(mut self) {
        killed(&mut self.child);
    }
}

fn ticks(world: &World) -> u64 {
    let text = std::fs::read_to_string(world.path("state/heartbeat.json")).unwrap_or_default();
    serde_json::from_str::<serde_json::Value>(&text).ok().and_then(|beat| beat["tick"].as_u64()).unwrap_or_default()
}

#[test]
fn the_watchdog_is_fed_between_ticks_that_are_far_apart() {
    let world = World::new();
    let service = Service::start(&world, "1h", Duration::from_millis(400));
    wait_until("its first tick", || ticks(&world) == 1);
    for _ in 0..6 {
        service.await_feed();
    }
    assert_eq!(ticks(&world), 1, "an hour has not passed");
    let beat = std::fs::read_to_string(world.path("state/heartbeat.json")).expect("a tick");
    let watch = serde_json::from_str::<serde_json::Value>(&beat).expect("JSON")["watch"].clone();
    assert_eq!((&watch["process"]["pid"], &watch["every_ms"]), (&service.child.id().into(), &3_600_000.into()));
    service.end();
}

/// A tmux client that waits while the file `wait` exists.
fn slow_client(world: &World) {
    use std::os::unix::fs::PermissionsExt;
    let real = peer_adapters::command::resolve("tmux".as_ref(), None, "/".as_ref()).expect("tmux");
    let (client, wait, asked) = (world.path("client"), world.path("wait"), world.path("asked"));
    let (real, wait, asked) = (real.display(), wait.display(), asked.display());
    let text = format!("#!/bin/sh\nwhile [ -e '{wait}' ]; do : >'{asked}'; sleep 0.05; done\nexec '{real}' \"$@\"\n");
    std::fs::write(&client, text).expect("written");
    std::fs::set_permissions(&client, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    let config = world.path("config/config.toml");
    let text = std::fs::read_to_string(&config).expect("read");
    let text = text.replacen("[tmux]\n", &format!("[tmux]\nbinary = {}\n", common::quoted(&client)), 1);
    std::fs::write(&config, text).expect("written");
}

#[test]
fn a_long_tick_feeds_the_watchdog_until_it_is_past_its_budget() {
    for (budget, fed) in [("600s", true), ("100ms", false)] {
        let world = World::with_probe_timeout("600s");
        world.configure(&format!("[tick]\nbudget = \"{budget}\"\n"));
        slow_client(&world);
        world.add("a", &["sleep", "1000"]);
        world.set_in_spec("a", "idle_timeout = \"0s\"");
        assert_eq!(world.peer(&["wake", "a"]).code, 0);
        let service = Service::start(&world, "1s", Duration::from_millis(400));
        wait_until("it ticks", || ticks(&world) > 0);
        std::fs::write(world.path("wait"), "").expect("written");
        wait_until("a tick waits for its server", || world.path("asked").exists());
        let tick = ticks(&world);
        if fed {
            for _ in 0..6 {
                service.await_feed();
            }
        } else {
            // Earlier notifications come first.
            wait_until("it is silent", || service.hear(Duration::from_secs(2)).is_none());
        }
        assert_eq!(ticks(&world), tick, "it is the same tick still");
        std::fs::remove_file(world.path("wait")).expect("ours");
        wait_until("it ends", || ticks(&world) > tick);
        service.await_feed();
        service.end();
    }
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
    // The next tick has to wait for its server.
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
fn what_is_edited_holds_from_the_next_tick_on() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.peer(&["wake", "a"]);
    let said = world.path("said");
    let mut command = world.command(&["watch", "--every", "1s"]);
    let stderr = std::fs::File::create(&said).expect("ours");
    let mut child = command.stdout(Stdio::null()).stderr(stderr).spawn().expect("it starts");
    wait_until("a tick is done", || ticks(&world) > 0);
    assert!(world.has("a", "session"), "an hour has not passed");
    world.configure("\n[defaults]\nidle_timeout = \"1ms\"\n");
    wait_until("it is parked", || world.has("a", "idle-reaped") && !world.has("a", "session"));
    world.configure("nonsense = 1\n");
    let shows = || std::fs::read_to_string(&said).expect("ours").contains("nonsense");
    wait_until("the mistake refuses a tick", shows);
    signal(child.id(), Signal::SIGTERM);
    assert!(ended(&mut child).success());
}

#[test]
fn an_interval_that_leaves_no_time_to_work_is_refused() {
    let world = World::new();
    assert_eq!(world.peer(&["watch", "--every", "10ms"]).code, 2);
}
