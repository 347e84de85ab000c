//! `peer mcp`: the verbs as tools, with the same refusals, and what an agent of the fleet is allowed to do with them.

use std::time::Instant;

use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};

use crate::common::mcp::{Client, with_clients};
use crate::common::{PATIENCE, World, on_each_runtime};

on_each_runtime! {
    each_tool_does_what_its_verb_does
    a_call_that_blocks_holds_up_nobody_and_can_be_cancelled
    with_a_broken_configuration_tools_observe_and_start_nothing
}

const TOOLS: [&str; 9] = ["list", "status", "why", "send", "wake", "wait", "last", "screen", "inbox"];

#[test]
fn each_tool_is_told_with_its_arguments_and_what_it_does() {
    let world = World::new();
    with_clients(async {
        let client = Client::of_a_person(&world).await;
        let told = client.service.peer_info().expect("it says who it is");
        let tools = client.service.list_all_tools().await.expect("a list");
        assert_eq!(tools.iter().map(|tool| tool.name.as_ref()).collect::<Vec<_>>(), TOOLS);
        assert!(format!("{told:?}").contains("bounded"), "{told:?}");
        for tool in &tools {
            let (name, schema) = (&tool.name, &tool.input_schema);
            assert_eq!((&schema["type"], &schema["additionalProperties"]), (&json!("object"), &json!(false)), "{name}");
            let arguments = schema["properties"].as_object().expect("arguments");
            assert!(arguments.values().all(|one| one["description"].is_string()), "{name}: {schema:?}");
            assert!(tool.description.as_ref().is_some_and(|text| text.len() > 40), "{name}");
            let does = tool.annotations.as_ref().expect("annotations");
            let types = matches!(name.as_ref(), "send" | "wake");
            assert_eq!(
                (does.read_only_hint, does.destructive_hint, does.open_world_hint),
                (Some(!types), Some(types), Some(types)),
                "{name}"
            );
        }
        assert_eq!(client.close().await, Some(0));
    });
}

