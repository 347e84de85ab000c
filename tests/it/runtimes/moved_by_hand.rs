//! What the user does to the sessions, windows and panes of a server that hosts peers: the agent lives on, every verb
//! finds it, no death is counted, and a stop ends only that agent.

use std::collections::BTreeMap;

use crate::common::attached::Attached;
use crate::common::ticks::{done, settle, skipped, tick};
use crate::common::{World, lives, wait_until};
use peer_adapters::process;
use serde_json::Value;

/// The processes of the panes that are alive, by pane.
fn panes(world: &World) -> BTreeMap<String, u32> {
    let listed = world.tmux(&["list-panes", "-a", "-f", "#{==:#{pane_dead},0}", "-F", "#{pane_id} #{pane_pid}"]);
    let row = |line: &str| {
        let (pane, pid) = line.split_once(' ').unwrap_or_else(|| panic!("{listed}"));
        (pane.to_owned(), pid.parse().expect("a pid"))
    };
    listed.lines().map(row).collect()
}

fn state(world: &World, name: &str) -> String {
    let list = world.peer(&["list", "--json"]).json();
    let row = list["peers"].as_array().expect("rows").iter().find(|row| row["peer"] == name).cloned();
    row.expect("it is listed")["state"].as_str().expect("a word").to_owned()
}

/// Two peers in separate sessions, and a session of the user's.
fn fleet() -> World {
    let world = World::new();
    for name in ["a", "b"] {
        world.demo(name, &[]);
        world.set_in_spec(name, "idle_timeout = \"0s\"");
    }
    assert_eq!(world.peer(&["wake", "a", "b", "-m", "hello"]).code, 0);
    settle(&world, "a");
    settle(&world, "b");
    assert_eq!(world.tmux(&["new-session", "-d", "-s", "mine", "sleep 1000"]), "");
    world
}

/// Runs a line of tmux commands as a user would. `A` and `B` stand for the panes of the peers.
#[track_caller]
fn by_hand(world: &World, line: &[&str]) {
    let (a, b) = (world.pane("a"), world.pane("b"));
    let words: Vec<&str> = line
        .iter()
        .map(|word| match *word {
            "A" => a.as_str(),
            "B" => b.as_str(),
            other => other,
        })
        .collect();
    assert_eq!(world.tmux(&words), "", "{line:?}");
}

/// Checks everything that a peer does, after the user has changed its pane.
#[track_caller]
fn lives_on_after(hands: &[&[&str]]) {
    let world = fleet();
    let (agent, pane, other) = (world.agent("a"), world.pane("a"), world.agent("b"));
    for hand in hands {
        by_hand(&world, hand);
    }
    assert_eq!(state(&world, "a"), "awake", "{hands:?}");
    world.peer(&["wake", "a"]).prints("a: already awake\n");
    world.peer(&["send", "a", "to a"]).prints("a: already awake; message delivered\n");
    assert_eq!(world.said(&world.conversation("a")), ["hello", "to a"], "{hands:?}");
    assert_eq!(world.said(&world.conversation("b")), ["hello"], "{hands:?}");
    assert!(world.peer(&["screen", "a"]).stdout.contains("to a"), "{hands:?}");
    {
        let _person = Attached::to(&world, "a");
        wait_until("the person sees this very pane", || {
            let shown = world.tmux(&["list-clients", "-F", "#{pane_id} #{window_zoomed_flag}"]);
            shown.lines().any(|line| line == format!("{pane} 0"))
        });
    }
    for _ in 0..2 {
        let document = tick(&world, &[]);
        assert_eq!((done(&document), skipped(&document)), (vec![], vec![]), "{hands:?}");
    }
    assert_eq!((world.agent("a"), lives(agent), world.deaths("a")), (agent, true, 0), "{hands:?}");
    stops_alone(&world, other);
}

/// Asserts that a stop ends only a's agent and its pane, and the next wake resumes.
#[track_caller]
fn stops_alone(world: &World, other: u32) {
    let (agent, pane, conversation) = (world.agent("a"), world.pane("a"), world.conversation("a"));
    let mut bystanders = panes(world);
    bystanders.remove(&pane).expect("its pane");
    assert_eq!(world.peer(&["stop", "a"]).code, 0);
    assert!(!lives(agent) && lives(other));
    assert_eq!(panes(world), bystanders);
    let all = world.tmux(&["list-panes", "-a", "-F", "#{pane_id}"]);
    assert!(!all.lines().any(|line| line == pane), "{all}");
    assert_eq!((world.peer(&["start", "a"]).code, world.peer(&["wake", "a"]).code), (0, 0));
    assert_eq!((world.conversation("a"), world.deaths("a")), (conversation, 0));
    world.peer(&["send", "b", "to b"]).prints("b: already awake; message delivered\n");
}

