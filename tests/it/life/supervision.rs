//! Starts that no verb waits for any more: a tick sees them through, and reports once what blocks them.

use crate::common::ticks::{done, skipped, tick, verdict};
use crate::common::{World, killed, lives, on_each_runtime, signal, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::runtime::RuntimeKind;
use serde_json::json;

on_each_runtime! {
    a_start_that_was_left_alone_is_seen_through
    a_start_that_never_gets_ready_costs_the_others_nothing
    what_needs_a_person_is_said_once_and_again_when_the_question_is_another
}

fn a_start_that_was_left_alone_is_seen_through(on: RuntimeKind) {
    let world = World::on(on);
    world.demo_with("a", &["--prompt", "you are a"], &["--start-when", "may-start"]);
    let mut waker = world.command(&["wake", "a"]).spawn().expect("it starts");
    wait_until("its agent is started", || world.session("a")["process"].is_object());
    killed(&mut waker);
    assert_eq!(world.session("a")["phase"], "starting");
    std::fs::write(world.work().join("may-start"), "").expect("write");
    let document = tick(&world, &[]);
    assert_eq!(done(&document), [["a", "supervised", "its start was left alone"]]);
    assert_eq!(world.session("a")["phase"], "ready");
    assert_eq!(world.said(&world.conversation("a")), ["you are a"]);
    world.peer(&["wake", "a"]).prints("a: already awake\n");
}

fn a_start_that_never_gets_ready_costs_the_others_nothing(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--start-delay", "600000"]);
    world.demo("b", &[]);
    world.set_in_spec("a", "ready_timeout = \"100ms\"");
    assert_eq!(world.peer(&["wake", "a"]).code, 5);
    world.peer(&["wake", "b", "-m", "hello"]);
    signal(world.agent("b"), Signal::SIGKILL);
    world.await_end("b");
    let document = tick(&world, &["--budget", "10s"]);
    assert_eq!(done(&document), [["b", "cleared", "its agent had ended, its session was left over"]]);
    assert_eq!((skipped(&document), verdict(&world, "a")), (vec![], "healthy".to_owned()));
    assert!(document["duration_ms"].as_u64().expect("a time") < 8_000, "{document}");
    assert_eq!(world.events("a", "wake.failed").len(), 1, "its waker has said that it is late");
}

/// Asks two questions that only a person may answer, the first of them twice, before it is ready.
const ASKER: &str = "for question in one two one; do printf '\\033[2J\\033[HQuestion %s?\\n' $question; read answer; done; \
                     printf '\\033[2J\\033[HREADY\\n'; exec sleep 1000";

fn what_needs_a_person_is_said_once_and_again_when_the_question_is_another(on: RuntimeKind) {
    let world = World::on(on);
    let rules =
        "[ready]\nscreen = ['^READY']\n[[dialog]]\nid = \"q\"\nscreen = '^(Question \\w+\\?)'\nneeds_person = true\n";
    world.profile("asker", &format!("extends = \"command\"\ndescription = \"for a test\"\n{rules}"));
    world.declare("a", &["--agent", "asker"], &["sh", "-c", ASKER]);
    world.set_in_spec("a", "restart = \"always\"\nidle_timeout = \"1s\"");
    let run = world.peer(&["wake", "a"]);
    assert!(run.code == 5 && run.stderr.contains("needs a person: Question one?"), "{run:?}");
    let agent = world.agent("a");
    let told = || world.events("a", "wake.failed").len();
    let two_ticks = || {
        for _ in 0..2 {
            assert_eq!(done(&tick(&world, &[])), Vec::<[String; 3]>::new());
        }
        assert!(lives(agent) && world.processes() == [agent], "nothing is started beside it");
        told()
    };
    assert_eq!((told(), two_ticks()), (1, 1), "its waker has said so");
    assert_eq!(world.peer(&["wake", "a"]).code, 5);
    assert_eq!((told(), two_ticks()), (2, 2), "whoever asks is told, and no tick repeats it");
    for (question, entries) in [("Question two?", 3), ("Question one?", 4)] {
        world.press("a", &["Enter"]);
        wait_until(question, || world.screen("a").contains(question));
        assert_eq!(two_ticks(), entries, "{question}");
    }
    assert!(world.events("a", "wake.failed").iter().all(|event| event["cause"] == json!("needs-person")));
    let log = std::fs::read_to_string(world.path("state/lifecycle.log")).expect("a log");
    assert!(!log.contains("Question") && !world.session("a").to_string().contains("Question"), "{log}");
    world.press("a", &["Enter"]);
    wait_until("it is answered", || world.screen("a").contains("READY"));
    assert_eq!(done(&tick(&world, &[])), [["a", "supervised", "its start was left alone"]]);
    assert_eq!((told(), world.events("a", "wake.decided").len(), world.agent("a")), (4, 1, agent));
}
