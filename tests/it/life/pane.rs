//! The pane process: every end is recorded exactly and at once, and the agent behaves as in a plain terminal.

use crate::common;
use crate::common::{World, lives, on_each_runtime, signal, wait_for, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::runtime::RuntimeKind;

on_each_runtime! {
    exit_codes_are_recorded_as_they_are
    signals_are_recorded_by_number
    uptime_and_peak_memory_are_measured
    an_agent_killed_by_hand_is_recorded_at_once_without_any_peer_command
    ctrl_c_reaches_the_agent_and_not_the_pane_process
    ctrl_z_does_not_strand_the_agent
    a_stopped_agent_stays_stopped_until_it_is_continued
    an_agent_that_closes_its_terminal_is_watched_all_the_same
    a_session_closed_by_hand_is_nobodys_death
    a_server_that_goes_is_nobodys_death
    an_end_is_written_down_even_if_the_session_record_is_unreadable
    a_pane_process_that_is_killed_leaves_the_truth_to_the_axes
    a_binary_that_vanished_is_said_before_anything_is_begun
    a_working_directory_that_vanished_is_said_before_anything_is_begun
    launch_data_is_private_and_no_secret_is_on_a_command_line
    the_agents_environment_is_the_wakers_less_what_names_another_agent
    a_wake_from_a_bare_environment_gives_the_agent_a_home_a_locale_and_the_declared_path
    the_agent_leads_the_foreground_group_of_its_terminal
}

/// Wakes `name` and waits until the agent ends by itself.
#[track_caller]
fn end_of(world: &World, name: &str) -> serde_json::Value {
    world.peer(&["wake", name]);
    world.await_end(name)
}

fn exit_codes_are_recorded_as_they_are(on: RuntimeKind) {
    let world = World::on(on);
    for (name, script, code, cause) in [
        ("zero", "exit 0", 0, "completed-early"),
        ("three", "exit 3", 3, "crashed"),
        ("large", "exit 255", 255, "crashed"),
    ] {
        world.add(name, &["sh", "-c", script]);
        let end = end_of(&world, name);
        assert_eq!(
            (&end["code"], &end["cause"], &end["counted"]),
            (&code.into(), &cause.into(), &true.into()),
            "{end}"
        );
        assert_eq!(end["signal"], serde_json::Value::Null);
    }
}

fn signals_are_recorded_by_number(on: RuntimeKind) {
    let world = World::on(on);
    for (name, number) in [("segv", 11), ("kill", 9), ("term", 15), ("abrt", 6), ("usr1", 10)] {
        world.add(name, &["sh", "-c", &format!("kill -{number} $$")]);
        let end = end_of(&world, name);
        assert_eq!((&end["signal"], &end["cause"]), (&number.into(), &"killed".into()), "{end}");
        assert_eq!((&end["counted"], &end["code"]), (&true.into(), &serde_json::Value::Null));
    }
}

fn uptime_and_peak_memory_are_measured(on: RuntimeKind) {
    let world = World::on(on);
    world.add("big", &["python3", "-c", "x = bytearray(100 * 1024 * 1024); import time; time.sleep(0.3)"]);
    let end = end_of(&world, "big");
    let (uptime, rss) = (end["uptime_ms"].as_u64().expect("uptime"), end["max_rss_kib"].as_u64().expect("memory"));
    assert!((300..20_000).contains(&uptime), "{end}");
    assert!((100 * 1024..200 * 1024).contains(&rss), "{end}");
}

fn an_agent_killed_by_hand_is_recorded_at_once_without_any_peer_command(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["cat"]);
    world.peer(&["wake", "a"]).prints("a: woken fresh (first-wake)\n");
    signal(world.agent("a"), Signal::SIGKILL);
    let end = world.await_end("a");
    assert_eq!((&end["cause"], &end["signal"]), (&"killed".into(), &9.into()));
    assert_eq!(world.deaths("a"), 1);
}

