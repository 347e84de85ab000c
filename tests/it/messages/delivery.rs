//! Messages arrive whole and once, or the exit code says that their arrival was not seen.

use std::process::Stdio;
use std::time::Duration;

on_each_runtime! {
    a_hundred_kilobytes_arrive_whole
    text_arrives_from_arguments_files_and_stdin
    what_would_not_arrive_as_it_is_is_refused_before_anything_is_started
    words_that_look_like_a_dialog_block_nothing
    what_was_typed_and_not_sent_is_said_once
    a_composer_that_is_slow_to_empty_is_cleared_once
    a_long_text_that_was_not_sent_is_known_by_what_the_composer_makes_of_it
    what_a_person_types_behind_a_swallowed_enter_is_not_sent
    a_draft_that_reads_like_the_last_message_is_a_persons
    a_message_that_was_interrupted_and_put_back_is_ours
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
    a_draft_that_a_person_typed_is_not_clobbered
    ghost_text_in_an_empty_composer_is_no_draft
    what_somebody_wrote_over_its_screen_is_no_draft
    an_empty_message_is_a_mistake
    a_delivery_is_logged_without_its_text
}

use crate::common;
use crate::common::{Run, World, on_each_runtime, signal, stop, wait_until};
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
        let sender = world.command(&["send", "a", message]).stderr(Stdio::piped()).spawn().expect("peer runs");
        let composer = |what: &str| world.screen("a").lines().any(|line| line.starts_with("> ") && line.contains(what));
        wait_until("it is typed", || composer("hello") || composer("first") || composer("[Pasted"));
        // The first Enter has been pressed by now, and the next comes a second later.
        wait_until("its Enter was swallowed", || !world.events("a", "wake.ready").is_empty());
        world.press("a", &["-l", draft]);
        let output = sender.wait_with_output().expect("it ends");
        let told = String::from_utf8_lossy(&output.stderr);
        // If the draft came before the first Enter, nothing was sent either.
        assert!(output.status.code() == Some(7) && told.contains("typed but not sent"), "{output:?}");
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
    let output = sender.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    signal(agent, Signal::SIGCONT);
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
    assert!(run.stderr.starts_with(&format!("error: a was started, but it needs a person: {question}")), "{run:?}");
    assert!(
        run.stderr.ends_with(
            "hint: peer answer a, or peer attach a, or allow it in `peer edit a`: accept = [\"trust-folder\"]\n"
        ),
        "{run:?}"
    );
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
    world.demo("a", &["--start-delay", "2000"]);
    let run = world.peer(&["wake", "a", "-m", "hello"]).prints("a: woken fresh (first-wake); message delivered\n");
    assert!(run.took > Duration::from_secs(2));
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
         hint: peer screen a; then send it again\n"
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
