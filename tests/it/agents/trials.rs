//! Repeated starts of the real agents that are not what they look like. Run manually, because they take hours:
//!
//! ```text
//! PEER_TRIALS=200 scripts/test-agents real_trials     # or real_trials_claude, trials::tmux, …
//! PEER_TRIALS_LOAD=0                                  # how many processes compete with slow starts (8), beside other work
//! ```
//!
//! No agent may be taken for ready before it is, and no message may be lost or delivered twice.

use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command};

use crate::common::real_agent::Agent;
use crate::common::said::said;
use crate::common::{killed, on_each_runtime, quoted, wait_for};
use peer_adapters::runtime::RuntimeKind;

on_each_runtime! {
    #[ignore = "run by scripts/test-agents with PEER_TRIALS, which brings the agents and cuts them off from the network"]
    real_trials_claude_refused_resumes
    real_trials_claude_slow_starts
    real_trials_claude_dialogs
    real_trials_codex_refused_resumes
    real_trials_codex_slow_starts
    real_trials_codex_dialogs
    real_trials_pi_slow_starts
    real_trials_pi_dialogs
    real_trials_opencode_refused_resumes
    real_trials_opencode_slow_starts
}

fn real_trials_claude_refused_resumes(on: RuntimeKind) {
    refused_resumes(&Agent::new("claude", on, &[]), "--resume");
}

fn real_trials_codex_refused_resumes(on: RuntimeKind) {
    refused_resumes(&Agent::new("codex", on, &[]), "resume");
}

fn real_trials_opencode_refused_resumes(on: RuntimeKind) {
    refused_resumes(&Agent::new("opencode", on, &[]), "--session");
}

fn real_trials_claude_slow_starts(on: RuntimeKind) {
    slow_starts(&Agent::new("claude", on, &[]));
}

fn real_trials_codex_slow_starts(on: RuntimeKind) {
    slow_starts(&Agent::new("codex", on, &[]));
}

fn real_trials_pi_slow_starts(on: RuntimeKind) {
    slow_starts(&Agent::new("pi", on, &["--model", "mock/mock"]));
}

fn real_trials_opencode_slow_starts(on: RuntimeKind) {
    slow_starts(&Agent::new("opencode", on, &[]));
}

/// The agent asks whether it may trust its folder.
fn real_trials_claude_dialogs(on: RuntimeKind) {
    dialogs(&Agent::with_flags("claude", on, &["--untrusted"], &[]));
}

/// The agent is not signed in.
fn real_trials_codex_dialogs(on: RuntimeKind) {
    let agent = Agent::new("codex", on, &[]);
    std::fs::remove_file(agent.world.path("home/.codex/config.toml")).expect("agent-home has made it");
    dialogs(&agent);
}

/// The agent knows no model.
fn real_trials_pi_dialogs(on: RuntimeKind) {
    let agent = Agent::new("pi", on, &[]);
    std::fs::remove_file(agent.world.path("home/.pi/agent/models.json")).expect("agent-home has made it");
    agent.world.set_in_spec("pi", "env = { OPENAI_API_KEY = \"\", ANTHROPIC_API_KEY = \"\" }");
    dialogs(&agent);
}

fn trials() -> usize {
    std::env::var("PEER_TRIALS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// The agent is told to resume a conversation that it does not know, in place of the one that it knows.
fn refused_resumes(agent: &Agent, word: &str) {
    let name = agent.name;
    agent.peer(&["wake", name, "-m", "the first message"]);
    agent.remembers(1, "the first message");
    agent.peer(&["stop", name]);
    let real = which::which(name).expect("on PATH");
    let script = agent.world.path("refuses");
    let unknown =
        if name == "opencode" { "ses_000000000000AAAAAAAAAAAAAA" } else { "00000000-0000-4000-8000-000000000000" };
    let text = format!(
        "#!/bin/bash\nwords=()\nfor word; do\n[ \"$last\" = {word} ] && word={unknown}\nwords+=(\"$word\")\nlast=$word\ndone\n\
         exec {} \"${{words[@]}}\"\n",
        real.display()
    );
    std::fs::write(&script, text).expect("written");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let path = agent.world.path(&format!("config/peers/{name}.toml"));
    let spec = std::fs::read_to_string(&path).expect("readable");
    std::fs::write(&path, spec.replace(&quoted(&real), &quoted(&script))).expect("written");
    for trial in 0..trials() {
        agent.peer(&["reset", name]);
        agent.peer(&["start", name]);
        let run = agent.run(&["wake", name, "--resume", "-m", &format!("not heard {trial}")]);
        assert_eq!(run.status.code(), Some(5), "trial {trial}: {run:?}\n{}", agent.log());
        assert_eq!(agent.world.events(name, "wake.ready").len(), 1, "trial {trial}: {}", agent.log());
        agent.peer(&["stop", name]);
    }
    assert_eq!(said(agent), ["the first message"]);
    println!("{name} on {}: {} refused resumes, none taken for ready", agent.world.kind().as_str(), trials());
}

/// Processes that each want a processor, until this is dropped.
struct Load(Vec<Child>);

impl Load {
    fn of(number: usize) -> Self {
        let busy = || Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("sh");
        Self((0..number).map(|_| busy()).collect())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.0 {
            killed(child);
        }
    }
}

/// Returns the machine's load average of the last minute.
fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").expect("readable");
    text.split(' ').next().and_then(|load| load.parse().ok()).expect("a number")
}

fn slow_starts(agent: &Agent) {
    let name = agent.name;
    let competing = std::env::var("PEER_TRIALS_LOAD").ok().and_then(|text| text.parse().ok()).unwrap_or(8);
    let load = Load::of(competing);
    let (mut all, mut least, mut most) = (Vec::new(), f64::MAX, 0.0_f64);
    for trial in 0..trials() {
        (least, most) = (least.min(load_average()), most.max(load_average()));
        let text = format!("slow start {trial}");
        let run = agent.run(&["wake", name, "--fresh", "-m", &text]);
        assert!(run.status.success(), "trial {trial}: {run:?}\n{}", agent.log());
        all.push(text);
        // pi writes a message down with its answer.
        wait_for("it is written down", || (said(agent).len() >= all.len()).then_some(()));
        let mut told = said(agent);
        told.sort_by_key(|text| text.rsplit(' ').next().and_then(|number| number.parse::<usize>().ok()));
        assert_eq!(told, all, "trial {trial}");
        agent.peer(&["stop", name]);
        agent.peer(&["start", name]);
    }
    drop(load);
    let (on, starts) = (agent.world.kind().as_str(), all.len());
    println!("{name} on {on}: {starts} starts under a load of {least} to {most}, each message once");
}

fn dialogs(agent: &Agent) {
    let name = agent.name;
    for trial in 0..trials() {
        let run = agent.run(&["wake", name, "--fresh", "-m", &format!("not heard {trial}")]);
        let told = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.code() == Some(5) && told.contains("needs a person"), "trial {trial}: {run:?}");
        assert!(agent.world.events(name, "wake.ready").is_empty(), "trial {trial}: {}", agent.log());
        agent.peer(&["stop", name]);
        agent.peer(&["start", name]);
    }
    assert!(said(agent).is_empty(), "{:?}", said(agent));
    println!("{name} on {}: {} starts with a dialog, none taken for ready", agent.world.kind().as_str(), trials());
}
