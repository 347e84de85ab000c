//! `send --queue` and `inbox`: queued messages are delivered when the peer can take them, in order, each once.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::common::random::Random;
use crate::common::{Run, World, ended, killed, on_each_runtime, signal, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::process::{self, ProcessId};
use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};

on_each_runtime! {
    what_waits_is_delivered_by_the_next_wake_in_order
    one_that_is_free_has_it_at_once_and_one_that_works_when_it_is_free
    a_tick_wakes_a_sleeping_peer_for_its_inbox
    a_peer_that_cannot_be_woken_keeps_what_waits_and_says_why
    what_is_not_due_holds_up_nobody_and_can_be_cancelled
    a_delivery_that_was_cut_off_is_looked_for_before_it_is_tried_again
    what_cannot_be_looked_for_is_never_said_twice
    what_is_typed_and_never_seen_holds_up_the_others_three_times
    each_message_arrives_once_and_in_order_whatever_is_killed
    what_is_cancelled_meanwhile_is_not_called_delivered
}

fn asleep(on: RuntimeKind) -> World {
    let world = World::on(on);
    world.demo("a", &["--slow-turn"]);
    world
}

/// The messages that the agent wrote down, over all of its conversations, by its own times.
pub(super) fn heard(world: &World) -> Vec<String> {
    let dirs = fs::read_dir(world.path("home/demo/projects")).into_iter().flatten().flatten();
    let files = dirs.flat_map(|dir| fs::read_dir(dir.path()).expect("a directory").flatten());
    let texts = files.map(|file| fs::read_to_string(file.path()).expect("a transcript"));
    let records = texts
        .flat_map(|text| text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).collect::<Vec<_>>());
    let said = records.filter(|record| record["type"] == "user");
    let mut said: Vec<(String, String)> = said
        .map(|record| {
            let text = |value: &Value| value.as_str().expect("text").to_owned();
            (text(&record["timestamp"]), text(&record["message"]["content"]))
        })
        .collect();
    said.sort_by(|one, other| one.0.cmp(&other.0));
    said.into_iter().map(|(_, text)| text).collect()
}

pub(super) fn waiting(world: &World, name: &str) -> Vec<u64> {
    let told = world.peer(&["inbox", name, "--json"]).json();
    told["messages"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|message| message["id"].as_u64().expect("a number"))
        .collect()
}

fn what_waits_is_delivered_by_the_next_wake_in_order(on: RuntimeKind) {
    let world = asleep(on);
    world.peer(&["send", "a", "--queue", "one"]).prints("a: queued as 1\n");
    world.peer(&["send", "a", "--queue", "-t", "tests", "two\nlines"]).prints("a: queued as 2\n");
    let told = world.peer(&["send", "a", "--queue", "three", "--json"]).json();
    assert_eq!((&told["queued"], &told["delivered"], &told["peer"]), (&json!(3), &json!(false), &json!("a")));
    let mode = fs::metadata(world.path("state/inbox/a/2.message")).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(world.peer(&["list", "--format", "{name} {queued}"]).stdout, "a 3\n");
    let table = world.peer(&["list"]).stdout;
    assert!(table.contains("INBOX"), "{table}");
    let run = world.peer(&["inbox", "a"]);
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(run.code == 0 && lines.len() == 4 && lines[1].ends_with(" ago  (tests)  two lines"), "{run:?}");
    assert_eq!(lines[3], "a: the next wake or tick delivers what waits");
    world.peer(&["wake", "a"]).prints("a: woken fresh (first-wake); 3 queued messages delivered\n");
    assert_eq!(heard(&world), ["one", "two\nlines", "three"]);
    world.peer(&["inbox", "a"]).prints("a: nothing waits\n");
    assert!(!world.path("state/inbox/a").exists(), "nobody looks into an empty one");
    let delivered: Vec<Value> = world.events("a", "message.delivered").iter().map(|e| e["message"].clone()).collect();
    assert_eq!(delivered, [1, 2, 3]);
    assert_eq!(world.events("a", "message.queued").len(), 3);
    assert!(!world.peer(&["list"]).stdout.contains("INBOX"));
    // No id is assigned twice.
    world.peer(&["send", "a", "--queue", "four"]).prints("a: queued as 4 and delivered\n");
    // A message that would not arrive unchanged is refused at once.
    let run = world.peer(&["send", "a", "--queue", "a bell\u{7}"]);
    assert!(run.code == 1 && run.stdout.is_empty(), "{run:?}");
    assert_eq!(waiting(&world, "a"), [0; 0]);
}

