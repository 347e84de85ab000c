//! The real agents in an older conversation that a user chose from the agent's own list (`/resume`, `/sessions`). Run by
//! `scripts/test-agents`.

use std::time::{Duration, Instant};

use crate::common::real_agent::Agent;
use crate::common::{on_each_runtime, wait_until};
use peer_adapters::runtime::RuntimeKind;

on_each_runtime! {
    #[ignore = "run by scripts/test-agents, which brings the agents and cuts them off from the network"]
    claude_goes_on_in_the_conversation_that_a_person_chose
    codex_goes_on_in_the_conversation_that_a_person_chose
    pi_goes_on_in_the_conversation_that_a_person_chose
    opencode_goes_on_in_the_conversation_that_a_person_chose
    claude_that_is_not_spoken_to_is_resumed_in_the_conversation_that_a_person_chose
    codex_that_is_not_spoken_to_is_resumed_in_the_conversation_that_a_person_chose
    pi_that_is_not_spoken_to_is_resumed_in_the_conversation_that_a_person_chose
}

/// An agent whose list can be opened.
struct Lister {
    name: &'static str,
    words: &'static [&'static str],
    /// Begins another conversation.
    begins: &'static str,
    /// Opens the list.
    opens: &'static str,
    /// What the screen shows while the list is open.
    shows: &'static str,
    /// What is said to be open.
    told: &'static str,
}

const CLAUDE: Lister = Lister {
    name: "claude",
    words: &[],
    begins: "/clear",
    opens: "/resume",
    shows: "Resume session",
    told: "a menu is open: Resume session",
};
const CODEX: Lister = Lister {
    name: "codex",
    words: &[],
    begins: "/new",
    opens: "/resume",
    shows: "Resume a previous session",
    told: "a menu is open: Resume a previous session",
};
const PI: Lister = Lister {
    name: "pi",
    words: &["--model", "mock/mock"],
    begins: "/new",
    opens: "/resume",
    shows: "Resume Session",
    told: "a list is open in place of its composer",
};
const OPENCODE: Lister = Lister {
    name: "opencode",
    words: &[],
    begins: "/new",
    opens: "/sessions",
    shows: "rename ctrl+r",
    told: "a window is open over its composer",
};

/// Has two conversations, and goes back to the first by the list. Returns the ids of both.
fn chosen(lister: &Lister, on: RuntimeKind) -> (Agent, [String; 2]) {
    let name = lister.name;
    let agent = Agent::new(name, on, lister.words);
    agent.peer(&["wake", name, "-m", "the first message"]);
    agent.remembers(1, "the first message");
    let first = agent.world.conversation(name);
    agent.peer(&["send", name, "--command", lister.begins]);
    agent.peer(&["send", name, "in the new one"]);
    agent.remembers(1, "in the new one");
    wait_until("it is on record", || agent.peer(&["reap"]).is_empty() && agent.world.conversation(name) != first);
    let second = agent.world.conversation(name);
    agent.type_by_hand(lister.opens);
    let screen = || agent.peer(&["screen", name]);
    wait_until("the list is open", || {
        let screen = screen();
        screen.contains(lister.shows) && screen.contains("the first message")
    });
    // Nothing may go into the search box of the list, and whoever sends something need not wait to learn that.
    let asked = Instant::now();
    let refused = agent.run(&["send", name, "not typed"]);
    let took = asked.elapsed();
    let says = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(7) && says.contains(lister.told), "{refused:?}\n{}", screen());
    assert!(took < Duration::from_secs(5), "{took:?}: {says}");
    assert!(!screen().contains("not typed"), "{}", screen());
    let status = agent.peer(&["status", name, "--short"]);
    assert!(status.starts_with(&format!("{name} waiting (menu)")), "{status}");
    agent.world.press(name, &["Down"]);
    std::thread::sleep(Duration::from_millis(500));
    agent.world.press(name, &["Enter"]);
    wait_until("it shows the first conversation", || {
        let screen = screen();
        screen.contains("turns=1: the first message") && !screen.contains("in the new one")
    });
    (agent, [first, second])
}

/// What is said after that is said in the chosen one, and a resume continues it.
fn goes_on(lister: &Lister, on: RuntimeKind) {
    let (agent, [first, second]) = chosen(lister, on);
    let name = lister.name;
    assert_eq!(agent.peer(&["send", name, "back again"]), format!("{name}: already awake; message delivered\n"));
    agent.remembers(2, "back again");
    assert_eq!(agent.world.conversation(name), first);
    agent.peer(&["stop", name]);
    agent.peer(&["start", name]);
    let woken = agent.peer(&["wake", name, "-m", "after the stop"]);
    assert_eq!(woken, format!("{name}: woken resumed (stopped); message delivered\n"));
    agent.remembers(3, "after the stop");
    assert_eq!(agent.world.conversations(name), [first.as_str(), &second, &first], "newest last");
    agent.peer(&["stop", name]);
}

/// Nothing is said in the chosen one, and yet it is the one that a tick sees and a resume continues.
fn is_resumed_there(lister: &Lister, on: RuntimeKind) {
    let (agent, [first, second]) = chosen(lister, on);
    let name = lister.name;
    wait_until("a tick learns it", || agent.peer(&["reap"]).is_empty() && agent.world.conversation(name) == first);
    agent.peer(&["stop", name]);
    agent.peer(&["start", name]);
    let woken = agent.peer(&["wake", name, "-m", "after the stop"]);
    assert_eq!(woken, format!("{name}: woken resumed (stopped); message delivered\n"));
    agent.remembers(2, "after the stop");
    assert_eq!(agent.world.conversations(name), [first.as_str(), &second, &first], "newest last");
    agent.peer(&["stop", name]);
}

fn claude_goes_on_in_the_conversation_that_a_person_chose(on: RuntimeKind) {
    goes_on(&CLAUDE, on);
}

fn codex_goes_on_in_the_conversation_that_a_person_chose(on: RuntimeKind) {
    goes_on(&CODEX, on);
}

fn pi_goes_on_in_the_conversation_that_a_person_chose(on: RuntimeKind) {
    goes_on(&PI, on);
}

fn opencode_goes_on_in_the_conversation_that_a_person_chose(on: RuntimeKind) {
    goes_on(&OPENCODE, on);
}

fn claude_that_is_not_spoken_to_is_resumed_in_the_conversation_that_a_person_chose(on: RuntimeKind) {
    is_resumed_there(&CLAUDE, on);
}

fn codex_that_is_not_spoken_to_is_resumed_in_the_conversation_that_a_person_chose(on: RuntimeKind) {
    is_resumed_there(&CODEX, on);
}

fn pi_that_is_not_spoken_to_is_resumed_in_the_conversation_that_a_person_chose(on: RuntimeKind) {
    is_resumed_there(&PI, on);
}
