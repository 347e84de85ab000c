//! A peer that needs a person is shown as such in every view, and is an event that hooks get.

use std::fs;

use crate::common::{World, on_each_runtime, wait_until};
use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};

on_each_runtime! {
    one_that_asks_is_seen_to_wait_everywhere
    one_that_asks_before_it_is_ready_waits
    a_question_is_one_event_and_its_text_is_for_hooks_alone
    what_everybody_needs_is_said_without_a_name
    one_that_works_is_seen_to_by_its_screen
}

const ASKS: &str = "May I run `rm -r build`?";

/// An agent that echoes what is typed and keeps no status file: a line that begins with `ask` is shown as a question,
/// one that begins with `work` as a turn in progress, `done` as ready, and `blank` clears the screen.
const PROFILE: &str = r#"
description = "asks"
busy = ['^working$']
[ready]
screen = ['^ready$']
[[dialog]]
id = "permission"
screen = '^(May I [^\n]*\?)$'
needs_person = true
[[dialog]]
id = "trust-folder"
screen = '^(Do you trust this\?)$'
needs_person = true
"#;

fn asker(on: RuntimeKind, first: &str) -> World {
    let world = World::on(on);
    world.profile("asker", PROFILE);
    let script = format!(
        "printf '%b\\n' '{first}'; while read -r line; do clear; case $line in ask) echo '{ASKS}';; work) echo working;; done) echo ready;; esac; done"
    );
    world.declare("api", &["--agent", "asker"], &["sh", "-c", &script]);
    world.add("calm", &["cat"]);
    world
}

/// Types a word in the pane, as the user does.
#[track_caller]
fn types(world: &World, word: &str, shows: &str) {
    world.press("api", &["-l", word]);
    world.press("api", &["Enter"]);
    wait_until("it is shown", || world.screen("api").contains(shows));
}

#[track_caller]
fn prints(world: &World, words: &[&str]) -> String {
    let run = world.peer(words);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    run.stdout
}

fn one_that_asks_is_seen_to_wait_everywhere(on: RuntimeKind) {
    let world = asker(on, "ready");
    world.peer(&["wake", "api", "calm"]);
    assert_eq!(prints(&world, &["list", "--format", "{name} {state}"]), "api awake\ncalm awake\n");
    assert!(!prints(&world, &["list"]).contains("NEEDS"));
    assert_eq!(prints(&world, &["list", "--waiting", "--format", "{name}"]), "");

    types(&world, "ask", "May I");
    let list = world.peer(&["list"]);
    assert_eq!((list.code, list.stderr.as_str()), (0, "hint: peer attach api\n"));
    let table = list.stdout;
    assert!(table.contains("NEEDS") && table.contains(&format!("waiting  permission: {ASKS}")), "{table}");
    assert_eq!(
        prints(&world, &["list", "--waiting", "--format", "{name} {state} {waiting_for}: {question}"]),
        format!("api waiting permission: {ASKS}\n")
    );
    assert_eq!(prints(&world, &["list", "--state", "awake,busy", "--format", "{name}"]), "calm\n");
    let rows = world.peer(&["list", "--json"]).json()["peers"].clone();
    assert_eq!(
        (&rows[0]["state"], &rows[0]["waiting_for"], &rows[0]["question"]),
        (&json!("waiting"), &json!("permission"), &json!(ASKS))
    );
    assert_eq!((&rows[1]["waiting_for"], &rows[1]["question"]), (&Value::Null, &Value::Null));
    assert!(prints(&world, &["status", "api", "--short"]).starts_with("api waiting (permission) "));
    let story = prints(&world, &["status", "api"]);
    assert!(story.starts_with("● api waiting (permission) for "), "{story}");
    assert!(story.contains(&format!("\n   Needs you: {ASKS}\n")), "{story}");
    assert!(story.ends_with("\n        Next: peer attach api\n"), "{story}");

    types(&world, "done", "");
    wait_until("it waits no more", || prints(&world, &["list", "--waiting", "--format", "{name}"]).is_empty());
}

