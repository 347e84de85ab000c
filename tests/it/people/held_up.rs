//! An agent that a usage limit has stopped, or whose turn makes no progress, is shown as such by every command; and the
//! tick takes the action that its spec asks for.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::common::ticks::{done, pulse, tick};
use crate::common::{World, on_each_runtime, wait_until};
use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};

on_each_runtime! {
    one_that_a_limit_stops_is_seen_everywhere_until_it_goes_on
    one_that_makes_no_progress_is_told_of_once_and_goes_on
    a_machine_that_slept_tells_nothing_of_the_turn_meanwhile
    a_turn_without_progress_is_interrupted_where_its_spec_says_so
    a_turn_without_progress_is_parked_and_resumed_twice_an_hour
    a_limit_that_is_over_is_followed_by_the_prompt
}

fn limited(on: RuntimeKind, lines: &str) -> World {
    let world = World::on(on);
    world.demo("a", &["--limits", "--slow-turn"]);
    if !lines.is_empty() {
        world.set_in_spec("a", lines);
    }
    world.peer(&["wake", "a", "-m", "hello"]);
    world
}

#[track_caller]
fn state(world: &World) -> String {
    world.peer(&["list", "a", "--format", "{state}"]).stdout.trim().to_owned()
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs()
}

fn one_that_a_limit_stops_is_seen_everywhere_until_it_goes_on(on: RuntimeKind) {
    let world = limited(on, "");
    let heard = world.path("heard");
    world.configure(&format!(
        "\n[[hook]]\non = [\"agent.\"]\ncommand = [\"/bin/sh\", \"-c\", \"cat >>{}\"]\n",
        heard.display()
    ));
    world.demo("b", &[]);
    world.peer(&["send", "a", "LIMIT resets Jan 2, 11:59pm (UTC)"]);
    wait_until("the limit is seen", || state(&world) == "limited");
    let row = world.peer(&["list", "a", "--json"]).json()["peers"][0].clone();
    let until = row["limited_until_ms"].as_u64().expect("a time");
    assert!(until > now_s() * 1000 && until % 86_400_000 == 86_340_000, "{row}");
    assert!(row["detail"].as_str().is_some_and(|detail| detail.starts_with("until 20")), "{row}");
    let table = world.peer(&["list"]).stdout;
    assert!(table.contains("NEEDS") && table.contains("usage limit, over in "), "{table}");
    assert_eq!(world.peer(&["list", "--state", "limited,stalled", "--format", "{name}"]).stdout, "a\n");
    let told = world.peer(&["list", "a", "--format", "{state} {limited_until}"]).stdout;
    assert!(told.starts_with("limited in "), "{told}");
    assert!(world.peer(&["status", "a"]).stdout.starts_with("● a limited: until 20"));
    assert!(world.peer(&["status", "a", "--short"]).stdout.starts_with("a limited"));
    assert!(world.peer(&["status"]).stdout.contains("a  limited (until 20"));
    let waited = world.peer(&["wait", "a", "--timeout", "30s"]);
    assert!(
        waited.code == 8 && waited.stderr.starts_with("error: a is stopped by a usage limit until 20"),
        "{waited:?}"
    );
    let waited = world.peer(&["wait", "a", "--timeout", "30s", "--json"]).json();
    assert_eq!((&waited["peers"][0]["state"], &waited["code"]), (&json!("limited"), &json!(8)));
    let asked = world.peer(&["send", "a", "--wait", "--timeout", "60s", "LIMIT resets Jan 2, 11:59pm (UTC)"]);
    assert!(asked.code == 8 && asked.stderr.starts_with("error: a is limited: until 20"), "{asked:?}");

    for _ in 0..2 {
        tick(&world, &[]);
    }
    let events = world.events("a", "agent.limited");
    assert_eq!(events.len(), 1, "{events:?}");
    assert!(events[0]["until"].as_str().is_some_and(|at| at.ends_with("-01-02T23:59:00.000Z")), "{events:?}");
    assert_eq!(events[0]["witness"], "transcript");
    assert!(!fs::read_to_string(world.path("state/lifecycle.log")).expect("a log").contains("hit your limit"));
    wait_until("a hook of the person's heard of it", || {
        fs::read_to_string(&heard).is_ok_and(|text| text.contains("agent.limited"))
    });
    world.peer(&["send", "a", "go on"]);
    wait_until("it goes on", || state(&world) == "awake");
    tick(&world, &[]);
    assert_eq!(world.events("a", "agent.resumed")[0]["cause"], "limited");
    tick(&world, &[]);
    assert_eq!(world.events("a", "agent.resumed").len(), 1);
}

/// Returns a world in which two ticks have seen a turn without progress, and the report of the second tick.
fn stalled(on: RuntimeKind, lines: &str) -> (World, Value) {
    let world = silent(on, lines);
    let told = tick(&world, &[]);
    (world, told)
}

/// Changes what the last tick noted of the clocks, as if the machine had slept since.
fn as_if_it_had_slept(world: &World) {
    let path = world.path("state/heartbeat.json");
    let mut beat: Value = serde_json::from_slice(&fs::read(&path).expect("a heartbeat")).expect("JSON");
    beat["up_ms"] = json!(beat["up_ms"].as_u64().expect("a time") - 60_000);
    fs::write(&path, beat.to_string()).expect("write");
}