fn with_a_broken_configuration_tools_observe_and_start_nothing(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.demo("b", &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    world.configure("\n[nonsense]\n");
    let mistake = "config.toml:";
    with_clients(async {
        let client = Client::of_a_person(&world).await;
        for (tool, arguments) in [
            ("list", json!({})),
            ("status", json!({ "name": "a" })),
            ("wait", json!({ "names": ["a"] })),
            ("last", json!({ "name": "a" })),
            ("screen", json!({ "name": "a" })),
        ] {
            let done = client.done(tool, arguments).await;
            let note = done["notices"][0].as_str();
            assert!(note.is_some_and(|note| note.contains(mistake) && note.contains("nonsense")), "{tool}: {done}");
        }
        for (tool, arguments) in [
            ("wake", json!({ "name": "b" })),
            ("send", json!({ "name": "a", "text": "more" })),
            ("why", json!({ "name": "a" })),
            ("inbox", json!({ "name": "a" })),
        ] {
            let (code, said) = client.refused(tool, arguments).await;
            assert!(code == 1 && said.contains(mistake) && said.contains("nonsense"), "{tool}: {said}");
        }
        assert_eq!(client.close().await, Some(0));
    });
    assert!(world.session("b").is_null());
    assert_eq!(world.said(&world.conversation("a")), ["hello"]);
}

fn each_tool_does_what_its_verb_does(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--slow-turn"]);
    with_clients(async {
        let client = Client::of_a_person(&world).await;
        let list = client.done("list", json!({})).await;
        assert_eq!(list, world.peer(&["list", "--json"]).json());
        let why = client.done("why", json!({ "name": "a", "topic": "x" })).await;
        assert_eq!(why, world.peer(&["why", "a", "--topic", "x", "--json"]).json());
        let woken = client.done("wake", json!({ "name": "a", "message": "one", "topic": "x" })).await;
        assert_eq!(
            (&woken["decision"], &woken["delivered"], &woken["schema"]),
            (&json!("fresh"), &json!(true), &json!("peer.wake/1"))
        );
        let sent = client.done("send", json!({ "name": "a", "text": "two" })).await;
        assert_eq!((&sent["decision"], &sent["delivered"]), (&json!("already-awake"), &json!(true)));
        let asked = client.done("send", json!({ "name": "a", "text": "three\nlines", "wait": true })).await;
        assert_eq!(asked["answer"], "ack turns=3: three lines");
        let waited = client.done("wait", json!({ "names": ["a", "a"] })).await;
        assert_eq!((&waited["peers"][0]["reached"], &waited["code"]), (&json!("idle"), &json!(0)));
        let last = client.done("last", json!({ "name": "a", "number": 2 })).await;
        assert_eq!(last, world.peer(&["last", "a", "-n", "2", "--json"]).json());
        assert_eq!(last["answers"][1]["text"], "ack turns=3: three lines");
        let screen = client.done("screen", json!({ "name": "a" })).await;
        assert!(screen["text"].as_str().is_some_and(|text| text.contains("● ack turns=3: three lines")), "{screen}");
        assert_eq!(
            client.done("screen", json!({ "name": "a", "lines": 1 })).await["text"].as_str().map(|t| t.lines().count()),
            Some(1)
        );
        let status = client.done("status", json!({ "name": "a" })).await;
        assert_eq!((&status["peer"], &status["schema"]), (&json!("a"), &json!("peer.status/1")));
        let queued = client.done("send", json!({ "name": "a", "text": "later", "queue": true, "after": "1h" })).await;
        assert_eq!((&queued["queued"], &queued["delivered"]), (&json!(1), &json!(false)));
        let inbox = client.done("inbox", json!({ "name": "a" })).await;
        assert_eq!(inbox, world.peer(&["inbox", "a", "--json"]).json());
        assert_eq!(inbox["messages"][0]["text"], "later");
        let one = client.done("list", json!({ "names": ["a"], "states": ["asleep"] })).await;
        assert_eq!(one["peers"], json!([]));
        assert_eq!(client.close().await, Some(0));
    });
}

fn a_call_that_blocks_holds_up_nobody_and_can_be_cancelled(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--slow-turn"]);
    world.demo("b", &[]);
    world.peer(&["wake", "a", "b"]);
    let begun = Instant::now();
    with_clients(async {
        let client = Client::of_a_person(&world).await;
        let begin = async |tool: &str, arguments: Value| client.begin(tool, arguments).await;
        let asked = begin("send", json!({ "name": "a", "text": "SLOW 600 long", "wait": true })).await;
        let waits = begin("wait", json!({ "names": ["a"], "until": ["ended"] })).await;
        let answer = client.done("send", json!({ "name": "b", "text": "quick", "wait": true })).await;
        assert_eq!(answer["answer"], "ack turns=1: quick");
        let works = async || {
            let screen = client.done("screen", json!({ "name": "a" })).await;
            screen["text"].as_str().is_some_and(|text| text.contains("esc to interrupt"))
        };
        while !works().await {
            assert!(begun.elapsed() < PATIENCE, "it has the message");
        }
        waits.cancel(None).await.expect("cancelled");
        asked.cancel(Some("enough".to_owned())).await.expect("cancelled");
        // The cancelled calls hold neither the queue of askers nor a lock.
        loop {
            let late = json!({ "name": "a", "text": "x", "wait": true, "timeout": "1s" });
            let (code, error) = client.refused("send", late).await;
            assert!(code == 9 && begun.elapsed() < PATIENCE, "{error}");
            if error.starts_with("a did not finish the turn") {
                break;
            }
        }
        let waited = client.call("wait", json!({ "names": ["a"], "timeout": "100ms" })).await;
        assert_eq!((waited.0, &waited.1["timed_out"], &waited.1["code"]), (true, &json!(true), &json!(9)));
        let first = client.done("wait", json!({ "names": ["a", "b"], "any": true })).await;
        assert_eq!(first["peers"][0]["peer"], "b");
        // A call in progress does not keep the server alive once stdin is closed.
        let _never = begin("wait", json!({ "names": ["a"], "until": ["asleep"] })).await;
        assert_eq!(client.close().await, Some(0));
    });
}

#[test]
fn what_the_verbs_refuse_is_refused_in_their_words() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.peer(&["wake", "a"]);
    world.peer(&["stop", "a"]);
    with_clients(async {
        let client = Client::of_a_person(&world).await;
        let (failed, told) = client.call("wake", json!({ "name": "a" })).await;
        let verb = world.peer(&["wake", "a", "--json"]).json()["peers"][0].clone();
        assert!(failed && told["hint"] == "peer start a", "{told}");
        for key in ["error", "hint", "code", "cause", "retryable"] {
            assert_eq!(told[key], verb[key], "{key}");
        }
        assert_eq!(client.refused("status", json!({ "name": "b" })).await, (3, "there is no peer named b".to_owned()));
        world.peer(&["start", "a"]);
        assert_eq!(client.refused("send", json!({ "name": "a", "text": "a bell\u{7}" })).await.0, 1);
        assert_eq!(
            client.refused("send", json!({ "name": "a", "text": "x", "wait": true })).await.0,
            1,
            "no transcript"
        );
        assert_eq!(client.refused("last", json!({ "name": "a" })).await.0, 1);
        for (tool, arguments, says) in [
            ("send", json!({ "name": "a" }), "missing field `text`"),
            ("send", json!({ "name": "a", "text": " " }), "the message is empty"),
            ("send", json!({ "name": "a", "text": "x", "queue": true, "wait": true }), "do not go together"),
            ("send", json!({ "name": "a", "text": "x", "after": "1h" }), "do not go together"),
            (
                "send",
                json!({ "name": "a", "text": "x", "wait": true, "timeout": "soon" }),
                "\"soon\" is not a duration",
            ),
            ("status", json!({ "name": "A b" }), "\"A b\" is not a peer name"),
            ("status", json!({ "name": 7 }), "invalid type"),
            ("status", json!({ "name": "a", "force": true }), "unknown field `force`"),
            ("wait", json!({ "names": [] }), "nobody is named"),
            ("wait", json!({ "names": ["a"], "until": ["happy"] }), "there is no \"happy\""),
            ("list", json!({ "states": ["happy"] }), "there is no \"happy\""),
        ] {
            let (code, error) = client.refused(tool, arguments.clone()).await;
            assert!(code == 2 && error.contains(says), "{tool} {arguments}: {code} {error}");
        }
        let unknown = client.unknown("stop").await.to_string();
        assert!(unknown.contains("there is no tool \"stop\""), "{unknown}");
        assert!(world.session("a").is_null(), "nothing of all this woke it");
        assert_eq!(client.close().await, Some(0));
    });
}

