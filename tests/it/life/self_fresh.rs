//! `peer self-fresh`, as an agent's tool call runs it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::common;
use crate::common::attached::Attached;
use crate::common::files::executable;
use crate::common::ticks::{done, settle, tick};
use crate::common::{Run, World, ended, lives, on_each_runtime, signal, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};

on_each_runtime! {
    the_kill_that_was_meant_for_the_old_agent_spares_the_fresh_one
    the_fresh_agent_comes_up_in_the_same_pane_with_the_prompt_and_whoever_looked_still_looks
    it_is_refused_outside_a_pane_and_to_an_incarnation_that_is_over
    an_agent_that_ignores_what_it_is_asked_is_replaced_with_all_its_jobs
    five_in_300_s_are_its_budget
    a_signal_that_nothing_requested_ends_no_agent
    a_fresh_start_that_fails_leaves_no_mark_to_loop
    a_pane_process_that_is_gone_leaves_the_fresh_start_to_the_tick
    it_works_after_the_binary_was_replaced
    it_begins_though_nobody_takes_the_answer
    one_that_never_began_is_completed_by_ticks
}

fn the_kill_that_was_meant_for_the_old_agent_spares_the_fresh_one(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    let (old, conversation) = (world.agent("a"), world.conversation("a"));
    let incarnation = world.session("a")["incarnation"].to_string();
    let run = common::Run::of(
        world.command(&["self-fresh"]).env("PEER_NAME", "a").env("PEER_INCARNATION", incarnation),
        None,
    );
    assert_eq!(run.code, 0, "{run:?}");
    wait_until("a fresh agent is ready", || {
        world.events("a", "wake.ready").iter().any(|event| event["cause"] == json!("self-fresh"))
    });
    let fresh = world.agent("a");
    assert!(fresh != old && !lives(old), "{old} {fresh}");
    assert_ne!(world.conversation("a"), conversation);
    // The demo agent's grace between SIGTERM and SIGKILL is 1 s; it obeys the first signal at once.
    let ready = Instant::now();
    wait_until("the old agent's grace is over", || {
        assert!(lives(fresh), "{:?}", world.end("a"));
        ready.elapsed() > Duration::from_secs(2)
    });
}

/// Runs a verb as a tool call of the agent of `a` would.
#[track_caller]
fn inside(world: &World, verb: &str, incarnation: u64) -> Run {
    let mut command = world.command(&[verb]);
    Run::of(command.env("PEER_NAME", "a").env("PEER_INCARNATION", incarnation.to_string()), None)
}

/// Waits until incarnation `number` is ready, and its prompt is typed if it has one.
#[track_caller]
fn await_fresh(world: &World, number: u64) {
    wait_until("a fresh agent is ready", || {
        world.events("a", "wake.ready").iter().any(|event| event["incarnation"] == number)
    });
}

fn at(event: &Value) -> SystemTime {
    humantime::parse_rfc3339(event["ts"].as_str().expect("a time")).expect("RFC 3339")
}

