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
