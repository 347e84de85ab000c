//! `peer status`: the story of one peer in each state that matters.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::common;
use crate::common::{World, signal, wait_for, wait_until};
use nix::sys::signal::Signal;
use serde_json::json;

fn before(ago: Duration) -> u64 {
    let then = SystemTime::now().checked_sub(ago).and_then(|then| then.duration_since(UNIX_EPOCH).ok());
    u64::try_from(then.expect("after 1970").as_millis()).expect("a time")
}

/// The output of `peer status`, with what differs from run to run replaced: times, pids, the world's directory.
#[track_caller]
fn status(world: &World, name: &str) -> String {
    let run = world.peer(&["status", name]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    let replaced = [
        (r"\((since )?20\d\d-\d\d-\d\dT[\d:.]+Z\)", "(${1}TIME)"),
        (r"pid \d+", "pid N"),
        (r"\b\d+s\b", "Ns"),
        (r"at most \d+ MiB", "at most N MiB"),
    ];
    let text = run.stdout.replace(&world.path("").display().to_string(), "/W/");
    replaced.iter().fold(text, |text, (pattern, with)| {
        regex::Regex::new(pattern).expect("a pattern").replace_all(&text, *with).into_owned()
    })
}

#[test]
fn one_that_was_only_declared() {
    let world = World::new();
    world.add("api", &["cat"]);
    assert_eq!(
        status(&world, "api"),
        "● api never-started\n\
         \x20      Agent: command in tmux\n\
         \x20  Directory: /W/work\n\
         \x20       Spec: /W/config/peers/api.toml\n\
         \x20       Next: peer wake api\n"
    );
    world.peer(&["status", "api", "--short"]).prints("api never-started\n");
}

#[test]
fn one_that_is_awake_and_was_seen_by_a_tick() {
    let world = World::new();
    world.demo("api", &[]);
    world.peer(&["wake", "api", "--topic", "登录", "-m", "hello"]);
    world.peer(&["reap"]);
    let conversation = world.conversation("api");
    let story = wait_for("the turn to end", || Some(status(&world, "api")).filter(|story| story.contains("api awake")));
    let transcript = story.lines().find(|line| line.contains("Transcript:")).expect("it has one");
    assert!(transcript.ends_with(&format!("{conversation}.jsonl")), "{transcript}");
    let story = story
        .replace(&conversation, "ID")
        .lines()
        .filter(|line| !line.contains("Transcript:"))
        .fold(String::new(), |text, line| text + line + "\n");
    assert_eq!(
        story,
        "● api awake for Ns (since TIME)\n\
         \x20      Agent: demo in tmux\n\
         \x20  Directory: /W/work\n\
         \x20Incarnation: 1, fresh (first-wake)\n\
         \x20    Session: api-1 on /W/s, no client attached\n\
         \x20    Runtime: alive now; last tick Ns ago: alive\n\
         \x20    Process: pid N, alive now; last tick Ns ago: alive\n\
         \x20       Idle: Ns\n\
         Conversation: ID\n\
         \x20     Topics: 登录\n\
         \x20       Spec: /W/config/peers/api.toml\n\
         \x20      Files: /W/state/api.conversations\n\
         \x20             /W/state/api.session\n\
         \x20             /W/state/api.topic\n\
         \x20             /W/state/panes/api.1.launch\n\
         \x20       Next: peer send api TEXT\n"
    );
}

#[test]
fn one_that_crashed_says_how_and_how_often() {
    let world = World::new();
    world.add("api", &["sh", "-c", "exit 3"]);
    world.peer(&["wake", "api"]);
    world.await_end("api");
    let at = before(Duration::from_secs(2 * 3600 + 60));
    world.edit("api", "end", |end| {
        end["at_ms"] = json!(at);
        end["uptime_ms"] = json!(61_000);
    });
    world.write("api", "deaths", &format!("[{at},{}]", before(Duration::from_secs(10))));
    let story = status(&world, "api");
    assert!(story.starts_with("● api crashed: exit 3 for 2h (since TIME)\n"), "{story}");
    assert!(story.contains("\n    Last end: crashed (exit 3) 2h ago (TIME) after 1m, at most N MiB\n"), "{story}");
    assert!(story.contains("\n      Deaths: 2 in a row, 1 of them in the last 5m\n"), "{story}");
    assert!(story.ends_with("\n        Next: peer screen api\n"), "{story}");
    world.peer(&["status", "api", "--short"]).prints("api crashed 2h\n");
    let document = world.peer(&["status", "api", "--json"]).json();
    assert_eq!((&document["schema"], &document["state"]), (&json!("peer.status/1"), &json!("crashed")));
    assert_eq!((&document["end"]["code"], &document["end"]["at_ms"]), (&json!(3), &json!(at)));
    assert_eq!((&document["axes"], &document["deaths_in_window"]), (&json!(null), &json!(1)));
}

#[test]
fn one_that_is_held_says_until_when() {
    let world = World::new();
    world.add("api", &["sh", "-c", "exit 3"]);
    world.peer(&["wake", "api"]);
    world.await_end("api");
    let ago = |seconds| before(Duration::from_secs(seconds));
    world.write("api", "deaths", &format!("[{},{},{}]", ago(130), ago(20), ago(10)));
    let story = status(&world, "api");
    assert!(story.contains("● api held: crashed (exit 3)"), "{story}");
    assert!(story.contains("\n  Held until: in 2m (TIME)\n") && story.ends_with("Next: peer why api\n"), "{story}");
}

#[test]
fn one_that_asks_a_person_says_what() {
    let world = World::new();
    world.profile(
        "asker",
        "description = \"asks\"\n[[dialog]]\nid = \"trust\"\nscreen = '(Do you trust this\\?)'\nneeds_person = true\n",
    );
    world.declare("api", &["--agent", "asker"], &["sh", "-c", "echo 'Do you trust this?'; exec cat"]);
    world.peer(&["wake", "api"]);
    wait_until("it asks", || world.screen("api").contains("Do you trust"));
    let story = status(&world, "api");
    assert!(story.contains("\n   Needs you: Do you trust this?\n"), "{story}");
    assert!(story.ends_with("\n        Next: peer attach api\n"), "{story}");
    assert_eq!(world.peer(&["status", "api", "--json"]).json()["question"], "Do you trust this?");
}

#[test]
fn a_witness_that_does_not_answer_is_unknown_with_its_reason() {
    let world = World::with_probe_timeout("500ms");
    world.add("api", &["cat"]);
    wait_until("it is up, within a short deadline", || world.peer(&["wake", "api"]).code == 0);
    let server = world.server().expect("a server").pid;
    common::stop(server);
    let story = status(&world, "api");
    assert!(story.starts_with("● api unknown: tmux at /W/s: the server does not answer"), "{story}");
    assert!(story.contains("\n     Runtime: unknown (tmux at /W/s: the server does not answer"), "{story}");
    assert!(story.contains("\n     Process: pid N, alive now; no tick has checked it yet\n"), "{story}");
    assert!(story.ends_with("\n        Next: peer doctor\n"), "{story}");
}

#[test]
fn stopped_and_allowed_again_are_told_apart() {
    let world = World::new();
    world.add("api", &["cat"]);
    world.peer(&["wake", "api"]);
    world.peer(&["stop", "api"]);
    assert!(status(&world, "api").ends_with("Next: peer start api\n"));
    world.peer(&["start", "api"]);
    let story = status(&world, "api");
    assert!(story.starts_with("● api asleep for ") && story.ends_with("Next: peer wake api\n"), "{story}");
}

#[test]
fn looking_changes_nothing() {
    let world = World::new();
    world.add("api", &["cat"]);
    world.peer(&["wake", "api"]);
    let before = world.snapshot();
    for words in [&["status", "api"][..], &["status", "api", "--short"], &["status", "api", "--json"], &["list"]] {
        assert_eq!(world.peer(words).code, 0);
    }
    assert!(world.snapshot() == before);
    world.peer(&["status", "apo"]).fails(3, "error: there is no peer named apo\nhint: did you mean api?\n");
    world.peer(&["status", "apo", "--short"]).fails(3, "error: there is no peer named apo\nhint: did you mean api?\n");
}

#[test]
fn as_many_conversations_are_counted_as_are_listed() {
    let world = World::new();
    world.demo("api", &[]);
    let wake = |flags: &[&str]| {
        assert_eq!(world.peer(&[&["wake", "api", "-m", "hello"], flags].concat()).code, 0, "{flags:?}");
        let conversation = world.conversation("api");
        world.peer(&["stop", "api"]);
        world.peer(&["start", "api"]);
        conversation
    };
    let first = wake(&[]);
    wake(&["--fresh"]);
    assert_eq!(wake(&["--conversation", &first]), first);
    let listed = world.peer(&["conversations", "api", "--json"]).json()["conversations"].as_array().map(Vec::len);
    assert_eq!(listed, Some(2));
    let story = status(&world, "api");
    assert!(story.contains(" (the latest of 2)\n"), "{story}");
}

#[test]
fn those_that_were_lost_together_are_woken_by_one_command_and_a_broken_spec_is_not_nothing() {
    let world = World::new();
    for name in ["a", "b", "c"] {
        world.add(name, &["cat"]);
    }
    std::fs::write(world.path("config/peers/c.toml"), "xyz = 1\n").expect("write");
    let run = world.peer(&["status"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, "no other peer needs you: 2 never-started\n"), "{run:?}");
    world.peer(&["rm", "c"]);
    for name in ["a", "b"] {
        world.peer(&["wake", name]);
        signal(world.pane_process(name), Signal::SIGKILL);
    }
    world.lose_server("a");
    let lost = wait_for("both are lost", || Some(world.peer(&["status"])).filter(|run| run.stdout.contains("2 lost")));
    assert_eq!(lost.stdout, "2 peers are lost: peer wake a b\nin all: 2 lost\n");
    assert_eq!(world.peer(&["wake", "a", "b"]).code, 0);
}
