//! What stands in a composer: a person's draft is never sent or cleared, and text of our own is known again.

use crate::common::{Run, World, on_each_runtime, signal, stop, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::runtime::RuntimeKind;
use peer_adapters::terminal;
use serde_json::json;
use std::process::Stdio;
use std::time::Instant;

on_each_runtime! {
    what_was_typed_and_not_sent_is_said_once
    a_composer_that_is_slow_to_empty_is_cleared_once
    a_message_that_an_agent_is_still_drawing_is_no_draft
    a_long_text_that_was_not_sent_is_known_by_what_the_composer_makes_of_it
    what_a_person_types_behind_a_swallowed_enter_is_not_sent
    a_draft_that_reads_like_the_last_message_is_a_persons
    a_message_that_was_interrupted_and_put_back_is_ours
    a_draft_that_a_person_typed_is_not_clobbered
    ghost_text_in_an_empty_composer_is_no_draft
    what_somebody_wrote_over_its_screen_is_no_draft
}

/// A second Ctrl-C ends the agent, and an agent that was stopped reads both at once.
fn a_composer_that_is_slow_to_empty_is_cleared_once(on: RuntimeKind) {
    let world = World::on(on);
    let file = world.path("may-send");
    world.demo("a", &["--swallow-until", file.to_str().expect("UTF-8")]);
    world.peer(&["wake", "a"]);
    assert_eq!(world.peer(&["send", "a", "hello"]).code, 7);
    std::fs::write(&file, "").expect("written");
    let agent = world.agent("a");
    stop(agent);
    assert_eq!(world.peer(&["send", "a", "another"]).code, 7, "nothing shows that it is empty");
    signal(agent, Signal::SIGCONT);
    wait_until("it is empty", || !world.screen("a").contains("> hello"));
    world.peer(&["send", "a", "another"]).prints("a: already awake; message delivered\n");
    assert_eq!((world.said(&world.conversation("a")), world.agent("a")), (vec!["another".to_owned()], agent));
}

/// pi computes for 12 s after a message of 100 KB, and its composer shows it for as long.
fn a_message_that_an_agent_is_still_drawing_is_no_draft(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--slow-draw", "13000"]);
    world.peer(&["wake", "a"]);
    let long = "x".repeat(5_000);
    world.peer_with_input(&["send", "a", "-"], &long).prints("a: already awake; message delivered\n");
    assert!(world.screen("a").contains("> [Pasted text #1"), "it is still in the composer");
    world.peer(&["send", "a", "hello"]).prints("a: already awake; message delivered\n");
    assert_eq!(world.said(&world.conversation("a")), [long.as_str(), "hello"]);
}

/// Its Enter is swallowed while a sender tries.
fn what_was_typed_and_not_sent_is_said_once(on: RuntimeKind) {
    let world = World::on(on);
    let file = world.path("may-send");
    world.demo("a", &["--swallow-until", file.to_str().expect("UTF-8")]);
    world.peer(&["wake", "a"]);
    let run = world.peer(&["send", "a", "hello", "--json"]);
    let told: serde_json::Value = serde_json::from_str(&run.stdout).expect("a document");
    assert_eq!((run.code, &told["cause"]), (7, &json!("not-sent")), "{run:?}");
    assert!(world.screen("a").contains("> hello"), "it stands there");
    std::fs::write(&file, "").expect("written");
    // Another message clears the composer, and the first one may be sent again.
    world.peer(&["send", "a", "another"]).prints("a: already awake; message delivered\n");
    world.peer(&["send", "a", "hello"]).prints("a: already awake; message delivered\n");
    assert_eq!(world.said(&world.conversation("a")), ["another", "hello"]);
}

/// Its Enter is swallowed while a sender tries.
fn a_long_text_that_was_not_sent_is_known_by_what_the_composer_makes_of_it(on: RuntimeKind) {
    let world = World::on(on);
    let file = world.path("may-send");
    world.demo("a", &["--swallow-until", file.to_str().expect("UTF-8")]);
    world.peer(&["wake", "a"]);
    let long = "a line of a long text\n".repeat(300);
    let run = world.peer_with_input(&["send", "a", "-"], &long);
    assert!(run.code == 7 && run.stderr.contains("typed but not sent"), "{run:?}");
    assert!(world.screen("a").contains("[Pasted text #1"), "it stands there");
    std::fs::write(&file, "").expect("written");
    world.peer(&["send", "a", "another"]).prints("a: already awake; message delivered\n");
    world.peer_with_input(&["send", "a", "-"], &long).prints("a: already awake; message delivered\n");
    assert_eq!(world.said(&world.conversation("a")), ["another", long.trim()]);
}

/// A user's draft may come at any time, in any script; our text is sent without it, or not at all.
fn what_a_person_types_behind_a_swallowed_enter_is_not_sent(on: RuntimeKind) {
    for (message, draft) in [("hello", " 你好"), ("first\nsecond\n", " my own draft")] {
        let world = World::on(on);
        world.demo("a", &["--swallow-enter", "1"]);
        world.peer(&["wake", "a"]);
        let sender = world
            .command(&["send", "a", message])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("peer runs");
        let composer = |what: &str| world.screen("a").lines().any(|line| line.starts_with("> ") && line.contains(what));
        wait_until("it is typed", || composer("hello") || composer("first") || composer("[Pasted"));
        // The next Enter comes a second later.
        world.await_screen("a", "swallowed an Enter");
        world.press("a", &["-l", draft]);
        let run = Run::finish(sender, None, Instant::now());
        assert!(run.code == 7 && run.stderr.contains("typed but not sent"), "{run:?}");
        assert_eq!(world.said(&world.conversation("a")), Vec::<String>::new());
        assert!(composer(draft.trim()) || world.screen("a").contains(draft.trim()), "untouched");
    }
}

fn a_draft_that_reads_like_the_last_message_is_a_persons(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "continue"]).prints("a: woken fresh (first-wake); message delivered\n");
    world.press("a", &["-l", "continue"]);
    let composer = || world.screen("a").lines().filter(|line| line.starts_with("> continue")).count() == 2;
    wait_until("it shows, below the message", composer);
    let run = world.peer(&["send", "a", "hello"]);
    assert!(run.code == 7 && run.stderr.contains("the input box holds an unsent draft"), "{run:?}");
    assert!(composer(), "untouched");
}

