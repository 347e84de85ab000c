//! How a living agent is ended: first by its own quit keys, then by signals, verified on both axes, without touching
//! any other process.

use std::time::Duration;

on_each_runtime! {
    an_agent_that_ignores_hangup_and_term_does_not_survive_a_stop
    its_jobs_in_groups_of_their_own_do_not_survive_either
    a_job_that_outlives_its_agent_is_ended_too
    a_child_that_made_itself_a_session_is_left_alone
    the_server_and_the_other_peers_are_untouched
    a_recycled_pid_is_never_signalled
    a_start_time_that_differs_is_another_process
    grace_times_are_honoured
    it_is_asked_in_its_own_words_first
    an_agent_with_quit_keys_that_ignores_everything_is_killed_all_the_same
    a_stopped_process_is_ended_too
    a_shell_is_hung_up_and_keeps_its_history
    stop_of_something_dead_returns_at_once_and_is_no_park
    stop_of_a_peer_that_never_ran_refuses_wakes_all_the_same
    new_replaces_what_runs_and_obeys_in_every_state
}

use crate::common;
use crate::common::{World, lives, on_each_runtime, signal, wait_for, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::runtime::RuntimeKind;
use serde_json::json;

/// A profile without quit keys, with these grace times.
fn graces(world: &World, grace: &str, term_grace: &str) {
    let quit = format!("[quit]\ngrace = {grace:?}\nterm_grace = {term_grace:?}\n");
    world.profile("graced", &format!("extends = \"command\"\ndescription = \"for a test\"\n{quit}"));
}

fn an_agent_that_ignores_hangup_and_term_does_not_survive_a_stop(on: RuntimeKind) {
    let world = World::on(on);
    graces(&world, "300ms", "300ms");
    world.declare(
        "a",
        &["--agent", "graced"],
        &["sh", "-c", "trap '' HUP TERM; echo deaf; while :; do sleep 0.1; done"],
    );
    world.peer(&["wake", "a"]).prints("a: woken fresh (first-wake)\n");
    world.await_screen("a", "deaf");
    let agent = world.agent("a");
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    assert!(!lives(agent) && !world.has("a", "session"));
    let end = world.end("a");
    assert_eq!(
        (&end["cause"], &end["counted"], &end["signal"]),
        (&json!("stopped"), &json!(false), &json!(9)),
        "{end}"
    );
    assert_eq!((world.sessions(), world.session_dirs()), (Vec::new(), Vec::new()));
}

fn its_jobs_in_groups_of_their_own_do_not_survive_either(on: RuntimeKind) {
    let world = World::on(on);
    graces(&world, "300ms", "300ms");
    // Job control gives each job a group; both ignore the signals that ask them to end.
    let script =
        "set -m; (trap '' HUP TERM; exec sleep 1000) & (trap '' HUP TERM; exec sleep 1001) & trap '' HUP TERM; wait";
    world.declare("a", &["--agent", "graced"], &["bash", "--norc", "-c", script]);
    world.peer(&["wake", "a"]);
    wait_until("its jobs run", || world.processes().len() == 3);
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    assert_eq!(world.processes(), Vec::<u32>::new());
}

fn a_job_that_outlives_its_agent_is_ended_too(on: RuntimeKind) {
    let world = World::on(on);
    graces(&world, "300ms", "300ms");
    let script = "set -m; (trap '' HUP TERM; exec sleep 1000) & wait";
    world.declare("a", &["--agent", "graced"], &["bash", "--norc", "-c", script]);
    world.peer(&["wake", "a"]);
    wait_until("its job runs", || world.processes().len() == 2);
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    assert_eq!(world.processes(), Vec::<u32>::new());
}

fn a_child_that_made_itself_a_session_is_left_alone(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--setsid-child"]);
    world.peer(&["wake", "a"]);
    let daemon = wait_for("its daemon", || {
        world.processes().into_iter().find(|pid| {
            let status = peer_adapters::process::status(*pid).expect("/proc");
            status.is_some_and(|status| status.session == *pid)
        })
    });
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    assert_eq!(world.processes(), [daemon], "what left the terminal is not ours to end");
}

fn the_server_and_the_other_peers_are_untouched(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["cat"]);
    world.add("b", &["cat"]);
    world.peer(&["wake", "a", "b"]).prints("a: woken fresh (first-wake)\nb: woken fresh (first-wake)\n");
    let (server, other) = (world.server_of("b"), world.agent("b"));
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    assert_eq!((world.server_of("b"), world.agent("b"), lives(other)), (server, other, true));
    assert!(lives(server.pid));
}

fn a_recycled_pid_is_never_signalled(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["sleep", "1000"]);
    world.add("bystander", &["sleep", "1000"]);
    world.peer(&["wake", "a", "bystander"]);
    let (agent, bystander) = (world.agent("a"), world.agent("bystander"));
    signal(world.pane_process("a"), Signal::SIGKILL);
    signal(agent, Signal::SIGKILL);
    wait_until("it is gone", || !lives(agent));
    // As if the kernel had reused its number: the same pid, another start time.
    world.edit("a", "session", |record| {
        let start = record["process"]["start"].as_u64().expect("a time");
        record["process"]["pid"] = json!(bystander);
        record["process"]["start"] = json!(start - 100);
    });
    for verb in [["stop", "a"], ["start", "a"], ["wake", "a"], ["new", "a"]] {
        let run = world.peer(&verb);
        assert_eq!(run.code, 0, "{run:?}");
        assert!(lives(bystander), "{verb:?}");
    }
    world.peer(&["wake", "bystander"]).prints("bystander: already awake\n");
}

