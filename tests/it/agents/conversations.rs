//! The real agents in another conversation than the one that they were started in: begun or resumed by the user or by a
//! message, or compacted. Run by `scripts/test-agents`.

use crate::common::real_agent::Agent;
use crate::common::{on_each_runtime, wait_until};
use peer_adapters::runtime::RuntimeKind;

on_each_runtime! {
    #[ignore = "run by scripts/test-agents, which brings the agents and cuts them off from the network"]
    claude_that_a_person_clears_goes_on_in_the_new_conversation
    claude_that_is_sent_clear_goes_on_in_the_new_conversation
    claude_that_branches_goes_on_in_the_branch
    codex_in_which_a_person_begins_anew_goes_on_there
    pi_in_which_a_person_begins_anew_goes_on_there
    opencode_in_which_a_person_begins_anew_goes_on_there
    codex_that_is_sent_clear_goes_on_in_the_new_conversation
    codex_that_forks_goes_on_in_the_fork
    pi_that_is_cloned_goes_on_in_the_clone
    opencode_that_is_sent_new_goes_on_in_the_new_conversation
    opencode_that_was_sent_new_and_not_spoken_to_has_no_old_context
    claude_that_compacts_goes_on_where_it_was
    claude_that_was_cleared_and_not_spoken_to_has_no_old_context
    claude_that_was_cleared_and_loses_its_pane_goes_on_in_the_new_conversation
    codex_that_began_anew_and_loses_its_pane_goes_on_in_the_new_conversation
    codex_that_began_anew_and_was_not_spoken_to_has_no_old_context
    pi_that_began_anew_and_was_not_spoken_to_has_no_old_context
    claude_goes_on_in_any_of_its_conversations_and_in_one_begun_by_hand
    codex_goes_on_in_any_of_its_conversations_and_in_one_begun_by_hand
    pi_goes_on_in_any_of_its_conversations_and_in_one_begun_by_hand
    opencode_goes_on_in_any_of_its_conversations_and_in_one_begun_by_hand
}

/// How another conversation is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// The user types the command in the pane.
    Hand,
    /// `peer` sends the command.
    Send,
}

/// Starts an agent that gets one message and then begins another conversation, which is recorded if it can be
/// determined before anything is said in it. Returns the agent and the id of its first conversation.
fn begun_anew(name: &'static str, on: RuntimeKind, words: &[&str], command: &str, by: By) -> (Agent, String) {
    let agent = Agent::new(name, on, words);
    agent.peer(&["wake", name, "-m", "the first message"]);
    agent.remembers(1, "the first message");
    let first = agent.world.conversation(name);
    match by {
        By::Send => drop(agent.peer(&["send", name, "--command", command])),
        By::Hand => agent.type_by_hand(command),
    }
    if name == "opencode" {
        // It leaves no trace before a message; after a send the old conversation is known to be over.
        assert!(by == By::Hand || agent.world.session(name)["conversation"].is_null(), "off the record");
        wait_until("its home screen shows", || !agent.peer(&["screen", name]).contains("the first message"));
    } else {
        let known = || agent.world.conversation(name) != first;
        assert!(by == By::Hand || known(), "on record when the send returned");
        wait_until("a tick learns it", || agent.peer(&["reap"]).is_empty() && known());
    }
    (agent, first)
}

/// A later message is delivered, and after a stop the agent remembers that message and nothing older.
fn goes_on_there(name: &'static str, on: RuntimeKind, words: &[&str], command: &str, by: By) {
    let (agent, first) = begun_anew(name, on, words, command, by);
    assert_eq!(agent.peer(&["send", name, "in the new one"]), format!("{name}: already awake; message delivered\n"));
    // A branch holds what was said before it.
    let kept = usize::from(["branch", "fork", "clone"].iter().any(|copies| command.contains(copies)));
    agent.remembers(kept + 1, "in the new one");
    wait_until("it is on record", || agent.peer(&["reap"]).is_empty() && agent.world.conversation(name) != first);
    agent.peer(&["stop", name]);
    agent.peer(&["start", name]);
    let woken = agent.peer(&["wake", name, "-m", "after the stop"]);
    assert_eq!(woken, format!("{name}: woken resumed (stopped); message delivered\n"));
    agent.remembers(kept + 2, "after the stop");
    let ids = agent.world.conversations(name);
    assert_eq!((ids.len(), &ids[0]), (2, &first), "{ids:?}");
    assert_eq!(agent.world.events(name, "conversation.changed").len(), 1, "{}", agent.log());
    agent.peer(&["stop", name]);
}

