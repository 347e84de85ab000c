//! Messages and answers are printed from the agent's own transcript: awake, asleep and as they come.

use crate::common::{World, killed, on_each_runtime, wait_for, wait_until};
use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};

on_each_runtime! {
    the_last_answers_and_the_conversation_are_printed_awake_and_asleep
    a_conversation_that_is_followed_is_printed_as_it_comes
}

#[track_caller]
fn prints(world: &World, words: &[&str]) -> String {
    let run = world.peer(words);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    run.stdout
}

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

fn the_last_answers_and_the_conversation_are_printed_awake_and_asleep(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["last", "a"]).fails(
        1,
        "error: a has no transcript: it has no conversation yet\nhint: peer screen a prints what its pane shows\n",
    );
    prints(&world, &["wake", "a", "-m", "one"]);
    prints(&world, &["send", "a", "two\n\tlines"]);
    for asleep in [false, true] {
        if asleep {
            prints(&world, &["stop", "a"]);
        }
        wait_until("both are answered", || {
            world.peer(&["last", "a", "-n", "9"]).stdout == "ack turns=1: one\n\nack turns=2: two lines\n"
        });
        assert_eq!(prints(&world, &["last", "a"]), "ack turns=2: two lines\n");
        let told = world.peer(&["last", "a", "--json"]).json();
        assert_eq!((&told["schema"], &told["conversation"]), (&json!("peer.last/1"), &json!(world.conversation("a"))));
        assert!(told["unanswered"].is_null(), "{told}");
        assert_eq!(prints(&world, &["last", "a", "-n", "0"]), "");
        let answer = &told["answers"][0];
        assert_eq!((&answer["over"], &answer["tokens"]), (&json!(true), &json!({ "input": 10, "output": 3 })));

        let text = prints(&world, &["transcript", "a"]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("20") && lines[0].ends_with("Z  user"), "{text}");
        assert!(lines[3].ends_with("Z  demo  (10 tokens in, 3 out)"), "{text}");
        assert_eq!((lines[1], lines[4], lines[7], lines[8]), ("  one", "  ack turns=1: one", "  two", "  \tlines"));
        let said = objects(&prints(&world, &["transcript", "a", "--json"]));
        let roles: Vec<_> = said.iter().map(|one| one["role"].as_str().expect("a role")).collect();
        assert_eq!(roles, ["user", "assistant", "user", "assistant"]);
        assert!(said[0]["at"].as_str().is_some_and(|at| at.starts_with("20") && at.ends_with('Z')), "{said:?}");
        assert_eq!((&said[3]["text"], &said[3]["tokens"]["output"]), (&json!("ack turns=2: two lines"), &json!(3)));
        let path = prints(&world, &["transcript", "a", "--path"]);
        assert!(path.ends_with(&format!("/{}.jsonl\n", world.conversation("a"))), "{path}");
    }
    let id = world.conversation("a");
    assert_eq!(prints(&world, &["transcript", "a", "--conversation", &id[..6]]), prints(&world, &["transcript", "a"]));
    let none = world.peer(&["transcript", "a", "--conversation", "zzz"]);
    let hint = format!("hint: it has {id}; peer conversations a describes them\n");
    none.fails(1, &format!("error: a has no conversation \"zzz\"\n{hint}"));
    world.demo("b", &[]);
    let of_another = world.peer(&["transcript", "b", "--conversation", &id]);
    assert!(of_another.code == 4 && of_another.stderr.contains("it is one of a\n"), "{of_another:?}");
    world.add("plain", &["cat"]);
    let plain = world.peer(&["last", "plain"]);
    assert!(plain.code == 1 && plain.stderr.contains("its agent keeps none\nhint: peer screen plain"), "{plain:?}");
}

fn a_conversation_that_is_followed_is_printed_as_it_comes(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--status-file"]);
    prints(&world, &["wake", "a", "-m", "one"]);
    let out = world.path("followed");
    let mut follow = world.command(&["transcript", "a", "--json", "-f"]);
    let mut follow = follow.stdout(std::fs::File::create(&out).expect("made")).spawn().expect("it starts");
    let texts = || {
        let text = std::fs::read_to_string(&out).expect("it is there");
        let told = objects(&text);
        told.iter().map(|one| one["text"].as_str().expect("a text").to_owned()).collect::<Vec<_>>()
    };
    wait_until("what is there", || texts() == ["one", "ack turns=1: one"]);
    prints(&world, &["send", "a", "two"]);
    wait_until("what comes", || texts() == ["one", "ack turns=1: one", "two", "ack turns=2: two"]);
    // The agent clears its conversation, and the new one is followed.
    prints(&world, &["send", "a", "--command", "/clear"]);
    prints(&world, &["send", "a", "three"]);
    let all = wait_for("that of the new one", || Some(texts()).filter(|texts| texts.len() == 6));
    assert_eq!(all[4..], ["three", "ack turns=1: three"]);
    killed(&mut follow);
}

/// Text that an agent writes is not trusted.
#[test]
fn nothing_that_an_agent_said_is_carried_out_by_a_terminal() {
    let world = World::new();
    world.demo("a", &[]);
    prints(&world, &["wake", "a", "-m", "one"]);
    let path = prints(&world, &["transcript", "a", "--path"]);
    let hostile = "\u{1b}]0;title\u{7}\u{1b}[31mred\u{9b}2J\u{202e}end";
    let record =
        json!({ "type": "assistant", "message": { "id": "x", "content": [{ "type": "text", "text": hostile }] } });
    let mut text = std::fs::read_to_string(path.trim_end()).expect("it is there");
    text.extend([record.to_string(), "\n".to_owned()]);
    std::fs::write(path.trim_end(), text).expect("written");
    for words in [&["last", "a"][..], &["transcript", "a"], &["transcript", "a", "--json"], &["last", "a", "--json"]] {
        let told = prints(&world, words);
        let carried = told.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert!(carried.is_none() && told.contains("end"), "{words:?}: {told:?}");
    }
    assert_eq!(world.peer(&["last", "a", "--json"]).json()["answers"][0]["text"], hostile);
}
