//! The real agents ask: `peer` says that they wait for a person, and what can be answered.

use crate::common::real_agent::Agent;
use crate::common::{on_each_runtime, wait_for, wait_until};
use peer_adapters::runtime::RuntimeKind;
use serde_json::Value;
use std::time::{Duration, Instant};

on_each_runtime! {
    #[ignore = "run by scripts/test-agents, which brings the agents and cuts them off from the network"]
    opencode_that_asks_is_interrupted
    claude_that_asks_for_a_permission_waits_for_a_person
    claude_that_asks_a_question_waits_for_a_person
    codex_that_asks_for_an_approval_waits_for_a_person
    opencode_that_asks_a_question_waits_for_a_person
}

/// One Escape dismisses its question; two at once did nothing.
fn opencode_that_asks_is_interrupted(on: RuntimeKind) {
    let agent = Agent::new("opencode", on, &[]);
    let question = r#"CALL question {"questions":[{"question":"Which colour?","header":"Colour","options":[{"label":"red","description":"warm"},{"label":"blue","description":"cold"}]}]}"#;
    agent.peer(&["wake", "opencode", "-m", question]);
    wait_until("it asks", || agent.peer(&["screen", "opencode"]).contains("esc dismiss"));
    agent.peer(&["interrupt", "opencode"]);
    wait_until("it asks no more", || !agent.peer(&["screen", "opencode"]).contains("esc dismiss"));
    agent.peer(&["send", "opencode", "and now"]);
    agent.remembers(2, "and now");
    agent.peer(&["stop", "opencode"]);
}

/// The agent asks in the middle of a turn: its state says so, and nothing is typed into the question. Once `key` has
/// answered, the agent continues.
fn waits_for_a_person(name: &'static str, on: RuntimeKind, words: &[&str], call: &str, question: &str, key: &str) {
    let agent = Agent::new(name, on, words);
    agent.peer(&["wake", name, "-m", call]);
    let status = || serde_json::from_str::<Value>(&agent.peer(&["status", name, "--json"])).expect("a document");
    // A half-drawn question looks like any menu.
    let asks = |status: &Value| status["question"].as_str().is_some_and(|asked| asked.contains(question));
    wait_for("it waits, and says for what", || {
        Some(status()).filter(|status| status["state"] == "waiting" && asks(status))
    });
    let before = agent.peer(&["screen", name]);
    let started = Instant::now();
    let refused = agent.run(&["send", name, "not typed", "--json"]);
    // A send waits this long for a draft, but not for a question.
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    let told: Value = serde_json::from_slice(&refused.stdout).expect("a document");
    assert_eq!(
        (refused.status.code(), &told["cause"], &told["retryable"]),
        (Some(7), &"not-typed".into(), &true.into())
    );
    assert!(told["error"].as_str().is_some_and(|error| error.contains(question)), "{told}");
    // Only the colour shows which row of opencode has the cursor.
    let hint = match name {
        "opencode" => format!("peer attach {name} and answer it; then send it again"),
        _ => format!("peer answer {name}, or peer attach {name}; then send it again"),
    };
    assert_eq!(told["hint"], hint);
    assert_eq!(agent.peer(&["screen", name]), before, "no key was pressed");
    agent.world.press(name, &[key]);
    agent.remembers(1, "CALL");
    agent.peer(&["send", name, "typed"]);
    agent.remembers(2, "typed");
    // A hook or a file reports the question before it is drawn.
    let asked = agent.run(&["send", name, call, "--wait", "--json"]);
    let told: Value = serde_json::from_slice(&asked.stdout).expect("a document");
    assert!(asked.status.code() == Some(8) && told.to_string().contains(question), "{told}");
    agent.peer(&["stop", name]);
}

fn claude_that_asks_for_a_permission_waits_for_a_person(on: RuntimeKind) {
    let call = r#"CALL Bash {"command":"touch made","description":"Make a file"}"#;
    waits_for_a_person("claude", on, &["--permission-mode", "default"], call, "Do you want to proceed?", "Enter");
}

fn claude_that_asks_a_question_waits_for_a_person(on: RuntimeKind) {
    let call = r#"CALL AskUserQuestion {"questions":[{"question":"Which colour?","header":"Colour","multiSelect":false,"options":[{"label":"red","description":"warm"},{"label":"blue","description":"cold"}]}]}"#;
    waits_for_a_person("claude", on, &[], call, "Which colour?", "Enter");
}

fn codex_that_asks_for_an_approval_waits_for_a_person(on: RuntimeKind) {
    let call =
        r#"CALL exec_command {"cmd":"touch made","sandbox_permissions":"require_escalated","justification":"May I?"}"#;
    let words = ["--ask-for-approval", "on-request", "--sandbox", "read-only"];
    waits_for_a_person("codex", on, &words, call, "Would you like to run the following command?", "Enter");
}

fn opencode_that_asks_a_question_waits_for_a_person(on: RuntimeKind) {
    let call = r#"CALL question {"questions":[{"question":"Which colour?","header":"Colour","options":[{"label":"red","description":"warm"},{"label":"blue","description":"cold"}]}]}"#;
    waits_for_a_person("opencode", on, &[], call, "Which colour?", "Enter");
}