fn one_that_is_free_has_it_at_once_and_one_that_works_when_it_is_free(on: RuntimeKind) {
    let world = asleep(on);
    world.peer(&["wake", "a"]);
    world.peer(&["send", "a", "--queue", "one"]).prints("a: queued as 1 and delivered\n");
    world.peer(&["send", "a", "SLOW 600 long"]).prints("a: already awake; message delivered\n");
    world.await_screen("a", "esc to interrupt");
    world.peer(&["send", "a", "--queue", "two"]).prints("a: queued as 2\n");
    let told = world.peer(&["inbox", "a"]).stdout;
    assert!(told.ends_with("\na: not delivered yet: it is busy\n"), "{told}");
    world.peer(&["reap"]);
    assert_eq!(waiting(&world, "a"), [2]);
    world.peer(&["interrupt", "a"]).prints("a: interrupted\n");
    wait_until("a tick finds it free", || {
        world.peer(&["reap"]);
        waiting(&world, "a").is_empty()
    });
    assert_eq!(heard(&world), ["one", "SLOW 600 long", "two"]);
}

fn a_tick_wakes_a_sleeping_peer_for_its_inbox(on: RuntimeKind) {
    let world = asleep(on);
    world.peer(&["send", "a", "--queue", "one"]).prints("a: queued as 1\n");
    let run = world.peer(&["reap", "--dry-run"]);
    assert!(run.stdout.contains("a: would be delivered") && waiting(&world, "a") == [1], "{run:?}");
    let run = world.peer(&["reap"]);
    assert!(run.stdout.contains("a: delivered (1 of its inbox)"), "{run:?}");
    assert_eq!((heard(&world), waiting(&world, "a")), (vec!["one".to_owned()], vec![]));
    // The message names its sender if the receiver wants that.
    world.peer(&["stop", "a"]);
    world.peer(&["start", "a"]);
    world.set_in_spec("a", "show_sender = true");
    let mut send = world.command(&["send", "a", "--queue", "two"]);
    Run::of(send.env("PEER_NAME", "web"), None).prints("a: queued as 2\n");
    let told = world.peer(&["inbox", "a"]).stdout;
    assert!(told.contains(" ago  from web  two\n"), "{told}");
    world.peer(&["reap"]);
    assert_eq!(heard(&world), ["one", "[from web]\ntwo"]);
    assert_eq!(world.events("a", "message.delivered")[1]["from"], "web");
}

fn a_peer_that_cannot_be_woken_keeps_what_waits_and_says_why(on: RuntimeKind) {
    let world = asleep(on);
    world.peer(&["stop", "a"]);
    world.peer(&["send", "a", "--queue", "one"]).prints("a: queued as 1\n");
    world.peer(&["reap"]);
    let why = world.peer(&["inbox", "a", "--json"]).json()["why"].clone();
    assert!(why.as_str().is_some_and(|why| why.contains("stopped")), "{why}");
    assert!(world.events("a", "wake.refused").is_empty(), "a tick does not try what is refused");
    world.peer(&["start", "a"]);
    // The agent dies, and the tick does not wake it again and again.
    world.peer(&["wake", "a"]).prints("a: woken fresh (first-wake); a queued message delivered\n");
    world.peer(&["send", "a", "SLOW 600"]);
    signal(world.agent("a"), Signal::SIGKILL);
    world.await_end("a");
    world.peer(&["send", "a", "--queue", "two"]).prints("a: queued as 2\n");
    world.peer(&["reap"]);
    let why = world.peer(&["inbox", "a", "--json"]).json()["why"].clone();
    assert!(why.as_str().is_some_and(|why| why.starts_with("it crashed; its inbox")), "{why}");
    assert_eq!(waiting(&world, "a"), [2]);
    // The message is removed with the peer, and is in its trash.
    world.peer(&["rm", "a"]).prints("a: removed with a queued message; peer restore a restores it\n");
    let trash = fs::read_dir(world.path("state/trash")).expect("there").next().expect("one").expect("readable").path();
    assert!(fs::read_to_string(trash.join("2.message")).is_ok_and(|text| text.contains("two")), "{}", trash.display());
    assert_eq!(world.events("a", "message.expired")[0]["cause"], "removed");
    world.demo("a", &[]);
    world.peer(&["inbox", "a"]).prints("a: nothing waits\n");
}

