//! The question of an agent is answered within `peer top`, and only the question that was shown.

use crate::common::top::Top;
use crate::common::{World, on_each_runtime, signal, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::runtime::RuntimeKind;

const ASK: &str = "ASK May I run rm? | Yes | Yes, and do not ask again | No, and say why ;; Sure? | No | Yes";

const SIZES: [(&str, &str); 3] = [("200", "50"), ("80", "24"), ("40", "12")];

fn asker(on: RuntimeKind, message: &str) -> World {
    let world = World::on(on);
    world.demo("a", &["--asks"]);
    asks(&world, message);
    world
}

fn asks(world: &World, message: &str) {
    assert_eq!(world.peer(&["wake", "a", "-m", message]).code, 0);
    world.await_screen("a", "Enter to confirm");
}

/// What the agent has printed of the choices.
fn chosen(world: &World) -> Vec<String> {
    let screen = world.screen("a");
    screen.lines().filter_map(|line| Some(line.split_once("chose ")?.1.to_owned())).collect()
}

/// Waits until the screen shows all of these, and ends with the last one.
fn shows(top: &Top<'_>, texts: &[&str]) -> String {
    let end = texts.last().expect("one");
    top.until(&format!("{texts:?}"), |screen| {
        texts.iter().all(|text| screen.contains(text)) && screen.trim_end().ends_with(end)
    })
}

/// `peer top` where the question of the peer is shown, and long enough to be read.
fn shown<'a>(world: &'a World, (width, height): (&str, &str), row: &str) -> Top<'a> {
    let top = Top::start(world, width, height);
    top.until_row("a", "waiting");
    top.press(&["A"]);
    top.until("its question", |screen| screen.contains("a asks (question)") && screen.contains(row));
    top.look();
    top
}

fn a_question_is_answered_page_by_page_on_terminals_of_every_size(on: RuntimeKind) {
    for size in SIZES {
        let world = asker(on, ASK);
        let before = world.screen("a");
        let top = Top::start(&world, size.0, size.1);
        top.until_row("a", "waiting");
        shows(
            &top,
            &["A answer  ", if size.0 == "40" { "" } else { "answer: A shows its rows, a attaches" }, "q quit"],
        );
        top.press(&["A"]);
        let rows = ["> 1. Yes", "  2. Yes, and do not ask again", "  3. No, and say why"];
        shows(&top, &[&["a asks (question)", "May I run rm?"], &rows[..], &["Esc back"]].concat());
        // Whoever goes back has pressed nothing.
        top.press(&["Escape"]);
        top.until("the fleet", |screen| screen.contains("? help  q quit") && !screen.contains("a asks"));
        assert_eq!(world.screen("a"), before);
        top.press(&["A"]);
        top.until("its rows", |screen| screen.contains("> 1. Yes"));
        top.look();
        top.press(&["Down"]);
        top.until("the mark", |screen| screen.contains("> 2. Yes, and do not ask again"));
        top.press(&["Enter"]);
        shows(&top, &["Sure?", "> 1. No", "  2. Yes", "a: chose 2. Yes, and do not ask", "Esc back"]);
        top.look();
        top.press(&["2"]);
        let screen = shows(&top, &["a: chose 2. Yes; it is ready for", "q quit"]);
        assert!(!screen.contains("a asks"), "{screen}");
        wait_until("it has both", || chosen(&world) == ["2. Yes, and do not ask again", "2. Yes"]);
        top.until_row("a", "awake");
        top.press(&["A"]);
        top.until("that is all", |screen| screen.contains("a has no open question"));
        top.press(&["q"]);
        top.assert_given_back("[code 0]");
    }
}

fn only_what_was_shown_is_answered_and_only_of_whom(on: RuntimeKind) {
    let world = asker(on, ASK);
    let top = shown(&world, ("80", "24"), "> 1. Yes");
    // Another one answers, and top does not notice before the key is there.
    signal(top.pid(), Signal::SIGSTOP);
    assert_eq!(world.peer(&["answer", "a", "1"]).code, 0);
    top.press(&["2"]);
    signal(top.pid(), Signal::SIGCONT);
    top.until("why", |screen| screen.contains("a: it asks something else by now; no key was pressed"));
    top.until("what it asks now", |screen| screen.contains("> 1. No") && screen.contains("a asks"));
    assert_eq!(chosen(&world), ["1. Yes"]);
    // The same question of another incarnation is another question.
    top.press(&["Escape"]);
    assert_eq!(world.peer(&["new", "a", "-m", ASK]).code, 0);
    world.await_screen("a", "Enter to confirm");
    top.until_row("a", "waiting");
    top.press(&["A"]);
    top.until("its rows", |screen| screen.contains("> 1. Yes"));
    top.look();
    signal(top.pid(), Signal::SIGSTOP);
    assert_eq!(world.peer(&["new", "a", "-m", ASK]).code, 0);
    world.await_screen("a", "Enter to confirm");
    top.press(&["2"]);
    signal(top.pid(), Signal::SIGCONT);
    top.until("why", |screen| screen.contains("a was started anew meanwhile; no key was pressed"));
    assert_eq!((world.session("a")["incarnation"].as_u64(), chosen(&world)), (Some(3), Vec::new()));
    assert_eq!(world.events("a", "agent.answered").len(), 1);
    // Now that one is meant.
    top.look();
    top.press(&["2"]);
    top.until("the next page", |screen| screen.contains("> 1. No"));
    assert_eq!(chosen(&world), ["2. Yes, and do not ask again"]);
    top.press(&["Escape"]);
    top.until("the fleet", |screen| !screen.contains("a asks"));
    top.press(&["q"]);
    top.assert_given_back("[code 0]");
}

