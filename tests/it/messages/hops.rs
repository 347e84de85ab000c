//! A chain of messages from agent to agent is bounded.

use std::fs;

use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};

use crate::common::{Run, World, on_each_runtime, wait_for};

on_each_runtime! {
    a_loop_of_three_agents_ends_at_its_bound
}

/// Declares an agent that passes every message on to another.
fn passes_on(world: &World, name: &str, to: &str) {
    let (peer, said) = (env!("CARGO_BIN_EXE_peer"), world.path(&format!("said-{name}")));
    let command = format!("'{peer}' send {to} \"$1 and on\" 2> {}", said.display());
    world.demo(name, &["--on-message", &command]);
}

fn delivered(world: &World, name: &str) -> Vec<Value> {
    world.events(name, "message.delivered").iter().map(|event| event["hops"].clone()).collect()
}

fn a_loop_of_three_agents_ends_at_its_bound(on: RuntimeKind) {
    let world = World::on(on);
    for (name, to) in [("a", "b"), ("b", "c"), ("c", "a")] {
        passes_on(&world, name, to);
    }
    let refused = |number: usize| {
        let refused = world.log().into_iter().filter(|event| event["event"] == "message.refused").nth(number)?;
        Some((refused["peer"].clone(), refused["from"].clone(), refused["hops"].clone(), refused["cause"].clone()))
    };
    world.peer(&["send", "a", "go"]).prints("a: woken fresh (first-wake); message delivered\n");
    let first = wait_for("the loop comes to its end", || refused(0));
    assert_eq!(first, (json!("a"), json!("c"), json!(9), json!("too-many-hops")));
    assert_eq!(delivered(&world, "a"), [Value::Null, json!(3), json!(6)]);
    assert_eq!(delivered(&world, "b"), [json!(1), json!(4), json!(7)]);
    assert_eq!(delivered(&world, "c"), [json!(2), json!(5), json!(8)]);
    let said =
        wait_for("the agent is told", || fs::read_to_string(world.path("said-c")).ok().filter(|s| s.contains("hint")));
    assert!(
        said.starts_with("error: cannot send to a: with this one from c, 9 messages in a row went from agent to agent"),
        "{said}"
    );
    // A person's message starts a new chain, at any of the agents.
    world.peer(&["send", "b", "again"]).prints("b: already awake; message delivered\n");
    let second = wait_for("it comes to its end again", || refused(1));
    assert_eq!(second, (json!("b"), json!("a"), json!(9), json!("too-many-hops")));
    assert_eq!(delivered(&world, "b")[3..], [Value::Null, json!(3), json!(6)]);
}

#[test]
fn each_way_to_write_to_a_peer_counts() {
    let world = World::new();
    let config = fs::read_to_string(world.path("config/config.toml")).expect("read");
    fs::write(world.path("config/config.toml"), format!("max_hops = 2\n{config}")).expect("write");
    for name in ["a", "b", "c"] {
        world.add(name, &["cat"]);
    }
    let by = |name: &str, words: &[&str]| Run::of(world.command(words).env("PEER_NAME", name), None);
    by("a", &["wake", "b", "-m", "one"]).prints("b: woken fresh (first-wake); message delivered\n");
    assert_eq!(world.events("b", "message.delivered")[0]["from"], "a");
    // A wake without a message counts as a hop too.
    by("b", &["wake", "c"]).prints("c: woken fresh (first-wake)\n");
    assert_eq!((&world.session("b")["hops"], &world.session("c")["hops"]), (&json!(1), &json!(2)));
    let before = world.session("a");
    for words in [
        &["send", "a", "three"][..],
        &["wake", "a", "-m", "three"],
        &["wake", "a"],
        &["new", "a", "-m", "three"],
        &["send", "a", "--queue", "three"],
        &["send", "a", "-w", "three"],
    ] {
        let run = by("c", words);
        assert_eq!((run.code, run.stdout.as_str()), (4, ""), "{words:?}: {run:?}");
        assert!(run.stderr.contains("hint: a person's message begins a new chain: peer send c TEXT;"), "{run:?}");
    }
    let told = by("c", &["send", "a", "three", "--json"]).json();
    assert_eq!(
        (&told["cause"], &told["retryable"], &told["code"]),
        (&json!("too-many-hops"), &json!(false), &json!(4))
    );
    assert_eq!((world.session("a"), world.events("a", "message.refused").len()), (before, 7));
    assert!(!world.path("state/inbox/a").exists(), "nothing was queued");
    // A queued message keeps the hop count that it arrived with.
    by("b", &["send", "a", "--queue", "two"]).prints("a: queued as 1\n");
    world.peer(&["wake", "a"]).prints("a: woken fresh (first-wake); a queued message delivered\n");
    assert_eq!(world.session("a")["hops"], 2);
    world.peer(&["send", "a", "a person's"]).prints("a: already awake; message delivered\n");
    assert_eq!(world.session("a")["hops"], Value::Null);
    by("a", &["send", "b", "one"]).prints("b: already awake; message delivered\n");
}
