//! Real agents get `peer mcp` for one launch, and message other peers with it. Run by `scripts/test-agents`.

use std::fs;

use peer_adapters::runtime::RuntimeKind;
use serde_json::json;

use crate::common::real_agent::Agent;
use crate::common::{on_each_runtime, wait_until};

on_each_runtime! {
    #[ignore = "run by scripts/test-agents, which brings the agents and cuts them off from the network"]
    claude_asks_another_peer
    codex_asks_another_peer
    opencode_asks_another_peer
    claude_and_codex_hand_work_to_and_fro
    claude_and_opencode_hand_work_to_and_fro
}

fn claude_asks_another_peer(on: RuntimeKind) {
    // A server that the user's own arguments name is kept.
    let agent = Agent::new("claude", on, &["--mcp-config", "own.json", "--allowedTools", "mcp__peer"]);
    let started = agent.world.path("own-server-started");
    let own = json!({ "command": "sh", "args": ["-c", format!("touch {}; cat", started.display())] });
    fs::write(agent.world.work().join("own.json"), json!({ "mcpServers": { "own": own } }).to_string()).expect("write");
    asks_another_peer(&agent, "mcp__peer__");
    assert!(started.exists(), "the person's own server");
}

fn codex_asks_another_peer(on: RuntimeKind) {
    asks_another_peer(&Agent::new("codex", on, &["--dangerously-bypass-approvals-and-sandbox"]), "mcp__peer__");
}

fn opencode_asks_another_peer(on: RuntimeKind) {
    asks_another_peer(&Agent::new("opencode", on, &[]), "peer_");
}

fn asks_another_peer(agent: &Agent, tools: &str) {
    let (world, name) = (&agent.world, agent.name);
    world.demo("helper", &[]);
    world.set_in_spec(name, "mcp = true");
    let call = json!({ "name": "helper", "text": "how are you", "wait": true });
    let answer = agent.peer(&["wake", name, "-m", &format!("CALL {tools}send {call}")]);
    assert!(answer.ends_with("; message delivered\n"), "{answer}");
    wait_until("the other one is told", || !world.events("helper", "message.delivered").is_empty());
    let told = &world.events("helper", "message.delivered")[0];
    assert_eq!((&told["from"], &told["hops"]), (&json!(name), &json!(1)));
    let has_answer = || agent.peer(&["screen", name]).contains(&format!("turns=1: CALL {tools}send"));
    wait_until("it goes on behind the answer", has_answer);
    let home = world.path(&match name {
        "opencode" => "home/.local/share/opencode".to_owned(),
        name => format!("home/.{name}"),
    });
    wait_until("the answer is in its transcript", || holds(&home, "ack turns=1: how are you"));
    // Reading another peer needs `may` in the spec.
    agent.peer(&["send", name, &format!("CALL {tools}screen {{\"name\":\"helper\"}}")]);
    wait_until("it is refused, and told so", || holds(&home, "may not read helper"));
    agent.peer(&["stop", name]);
}

/// How often each of two agents hands the work to the other: `PEER_TEST_ROUNDS`, or 3.
fn rounds() -> usize {
    std::env::var("PEER_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

fn claude_and_codex_hand_work_to_and_fro(on: RuntimeKind) {
    let agent = Agent::new("claude", on, &["--allowedTools", "mcp__peer"]);
    agent.add("codex", on, &["--dangerously-bypass-approvals-and-sandbox"]);
    hand_to_and_fro(&agent, "codex");
}

fn claude_and_opencode_hand_work_to_and_fro(on: RuntimeKind) {
    let agent = Agent::new("claude", on, &["--allowedTools", "mcp__peer"]);
    agent.add("opencode", on, &[]);
    hand_to_and_fro(&agent, "opencode");
}

/// Two different agents work together without a person: each gets every message once and in order.
fn hand_to_and_fro(agent: &Agent, other: &str) {
    let (world, name, passes) = (&agent.world, agent.name, rounds() * 2);
    let config = fs::read_to_string(world.path("config/config.toml")).expect("read");
    fs::write(world.path("config/config.toml"), format!("max_hops = 0\n{config}")).expect("write");
    for peer in [name, other] {
        world.set_in_spec(peer, "mcp = true");
    }
    agent.peer(&["wake", name, "-m", &format!("PASS {passes} {name} {other}")]);
    let mut done = 0;
    while done < passes {
        // Each pass has its own deadline.
        wait_until(&format!("pass {done} of {passes}"), || {
            let delivered = |peer: &str| world.events(peer, "message.delivered").len();
            let now = delivered(name) + delivered(other) - 1;
            std::mem::replace(&mut done, now) < now
        });
    }
    let said = |peer: &str| -> Vec<String> {
        let read = agent.peer(&["transcript", peer, "--json"]);
        let lines = read.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        let by_user = lines.filter(|line| line["role"] == "user");
        by_user.map(|line| line["text"].as_str().expect("text").to_owned()).collect()
    };
    let of = |first: usize, own: &str, other: &str| -> Vec<String> {
        (0..=first).rev().step_by(2).map(|left| format!("PASS {left} {own} {other}")).collect()
    };
    wait_until("the last one is in the transcript", || {
        said(name).last().is_some_and(|last| last.starts_with("PASS 0 "))
    });
    assert_eq!(said(name), of(passes, name, other));
    assert_eq!(said(other), of(passes - 1, other, name));
    let from: Vec<_> = world.events(other, "message.delivered").iter().map(|event| event["from"].clone()).collect();
    assert_eq!(from, vec![json!(name); passes / 2]);
    for peer in [name, other] {
        agent.peer(&["stop", peer]);
    }
}

/// Whether any file below a directory contains this text.
fn holds(dir: &std::path::Path, text: &str) -> bool {
    fs::read_dir(dir).into_iter().flatten().flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            holds(&path, text)
        } else {
            fs::read(&path).is_ok_and(|b| String::from_utf8_lossy(&b).contains(text))
        }
    })
}
