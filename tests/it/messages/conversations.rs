//! `peer conversations` lists every conversation of a peer. Each can be resumed, and one that the user began can be
//! adopted.

use std::fs;

use crate::common::{Run, World, on_each_runtime};
use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};

on_each_runtime! {
    what_it_ever_had_is_listed_and_any_of_it_gone_on_in
    a_conversation_begun_by_hand_is_adopted
}

const BY_HAND: &str = "0b1f5c1e-1111-4be4-9a39-b1e0d9e7d8a1";

#[track_caller]
fn listed(world: &World, name: &str) -> Vec<Value> {
    let run = world.peer(&["conversations", name, "--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    let told = run.json();
    assert_eq!((&told["schema"], &told["peer"]), (&json!("peer.conversations/1"), &json!(name)));
    told["conversations"].as_array().expect("a list").clone()
}

fn of<'a>(listed: &'a [Value], id: &str) -> &'a Value {
    listed.iter().find(|one| one["conversation"] == id).unwrap_or_else(|| panic!("no {id}: {listed:?}"))
}

fn both_are_listed(world: &World, first: &str, second: &str) {
    let known = listed(world, "a");
    let ids: Vec<&Value> = known.iter().map(|one| &one["conversation"]).collect();
    assert_eq!(ids, [first, second]);
    assert_eq!((&known[0]["how"], &known[1]["how"]), (&json!("started"), &json!("switched")));
    assert_eq!((&known[0]["current"], &known[1]["current"]), (&json!(false), &json!(true)));
    assert_eq!((&known[0]["files"], &known[1]["first_words"]), (&json!(true), &json!("two")));
    assert_eq!(known[0]["first_words"], "fix the login test");
    let times = (known[0]["first_at"].as_str(), known[0]["last_at"].as_str());
    assert!(times.0.is_some_and(|at| at.starts_with("20")) && times.0 <= times.1, "{times:?}");
}

fn what_it_ever_had_is_listed_and_any_of_it_gone_on_in(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--status-file"]);
    let none = world.peer(&["conversations", "a"]);
    none.fails(1, "error: a never had a conversation\nhint: peer wake a begins one\n");
    world.peer(&["wake", "a", "--topic", "login", "-m", "fix the login\n\ttest"]);
    let first = world.conversation("a");
    world.peer(&["send", "a", "--command", "/clear"]);
    world.peer(&["send", "a", "two"]);
    let second = world.conversation("a");
    assert_ne!(first, second);
    for asleep in [false, true] {
        if asleep {
            world.peer(&["stop", "a"]);
        }
        both_are_listed(&world, &first, &second);
    }
    let text = world.peer(&["conversations", "a"]).stdout;
    assert!(text.contains(&format!("{first}  started\n  20")) && text.ends_with("Z\n  two\n"), "{text}");
    assert!(text.contains(&format!("{second}  switched to in mid-session, current\n")), "{text}");

    world.peer(&["start", "a"]);
    let why = world.peer(&["why", "a", "--conversation", &first[..8], "--json"]).json();
    assert_eq!(why["decision"], format!("resume {first} (asked-conversation)"));
    let woken = world.peer(&["wake", "a", "--conversation", &first[..8], "-m", "three", "--json"]).json();
    let woken = &woken["peers"][0];
    assert_eq!((&woken["decision"], &woken["cause"]), (&json!("resume"), &json!("asked-conversation")));
    assert_eq!(woken["conversation"], first);
    assert_eq!(world.said(&first).last().map(String::as_str), Some("three"));
    let changed = world.events("a", "conversation.changed").pop().expect("an event");
    assert_eq!((&changed["conversation"], &changed["previous"]), (&json!(first), &json!(second)));
    assert_eq!(world.events("a", "wake.decided").pop().expect("an event")["cause"], "asked-conversation");
    let topics = fs::read_to_string(world.file("a", "topic")).unwrap_or_default();
    assert_eq!(topics, "", "they were those of the other one");
    // The earlier conversation can be resumed as well, but not while the agent is awake in another one.
    let refused = world.peer(&["wake", "a", "--conversation", &second]);
    let way = format!("peer stop a && peer start a && peer wake a --conversation {second}");
    refused.fails(4, &format!("error: cannot wake a: it is awake in another conversation, {first}\nhint: {way}\n"));
    world.peer(&["wake", "a", "--conversation", &first]).prints("a: already awake\n");
    world.peer(&["stop", "a"]);
    world.peer(&["start", "a"]);
    world.peer(&["wake", "a"]).prints("a: woken resumed (stopped)\n");
    assert_eq!(world.conversation("a"), first, "it stays the one that a resume continues");
    let known = listed(&world, "a");
    assert_eq!((&known[0]["conversation"], &known[1]["conversation"]), (&json!(second), &json!(first)));
    assert_eq!((&known[1]["resumed"], &known[1]["how"]), (&json!(2), &json!("started")));
    for command in way.split(" && ") {
        let run = world.peer(&command.split(' ').skip(1).collect::<Vec<_>>());
        assert_eq!(run.code, 0, "{command}: {run:?}");
    }
    assert_eq!(world.conversation("a"), second);
}