fn a_message_that_was_interrupted_and_put_back_is_ours(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--slow-turn", "--put-back"]);
    world.peer(&["wake", "a", "-m", "SLOW 60"]).prints("a: woken fresh (first-wake); message delivered\n");
    wait_until("it works", || world.screen("a").contains("Working"));
    world.peer(&["interrupt", "a"]).prints("a: interrupted\n");
    wait_until("it is put back", || {
        world.screen("a").lines().filter(|line| line.starts_with("> SLOW 60")).count() == 2
    });
    world.peer(&["send", "a", "hello"]).prints("a: already awake; message delivered\n");
    assert_eq!(world.said(&world.conversation("a")), ["SLOW 60", "hello"]);
}

fn a_draft_that_a_person_typed_is_not_clobbered(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a"]);
    world.press("a", &["-l", "my draft"]);
    wait_until("it shows", || world.screen("a").contains("> my draft"));
    let run = world.peer(&["send", "a", "hello"]);
    assert_eq!((run.code, run.stdout.as_str()), (7, ""), "{run:?}");
    assert_eq!(
        run.stderr,
        "error: the message to a was not typed: its input box was not free: the input box holds an unsent draft\n\
         hint: peer screen a shows why; then send it again\n"
    );
    assert!(world.screen("a").contains("> my draft"), "untouched");
    // The draft is sent, and the next message goes through.
    world.press("a", &["Enter"]);
    world.peer(&["send", "a", "hello"]).prints("a: already awake; message delivered\n");
    assert_eq!(world.said(&world.conversation("a")), ["my draft", "hello"]);
}

fn ghost_text_in_an_empty_composer_is_no_draft(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--ghost", "Ask me anything"]);
    world.peer(&["wake", "a", "-m", "hello"]).prints("a: woken fresh (first-wake); message delivered\n");
    assert_eq!(world.said(&world.conversation("a")), ["hello"]);
}

fn what_somebody_wrote_over_its_screen_is_no_draft(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a"]);
    // As wall(1) does, at the cursor, which goes back.
    let terminal = format!("/proc/{}/fd/0", world.agent("a"));
    std::fs::write(terminal, "\x1b7the system goes down\x1b8").expect("its terminal");
    wait_until("it shows", || world.screen("a").contains("> the system goes down"));
    let size = terminal::size(world.agent("a")).expect("a terminal");
    world.peer(&["send", "a", "hello"]).prints("a: already awake; message delivered\n");
    assert_eq!(world.said(&world.conversation("a")), ["hello"]);
    assert_eq!(terminal::size(world.agent("a")).expect("a terminal"), size);
}