on_each_runtime! {
    a_question_is_answered_page_by_page_on_terminals_of_every_size
    only_what_was_shown_is_answered_and_only_of_whom
}

#[test]
fn what_another_one_answers_is_seen_at_once() {
    let world = asker(RuntimeKind::Tmux, ASK);
    let top = shown(&world, ("80", "24"), "> 1. Yes");
    assert_eq!(world.peer(&["answer", "a", "1"]).code, 0);
    top.until("the next page", |screen| {
        screen.contains("> 1. No") && screen.contains("a: it asks something else by now\n")
    });
    assert_eq!(world.peer(&["answer", "a", "1"]).code, 0);
    top.until("nothing more", |screen| screen.contains("a has no open question") && !screen.contains("a asks"));
}

#[test]
fn what_has_no_rows_or_takes_words_is_attached_to() {
    let profile = include_str!("../../../scripts/demo/agents/demo.toml");
    for (change, to, key, says) in [
        ("cursor = '^ ❯ '\n", "", "Enter", "It cannot be answered from here: a attaches."),
        ("needs_person = true", "typed = '^No, and'\nneeds_person = true", "3", "in your own words: a attaches"),
    ] {
        let world = World::new();
        assert!(profile.contains(change));
        world.profile("demo", &profile.replace(change, to));
        world.demo("a", &["--asks"]);
        asks(&world, ASK);
        let top = shown(&world, ("80", "24"), " 1. Yes");
        top.press(&[key]);
        top.until("what to do", |screen| screen.contains(says));
        assert!(chosen(&world).is_empty() && world.events("a", "agent.answered").is_empty());
        top.look();
        top.press(&["a"]);
        top.until("the pane", |screen| screen.contains("Enter to confirm") && !screen.contains("peer top"));
        world.tmux(&["detach-client", "-s", &format!("={}", world.session("a")["session"].as_str().expect("a name"))]);
        top.until("the view again", |screen| screen.contains("back from a"));
    }
}

#[test]
fn a_long_question_folds_between_words_and_is_scrolled() {
    let rows: Vec<String> = (1..=8).map(|row| format!("The choice with the number {row} of eight of them")).collect();
    let long = "May I remove everything that was built so far and then build all of it again from the very beginning?";
    let world = asker(RuntimeKind::Tmux, &format!("ASK {long} | {}", rows.join(" | ")));
    for size in SIZES {
        let top = shown(&world, size, "> 1. The choice with the number 1");
        let screen = top.screen();
        assert!(screen.trim_end().ends_with("Esc back"), "{screen}");
        if size.0 == "40" {
            assert!(screen.contains("│> 1. The choice with the number 1 of  │\n│     eight of them"), "{screen}");
            top.press(&["PPage"]);
            let beginning = "│May I remove everything that was built│\n│so far and then build all of it again │";
            top.until("its beginning", |screen| screen.contains(beginning));
            top.press(&["NPage"]);
            top.until("its rows", |screen| screen.contains("> 1. The choice"));
            top.press(&["End"]);
            top.until("the last row", |screen| screen.contains("> 8. The choice"));
        } else {
            assert!(screen.contains("8. The choice with the number 8 of eight of them"), "{screen}");
            let lines = if size.0 == "80" { long.replace("again from", "again│\nfrom") } else { long.to_owned() };
            let lines: Vec<&str> = lines.split("│\n").collect();
            assert!(lines.iter().all(|line| screen.contains(&format!("│{line}"))), "{screen}");
        }
        top.press(&["Escape"]);
        top.until("the fleet", |screen| !screen.contains("a asks"));
        top.press(&["q"]);
        top.assert_given_back("[code 0]");
    }
    assert!(world.events("a", "agent.answered").is_empty());
}

#[test]
fn an_outcome_goes_by_itself_and_an_error_with_the_next_key() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.add("b", &["cat"]);
    world.peer(&["stop", "b"]);
    let (fails, wakes) = (Top::start(&world, "80", "24"), Top::start(&world, "80", "24"));
    fails.until_row("b", "stopped");
    fails.press(&["j"]);
    fails.until("b is chosen", |screen| screen.contains("\n> b"));
    fails.press(&["w"]);
    fails.until("the refusal", |screen| screen.contains("cannot wake b"));
    wakes.press(&["w"]);
    wakes.until("the outcome", |screen| screen.contains("a: fresh (first-wake)"));
    wakes.until("no outcome", |screen| !screen.contains("first-wake"));
    let screen = fails.screen();
    assert!(screen.contains("cannot wake b"), "an error stays, and it is older: {screen}");
    fails.press(&["k"]);
    fails.until("no error", |screen| !screen.contains("cannot wake b") && screen.contains("\n> a"));
}