/// Declares `a` with a conversation that was begun by hand.
fn add_with(world: &World, on: RuntimeKind, id: &str) -> Run {
    let place = format!("CLAUDE_CONFIG_DIR={}", world.path("home/demo").display());
    let shown = world.peer(&["show", "other", "--json"]).json();
    let program = shown["spec"]["command"]["value"][0].as_str().expect("its program");
    let work = world.work();
    let dir = work.to_str().expect("UTF-8");
    let words = ["add", "a", "--runtime", on.as_str(), "--cwd", dir, "--agent", "demo", "--env", &place];
    world.peer(&[&words[..], &["--conversation", id, "--", program]].concat())
}

fn a_conversation_begun_by_hand_is_adopted(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("other", &[]);
    let add = |id| add_with(&world, on, id);
    let none = add(BY_HAND);
    assert_eq!(none.code, 1, "{none:?}");
    assert!(none.stderr.contains("demo keeps no such conversation of ") && none.stderr.contains("hint: "), "{none:?}");
    assert!(!world.path("config/peers/a.toml").exists(), "nothing is declared without it");
    world.transcript(BY_HAND);
    let added = add(BY_HAND);
    assert!(added.code == 0 && added.stdout.ends_with(&format!("; its next wake goes on in {BY_HAND}\n")), "{added:?}");
    assert_eq!(world.events("a", "conversation.adopted")[0]["conversation"], BY_HAND);
    // As if it had been killed before it set its marker: the same again completes it.
    let clear = |marker: &str| std::fs::remove_file(world.file("a", marker)).expect("it was set");
    clear("adopted");
    assert!(add(BY_HAND).code == 0 && world.has("a", "adopted"));
    // What a refresh gave up stays so.
    world.peer(&["refresh", "a"]);
    assert!(add(BY_HAND).code == 0 && !world.has("a", "adopted") && world.has("a", "fresh-next"));
    clear("fresh-next");
    assert!(add(BY_HAND).code == 0 && world.has("a", "adopted"));
    assert_eq!(world.peer(&["why", "a", "--json"]).json()["decision"], format!("resume {BY_HAND} (adopted)"));
    assert_eq!(of(&listed(&world, "a"), BY_HAND)["how"], "adopted");
    assert!(world.peer(&["transcript", "a"]).stdout.contains("hello"));
    let taken = world.peer(&["add", "other", "--conversation", BY_HAND]);
    let whose = format!("error: the conversation {BY_HAND} is not other's: it is one of a\n");
    taken.fails(4, &format!("{whose}hint: peer wake a --conversation {BY_HAND}\n"));

    let woken = world.peer(&["wake", "a", "-m", "go on"]);
    assert_eq!(woken.stdout, "a: woken resumed (adopted); message delivered\n", "{woken:?}");
    assert_eq!(world.said(BY_HAND), ["hello", "go on"]);
    assert!(!world.has("a", "adopted"));
    // Repeating the declaration is not an error, and does not adopt the conversation again.
    world.peer(&["wake", "a"]).prints("a: already awake\n");
    let again = add(BY_HAND);
    assert!(
        again.code == 0 && again.stdout.starts_with("a: unchanged (") && !again.stdout.contains("goes on"),
        "{again:?}"
    );
    assert!(!world.has("a", "adopted"));
    // Another conversation is not adopted while the agent runs.
    let another: &'static str = "0b1f5c1e-2222-4be4-9a39-b1e0d9e7d8a1";
    world.transcript(another);
    let awake = world.peer(&["add", "a", "--conversation", another]);
    assert!(awake.code == 4 && awake.stderr.contains("hint: peer stop a, then the same again"), "{awake:?}");
    world.peer(&["stop", "a"]);
    let adopted = world.peer(&["add", "a", "--conversation", another]);
    assert!(adopted.code == 0 && adopted.stdout.starts_with("a: adopted ("), "{adopted:?}");
    world.peer(&["start", "a"]);
    world.peer(&["wake", "a"]).prints("a: woken resumed (adopted)\n");
    assert_eq!(world.conversation("a"), another);
    assert_eq!(world.conversations("a"), [BY_HAND, another]);
    // A fresh start that the user requests takes precedence over an adopted conversation.
    world.peer(&["stop", "a"]);
    world.peer(&["start", "a"]);
    world.peer(&["wake", "a", "--fresh"]).prints("a: woken fresh (asked-fresh)\n");
}