fn ctrl_c_reaches_the_agent_and_not_the_pane_process(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["sh", "-c", "trap 'echo interrupted' INT; echo up; while :; do sleep 0.05; done"]);
    world.peer(&["wake", "a"]).prints("a: woken fresh (first-wake)\n");
    wait_until("it is up", || world.screen("a").contains("up"));
    world.press("a", &["C-c"]);
    wait_until("the agent saw it", || world.screen("a").contains("interrupted"));
    assert!(lives(world.agent("a")) && lives(world.pane_process("a")));
}

fn ctrl_z_does_not_strand_the_agent(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["sh", "-c", "echo up; while read line; do echo \"got $line\"; done"]);
    world.peer(&["wake", "a"]);
    wait_until("it is up", || world.screen("a").contains("up"));
    world.press("a", &["C-z"]);
    world.press("a", &["hello", "Enter"]);
    wait_until("it reads on", || world.screen("a").contains("got hello"));
}

fn a_stopped_agent_stays_stopped_until_it_is_continued(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["sh", "-c", "while :; do date +%N; sleep 0.05; done"]);
    world.peer(&["wake", "a"]);
    let agent = world.agent("a");
    let stopped = || peer_adapters::process::status(agent).expect("/proc").is_some_and(|status| status.stopped);
    signal(agent, Signal::SIGSTOP);
    wait_until("it is stopped", stopped);
    world.peer(&["wake", "a"]).prints("a: already awake\n");
    assert!(stopped(), "nobody continues what a person stopped");
    signal(agent, Signal::SIGCONT);
    wait_until("it runs", || !stopped());
    assert_eq!(world.agent("a"), agent);
}

/// On tmux only, because only tmux resizes panes without a client; the conformance suite resizes both by attaching.
#[test]
fn a_resize_reaches_the_agent() {
    let world = World::new();
    world.add("a", &["bash", "--norc", "-c", "trap 'stty size' WINCH; stty size; while :; do sleep 0.05; done"]);
    world.peer(&["wake", "a"]);
    wait_until("its first size", || world.screen("a").contains("50 200"));
    world.tmux(&["resize-window", "-t", "a-1", "-x", "101", "-y", "33"]);
    wait_until("its new size", || world.screen("a").contains("33 101"));
}

fn an_agent_that_closes_its_terminal_is_watched_all_the_same(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["sh", "-c", "exec <&- >&- 2>&-; sleep 0.5; exit 7"]);
    let end = end_of(&world, "a");
    assert_eq!((&end["cause"], &end["code"]), (&"crashed".into(), &7.into()));
}

fn a_session_closed_by_hand_is_nobodys_death(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.add("b", &["cat"]);
    world.peer(&["wake", "a", "-m", "hello"]);
    world.peer(&["wake", "b"]);
    let conversation = world.conversation("a");
    // Four deaths at once would be a crash loop.
    for incarnation in 1..=4 {
        world.close_session("a");
        let end = world.await_end("a");
        assert_eq!((&end["cause"], &end["counted"]), (&"closed".into(), &false.into()), "{end}");
        assert_eq!((end["incarnation"].as_u64(), world.deaths("a")), (Some(incarnation), 0));
        world.peer(&["list", "a", "--format", "{state} ({detail})"]).prints("asleep (closed)\n");
        world.peer(&["wake", "a"]).prints("a: woken resumed (closed)\n");
        assert_eq!(world.conversation("a"), conversation);
    }
    world.peer(&["wake", "b"]).prints("b: already awake\n");
}

fn a_server_that_goes_is_nobodys_death(on: RuntimeKind) {
    let world = World::on(on);
    for (name, asked) in [("killed", Signal::SIGKILL), ("asked", Signal::SIGTERM)] {
        world.add(name, &["cat"]);
        world.peer(&["wake", name]).prints(&format!("{name}: woken fresh (first-wake)\n"));
        signal(world.server_of(name).pid, asked);
        is_nobodys_death(&world, name);
        world.peer(&["wake", name]).prints(&format!("{name}: woken fresh (runtime-lost-no-conversation)\n"));
        world.lose_server(name);
        world.await_end(name);
    }
}

#[track_caller]
fn is_nobodys_death(world: &World, name: &str) {
    let end = world.await_end(name);
    assert_eq!((&end["cause"], &end["counted"]), (&"runtime-lost".into(), &false.into()), "{end}");
    assert_eq!(world.deaths(name), 0);
}

