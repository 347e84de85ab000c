//! Real agents that a usage limit stops, or whose account is refused, by the answers that the services give. Run by
//! `scripts/test-agents`.

use std::fs;
use std::process::Output;

use crate::common::real_agent::{Agent, ran};
use crate::common::ticks::{done, tick};
use crate::common::{on_each_runtime, wait_until};
use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};

on_each_runtime! {
    #[ignore = "run by scripts/test-agents, which brings the agents and cuts them off from the network"]
    claude_with_a_subscription_is_limited_until_the_time_that_it_names
    claude_with_a_key_is_limited
    codex_is_limited_until_the_time_that_it_names
    codex_continues_when_its_limit_is_over
    claude_continues_when_its_limit_is_over
    claude_whose_key_is_refused_waits_for_someone_to_sign_in
    codex_whose_key_is_refused_waits_for_someone_to_sign_in
    pi_whose_key_is_refused_waits_for_someone_to_sign_in
    opencode_whose_key_is_refused_waits_for_someone_to_sign_in
}

/// What the account of a subscription leaves in the home of Claude Code.
const SUBSCRIBED: &str = r#"{"claudeAiOauth":{"accessToken":"sk-ant-oat01-test","refreshToken":"sk-ant-ort01-test",
"expiresAt":1999999999000,"scopes":["user:inference","user:profile"],"subscriptionType":"max"}}"#;

/// Codex asks at a limit whether it should switch to a smaller model, unless this is set.
const NO_NUDGE: &[&str] = &["-c", "notice.hide_rate_limit_model_nudge=true"];

/// A spec that continues behind a limit.
const CONTINUE: &str = "on_limit = \"continue\"\nlimit_prompt = \"SAY on it again\"";

fn row(agent: &Agent) -> Value {
    let document = agent.peer(&["list", agent.name, "--json"]);
    serde_json::from_str::<Value>(&document).expect("a document")["peers"][0].clone()
}

