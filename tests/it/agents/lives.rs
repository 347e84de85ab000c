//! The real Claude Code, Codex, pi, opencode and Gemini CLI: woken, messaged, stopped, resumed and killed by `peer`,
//! without a network. Run by `scripts/test-agents`.
//!
//! The mock model answers with the number of user messages that it was sent (`turns=3`), so that a resume is proven by
//! what the agent remembers, not by a flag.

use crate::common::mock_model;
use crate::common::real_agent::Agent;
use crate::common::{World, on_each_runtime, wait_until};
use peer_adapters::agent::Profile;
use peer_adapters::process::{self, Family};
use peer_adapters::runtime::RuntimeKind;
use peer_adapters::transcript::Files;

on_each_runtime! {
    #[ignore = "run by scripts/test-agents, which brings the agents and cuts them off from the network"]
    claude_lives
    codex_lives
    pi_lives
    opencode_lives
    claude_that_did_not_boot_goes_on_where_it_was
    codex_that_did_not_boot_goes_on_where_it_was
    claude_asks_for_trust_and_only_the_spec_answers
    claude_is_parked_when_it_is_idle_and_never_in_a_long_turn
    claude_whose_subagent_is_at_work_is_not_parked
    two_codex_in_one_folder_keep_their_own_conversations
    gemini_that_loses_its_pane_leaves_no_process_behind
    claude_that_is_woken_without_its_key_is_told_of_and_has_it_once_it_is_kept
    opencode_in_which_a_person_has_a_window_open_is_not_typed_into
}

/// The life in the README: fresh, a message, stopped, resumed with its context, killed, fresh without it.
fn lives(name: &'static str, on: RuntimeKind, words: &[&str]) {
    let agent = Agent::new(name, on, words);
    let woken = agent.peer(&["wake", name, "-m", "the first message"]);
    assert_eq!(woken, format!("{name}: woken fresh (first-wake); message delivered\n"));
    agent.remembers(1, "the first message");
    let first = agent.world.conversations(name);

    // The answer is on file a moment before the agent says that its turn is over, and a stop in between would say so.
    agent.peer(&["wait", name]);
    assert_eq!(agent.peer(&["stop", name]), format!("{name}: parked and stopped\n"));
    agent.peer(&["start", name]);
    let woken = agent.peer(&["wake", name, "-m", "after the stop"]);
    assert_eq!(woken, format!("{name}: woken resumed (stopped); message delivered\n"));
    agent.remembers(2, "after the stop");
    assert_eq!(agent.world.conversations(name), first, "a resume is the same conversation");

    agent.kill();
    let woken = agent.peer(&["wake", name, "-m", "after the kill"]);
    assert_eq!(woken, format!("{name}: woken fresh (killed); message delivered\n"));
    agent.remembers(1, "after the kill");
    let ids = agent.world.conversations(name);
    assert_eq!(&ids[..first.len()], first, "an id is never lost");
    assert_eq!(ids.len(), first.len() + 1, "a fresh start is a new conversation");
    agent.peer(&["stop", name]);
}

fn claude_lives(on: RuntimeKind) {
    lives("claude", on, &[]);
}

fn codex_lives(on: RuntimeKind) {
    lives("codex", on, &[]);
}

fn pi_lives(on: RuntimeKind) {
    lives("pi", on, &["--model", "mock/mock"]);
}

fn opencode_lives(on: RuntimeKind) {
    lives("opencode", on, &[]);
}

