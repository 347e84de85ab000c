//! The real agents with queued messages before a direct one, and with a turn that is cut off. Run by `scripts/test-agents`.

use crate::common::real_agent::Agent;
use crate::common::said::said;
use crate::common::{on_each_runtime, wait_until};
use peer_adapters::runtime::RuntimeKind;

on_each_runtime! {
    #[ignore = "run by scripts/test-agents, which brings the agents and cuts them off from the network"]
    claude_has_what_is_queued_first_and_a_turn_that_is_cut_off_is_told
    codex_has_what_is_queued_first_and_a_turn_that_is_cut_off_is_told
    pi_has_what_is_queued_first_and_a_turn_that_is_cut_off_is_told
    opencode_has_what_is_queued_first_and_a_turn_that_is_cut_off_is_told
}

fn queued_and_cut_off(name: &'static str, on: RuntimeKind) {
    let agent = Agent::new(name, on, if name == "pi" { &["--model", "mock/mock"] } else { &[] });
    for text in ["SAY one", "SAY two"] {
        agent.peer(&["send", name, "--queue", text]);
    }
    let told = agent.peer(&["send", name, "SAY three"]);
    let expected = format!("{name}: woken fresh (first-wake); 2 queued messages delivered first; message delivered\n");
    assert_eq!(told, expected, "{}", agent.log());
    wait_until("all are answered", || agent.peer(&["screen", name]).contains("three"));
    agent.peer(&["wait", name]);
    let heard: Vec<String> = said(&agent).iter().map(|text| text.trim().to_owned()).collect();
    assert_eq!(heard, ["SAY one", "SAY two", "SAY three"]);
    let hold = || {
        agent.peer(&["send", name, &format!("HOLD cut-{name}-{}", agent.world.kind().as_str())]);
        wait_until("it works", || agent.peer(&["list", name, "--format", "{state}"]).trim() == "busy");
    };
    hold();
    agent.world.lose_server(name);
    let told = agent.peer(&["wake", name]);
    let expected = format!("{name}: woken resumed (runtime-lost); the turn that was in progress was cut off\n");
    assert_eq!(told, expected, "{}", agent.log());
    let told = agent.run(&["last", name]);
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.starts_with(&format!("note: the newest message to {name} has no answer: its turn ")), "{told}");
    hold();
    let told = agent.peer(&["stop", name]);
    assert_eq!(told, format!("{name}: parked and stopped; the turn that was in progress was cut off\n"));
}

fn claude_has_what_is_queued_first_and_a_turn_that_is_cut_off_is_told(on: RuntimeKind) {
    queued_and_cut_off("claude", on);
}

fn codex_has_what_is_queued_first_and_a_turn_that_is_cut_off_is_told(on: RuntimeKind) {
    queued_and_cut_off("codex", on);
}

fn pi_has_what_is_queued_first_and_a_turn_that_is_cut_off_is_told(on: RuntimeKind) {
    queued_and_cut_off("pi", on);
}

fn opencode_has_what_is_queued_first_and_a_turn_that_is_cut_off_is_told(on: RuntimeKind) {
    queued_and_cut_off("opencode", on);
}