#[test]
fn a_session_that_is_renamed() {
    lives_on_after(&[&["rename-session", "-t", "A", "mine too"], &["rename-window", "-t", "A", "two words"]]);
}

#[test]
fn a_session_that_got_another_peers_name() {
    lives_on_after(&[&["rename-session", "-t", "B", "c-1"], &["rename-session", "-t", "A", "b-1"]]);
}

#[test]
fn a_pane_that_is_joined_to_another_peers() {
    lives_on_after(&[&["join-pane", "-d", "-s", "A", "-t", "B"]]);
}

#[test]
fn a_pane_that_is_joined_to_a_session_of_the_persons() {
    lives_on_after(&[&["join-pane", "-s", "A", "-t", "=mine:"]]);
}

#[test]
fn a_pane_that_is_swapped_with_another_peers() {
    lives_on_after(&[&["swap-pane", "-s", "A", "-t", "B"]]);
}

#[test]
fn a_pane_that_is_split_and_left_behind_another_one() {
    lives_on_after(&[&["split-window", "-t", "A", "sleep 1000"], &["resize-pane", "-Z", "-t", "=a-1:"]]);
}

#[test]
fn a_pane_that_is_broken_out_of_its_window() {
    lives_on_after(&[&["split-window", "-d", "-t", "A", "sleep 1000"], &["break-pane", "-d", "-s", "A"]]);
}

#[test]
fn a_window_that_is_moved() {
    lives_on_after(&[&["move-window", "-d", "-s", "A", "-t", "=mine:7"]]);
}

#[test]
fn a_window_that_is_swapped() {
    lives_on_after(&[&["swap-window", "-d", "-s", "A", "-t", "B"]]);
}

#[test]
fn a_window_that_is_linked_and_whose_session_is_ended() {
    lives_on_after(&[&["link-window", "-d", "-s", "A", "-t", "=mine:7"], &["kill-session", "-t", "=a-1:"]]);
}

#[test]
fn a_session_that_shares_its_windows() {
    lives_on_after(&[&["new-session", "-d", "-t", "=a-1:", "-s", "beside"]]);
}

/// An older version of ours gave the tag to the session, so that the user's pane there has it, and a pane that left the
/// session has none.
#[test]
fn a_pane_whose_tag_is_its_sessions() {
    for hands in [
        &[&["split-window", "-d", "-t", "A", "sleep 1000"][..]][..],
        &[&["join-pane", "-d", "-s", "A", "-t", "=mine:"]],
    ] {
        let world = fleet();
        let (agent, other) = (world.agent("a"), world.agent("b"));
        let tag = world.tmux(&["show-options", "-p", "-v", "-t", &world.pane("a"), "@peer_tag"]);
        let tag = tag.trim().split('@').next().expect("a tag").to_owned();
        by_hand(&world, &["set-option", "-p", "-u", "-t", "A", "@peer_tag"]);
        by_hand(&world, &["set-option", "-t", "A", "@peer_tag", &tag]);
        for hand in hands {
            by_hand(&world, hand);
        }
        assert_eq!(state(&world, "a"), "awake", "{hands:?}");
        for _ in 0..2 {
            let document = tick(&world, &[]);
            assert_eq!((done(&document), skipped(&document)), (vec![], vec![]), "{hands:?}");
        }
        assert_eq!((world.agent("a"), lives(agent)), (agent, true));
        stops_alone(&world, other);
    }
}

/// The pane then belongs to the user, with whatever runs in it; our incarnation ended with the program that ran there.
#[test]
fn a_pane_that_a_person_lets_run_something_else() {
    let world = fleet();
    let (pane, agent, conversation) = (world.pane("a"), world.agent("a"), world.conversation("a"));
    by_hand(&world, &["respawn-pane", "-k", "-t", "A", "sleep 1000"]);
    wait_until("the agent left with its pane", || !lives(agent));
    let theirs = panes(&world)[&pane];
    let end = world.await_end("a");
    assert_eq!((&end["cause"], &end["counted"]), (&Value::from("closed"), &Value::from(false)), "{end}");
    assert_ne!(state(&world, "a"), "awake");
    tick(&world, &[]);
    assert_eq!(world.peer(&["wake", "a"]).code, 0);
    assert_eq!((world.conversation("a"), world.deaths("a")), (conversation, 0));
    assert_ne!(world.pane("a"), pane);
    settle(&world, "a");
    for _ in 0..2 {
        assert_eq!(done(&tick(&world, &[])), Vec::<[String; 3]>::new());
    }
    assert!(!world.peer(&["screen", "a"]).stdout.is_empty());
    assert_eq!(world.peer(&["stop", "a"]).code, 0);
    tick(&world, &[]);
    assert_eq!(panes(&world).get(&pane), Some(&theirs));
    assert!(process::status(theirs).expect("/proc").is_some());
}
