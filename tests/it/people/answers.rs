//! `peer answer`: an agent's question is shown, and answered only by the row that the user names.

use crate::common::{World, on_each_runtime, wait_until};
use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};

on_each_runtime! {
    a_question_is_shown_with_its_rows_and_answered_by_label
    a_choice_that_is_no_row_is_refused_with_the_rows
    a_question_that_changes_under_the_cursor_is_not_answered
    a_row_is_taken_where_it_is_seen_to_have_the_cursor_and_an_enter_means_it
    trust_is_answered_before_the_agent_is_ready
    who_chooses_the_end_of_an_agent_kills_none
    one_that_asks_nothing_is_left_alone
    what_can_be_answered_is_said_with_the_command_that_answers
    what_cannot_be_answered_is_attached_to
}

const ASK: &str = "ASK May I run rm? | Yes | Yes, and do not ask again | No, and say why";

fn asker(on: RuntimeKind, flags: &[&str], message: &str) -> World {
    let world = World::on(on);
    world.demo("a", &[&["--asks"], flags].concat());
    world.peer(&["wake", "a", "-m", message]).prints("a: woken fresh (first-wake); message delivered\n");
    world.await_screen("a", "Enter to confirm");
    world
}

/// The choices that the agent has printed.
fn chosen(world: &World) -> Vec<String> {
    let screen = world.screen("a");
    screen.lines().filter_map(|line| Some(line.split_once("chose ")?.1.to_owned())).collect()
}

fn a_question_is_shown_with_its_rows_and_answered_by_label(on: RuntimeKind) {
    let world = asker(on, &[], &format!("{ASK} ;; Sure? | No | Yes"));
    world.peer(&["answer", "a"]).prints(
        "a asks (question): May I run rm?\n  > 1. Yes\n    2. Yes, and do not ask again\n    3. No, and say why\n",
    );
    let told = world.peer(&["answer", "a", "--json"]).json();
    assert_eq!((&told["schema"], &told["peer"]), (&json!("peer.answer/1"), &json!("a")));
    assert_eq!(
        told["asks"],
        json!({
            "kind": "question", "question": "May I run rm?", "text": ["May I run rm?"],
            "rows": [
                {"number": 1, "label": "Yes"},
                {"number": 2, "label": "Yes, and do not ask again"},
                {"number": 3, "label": "No, and say why"},
            ],
            "cursor": 1
        })
    );
    world
        .peer(&["answer", "a", "no, and"])
        .prints("a: chose 3. No, and say why; it asks: Sure?\n  > 1. No\n    2. Yes\n");
    assert_eq!(chosen(&world), ["3. No, and say why"]);
    let run = world.peer(&["answer", "a", "2", "--json"]);
    let told = run.json();
    assert_eq!(
        (run.code, &told["row"], &told["label"], &told["did"], &told["after"], &told["question"]),
        (0, &json!(2), &json!("Yes"), &json!("chose"), &json!("free"), &json!("Sure?"))
    );
    wait_until("it has both", || chosen(&world) == ["3. No, and say why", "2. Yes"]);
    let events = world.events("a", "agent.answered");
    let rows: Vec<_> = events.iter().map(|event| (&event["cause"], &event["row"])).collect();
    assert_eq!(rows, [(&json!("question"), &json!(3)), (&json!("question"), &json!(2))]);
    let log = std::fs::read_to_string(world.path("state/lifecycle.log")).expect("a log");
    assert!(!log.contains("say why") && !log.contains("May I"), "{log}");
}

fn a_choice_that_is_no_row_is_refused_with_the_rows(on: RuntimeKind) {
    let world = asker(on, &[], "ASK Which one? | Allow once | Allow always | Reject");
    let before = world.screen("a");
    let rows = "1. Allow once / 2. Allow always / 3. Reject";
    let hint = "hint: peer answer a ROW: its number, its label, or the first words of its label\n";
    for (choice, is) in [("Allow", "several rows"), ("Deny", "no row"), ("4", "no row"), ("0", "no row")] {
        let run = world.peer(&["answer", "a", choice]);
        run.fails(2, &format!("error: \"{choice}\" matches {is} in the question of a: {rows}\n{hint}"));
    }
    let run = world.peer(&["answer", "a", "Deny", "--json"]);
    assert_eq!((run.code, &run.json()["cause"]), (2, &json!("no-such-row")));
    assert_eq!(world.screen("a"), before, "no key was pressed");
    assert!(world.events("a", "agent.answered").is_empty());
}