/// The agent is parked, and then its program refuses to start three times: because of an unknown option, an invalid
/// configuration, and one with which it prints something and exits with 0. Repaired, the agent remembers.
fn boots_after_three_failures(name: &'static str, on: RuntimeKind, broken: [&str; 3]) {
    let agent = Agent::new(name, on, &[]);
    agent.peer(&["wake", name, "-m", "the first message"]);
    agent.remembers(1, "the first message");
    let ids = agent.world.conversations(name);
    agent.peer(&["stop", name]);
    agent.peer(&["start", name]);
    let path = agent.world.path(&format!("config/peers/{name}.toml"));
    let healthy = std::fs::read_to_string(&path).expect("readable");
    let program = format!("/{name}\"");
    assert_eq!(healthy.matches(&program).count(), 1, "{healthy}");
    for (number, word) in broken.into_iter().enumerate() {
        std::fs::write(&path, healthy.replace(&program, &format!("{program}, {word:?}"))).expect("written");
        let run = agent.run(&["wake", name, "-m", "not heard"]);
        assert_eq!(run.status.code(), Some(5), "{word}: {run:?}");
        let end = agent.world.await_end(name);
        assert_eq!((&end["unready"], &end["counted"]), (&true.into(), &true.into()), "{word}: {end}");
        assert_eq!((agent.world.deaths(name), &end["conversation"]), (number + 1, &ids[0].as_str().into()), "{end}");
    }
    std::fs::write(&path, healthy).expect("written");
    assert_eq!(
        agent.run(&["wake", name]).status.code(),
        Some(4),
        "three deaths are a crash loop, whatever they died of"
    );
    agent.peer(&["reset", name]);
    let woken = agent.peer(&["wake", name, "-m", "after the repair"]);
    assert_eq!(woken, format!("{name}: woken resumed (stopped); message delivered\n"));
    agent.remembers(2, "after the repair");
    assert_eq!(agent.world.conversations(name), ids, "it is the same conversation");
    agent.peer(&["stop", name]);
}

fn claude_that_is_woken_without_its_key_is_told_of_and_has_it_once_it_is_kept(on: RuntimeKind) {
    let agent = Agent::new("claude", on, &[]);
    agent.peer(&["wake", "claude", "-m", "the first message"]);
    agent.remembers(1, "the first message");
    let restarted = |args: &[&str]| {
        agent.peer(&["stop", "claude"]);
        agent.peer(&["start", "claude"]);
        let run = agent.run_elsewhere(args);
        assert!(run.status.success(), "{run:?}\n{}", agent.log());
        String::from_utf8(run.stderr).expect("utf-8")
    };
    let told = restarted(&["wake", "claude"]);
    let names = "it is started without ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL, which its agent depends on";
    let cure = ["add", "claude", "--keep-env", "ANTHROPIC_API_KEY,ANTHROPIC_BASE_URL"];
    assert!(told.contains(names) && told.contains(&format!("peer {}", cure.join(" "))), "{told}");
    agent.world.await_screen("claude", "Not logged in");
    let kept = agent.peer(&cure);
    assert!(kept.ends_with("; keeps ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL\n"), "{kept}");
    assert_eq!(restarted(&["wake", "claude", "-m", "from elsewhere"]), "");
    agent.remembers(2, "from elsewhere");
    agent.peer(&["stop", "claude"]);
}

/// Typed text would go into the window's search box, and the composer below it looks free.
fn opencode_in_which_a_person_has_a_window_open_is_not_typed_into(on: RuntimeKind) {
    let agent = Agent::new("opencode", on, &[]);
    agent.peer(&["wake", "opencode", "-m", "the first message"]);
    agent.remembers(1, "the first message");
    agent.type_by_hand("/sessions");
    wait_until("the window is open", || agent.peer(&["screen", "opencode"]).contains("rename ctrl+r"));
    let refused = agent.run(&["send", "opencode", "not typed"]);
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(7) && stderr.contains("a window is open"), "{refused:?}");
    assert!(!agent.peer(&["screen", "opencode"]).contains("not typed"), "nor searched for");
    agent.world.press("opencode", &["Escape"]);
    wait_until("the window is closed", || !agent.peer(&["screen", "opencode"]).contains("rename ctrl+r"));
    agent.peer(&["send", "opencode", "typed"]);
    agent.remembers(2, "typed");
    agent.peer(&["stop", "opencode"]);
}

fn claude_that_did_not_boot_goes_on_where_it_was(on: RuntimeKind) {
    boots_after_three_failures("claude", on, ["--no-such-option", "--settings=/nonexistent.json", "--version"]);
}

