//! Questions of the real Claude Code and Codex, answered by `peer answer` with the label of a row.

use std::path::{Path, PathBuf};

use crate::common::real_agent::Agent;
use crate::common::{on_each_runtime, wait_until};
use peer_adapters::runtime::RuntimeKind;
use serde_json::Value;

on_each_runtime! {
    #[ignore = "run by scripts/test-agents, which brings the agents and cuts them off from the network"]
    claude_may_what_is_answered_by_label
    claude_may_not_what_is_answered_no
    claude_is_told_the_colour_that_is_chosen
    claude_is_trusted_by_an_answer
    codex_may_what_is_answered_by_label
}

/// Waits for the question, as `peer answer` shows it.
fn asked(agent: &Agent, question: &str) -> Value {
    let asks = || serde_json::from_str::<Value>(&agent.peer(&["answer", agent.name, "--json"])).expect("a document");
    wait_until("its question has rows and a cursor", || {
        let asks = &asks()["asks"];
        asks["question"] == question && asks["cursor"].is_u64()
    });
    asks()["asks"].clone()
}

const TOUCH: &str = r#"CALL Bash {"command":"touch made","description":"Make a file"}"#;

fn claude_may_what_is_answered_by_label(on: RuntimeKind) {
    let agent = Agent::new("claude", on, &["--permission-mode", "default"]);
    agent.peer(&["wake", "claude", "-m", TOUCH]);
    let asks = asked(&agent, "Do you want to proceed?");
    assert!(asks["text"].as_array().is_some_and(|text| text.iter().any(|line| line == "touch made")), "{asks}");
    let refused = agent.run(&["answer", "claude", "Perhaps"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let told = agent.peer(&["answer", "claude", "yes"]);
    assert!(told.starts_with("claude: chose 1. Yes; "), "{told}");
    agent.remembers(1, "CALL");
    assert!(agent.world.work().join("made").exists());
    agent.peer(&["stop", "claude"]);
}

fn claude_may_not_what_is_answered_no(on: RuntimeKind) {
    let agent = Agent::new("claude", on, &["--permission-mode", "default"]);
    agent.peer(&["wake", "claude", "-m", TOUCH]);
    asked(&agent, "Do you want to proceed?");
    let told = agent.peer(&["answer", "claude", "No"]);
    assert!(told.contains(". No; "), "{told}");
    agent.peer(&["send", "claude", "and now"]);
    // Claude Code writes the refusal of the tool down as a message of the user's, so the number of messages is not
    // checked.
    wait_until("it goes on", || agent.peer(&["screen", "claude"]).contains(": and now"));
    assert!(!agent.world.work().join("made").exists());
    agent.peer(&["stop", "claude"]);
}

fn claude_is_told_the_colour_that_is_chosen(on: RuntimeKind) {
    let agent = Agent::new("claude", on, &[]);
    let call = r#"CALL AskUserQuestion {"questions":[{"question":"Which colour?","header":"Colour","multiSelect":false,"options":[{"label":"red","description":"warm"},{"label":"blue","description":"cold"},{"label":"green","description":"mild"}]}]}"#;
    agent.peer(&["wake", "claude", "-m", call]);
    let asks = asked(&agent, "Which colour?");
    assert_eq!(
        asks["rows"].as_array().map(|rows| &rows[..3]),
        Some(&["red".into(), "blue".into(), "green".into()][..])
    );
    let told = agent.peer(&["answer", "claude", "green"]);
    assert!(told.starts_with("claude: chose 3. green; "), "{told}");
    agent.remembers(1, "CALL");
    let written = transcripts(&agent.world.path("home/.claude/projects"));
    assert!(written.contains(r#""Which colour?":"green""#), "{written}");
    agent.peer(&["stop", "claude"]);
}

fn claude_is_trusted_by_an_answer(on: RuntimeKind) {
    let agent = Agent::with_flags("claude", on, &["--untrusted"], &[]);
    assert_eq!(agent.run(&["wake", "claude"]).status.code(), Some(5));
    let told = agent.peer(&["answer", "claude", "Yes, I trust this folder"]);
    assert!(told.contains(". Yes, I trust this folder; "), "{told}");
    agent.peer(&["wake", "claude", "-m", "hello"]);
    agent.remembers(1, "hello");
    agent.peer(&["stop", "claude"]);
}

fn codex_may_what_is_answered_by_label(on: RuntimeKind) {
    let words = ["--ask-for-approval", "on-request", "--sandbox", "read-only"];
    let agent = Agent::new("codex", on, &words);
    let call =
        r#"CALL exec_command {"cmd":"touch made","sandbox_permissions":"require_escalated","justification":"May I?"}"#;
    agent.peer(&["wake", "codex", "-m", call]);
    let asks = asked(&agent, "Would you like to run the following command?");
    assert!(asks["text"].as_array().is_some_and(|text| text.iter().any(|line| line == "$ touch made")), "{asks}");
    let told = agent.peer(&["answer", "codex", "Yes, proceed"]);
    assert!(told.starts_with("codex: chose 1. Yes, proceed; "), "{told}");
    agent.remembers(1, "CALL");
    assert!(agent.world.work().join("made").exists());
    agent.peer(&["stop", "codex"]);
}

/// The contents of all transcripts below a directory.
fn transcripts(dir: &Path) -> String {
    let entries = |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let files: Vec<PathBuf> = entries(dir).flat_map(|project| entries(&project).collect::<Vec<_>>()).collect();
    files.iter().filter_map(|file| std::fs::read_to_string(file).ok()).collect()
}
