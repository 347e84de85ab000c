//! Commands that run late: a server that hangs and resumes must never lead to two agents, and an incarnation that is
//! not the recorded one exits without starting anything.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common;
use crate::common::{Run, World, lives, on_each_runtime, signal, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::runtime::RuntimeKind;
use serde_json::json;

on_each_runtime! {
    what_is_left_of_a_removed_peer_is_not_taken_for_the_one_declared_anew
}

/// Runs the hidden verb of the pane process directly.
fn pane(world: &World, name: &str, incarnation: &str) -> Run {
    let mut command = world.command(&["pane"]);
    command.arg(world.path("state")).args([name, incarnation]);
    Run::of(&mut command, None)
}

#[test]
fn a_late_incarnation_leaves_without_starting_anything() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.peer(&["wake", "a"]);
    world.peer(&["new", "a"]);
    let before = world.session("a");
    pane(&world, "a", "1").fails(1, "peer: incarnation 1 of this peer is not the one to start; nothing was started\n");
    // The current incarnation is not started twice either.
    pane(&world, "a", "2").fails(1, "peer: incarnation 2 of this peer is not the one to start; nothing was started\n");
    assert_eq!((world.session("a"), world.processes().len()), (before, 1));
}

#[test]
fn a_pane_without_a_record_leaves() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.peer(&["list"]);
    pane(&world, "a", "1").fails(1, "peer: incarnation 1 of this peer is not the one to start; nothing was started\n");
    let run = world.peer(&["pane"]);
    assert_eq!(run.code, 2, "{run:?}");
}

/// Another `peer self-fresh` of the same agent signals the pane process while it becomes its own successor.
#[test]
fn a_signal_that_is_pending_when_a_pane_process_begins_does_not_end_it() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.peer(&["list"]);
    let script = "import os, signal, sys\n\
                  sent = {getattr(signal, name) for name in sys.argv[1].split()}\n\
                  signal.pthread_sigmask(signal.SIG_BLOCK, sent)\n\
                  [os.kill(os.getpid(), number) for number in sent]\n\
                  os.execv(sys.argv[2], sys.argv[2:])";
    for (sent, says) in [
        ("SIGUSR2 SIGALRM SIGINT", "incarnation 1 of this peer is not the one to start; nothing was started"),
        ("SIGUSR2 SIGHUP", "the terminal of incarnation 1 was taken away; nothing was started"),
    ] {
        let plain = world.command(&[]);
        let mut python = Command::new("python3");
        python.args(["-c", script, sent, env!("CARGO_BIN_EXE_peer"), "pane"]).arg(world.path("state")).args(["a", "1"]);
        python.env_clear().envs(plain.get_envs().filter_map(|(key, value)| Some((key, value?)))).stdin(Stdio::null());
        Run::of(&mut python, None).fails(1, &format!("peer: {says}\n"));
    }
}

#[test]
fn an_agent_that_cannot_be_recorded_does_not_stay() {
    let world = World::with_probe_timeout("1s");
    slow_tmux(&world);
    world.add("other", &["cat"]);
    world.add("a", &["sleep", "1000"]);
    assert_eq!(world.peer(&["wake", "other"]).code, 0, "a server that is up");
    let others = world.processes();
    std::fs::write(world.path("gate"), "").expect("write");
    assert_eq!(world.peer(&["wake", "a"]).code, 6, "its pane comes late");
    // A limit on the size of files looks like a full disk to a writer.
    let plain = world.command(&[]);
    let mut shell = Command::new("bash");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "bash", env!("CARGO_BIN_EXE_peer"), "pane"]);
    shell.arg(world.path("state")).args(["a", "1"]).env_clear().stdin(Stdio::null());
    shell.envs(plain.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let run = Run::of(&mut shell, None);
    assert!(run.code == 1 && run.stderr.contains("File too large"), "{run:?}");
    assert_eq!(world.processes(), others);
    std::fs::remove_file(world.path("gate")).expect("remove");
    wait_until("with room on the disk it is started", || world.session("a")["process"].is_object());
}

/// A tmux whose `new-session` comes late: the client waits until a file is removed, and keeps running when `peer` gives
/// up on it.
fn slow_tmux(world: &World) {
    let real = which("tmux");
    let gate = world.path("gate");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *new-session*)\n  if [ -e {gate} ]; then\n    (setsid sh -c 'while [ -e {gate} ]; do sleep 0.01; done; exec \"$@\"' sh {real} \"$@\" >/dev/null 2>&1 </dev/null &)\n    exec sleep 1000\n  fi;;\nesac\nexec {real} \"$@\"\n",
        gate = gate.display(),
    );
    let path = world.path("slow-tmux");
    std::fs::write(&path, script).expect("write");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    let config = world.path("config/config.toml");
    let text = std::fs::read_to_string(&config).expect("read");
    std::fs::write(&config, text.replace("[tmux]\n", &format!("[tmux]\nbinary = {}\n", common::quoted(&path))))
        .expect("write");
}

