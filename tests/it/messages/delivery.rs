//! Messages arrive whole and once, or the exit code says that their arrival was not seen.

use std::process::Stdio;
use std::time::{Duration, Instant};

on_each_runtime! {
    a_hundred_kilobytes_arrive_whole
    text_arrives_from_arguments_files_and_stdin
    what_would_not_arrive_as_it_is_is_refused_before_anything_is_started
    words_that_look_like_a_dialog_block_nothing
    an_agent_that_stands_still_has_the_message_once
    what_was_sent_and_not_seen_is_looked_for_before_it_is_said_again
    the_initial_prompt_goes_before_the_first_message_of_each_fresh_conversation
    swallowed_enters_are_pressed_again
    a_message_during_a_turn_is_accepted_into_the_queue
    a_dialog_that_the_spec_accepts_is_answered
    a_dialog_that_nobody_accepted_needs_a_person_and_is_left_as_it_is
    an_agent_that_is_slow_to_start_is_waited_for
    not_ready_in_time_leaves_it_running_and_shows_its_last_lines
    no_wake_refuses_a_sleeping_peer
    a_program_that_does_not_read_has_not_accepted
    a_program_that_reads_has_accepted
    a_program_that_sets_its_terminal_up_has_the_whole_message
    a_program_that_discards_what_was_typed_and_reads_a_file_has_not_accepted
    an_empty_message_is_a_mistake
    a_delivery_is_logged_without_its_text
}

