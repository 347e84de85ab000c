//! An agent that wakes another passes on nothing of its own session: the new one would take itself for its child.

use std::collections::BTreeMap;

use crate::common::{Run, World, on_each_runtime};
use peer_adapters::agent::{BUILTIN, Profile};
use peer_adapters::runtime::RuntimeKind;

on_each_runtime! {
    nothing_of_the_waking_agents_session_reaches_the_woken_one
    the_session_of_an_agent_of_ones_own_profile_stays_with_it
    what_the_waking_agent_was_given_for_its_launch_stays_with_it
}

/// Variables that agents, `peer` and multiplexers set for the processes that they start, in any profile.
const SESSIONS: &[&str] = &[
    "AI_AGENT",
    "CLAUDECODE",
    "CLAUDE_CODE_CHILD_SESSION",
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_CODE_MESSAGING_SOCKET",
    "CLAUDE_CODE_SESSION_ID",
    "CLAUDE_CODE_SSE_PORT",
    "CLAUDE_ENV_FILE",
    "CLAUDE_PROJECT_DIR",
    "CODEX_CI",
    "CODEX_SANDBOX",
    "CODEX_SANDBOX_NETWORK_DISABLED",
    "CODEX_THREAD_ID",
    "CURSOR_AGENT",
    "GEMINI_CLI",
    "GIT_EDITOR",
    "NO_COLOR",
    "OPENCODE",
    "OPENCODE_PID",
    "OPENCODE_RUN_ID",
    "OPENCODE_TERMINAL",
    "PI_CODING_AGENT",
    "PEER_EVENT",
    "PEER_EVENT_CAUSE",
    "PEER_EVENT_PEER",
    "PEER_GIVEN",
];

/// Variables that our own pane sets to other values.
const OURS_TOO: &[&str] = &[
    "PEER_CONVERSATION_FILE",
    "PEER_INCARNATION",
    "PEER_NAME",
    "TMUX",
    "TMUX_PANE",
    "ZELLIJ",
    "ZELLIJ_CONFIG_DIR",
    "ZELLIJ_PANE_ID",
    "ZELLIJ_SESSION_NAME",
    "ZELLIJ_SOCKET_DIR",
];

/// The user's settings whose names begin alike.
const PASSING: &[&str] = &[
    "ANTHROPIC_API_KEY",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CONFIG_DIR",
    "CODEX_HOME",
    "OPENCODE_CONFIG",
    "PI_CODING_AGENT_DIR",
];

/// The value of each variable of the waker.
const THEIRS: &str = "of-the-waker";

fn environment(pid: u32) -> BTreeMap<String, String> {
    let environ = std::fs::read(format!("/proc/{pid}/environ")).expect("ours");
    let environ = String::from_utf8_lossy(&environ).into_owned();
    environ.split('\0').filter_map(|entry| entry.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

#[track_caller]
fn wake_with(world: &World, names: &[&str]) {
    let mut wake = world.command(&["wake", "a"]);
    wake.envs(names.iter().map(|name| (name, THEIRS)));
    let run = Run::of(&mut wake, None);
    assert_eq!((run.code, run.stdout.as_str()), (0, "a: woken fresh (first-wake)\n"), "{run:?}");
}

fn nothing_of_the_waking_agents_session_reaches_the_woken_one(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["cat"]);
    let built_in = BUILTIN.iter().flat_map(|(name, _)| Profile::builtin(name).expect("built in").environment.session);
    let named: Vec<String> = built_in.map(|variable| variable.as_str().replace('*', "X")).collect();
    let sessions: Vec<&str> = SESSIONS.iter().copied().chain(named.iter().map(String::as_str)).collect();
    wake_with(&world, &[&sessions, OURS_TOO, PASSING].concat());
    for (whose, pid) in [("agent", world.agent("a")), ("server", world.server_of("a").pid)] {
        let has = environment(pid);
        let leaked: Vec<_> = sessions.iter().filter(|name| has.contains_key(**name)).collect();
        assert!(leaked.is_empty(), "{whose}: {leaked:?}");
        let leaked: Vec<_> =
            OURS_TOO.iter().filter(|name| has.get(**name).is_some_and(|value| value == THEIRS)).collect();
        assert!(leaked.is_empty(), "{whose}: {leaked:?}");
    }
    let has = environment(world.agent("a"));
    let kept: Vec<_> = PASSING.iter().filter(|name| has.get(**name).is_none_or(|value| value != THEIRS)).collect();
    assert!(kept.is_empty(), "did not pass: {kept:?}");
    assert_eq!((has["PEER_NAME"].as_str(), has["PEER_INCARNATION"].as_str()), ("a", "1"));
}

fn what_the_waking_agent_was_given_for_its_launch_stays_with_it(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["cat"]);
    let mut wake = world.command(&["wake", "a"]);
    wake.env("PEER_GIVEN", "ITS_SERVER ITS_OTHER").envs(["ITS_SERVER", "ITS_OTHER", "ITS"].map(|name| (name, THEIRS)));
    Run::of(&mut wake, None).prints("a: woken fresh (first-wake)\n");
    let has = environment(world.agent("a"));
    let leaked: Vec<_> = ["ITS_SERVER", "ITS_OTHER"].into_iter().filter(|name| has.contains_key(*name)).collect();
    assert!(leaked.is_empty(), "{leaked:?}");
    assert_eq!(has["ITS"], THEIRS);
}

fn the_session_of_an_agent_of_ones_own_profile_stays_with_it(on: RuntimeKind) {
    let world = World::on(on);
    let mine =
        "description = \"mine\"\nextends = \"claude\"\nenvironment.session = [\"MINE_SESSION\", \"MINE_CHILD_*\"]\n";
    world.profile("mine", mine);
    world.profile("broken", "session = ");
    // A variable in the spec is meant to be set.
    world.declare("a", &["--agent", "command", "--env", "MINE_CHILD_TOLD=told"], &["cat"]);
    wake_with(&world, &["MINE_SESSION", "MINE_CHILD_ID", "MINE_CHILD_TOLD", "MINE_HOME"]);
    let has = environment(world.agent("a"));
    let leaked: Vec<_> = ["MINE_SESSION", "MINE_CHILD_ID"].into_iter().filter(|name| has.contains_key(*name)).collect();
    assert!(leaked.is_empty(), "{leaked:?}");
    assert_eq!((has["MINE_CHILD_TOLD"].as_str(), has["MINE_HOME"].as_str()), ("told", THEIRS));
}
