//! Peers that run the demo agent, which has a composer, a transcript and conversations that can be resumed.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::World;

/// The demo agent's program: cargo puts examples beside the binary under test.
pub(crate) fn program() -> PathBuf {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_peer")).with_file_name("examples").join("demo_agent");
    assert!(program.exists(), "build it first: cargo build --examples");
    program
}

impl World {
    /// Declares a peer that runs the demo agent with these arguments.
    #[track_caller]
    pub(crate) fn demo(&self, name: &str, words: &[&str]) {
        self.demo_with(name, &[], words);
    }

    /// Declares it with more flags for `peer add`.
    #[track_caller]
    pub(crate) fn demo_with(&self, name: &str, flags: &[&str], words: &[&str]) {
        self.demo_behind(name, flags, &[], words);
    }

    /// Declares it in a pane that can be scrolled back: some hundred lines are above the agent.
    #[track_caller]
    pub(crate) fn demo_with_history(&self, name: &str) {
        self.demo_behind(name, &[], &["/bin/sh", "-c", "seq -f 'line %g' 200; exec \"$@\"", "sh"], &[]);
    }

    /// Declares it as what the command `before` executes: these words come first.
    #[track_caller]
    pub(crate) fn demo_behind(&self, name: &str, flags: &[&str], before: &[&str], words: &[&str]) {
        if !self.path("config/agents/demo.toml").exists() {
            self.profile("demo", include_str!("../../../scripts/demo/agents/demo.toml"));
        }
        let program = program();
        let place = format!("CLAUDE_CONFIG_DIR={}", self.path("home/demo").display());
        let mut flags = flags.to_vec();
        flags.extend_from_slice(&["--agent", "demo", "--env", &place]);
        let argv = [before, &[program.to_str().expect("UTF-8")], words].concat();
        self.declare(name, &flags, &argv);
    }

    /// The recorded conversation, of the session or of the last end.
    #[track_caller]
    pub(crate) fn conversation(&self, name: &str) -> String {
        let record = self.session(name);
        let record = if record.is_null() { self.end(name) } else { record };
        record["conversation"].as_str().unwrap_or_else(|| panic!("no conversation: {record}")).to_owned()
    }

    /// The file of a conversation that the demo agent began in this world's directory.
    pub(crate) fn transcript_of(&self, conversation: &str) -> PathBuf {
        let slug: String = fs::canonicalize(self.work()).expect("it is there").display().to_string();
        let slug: String = slug.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        self.path(&format!("home/demo/projects/{slug}/{conversation}.jsonl"))
    }

    /// Writes a conversation with one message, as the agent would.
    pub(crate) fn transcript(&self, conversation: &str) {
        let path = self.transcript_of(conversation);
        fs::create_dir_all(path.parent().expect("it has one")).expect("made");
        let said =
            json!({ "type": "user", "sessionId": conversation, "message": { "role": "user", "content": "hello" } });
        fs::write(path, format!("{said}\n")).expect("write");
    }

    /// The user's messages in a conversation, in order, as the agent wrote them.
    pub(crate) fn said(&self, conversation: &str) -> Vec<String> {
        let text = fs::read_to_string(self.transcript_of(conversation)).unwrap_or_default();
        let records = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a record"));
        records
            .filter(|record| record["type"] == "user")
            .map(|record| record["message"]["content"].as_str().expect("text").to_owned())
            .collect()
    }
}