use crate::common;
use crate::common::{Run, World, on_each_runtime, signal, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::runtime::RuntimeKind;
use peer_adapters::terminal;
use serde_json::json;

fn a_hundred_kilobytes_arrive_whole(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    let text = "one line of a long message, with ümläuts; and $(signs) `\n".repeat(2_000);
    assert!(text.len() > 100_000);
    let file = world.path("message");
    std::fs::write(&file, &text).expect("write");
    let path = file.to_str().expect("UTF-8");
    world.peer(&["wake", "a", "--message-file", path]).prints("a: woken fresh (first-wake); message delivered\n");
    assert_eq!(world.said(&world.conversation("a")), [text.trim()]);
}

fn text_arrives_from_arguments_files_and_stdin(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world
        .peer_with_input(&["wake", "a", "--message-file", "-"], "one\ntwo\n\nthree\n")
        .prints("a: woken fresh (first-wake); message delivered\n");
    world.peer_with_input(&["send", "a", "-"], "from stdin").prints("a: already awake; message delivered\n");
    let file = world.path("message");
    std::fs::write(&file, "from a file").expect("write");
    world.peer(&["send", "a", "--file", file.to_str().expect("UTF-8")]).prints("a: already awake; message delivered\n");
    world.peer(&["send", "a", "--", "-rf; # \"quoted\" $HOME \\"]).prints("a: already awake; message delivered\n");
    assert_eq!(
        world.said(&world.conversation("a")),
        ["one\ntwo\n\nthree", "from stdin", "from a file", "-rf; # \"quoted\" $HOME \\"]
    );
    world
        .peer_with_input(&["new", "a", "--message-file", "-"], "a new one\n")
        .prints("a: woken fresh (asked-fresh); message delivered\n");
    assert_eq!(world.said(&world.conversation("a")), ["a new one"]);
}

fn what_would_not_arrive_as_it_is_is_refused_before_anything_is_started(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    // The end of a bracketed paste, then bytes that would be keys.
    world.peer(&["wake", "a", "-m", "one\nbefore\u{1b}[201~\u{3}\u{3}after"]).fails(
        1,
        "error: the message to a was not typed: line 2 holds the control character U+001B, which would not arrive\n\
         hint: remove it, e.g. with tr -d '\\000-\\010\\013-\\037\\177'\n",
    );
    assert!(world.session("a").is_null(), "nothing was started");
    world.peer(&["wake", "a", "-m", "hello"]);
    for message in ["two\rwords", "\u{7}", "x\u{9b}y"] {
        assert_eq!(world.peer(&["send", "a", message]).code, 1, "{message:?}");
        assert_eq!(world.peer(&["new", "a", "-m", message]).code, 1, "{message:?}");
    }
    let run = world.peer(&["send", "a", "\u{200b}\u{feff}"]);
    assert!(run.code == 1 && run.stderr.contains("nothing that would be said"), "{run:?}");
    world.peer(&["send", "a", "lines\r\nof\r\nanother system\r\n"]).prints("a: already awake; message delivered\n");
    assert_eq!(world.said(&world.conversation("a")), ["hello", "lines\nof\nanother system"]);
    assert_eq!(world.session("a")["incarnation"], 1, "nor was it ended for one");
}

fn words_that_look_like_a_dialog_block_nothing(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    let words =
        "Quick safety check: Is this a project you created or one you trust?\n❯ No, exit\n  Yes, I trust this folder";
    let note = "a note:\nQuick safety check: Is this a project you created or one you trust?";
    world.peer(&["wake", "a", "-m", words]).prints("a: woken fresh (first-wake); message delivered\n");
    world.peer(&["send", "a", "more"]).prints("a: already awake; message delivered\n");
    world.peer(&["send", "a", note]).prints("a: already awake; message delivered\n");
    assert!(world.screen("a").contains("Quick safety check"), "it is still shown");
    let status = world.peer(&["status", "a"]).stdout;
    assert!(!status.contains("Needs you"), "{status}");
    world.peer(&["stop", "a"]);
    world.peer(&["start", "a"]);
    world.peer(&["wake", "a", "-m", words]).prints("a: woken resumed (stopped); message delivered\n");
    assert_eq!(world.said(&world.conversation("a")), [words, "more", note, words]);
}

fn an_agent_that_stands_still_has_the_message_once(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a"]);
    let agent = world.agent("a");
    common::stop(agent);
    let sender = world.command(&["send", "a", "hello"]).stderr(Stdio::piped()).spawn().expect("peer runs");
    let waits = || terminal::input(agent).is_ok_and(|input| input.unread > 0);
    wait_until("the message waits in its terminal", waits);
    // Longer than the time after which a paste that does not show is taken for lost.
    let run = Run::finish(sender, None, Instant::now());
    assert_eq!(run.code, 7, "{run:?}");
    signal(agent, Signal::SIGCONT);
    wait_until("what was left shows", || world.screen("a").contains("> hello"));
    world.peer(&["send", "a", "hello"]).prints("a: already awake; message delivered\n");
    assert_eq!(world.said(&world.conversation("a")), ["hello"]);
}

fn what_was_sent_and_not_seen_is_looked_for_before_it_is_said_again(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "first"]);
    // The record of a sender whose agent wrote the message down after the sender's time was over.
    world.peer(&["send", "a", "hello"]);
    let mut record = world.session("a");
    record["unseen"] =
        json!({ "text": record["typed"], "conversation": record["conversation"], "position": 0, "at_ms": 0 });
    std::fs::write(world.path("state/a.session"), record.to_string()).expect("written");
    world.peer(&["send", "a", "hello"]).prints("a: already awake; message delivered\n");
    assert_eq!(world.said(&world.conversation("a")), ["first", "hello"], "it was there");
    world.peer(&["send", "a", "hello"]).prints("a: already awake; message delivered\n");
    assert_eq!(world.said(&world.conversation("a")), ["first", "hello", "hello"], "said twice is said twice");
}

