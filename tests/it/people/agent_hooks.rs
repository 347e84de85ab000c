//! An agent reports its activity by its own hooks. The log and the user's hooks get it at once, without a tick.

use std::fs;

use crate::common::{Run, World, ended, on_each_runtime, wait_for, wait_until};
use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};

on_each_runtime! {
    a_turn_is_told_of_when_it_begins_and_when_it_ends
    a_turn_ends_before_its_screen_shows_it
    a_question_is_told_of_at_once_each_time_and_its_text_to_hooks_alone
    another_conversation_is_told_of_though_no_command_runs
    what_a_stranger_reports_is_not_heard
    an_agent_is_given_no_hooks_where_its_spec_says_so
    words_of_a_persons_own_are_kept_and_that_is_said
    a_report_is_quiet_and_done_whatever_it_is
}

/// The hooks in the demo agent's profile.
const HOOKS: &str = r#"
[hooks]
reports = ["turn-started", "turn-finished", "waiting", "conversation"]
arguments = ["--hook", '"$PEER_EXECUTABLE" agent-hook "$1" >/dev/null 2>&1 || :']
unless = ['\A--hook\z']
conversation = "/conversation"
answer = "/answer"
"#;

/// Declares a demo agent with hooks, and a user's hook that appends the events to the file `heard`.
fn reporter(on: RuntimeKind, words: &[&str]) -> World {
    let world = World::on(on);
    world.profile("demo", &format!("{}{HOOKS}", include_str!("../../../scripts/demo/agents/demo.toml")));
    world.configure(&format!(
        "\n[[hook]]\non = [\"agent.\", \"turn.\", \"conversation.\"]\ncommand = [\"/bin/sh\", \"-c\", \"cat >>{}\"]\n",
        world.path("heard").display()
    ));
    world.demo("a", words);
    world
}

fn awake(on: RuntimeKind, words: &[&str]) -> World {
    let world = reporter(on, words);
    prints(&world, &["wake", "a"]);
    world
}

#[track_caller]
fn prints(world: &World, words: &[&str]) -> String {
    let run = world.peer(words);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    run.stdout
}

/// Returns the turn events, in order.
fn turns(world: &World) -> Vec<Value> {
    world
        .log()
        .into_iter()
        .filter(|event| event["event"].as_str().is_some_and(|name| name.starts_with("turn.")))
        .collect()
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["event"].as_str()).collect()
}

/// Makes a report as a hook in the pane does, and handles it in the foreground.
#[track_caller]
fn reports(world: &World, incarnation: &str, report: &str, handed: &str) -> Run {
    let mut hook = world.command(&["agent-hook", report, "--received-ms", "99999999999999"]);
    Run::of(hook.env("PEER_NAME", "a").env("PEER_INCARNATION", incarnation), Some(handed))
}

/// Returns the input of a hook of this world's agent.
fn handed(world: &World) -> String {
    json!({ "conversation": world.conversation("a"), "answer": "done" }).to_string()
}

fn a_turn_is_told_of_when_it_begins_and_when_it_ends(on: RuntimeKind) {
    let world = awake(on, &["--slow-turn"]);
    prints(&world, &["send", "a", "SLOW 0.4 one"]);
    wait_until("both are told", || turns(&world).len() == 2);
    let told = turns(&world);
    assert_eq!(names(&told), ["turn.started", "turn.finished"], "{told:?}");
    assert!(told.iter().all(|event| event["witness"] == "hook" && event["incarnation"] == 1), "{told:?}");
    assert_eq!(told[1]["answered"], true);
    assert!(told[1]["duration_ms"].as_u64().is_some_and(|took| took >= 300), "{told:?}");
    assert!(!world.path("state/heartbeat.json").exists(), "no tick told of it");
    let heard = || fs::read_to_string(world.path("heard")).unwrap_or_default();
    wait_until("a person's hook heard both", || heard().lines().filter(|line| line.contains("\"turn.")).count() == 2);
    assert!(
        !heard().contains("done") && !heard().contains("ack"),
        "what was answered is nobody's business: {}",
        heard()
    );

    // The turn is shown as busy since it began, not since it was first observed.
    prints(&world, &["send", "a", "SLOW 600 two"]);
    wait_until("it has begun", || turns(&world).len() == 3);
    let began = turns(&world)[2]["ts"].as_str().expect("a time").parse::<jiff::Timestamp>().expect("a time");
    let row = world.peer(&["list", "a", "--json"]).json()["peers"][0].clone();
    assert_eq!((&row["state"], &row["since_ms"]), (&json!("busy"), &json!(began.as_millisecond())), "{row}");
    prints(&world, &["stop", "a"]);
    let left = fs::read_dir(world.path("state/panes")).expect("a directory").flatten().map(|entry| entry.file_name());
    assert_eq!(left.collect::<Vec<_>>(), Vec::<std::ffi::OsString>::new(), "an end takes along what was reported");
}

