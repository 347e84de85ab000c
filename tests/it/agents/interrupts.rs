//! The real agents after their turn was stopped: what an agent puts back into its composer is nobody's draft, and nothing
//! is pressed if no turn is in progress. Run by `scripts/test-agents`.

use crate::common::real_agent::Agent;
use crate::common::said::said;
use crate::common::{on_each_runtime, wait_until};
use peer_adapters::runtime::RuntimeKind;

on_each_runtime! {
    #[ignore = "run by scripts/test-agents, which brings the agents and cuts them off from the network"]
    claude_that_is_interrupted_takes_the_next_message
    codex_that_is_interrupted_takes_the_next_message
    pi_that_is_interrupted_takes_the_next_message
    opencode_that_is_interrupted_takes_the_next_message
    claude_that_is_interrupted_before_a_queued_message_takes_the_next
    codex_that_is_interrupted_before_a_queued_message_takes_the_next
    pi_that_is_interrupted_before_a_queued_message_takes_the_next
    opencode_that_is_interrupted_before_a_queued_message_takes_the_next
    claude_that_does_nothing_is_not_disturbed_by_interrupts
    codex_that_does_nothing_is_not_disturbed_by_interrupts
    pi_that_does_nothing_is_not_disturbed_by_interrupts
    opencode_that_does_nothing_is_not_disturbed_by_interrupts
    opencode_that_asks_for_a_permission_is_interrupted
}

fn agent(name: &'static str, on: RuntimeKind) -> Agent {
    Agent::new(name, on, if name == "pi" { &["--model", "mock/mock"] } else { &[] })
}

/// Begins a turn that nobody ends but an interrupt. Every test has a name of its own, because all share one mock model.
fn held(agent: &Agent, what: &str) -> String {
    let hold = format!("HOLD {what}-{}-{}", agent.name, agent.world.kind().as_str());
    agent.peer(&["wake", agent.name, "-m", "the first message"]);
    agent.peer(&["wait", agent.name]);
    agent.peer(&["send", agent.name, &hold]);
    wait_until("it works", || state(agent) == "busy");
    hold
}

fn state(agent: &Agent) -> String {
    agent.peer(&["list", agent.name, "--format", "{state}"]).trim().to_owned()
}

/// How often each text was said, as the agent itself wrote it down.
fn count(agent: &Agent, text: &str) -> usize {
    said(agent).iter().filter(|one| one.trim() == text).count()
}

fn takes_the_next(name: &'static str, on: RuntimeKind) {
    let agent = agent(name, on);
    let hold = held(&agent, "next");
    assert_eq!(agent.peer(&["interrupt", name]), format!("{name}: interrupted\n"));
    assert_eq!(agent.peer(&["send", name, "and now"]), format!("{name}: already awake; message delivered\n"));
    wait_until("it is answered", || agent.peer(&["screen", name]).contains(": and now"));
    assert_eq!((count(&agent, "and now"), count(&agent, "the first message")), (1, 1), "{:?}", said(&agent));
    let with_it = said(&agent).iter().filter(|text| text.contains("and now")).count();
    assert!(count(&agent, &hold) <= 1 && with_it == 1, "{:?}", said(&agent));
    agent.peer(&["stop", name]);
}

/// A message waits behind the turn that is stopped. Whatever the agent does with it, the next message is its own.
fn takes_the_next_behind_a_queued_one(name: &'static str, on: RuntimeKind) {
    let agent = agent(name, on);
    held(&agent, "queue");
    assert_eq!(agent.peer(&["send", name, "SAY that waits"]), format!("{name}: already awake; message delivered\n"));
    agent.peer(&["interrupt", name]);
    assert_eq!(agent.peer(&["send", name, "and now"]), format!("{name}: already awake; message delivered\n"));
    wait_until("it is answered", || agent.peer(&["screen", name]).contains(": and now"));
    agent.peer(&["wait", name, "--timeout", "1m"]);
    assert_eq!(count(&agent, "and now"), 1, "{:?}", said(&agent));
    assert!(count(&agent, "SAY that waits") <= 1, "{:?}", said(&agent));
    agent.peer(&["stop", name]);
}

/// Two interrupts open a menu of Claude Code if they are pressed while nothing runs.
fn is_not_disturbed(name: &'static str, on: RuntimeKind) {
    let agent = agent(name, on);
    agent.peer(&["wake", name, "-m", "the first message"]);
    agent.peer(&["wait", name]);
    for _ in 0..2 {
        assert_eq!(agent.peer(&["interrupt", name]), format!("{name}: no turn is in progress; nothing was pressed\n"));
    }
    assert_eq!(agent.peer(&["send", name, "and now"]), format!("{name}: already awake; message delivered\n"));
    agent.remembers(2, "and now");
    agent.peer(&["stop", name]);
}

fn claude_that_is_interrupted_takes_the_next_message(on: RuntimeKind) {
    takes_the_next("claude", on);
}

fn codex_that_is_interrupted_takes_the_next_message(on: RuntimeKind) {
    takes_the_next("codex", on);
}

fn pi_that_is_interrupted_takes_the_next_message(on: RuntimeKind) {
    takes_the_next("pi", on);
}

fn opencode_that_is_interrupted_takes_the_next_message(on: RuntimeKind) {
    takes_the_next("opencode", on);
}

fn claude_that_is_interrupted_before_a_queued_message_takes_the_next(on: RuntimeKind) {
    takes_the_next_behind_a_queued_one("claude", on);
}

fn codex_that_is_interrupted_before_a_queued_message_takes_the_next(on: RuntimeKind) {
    takes_the_next_behind_a_queued_one("codex", on);
}

fn pi_that_is_interrupted_before_a_queued_message_takes_the_next(on: RuntimeKind) {
    takes_the_next_behind_a_queued_one("pi", on);
}

fn opencode_that_is_interrupted_before_a_queued_message_takes_the_next(on: RuntimeKind) {
    takes_the_next_behind_a_queued_one("opencode", on);
}

fn claude_that_does_nothing_is_not_disturbed_by_interrupts(on: RuntimeKind) {
    is_not_disturbed("claude", on);
}

fn codex_that_does_nothing_is_not_disturbed_by_interrupts(on: RuntimeKind) {
    is_not_disturbed("codex", on);
}

fn pi_that_does_nothing_is_not_disturbed_by_interrupts(on: RuntimeKind) {
    is_not_disturbed("pi", on);
}

fn opencode_that_does_nothing_is_not_disturbed_by_interrupts(on: RuntimeKind) {
    is_not_disturbed("opencode", on);
}

/// Two Escapes at once did nothing in its permission; one dismisses it.
fn opencode_that_asks_for_a_permission_is_interrupted(on: RuntimeKind) {
    let agent = agent("opencode", on);
    let config = agent.world.path("home/.config/opencode/opencode.json");
    let text = std::fs::read_to_string(&config).expect("agent-home has made it");
    std::fs::write(&config, text.replacen('{', r#"{"permission":{"bash":"ask"},"#, 1)).expect("written");
    let asks = || agent.peer(&["screen", "opencode"]).contains("Permission required");
    agent.peer(&["wake", "opencode", "-m", r#"CALL bash {"command":"touch made","description":"Make a file"}"#]);
    wait_until("it asks", asks);
    assert_eq!(agent.peer(&["interrupt", "opencode"]), "opencode: interrupted\n");
    wait_until("it asks no more", || !asks());
    assert!(!agent.world.work().join("made").exists());
    agent.peer(&["send", "opencode", "and now"]);
    agent.remembers(2, "and now");
    agent.peer(&["stop", "opencode"]);
}
