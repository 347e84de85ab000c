//! The reports that real agents make by their own hooks. Run by `scripts/test-agents`.

use std::fs;

use crate::common::real_agent::Agent;
use crate::common::{on_each_runtime, wait_for, wait_until};
use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};

on_each_runtime! {
    #[ignore = "run by scripts/test-agents, which brings the agents and cuts them off from the network"]
    claude_reports_its_turns
    claude_reports_a_question_with_its_words
    claude_reports_another_conversation
    codex_reports_its_turns
    pi_reports_its_turns
    pi_reports_another_conversation
    claude_keeps_a_persons_own_settings
}

const TOUCH: &str = r#"CALL Bash {"command":"touch made","description":"Make a file"}"#;

/// Returns the turn events, in order.
fn turns(agent: &Agent) -> Vec<Value> {
    let log = agent.world.log().into_iter();
    log.filter(|event| event["event"].as_str().is_some_and(|name| name.starts_with("turn."))).collect()
}

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["event"].as_str()).collect()
}

/// Runs three turns, one of them with a tool, and checks the events that are logged for them.
fn reports_turns(agent: &Agent, tool: &str, of_each: &[&str]) {
    let name = agent.name;
    agent.peer(&["wake", name, "-m", "the first message"]);
    wait_until("the first turn is told", || turns(agent).len() == of_each.len());
    let call = format!("CALL {tool} {{\"command\":\"echo hi\",\"cmd\":\"echo hi\",\"description\":\"Say hi\"}}");
    for (number, text) in [(2, call.as_str()), (3, "SAY one")] {
        agent.peer(&["send", name, text]);
        wait_until("the next turn is told", || turns(agent).len() == number * of_each.len());
    }
    agent.peer(&["wait", name]);
    let told = turns(agent);
    assert_eq!(names(&told), of_each.repeat(3), "{told:?}");
    assert!(told.iter().all(|event| event["witness"] == "hook"), "{told:?}");
    let finished: Vec<&Value> = told.iter().filter(|event| event["event"] == "turn.finished").collect();
    assert!(finished.iter().all(|event| event["answered"] == true && event["duration_ms"].is_u64()), "{finished:?}");
    assert!(!agent.world.path("state/heartbeat.json").exists(), "no tick told of it");
    lateness(agent, &finished);
    agent.peer(&["stop", name]);
}

/// Prints the delay between a turn's last transcript entry and the event of its end. For docs/performance.md; not
/// asserted.
fn lateness(agent: &Agent, finished: &[&Value]) {
    let time = |text: &Value| text.as_str()?.parse::<jiff::Timestamp>().ok();
    let told = agent.peer(&["transcript", agent.name, "--json"]);
    let said = told.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let answers: Vec<_> = said.filter(|one| one["role"] == "assistant").filter_map(|one| time(&one["at"])).collect();
    for event in finished {
        let Some(ended) = time(&event["ts"]) else { continue };
        let Some(answered) = answers.iter().filter(|at| **at <= ended).max() else { continue };
        let late = ended.as_millisecond() - answered.as_millisecond();
        eprintln!(
            "{} on {}: a turn's end was told {late} ms behind its answer",
            agent.name,
            agent.world.kind().as_str()
        );
    }
}

const BOTH: &[&str] = &["turn.started", "turn.finished"];

fn claude_reports_its_turns(on: RuntimeKind) {
    reports_turns(&Agent::new("claude", on, &[]), "Bash", BOTH);
}

fn codex_reports_its_turns(on: RuntimeKind) {
    reports_turns(&Agent::new("codex", on, &[]), "exec_command", &["turn.finished"]);
}

fn pi_reports_its_turns(on: RuntimeKind) {
    reports_turns(&Agent::new("pi", on, &["--model", "mock/mock"]), "bash", BOTH);
}

