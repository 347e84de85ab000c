//! Ticks of the reaper: what a tick did and stamped, and peers that are old enough to be judged.

use std::fs;
use std::time::UNIX_EPOCH;

use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};

use super::{World, wait_until};

/// Runs one tick that must succeed, and returns its document.
#[track_caller]
pub(crate) fn tick(world: &World, flags: &[&str]) -> Value {
    let run = world.peer(&[&["reap", "--json"], flags].concat());
    assert_eq!(run.code, 0, "{run:?}");
    run.json()
}

/// `[peer, what, cause]` of everything that a tick did.
pub(crate) fn done(tick: &Value) -> Vec<[String; 3]> {
    let text = |deed: &Value, key: &str| deed[key].as_str().expect("text").to_owned();
    let deeds = tick["done"].as_array().expect("a list").iter();
    deeds.map(|deed| [text(deed, "peer"), text(deed, "what"), text(deed, "cause")]).collect()
}

/// What a tick could not do or determine, one line each.
pub(crate) fn skipped(tick: &Value) -> Vec<String> {
    tick["skipped"].as_array().expect("a list").iter().map(|line| line.as_str().expect("text").to_owned()).collect()
}

/// What the last tick stamped for one peer.
#[track_caller]
pub(crate) fn pulse(world: &World, name: &str) -> Value {
    let text = fs::read_to_string(world.path("state/heartbeat.json")).expect("a heartbeat");
    serde_json::from_str::<Value>(&text).expect("JSON")["peers"][name].clone()
}

/// The verdict of the last tick.
#[track_caller]
pub(crate) fn verdict(world: &World, name: &str) -> String {
    pulse(world, name)["verdict"].as_str().expect("a verdict").to_owned()
}

/// Ages the recorded incarnation, so that no test has to wait for the settle time.
pub(crate) fn settle(world: &World, name: &str) {
    world.edit(name, "session", |record| {
        let long_ago = record["woke_at_ms"].as_u64().expect("a time") - 3_600_000;
        record["woke_at_ms"] = json!(long_ago);
        record["ready_at_ms"] = json!(long_ago + 1000);
    });
}

/// Wakes peers that run `sleep` and ages them.
pub(crate) fn fleet(world: &World, names: &[&str]) {
    for name in names {
        world.add(name, &["sleep", "1000"]);
        world.set_in_spec(name, "idle_timeout = \"0s\"");
    }
    let run = world.peer(&[&["wake"], names].concat());
    assert_eq!(run.code, 0, "{run:?}");
    for name in names {
        settle(world, name);
    }
}

/// Waits until a peer's pane has not printed for this many seconds, by the same clock as a tick.
#[track_caller]
pub(crate) fn wait_until_quiet(world: &World, name: &str, seconds: u64) {
    let printed_s = || match world.kind() {
        RuntimeKind::Tmux => {
            let place = world.place(name);
            let said =
                world.tmux_on(&place.server, &["display-message", "-p", "-t", &place.pane, "#{window_activity}"]);
            said.trim().parse().expect("seconds")
        }
        // The terminal of a process that has ended cannot be read.
        RuntimeKind::Zellij => {
            let terminal = fs::metadata(format!("/proc/{}/fd/0", world.pane_process(name)));
            let printed = terminal.and_then(|terminal| terminal.modified());
            printed.map_or(0, |at| at.duration_since(UNIX_EPOCH).expect("a time").as_secs())
        }
    };
    wait_until(&format!("{name} has not printed for {seconds} s"), || {
        UNIX_EPOCH.elapsed().expect("a time").as_secs() >= printed_s() + seconds
    });
}