fn a_question_that_changes_under_the_cursor_is_not_answered(on: RuntimeKind) {
    let world = asker(on, &["--asks-anew"], "ASK May I read it? | No | Yes ;; May I remove it? | No | Yes");
    world.peer(&["answer", "a", "Yes"]).fails(
        7,
        "error: the question of a was not answered: the question has changed or is gone; Enter was not pressed\n\
         hint: peer answer a shows what it asks now\n",
    );
    assert_eq!(chosen(&world), [""; 0]);
    assert!(world.screen("a").contains("May I remove it?"));
    let run = world.peer(&["answer", "a", "3", "--json"]);
    assert_eq!(run.code, 2);
    world.peer(&["answer", "a", "yes"]).prints("a: chose 2. Yes; it is ready for a message\n");
}

fn a_row_is_taken_where_it_is_seen_to_have_the_cursor_and_an_enter_means_it(on: RuntimeKind) {
    // The row that is drawn is not yet the one that Enter takes: for this long it is the row before.
    let world = asker(on, &["--late-dialog", "200"], "ASK Which? | one | two | three");
    world.peer(&["answer", "a", "three"]).prints("a: chose 3. three; it is ready for a message\n");
    assert_eq!(chosen(&world), ["3. three"]);
}

fn trust_is_answered_before_the_agent_is_ready(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--trust-dialog"]);
    let woken = world.peer(&["wake", "a"]);
    let asks = "; its rows: 1. No, exit / 2. Yes, I trust this folder\n";
    assert!(woken.code == 5 && woken.stderr.contains(asks), "{woken:?}");
    let run = world.peer(&["answer", "a"]);
    assert!(run.stdout.ends_with("  > 1. No, exit\n    2. Yes, I trust this folder\n"), "{run:?}");
    assert!(run.stdout.starts_with("a asks (trust): Quick safety check"), "{run:?}");
    world.peer(&["answer", "a", "yes"]).prints("a: chose 2. Yes, I trust this folder; it is ready for a message\n");
    // The wake that began this start has ended, and no tick comes.
    assert_eq!(world.peer(&["list", "--format", "{state}"]).stdout, "awake\n");
    assert_eq!(world.peer(&["wait", "a", "--timeout", "10s"]).code, 0);
    world.peer(&["wake", "a", "-m", "hello"]).prints("a: already awake; message delivered\n");
    // "No" ends the agent, as the row says.
    world.demo("b", &["--trust-dialog"]);
    assert_eq!(world.peer(&["wake", "b"]).code, 5);
    world.peer(&["answer", "b", "No, exit"]).prints("b: chose 1. No, exit; it ended: declined, which is no death\n");
}

fn who_chooses_the_end_of_an_agent_kills_none(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &["--trust-dialog"]);
    for _ in 0..3 {
        assert_eq!(world.peer(&["wake", "a"]).code, 5);
        let run = world.peer(&["answer", "a", "No", "--json"]);
        let told = run.json();
        assert_eq!(
            (run.code, &told["after"], &told["cause"], &told["counted"]),
            (0, &json!("ended"), &json!("declined"), &json!(false))
        );
    }
    assert!(!world.file("a", "deaths").exists());
    let ends: Vec<_> = world.events("a", "session.ended").iter().map(|end| end["cause"].clone()).collect();
    assert_eq!(ends, ["declined"; 3]);
    assert!(world.peer(&["status", "a"]).stdout.contains("declined"));
    let asked = world.peer(&["wake", "a"]);
    assert!(asked.code == 5 && asked.stderr.contains("it needs a person"), "not a crash loop: {asked:?}");
    // Whoever is killed did not do as it was told, and neither did one whose profile tells of no such row.
    let profile = include_str!("../../../scripts/demo/agents/demo.toml").replace("ends = '^No, exit$'\n", "");
    world.profile("demo", &profile);
    world
        .peer(&["answer", "a", "No"])
        .prints("a: chose 1. No, exit; it ended: crashed (exit 1), which counts as a death\n");
    assert_eq!(world.end("a")["cause"], "crashed");
}

