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

#[test]
fn a_list_keeps_the_cause_of_an_end_and_drops_what_says_nothing() {
    let world = World::new();
    for name in ["api-of-the-shop", "docs", "web-frontend"] {
        ended(&world, name, &["sh", "-c", "exit 3"], Duration::from_secs(60));
    }
    let screen = shown(&world, ("80", "24"), "list");
    let titles: Vec<&str> = screen.lines().next().expect("a heading").split_whitespace().collect();
    assert!(titles.contains(&"LAST-END") && !titles.contains(&"IDLE"), "{screen}");
    assert!(screen.lines().filter(|line| line.contains(" crashed 1m ago ")).count() == 3, "{screen}");
}

#[test]
fn a_manual_page_is_shown_on_a_terminal() {
    let world = World::new();
    let man = pane(&world, "80", "400", &["TERM=screen", "MANPAGER=cat"], "man");
    let screen = wait_for("the page", || Some(shows(&world, &man, &[])).filter(|screen| screen.contains("[code 0]")));
    assert!(screen.contains("PEER(1)") && !screen.contains(".TH "), "{screen}");
    assert!(world.peer(&["man"]).stdout.contains(".TH PEER 1 "), "a pipe gets the source");
}

#[test]
fn a_log_on_a_terminal_is_by_the_clock_of_here() {
    let world = World::new();
    world.add("api", &["cat"]);
    let at = world.log()[0]["ts"].as_str().expect("a time")[11..16].to_owned();
    let hour = (at[..2].parse::<u32>().expect("an hour") + 3) % 24;
    let zone = pane(&world, "80", "24", &["TERM=screen", "TZ=XYZ-3"], "log");
    let screen = wait_for("the log", || Some(shows(&world, &zone, &[])).filter(|screen| screen.contains("[code 0]")));
    assert!(screen.contains(&format!(" {hour:02}:{}:", &at[3..])), "{at}: {screen}");
    let utc = pane(&world, "80", "24", &["TERM=screen", "TZ=XYZ-3"], "log --utc");
    let screen = wait_for("the log", || Some(shows(&world, &utc, &[])).filter(|screen| screen.contains("[code 0]")));
    assert!(screen.contains(&format!(" {at}:")) || screen.contains(&format!("T{at}:")), "{at}: {screen}");
}
