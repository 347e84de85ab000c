//! The error for a message that did not arrive says how far it got, and whether it may be sent again, even if its
//! runtime is lost meanwhile.

use std::process::Stdio;
use std::time::Instant;

use crate::common::{Run, World, on_each_runtime, wait_until};
use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};

on_each_runtime! {
    what_was_not_typed_may_be_sent_again
    what_was_typed_when_its_runtime_was_lost_may_be_sent_again
    what_was_sent_when_its_runtime_was_lost_may_not
    what_was_not_seen_is_looked_for_by_the_next_incarnation_too
}

const DEMO: &str = include_str!("../../../scripts/demo/agents/demo.toml");

#[track_caller]
fn told(run: &Run) -> (i32, Value, Value) {
    let document = run.json();
    let told = if document["peers"].is_null() { &document } else { &document["peers"][0] };
    assert_eq!(told["code"], run.code, "{run:?}");
    (run.code, told["cause"].clone(), told["retryable"].clone())
}

/// Runs `send`, and kills the server once the composer holds the text.
fn loses_its_server(world: &World) -> Run {
    let mut sender = world.command(&["send", "a", "hello", "--json"]);
    let sender = sender.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("peer runs");
    wait_until("it is typed", || world.screen("a").lines().any(|line| line.starts_with("> hello")));
    world.lose_server("a");
    Run::finish(sender, None, Instant::now())
}

fn what_was_not_typed_may_be_sent_again(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a"]);
    world.press("a", &["-l", "my draft"]);
    wait_until("it shows", || world.screen("a").contains("> my draft"));
    let run = world.peer(&["wake", "a", "-m", "hello", "--json"]);
    assert_eq!(told(&run), (7, json!("not-typed"), json!(true)));
    // A message that can never arrive cannot be retried; an error without a message does not say.
    let run = world.peer(&["send", "a", "two\rwords", "--json"]);
    assert_eq!(told(&run), (1, json!("unsendable"), json!(false)));
    let run = world.peer(&["wake", "nobody", "--json"]);
    assert_eq!(told(&run), (3, json!(null), json!(null)));
}

fn what_was_typed_when_its_runtime_was_lost_may_be_sent_again(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a"]);
    // Its Enter comes this long after its paste.
    world.profile("demo", &DEMO.replace("settle = \"100ms\"", "settle = \"5s\""));
    assert_eq!(told(&loses_its_server(&world)), (7, json!("not-sent"), json!(true)));
    assert_eq!(world.await_end("a")["cause"], "runtime-lost");
    assert_eq!(world.peer(&["send", "a", "hello"]).code, 0);
    assert_eq!(world.said(&world.conversation("a")), ["hello"]);
}

/// Its Enter is swallowed, which cannot be distinguished from one that was not.
fn what_was_sent_when_its_runtime_was_lost_may_not(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--swallow-enter", "1"]);
    world.profile("demo", &DEMO.replace("again = \"1s\"", "again = \"19s\""));
    world.peer(&["wake", "a"]);
    let mut sender = world.command(&["send", "a", "hello", "--json"]);
    let sender = sender.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("peer runs");
    // The next Enter comes after 19 s.
    wait_until("its first Enter was swallowed", || world.screen("a").contains("swallowed an Enter"));
    world.lose_server("a");
    let run = Run::finish(sender, None, Instant::now());
    assert_eq!(told(&run), (7, json!("not-seen"), json!(false)));
    assert_eq!(world.await_end("a")["unseen"]["conversation"], json!(world.conversation("a")));
}

fn what_was_not_seen_is_looked_for_by_the_next_incarnation_too(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "first"]);
    world.peer(&["send", "a", "hello"]);
    // The record of a sender whose agent wrote the message down after the sender's time was over.
    world.edit("a", "session", |record| {
        record["unseen"] =
            json!({ "text": record["typed"], "conversation": record["conversation"], "position": 0, "at_ms": 0 });
    });
    world.lose_server("a");
    world.await_end("a");
    world.peer(&["send", "a", "hello"]).prints("a: woken resumed (runtime-lost); message delivered\n");
    assert_eq!(world.said(&world.conversation("a")), ["first", "hello"], "it was there");
    world.peer(&["send", "a", "hello"]).prints("a: already awake; message delivered\n");
    assert_eq!(world.said(&world.conversation("a")), ["first", "hello", "hello"], "said twice is said twice");
}