fn a_start_time_that_differs_is_another_process(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["sleep", "1000"]);
    world.peer(&["wake", "a"]);
    let agent = world.agent("a");
    world.edit("a", "session", |record| {
        record["process"]["start"] = json!(record["process"]["start"].as_u64().expect("a time") - 1);
    });
    // The recorded agent is gone, as its pane process saw. The process with its pid is another one, and only the
    // runtime closes its session.
    world.peer(&["stop", "a"]).prints("a: stopped; it was not awake\n");
    assert_eq!(world.end("a")["cause"], "closed");
    wait_until("the hangup of its pane reached it", || !lives(agent));
}

fn grace_times_are_honoured(on: RuntimeKind) {
    let world = World::on(on);
    graces(&world, "30s", "30s");
    // It needs a second after SIGTERM to save its work.
    let script = "trap 'sleep 1; echo saved >saved; exit 0' TERM; echo up; while :; do sleep 0.05; done";
    world.declare("a", &["--agent", "graced"], &["sh", "-c", script]);
    world.peer(&["wake", "a"]);
    world.await_screen("a", "up");
    let run = world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    assert!((Duration::from_secs(1)..Duration::from_secs(30)).contains(&run.took), "{run:?}");
    assert_eq!(std::fs::read_to_string(world.work().join("saved")).expect("it saved"), "saved\n");
    assert_eq!(world.end("a")["code"], 0);
}

fn it_is_asked_in_its_own_words_first(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "remember me"]);
    let conversation = world.conversation("a");
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    let end = world.end("a");
    assert_eq!((&end["cause"], &end["code"]), (&json!("stopped"), &json!(0)), "it left by itself: {end}");
    assert_eq!(world.said(&conversation), ["remember me"]);
}

fn an_agent_with_quit_keys_that_ignores_everything_is_killed_all_the_same(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--ignore", "hup,int,term", "--group-children", "2", "--trust-dialog"]);
    // It shows a dialog, so its quit keys do not reach its composer either.
    assert_eq!(world.peer(&["wake", "a"]).code, 5);
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    assert_eq!(world.processes(), Vec::<u32>::new());
}

fn a_stopped_process_is_ended_too(on: RuntimeKind) {
    let world = World::on(on);
    graces(&world, "300ms", "300ms");
    world.declare("a", &["--agent", "graced"], &["sleep", "1000"]);
    world.peer(&["wake", "a"]);
    let agent = world.agent("a");
    common::stop(agent);
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    assert!(!lives(agent));
}

fn stop_of_something_dead_returns_at_once_and_is_no_park(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    signal(world.agent("a"), Signal::SIGKILL);
    world.await_end("a");
    let run = world.peer(&["stop", "a"]).prints("a: stopped; it was not awake\n");
    assert!(run.took < Duration::from_secs(3), "{run:?}");
    assert_eq!((&world.end("a")["cause"], world.has("a", "idle-reaped")), (&json!("killed"), false));
    world.peer(&["start", "a"]).prints("a: may be woken again\n");
    world.peer(&["wake", "a"]).prints("a: woken fresh (killed)\n");
}

fn stop_of_a_peer_that_never_ran_refuses_wakes_all_the_same(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["cat"]);
    world.peer(&["stop", "a"]).prints("a: stopped; it was not awake\n");
    world.peer(&["stop", "a"]).prints("a: stopped; it was not awake\n");
    assert_eq!(world.peer(&["wake", "a"]).code, 4);
    world.peer(&["start", "a"]).prints("a: may be woken again\n");
    world.peer(&["start", "a"]).prints("a: was not stopped\n");
    world.peer(&["wake", "a"]).prints("a: woken fresh (first-wake)\n");
}

fn new_replaces_what_runs_and_obeys_in_every_state(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "old"]);
    let (old, agent) = (world.conversation("a"), world.agent("a"));
    world.peer(&["new", "a", "-m", "young"]).prints("a: woken fresh (asked-fresh); message delivered\n");
    assert!(!lives(agent));
    assert_ne!(world.conversation("a"), old);
    assert_eq!((world.said(&world.conversation("a")), world.deaths("a")), (vec!["young".to_owned()], 0));
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    world.peer(&["new", "a"]).prints("a: woken fresh (asked-fresh)\n");
    assert!(!world.has("a", "stopped"));
}

/// A shell at a terminal ignores SIGTERM.
fn a_shell_is_hung_up_and_keeps_its_history(on: RuntimeKind) {
    let world = World::on(on);
    let history = world.path("history");
    let histfile = format!("HISTFILE={}", history.display());
    world.declare("a", &["--agent", "command", "--env", &histfile], &["bash", "--norc", "--noprofile", "-i"]);
    world.peer(&["wake", "a", "-m", "echo remember me"]);
    wait_until("it was run", || world.screen("a").lines().any(|line| line == "remember me"));
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    let end = world.end("a");
    assert_eq!((&end["cause"], &end["signal"]), (&json!("stopped"), &json!(Signal::SIGHUP as i32)));
    assert!(std::fs::read_to_string(history).expect("kept").contains("echo remember me"));
}