fn which(program: &str) -> String {
    let path = std::env::var("PATH").expect("PATH");
    let found = path.split(':').map(|dir| format!("{dir}/{program}")).find(|file| std::path::Path::new(file).exists());
    found.expect("it is installed")
}

#[test]
fn a_session_that_comes_after_its_wake_gave_up_is_adopted() {
    let world = World::with_probe_timeout("1s");
    slow_tmux(&world);
    world.add("other", &["cat"]);
    world.add("a", &["cat"]);
    assert_eq!(world.peer(&["wake", "other"]).code, 0, "a server that is up");
    std::fs::write(world.path("gate"), "").expect("write");
    let run = world.peer(&["wake", "a"]);
    assert_eq!((run.code, run.stdout.as_str()), (6, ""), "{run:?}");
    assert!(run.stderr.ends_with("hint: it is safe to try again\n"), "{run:?}");
    assert_eq!(world.session("a")["incarnation"], 1, "the record stands, so that it is found");
    std::fs::remove_file(world.path("gate")).expect("remove");
    wait_until("the late agent is up", || world.session("a")["process"].is_object());
    let agent = world.agent("a");
    world.peer(&["wake", "a", "-m", "hello"]).prints("a: already awake; message delivered\n");
    assert_eq!((world.agent("a"), world.events("a", "wake.decided").len()), (agent, 1));
}

#[test]
fn a_session_that_comes_after_the_next_wake_leaves() {
    let world = World::with_probe_timeout("1s");
    slow_tmux(&world);
    world.add("other", &["cat"]);
    world.add("a", &["cat"]);
    assert_eq!(world.peer(&["wake", "other"]).code, 0, "a server that is up");
    std::fs::write(world.path("gate"), "").expect("write");
    assert_eq!(world.peer(&["wake", "a"]).code, 6);
    assert_eq!(world.peer(&["wake", "a"]).code, 6, "and the second hangs as well");
    std::fs::remove_file(world.path("gate")).expect("remove");
    // Both come late now, in either order; the first is fenced off.
    wait_until("the late agent is up", || world.session("a")["process"].is_object());
    world.peer(&["wake", "a"]).prints("a: already awake\n");
    assert_eq!(world.session("a")["incarnation"], 2);
    wait_until("one agent each", || world.processes().len() == 2);
    let agent = world.agent("a");
    wait_until("nothing of the first is left", || {
        world.peer(&["wake", "a"]);
        !world.tmux(&["list-sessions"]).contains("a-1:")
    });
    assert!(lives(agent) && world.agent("a") == agent);
}

