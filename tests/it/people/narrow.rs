//! A common terminal, 80 columns wide: words stay whole, and an event is one line.

use std::time::Duration;

use super::list::ended;
use super::list_on_a_terminal::{pane, shows};
use crate::common::{World, wait_for};

/// What `peer` with these words shows on a terminal of this size once it has ended, without the code after it.
#[track_caller]
fn shown(world: &World, (width, height): (&str, &str), words: &str) -> String {
    let pane = pane(world, width, height, &["TERM=screen"], words);
    let screen =
        wait_for("the command to end", || Some(shows(world, &pane, &[])).filter(|screen| screen.contains("[code ")));
    screen.split("[code ").next().expect("a first part").to_owned()
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn no_word_is_broken() {
    let world = World::new();
    world.add("api", &["cat"]);
    world.peer(&["wake", "api"]);
    world.peer(&["stop", "api"]);
    for line in [
        "--help",
        "help states",
        "help exit-codes",
        "help causes",
        "help events",
        "show api",
        "rm --all",
        "edit nobody",
    ] {
        let piped = world.peer(&line.split_whitespace().collect::<Vec<_>>());
        let piped = words(&(piped.stdout + &piped.stderr));
        for size in [("80", "200"), ("60", "200")] {
            let screen = shown(&world, size, &format!("{line} </dev/null"));
            // A path may be wider than the terminal.
            let told =
                |words: Vec<String>| -> Vec<String> { words.into_iter().filter(|word| word.len() < 40).collect() };
            let missing: Vec<String> =
                told(piped.clone()).into_iter().filter(|word| !words(&screen).contains(word)).collect();
            assert!(missing.is_empty(), "{line} {size:?}: {missing:?} in\n{screen}");
        }
    }
}

#[test]
fn why_ends_with_the_decision_where_its_first_line_has_scrolled_away() {
    let world = World::new();
    world.add("api", &["cat"]);
    let says = "api: a wake would start fresh (first-wake)";
    let screen = shown(&world, ("80", "24"), "why api");
    assert_eq!(screen.trim_end().lines().last(), Some(says), "{screen}");
    let whole = shown(&world, ("80", "60"), "why api");
    assert_eq!(whole.lines().filter(|line| *line == says).count(), 1, "{whole}");
    let piped = world.peer(&["why", "api"]).stdout;
    let broken: Vec<String> = words(&whole).into_iter().filter(|word| !words(&piped).contains(word)).collect();
    assert!(broken.is_empty(), "{broken:?} in\n{whole}");
}

#[test]
fn an_event_of_the_log_is_one_line() {
    let world = World::new();
    ended(&world, "api", &["sh", "-c", "exit 3"], Duration::from_secs(60));
    world.add("web", &["cat"]);
    let events = world.log().len();
    let screen = shown(&world, ("80", "200"), "log");
    let lines: Vec<&str> = screen.lines().filter(|line| !line.trim().is_empty()).collect();
    assert_eq!(lines.len(), events, "{screen}");
    assert!(lines.iter().any(|line| line.contains("  api  session.ended ") && line.contains("  crashed ")), "{screen}");
    // Where the reader is a program, all of it.
    assert!(world.peer(&["log"]).stdout.lines().all(|line| line.starts_with("20")));
}
