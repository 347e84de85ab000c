//! What follows an end: the backoff, the restart policies, the budgets and the latch.

use super::endings::{earlier, is, leave, leaves, listed, ready_earlier, tick, wake};
use crate::common::{World, on_each_runtime};
use peer_adapters::runtime::RuntimeKind;
use serde_json::json;
use std::fs;

on_each_runtime! {
    the_backoff_doubles_up_to_300_s_and_survives_any_restart_of_ours
    the_default_policy_restarts_nothing
    on_failure_leaves_a_completion_and_always_does_not
    more_than_ten_clean_exits_in_60_s_wait_30_s
    the_latch_closes_at_max_restarts_and_a_reset_opens_it
    a_long_ready_life_forgives_the_deaths_before_it
}

fn the_backoff_doubles_up_to_300_s_and_survives_any_restart_of_ours(on: RuntimeKind) {
    let world = World::on(on);
    leaves(&world, "a", "restart = \"on-failure\"\nidle_timeout = \"0s\"");
    wake(&world, "a");
    for (death, hold) in [30, 60, 120, 240, 300, 300].into_iter().enumerate() {
        is(&leave(&world, "a", 3), "crashed", true, "code", &json!(3));
        assert_eq!((world.deaths("a"), listed(&world, "a")), (death + 1, ("held".to_owned(), Some(hold))));
        assert!(tick(&world).is_empty(), "held");
        earlier(&world, "a", hold - 5);
        assert!(tick(&world).is_empty(), "still held");
        // Past the hold, and with all but the last death past the guard's window.
        earlier(&world, "a", 301);
        assert_eq!(tick(&world), ["a: restarted (fresh (crashed))"]);
    }
}

fn the_default_policy_restarts_nothing(on: RuntimeKind) {
    let world = World::on(on);
    leaves(&world, "a", "idle_timeout = \"0s\"");
    wake(&world, "a");
    leave(&world, "a", 3);
    earlier(&world, "a", 3600);
    assert!(tick(&world).is_empty() && tick(&world).is_empty());
    assert_eq!(listed(&world, "a"), ("crashed".into(), None));
}

fn on_failure_leaves_a_completion_and_always_does_not(on: RuntimeKind) {
    let world = World::on(on);
    leaves(&world, "a", "restart = \"on-failure\"\nidle_timeout = \"0s\"");
    wake(&world, "a");
    ready_earlier(&world, "a", 60);
    is(&leave(&world, "a", 0), "completed", false, "code", &json!(0));
    assert!(tick(&world).is_empty());
    let path = world.path("config/peers/a.toml");
    let spec = fs::read_to_string(&path).expect("readable");
    fs::write(path, spec.replace("on-failure", "always")).expect("write");
    assert_eq!(tick(&world), ["a: restarted (fresh (completed))"]);
    // An agent that was parked or stopped is not restarted, because that was intended.
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    assert!(tick(&world).is_empty());
    world.peer(&["start", "a"]);
    assert!(tick(&world).is_empty());
}

fn more_than_ten_clean_exits_in_60_s_wait_30_s(on: RuntimeKind) {
    let world = World::on(on);
    leaves(&world, "a", "restart = \"always\"\nidle_timeout = \"0s\"");
    wake(&world, "a");
    ready_earlier(&world, "a", 60);
    let at = leave(&world, "a", 0)["at_ms"].as_u64().expect("a time");
    let exits = |count: u64| {
        let recent: Vec<_> = (0..count).rev().map(|n| json!({"at_ms": at - n * 1000, "cause": "completed"})).collect();
        world.edit("a", "end", |end| end["recent"] = json!(recent));
    };
    exits(11);
    assert_eq!((listed(&world, "a"), tick(&world)), (("held".into(), Some(30)), vec![]));
    exits(10);
    assert_eq!(tick(&world), ["a: restarted (fresh (completed))"]);
}

fn the_latch_closes_at_max_restarts_and_a_reset_opens_it(on: RuntimeKind) {
    let world = World::on(on);
    leaves(&world, "a", "restart = \"on-failure\"\nmax_restarts = 2\nidle_timeout = \"0s\"");
    // An old spec: one that was changed after the last death would open the latch by itself.
    let spec = fs::File::options().append(true).open(world.path("config/peers/a.toml")).expect("it is there");
    spec.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1)).expect("set");
    wake(&world, "a");
    leave(&world, "a", 3);
    earlier(&world, "a", 400);
    assert_eq!(tick(&world), ["a: restarted (fresh (crashed))"]);
    leave(&world, "a", 3);
    earlier(&world, "a", 4000);
    assert_eq!((listed(&world, "a"), tick(&world)), (("failed".into(), None), vec![]));
    assert_eq!(world.peer(&["wake", "a"]).code, 4);
    assert_eq!(world.peer(&["reset", "a"]).code, 0);
    assert_eq!((world.deaths("a"), listed(&world, "a").0), (0, "crashed".into()));
    assert_eq!(tick(&world), ["a: restarted (fresh (crashed))"]);
}

fn a_long_ready_life_forgives_the_deaths_before_it(on: RuntimeKind) {
    let world = World::on(on);
    leaves(&world, "a", "idle_timeout = \"0s\"");
    wake(&world, "a");
    leave(&world, "a", 3);
    wake(&world, "a");
    assert!(tick(&world).is_empty());
    assert_eq!(world.deaths("a"), 1);
    ready_earlier(&world, "a", 300);
    assert_eq!((tick(&world), world.deaths("a")), (vec![], 0));
    assert_eq!(world.events("a", "peer.stable").len(), 1);
}
