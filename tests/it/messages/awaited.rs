//! Waiting for turns: `wait` returns at the end of a turn, and each caller of `send --wait` gets the answer to its own
//! message.

use std::fs;
use std::process::{Child, Stdio};
use std::time::Instant;

use crate::common::{Run, World, lives, on_each_runtime, signal, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::runtime::RuntimeKind;
use serde_json::json;

on_each_runtime! {
    a_turn_is_waited_for_until_it_is_over
    all_are_waited_for_or_the_first
    one_that_needs_a_person_or_has_ended_is_not_waited_for
    an_end_that_nobody_records_is_an_end
    a_message_is_answered_on_stdout
    overlapping_messages_have_their_own_answers
    what_waits_behind_a_turn_has_its_own_answer
    a_turn_that_is_stopped_has_no_answer
    a_turn_that_needs_a_person_is_told_with_its_question
}

/// Longer than any test takes: the tests wait only for a release or an end.
const LONG: &str = "SLOW 600";

#[track_caller]
fn prints(world: &World, words: &[&str]) -> String {
    let run = world.peer(words);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    run.stdout
}

fn demo(on: RuntimeKind, names: &[&str]) -> World {
    let world = World::on(on);
    for name in names {
        world.demo(name, &["--slow-turn"]);
        prints(&world, &["wake", name]);
    }
    world
}

/// Starts `peer` beside the test.
fn started(world: &World, words: &[&str]) -> Child {
    let mut command = world.command(words);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
}

/// The exit code and the output.
#[track_caller]
fn ended(child: Child) -> (i32, String, String) {
    let run = Run::finish(child, None, Instant::now());
    (run.code, run.stdout, run.stderr)
}

fn is_waiting(child: &mut Child) -> bool {
    child.try_wait().expect("ours").is_none()
}

fn busy(world: &World, name: &str) {
    wait_until("its turn goes on", || world.peer(&["list", name, "--format", "{state}"]).stdout == "busy\n");
}

fn a_turn_is_waited_for_until_it_is_over(on: RuntimeKind) {
    let world = demo(on, &["a"]);
    assert_eq!(prints(&world, &["wait", "a"]), "", "nothing goes on");
    prints(&world, &["send", "a", LONG]);
    let mut wait = started(&world, &["wait", "a"]);
    prints(&world, &["wait", "a", "--until", "busy"]);
    let late = world.peer(&["wait", "a", "--timeout", "1s"]);
    late.fails(
        9,
        "error: a did not become idle within 1 s\nhint: peer list shows their states; run the same command to keep waiting\n",
    );
    assert!(is_waiting(&mut wait));
    prints(&world, &["interrupt", "a"]);
    assert_eq!(ended(wait), (0, String::new(), String::new()));
    // Right after a send, the state before the turn does not count as idle.
    prints(&world, &["send", "a", "SLOW 0.3 one"]);
    prints(&world, &["wait", "a"]);
    assert_eq!(prints(&world, &["last", "a"]), "ack turns=2: SLOW 0.3 one\n");
    let told = world.peer(&["wait", "a", "--json"]).json();
    assert_eq!((&told["schema"], &told["peers"][0]["reached"]), (&json!("peer.wait/1"), &json!("idle")));
    // Ctrl-C ends the wait and leaves nothing behind.
    prints(&world, &["send", "a", LONG]);
    let mut wait = started(&world, &["wait", "a"]);
    busy(&world, "a");
    assert!(is_waiting(&mut wait));
    signal(wait.id(), Signal::SIGINT);
    let pid = wait.id();
    ended(wait);
    assert!(!lives(pid));
}

fn all_are_waited_for_or_the_first(on: RuntimeKind) {
    let world = demo(on, &["a", "b"]);
    prints(&world, &["send", "a", LONG]);
    prints(&world, &["send", "b", LONG]);
    let (mut all, any) = (started(&world, &["wait", "a", "b"]), started(&world, &["wait", "a", "b", "--any"]));
    busy(&world, "a");
    busy(&world, "b");
    prints(&world, &["interrupt", "b"]);
    assert_eq!(ended(any), (0, "b\n".to_owned(), String::new()));
    assert!(is_waiting(&mut all), "one of two is not all");
    prints(&world, &["interrupt", "a"]);
    assert_eq!(ended(all), (0, String::new(), String::new()));
    world
        .peer(&["wait", "a", "nobody"])
        .fails(3, "error: there is no peer named nobody\nhint: peer add nobody -- COMMAND\n");
}

fn one_that_needs_a_person_or_has_ended_is_not_waited_for(on: RuntimeKind) {
    let world = demo(on, &["a"]);
    let profile = "description = \"asks\"\n[ready]\nscreen = ['^ready$']\n[[dialog]]\nid = \"permission\"\n\
                   screen = '^(May I [^\\n]*\\?)$'\nneeds_person = true\n";
    world.profile("asker", profile);
    let script = "echo ready; read -r line; clear; echo 'May I go on?'; cat";
    world.declare("b", &["--agent", "asker"], &["sh", "-c", script]);
    prints(&world, &["wake", "b"]);
    prints(&world, &["send", "a", LONG]);
    let wait = started(&world, &["wait", "a", "b", "--until", "asleep"]);
    world.press("b", &["Enter"]);
    let (code, out, error) = ended(wait);
    assert_eq!((code, out.as_str()), (8, ""), "{error}");
    assert_eq!(error, "error: b needs a person (permission): May I go on?\nhint: peer attach b and answer it\n");
    assert_eq!(prints(&world, &["wait", "b", "--until", "waiting"]), "");
    busy(&world, "a");
    let wait = started(&world, &["wait", "a"]);
    let fds = format!("/proc/{}/fd", wait.id());
    let is_inotify =
        |fd: fs::DirEntry| fs::read_link(fd.path()).is_ok_and(|to| to.to_string_lossy().contains("inotify"));
    wait_until("it watches", || fs::read_dir(&fds).is_ok_and(|fds| fds.flatten().any(is_inotify)));
    // Its turn is interrupted first, which is no end of it that was waited for.
    prints(&world, &["stop", "a"]);
    let (code, out, error) = ended(wait);
    assert_eq!((code, out.as_str()), (5, ""), "{error}");
    assert_eq!(error, "error: a does not run: it is stopped\nhint: peer start a\n");
    prints(&world, &["wait", "a", "--until", "ended"]);
    prints(&world, &["wait", "a", "--until", "busy,asleep"]);
}

fn an_end_that_nobody_records_is_an_end(on: RuntimeKind) {
    let world = demo(on, &["a"]);
    let (pane, agent) = (world.pane_process("a"), world.agent("a"));
    let wait = started(&world, &["wait", "a", "--until", "busy"]);
    // Stopped first, so that it records nothing.
    for (process, kind) in [(pane, Signal::SIGSTOP), (agent, Signal::SIGKILL), (pane, Signal::SIGKILL)] {
        signal(process, kind);
    }
    let (code, out, error) = ended(wait);
    assert_eq!((code, out.as_str()), (5, ""), "{error}");
    assert!(error.starts_with("error: a does not run: it is ") && error.contains("not recorded yet"), "{error}");
    assert_eq!(prints(&world, &["wait", "a", "--until", "ended"]), "");
    assert!(!world.has("a", "end"), "nobody recorded it");
}

fn a_message_is_answered_on_stdout(on: RuntimeKind) {
    let world = World::on(on);
    world.demo_with("a", &["--prompt", "You are an agent."], &["--slow-turn"]);
    let run = world.peer(&["send", "a", "-w", "SLOW 0.3 one"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "ack turns=1: You are an agent. SLOW 0.3 one\n"), "{run:?}");
    assert_eq!(run.stderr, "note: a: woken fresh (first-wake); message delivered\n");
    assert_eq!(prints(&world, &["send", "a", "two", "--wait", "--timeout", "5m"]), "ack turns=2: two\n");
    let told = world.peer(&["send", "a", "-w", "SLOW 0.2 three", "--json"]).json();
    assert_eq!((&told["schema"], &told["delivered"]), (&json!("peer.send/1"), &json!(true)));
    assert_eq!(
        (&told["answer"], &told["tokens"]),
        (&json!("ack turns=3: SLOW 0.2 three"), &json!({ "input": 10, "output": 3 }))
    );
    assert!(told["turn_ms"].as_u64().is_some_and(|took| took >= 200), "{told}");
    let late = world.peer(&["send", "a", "-w", LONG, "--timeout", "1s"]);
    assert!(late.code == 9 && late.stderr.contains("did not finish the turn of the message within 1 s"), "{late:?}");
    assert!(late.stdout.is_empty(), "{late:?}");
    let ask = started(&world, &["send", "a", "-w", "SLOW 600 behind it"]);
    wait_until("it waits behind the turn", || world.screen("a").contains("queued: SLOW 600 behind it"));
    prints(&world, &["stop", "a"]);
    let (code, out, error) = ended(ask);
    assert!(code == 5 && out.is_empty() && error.contains("a ended before it answered"), "{code} {error}");
    world.add("plain", &["cat"]);
    let plain = world.peer(&["send", "plain", "-w", "one"]);
    assert!(plain.code == 1 && plain.stderr.contains("nothing was sent\nhint: peer screen plain"), "{plain:?}");
    assert!(world.events("plain", "wake.decided").is_empty(), "nothing was begun");
}

/// Agents answer the messages that queue during a turn together.
fn overlapping_messages_have_their_own_answers(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--slow-turn", "--merge-queue"]);
    prints(&world, &["wake", "a"]);
    std::thread::scope(|scope| {
        for sender in 0..5 {
            let world = &world;
            scope.spawn(move || {
                for number in 0..4 {
                    let text = format!("SLOW 0.05 m{sender}x{number}");
                    let answer = prints(world, &["send", "a", "-w", &text]);
                    assert!(answer.starts_with("ack ") && answer.ends_with(&format!(": {text}\n")), "{text}: {answer}");
                }
            });
        }
    });
    let said = world.said(&world.conversation("a"));
    assert_eq!(said.len(), 20, "{said:?}");
}

fn what_waits_behind_a_turn_has_its_own_answer(on: RuntimeKind) {
    let world = demo(on, &["a"]);
    prints(&world, &["send", "a", LONG]);
    prints(&world, &["send", "a", "another's"]);
    let ask = started(&world, &["send", "a", "-w", "mine"]);
    wait_until("it waits behind the turn", || world.screen("a").contains("queued: mine"));
    prints(&world, &["interrupt", "a"]);
    assert_eq!(ended(ask), (0, "ack turns=3: mine\n".to_owned(), String::new()));
}

fn a_turn_that_needs_a_person_is_told_with_its_question(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--asks"]);
    prints(&world, &["wake", "a"]);
    let asks = world.peer(&["send", "a", "-w", "ASK Which one? | left | right"]);
    assert_eq!((asks.code, asks.stdout.as_str()), (8, ""), "{asks:?}");
    let hint = "hint: peer answer a, or peer attach a; then peer last a prints the answer\n";
    assert_eq!(asks.stderr, format!("error: a needs a person (question): Which one?\n{hint}"));
    let told = world.peer(&["wait", "a", "--json"]);
    let peer = &serde_json::from_str::<serde_json::Value>(&told.stdout).expect("a document")["peers"][0];
    assert_eq!((told.code, &peer["needs_person"], &peer["question"]), (8, &json!(true), &json!("Which one?")));
}

fn a_turn_that_is_stopped_has_no_answer(on: RuntimeKind) {
    let world = demo(on, &["a"]);
    let ask = started(&world, &["send", "a", "-w", LONG]);
    busy(&world, "a");
    prints(&world, &["interrupt", "a"]);
    let (code, out, error) = ended(ask);
    assert_eq!((code, out.as_str()), (1, ""), "{error}");
    assert!(error.contains("ended without an answer\nhint: peer screen a"), "{error}");
}