fn a_turn_ends_before_its_screen_shows_it(on: RuntimeKind) {
    let world = awake(on, &["--slow-turn"]);
    prints(&world, &["send", "a", "SLOW 600 one"]);
    wait_until("it has begun", || turns(&world).len() == 1);
    assert_eq!(prints(&world, &["list", "a", "--format", "{state}"]), "busy\n");
    let mut wait = world.command(&["wait", "a"]).spawn().expect("it starts");
    // A report is believed over the screen for one second only. On a loaded machine no observation may fall into that
    // second, so it is repeated.
    wait_until("whoever waits is told", || {
        reports(&world, "1", "turn-started", &handed(&world)).prints("");
        reports(&world, "1", "turn-finished", &handed(&world)).prints("");
        wait.try_wait().expect("ours").is_some()
    });
    assert!(ended(&mut wait).success());
    wait_until("its screen is believed", || prints(&world, &["list", "a", "--format", "{state}"]) == "busy\n");
}

fn a_question_is_told_of_at_once_each_time_and_its_text_to_hooks_alone(on: RuntimeKind) {
    let world = awake(on, &["--asks"]);
    let asked = |times: usize| {
        wait_until("it is told", || world.events("a", "agent.waiting").len() == times);
        world.events("a", "agent.waiting").pop().expect("told")
    };
    prints(&world, &["send", "a", "ASK Which one? | left | right"]);
    let event = asked(1);
    assert_eq!((&event["cause"], &event["witness"]), (&json!("question"), &json!("hook")));
    prints(&world, &["answer", "a", "left"]);
    wait_until("the turn is over", || names(&turns(&world)).contains(&"turn.finished"));
    prints(&world, &["send", "a", "ASK Which one? | left | right"]);
    asked(2);
    // A tick sees the same question, and does not log it again.
    prints(&world, &["reap"]);
    assert_eq!(world.events("a", "agent.waiting").len(), 2);
    let log = fs::read_to_string(world.path("state/lifecycle.log")).expect("a log");
    assert!(!log.contains("Which one"), "{log}");
    wait_until("the hook heard it twice, with the question", || {
        let heard = fs::read_to_string(world.path("heard")).unwrap_or_default();
        heard.matches(r#""question":"Which one?""#).count() == 2
    });
}

fn another_conversation_is_told_of_though_no_command_runs(on: RuntimeKind) {
    let world = reporter(on, &["--status-file", "--late-status", "300"]);
    prints(&world, &["wake", "a", "-m", "one"]);
    let before = world.conversation("a");
    world.press("a", &["-l", "/clear"]);
    world.press("a", &["Enter"]);
    let event = wait_for("it is told", || world.events("a", "conversation.changed").pop());
    assert_eq!((&event["previous"], &event["witness"]), (&json!(before), &json!("hook")));
    assert_eq!(event["conversation"], world.conversation("a"));
}

fn what_a_stranger_reports_is_not_heard(on: RuntimeKind) {
    let world = awake(on, &["--slow-turn"]);
    let own = handed(&world);
    for (incarnation, report, handed) in [
        ("1", "turn-finished", r#"{"conversation":"another","answer":"x"}"#),
        ("1", "turn-finished", r#"{"answer":"of which?"}"#),
        ("1", "turn-started", "no JSON"),
        ("1", "turn-started", ""),
        ("1", "turn-started", &"[".repeat(100_000)),
        ("1", "conversation", r#"{"conversation":"another"}"#),
        ("1", "waiting", &own),
        ("2", "turn-started", &own),
        ("0", "turn-finished", &own),
        ("x", "turn-finished", &own),
        ("1", "something-else", &own),
    ] {
        reports(&world, incarnation, report, handed).prints("");
    }
    let told = |event: &Value| {
        event["event"].as_str().is_some_and(|name| name.starts_with("turn.") || name == "agent.waiting")
    };
    assert!(!world.log().iter().any(told), "{:?}", world.log());
    assert!(world.events("a", "conversation.changed").is_empty());
    // A report about the agent's own conversation is accepted.
    reports(&world, "1", "turn-started", &own).prints("");
    assert_eq!(names(&turns(&world)), ["turn.started"]);
    prints(&world, &["stop", "a"]);
    reports(&world, "1", "turn-finished", &own).prints("");
    assert_eq!(names(&turns(&world)), ["turn.started"], "its incarnation is over");
}

fn an_agent_is_given_no_hooks_where_its_spec_says_so(on: RuntimeKind) {
    let world = reporter(on, &[]);
    world.set_in_spec("a", "agent_hooks = false");
    prints(&world, &["wake", "a", "-m", "one"]);
    let launch = fs::read_to_string(world.path("state/panes/a.1.launch")).expect("a launch file");
    assert!(!launch.contains("--hook") && !launch.contains("PEER_EXECUTABLE"), "{launch}");
    assert!(turns(&world).is_empty());
    reports(&world, "1", "turn-started", &handed(&world)).prints("");
    assert!(turns(&world).is_empty(), "and would not be heard");
    let shown = world.peer(&["show", "a", "--json"]).json()["spec"]["agent_hooks"].clone();
    assert_eq!(shown, json!({ "value": false, "origin": "spec" }));
    // The default for the whole fleet.
    world.configure("\n[defaults]\nagent_hooks = false\n");
    world.demo("b", &[]);
    assert_eq!(world.peer(&["show", "b", "--json"]).json()["spec"]["agent_hooks"]["value"], false);
}

fn words_of_a_persons_own_are_kept_and_that_is_said(on: RuntimeKind) {
    let world = reporter(on, &["--hook", "true"]);
    let run = world.peer(&["wake", "a", "-m", "one"]);
    assert!(
        run.code == 0 && run.stderr.contains("a: its own --hook is kept, so it gets no hooks of peer's"),
        "{run:?}"
    );
    let launch = fs::read_to_string(world.path("state/panes/a.1.launch")).expect("a launch file");
    assert_eq!(launch.matches("--hook").count(), 1, "{launch}");
    assert!(turns(&world).is_empty());
}

fn a_report_is_quiet_and_done_whatever_it_is(on: RuntimeKind) {
    let world = awake(on, &[]);
    let huge = format!(r#"{{"conversation":"{}","answer":"{}"}}"#, world.conversation("a"), "x".repeat(5 << 20));
    for (environment, handed) in [(vec![], "{}"), (vec![("PEER_NAME", "a"), ("PEER_INCARNATION", "1")], huge.as_str())]
    {
        let mut hook = world.command(&["agent-hook", "turn-started"]);
        Run::of(hook.envs(environment), Some(handed)).prints("");
    }
    // A report about a peer that does not exist.
    let mut hook = world.command(&["agent-hook", "turn-started", "--received-ms", "1"]);
    Run::of(hook.env("PEER_NAME", "nobody").env("PEER_INCARNATION", "1"), Some("{}")).prints("");
    assert!(turns(&world).is_empty());
    // A real report is still accepted after all that.
    prints(&world, &["send", "a", "one"]);
    wait_until("both are told", || turns(&world).len() == 2);
}
