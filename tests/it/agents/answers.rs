//! Questions of the real Claude Code and Codex, answered by `peer answer` with labels of rows, to their end.

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
    claude_is_told_all_that_was_answered_to_several_questions
    claude_is_told_what_was_chosen_beside_previews
    claude_goes_on_with_the_plan_that_is_approved
    claude_is_trusted_by_an_answer
    codex_may_what_is_answered_by_label
    codex_is_told_all_that_was_answered_to_several_questions
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
    assert_eq!(labels(&asks)[..3], ["red", "blue", "green"]);
    let told = agent.peer(&["answer", "claude", "green"]);
    assert!(told.starts_with("claude: chose 3. green; "), "{told}");
    agent.remembers(1, "CALL");
    let written = transcripts(&agent.world.path("home/.claude/projects"));
    assert!(written.contains(r#""Which colour?":"green""#), "{written}");
    agent.peer(&["stop", "claude"]);
}

const SEVERAL: &str = r#"CALL AskUserQuestion {"questions":[{"question":"Which features?","header":"Features","multiSelect":true,"options":[{"label":"Auth","description":"login"},{"label":"Search","description":"find"},{"label":"Mail","description":"send"}]},{"question":"Which library?","header":"Library","multiSelect":false,"options":[{"label":"axum","description":"web"},{"label":"hyper","description":"low"}]},{"question":"Choose the days","header":"Days","multiSelect":true,"options":[{"label":"Monday","description":"first"},{"label":"Friday","description":"last"}]}]}"#;

/// Every page is asked in the output of the answer before it, and each row that goes on is chosen by its label.
fn claude_is_told_all_that_was_answered_to_several_questions(on: RuntimeKind) {
    let agent = Agent::new("claude", on, &[]);
    agent.peer(&["wake", "claude", "-m", SEVERAL]);
    let asks = asked(&agent, "Which features?");
    assert_eq!(labels(&asks)[..4], ["Auth", "Search", "Mail", "Type something"]);
    let says = |choice: &str, first: &str| {
        let told = agent.peer(&["answer", "claude", choice]);
        assert_eq!(told.lines().next(), Some(first), "{choice}: {told}");
        told
    };
    let own = agent.run(&["answer", "claude", "4"]);
    assert_eq!(own.status.code(), Some(7), "{own:?}");
    let told = says("Mail", "claude: ticked 3. Mail; it asks: Which features?");
    assert!(told.contains("\n  > 3. [x] Mail\n         send\n    4. [ ] Type something\n       "), "{told}");
    says("1", "claude: ticked 1. Auth; it asks: Which features?");
    says("mail", "claude: unticked 3. Mail; it asks: Which features?");
    let further = if told.contains("       Next\n") { "Next" } else { "Submit" };
    let told = says(further, &format!("claude: chose {further}; it asks: Which library?"));
    assert!(told.contains("\n  > 1. axum\n         web\n    2. hyper\n         low\n"), "{told}");
    says("hyper", "claude: chose 2. hyper; it asks: Choose the days");
    says("Friday", "claude: ticked 2. Friday; it asks: Choose the days");
    let told = says("Submit", "claude: chose Submit; it asks: Review your answers");
    assert!(told.contains("→ Friday\n") && told.contains("\n  > 1. Submit answers\n    2. Cancel\n"), "{told}");
    let told = agent.peer(&["answer", "claude", "Submit answers"]);
    // Its turn may be over by then.
    assert!(told.starts_with("claude: chose 1. Submit answers; it "), "{told}");
    agent.remembers(1, "CALL");
    let screen = agent.peer(&["screen", "claude"]);
    for answer in ["Which features? → Auth\n", "Which library? → hyper\n", "Choose the days → Friday\n"] {
        assert!(screen.contains(answer), "{answer}: {screen}");
    }
    agent.peer(&["stop", "claude"]);
}

fn claude_is_told_what_was_chosen_beside_previews(on: RuntimeKind) {
    let agent = Agent::new("claude", on, &[]);
    let call = r#"CALL AskUserQuestion {"questions":[{"question":"Choose a layout","header":"Layout","multiSelect":false,"options":[{"label":"Rows","description":"rows","preview":"+--+\n|  |\n+--+"},{"label":"Columns","description":"columns","preview":"| |\n| |"}]}]}"#;
    agent.peer(&["wake", "claude", "-m", call]);
    let asks = asked(&agent, "Choose a layout");
    assert_eq!(labels(&asks), ["Rows", "Columns", "Chat about this"]);
    let told = agent.peer(&["answer", "claude", "Columns"]);
    assert!(told.starts_with("claude: chose 2. Columns; "), "{told}");
    agent.remembers(1, "CALL");
    let screen = agent.peer(&["screen", "claude"]);
    assert!(screen.contains("Choose a layout → Columns"), "{screen}");
    agent.peer(&["stop", "claude"]);
}

fn claude_goes_on_with_the_plan_that_is_approved(on: RuntimeKind) {
    let agent = Agent::new("claude", on, &["--permission-mode", "plan"]);
    agent.peer(&["wake", "claude", "-m", r#"CALL ExitPlanMode {"plan":"Do it"}"#]);
    // It finds no file with a plan.
    asked(&agent, "Exit plan mode?");
    let told = agent.peer(&["answer", "claude", "No"]);
    assert!(told.starts_with("claude: chose 2. No; "), "{told}");
    let written = transcripts(&agent.world.path("home/.claude/projects"));
    let plan = written
        .split(['"', ' ', '\n'])
        .find(|word| word.contains("/.claude/plans/") && word.strip_suffix(".md").is_some());
    let plan = PathBuf::from(plan.expect("the path of its plan"));
    std::fs::create_dir_all(plan.parent().expect("a directory")).expect("a directory");
    std::fs::write(plan, "# Plan\n\n1. Do this\n2. Do that\n").expect("a plan");
    agent.peer(&["send", "claude", r#"CALL ExitPlanMode {"plan":"Do it"}"#]);
    let asks = asked(&agent, "Claude has written up a plan and is ready to execute. Would you like to proceed?");
    let told = agent.peer(&["answer", "claude", "Yes, manually approve edits"]);
    assert!(told.starts_with("claude: chose 2. Yes, manually approve edits; "), "{asks}\n{told}");
    wait_until("it is approved", || agent.peer(&["screen", "claude"]).contains("Approved Claude's plan"));
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

fn codex_is_told_all_that_was_answered_to_several_questions(on: RuntimeKind) {
    let agent = Agent::new("codex", on, &["-c", "features.default_mode_request_user_input=true"]);
    let call = r#"CALL request_user_input {"questions":[{"id":"lib","question":"Which library?","header":"Library","options":[{"label":"axum","description":"web"},{"label":"hyper","description":"low"}]},{"id":"feat","question":"Which features?","header":"Features","options":[{"label":"Auth","description":"login"},{"label":"Mail","description":"send"}]}]}"#;
    agent.peer(&["wake", "codex", "-m", call]);
    let asks = asked(&agent, "Which library?");
    assert_eq!(labels(&asks), ["axum", "hyper", "None of the above"]);
    let told = agent.peer(&["answer", "codex", "hyper"]);
    assert!(told.starts_with("codex: chose 2. hyper; it asks: Which features?\n"), "{told}");
    assert!(told.ends_with("  > 1. Auth\n    2. Mail\n    3. None of the above\n"), "{told}");
    let told = agent.peer(&["answer", "codex", "Mail"]);
    assert!(told.starts_with("codex: chose 2. Mail; "), "{told}");
    agent.remembers(1, "CALL");
    let screen = agent.peer(&["screen", "codex"]);
    assert!(screen.contains("answer: hyper") && screen.contains("answer: Mail"), "{screen}");
    agent.peer(&["stop", "codex"]);
}

fn labels(asks: &Value) -> Vec<&str> {
    asks["rows"].as_array().into_iter().flatten().filter_map(|row| row["label"].as_str()).collect()
}

/// The contents of all transcripts below a directory.
fn transcripts(dir: &Path) -> String {
    let entries = |dir: &Path| std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let files: Vec<PathBuf> = entries(dir).flat_map(|project| entries(&project).collect::<Vec<_>>()).collect();
    files.iter().filter_map(|file| std::fs::read_to_string(file).ok()).collect()
}
