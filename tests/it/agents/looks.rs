//! What real agents do not report by hooks is in the log after the next tick, once. Run by `scripts/test-agents`.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::common::mock_model;
use crate::common::real_agent::Agent;
use crate::common::ticks::tick;
use crate::common::{on_each_runtime, wait_until};
use peer_adapters::runtime::RuntimeKind;
use serde_json::Value;

on_each_runtime! {
    #[ignore = "run by scripts/test-agents, which brings the agents and cuts them off from the network"]
    opencode_is_seen_to_begin_and_end_its_turns
    pi_without_hooks_is_seen_to_begin_and_end_its_turns
    claude_without_hooks_is_seen_to_begin_and_end_its_turns
    codex_is_seen_to_begin_its_turns_and_to_be_interrupted
    claude_that_is_interrupted_by_hand_is_seen_to_be_free
}

/// Returns `[event, witness]` of each turn event, in order.
fn told(agent: &Agent) -> Vec<[String; 2]> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    events(agent).iter().map(|event| [text(&event["event"]), text(&event["witness"])]).collect()
}

fn events(agent: &Agent) -> Vec<Value> {
    let log = agent.world.log().into_iter();
    log.filter(|event| event["event"].as_str().is_some_and(|name| name.starts_with("turn."))).collect()
}

/// Runs ticks until there are so many turn events, and two more, which must find nothing new.
fn ticks(agent: &Agent, events: usize) {
    wait_until("a tick tells of it", || {
        tick(&agent.world, &[]);
        told(agent).len() >= events
    });
    for _ in 0..2 {
        tick(&agent.world, &[]);
    }
    assert_eq!(told(agent).len(), events, "{:?}", told(agent));
}

fn state(agent: &Agent) -> String {
    agent.peer(&["list", agent.name, "--format", "{state}"]).trim().to_owned()
}

/// Begins a turn that is in progress until it is released or stopped.
fn begins(agent: &Agent, verb: &[&str]) -> String {
    static TURNS: AtomicUsize = AtomicUsize::new(0);
    // All tests share one mock model.
    let hold = format!("look-{}-{}", TURNS.fetch_add(1, Ordering::Relaxed), std::process::id());
    agent.peer(&[verb, &[&format!("HOLD {hold}")]].concat());
    wait_until("it is at work", || state(agent) == "busy");
    hold
}

/// How a test stops a turn.
enum Stop {
    /// At the keyboard.
    Escape,
    /// By the keys of the profile: opencode takes a second Escape only once it shows the first.
    Verb,
}

/// Runs a turn with an answer and one that is stopped by hand, and checks the events of the ticks.
fn is_seen(agent: &Agent, starts: &str, ends: [&str; 2], stop: &Stop) {
    let hold = begins(agent, &["wake", agent.name, "-m"]);
    ticks(agent, 1);
    mock_model::release(&hold);
    agent.peer(&["wait", agent.name, "--timeout", "2m"]);
    ticks(agent, 2);
    begins(agent, &["send", agent.name]);
    ticks(agent, 3);
    match stop {
        Stop::Escape => agent.world.press(agent.name, &["Escape"]),
        Stop::Verb => drop(agent.peer(&["interrupt", agent.name])),
    }
    wait_until("it is free", || state(agent) == "awake");
    ticks(agent, 4);
    let expected =
        [["turn.started", starts], ["turn.finished", ends[0]], ["turn.started", starts], ["turn.finished", ends[1]]];
    assert_eq!(told(agent), expected);
    let answered: Vec<Value> = events(agent).iter().map(|event| event["answered"].clone()).collect();
    assert_eq!(answered[1], true, "{:?}", events(agent));
    assert_ne!(answered[3], true, "{:?}", events(agent));
    agent.peer(&["stop", agent.name]);
}

fn opencode_is_seen_to_begin_and_end_its_turns(on: RuntimeKind) {
    is_seen(&Agent::new("opencode", on, &[]), "screen", ["screen"; 2], &Stop::Verb);
}

fn pi_without_hooks_is_seen_to_begin_and_end_its_turns(on: RuntimeKind) {
    let agent = Agent::new("pi", on, &["--model", "mock/mock"]);
    agent.world.set_in_spec("pi", "agent_hooks = false");
    is_seen(&agent, "screen", ["screen"; 2], &Stop::Escape);
}

fn claude_without_hooks_is_seen_to_begin_and_end_its_turns(on: RuntimeKind) {
    let agent = Agent::new("claude", on, &[]);
    agent.world.set_in_spec("claude", "agent_hooks = false");
    is_seen(&agent, "status-file", ["status-file"; 2], &Stop::Escape);
    let finished: Vec<Value> = events(&agent).into_iter().filter(|event| event["event"] == "turn.finished").collect();
    assert!(finished.iter().all(|event| event["duration_ms"].is_u64()), "both ends are exact: {finished:?}");
}

fn codex_is_seen_to_begin_its_turns_and_to_be_interrupted(on: RuntimeKind) {
    is_seen(&Agent::new("codex", on, &[]), "screen", ["hook", "screen"], &Stop::Escape);
}

fn claude_that_is_interrupted_by_hand_is_seen_to_be_free(on: RuntimeKind) {
    is_seen(&Agent::new("claude", on, &[]), "hook", ["hook", "status-file"], &Stop::Escape);
}