fn the_initial_prompt_goes_before_the_first_message_of_each_fresh_conversation(on: RuntimeKind) {
    let world = World::on(on);
    world.demo_with("a", &["--prompt", "You are a."], &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    assert_eq!(world.said(&world.conversation("a")), ["You are a.\n\nhello"]);
    world.peer(&["stop", "a"]);
    world.peer(&["start", "a"]);
    world.peer(&["wake", "a", "-m", "again"]);
    assert_eq!(world.said(&world.conversation("a")), ["You are a.\n\nhello", "again"]);
    world.peer(&["new", "a"]).prints("a: woken fresh (asked-fresh); message delivered\n");
    assert_eq!(world.said(&world.conversation("a")), ["You are a."], "without a message the prompt alone");
}

#[test]
fn an_initial_prompt_that_was_not_seen_to_arrive_is_not_said_again_before_a_message() {
    let world = World::new();
    world.demo_with("a", &["--prompt", "You are a."], &[]);
    world.peer(&["wake", "a"]);
    world.edit("a", "session", |record| {
        record["prompt_due"] = json!(true);
        record["unseen"] = json!({
            "text": record["typed"], "conversation": record["conversation"], "position": 0, "at_ms": record["woke_at_ms"]
        });
    });
    world.peer(&["send", "a", "hello"]).prints("a: already awake; message delivered\n");
    assert_eq!(world.said(&world.conversation("a")), ["You are a.", "hello"]);
}

fn swallowed_enters_are_pressed_again(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--swallow-enter", "2"]);
    let run = world.peer(&["wake", "a", "-m", "hello"]).prints("a: woken fresh (first-wake); message delivered\n");
    assert!(run.took > Duration::from_secs(2), "twice a second passed before another Enter");
    assert_eq!(world.said(&world.conversation("a")), ["hello"]);
}

fn a_message_during_a_turn_is_accepted_into_the_queue(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--slow-turn"]);
    world.peer(&["wake", "a", "-m", "SLOW 30"]).prints("a: woken fresh (first-wake); message delivered\n");
    wait_until("it works", || world.screen("a").contains("Working"));
    let run = world.peer(&["send", "a", "later"]).prints("a: already awake; message delivered\n");
    assert!(run.took < Duration::from_secs(15), "{run:?}");
    wait_until("it waits", || world.screen("a").contains("queued: later"));
    world.peer(&["interrupt", "a"]);
    wait_until("its turn was stopped", || world.screen("a").contains("interrupted"));
}

fn a_dialog_that_the_spec_accepts_is_answered(on: RuntimeKind) {
    let world = World::on(on);
    world.demo_with("a", &["--accept", "trust-folder"], &["--trust-dialog", "--late-dialog", "250"]);
    world.peer(&["wake", "a", "-m", "hello"]).prints("a: woken fresh (first-wake); message delivered\n");
    assert_eq!(world.said(&world.conversation("a")), ["hello"]);
}

fn a_dialog_that_nobody_accepted_needs_a_person_and_is_left_as_it_is(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--trust-dialog"]);
    let run = world.peer(&["wake", "a", "-m", "hello"]);
    let question = "Quick safety check: Is this a project you created or one you trust?";
    assert_eq!((run.code, run.stdout.as_str()), (5, ""), "{run:?}");
    let error = format!("error: the message was not delivered: a was started, but it needs a person: {question}");
    assert!(run.stderr.starts_with(&error), "{run:?}");
    let hint = "hint: peer answer a, or peer attach a, or allow it in `peer edit a`: accept = [\"trust-folder\"]";
    assert!(run.stderr.ends_with(&format!("{hint}; then send it again\n")), "{run:?}");
    let told = world.peer(&["send", "a", "hello", "--json"]).json();
    assert_eq!((&told["code"], &told["cause"], &told["retryable"]), (&json!(5), &json!("not-typed"), &json!(true)));
    assert_eq!(world.events("a", "message.unconfirmed").len(), 2);
    // Without a message, there is nothing to send again.
    let run = world.peer(&["wake", "a"]);
    assert!(run.stderr.starts_with("error: a was started") && run.stderr.ends_with(&format!("{hint}\n")), "{run:?}");
    // An interrupt is refused too: a dialog may take its key for an answer.
    world.peer(&["interrupt", "a"]).fails(
        4,
        "error: a is still starting: there is no turn to interrupt; no key was pressed\n\
         hint: peer attach a to see what it is waiting for\n",
    );
    assert!(world.screen("a").contains("❯ No, exit"), "no key was pressed");
    assert_eq!(world.events("a", "wake.failed")[0]["cause"], "needs-person");
    // The user answers, and the next wake finds it ready.
    world.press("a", &["Down"]);
    world.press("a", &["Enter"]);
    world.peer(&["wake", "a", "-m", "hello"]).prints("a: already awake; message delivered\n");
    assert_eq!((world.said(&world.conversation("a")).len(), world.session("a")["incarnation"].as_u64()), (1, Some(1)));
}

fn an_agent_that_is_slow_to_start_is_waited_for(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--start-when", "may-start"]);
    let wake = world.command(&["wake", "a", "-m", "hello"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    wait_until("its agent is started", || world.session("a")["process"].is_object());
    std::fs::write(world.work().join("may-start"), "").expect("write");
    let run = Run::finish(wake.expect("it starts"), None, Instant::now());
    run.prints("a: woken fresh (first-wake); message delivered\n");
    assert_eq!(world.said(&world.conversation("a")), ["hello"]);
}

fn not_ready_in_time_leaves_it_running_and_shows_its_last_lines(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--start-delay", "60000"]);
    world.set_in_spec("a", "ready_timeout = \"700ms\"");
    world.peer(&["wake", "a"]).fails(
        5,
        "error: a was started, but it is not ready after 0 s; still running\n\
         hint: peer attach a to see what it is waiting for\n",
    );
    assert!(common::lives(world.agent("a")));
}

fn no_wake_refuses_a_sleeping_peer(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["send", "a", "--no-wake", "hello"]).fails(4, "error: a is not awake\nhint: peer wake a\n");
    assert!(world.sessions().is_empty(), "nothing was started");
    world.peer(&["send", "a", "hello"]).prints("a: woken fresh (first-wake); message delivered\n");
    world.peer(&["send", "a", "--no-wake", "more"]).prints("a: already awake; message delivered\n");
    assert_eq!(world.said(&world.conversation("a")), ["hello", "more"]);
}

fn a_program_that_does_not_read_has_not_accepted(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["sleep", "1000"]);
    world.peer(&["wake", "a", "-m", "hello"]).fails(
        7,
        "error: the message to a was sent but not confirmed: it has not read its terminal; the text waits there\n\
         hint: check peer screen a before sending it again\n",
    );
    assert_eq!(world.events("a", "message.delivered"), Vec::<serde_json::Value>::new());
}

fn a_program_that_reads_has_accepted(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["cat"]);
    world.peer(&["wake", "a", "-m", "hello cat"]).prints("a: woken fresh (first-wake); message delivered\n");
    wait_until("it came back", || world.screen("a").matches("hello cat").count() == 2);
}