/// On tmux only: a server of zellij is one session, and ending it ends that session.
#[test]
fn a_server_that_is_ended_in_order_is_nobodys_death_either() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.peer(&["wake", "a"]).prints("a: woken fresh (first-wake)\n");
    world.tmux(&["kill-server"]);
    is_nobodys_death(&world, "a");
}

/// On tmux only: a server of zellij signals the panes that it closes, so there is nothing to wait for.
#[test]
fn an_end_has_the_time_at_which_it_was_seen_and_not_that_at_which_it_was_explained() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.add("b", &["cat"]);
    world.peer(&["wake", "a", "b"]);
    world.close_session("a");
    let at_ms = world.await_end("a")["at_ms"].as_u64().expect("a time");
    let logged = world.events("a", "session.ended")[0]["ts"].as_str().map(humantime::parse_rfc3339);
    let logged = logged.expect("a time").expect("RFC 3339").duration_since(std::time::UNIX_EPOCH).expect("after it");
    // For this second it is waited whether the server goes too.
    let explained = logged.saturating_sub(std::time::Duration::from_millis(at_ms));
    assert!(explained >= std::time::Duration::from_secs(1), "{explained:?}");
}

fn an_end_is_written_down_even_if_the_session_record_is_unreadable(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["cat"]);
    world.peer(&["wake", "a"]).prints("a: woken fresh (first-wake)\n");
    let (agent, path) = (world.agent("a"), world.file("a", "session"));
    let record = std::fs::read(&path).expect("a record");
    std::fs::remove_file(&path).and_then(|()| std::fs::create_dir(&path)).expect("a directory in its place");
    signal(agent, Signal::SIGKILL);
    let exit = world.path("state/panes/a.1.exit");
    wait_until("its end is written down", || exit.exists());
    std::fs::remove_dir(&path).and_then(|()| std::fs::write(&path, record)).expect("as it was");
    world.peer(&["wake", "a"]).prints("a: woken fresh (killed)\n");
    assert_eq!((&world.end("a")["signal"], world.deaths("a")), (&9.into(), 1));
}

fn a_pane_process_that_is_killed_leaves_the_truth_to_the_axes(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["sleep", "1000"]);
    world.peer(&["wake", "a"]);
    let agent = world.agent("a");
    signal(world.pane_process("a"), Signal::SIGKILL);
    wait_until("the kernel hung up its terminal", || !lives(agent));
    world.peer(&["wake", "a"]).prints("a: woken fresh (vanished)\n");
    assert_eq!(world.deaths("a"), 1);
}

fn a_binary_that_vanished_is_said_before_anything_is_begun(on: RuntimeKind) {
    let world = World::on(on);
    let script = world.path("work/agent");
    std::fs::write(&script, "#!/bin/sh\nexec cat\n").expect("write");
    let program = script.to_str().expect("UTF-8");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    world.add("a", &[program]);
    std::fs::remove_file(&script).expect("remove");
    world.peer(&["wake", "a"]).fails(
        1,
        &format!(
            "error: cannot wake a: cannot run its program {program}: No such file or directory (os error 2)\n\
             hint: install it again, or set another command in `peer edit a`\n"
        ),
    );
    assert!(!world.has("a", "session") && !world.has("a", "end") && world.sessions().is_empty());
}

fn a_working_directory_that_vanished_is_said_before_anything_is_begun(on: RuntimeKind) {
    let world = World::on(on);
    let dir = world.path("work/gone");
    std::fs::create_dir(&dir).expect("create");
    let path = dir.to_str().expect("UTF-8");
    world.declare("a", &["--agent", "command", "--cwd", path], &["cat"]);
    std::fs::remove_dir(&dir).expect("remove");
    world.peer(&["wake", "a"]).fails(
        1,
        &format!(
            "error: cannot wake a: cannot use its working directory {path}: No such file or directory (os error 2)\n\
             hint: restore {path}, or set another cwd in `peer edit a`\n"
        ),
    );
    assert!(!world.has("a", "session") && world.sessions().is_empty());
}