fn one_that_asks_before_it_is_ready_waits(on: RuntimeKind) {
    let world = asker(on, "Do you trust this?");
    let run = world.peer(&["wake", "api"]);
    assert!(run.code == 5 && run.stderr.contains("Do you trust this?"), "{run:?}");
    assert_eq!(
        prints(&world, &["list", "--waiting", "--format", "{name} {waiting_for}: {question}"]),
        "api trust: Do you trust this?\n"
    );
}

fn a_question_is_one_event_and_its_text_is_for_hooks_alone(on: RuntimeKind) {
    let world = asker(on, "ready");
    let heard = world.path("heard");
    world.configure(&format!(
        "\n[[hook]]\non = [\"agent.waiting\"]\ncommand = [\"/bin/sh\", \"-c\", \"cat >>{}\"]\n",
        heard.display()
    ));
    world.peer(&["wake", "api"]);
    prints(&world, &["reap"]);
    assert!(world.events("api", "agent.waiting").is_empty());
    types(&world, "ask", "May I");
    prints(&world, &["reap", "--dry-run"]);
    assert!(world.events("api", "agent.waiting").is_empty(), "a dry run says nothing");
    prints(&world, &["reap"]);
    prints(&world, &["reap"]);
    let events = world.events("api", "agent.waiting");
    let told: Vec<_> = events.iter().map(|event| (&event["cause"], &event["witness"], &event["incarnation"])).collect();
    assert_eq!(told, [(&json!("permission"), &json!("screen"), &json!(1))], "{events:?}");
    let log = fs::read_to_string(world.path("state/lifecycle.log")).expect("a log");
    assert!(!log.contains("May I"), "{log}");
    wait_until("the hook heard it, with the question", || {
        fs::read_to_string(&heard).is_ok_and(|text| text.contains(r#""question":"May I run `rm -r build`?""#))
    });
    // What is not known is no answer.
    types(&world, "blank", "");
    wait_until("nothing is shown", || !world.screen("api").contains("May I"));
    prints(&world, &["reap"]);
    types(&world, "ask", "May I");
    prints(&world, &["reap"]);
    assert_eq!(world.events("api", "agent.waiting").len(), 1, "it may have been there all the time");
    types(&world, "done", "ready");
    prints(&world, &["reap"]);
    types(&world, "ask", "May I");
    wait_until("the second time is another event", || {
        prints(&world, &["reap"]);
        world.events("api", "agent.waiting").len() == 2
    });
}

fn one_that_works_is_seen_to_by_its_screen(on: RuntimeKind) {
    let world = asker(on, "ready");
    world.peer(&["wake", "api"]);
    types(&world, "work", "working");
    assert_eq!(prints(&world, &["list", "api", "--format", "{state}"]), "busy\n");
    prints(&world, &["reap"]);
    assert_eq!(prints(&world, &["list", "api", "--format", "{state}"]), "busy\n");
    types(&world, "done", "");
    wait_until("it is free again", || prints(&world, &["list", "api", "--format", "{state}"]) == "awake\n");
}

fn what_everybody_needs_is_said_without_a_name(on: RuntimeKind) {
    let world = asker(on, "ready");
    assert_eq!(prints(&world, &["status"]), "no peer needs you: 2 never-started\n");
    world.peer(&["wake", "api", "calm"]);
    types(&world, "ask", "May I");
    assert_eq!(
        prints(&world, &["status"]),
        format!("api  waiting (permission: {ASKS}): peer attach api\nin all: 1 awake, 1 waiting\n")
    );
    let told = world.peer(&["status", "--json"]).json();
    assert_eq!(
        (&told["schema"], &told["needs"][0]["peer"], &told["needs"][0]["next"], &told["states"]),
        (&json!("peer.status/1"), &json!("api"), &json!("peer attach api"), &json!({ "awake": 1, "waiting": 1 }))
    );
}