/// Input that the program reads while it starts is not the message, and input before it sets up its terminal is
/// discarded (`TCSAFLUSH`).
fn a_program_that_sets_its_terminal_up_has_the_whole_message(on: RuntimeKind) {
    let world = World::on(on);
    let heard = world.path("heard");
    let script = format!(
        "import json, re, email.parser, http.client, os, tty\ntty.setraw(0)\nwith open('{}', 'wb', 0) as heard:\n\
         \twhile b'\\r' not in (read := os.read(0, 4096)):\n\t\theard.write(read)\n\theard.write(read)\n\
         import time\ntime.sleep(1000)\n",
        heard.display()
    );
    world.add("a", &["python3", "-c", &script]);
    world.peer(&["wake", "a", "-m", "hello"]).prints("a: woken fresh (first-wake); message delivered\n");
    wait_until("it wrote that down", || std::fs::read_to_string(&heard).is_ok_and(|heard| heard == "hello\r"));
}

/// The program reads single keys from its start, and discards its input (`tcflush`). What it reads from files is not
/// the message.
fn a_program_that_discards_what_was_typed_and_reads_a_file_has_not_accepted(on: RuntimeKind) {
    let world = World::on(on);
    let script = "import array, fcntl, os, select, termios, time, tty\ntty.setraw(0)\nprint('up', flush=True)\n\
                  select.select([0], [], [])\nhow_much = array.array('i', [0])\n\
                  while how_much[0] < 6:\n\tfcntl.ioctl(0, termios.FIONREAD, how_much)\n\
                  termios.tcflush(0, termios.TCIFLUSH)\nopen(os.__file__).read()\ntime.sleep(1000)\n";
    world.add("a", &["python3", "-c", script]);
    world.peer(&["wake", "a"]).prints("a: woken fresh (first-wake)\n");
    wait_until("it is set up", || world.screen("a").contains("up"));
    let run = world.peer(&["send", "a", "hello", "--json"]);
    assert_eq!((run.code, run.json()["cause"].as_str()), (7, Some("not-seen")), "{run:?}");
}

fn an_empty_message_is_a_mistake(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    let Run { code, stderr, .. } = world.peer(&["send", "a", "  "]);
    assert_eq!(
        (code, stderr.as_str()),
        (2, "error: the message is empty\nhint: peer wake NAME wakes it without one\n")
    );
    let run = world.peer(&["wake", "a", "-m", "x", "--message-file", "y"]);
    assert_eq!(run.code, 2, "{run:?}");
    world
        .peer(&["wake", "a", "--message-file", "missing"])
        .fails(1, "error: cannot read the message from missing: No such file or directory (os error 2)\n");
}

fn a_delivery_is_logged_without_its_text(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-t", "topic one", "-m", "the secret text"]);
    let event = &world.events("a", "message.delivered")[0];
    assert_eq!((&event["topic"], &event["conversation"]), (&json!("topic one"), &json!(world.conversation("a"))));
    let log = std::fs::read_to_string(world.path("state/lifecycle.log")).expect("a log");
    assert!(!log.contains("the secret text"));
}
