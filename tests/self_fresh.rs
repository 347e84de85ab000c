//! `peer self-fresh`, as an agent's tool call runs it.

mod common;

use std::time::{Duration, Instant};

use common::{World, lives, wait_until};
use serde_json::json;

#[test]
fn the_kill_that_was_meant_for_the_old_agent_spares_the_fresh_one() {
    let world = World::new();
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    let (old, conversation) = (world.agent("a"), world.conversation("a"));
    let incarnation = world.session("a")["incarnation"].to_string();
    let run = common::Run::of(
        world.command(&["self-fresh"]).env("PEER_NAME", "a").env("PEER_INCARNATION", incarnation),
        None,
    );
    assert_eq!(run.code, 0, "{run:?}");
    wait_until("a fresh agent is ready", || {
        world.events("a", "wake.ready").iter().any(|event| event["cause"] == json!("self-fresh"))
    });
    let fresh = world.agent("a");
    assert!(fresh != old && !lives(old), "{old} {fresh}");
    assert_ne!(world.conversation("a"), conversation);
    // The demo's grace between SIGTERM and SIGKILL is 1 s; it obeyed the first at once.
    let ready = Instant::now();
    wait_until("the old agent's grace is over", || {
        assert!(lives(fresh), "{:?}", world.end("a"));
        ready.elapsed() > Duration::from_secs(2)
    });
}