fn codex_that_did_not_boot_goes_on_where_it_was(on: RuntimeKind) {
    boots_after_three_failures("codex", on, ["--no-such-option", "--config=model=5", "--version"]);
}

fn claude_asks_for_trust_and_only_the_spec_answers(on: RuntimeKind) {
    let agent = Agent::with_flags("claude", on, &["--untrusted"], &[]);
    let refused = agent.run(&["wake", "claude"]);
    assert_eq!(refused.status.code(), Some(5), "{refused:?}");
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(stderr.contains("needs a person: Quick safety check"), "{stderr}");
    assert!(stderr.contains("accept = [\"trust-folder\"]"), "{stderr}");
    agent.world.set_in_spec("claude", "accept = [\"trust-folder\"]");
    let woken = agent.peer(&["wake", "claude", "-m", "hello"]);
    assert!(woken.ends_with("message delivered\n"), "{woken}");
    agent.remembers(1, "hello");
}

fn two_codex_in_one_folder_keep_their_own_conversations(on: RuntimeKind) {
    let one = Agent::new("codex", on, &[]);
    let cwd = one.world.work();
    let args = [
        "add",
        "other",
        "--agent",
        "codex",
        "--runtime",
        on.as_str(),
        "--cwd",
        cwd.to_str().expect("utf-8"),
        "--",
        "codex",
    ];
    one.peer(&args);
    one.peer(&["wake", "codex", "other"]);
    one.peer(&["send", "other", "to the other"]);
    one.peer(&["send", "codex", "to the one"]);
    let (a, b) = (one.world.conversations("codex"), one.world.conversations("other"));
    assert_eq!((a.len(), b.len()), (1, 1), "{a:?} {b:?}");
    assert_ne!(a, b);
    one.peer(&["stop", "codex", "other"]);
    one.peer(&["start", "codex", "other"]);
    one.peer(&["wake", "codex", "-m", "again to the one"]);
    one.remembers(2, "again to the one");
}

/// A turn of many times the idle timeout, in which only Claude Code's status file shows activity.
fn claude_is_parked_when_it_is_idle_and_never_in_a_long_turn(on: RuntimeKind) {
    let agent = Agent::new("claude", on, &[]);
    agent.world.set_in_spec("claude", "idle_timeout = \"2s\"");
    let turn = format!("long-turn-{}", on.as_str());
    agent.peer(&["wake", "claude", "-m", &format!("HOLD {turn} please")]);
    let (pid, accepted) = (agent.world.agent("claude"), std::time::Instant::now());
    let mut late = 0;
    wait_until("several ticks have come when its idle timeout was long over", || {
        assert_eq!(agent.peer(&["reap"]), "");
        late += u32::from(accepted.elapsed().as_secs() > 6);
        late > 4
    });
    mock_model::release(&turn);
    wait_until("its turn is over", || agent.peer(&["screen", "claude"]).contains("turns=1: HOLD"));
    let conversation = agent.world.conversation("claude");
    wait_until("it is parked", || agent.peer(&["reap"]).contains("parked") || !agent.world.has("claude", "session"));
    assert_eq!(agent.world.end("claude")["cause"], "idle-reaped");
    assert!(process::status(pid).expect("/proc").is_none());
    let woken = agent.peer(&["wake", "claude", "-m", "after the park"]);
    assert_eq!(woken, "claude: woken resumed (idle-reaped); message delivered\n");
    agent.remembers(2, "after the park");
    assert_eq!(agent.world.conversation("claude"), conversation);
    agent.peer(&["stop", "claude"]);
}

