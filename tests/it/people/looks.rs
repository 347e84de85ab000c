//! What no hook reports of an agent's turns, a tick sees: each event is written once, and none that is not certain.

use std::fs;
use std::thread;

use crate::common::ticks::tick;
use crate::common::{Run, World, on_each_runtime, wait_until};
use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};

on_each_runtime! {
    a_turn_without_hooks_is_told_of_by_the_ticks_once_at_each_end
    commands_that_only_look_tell_of_nothing
    a_turn_that_is_stopped_by_hand_is_over_for_the_next_tick
    a_status_file_tells_when_a_turn_began_and_ended
    a_status_file_is_found_without_the_launch_file_and_by_an_older_record_with_it
    a_status_file_that_is_busy_behind_the_turn_tells_of_no_turn_where_hooks_do
    a_question_without_hooks_is_told_of_each_time_it_is_asked
    ticks_and_hooks_at_once_tell_of_each_turn_once
}

/// The hooks in the demo agent's profile that report turns.
const HOOKS: &str = r#"
[hooks]
reports = ["turn-started", "turn-finished"]
arguments = ["--hook", '"$PEER_EXECUTABLE" agent-hook "$1" >/dev/null 2>&1 || :']
conversation = "/conversation"
answer = "/answer"
"#;

fn awake(on: RuntimeKind, profile: &str, words: &[&str]) -> World {
    let world = World::on(on);
    world.profile("demo", profile);
    world.demo("a", words);
    let run = world.peer(&["wake", "a"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    world
}

fn demo() -> String {
    include_str!("../../../scripts/demo/agents/demo.toml").to_owned()
}

/// The demo agent's profile with a status file, which the test writes.
fn with_status() -> String {
    demo().replacen("transcript = \"claude-jsonl\"", "transcript = \"claude-jsonl\"\nstatus = \"claude-session\"", 1)
}

/// Returns the turn events, in order.
fn turns(world: &World) -> Vec<Value> {
    let log = world.log().into_iter();
    log.filter(|event| event["event"].as_str().is_some_and(|name| name.starts_with("turn."))).collect()
}

/// `[event, witness]` of each.
fn told(world: &World) -> Vec<[String; 2]> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    turns(world).iter().map(|event| [text(&event["event"]), text(&event["witness"])]).collect()
}

fn state(world: &World) -> String {
    world.peer(&["list", "a", "--format", "{state}"]).stdout.trim().to_owned()
}

/// Stops the turn as a person does, at the keyboard.
fn escapes(world: &World) {
    world.press("a", &["Escape"]);
    wait_until("its screen shows that", || state(world) == "awake");
}

/// Runs ticks until there are so many turn events, and two more, which must find nothing new. A message that was
/// delivered within the last second may be a turn that does not show yet.
#[track_caller]
fn ticks(world: &World, events: usize) {
    wait_until("a tick tells of it", || {
        tick(world, &[]);
        told(world).len() >= events
    });
    for _ in 0..2 {
        tick(world, &[]);
    }
    assert_eq!(told(world).len(), events, "{:?}", told(world));
}

/// Writes the status file of the agent, in Claude Code's words.
fn says(world: &World, status: &str, since_ms: u64) {
    let process = &world.session("a")["process"];
    let sessions = world.path("home/demo/sessions");
    fs::create_dir_all(&sessions).expect("create");
    let text = json!({ "pid": process["pid"], "sessionId": world.conversation("a"), "status": status,
        "statusUpdatedAt": since_ms, "procStart": process["start"].to_string() });
    fs::write(sessions.join("new"), text.to_string()).expect("write");
    fs::rename(sessions.join("new"), sessions.join(format!("{}.json", process["pid"]))).expect("rename");
}

fn now_ms() -> u64 {
    jiff::Timestamp::now().as_millisecond().try_into().expect("after 1970")
}

fn a_turn_without_hooks_is_told_of_by_the_ticks_once_at_each_end(on: RuntimeKind) {
    let world = awake(on, &demo(), &["--slow-turn"]);
    tick(&world, &[]);
    assert_eq!(told(&world), [[""; 2]; 0], "it was free before, and is");
    assert!(!world.path("state/panes/a.1.turn").exists(), "a tick without news writes nothing");
    for number in [1, 2] {
        world.peer(&["send", "a", "SLOW 600 a long one"]);
        wait_until("it is at work", || state(&world) == "busy");
        ticks(&world, number * 2 - 1);
        assert_eq!(told(&world)[(number - 1) * 2..], [["turn.started", "screen"]]);
        let event = turns(&world).pop().expect("it is there");
        assert_eq!((&event["incarnation"], &event["peer"]), (&json!(1), &json!("a")));
        escapes(&world);
        ticks(&world, number * 2);
        assert_eq!(told(&world)[(number - 1) * 2..], [["turn.started", "screen"], ["turn.finished", "screen"]]);
        let event = turns(&world).pop().expect("it is there");
        assert_eq!(event["duration_ms"], Value::Null, "a screen does not show when a turn ended");
    }
    // One with an answer.
    world.peer(&["send", "a", "UNTIL over and an answer"]);
    wait_until("it is at work", || state(&world) == "busy");
    ticks(&world, 5);
    fs::write(world.work().join("over"), "").expect("write");
    ticks(&world, 6);
    assert_eq!(turns(&world)[5]["answered"], true);
    world.peer(&["stop", "a"]);
    let left: Vec<_> = fs::read_dir(world.path("state/panes")).expect("a directory").flatten().collect();
    assert!(left.is_empty(), "an end takes along what was seen: {left:?}");
}

fn commands_that_only_look_tell_of_nothing(on: RuntimeKind) {
    let world = awake(on, &demo(), &["--slow-turn", "--asks"]);
    world.peer(&["send", "a", "SLOW 600"]);
    wait_until("it is at work", || state(&world) == "busy");
    let before = world.snapshot();
    world.peer(&["status", "a"]);
    world.peer(&["list"]);
    world.peer(&["wait", "a", "--until", "busy"]);
    world.peer(&["why", "a"]);
    world.peer(&["reap", "--dry-run"]);
    assert_eq!(world.snapshot(), before);
    tick(&world, &[]);
    assert_eq!(told(&world), [["turn.started", "screen"]], "a tick tells of it");
}

fn a_turn_that_is_stopped_by_hand_is_over_for_the_next_tick(on: RuntimeKind) {
    let world = awake(on, &(demo() + HOOKS), &["--slow-turn"]);
    world.peer(&["send", "a", "SLOW 600"]);
    wait_until("its hook told of it", || told(&world) == [["turn.started", "hook"]]);
    tick(&world, &[]);
    assert_eq!(told(&world).len(), 1, "the tick sees the same turn");
    escapes(&world);
    ticks(&world, 2);
    let both = [["turn.started", "hook"], ["turn.finished", "screen"]];
    assert_eq!(told(&world), both);
    world.peer(&["send", "a", "UNTIL over another"]);
    wait_until("the next one is a turn of its own", || told(&world).len() == 3);
    fs::write(world.work().join("over"), "").expect("write");
    wait_until("it ends", || told(&world).len() == 4);
    assert_eq!(told(&world)[2..], [["turn.started", "hook"], ["turn.finished", "hook"]]);
    tick(&world, &[]);
    assert_eq!(told(&world).len(), 4);
}

fn a_status_file_tells_when_a_turn_began_and_ended(on: RuntimeKind) {
    let world = awake(on, &with_status(), &[]);
    let began = now_ms() - 60_000;
    says(&world, "busy", began);
    tick(&world, &[]);
    let event = turns(&world).pop().expect("it is told");
    let since = jiff::Timestamp::from_millisecond(began.try_into().expect("a time")).expect("a time");
    let named = event["since"].as_str().and_then(|at| at.parse::<jiff::Timestamp>().ok());
    assert_eq!((&event["witness"], named), (&json!("status-file"), Some(since)), "{event}");
    says(&world, "idle", began + 4_500);
    tick(&world, &[]);
    let event = turns(&world).pop().expect("it is told");
    assert_eq!((&event["event"], &event["duration_ms"]), (&json!("turn.finished"), &json!(4_500)), "{event}");
    tick(&world, &[]);
    assert_eq!(told(&world), [["turn.started", "status-file"], ["turn.finished", "status-file"]]);
}

fn a_status_file_is_found_without_the_launch_file_and_by_an_older_record_with_it(on: RuntimeKind) {
    let world = awake(on, &with_status(), &[]);
    let dir = world.path("home/demo/sessions");
    assert_eq!(world.session("a")["status_dir"], json!(dir));
    says(&world, "busy", now_ms());
    // A list of many agents does not read their launch files.
    let (launch, aside) = (world.path("state/panes/a.1.launch"), world.path("aside"));
    fs::rename(&launch, &aside).expect("moved");
    assert_eq!(state(&world), "busy");
    fs::rename(&aside, &launch).expect("moved back");
    world.edit("a", "session", |record| drop(record.as_object_mut().expect("an object").remove("status_dir")));
    assert_eq!(state(&world), "busy", "an older version recorded none");
}

fn a_status_file_that_is_busy_behind_the_turn_tells_of_no_turn_where_hooks_do(on: RuntimeKind) {
    let world = awake(on, &(with_status() + HOOKS), &["--slow-turn"]);
    // Its two hooks run one after the other.
    world.peer(&["send", "a", "UNTIL over one"]);
    wait_until("its beginning is told", || told(&world).len() == 1);
    fs::write(world.work().join("over"), "").expect("write");
    wait_until("both are told", || told(&world).len() == 2);
    // As Claude Code does while a subagent works.
    says(&world, "busy", now_ms());
    tick(&world, &[]);
    assert_eq!(state(&world), "busy");
    assert_eq!(told(&world).len(), 2, "{:?}", told(&world));
    // Hooks that are not heard any more tell of nothing.
    world.set_in_spec("a", "agent_hooks = false");
    tick(&world, &[]);
    assert_eq!(told(&world)[2..], [["turn.started", "status-file"]]);
}

fn a_question_without_hooks_is_told_of_each_time_it_is_asked(on: RuntimeKind) {
    let world = awake(on, &demo(), &["--asks"]);
    for times in [1, 2] {
        world.peer(&["send", "a", "ASK Which one? | left | right"]);
        wait_until("it asks", || state(&world) == "waiting");
        tick(&world, &[]);
        tick(&world, &[]);
        assert_eq!(world.events("a", "agent.waiting").len(), times);
        world.peer(&["answer", "a", "left"]);
        wait_until("it is answered", || state(&world) == "awake");
        tick(&world, &[]);
    }
    assert_eq!(told(&world), [[""; 2]; 0], "of a turn that no tick saw nothing is told");
}

fn ticks_and_hooks_at_once_tell_of_each_turn_once(on: RuntimeKind) {
    // As Codex, whose hooks report the ends alone.
    let hooks = HOOKS.replace("\"turn-started\", ", "");
    let world = awake(on, &(demo() + &hooks), &["--slow-turn"]);
    let handed = json!({ "conversation": world.conversation("a"), "answer": "done" }).to_string();
    let reports = || {
        let mut hook = world.command(&["agent-hook", "turn-finished", "--received-ms", &now_ms().to_string()]);
        Run::of(hook.env("PEER_NAME", "a").env("PEER_INCARNATION", "1"), Some(&handed)).prints("");
    };
    for number in 1..=3 {
        world.peer(&["send", "a", "SLOW 600"]);
        wait_until("it is at work", || state(&world) == "busy");
        thread::scope(|scope| (0..3).for_each(|_| drop(scope.spawn(|| world.peer(&["reap"])))));
        ticks(&world, number * 2 - 1);
        escapes(&world);
        thread::scope(|scope| {
            (0..3).for_each(|_| drop(scope.spawn(|| world.peer(&["reap"]))));
            reports();
        });
        ticks(&world, number * 2);
    }
    let names: Vec<String> = told(&world).into_iter().map(|[event, _]| event).collect();
    assert_eq!(names, ["turn.started", "turn.finished"].repeat(3));
}