fn launch_data_is_private_and_no_secret_is_on_a_command_line(on: RuntimeKind) {
    use std::os::unix::fs::PermissionsExt;
    let world = World::on(on);
    world.declare("a", &["--agent", "command", "--env", "TOKEN=s3cr3t-of-a"], &["cat"]);
    world.peer(&["wake", "a"]);
    let launch = world.path("state/panes/a.1.launch");
    assert_eq!(launch.metadata().expect("the launch file").permissions().mode() & 0o777, 0o600);
    assert!(std::fs::read_to_string(&launch).expect("read").contains("s3cr3t-of-a"));
    let server = world.server_of("a").pid;
    for process in peer_adapters::process::tree(server).expect("/proc") {
        let line = std::fs::read(format!("/proc/{}/cmdline", process.id.pid)).expect("a command line");
        assert!(!String::from_utf8_lossy(&line).contains("s3cr3t"));
    }
    let environ = std::fs::read(format!("/proc/{}/environ", world.agent("a"))).expect("its environment");
    assert!(String::from_utf8_lossy(&environ).contains("TOKEN=s3cr3t-of-a"));
}

fn the_agents_environment_is_the_wakers_less_what_names_another_agent(on: RuntimeKind) {
    let world = World::on(on);
    world.declare("a", &["--agent", "command", "--env", "MINE=1"], &["cat"]);
    let mut wake = world.command(&["wake", "a"]);
    wake.env("CLAUDECODE", "1").env("TMUX", "/x,1,2").env("ZELLIJ", "0").env("FROM_SHELL", "yes");
    common::Run::of(&mut wake, None).prints("a: woken fresh (first-wake)\n");
    let env = environment(world.agent("a"));
    let get = |key: &str| env.iter().find_map(|entry| entry.strip_prefix(&format!("{key}=")).map(str::to_owned));
    assert_eq!(get("CLAUDECODE"), None);
    let server = world.place("a").server;
    let (own, other) = match on {
        RuntimeKind::Tmux => (get("TMUX").and_then(|tmux| Some(tmux.split_once(',')?.0.into())), get("ZELLIJ")),
        RuntimeKind::Zellij => (get("ZELLIJ_SOCKET_DIR").map(std::path::PathBuf::from), get("TMUX")),
    };
    assert_eq!((own, other), (Some(server), None), "the pane's own");
    assert_eq!(get("FROM_SHELL").as_deref(), Some("yes"));
    assert_eq!(get("MINE").as_deref(), Some("1"));
    assert_eq!(get("PEER_NAME").as_deref(), Some("a"));
    assert_eq!(get("PEER_INCARNATION").as_deref(), Some("1"));
    assert_eq!(get("PEER_STATE_DIR"), world.path("state").to_str().map(str::to_owned));
}

fn a_wake_from_a_bare_environment_gives_the_agent_a_home_a_locale_and_the_declared_path(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["cat"]);
    let mut wake = world.command(&["wake", "a"]);
    wake.env_clear().env("PEER_STATE_DIR", world.path("state")).env("PEER_CONFIG_DIR", world.path("config"));
    common::Run::of(&mut wake, None).prints("a: woken fresh (first-wake)\n");
    let env = environment(world.agent("a"));
    for key in ["HOME=", "USER=", "SHELL=", "LANG=", "PATH=", "TERM="] {
        assert!(env.iter().any(|entry| entry.starts_with(key) && entry.len() > key.len()), "{key} {env:?}");
    }
    // And both environments find the same server.
    world.peer(&["wake", "a"]).prints("a: already awake\n");
}

fn the_agent_leads_the_foreground_group_of_its_terminal(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["sh", "-c", "ps -o pid=,pgid=,tpgid= -p $$; exec cat"]);
    world.peer(&["wake", "a"]);
    let agent = world.agent("a");
    let numbers = wait_for("its numbers", || {
        let screen = world.screen("a");
        let numbers: Vec<u32> = screen.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        (numbers.len() == 3).then_some(numbers)
    });
    assert_eq!(numbers, [agent, agent, agent]);
}

fn environment(pid: u32) -> Vec<String> {
    let environ = std::fs::read(format!("/proc/{pid}/environ")).expect("its environment");
    environ.split(|byte| *byte == 0).map(|entry| String::from_utf8_lossy(entry).into_owned()).collect()
}