fn a_machine_that_slept_tells_nothing_of_the_turn_meanwhile(on: RuntimeKind) {
    let world = silent(on, "");
    as_if_it_had_slept(&world);
    tick(&world, &[]);
    assert!(world.events("a", "agent.stalled").is_empty() && state(&world) == "busy");
    let since = pulse(&world, "a")["progress"]["at_ms"].as_u64().expect("a time");
    wait_until("two seconds have passed", || now_s() * 1000 > since + 3000);
    tick(&world, &[]);
    assert_eq!((world.events("a", "agent.stalled").len(), state(&world).as_str()), (1, "stalled"));
    // What was reported is not taken back because the machine slept again.
    as_if_it_had_slept(&world);
    tick(&world, &[]);
    assert_eq!((world.events("a", "agent.resumed").len(), state(&world).as_str()), (0, "stalled"));
}

/// Returns a world in which a tick has seen a turn, which has made no progress for its timeout since.
fn silent(on: RuntimeKind, lines: &str) -> World {
    let world = limited(on, &format!("stall_timeout = \"2s\"\n{lines}"));
    world.peer(&["send", "a", "SLOW 3000"]);
    wait_until("its turn is seen", || state(&world) == "busy");
    tick(&world, &[]);
    assert!(world.events("a", "agent.stalled").is_empty(), "a first look tells nothing of the time before it");
    let since = pulse(&world, "a")["progress"]["at_ms"].as_u64().expect("a time");
    wait_until("two seconds have passed", || now_s() * 1000 > since + 3000);
    world
}

fn one_that_makes_no_progress_is_told_of_once_and_goes_on(on: RuntimeKind) {
    let (world, told) = stalled(on, "");
    assert_eq!(done(&told), [[""; 3]; 0], "it is told of, and no more");
    assert_eq!(state(&world), "stalled");
    let table = world.peer(&["list"]).stdout;
    assert!(table.contains("no progress for "), "{table}");
    let waited = world.peer(&["wait", "a", "--timeout", "30s"]);
    assert!(waited.code == 8 && waited.stderr.starts_with("error: a is stalled: nothing has happened"), "{waited:?}");
    assert!(world.peer(&["status", "a"]).stdout.starts_with("● a stalled: nothing has happened since 20"));
    assert_eq!(world.peer(&["wait", "a", "--until", "busy", "--timeout", "30s"]).code, 0, "its turn goes on");
    tick(&world, &[]);
    assert_eq!(world.events("a", "agent.stalled").len(), 1);
    world.peer(&["interrupt", "a"]);
    wait_until("it is free", || state(&world) == "awake");
    tick(&world, &[]);
    assert_eq!(world.events("a", "agent.resumed")[0]["cause"], "stalled");
}

fn a_turn_without_progress_is_interrupted_where_its_spec_says_so(on: RuntimeKind) {
    let (world, told) = stalled(on, "on_stall = \"interrupt\"");
    assert_eq!(done(&told), [["a", "interrupted", "stalled"]]);
    wait_until("it is free", || state(&world) == "awake");
}

fn a_turn_without_progress_is_parked_and_resumed_twice_an_hour(on: RuntimeKind) {
    let (world, told) = stalled(on, "on_stall = \"restart\"");
    let conversation = world.conversation("a");
    assert_eq!(done(&told), [["a", "restarted", "stalled"]]);
    assert_eq!((world.session("a")["incarnation"].as_u64(), world.conversation("a")), (Some(2), conversation.clone()));
    assert_eq!((state(&world).as_str(), world.deaths("a")), ("awake", 0));
    for (number, restarts) in [(2, true), (3, false)] {
        world.peer(&["send", "a", "SLOW 3000"]);
        tick(&world, &[]);
        let since = pulse(&world, "a")["progress"]["at_ms"].as_u64().expect("a time");
        wait_until("two seconds have passed", || now_s() * 1000 > since + 3000);
        let told = tick(&world, &[]);
        assert_eq!(done(&told).len(), usize::from(restarts), "{number}: {told}");
        assert_eq!(world.events("a", "agent.stalled").len(), number);
    }
    assert_eq!((world.session("a")["incarnation"].as_u64(), world.conversation("a")), (Some(3), conversation));
}

fn a_limit_that_is_over_is_followed_by_the_prompt(on: RuntimeKind) {
    let world = limited(on, "on_limit = \"continue\"\nlimit_prompt = \"go on with the tests\"");
    // The limit ended longer ago than the minute over which the peers of a fleet are continued.
    world.peer(&["send", "a", &format!("LIMIT reached|{}", now_s() - 120)]);
    wait_until("it is answered", || state(&world) == "awake");
    let told = tick(&world, &[]);
    assert_eq!(done(&told), [["a", "continued", "limited"]], "{told}");
    let conversation = world.conversation("a");
    assert_eq!(world.said(&conversation).last().map(String::as_str), Some("go on with the tests"));
    assert_eq!(done(&tick(&world, &[])), [[""; 3]; 0], "once");
    // A limit that still holds, and one whose end is unknown, are left alone.
    for text in [format!("LIMIT reached|{}", now_s() + 3600), "LIMIT reached".to_owned()] {
        world.peer(&["send", "a", &text]);
        wait_until("the limit is seen", || state(&world) == "limited");
        assert_eq!(done(&tick(&world, &[])), [[""; 3]; 0]);
    }
}
