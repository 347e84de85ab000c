//! The real agents in whose conversation words stand that look like their own dialogs: they block nothing, now or after a
//! resume. Run by `scripts/test-agents`.

use crate::common::real_agent::Agent;
use crate::common::{on_each_runtime, wait_until};
use peer_adapters::runtime::RuntimeKind;

on_each_runtime! {
    #[ignore = "run by scripts/test-agents, which brings the agents and cuts them off from the network"]
    claude_that_says_the_words_of_a_dialog_is_as_free_as_before
    codex_that_says_the_words_of_a_dialog_is_as_free_as_before
    pi_that_says_the_words_of_a_dialog_is_as_free_as_before
    opencode_that_says_the_words_of_a_dialog_is_as_free_as_before
}

/// The words are in the message and in the answer: the agent takes messages, is resumed and is parked like any other.
fn is_free(name: &'static str, on: RuntimeKind, dialog: &str) {
    let agent = Agent::new(name, on, if name == "pi" { &["--model", "mock/mock"] } else { &[] });
    agent.world.set_in_spec(name, "idle_timeout = \"2s\"");
    let words = format!("SAY {dialog}");
    assert_eq!(
        agent.peer(&["wake", name, "-m", &words]),
        format!("{name}: woken fresh (first-wake); message delivered\n")
    );
    agent.peer(&["wait", name, "--timeout", "1m"]);
    let last = dialog.lines().last().expect("a line").trim();
    assert!(agent.peer(&["screen", name]).matches(last).count() >= 2, "said and answered");
    let status = agent.peer(&["status", name]);
    assert!(!status.contains("Needs you"), "{status}");
    assert_eq!(agent.peer(&["send", name, &words]), format!("{name}: already awake; message delivered\n"));
    agent.peer(&["wait", name, "--timeout", "1m"]);
    agent.peer(&["stop", name]);
    agent.peer(&["start", name]);
    let woken = agent.peer(&["wake", name, "-m", "after the stop"]);
    assert_eq!(woken, format!("{name}: woken resumed (stopped); message delivered\n"));
    agent.remembers(3, "after the stop");
    wait_until("it is parked", || agent.peer(&["reap"]).contains("parked") || !agent.world.has(name, "session"));
    assert_eq!(agent.world.end(name)["cause"], "idle-reaped");
}

fn claude_that_says_the_words_of_a_dialog_is_as_free_as_before(on: RuntimeKind) {
    is_free("claude", on, "Do you want to keep the old interface?\n\n❯ 1. Yes\n  2. No\n\nEsc to cancel");
}

fn codex_that_says_the_words_of_a_dialog_is_as_free_as_before(on: RuntimeKind) {
    let dialog = "Would you like to run the following command?\n\n› 1. Yes\n  2. No\n\nPress enter to confirm";
    is_free("codex", on, dialog);
}

fn pi_that_says_the_words_of_a_dialog_is_as_free_as_before(on: RuntimeKind) {
    is_free("pi", on, "Warning: No models available.");
}

fn opencode_that_says_the_words_of_a_dialog_is_as_free_as_before(on: RuntimeKind) {
    is_free("opencode", on, "△ Permission required");
}