/// Nothing is said in the new conversation, and the next wake does not bring the old one back.
fn has_no_old_context(name: &'static str, on: RuntimeKind, words: &[&str], command: &str) {
    has_no_context_of(begun_anew(name, on, words, command, By::Hand));
}

fn has_no_context_of((agent, first): (Agent, String)) {
    let name = agent.name;
    agent.peer(&["stop", name]);
    agent.peer(&["start", name]);
    let woken = agent.peer(&["wake", name, "-m", "after the stop"]);
    // Claude Code writes its own command down, and so has something to resume.
    let [fresh, resumed] = ["fresh (stopped-no-conversation)", "resumed (stopped)"]
        .map(|how| format!("{name}: woken {how}; message delivered\n"));
    assert!(woken == fresh || (woken == resumed && name == "claude"), "{woken}");
    agent.remembers(1, "after the stop");
    assert_eq!(agent.world.conversations(name)[0], first, "an id is never lost");
    assert_ne!(agent.world.conversation(name), first);
    agent.peer(&["stop", name]);
}

fn claude_that_a_person_clears_goes_on_in_the_new_conversation(on: RuntimeKind) {
    goes_on_there("claude", on, &[], "/clear", By::Hand);
}

fn claude_that_is_sent_clear_goes_on_in_the_new_conversation(on: RuntimeKind) {
    goes_on_there("claude", on, &[], "/clear", By::Send);
}

fn claude_that_branches_goes_on_in_the_branch(on: RuntimeKind) {
    goes_on_there("claude", on, &[], "/branch aside", By::Send);
}

fn codex_in_which_a_person_begins_anew_goes_on_there(on: RuntimeKind) {
    goes_on_there("codex", on, &[], "/new", By::Hand);
}

fn pi_in_which_a_person_begins_anew_goes_on_there(on: RuntimeKind) {
    goes_on_there("pi", on, &["--model", "mock/mock"], "/new", By::Hand);
}

fn opencode_in_which_a_person_begins_anew_goes_on_there(on: RuntimeKind) {
    goes_on_there("opencode", on, &[], "/new", By::Hand);
}

fn codex_that_is_sent_clear_goes_on_in_the_new_conversation(on: RuntimeKind) {
    goes_on_there("codex", on, &[], "/clear", By::Send);
}

fn codex_that_forks_goes_on_in_the_fork(on: RuntimeKind) {
    goes_on_there("codex", on, &[], "/fork", By::Send);
}

fn pi_that_is_cloned_goes_on_in_the_clone(on: RuntimeKind) {
    goes_on_there("pi", on, &["--model", "mock/mock"], "/clone", By::Send);
}

fn opencode_that_is_sent_new_goes_on_in_the_new_conversation(on: RuntimeKind) {
    goes_on_there("opencode", on, &[], "/new", By::Send);
}

fn opencode_that_was_sent_new_and_not_spoken_to_has_no_old_context(on: RuntimeKind) {
    has_no_context_of(begun_anew("opencode", on, &[], "/new", By::Send));
}

/// After compaction, what it was told is a summary in the same conversation.
fn claude_that_compacts_goes_on_where_it_was(on: RuntimeKind) {
    let agent = Agent::new("claude", on, &[]);
    for (turn, text) in ["the first message", "the second message"].into_iter().enumerate() {
        agent.peer(&["send", "claude", text]);
        agent.remembers(turn + 1, text);
    }
    let before = agent.world.conversations("claude");
    agent.peer(&["send", "claude", "--command", "/compact"]);
    wait_until("it is compacted", || agent.peer(&["screen", "claude"]).contains("Compacted"));
    agent.peer(&["send", "claude", "after it"]);
    let answer = || agent.peer(&["screen", "claude"]).contains(": after it");
    wait_until("it answers", answer);
    agent.peer(&["stop", "claude"]);
    agent.peer(&["start", "claude"]);
    let woken = agent.peer(&["wake", "claude", "-m", "after the stop"]);
    assert_eq!(woken, "claude: woken resumed (stopped); message delivered\n");
    assert_eq!(agent.world.conversations("claude"), before, "it is the same conversation");
    agent.peer(&["stop", "claude"]);
}

fn claude_that_was_cleared_and_not_spoken_to_has_no_old_context(on: RuntimeKind) {
    has_no_old_context("claude", on, &[], "/clear");
}