fn now_ms() -> u64 {
    jiff::Timestamp::now().as_millisecond().try_into().expect("after 1970")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Sends a message that a usage limit of `seconds` refuses, and checks that every command shows that.
fn is_limited(agent: &Agent, seconds: u64) {
    let name = agent.name;
    agent.peer(&["send", name, &format!("LIMIT {seconds}")]);
    wait_until("the limit is seen", || row(agent)["state"] == "limited");
    let waited: Output = agent.run(&["wait", name, "--timeout", "30s"]);
    let said = text(&waited.stderr);
    assert!(waited.status.code() == Some(8) && said.contains("is stopped by a usage limit"), "{waited:?}");
    for _ in 0..2 {
        tick(&agent.world, &[]);
    }
    let events = agent.world.events(name, "agent.limited");
    let told: Vec<_> = events.iter().map(|event| (&event["witness"], event["until"].is_string())).collect();
    assert_eq!(told, [(&json!("transcript"), !row(agent)["limited_until_ms"].is_null())], "{events:?}");
    assert!(!agent.log().to_lowercase().contains("hit your"), "{}", agent.log());
    let finished = agent.world.events(name, "turn.finished").pop().expect("its turn is over");
    // Codex reports no start, and no tick saw this turn.
    assert!(name == "codex" || finished["answered"] != true, "{finished}");
}

/// Checks that the agent says when its limit is over, at most a minute wrong.
fn until_is_about(agent: &Agent, ms: u64) {
    let until = row(agent)["limited_until_ms"].as_u64().expect("it says until when");
    assert!(until.abs_diff(ms) <= 60_000, "{until} is not about {ms}");
}

/// Sends the next message, which the service accepts again.
fn goes_on(agent: &Agent) {
    let answer = agent.peer(&["send", agent.name, "-w", "SAY here I am", "--timeout", "1m"]);
    assert_eq!(answer, "here I am\n");
    wait_until("it is free", || row(agent)["state"] == "awake");
    tick(&agent.world, &[]);
    let resumed = agent.world.events(agent.name, "agent.resumed");
    assert_eq!(resumed.iter().map(|event| &event["cause"]).collect::<Vec<_>>(), ["limited"]);
    agent.peer(&["stop", agent.name]);
}

/// Starts a Claude Code that has the account of a subscription, and no key.
fn wake_subscribed(agent: &Agent) {
    let dir = agent.world.path("home/.claude");
    fs::create_dir_all(&dir).expect("create");
    fs::write(dir.join(".credentials.json"), SUBSCRIBED).expect("write");
    let mut wake = agent.command(&["wake", "claude", "-m", "SAY hello"]);
    let woken = ran(wake.env_remove("ANTHROPIC_API_KEY"));
    assert!(woken.status.success(), "{woken:?}");
    agent.peer(&["wait", "claude"]);
}

fn claude_with_a_subscription_is_limited_until_the_time_that_it_names(on: RuntimeKind) {
    let agent = Agent::new("claude", on, &[]);
    wake_subscribed(&agent);
    is_limited(&agent, 7200);
    until_is_about(&agent, now_ms() + 7_200_000);
    goes_on(&agent);
}

fn claude_with_a_key_is_limited(on: RuntimeKind) {
    let agent = Agent::new("claude", on, &[]);
    agent.peer(&["wake", "claude", "-m", "SAY hello"]);
    agent.peer(&["wait", "claude"]);
    is_limited(&agent, 7200);
    assert_eq!(row(&agent)["limited_until_ms"], Value::Null, "it does not say until when");
    goes_on(&agent);
}

fn codex_is_limited_until_the_time_that_it_names(on: RuntimeKind) {
    let agent = Agent::new("codex", on, NO_NUDGE);
    agent.peer(&["wake", "codex", "-m", "SAY hello"]);
    agent.peer(&["wait", "codex"]);
    is_limited(&agent, 7200);
    until_is_about(&agent, now_ms() + 7_200_000);
    goes_on(&agent);
}

fn codex_continues_when_its_limit_is_over(on: RuntimeKind) {
    let agent = Agent::new("codex", on, NO_NUDGE);
    agent.world.set_in_spec("codex", CONTINUE);
    agent.peer(&["wake", "codex", "-m", "SAY hello"]);
    agent.peer(&["wait", "codex"]);
    continues(&agent);
}

fn claude_continues_when_its_limit_is_over(on: RuntimeKind) {
    let agent = Agent::new("claude", on, &[]);
    agent.world.set_in_spec("claude", CONTINUE);
    wake_subscribed(&agent);
    continues(&agent);
}

/// Lets a limit end, and checks that a tick sends the prompt of the spec, once.
fn continues(agent: &Agent) {
    let name = agent.name;
    agent.peer(&["send", name, "LIMIT 45"]);
    let last = || text(&agent.run(&["last", name]).stdout);
    let mut deeds = Vec::new();
    // The limit is over within the first wait, and the prompt comes within a minute after that.
    wait_until("the time that it names has come", || {
        deeds.extend(done(&tick(&agent.world, &[])));
        let events = agent.world.events(name, "agent.limited");
        let until = events.first().map(|event| event["until"].as_str().expect("a time").to_owned());
        let until = until.map(|until| until.parse::<jiff::Timestamp>().expect("a time"));
        !deeds.is_empty() || until.is_some_and(|until| until <= jiff::Timestamp::now())
    });
    wait_until("it continues", || {
        deeds.extend(done(&tick(&agent.world, &[])));
        !deeds.is_empty()
    });
    wait_until("it has answered", || last() == "on it again\n");
    assert_eq!(deeds, [[name, "continued", "limited"]]);
    assert_eq!(done(&tick(&agent.world, &[])), [[""; 3]; 0], "once");
    agent.peer(&["stop", name]);
}

fn claude_whose_key_is_refused_waits_for_someone_to_sign_in(on: RuntimeKind) {
    is_refused(&Agent::new("claude", on, &[]));
}

fn codex_whose_key_is_refused_waits_for_someone_to_sign_in(on: RuntimeKind) {
    is_refused(&Agent::new("codex", on, &[]));
}

fn pi_whose_key_is_refused_waits_for_someone_to_sign_in(on: RuntimeKind) {
    is_refused(&Agent::new("pi", on, &["--model", "mock/mock"]));
}

fn opencode_whose_key_is_refused_waits_for_someone_to_sign_in(on: RuntimeKind) {
    is_refused(&Agent::new("opencode", on, &[]));
}

/// It needs a person, every view says so, its inbox is kept for it, and it takes what is sent to it directly.
fn is_refused(agent: &Agent) {
    let name = agent.name;
    agent.peer(&["wake", name, "-m", "SAY hello"]);
    agent.peer(&["wait", name]);
    let asked = agent.run(&["send", name, "-w", "SIGNED-OUT", "--timeout", "1m"]);
    let said = text(&asked.stderr);
    assert!(asked.status.code() == Some(8) && asked.stdout.is_empty() && said.contains("sign-in"), "{asked:?}");
    for _ in 0..2 {
        let row = row(agent);
        assert_eq!((&row["state"], &row["waiting_for"]), (&json!("waiting"), &json!("sign-in")), "{row}");
        assert!(row["question"].is_string(), "{row}");
        tick(&agent.world, &[]);
    }
    let asked = agent.world.events(name, "agent.waiting");
    assert_eq!(asked.iter().map(|event| &event["cause"]).collect::<Vec<_>>(), ["sign-in"]);
    agent.peer(&["send", name, "SAY from the inbox", "--queue"]);
    assert!(agent.peer(&["inbox", name]).contains("does not accept its account or key"), "{}", agent.log());
    let answer = agent.peer(&["send", name, "-w", "SAY here I am", "--timeout", "1m"]);
    assert_eq!(answer, "here I am\n");
    wait_until("what was queued is delivered", || {
        tick(&agent.world, &[]);
        text(&agent.run(&["last", name]).stdout) == "from the inbox\n"
    });
    agent.peer(&["stop", name]);
}