/// A subagent in the background: the turn is over, the conversation's own transcript does not change, and the work goes
/// on.
fn claude_whose_subagent_is_at_work_is_not_parked(on: RuntimeKind) {
    let agent = Agent::new("claude", on, &["--permission-mode", "default", "--allowedTools", "Agent,Read"]);
    agent.world.set_in_spec("claude", "idle_timeout = \"3s\"");
    agent.peer(&["wake", "claude", "-m", "SUBAGENT 10 please"]);
    // The user's message is on the screen too, but the model's own answer is not.
    let shows = |text: &str| agent.peer(&["screen", "claude"]).contains(text);
    wait_until("its turn is over", || shows("turns=1: SUBAGENT 10"));
    let (over, id) = (std::time::SystemTime::now(), agent.world.conversation("claude"));
    let profile = Profile::builtin("claude").expect("built in");
    let home = agent.world.path("home");
    let cwd = agent.world.work().canonicalize().expect("it is there");
    let files = Files { profile: &profile, home: &home, env: &|_| None, cwd: &cwd };
    let mut later = 0;
    wait_until("its subagent has finished", || {
        // Checked before the tick, so that a subagent that ends between the two is not taken for one at work.
        let finished = shows("finished");
        let said = agent.peer(&["reap"]);
        assert!(finished || said.is_empty(), "{said}");
        let child = files.child_activity(&id, over).expect("readable");
        later +=
            u32::from(!finished && said.is_empty() && child.is_some() && over.elapsed().expect("later").as_secs() > 4);
        finished
    });
    assert!(later > 3, "several ticks came when only the subagent's own transcript was newer than its idle timeout");
    wait_until("it is parked", || agent.peer(&["reap"]).contains("parked") || !agent.world.has("claude", "session"));
    assert_eq!(agent.world.end("claude")["cause"], "idle-reaped");
}

/// Only the user in its pane ever speaks to the agent, no tick comes, and the agent is killed. What was noted when it
/// was ready identifies its conversation.
#[test]
#[ignore = "run by scripts/test-agents, which brings the agents and cuts them off from the network"]
fn whoever_was_only_spoken_to_by_hand_can_be_resumed_after_a_kill() {
    for name in ["codex", "opencode"] {
        let agent = Agent::new(name, RuntimeKind::Tmux, &[]);
        agent.world.set_in_spec(name, "agent_hooks = false");
        agent.peer(&["wake", name]);
        agent.world.press(name, &["-l", "said by hand"]);
        wait_until("the composer shows it", || agent.peer(&["screen", name]).contains("said by hand"));
        // An Enter right after the text would become a part of it.
        wait_until("it is answered", || {
            agent.world.press(name, &["Enter"]);
            std::thread::sleep(std::time::Duration::from_millis(500));
            agent.peer(&["screen", name]).contains("turns=1: said by hand")
        });
        assert!(agent.world.session(name)["conversation"].is_null(), "nobody has looked");
        agent.kill();
        assert_eq!(agent.world.conversations(name).len(), 1, "{name}: {}", agent.log());
        let woken = agent.peer(&["wake", name, "--resume", "-m", "by peer"]);
        assert_eq!(woken, format!("{name}: woken resumed (asked-resume); message delivered\n"));
        agent.remembers(2, "by peer");
        agent.peer(&["stop", name]);
    }
}

/// Started plainly, Gemini CLI 0.61.0 outlives `kill-session` and keeps 300 MB.
fn gemini_that_loses_its_pane_leaves_no_process_behind(on: RuntimeKind) {
    let world = World::on(on);
    world.declare("gemini", &[], &["gemini"]);
    world.peer(&["wake", "gemini"]).prints("gemini: woken fresh (first-wake)\n");
    let session = Family::Session(world.pane_process("gemini"));
    let processes = || process::members(session).expect("/proc").len();
    // The pane process, node, and the node that node starts.
    wait_until("gemini to be up", || processes() >= 3);
    // Past the settle time, so that a tick may act.
    world.edit("gemini", "session", |record| {
        record["woke_at_ms"] = (record["woke_at_ms"].as_u64().expect("a time") - 60_000).into();
    });
    world.close_session("gemini");
    wait_until("every process of it to be gone", || {
        world.peer(&["reap"]);
        processes() == 0
    });
    assert_eq!(world.await_end("gemini")["cause"], "closed");
}