/// No tick comes between the message in the new conversation and the end, and no hook of the agent's reports either.
fn loses_its_pane(name: &'static str, on: RuntimeKind, command: &str) {
    let agent = Agent::new(name, on, &[]);
    agent.world.set_in_spec(name, "agent_hooks = false");
    agent.peer(&["wake", name, "-m", "the first message"]);
    agent.remembers(1, "the first message");
    let first = agent.world.conversation(name);
    agent.type_by_hand(command);
    wait_until("it is cleared", || !agent.peer(&["screen", name]).contains("the first message"));
    agent.type_by_hand("in the new one");
    agent.remembers(1, "in the new one");
    assert_eq!(agent.world.conversation(name), first, "nobody has looked");
    agent.world.close_session(name);
    assert_eq!(agent.world.await_end(name)["cause"], "closed");
    let woken = agent.peer(&["wake", name, "-m", "after the end"]);
    assert_eq!(woken, format!("{name}: woken resumed (closed); message delivered\n"));
    agent.remembers(2, "after the end");
    agent.peer(&["stop", name]);
}

/// Claude Code removes its status file when it exits.
fn claude_that_was_cleared_and_loses_its_pane_goes_on_in_the_new_conversation(on: RuntimeKind) {
    loses_its_pane("claude", on, "/clear");
}

/// Codex releases its locks when it exits.
fn codex_that_began_anew_and_loses_its_pane_goes_on_in_the_new_conversation(on: RuntimeKind) {
    loses_its_pane("codex", on, "/new");
}

fn codex_that_began_anew_and_was_not_spoken_to_has_no_old_context(on: RuntimeKind) {
    has_no_old_context("codex", on, &[], "/new");
}

fn pi_that_began_anew_and_was_not_spoken_to_has_no_old_context(on: RuntimeKind) {
    has_no_old_context("pi", on, &["--model", "mock/mock"], "/new");
}

/// What it was told in an older conversation it remembers when it is woken in that; and so does another peer that is given the
/// conversation once nobody has it.
fn goes_on_in_any(name: &'static str, on: RuntimeKind, words: &[&str], command: &str) {
    let (agent, first) = begun_anew(name, on, words, command, By::Send);
    agent.peer(&["send", name, "in the new one"]);
    agent.remembers(1, "in the new one");
    wait_until("it is on record", || agent.peer(&["reap"]).is_empty() && agent.world.conversation(name) != first);
    let second = agent.world.conversation(name);
    agent.peer(&["stop", name]);
    agent.peer(&["start", name]);
    let woken = agent.peer(&["wake", name, "--conversation", &first, "-m", "back again"]);
    assert_eq!(woken, format!("{name}: woken resumed (asked-conversation); message delivered\n"));
    agent.remembers(2, "back again");
    let told = agent.peer(&["conversations", name]);
    assert!(told.contains(&format!("{second}  switched to in mid-session\n")), "{told}");
    assert!(told.contains(&format!("{first}  started, resumed once, current\n")), "{told}");
    assert!(told.contains("\n  the first message\n") && told.contains("\n  in the new one\n"), "{told}");
    agent.peer(&["stop", name]);

    let (kind, cwd) = (agent.world.kind().as_str(), agent.world.work());
    let cwd = cwd.to_str().expect("utf-8").to_owned();
    let given = ["add", "heir", "--runtime", kind, "--cwd", &cwd, "--conversation", &second];
    let of_another = agent.run(&[&given[..], &["--agent", name]].concat());
    assert_eq!(of_another.status.code(), Some(4), "{of_another:?}");
    agent.peer(&["rm", name]);
    // Whose files hold it tells the agent.
    let named: &[&str] = if words.is_empty() { &[] } else { &["--agent", name, "--", name] };
    let added = agent.peer(&[&given[..], named, words].concat());
    assert!(added.starts_with(&format!("heir: added ({name} on ")), "{added}");
    let woken = agent.peer(&["wake", "heir", "-m", "to the heir"]);
    assert_eq!(woken, "heir: woken resumed (adopted); message delivered\n");
    let answer = "turns=2: to the heir";
    wait_until(answer, || agent.peer(&["screen", "heir"]).contains(answer));
    agent.peer(&["stop", "heir"]);
}

fn claude_goes_on_in_any_of_its_conversations_and_in_one_begun_by_hand(on: RuntimeKind) {
    goes_on_in_any("claude", on, &[], "/clear");
}

fn codex_goes_on_in_any_of_its_conversations_and_in_one_begun_by_hand(on: RuntimeKind) {
    goes_on_in_any("codex", on, &[], "/new");
}

fn pi_goes_on_in_any_of_its_conversations_and_in_one_begun_by_hand(on: RuntimeKind) {
    goes_on_in_any("pi", on, &["--model", "mock/mock"], "/new");
}

fn opencode_goes_on_in_any_of_its_conversations_and_in_one_begun_by_hand(on: RuntimeKind) {
    goes_on_in_any("opencode", on, &[], "/new");
}
