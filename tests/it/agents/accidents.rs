//! What happens to real agents: their server stands still in the middle of a message, their folder is another one, their
//! account is missing. Run by `scripts/test-agents`.

use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use peer_adapters::runtime::RuntimeKind;

use crate::common::real_agent::Agent;
use crate::common::run::output;
use crate::common::said::said;
use crate::common::{on_each_runtime, signal, stop, wait_until};

on_each_runtime! {
    #[ignore = "run by scripts/test-agents, which brings the agents and cuts them off from the network"]
    claude_whose_server_stands_still_before_the_enter_gets_each_message_once
}

/// What stands in the composer then is no person's draft, and what the server does later is not done again.
fn claude_whose_server_stands_still_before_the_enter_gets_each_message_once(on: RuntimeKind) {
    let agent = Agent::new("claude", on, &[]);
    agent.peer(&["wake", "claude", "-m", "the first message"]);
    agent.remembers(1, "the first message");
    let config = agent.world.path("config/config.toml");
    let text = std::fs::read_to_string(&config).expect("readable");
    std::fs::write(&config, text.replace("30s", "4s")).expect("written");
    agent.world.profile("claude", "extends = \"claude\"\ndescription = \"slow\"\nmessage.settle = \"3s\"\n");
    let sender = agent.command(&["send", "claude", "said once"]).stderr(Stdio::piped()).spawn().expect("peer runs");
    let typed = || agent.world.screen("claude").lines().any(|line| line.starts_with("❯") && line.contains("said once"));
    wait_until("it is typed", typed);
    let server = agent.world.server_of("claude").pid;
    stop(server);
    let output = output(sender);
    assert!(!output.status.success(), "{output:?}");
    signal(server, Signal::SIGCONT);
    agent.world.profile("claude", "extends = \"claude\"\ndescription = \"as before\"\n");
    agent.peer(&["send", "claude", "and now"]);
    agent.peer(&["wait", "claude", "--timeout", "1m"]);
    let count = |text: &str| said(&agent).iter().filter(|one| one.trim() == text).count();
    assert!(count("said once") <= 1 && count("and now") == 1, "{output:?}: {:?}", said(&agent));
    if count("said once") == 0 {
        agent.peer(&["send", "claude", "said once"]);
        wait_until("it is said", || count("said once") == 1);
    }
    agent.peer(&["stop", "claude"]);
}

/// Codex asks which folder is the right one, and nobody waits for it to be ready.
#[test]
#[ignore = "run by scripts/test-agents, which brings the agents and cuts them off from the network"]
fn codex_that_is_resumed_in_another_folder_says_what_it_waits_for() {
    let agent = Agent::new("codex", RuntimeKind::Tmux, &[]);
    agent.peer(&["wake", "codex", "-m", "the first message"]);
    agent.remembers(1, "the first message");
    agent.peer(&["stop", "codex"]);
    agent.peer(&["start", "codex"]);
    let (work, other) = (agent.world.work(), agent.world.path("other"));
    std::fs::create_dir(&other).expect("made");
    let trusts = agent.world.path("home/.codex/config.toml");
    let before = std::fs::read_to_string(&trusts).expect("agent-home has made it");
    let trusted = format!("{before}[projects.{:?}]\ntrust_level = \"trusted\"\n", other.display().to_string());
    std::fs::write(&trusts, trusted).expect("written");
    let path = agent.world.path("config/peers/codex.toml");
    let spec = std::fs::read_to_string(&path).expect("readable");
    let cwd = |dir: &std::path::Path| format!("cwd = {:?}", dir.display().to_string());
    std::fs::write(&path, spec.replace(&cwd(&work), &cwd(&other))).expect("written");
    let question = "Which working directory: the session's, or the current one?";
    for (verb, code) in [(&["wake", "codex", "-m", "not typed"][..], 5), (&["send", "codex", "not typed"], 5)] {
        let asked = Instant::now();
        let refused = agent.run(verb);
        let told = String::from_utf8_lossy(&refused.stderr);
        assert!(refused.status.code() == Some(code) && told.contains(question), "{refused:?}");
        assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    }
    assert_eq!(agent.peer(&["list", "codex", "--format", "{state}"]).trim(), "waiting");
    agent.peer(&["answer", "codex", "Use current directory"]);
    agent.peer(&["send", "codex", "after the answer"]);
    agent.remembers(2, "after the answer");
    agent.peer(&["stop", "codex"]);
}

/// A timer or another shell lacks its account.
#[test]
#[ignore = "run by scripts/test-agents, which brings the agents and cuts them off from the network"]
fn codex_that_is_woken_without_its_key_is_told_of_and_has_it_once_it_is_kept() {
    let agent = Agent::new("codex", RuntimeKind::Tmux, &[]);
    agent.peer(&["wake", "codex", "-m", "the first message"]);
    agent.remembers(1, "the first message");
    let restarted = |args: &[&str]| {
        agent.peer(&["stop", "codex"]);
        agent.peer(&["start", "codex"]);
        let run = agent.run_elsewhere(args);
        assert!(run.status.success(), "{run:?}\n{}", agent.log());
        String::from_utf8(run.stderr).expect("utf-8")
    };
    let told = restarted(&["wake", "codex"]);
    let names = "it is started without OPENAI_API_KEY, OPENAI_BASE_URL, which its agent depends on";
    let cure = ["add", "codex", "--keep-env", "OPENAI_API_KEY,OPENAI_BASE_URL"];
    assert!(told.contains(names) && told.contains(&format!("peer {}", cure.join(" "))), "{told}");
    let kept = agent.peer(&cure);
    assert!(kept.ends_with("; keeps OPENAI_API_KEY, OPENAI_BASE_URL\n"), "{kept}");
    assert_eq!(restarted(&["wake", "codex", "-m", "from elsewhere"]), "");
    agent.remembers(2, "from elsewhere");
    agent.peer(&["stop", "codex"]);
}
