//! The transcripts of the real agents show what the agents were told and what they answered. Run by
//! `scripts/test-agents`.

use crate::common::mock_model;
use crate::common::real_agent::Agent;
use crate::common::{on_each_runtime, wait_until};
use peer_adapters::runtime::RuntimeKind;
use serde_json::Value;

on_each_runtime! {
    #[ignore = "run by scripts/test-agents, which brings the agents and cuts them off from the network"]
    claude_tells_what_it_answered
    codex_tells_what_it_answered
    pi_tells_what_it_answered
    opencode_tells_what_it_answered
    claude_answers_each_of_those_who_ask_at_once
    codex_answers_each_of_those_who_ask_at_once
    pi_answers_each_of_those_who_ask_at_once
    opencode_answers_each_of_those_who_ask_at_once
}

fn claude_tells_what_it_answered(on: RuntimeKind) {
    tells_what_it_answered(&Agent::new("claude", on, &[]), "Bash");
}

fn codex_tells_what_it_answered(on: RuntimeKind) {
    tells_what_it_answered(&Agent::new("codex", on, &[]), "exec_command");
}

fn pi_tells_what_it_answered(on: RuntimeKind) {
    tells_what_it_answered(&Agent::new("pi", on, &["--model", "mock/mock"]), "bash");
}

fn opencode_tells_what_it_answered(on: RuntimeKind) {
    tells_what_it_answered(&Agent::new("opencode", on, &[]), "bash");
}

fn claude_answers_each_of_those_who_ask_at_once(on: RuntimeKind) {
    answers_each(&Agent::new("claude", on, &[]));
}

fn codex_answers_each_of_those_who_ask_at_once(on: RuntimeKind) {
    answers_each(&Agent::new("codex", on, &[]));
}

fn pi_answers_each_of_those_who_ask_at_once(on: RuntimeKind) {
    answers_each(&Agent::new("pi", on, &["--model", "mock/mock"]));
}

fn opencode_answers_each_of_those_who_ask_at_once(on: RuntimeKind) {
    answers_each(&Agent::new("opencode", on, &[]));
}

/// Sends 20 messages from 5 senders, the first ones during the turn of another message.
fn answers_each(agent: &Agent) {
    let name = agent.name;
    let hold = format!("HOLD {name}-{}", agent.world.kind().as_str());
    agent.peer(&["wake", name, "-m", &hold]);
    std::thread::scope(|scope| {
        for sender in 0..5 {
            scope.spawn(move || {
                for number in 0..4 {
                    let text = format!("SAY {sender} of {number} it is");
                    let answer = agent.peer(&["send", name, "-w", &text, "--timeout", "5m"]);
                    assert_eq!(answer, format!("{sender} of {number} it is\n"));
                }
            });
        }
        wait_until("the first message is typed behind it", || agent.world.screen(name).contains(" of 0 it is"));
        mock_model::release(hold.trim_start_matches("HOLD "));
    });
    agent.peer(&["wait", name, "--timeout", "1m"]);
    agent.peer(&["stop", name]);
}

fn tells_what_it_answered(agent: &Agent, tool: &str) {
    let name = agent.name;
    agent.peer(&["wake", name, "-m", "the first message"]);
    let last = || String::from_utf8(agent.run(&["last", name]).stdout).expect("text");
    wait_until("it has answered", || last().ends_with(" turns=1: the first message\n"));
    let call = format!("CALL {tool} {{\"command\":\"echo hi\",\"cmd\":\"echo hi\",\"description\":\"Say hi\"}}");
    agent.peer(&["send", name, &call]);
    wait_until("it has answered behind a tool call", || last().contains(" turns=2: CALL "));
    agent.peer(&["send", name, "SAY one line\n\tand another"]);
    let over = || {
        let run = agent.run(&["last", name, "-n", "3", "--json"]);
        let told = serde_json::from_slice::<Value>(&run.stdout).unwrap_or_default()["answers"].clone();
        let answers = told.as_array().cloned().unwrap_or_default();
        (answers.len() == 3 && answers.iter().all(|answer| answer["over"] == true)).then_some(answers)
    };
    wait_until("three turns are over", || over().is_some());
    let answers = over().expect("they were");
    assert!(answers[2]["text"].as_str().is_some_and(|text| text.starts_with("one line\n")), "{answers:?}");
    assert!(answers.iter().all(|answer| answer["tokens"]["output"].as_u64() >= Some(10)), "{answers:?}");
    agent.peer(&["stop", name]);
    assert!(last().starts_with("one line\n"), "of one that has ended too");
    let told = agent.peer(&["transcript", name, "--json"]);
    let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let said = |role: &str| told.iter().filter(|one| one["role"] == role && one["at"].is_string()).count();
    assert_eq!((said("user"), said("assistant")), (3, 3), "{told:?}");
    assert_eq!(told[0]["text"], "the first message");
}
