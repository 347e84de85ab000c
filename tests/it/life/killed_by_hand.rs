//! `kill -9` of `peer wake` and `peer stop` at any moment: afterwards a wake succeeds, there is at most one agent, no
//! conversation id is lost, no death is counted, and no files accumulate.
//!
//! `PEER_TEST_KILLS=400 cargo test --test it killed_by_hand` is the long form.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

on_each_runtime! {
    a_wake_killed_at_any_moment_leaves_one_agent_and_a_wake_that_succeeds
    a_stop_killed_at_any_moment_leaves_one_agent_and_a_wake_that_succeeds
    wakes_killed_one_upon_the_other_come_to_one_agent
    a_message_whose_sender_was_killed_arrives_once_at_most_and_the_next_one_once
}

use crate::common::{World, killed, on_each_runtime, wait_until};
use peer_adapters::runtime::RuntimeKind;

/// How often each verb is killed.
fn rounds(default: u32) -> u32 {
    std::env::var("PEER_TEST_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(default)
}

/// Longest wait before the kill. A wake on a running server takes about 30 ms, and somewhat more under load.
const LONGEST_MS: u64 = 60;

/// Numbers that are evenly distributed and the same in each run (a linear congruential generator; the failure prints
/// its seed).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Runs a verb and kills it after `delay` if it has not ended.
fn kill_after(world: &World, args: &[&str], delay: Duration) {
    let mut command = world.command(args);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let end = Instant::now() + delay;
    while Instant::now() < end && child.try_wait().expect("our child").is_none() {
        std::thread::sleep(Duration::from_micros(200));
    }
    killed(&mut child);
}

/// Asserts what must hold after an undisturbed wake.
#[track_caller]
fn is_sound(world: &World, name: &str, ids: &mut BTreeSet<String>, what: &str) {
    let run = world.peer(&["wake", name]);
    assert!(run.code == 0 && run.took < Duration::from_secs(30), "{what}: {run:?}");
    let agent = world.agent(name);
    wait_until(&format!("{what}: one agent"), || world.processes() == [agent]);
    ids.extend(id_on_command_line(agent));
    let kept: BTreeSet<String> = world.conversations(name).into_iter().collect();
    assert!(ids.is_subset(&kept), "{what}: lost {:?}", ids.difference(&kept));
    assert_eq!(world.deaths(name), 0, "{what}: {:?}", world.end(name));
}

/// The conversation that an agent was started with.
fn id_on_command_line(pid: u32) -> Option<String> {
    let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<&str> = line.split('\0').collect();
    let at = words.iter().position(|word| *word == "--session-id" || *word == "--resume")?;
    Some((*words.get(at + 1)?).to_owned())
}

/// Files in the state directory, by name; a fleet of one has a handful.
fn files(dir: &Path) -> Vec<String> {
    let mut found: Vec<String> = std::fs::read_dir(dir)
        .expect("it is there")
        .map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    found
}

#[track_caller]
fn nothing_piled_up(world: &World) {
    let state = files(&world.path("state"));
    assert!(state.iter().filter(|name| name.contains(".tmp")).count() <= 4, "{state:?}");
    assert!(state.len() <= 20, "{state:?}");
    let panes = files(&world.path("state/panes"));
    assert!(panes.len() <= 3, "{panes:?}");
    let (sessions, dirs) = (world.sessions(), world.session_dirs());
    assert!(sessions.len() <= 2 && dirs.len() <= 2, "{sessions:?} {dirs:?}");
}

fn a_wake_killed_at_any_moment_leaves_one_agent_and_a_wake_that_succeeds(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    let (mut dice, mut ids) = (Dice(1), BTreeSet::new());
    for round in 0..rounds(40) {
        let delay = Duration::from_millis(dice.below(LONGEST_MS));
        kill_after(&world, &["wake", "a"], delay);
        is_sound(&world, "a", &mut ids, &format!("round {round}, killed after {delay:?}"));
        assert_eq!(world.peer(&["stop", "a"]).code, 0);
        assert_eq!(world.peer(&["start", "a"]).code, 0);
        assert_eq!(world.processes(), Vec::<u32>::new(), "round {round}");
    }
    nothing_piled_up(&world);
}

fn a_stop_killed_at_any_moment_leaves_one_agent_and_a_wake_that_succeeds(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    let (mut dice, mut ids) = (Dice(2), BTreeSet::new());
    world.peer(&["wake", "a", "-m", "hello"]);
    for round in 0..rounds(40) {
        let delay = Duration::from_millis(dice.below(LONGEST_MS));
        kill_after(&world, &["stop", "a"], delay);
        assert_eq!(world.peer(&["start", "a"]).code, 0);
        is_sound(&world, "a", &mut ids, &format!("round {round}, killed after {delay:?}"));
        assert!(!world.has("a", "idle-reaped"), "round {round}: a wake was ready since");
    }
    nothing_piled_up(&world);
}

fn wakes_killed_one_upon_the_other_come_to_one_agent(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--start-delay", "30"]);
    let (mut dice, mut ids) = (Dice(3), BTreeSet::new());
    for round in 0..rounds(40) / 4 {
        for _ in 0..4 {
            kill_after(&world, &["wake", "a"], Duration::from_millis(dice.below(LONGEST_MS)));
            kill_after(&world, &["stop", "a"], Duration::from_millis(dice.below(LONGEST_MS / 2)));
        }
        assert_eq!(world.peer(&["start", "a"]).code, 0);
        is_sound(&world, "a", &mut ids, &format!("round {round}"));
    }
    nothing_piled_up(&world);
}

/// A message takes longer: the agent's composer has to show it, and Enter comes 100 ms after that.
const LONGEST_DELIVERY_MS: u64 = 350;

fn a_message_whose_sender_was_killed_arrives_once_at_most_and_the_next_one_once(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    let (mut dice, mut conversations) = (Dice(4), BTreeSet::new());
    let rounds = rounds(16);
    for round in 0..rounds {
        if round % 4 == 3 {
            // Every so often the message has to wake the agent as well.
            world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
            assert_eq!(world.peer(&["start", "a"]).code, 0);
        }
        let delay = Duration::from_millis(dice.below(LONGEST_DELIVERY_MS));
        kill_after(&world, &["wake", "a", "-m", &format!("lost {round}")], delay);
        let run = world.peer(&["wake", "a", "-m", &format!("kept {round}")]);
        assert_eq!(run.code, 0, "round {round}, killed after {delay:?}: {run:?}");
        conversations.insert(world.conversation("a"));
    }
    let said: Vec<String> = conversations.iter().flat_map(|conversation| world.said(conversation)).collect();
    let count = |text: String| said.iter().filter(|one| **one == text).count();
    for round in 0..rounds {
        assert_eq!(count(format!("kept {round}")), 1, "{said:?}");
        assert!(count(format!("lost {round}")) <= 1, "{said:?}");
    }
    let whole = |text: &&String| {
        ["kept ", "lost "].iter().any(|kind| text.strip_prefix(kind).is_some_and(|n| n.parse::<u32>().is_ok()))
    };
    assert_eq!(said.iter().find(|text| !whole(text)), None, "two texts were joined");
    assert_eq!((world.processes().len(), world.deaths("a")), (1, 0));
}