fn the_fresh_agent_comes_up_in_the_same_pane_with_the_prompt_and_whoever_looked_still_looks(on: RuntimeKind) {
    let world = World::on(on);
    world.demo_with("a", &["--prompt", "you are a"], &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    let (pane, holder, conversation) = (world.pane("a"), world.pane_process("a"), world.conversation("a"));
    let person = Attached::to(&world, "a");
    let run = inside(&world, "self-fresh", 1).prints("a: incarnation 1 ends now; a fresh one follows\n");
    assert!(run.took < Duration::from_secs(2), "it answers before the ending begins: {run:?}");
    await_fresh(&world, 2);
    wait_until("it was seeded", || world.said(&world.conversation("a")) == ["you are a"]);
    assert_eq!((world.pane("a"), world.pane_process("a")), (pane, holder), "the same pane, the same process in it");
    assert!(person.seen(&world, "a"), "whoever looked still looks");
    assert_ne!(world.conversation("a"), conversation);
    assert_eq!(world.conversations("a").len(), 2, "an id is never lost");
    let end = world.end("a");
    assert_eq!((&end["cause"], &end["counted"], world.deaths("a")), (&json!("self-fresh"), &json!(false), 0));
    assert!(!world.has("a", "new-eager"));
    let screen = world.screen("a");
    assert!(screen.contains("new conversation") && !screen.contains("hello"), "a clean screen: {screen}");
    // In this order; the delay is only printed, because a loaded machine is not a reason to fail.
    let (ended, decided) = (&world.events("a", "session.ended")[0], &world.events("a", "wake.decided")[1]);
    let gap = at(decided).duration_since(at(ended)).expect("the end comes first");
    eprintln!("from the end of the old agent to the start of the fresh one: {gap:?}");
    drop(person);
    world.peer(&["wake", "a", "-m", "more"]).prints("a: already awake; message delivered\n");
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    assert!(world.processes().is_empty());
}

fn it_is_refused_outside_a_pane_and_to_an_incarnation_that_is_over(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a"]);
    let agent = world.agent("a");
    let run = world.peer(&["self-fresh"]);
    assert!(run.code != 0 && run.stderr.contains("PEER_NAME is not set"), "{run:?}");
    for old in [0, 2, 99] {
        let run = inside(&world, "self-fresh", old);
        assert!(run.code != 0 && run.stderr.contains("is no longer the current one"), "{run:?}");
    }
    assert!(!world.has("a", "new-eager") && lives(agent) && world.agent("a") == agent);
}

fn an_agent_that_ignores_what_it_is_asked_is_replaced_with_all_its_jobs(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--ignore", "hup,int,term", "--fork-children", "1", "--group-children", "2"]);
    world.peer(&["wake", "a"]);
    wait_until("its jobs run", || world.processes().len() == 4);
    let old = world.processes();
    assert_eq!(inside(&world, "self-fresh", 1).code, 0);
    await_fresh(&world, 2);
    assert!(!old.iter().any(|pid| lives(*pid)), "{old:?}");
    wait_until("the fresh one's jobs run", || world.processes().len() == 4);
    assert_eq!(world.end("a")["signal"], 9);
}

fn five_in_300_s_are_its_budget(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a"]);
    for number in 1..=5 {
        assert_eq!(inside(&world, "self-fresh", number).code, 0);
        await_fresh(&world, number + 1);
    }
    let agent = world.agent("a");
    let run = inside(&world, "self-fresh", 6);
    assert!(
        run.code == 4 && run.stderr.contains("a has restarted itself too often; it may do so again in "),
        "{run:?}"
    );
    assert!(!world.has("a", "new-eager") && lives(agent), "it keeps its context");
    world.edit("a", "end", |end| {
        let first = &mut end["recent"][0]["at_ms"];
        *first = json!(first.as_u64().expect("a time") - 300_000);
    });
    assert_eq!(inside(&world, "self-fresh", 6).code, 0);
    await_fresh(&world, 7);
    assert_eq!(world.deaths("a"), 0);
}

/// The signal of a request that the agent before this one has made.
fn a_signal_that_nothing_requested_ends_no_agent(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["sh", "-c", "trap 'echo first' USR1; echo up; while :; do sleep 0.05; done"]);
    world.peer(&["wake", "a"]);
    world.await_screen("a", "up");
    let agent = world.agent("a");
    signal(world.pane_process("a"), Signal::SIGUSR2);
    // The pane process handles this one first or second.
    signal(world.pane_process("a"), Signal::SIGUSR1);
    world.await_screen("a", "first");
    assert!(lives(agent) && world.end("a").is_null(), "{:?}", world.end("a"));
    // It still obeys a request.
    assert_eq!(inside(&world, "self-fresh", 1).code, 0);
    wait_until("a fresh agent runs", || {
        let record = world.session("a");
        record["incarnation"] == 2 && record["process"]["pid"].as_u64().is_some_and(|pid| pid != u64::from(agent))
    });
}

fn a_fresh_start_that_fails_leaves_no_mark_to_loop(on: RuntimeKind) {
    let world = World::on(on);
    let quit = "[quit]\ngrace = \"2s\"\nterm_grace = \"2s\"\n";
    world.profile("graced", &format!("extends = \"command\"\ndescription = \"for a test\"\n{quit}"));
    let program = world.work().join("agent");
    // It ignores the signals that ask it to end, so there is time between the answer and its end.
    executable(&program, "trap '' TERM; echo deaf; while :; do sleep 0.05; done");
    world.declare("a", &["--agent", "graced"], &[program.to_str().expect("UTF-8")]);
    world.peer(&["wake", "a"]);
    world.await_screen("a", "deaf");
    assert_eq!(inside(&world, "self-fresh", 1).code, 0);
    let spec = world.path("config/peers/a.toml");
    let text = std::fs::read_to_string(&spec).expect("readable");
    std::fs::write(&spec, "agent = 1\n").expect("write");
    wait_until("it is told", || world.events("a", "self-fresh.failed").len() == 1);
    assert_eq!(world.await_end("a")["cause"], "self-fresh");
    assert!(!world.has("a", "new-eager") && !world.has("a", "session"));
    std::fs::write(&spec, text).expect("write");
    for _ in 0..2 {
        let run = world.peer(&["reap"]);
        assert!(run.code == 0 && run.stderr.is_empty() && !run.stdout.contains("restarted"), "{run:?}");
    }
    world.peer(&["wake", "a"]).prints("a: woken fresh (self-fresh)\n");
    // The program is gone: it is tried once, and that is a death like any other.
    assert_eq!(inside(&world, "self-fresh", 2).code, 0);
    std::fs::remove_file(&program).expect("it is there");
    wait_until("the failed start is recorded", || {
        world.events("a", "session.ended").iter().any(|event| event["cause"] == "spawn-failed")
    });
    assert_eq!((world.deaths("a"), world.has("a", "new-eager")), (1, false));
    assert_eq!(world.peer(&["reap"]).code, 0);
    assert!(!world.has("a", "session"));
}