fn one_that_asks_nothing_is_left_alone(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["answer", "a", "Yes"]).fails(4, "error: a is not awake\nhint: peer wake a\n");
    world.peer(&["wake", "a"]);
    world.peer(&["answer", "a"]).prints("a has no open question\n");
    assert_eq!(world.peer(&["answer", "a", "--json"]).json()["asks"], Value::Null);
    world.peer(&["answer", "a", "1"]).fails(4, "error: a has no open question\nhint: peer status a\n");
}

const EITHER: &str = "peer answer a, or peer attach a";

fn what_can_be_answered_is_said_with_the_command_that_answers(on: RuntimeKind) {
    let world = asker(on, &[], ASK);
    let story = world.peer(&["status", "a"]).stdout;
    assert!(story.ends_with(&format!("\n        Next: {EITHER}\n")), "{story}");
    let status = world.peer(&["status", "a", "--json"]).json();
    assert_eq!((&status["next"], &status["answerable"]), (&json!(EITHER), &json!(true)));
    world.peer(&["status"]).prints(&format!("a  waiting (question: May I run rm?): {EITHER}\nin all: 1 waiting\n"));
    let list = world.peer(&["list"]);
    assert_eq!((list.code, list.stderr), (0, format!("hint: {EITHER}\n")));
    assert_eq!(world.peer(&["list", "--format", "{name}"]).stderr, "", "a script is not told");
    world
        .peer(&["wait", "a"])
        .fails(8, &format!("error: a needs a person (question): May I run rm?\nhint: {EITHER}\n"));
    let sent = world.peer(&["send", "a", "more"]);
    let rows = "May I run rm?; its rows: 1. Yes / 2. Yes, and do not ask again / 3. No, and say why\n";
    assert!(sent.stderr.contains(rows), "{sent:?}");
    assert!(sent.code == 7 && sent.stderr.ends_with(&format!("\nhint: {EITHER}; then send it again\n")), "{sent:?}");
    // It does what it says.
    assert!(world.peer(&["answer", "a"]).stdout.contains("> 1. Yes"));
    world.peer(&["answer", "a", "1"]).prints("a: chose 1. Yes; it is ready for a message\n");
    assert_eq!((world.peer(&["list"]).stderr, chosen(&world)), (String::new(), vec!["1. Yes".to_owned()]));
    // A dialog before the first prompt, and a second peer that waits.
    world.demo("b", &["--trust-dialog"]);
    let woken = world.peer(&["wake", "b"]);
    let hint = "\nhint: peer answer b, or peer attach b, or allow it in `peer edit b`: accept = [\"trust-folder\"]\n";
    assert!(woken.code == 5 && woken.stderr.ends_with(hint), "{woken:?}");
    world.peer(&["send", "a", ASK]);
    world.await_screen("a", "Enter to confirm");
    assert_eq!(world.peer(&["list"]).stderr, "hint: peer status names the command for each question\n");
    assert_eq!(world.peer(&["status"]).stdout.lines().filter(|line| line.contains("peer answer ")).count(), 2);
}

/// The same question, of a profile that does not describe where its cursor is.
fn what_cannot_be_answered_is_attached_to(on: RuntimeKind) {
    let world = World::on(on);
    let profile = include_str!("../../../scripts/demo/agents/demo.toml").replace("cursor = '^ ❯ '\n", "");
    world.profile("demo", &profile);
    world.demo("a", &["--asks"]);
    world.peer(&["wake", "a", "-m", ASK]).prints("a: woken fresh (first-wake); message delivered\n");
    world.await_screen("a", "Enter to confirm");
    assert!(world.peer(&["status", "a"]).stdout.ends_with("\n        Next: peer attach a\n"));
    assert_eq!(world.peer(&["status", "a", "--json"]).json()["answerable"], json!(false));
    assert!(world.peer(&["status"]).stdout.starts_with("a  waiting (question: May I run rm?): peer attach a\n"));
    assert_eq!(world.peer(&["list"]).stderr, "hint: peer attach a\n");
    let sent = world.peer(&["send", "a", "more"]);
    assert!(sent.stderr.ends_with("\nhint: peer attach a and answer it; then send it again\n"), "{sent:?}");
    let answered = world.peer(&["answer", "a", "1"]);
    assert!(answered.code == 7 && answered.stderr.ends_with("\nhint: peer attach a and answer it\n"), "{answered:?}");
}