fn claude_reports_a_question_with_its_words(on: RuntimeKind) {
    let agent = Agent::new("claude", on, &["--permission-mode", "default"]);
    let heard = agent.world.path("heard");
    agent.world.configure(&format!(
        "\n[[hook]]\non = [\"agent.waiting\"]\ncommand = [\"/bin/sh\", \"-c\", \"cat >>{}\"]\n",
        heard.display()
    ));
    agent.peer(&["wake", "claude", "-m", TOUCH]);
    let event = wait_for("it is told", || agent.world.events("claude", "agent.waiting").pop());
    assert_eq!((&event["cause"], &event["witness"]), (&json!("permission"), &json!("hook")));
    wait_until("a person's hook has the question", || {
        fs::read_to_string(&heard).is_ok_and(|text| text.contains(r#""question":"Do you want to proceed?""#))
    });
    assert!(!agent.log().contains("Do you want"), "{}", agent.log());
    let row = &serde_json::from_str::<Value>(&agent.peer(&["list", "--json"])).expect("a document")["peers"][0];
    assert_eq!(
        (&row["state"], &row["waiting_for"], &row["question"]),
        (&json!("waiting"), &json!("permission"), &json!("Do you want to proceed?"))
    );
    assert!(agent.peer(&["list"]).contains("permission: Do you want to proceed?"));
    assert!(agent.peer(&["status", "claude"]).contains("Needs you: Do you want to proceed?"));
    agent.peer(&["answer", "claude", "yes"]);
    wait_until("its turn is over", || names(&turns(&agent)).last() == Some(&"turn.finished"));
    assert!(agent.world.work().join("made").exists());
    assert_eq!(agent.world.events("claude", "agent.waiting").len(), 1);
    // A question by the agent's own tool, and then the first question again.
    let call = r#"CALL AskUserQuestion {"questions":[{"question":"Which colour?","header":"Colour","multiSelect":false,"options":[{"label":"red","description":"warm"},{"label":"blue","description":"cold"}]}]}"#;
    agent.peer(&["send", "claude", call]);
    wait_until("it is told", || agent.world.events("claude", "agent.waiting").len() == 2);
    assert_eq!(agent.world.events("claude", "agent.waiting")[1]["cause"], "question");
    agent.peer(&["answer", "claude", "blue"]);
    agent.peer(&["wait", "claude"]);
    agent.peer(&["send", "claude", &TOUCH.replace("made", "more")]);
    wait_until("the same is asked again", || agent.world.events("claude", "agent.waiting").len() == 3);
    agent.peer(&["answer", "claude", "yes"]);
    agent.peer(&["wait", "claude"]);
    agent.peer(&["stop", "claude"]);
}

fn claude_reports_another_conversation(on: RuntimeKind) {
    reports_another(&Agent::new("claude", on, &[]), "/clear");
}

fn pi_reports_another_conversation(on: RuntimeKind) {
    reports_another(&Agent::new("pi", on, &["--model", "mock/mock"]), "/new");
}

fn reports_another(agent: &Agent, command: &str) {
    let name = agent.name;
    agent.peer(&["wake", name, "-m", "the first message"]);
    agent.peer(&["wait", name]);
    let before = agent.world.conversation(name);
    agent.type_by_hand(command);
    let event = wait_for("it is told", || agent.world.events(name, "conversation.changed").pop());
    assert_eq!((&event["previous"], &event["witness"]), (&json!(before), &json!("hook")));
    assert_ne!(event["conversation"], json!(before));
    agent.peer(&["stop", name]);
}

fn claude_keeps_a_persons_own_settings(on: RuntimeKind) {
    let told = "mine";
    let settings =
        json!({ "hooks": { "Stop": [{ "hooks": [{ "type": "command", "command": format!("touch {told}") }] }] } });
    let agent = Agent::new("claude", on, &["--settings", &settings.to_string()]);
    let woken = agent.run(&["wake", "claude", "-m", "hello"]);
    let said = String::from_utf8_lossy(&woken.stderr);
    assert!(woken.status.success() && said.contains("its own --settings is kept"), "{woken:?}");
    wait_until("the person's own hook ran", || agent.world.work().join(told).exists());
    agent.peer(&["wait", "claude"]);
    assert!(turns(&agent).is_empty(), "{:?}", turns(&agent));
    agent.peer(&["stop", "claude"]);
}