fn a_pane_process_that_is_gone_leaves_the_fresh_start_to_the_tick(on: RuntimeKind) {
    let world = World::on(on);
    world.demo_with("a", &["--prompt", "you are a"], &["--ignore", "hup"]);
    world.peer(&["wake", "a", "-m", "hello"]);
    let (holder, agent) = (world.pane_process("a"), world.agent("a"));
    signal(holder, Signal::SIGKILL);
    wait_until("it is gone", || !lives(holder));
    let run = inside(&world, "self-fresh", 1);
    assert!(run.code != 0 && run.stderr.contains("the pane process of this pane is gone"), "{run:?}");
    assert!(world.has("a", "new-eager") && lives(agent));
    signal(agent, Signal::SIGKILL);
    wait_until("it is gone too", || !lives(agent));
    let first = world.peer(&["reap"]);
    assert_eq!(first.stdout, "a: ended (restarting)\n", "{first:?}");
    let second = world.peer(&["reap"]);
    assert_eq!(second.stdout, "a: restarted (fresh (self-fresh))\n", "{second:?}");
    let said = world.said(&world.conversation("a"));
    assert_eq!((said, world.has("a", "new-eager")), (vec!["you are a".to_owned()], false));
}

fn it_works_after_the_binary_was_replaced(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    let installed = world.path("peer");
    std::fs::copy(env!("CARGO_BIN_EXE_peer"), &installed).expect("copy");
    let wake = world.command(&["wake", "a"]);
    let mut with_copy = Command::new(&installed);
    with_copy.args(wake.get_args()).env_clear().current_dir(world.work()).stdin(Stdio::null());
    with_copy.envs(wake.get_envs().filter_map(|(key, value)| Some((key, value?))));
    assert_eq!(Run::of(&mut with_copy, None).code, 0);
    // As a package manager does it: a new file under the old name.
    std::fs::copy(env!("CARGO_BIN_EXE_peer"), world.path("peer.new")).expect("copy");
    std::fs::rename(world.path("peer.new"), &installed).expect("rename");
    assert_eq!(inside(&world, "self-fresh", 1).code, 0);
    await_fresh(&world, 2);
    std::fs::remove_file(&installed).expect("it is there");
    assert_eq!(inside(&world, "self-fresh", 2).code, 0);
    await_fresh(&world, 3);
    assert_eq!(world.deaths("a"), 0);
}

fn it_begins_though_nobody_takes_the_answer(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a"]);
    let full = std::fs::File::options().write(true).open("/dev/full").expect("a device");
    let mut command = world.command(&["self-fresh"]);
    command.env("PEER_NAME", "a").env("PEER_INCARNATION", "1").stdout(full).stderr(Stdio::null());
    let code = ended(&mut command.spawn().expect("it starts")).code();
    assert_eq!(code, Some(1), "the answer was not written");
    await_fresh(&world, 2);
    assert_eq!((world.end("a")["cause"].as_str(), world.deaths("a")), (Some("self-fresh"), 0));
}

fn one_that_never_began_is_completed_by_ticks(on: RuntimeKind) {
    let world = World::on(on);
    world.demo_with("a", &["--prompt", "you are a"], &[]);
    world.set_in_spec("a", "idle_timeout = \"0s\"");
    world.peer(&["wake", "a", "-m", "hello"]);
    settle(&world, "a");
    // As if the command was killed before its signal.
    world.edit("a", "session", |record| record["intent"] = json!("self-fresh"));
    let mark = |ago_s| {
        let at = SystemTime::now() - Duration::from_secs(ago_s);
        world.write("a", "new-eager", &format!("{}\n", humantime::format_rfc3339_millis(at)));
    };
    mark(0);
    assert_eq!(done(&tick(&world, &[])), [[""; 3]; 0], "the pane process has its time");
    mark(60);
    assert_eq!(done(&tick(&world, &[])), [["a", "ended", "its ending was cut short"]]);
    assert_eq!((world.end("a")["cause"].as_str(), world.deaths("a")), (Some("self-fresh"), 0));
    assert_eq!(done(&tick(&world, &[])), [["a", "restarted", "fresh (self-fresh)"]]);
    assert_eq!(
        (world.said(&world.conversation("a")), world.has("a", "new-eager")),
        (vec!["you are a".to_owned()], false)
    );
}
