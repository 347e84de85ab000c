//! What real agents were seen to survive, and have to: a mode of the keyboard, a transcript that is removed, a job in the
//! background. Run by `scripts/test-agents`.

use crate::common::real_agent::Agent;
use crate::common::{on_each_runtime, wait_until};
use peer_adapters::runtime::RuntimeKind;

on_each_runtime! {
    #[ignore = "run by scripts/test-agents, which brings the agents and cuts them off from the network"]
    claude_in_vim_mode_takes_messages
    claude_whose_shell_runs_in_the_background_is_not_parked
    claude_whose_transcript_is_removed_takes_messages
    pi_whose_transcript_is_removed_takes_messages
}

fn claude_in_vim_mode_takes_messages(on: RuntimeKind) {
    let agent = Agent::new("claude", on, &[]);
    let config = agent.world.path("home/.claude.json");
    let text = std::fs::read_to_string(&config).expect("agent-home has made it");
    std::fs::write(&config, text.replacen('{', r#"{"editorMode":"vim","#, 1)).expect("written");
    agent.peer(&["wake", "claude", "-m", "the first message"]);
    agent.remembers(1, "the first message");
    assert!(agent.peer(&["screen", "claude"]).contains("INSERT"), "{}", agent.peer(&["screen", "claude"]));
    // A word of its commands, and several lines.
    agent.peer(&["send", "claude", "dd is no command\n:wq neither\nio"]);
    agent.remembers(2, "dd is no command");
    agent.peer(&["stop", "claude"]);
}

/// The turn is over, and a command of it goes on.
fn claude_whose_shell_runs_in_the_background_is_not_parked(on: RuntimeKind) {
    let agent = Agent::new("claude", on, &["--allowedTools", "Bash"]);
    agent.world.set_in_spec("claude", "idle_timeout = \"2s\"");
    let end = agent.world.work().join("end");
    let call = r#"CALL Bash {"command":"while [ ! -e end ]; do sleep 0.2; done","description":"Wait","run_in_background":true}"#;
    agent.peer(&["wake", "claude", "-m", call]);
    agent.remembers(1, "CALL Bash");
    let over = std::time::Instant::now();
    while over.elapsed().as_secs() < 8 {
        assert_eq!(agent.peer(&["reap"]), "", "{}", agent.peer(&["status", "claude"]));
    }
    std::fs::write(end, "").expect("written");
    wait_until("it is parked", || agent.peer(&["reap"]).contains("parked") || !agent.world.has("claude", "session"));
    assert_eq!(agent.world.end("claude")["cause"], "idle-reaped");
}

fn takes_messages_without_transcript(name: &'static str, on: RuntimeKind, words: &[&str]) {
    let agent = Agent::new(name, on, words);
    agent.peer(&["wake", name, "-m", "the first message"]);
    agent.remembers(1, "the first message");
    let path = agent.peer(&["transcript", name, "--path"]);
    std::fs::remove_file(path.trim()).expect("its transcript");
    assert_eq!(agent.peer(&["send", name, "more"]), format!("{name}: already awake; message delivered\n"));
    agent.remembers(2, "more");
    agent.peer(&["stop", name]);
}

fn claude_whose_transcript_is_removed_takes_messages(on: RuntimeKind) {
    takes_messages_without_transcript("claude", on, &[]);
}

fn pi_whose_transcript_is_removed_takes_messages(on: RuntimeKind) {
    takes_messages_without_transcript("pi", on, &["--model", "mock/mock"]);
}