#[test]
fn what_is_ambiguous_or_unknown_or_anothers_is_told_with_what_there_is() {
    let world = World::new();
    for name in ["a", "b"] {
        world.demo(name, &["--status-file"]);
        world.peer(&["wake", name, "-m", "one"]);
        world.peer(&["send", name, "--command", "/clear"]);
        world.peer(&["send", name, "two"]);
        world.peer(&["stop", name]);
        world.peer(&["start", name]);
    }
    let ids = world.conversations("a");
    let hint = format!("hint: it has {}, {}; peer conversations a describes them\n", ids[0], ids[1]);
    world
        .peer(&["wake", "a", "--conversation", "zzz"])
        .fails(1, &format!("error: a has no conversation \"zzz\"\n{hint}"));
    // Two ids with a common prefix.
    let path = world.file("a", "conversations");
    let text = fs::read_to_string(&path).expect("it is there");
    let alike: Vec<String> = ids.iter().map(|id| format!("same{id}")).collect();
    let text = text.replace(&ids[0], &alike[0]).replace(&ids[1], &alike[1]);
    fs::write(&path, text).expect("written");
    let ambiguous = world.peer(&["wake", "a", "--conversation", "same"]);
    let hint = format!("hint: it has {}, {}; peer conversations a describes them\n", alike[0], alike[1]);
    ambiguous.fails(1, &format!("error: a has more than one conversation \"same\"\n{hint}"));
    // The agent's files are gone: no other conversation is started instead.
    let gone = world.peer(&["wake", "a", "--conversation", &alike[0]]);
    let problem = format!("cannot wake a: its agent has no files of the conversation {} for its directory", alike[0]);
    gone.fails(4, &format!("error: {problem}\nhint: peer conversations a says which of them are there\n"));
    assert_eq!(of(&listed(&world, "a"), &alike[0])["files"], false);
    assert!(world.session("a").is_null(), "nothing was started");
    // Another peer's conversation, by the prefix of its id.
    let other = world.conversations("b")[0].clone();
    let taken = world.peer(&["wake", "a", "--conversation", &other[..13], "--json"]);
    let told = &taken.json()["peers"][0];
    assert_eq!((taken.code, &told["cause"]), (4, &json!("conversation-of-another")), "{taken:?}");
    let undeclared = world.peer(&["conversations", "zzz"]);
    assert!(
        undeclared.code == 3 && undeclared.stderr.starts_with("error: there is no peer named zzz\nhint: "),
        "{undeclared:?}"
    );
    world.add("plain", &["cat"]);
    let plain = world.peer(&["add", "plain", "--conversation", BY_HAND]);
    assert!(plain.code == 1 && plain.stderr.contains("command does not resume conversations"), "{plain:?}");
}

/// A first start that never becomes ready does not give up the adopted conversation.
#[test]
fn an_adopted_conversation_is_resumed_by_the_first_start_that_is_ready() {
    let world = World::new();
    world.demo("a", &["--trust-dialog"]);
    world.transcript(BY_HAND);
    assert_eq!(world.peer(&["add", "a", "--conversation", BY_HAND]).code, 0);
    let asks = world.peer(&["wake", "a"]);
    assert_eq!(asks.code, 5, "{asks:?}");
    world.peer(&["stop", "a"]);
    world.peer(&["start", "a"]);
    assert!(world.has("a", "adopted"));
    let spec = world.path("config/peers/a.toml");
    let text = fs::read_to_string(&spec).expect("it is there").replace("\"--trust-dialog\"", "");
    fs::write(&spec, text).expect("written");
    let woken = world.peer(&["wake", "a", "-m", "go on"]);
    assert_eq!(woken.stdout, "a: woken resumed (adopted); message delivered\n", "{woken:?}");
    assert_eq!(world.said(BY_HAND), ["hello", "go on"]);
    // `peer refresh` starts a new conversation instead.
    world.demo("b", &[]);
    let another = "0b1f5c1e-3333-4be4-9a39-b1e0d9e7d8a1";
    world.transcript(another);
    world.peer(&["add", "b", "--conversation", another]);
    world.peer(&["refresh", "b"]);
    world.peer(&["wake", "b"]).prints("b: woken fresh (refresh)\n");
    assert!(!world.has("b", "adopted"));
}
