//! The real Claude Code, Codex, pi and opencode write down exactly what they are sent, once, or the message is refused
//! before anything is typed. Run by `scripts/test-agents` with a sample of the messages; `PEER_TEST_MESSAGES=all` takes
//! all, and a number all from that one on.

use crate::common::corpus;
use crate::common::real_agent::Agent;
use crate::common::said::said;
use crate::common::{on_each_runtime, wait_for};
use peer_adapters::runtime::RuntimeKind;
use unicode_normalization::UnicodeNormalization;

on_each_runtime! {
    #[ignore = "run by scripts/test-agents, which brings the agents and cuts them off from the network"]
    claude_has_exactly_what_was_said
    codex_has_exactly_what_was_said
    pi_has_exactly_what_was_said
    opencode_has_exactly_what_was_said
}

fn claude_has_exactly_what_was_said(on: RuntimeKind) {
    all_arrives(&Agent::new("claude", on, &[]));
}

fn codex_has_exactly_what_was_said(on: RuntimeKind) {
    all_arrives(&Agent::new("codex", on, &[]));
}

fn pi_has_exactly_what_was_said(on: RuntimeKind) {
    all_arrives(&Agent::new("pi", on, &["--model", "mock/mock"]));
}

fn opencode_has_exactly_what_was_said(on: RuntimeKind) {
    all_arrives(&Agent::new("opencode", on, &[]));
}

/// Returns the numbers of the messages to be sent.
fn asked(messages: &[String]) -> Vec<usize> {
    match std::env::var("PEER_TEST_MESSAGES").as_deref() {
        Ok("all") => (0..messages.len()).collect(),
        Ok(from) => (from.parse().expect("all, or the number of a message")..messages.len()).collect(),
        Err(_) => corpus::sample(messages),
    }
}

fn all_arrives(agent: &Agent) {
    let messages = corpus::corpus();
    agent.peer(&["wake", agent.name, "-m", "the first message"]);
    wait_for("the first one is written down", || (said(agent).len() == 1).then_some(()));
    let (mut exact, mut refused, mut wrong) = (0, 0, Vec::new());
    for number in asked(&messages) {
        let message = &messages[number];
        let before = said(agent).len();
        let file = agent.world.path("message");
        std::fs::write(&file, message).expect("written");
        let run = agent.run(&["send", agent.name, "--file", file.to_str().expect("text")]);
        let told = String::from_utf8_lossy(&run.stderr).into_owned();
        let is_refused = run.status.code() == Some(1) && told.contains("was not typed") || run.status.code() == Some(2);
        // pi writes a message down after accepting it.
        let new = if run.status.success() {
            wait_for("it is written down", || Some(said(agent)).filter(|said| said.len() > before))[before..].to_vec()
        } else {
            said(agent)[before..].to_vec()
        };
        // A message that is lost blocks all that follow.
        assert!(wrong.len() < 5, "{}", wrong.join("\n"));
        match &new[..] {
            [] if is_refused => refused += 1,
            [record] if run.status.success() && normal(agent.name, record) == normal(agent.name, message) => exact += 1,
            _ => {
                let shown = |text: &String| text.chars().take(80).collect::<String>();
                let (message, new) = (shown(message), new.iter().map(shown).collect::<Vec<_>>());
                let screen = agent.peer(&["screen", agent.name]);
                wrong.push(format!("{number} {message:?} became {new:?}, {:?}: {told}{screen}", run.status.code()));
            }
        }
    }
    println!(
        "{} on {}: {exact} exact, {refused} refused before typing, {} wrong",
        agent.name,
        agent.world.kind().as_str(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    agent.peer(&["stop", agent.name]);
}

/// Applies the changes that this agent was seen to make, and no others: indentation, blanks and empty lines stay as
/// sent.
fn normal(agent: &str, text: &str) -> String {
    let mut text = text.replace("\r\n", "\n");
    if matches!(agent, "claude" | "pi") {
        text = text.replace('\t', "    ");
    }
    if agent == "claude" {
        let composed: String = text.replace(['\u{2028}', '\u{2029}'], "\n").nfc().collect();
        let before = std::iter::once(' ').chain(composed.chars());
        let kept = before.zip(composed.chars()).filter(|(before, c)| !is_dropped(*before, *c));
        text = kept.map(|(_, c)| c).collect();
    }
    text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}').to_owned()
}

/// What Claude Code drops; a family of emoji and a heart in colour stay as they are.
fn is_dropped(before: char, c: char) -> bool {
    match c {
        '\u{200d}' | '\u{fe00}'..='\u{fe0f}' => before.is_alphabetic() || before == ' ',
        '\u{ad}'
        | '\u{34f}'
        | '\u{61c}'
        | '\u{115f}'
        | '\u{180e}'
        | '\u{3164}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' => true,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{e0000}'..='\u{e0fff}' => true,
        _ => false,
    }
}