fn what_is_not_due_holds_up_nobody_and_can_be_cancelled(on: RuntimeKind) {
    let world = asleep(on);
    world.peer(&["wake", "a"]);
    world.peer(&["send", "a", "--queue", "--after", "1h", "later"]).prints("a: queued as 1\n");
    world.peer(&["send", "a", "--queue", "now"]).prints("a: queued as 2 and delivered\n");
    world
        .peer(&["send", "a", "--queue", "--at", "2001-01-01T00:00:00Z", "past"])
        .prints("a: queued as 3 and delivered\n");
    world.peer(&["reap"]);
    let told = world.peer(&["inbox", "a"]).stdout;
    assert!(told.contains("  due in 59m") || told.contains("  due in 1h"), "{told}");
    assert_eq!((heard(&world), waiting(&world, "a")), (vec!["now".to_owned(), "past".to_owned()], vec![1]));
    world
        .peer(&["inbox", "a", "--cancel", "7"])
        .fails(1, "error: no message 7 waits for a\nhint: peer inbox a lists the queued messages\n");
    world.peer(&["inbox", "a", "--cancel", "1"]).prints("a: message 1 is cancelled\n");
    assert_eq!(
        (waiting(&world, "a"), &world.events("a", "message.expired")[0]["cause"]),
        (vec![], &json!("cancelled"))
    );
    for words in [&["--at", "25:00"][..], &["--after", "soon"], &["--at", "07:00", "--after", "1h"]] {
        assert_eq!(world.peer(&[&["send", "a", "--queue", "x"], words].concat()).code, 2, "{words:?}");
    }
}

fn a_delivery_that_was_cut_off_is_looked_for_before_it_is_tried_again(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--swallow-until", world.path("awake").to_str().expect("UTF-8")]);
    world.peer(&["wake", "a"]);
    // Typed, and killed before its Enter is taken.
    let mut sender = world.command(&["send", "a", "--queue", "one"]).stdout(Stdio::null()).spawn().expect("it starts");
    world.await_screen("a", "swallowed an Enter");
    killed(&mut sender);
    let begun = fs::read_to_string(world.path("state/inbox/a/1.message")).expect("a file");
    assert!(begun.contains("\"begun\""), "{begun}");
    // The user's Enter sends it meanwhile.
    fs::write(world.path("awake"), "").expect("write");
    world.press("a", &["Enter"]);
    wait_until("it was said", || heard(&world) == ["one"]);
    world.peer(&["send", "a", "--queue", "two"]).prints("a: queued as 2 and delivered\n");
    assert_eq!(heard(&world), ["one", "two"]);
    assert_eq!(world.events("a", "message.delivered")[0]["cause"], "found");
    assert_eq!(waiting(&world, "a"), [0; 0]);
}

fn what_cannot_be_looked_for_is_never_said_twice(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["cat"]);
    world.peer(&["send", "a", "--queue", "one"]).prints("a: queued as 1\n");
    let path = world.path("state/inbox/a/1.message");
    let mut message: Value = serde_json::from_str(&fs::read_to_string(&path).expect("a file")).expect("JSON");
    message["begun"] = json!({ "incarnation": 1, "at_ms": 1, "said": "one" });
    fs::write(&path, message.to_string()).expect("write");
    world.peer(&["send", "a", "--queue", "two"]).prints("a: queued as 2\n");
    world.peer(&["wake", "a"]).prints("a: woken fresh (first-wake); a queued message delivered\n");
    world.await_screen("a", "two");
    assert!(!world.screen("a").contains("one"));
    let dead = world.peer(&["inbox", "a", "--dead"]).stdout;
    assert!(dead.contains("  one\n      whether it was said is not known\n"), "{dead}");
    assert_eq!(world.events("a", "message.expired")[0]["cause"], "not-known");
}

fn what_is_typed_and_never_seen_holds_up_the_others_three_times(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--status-file"]);
    // Its profile does not list this as a command of the agent, which no transcript shows.
    world.peer(&["send", "a", "--queue", "/clear"]).prints("a: queued as 1\n");
    world.peer(&["send", "a", "--queue", "two"]).prints("a: queued as 2\n");
    // Two tries were made already, of 20 s each.
    let path = world.path("state/inbox/a/1.message");
    let mut message: Value = serde_json::from_str(&fs::read_to_string(&path).expect("a file")).expect("JSON");
    message["tries"] = json!(2);
    fs::write(&path, message.to_string()).expect("write");
    let run = world.peer(&["wake", "a"]);
    assert!(run.code == 0 && run.stdout.ends_with("; a queued message delivered\n"), "{run:?}");
    assert_eq!(
        (heard(&world), world.events("a", "message.expired")[0]["cause"].clone()),
        (vec!["two".to_owned()], json!("not-seen"))
    );
    let dead = world.peer(&["inbox", "a", "--dead"]).stdout;
    assert!(dead.contains("  /clear\n      "), "{dead}");
}