#[test]
fn a_server_that_is_stopped_in_the_middle_of_wakes_leads_to_one_agent() {
    let world = World::with_probe_timeout("400ms");
    world.add("other", &["cat"]);
    world.add("a", &["cat"]);
    wait_until("a server that is up", || world.peer(&["wake", "other"]).code == 0);
    let server = world.server().expect("a server").pid;
    for delay in [0, 2, 5, 8, 12, 20, 40] {
        let started = Instant::now();
        let wake =
            world.command(&["wake", "a"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        std::thread::sleep(Duration::from_millis(delay));
        signal(server, Signal::SIGSTOP);
        let run = Run::finish(wake, None, started);
        assert!([0, 5, 6].contains(&run.code), "{run:?}");
        let during = world.peer(&["wake", "a"]);
        assert_eq!(during.code, 6, "nobody is started while the server hangs: {during:?}");
        signal(server, Signal::SIGCONT);
        wait_until("a wake succeeds", || world.peer(&["wake", "a"]).code == 0);
        let agent = world.agent("a");
        wait_until("one agent each", || world.processes().len() == 2);
        assert!(lives(agent));
        assert_eq!(world.deaths("a"), 0, "{delay}: {:?}", world.end("a"));
        wait_until("it is stopped", || world.peer(&["stop", "a"]).code == 0);
        world.peer(&["start", "a"]);
        wait_until("one is left", || world.processes().len() == 1);
    }
}

#[test]
fn an_exit_that_is_told_late_does_not_end_the_next_incarnation() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.peer(&["wake", "a"]);
    world.peer(&["new", "a"]);
    late_exit(&world);
    world.peer(&["wake", "a"]).prints("a: already awake\n");
    assert_eq!((world.deaths("a"), world.session("a")["incarnation"].as_u64()), (0, Some(2)));
}

/// Writes the exit record of a delayed pane process of incarnation 1 of `a`.
fn late_exit(world: &World) {
    let late = json!({ "incarnation": 1, "at_ms": 1, "code": 3, "uptime_ms": 1, "max_rss_kib": 1 });
    std::fs::write(world.path("state/panes/a.1.exit"), late.to_string()).expect("write");
}

fn what_is_left_of_a_removed_peer_is_not_taken_for_the_one_declared_anew(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["cat"]);
    world.peer(&["wake", "a"]).prints("a: woken fresh (first-wake)\n");
    assert_eq!(world.peer(&["rm", "a", "--force"]).code, 0);
    world.add("a", &["cat"]);
    world.peer(&["wake", "a"]).prints("a: woken fresh (first-wake)\n");
    let agent = world.agent("a");
    late_exit(&world);
    pane(&world, "a", "1").fails(1, "peer: incarnation 1 of this peer is not the one to start; nothing was started\n");
    let beat = Run::of(world.command(&["beat"]).env("PEER_NAME", "a").env("PEER_INCARNATION", "1"), None);
    assert!(beat.stderr.contains("incarnation 1 of a is no longer the current one"), "{beat:?}");
    assert_eq!(world.peer(&["reap"]).code, 0);
    world.peer(&["wake", "a"]).prints("a: already awake\n");
    assert_eq!((world.session("a")["incarnation"].as_u64(), world.agent("a")), (Some(2), agent));
    assert_eq!((world.processes(), world.deaths("a"), world.end("a")), (vec![agent], 0, serde_json::Value::Null));
}

/// Wakes `a`, and returns the number of its incarnation.
fn woken(world: &World) -> Option<u64> {
    assert_eq!(world.peer(&["wake", "a"]).code, 0);
    world.session("a")["incarnation"].as_u64()
}

#[test]
fn numbers_grow_over_all_removals() {
    let world = World::new();
    let removed = || {
        assert_eq!(world.peer(&["rm", "a", "--force"]).code, 0);
        world.add("a", &["cat"]);
    };
    world.add("a", &["cat"]);
    removed();
    assert_eq!(std::fs::read_to_string(world.file("a", "lock")).expect("it stays"), "", "one that never ran");
    assert_eq!(woken(&world), Some(1));
    world.peer(&["new", "a"]);
    removed();
    let lock = std::fs::metadata(world.file("a", "lock")).expect("it stays");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&lock.permissions()) & 0o777, 0o600);
    // Once more, but this incarnation never ran.
    removed();
    assert_eq!(woken(&world), Some(3));
    world.peer(&["stop", "a"]);
    let end = world.end("a");
    removed();
    // The end is restored manually from the trash, as it was, and then from a backup with a higher number.
    world.write("a", "end", &end.to_string());
    assert_eq!(woken(&world), Some(4));
    removed();
    world.write("a", "end", &end.to_string());
    assert_eq!(woken(&world), Some(5));
    removed();
    let mut newer = end;
    newer["incarnation"] = json!(40);
    world.write("a", "end", &newer.to_string());
    assert_eq!(woken(&world), Some(41));
    // A start of which only the launch file is left.
    world.peer(&["stop", "a"]);
    std::fs::write(world.path("state/panes/a.77.launch"), "{}").expect("write");
    removed();
    assert_eq!(woken(&world), Some(78));
}

#[test]
fn a_person_who_names_a_session_alike_is_left_alone() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.add("other", &["cat"]);
    world.peer(&["wake", "other"]);
    // The name that the next incarnation would take.
    let mut client = Command::new("tmux");
    client
        .args(["-S"])
        .arg(world.socket())
        .args(["new-session", "-d", "-s", "a-1", "sleep", "1000"])
        .env_remove("TMUX");
    Run::of(&mut client, None);
    let run = world.peer(&["wake", "a"]);
    assert_eq!(run.code, 6, "{run:?}");
    assert_eq!(world.deaths("a"), 0, "the server refused: the agent never ran, so nobody died");
    assert!(world.tmux(&["list-sessions"]).contains("a-1:"), "theirs is untouched");
    world.peer(&["wake", "a"]).prints("a: woken fresh (first-wake)\n");
    assert_eq!(world.session("a")["incarnation"], 2, "the next number is free");
}
