//! Starts in a process that lives on: `peer mcp` serves many calls.

use peer_adapters::runtime::RuntimeKind;
use serde_json::json;

use crate::common::mcp::{Client, until, with_clients};
use crate::common::ticks::{done, tick};
use crate::common::{World, on_each_runtime};

on_each_runtime! {
    a_start_that_a_call_gave_up_is_seen_through_by_others
    two_calls_for_one_start_see_it_through_once
}

/// The server of a call lives on, and must not be taken for a process that still watches the start.
fn a_start_that_a_call_gave_up_is_seen_through_by_others(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("asks", &["--trust-dialog"]);
    world.demo("late", &["--start-when", "may-start"]);
    with_clients(async {
        let client = Client::of_a_person(&world).await;
        let (code, said) = client.refused("wake", json!({ "name": "asks" })).await;
        assert!(code == 5 && said.contains("needs a person"), "{said}");
        let run = world.peer(&["answer", "asks", "Yes"]);
        assert_eq!(run.code, 0, "{run:?}");
        world.peer(&["wake", "asks"]).prints("asks: already awake\n");
        let begun = client.begin("wake", json!({ "name": "late" })).await;
        until("its agent is started", || world.session("late")["process"].is_object()).await;
        begun.cancel(None).await.expect("cancelled");
        until("nobody watches it", || world.session("late")["driver"]["pid"] == 0).await;
        std::fs::write(world.work().join("may-start"), "").expect("write");
        let supervised = tick(&world, &[]);
        assert_eq!(done(&supervised), [["late", "supervised", "its start was left alone"]], "{supervised}");
        assert_eq!(client.close().await, Some(0));
    });
}

fn two_calls_for_one_start_see_it_through_once(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--trust-dialog", "--start-delay", "300"]);
    world.set_in_spec("a", "accept = [\"trust-folder\"]");
    with_clients(async {
        let client = Client::of_a_person(&world).await;
        let call = async |text: &str| client.done("wake", json!({ "name": "a", "message": text })).await;
        let (one, two) = tokio::join!(call("one"), call("two"));
        assert_eq!((&one["delivered"], &two["delivered"]), (&json!(true), &json!(true)));
        assert_eq!(client.close().await, Some(0));
    });
    assert_eq!((world.events("a", "wake.decided").len(), world.events("a", "wake.ready").len()), (1, 1));
    assert_eq!(world.said(&world.conversation("a")).len(), 2);
}