/// A fleet of four, of which `web` and `db` are awake.
fn fleet() -> World {
    let world = World::new();
    for name in ["web", "api", "api-2", "db"] {
        world.demo(name, &[]);
    }
    world.peer(&["wake", "web", "db"]);
    world
}

fn rows(list: &Value) -> Vec<String> {
    let rows = list["peers"].as_array().expect("rows").iter();
    rows.map(|row| row["peer"].as_str().expect("a name").to_owned()).collect()
}

/// Calls about `db` that need a `may`.
fn looks_at_db() -> [(&'static str, Value); 7] {
    [
        ("status", json!({ "name": "db" })),
        ("why", json!({ "name": "db" })),
        ("wake", json!({ "name": "db" })),
        ("wait", json!({ "names": ["web", "db"] })),
        ("last", json!({ "name": "db" })),
        ("screen", json!({ "name": "db" })),
        ("inbox", json!({ "name": "db" })),
    ]
}

#[test]
fn an_agent_of_the_fleet_without_may_lists_all_and_sends_to_all() {
    let world = fleet();
    with_clients(async {
        let client = Client::of(&world, "web").await;
        assert_eq!(rows(&client.done("list", json!({})).await), ["api", "api-2", "db", "web"]);
        let answer = client.done("send", json!({ "name": "db", "text": "hello", "wait": true })).await;
        assert_eq!(answer["answer"], "ack turns=1: hello");
        let delivered = world.events("db", "message.delivered").pop().expect("one");
        assert_eq!((&delivered["from"], &delivered["hops"]), (&json!("web"), &json!(1)));
        for (tool, arguments) in looks_at_db() {
            if tool == "wait" {
                continue;
            }
            let (failed, told) = client.call(tool, arguments).await;
            assert!(failed && told["code"] == 4 && told["cause"] == "not-allowed", "{tool}: {told}");
            let error = told["error"].as_str().expect("text");
            assert!(error.starts_with("web may not ") && error.contains("its spec has no `may`"), "{error}");
            assert!(told["hint"].as_str().is_some_and(|hint| hint.contains("peer edit web: may = [\"db\"]")), "{told}");
        }
        assert_eq!(client.refused("wait", json!({ "names": ["db"] })).await.0, 4);
        // An agent may do everything to its own peer, except wait for it.
        client.done("status", json!({ "name": "web" })).await;
        client.done("screen", json!({ "name": "web" })).await;
        assert_eq!(client.done("wake", json!({ "name": "web" })).await["decision"], "already-awake");
        let (code, error) = client.refused("wait", json!({ "names": ["web"] })).await;
        assert!(code == 2 && error.contains("its own turn"), "{error}");
        assert_eq!(client.refused("send", json!({ "name": "web", "text": "x", "wait": true })).await.0, 2);
        assert_eq!(client.close().await, Some(0));
    });
}

#[test]
fn an_agent_of_the_fleet_may_do_what_its_spec_says() {
    let world = fleet();
    with_clients(async {
        let client = Client::of(&world, "web").await;
        assert_eq!(rows(&client.done("list", json!({})).await), ["api", "api-2", "db", "web"]);
        // With `may`, which takes effect at the next call, the agent may do everything to the peers it names, and
        // nothing to others.
        world.set_in_spec("web", "may = [\"api*\"]");
        assert_eq!(rows(&client.done("list", json!({})).await), ["api", "api-2", "web"]);
        client.done("wake", json!({ "name": "api-2" })).await;
        client.done("screen", json!({ "name": "api-2" })).await;
        let others = [("send", json!({ "name": "db", "text": "x" })), ("list", json!({ "names": ["db"] }))];
        for (tool, arguments) in looks_at_db().into_iter().chain(others) {
            let (code, error) = client.refused(tool, arguments).await;
            // Nobody waits for oneself, whoever else is named.
            let (expected, says) = match tool {
                "wait" => (2, error.contains("its own turn")),
                _ => (4, error.starts_with("web may not ")),
            };
            assert!(code == expected && says, "{tool}: {code} {error}");
        }
        let (_, error) = client.refused("send", json!({ "name": "db", "text": "x" })).await;
        assert_eq!(error, "web may not send to db: `may` in its spec does not name it");
        // An incarnation that has ended is refused everything.
        let stale = Client::with(&world, &[("PEER_NAME", "web"), ("PEER_INCARNATION", "7")]).await;
        let (code, error) = stale.refused("list", json!({})).await;
        assert!(code == 4 && error.contains("incarnation 7 of web is no longer the current one"), "{error}");
        assert_eq!((client.close().await, stale.close().await), (Some(0), Some(0)));
    });
    world.set_in_spec("db", "may = [\"No/Name\"]");
    let run = world.peer(&["list"]);
    assert!(run.code == 1 && run.stderr.contains("\"No/Name\" is neither a peer's name nor a pattern"), "{run:?}");
}

/// Two agents exchange `PEER_MCP_ROUNDS` messages without a person in between. The default of 50 rounds takes about a
/// minute.
#[test]
fn two_agents_hand_work_to_and_fro() {
    let rounds = std::env::var("PEER_MCP_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(50);
    let world = World::new();
    let config = std::fs::read_to_string(world.path("config/config.toml")).expect("read");
    std::fs::write(world.path("config/config.toml"), format!("max_hops = 0\n{config}")).expect("write");
    for name in ["a", "b"] {
        world.demo(name, &[]);
    }
    world.peer(&["wake", "a", "b"]);
    with_clients(async {
        let (a, b) = (Client::of(&world, "a").await, Client::of(&world, "b").await);
        let mut said = "begin".to_owned();
        for round in 1..=rounds {
            for (from, to) in [(&a, "b"), (&b, "a")] {
                let told = from.done("send", json!({ "name": to, "text": said, "wait": true })).await;
                let answer = told["answer"].as_str().expect("an answer").to_owned();
                assert!(answer.starts_with(&format!("ack turns={round}: ")), "round {round}: {answer}");
                said = format!("round {round} of {to}");
            }
        }
        assert_eq!(world.session("a")["hops"], json!(2 * rounds));
        assert_eq!((a.close().await, b.close().await), (Some(0), Some(0)));
    });
}