/// `PEER_INBOX_MESSAGES` is the number of messages; CI takes a few, and 1,000 take half an hour.
fn each_message_arrives_once_and_in_order_whatever_is_killed(on: RuntimeKind) {
    let count = std::env::var("PEER_INBOX_MESSAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(16);
    let world = World::on(on);
    world.demo("a", &[]);
    let (mut random, mut sent) = (Random::new(0x1b0c + on as u64), 0);
    let mut send = |world: &World| {
        sent += 1;
        let run = world.peer(&["send", "a", "--queue", &format!("message {sent}")]);
        assert!(run.code == 0 && run.stdout.starts_with(&format!("a: queued as {sent}")), "{run:?}");
        sent
    };
    while send(&world) < count / 2 {}
    // Direct messages come between them; one whose sender is killed may be lost, and is never said twice.
    let (mut last, mut progress, mut direct) = (0, Instant::now(), 0);
    let of = |kind: &str| heard(&world).into_iter().filter(|text| text.starts_with(kind)).collect::<Vec<_>>();
    while of("message").len() < count || !waiting(&world, "a").is_empty() {
        let told = of("message").len();
        if told > last {
            (last, progress) = (told, Instant::now());
        }
        assert!(progress.elapsed() < Duration::from_secs(120), "no message for two minutes: {:?}", heard(&world));
        // We killed it, and that must not become a crash loop.
        world.peer(&["reset", "a"]);
        direct += 1;
        let text = format!("direct {direct:04}");
        let verbs: [&[&str]; 3] = [&["reap"], &["wake", "a"], &["send", "a", &text]];
        let mut child = world
            .command(verbs[random.index(3)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        match random.below(6) {
            0 | 1 => {
                std::thread::sleep(Duration::from_millis(100 + random.below(1400)));
                killed(&mut child);
            }
            2 => {
                std::thread::sleep(Duration::from_millis(100 + random.below(1400)));
                kill_what_is_recorded(&world, ["process", "pane_process", "server_process"][random.index(3)]);
            }
            _ => {}
        }
        ended(&mut child);
        if random.below(2) == 0 && sent_so_far(&world) < count {
            send(&world);
        }
    }
    let expected: Vec<String> = (1..=count).map(|number| format!("message {number}")).collect();
    assert_eq!(of("message"), expected);
    assert!(of("direct").is_sorted_by(|one, other| one < other), "{:?}", of("direct"));
}

fn kill_what_is_recorded(world: &World, whom: &str) {
    let recorded = serde_json::from_value::<ProcessId>(world.json_or_null("a", "session")[whom].clone());
    if let Some(living) = recorded.ok().filter(|process| matches!(process::find(*process), Ok(Some(_)))) {
        let _ = process::signal(living, Signal::SIGKILL);
    }
}

fn sent_so_far(world: &World) -> usize {
    let counter = fs::read_to_string(world.path("state/inbox/a.lock")).expect("a counter");
    counter.trim().parse().expect("a number")
}

fn what_is_cancelled_meanwhile_is_not_called_delivered(on: RuntimeKind) {
    let world = asleep(on);
    // Another command works on the peer, so the sender waits for it.
    let lock = fs::File::create(world.file("a", "lock")).expect("a lock file");
    fs2::FileExt::lock_exclusive(&lock).expect("nobody else has it");
    let send =
        world.command(&["send", "a", "--queue", "hello", "--json"]).stdout(Stdio::piped()).spawn().expect("it starts");
    let message = world.path("state/inbox/a/1.message");
    wait_until("it is queued", || message.exists());
    fs::remove_file(&message).expect("as a cancellation does it");
    drop(lock);
    let told: Value = Run::finish(send, None, Instant::now()).json();
    assert_eq!((&told["queued"], &told["delivered"]), (&json!(1), &json!(false)), "{told}");
}

#[test]
fn a_time_alone_says_that_a_message_is_to_be_queued() {
    let world = World::new();
    world.demo("a", &[]);
    world.peer(&["send", "a", "--after", "2h", "later"]).prints("a: queued as 1\n");
    world.peer(&["send", "a", "--at", "2040-01-01T07:00", "much later"]).prints("a: queued as 2\n");
    let waits = world.peer(&["inbox", "a", "--json"]).json();
    assert!(
        waits["messages"].as_array().is_some_and(|all| all.iter().all(|one| one["not_before_ms"].is_u64())),
        "{waits}"
    );
    assert_eq!(world.peer(&["send", "a", "--after", "2h", "--wait", "both"]).code, 2);
}
