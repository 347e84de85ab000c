//! `peer top` on terminals of every size: what it shows there, and what its keys and the mouse do.

use crate::common::top::Top;
use crate::common::{World, on_each_runtime, wait_until};
use peer_adapters::runtime::RuntimeKind;

/// An agent that draws for 80 columns, and waits.
const WIDE: &str = "printf '%078d|\\n' 7; exec cat";

#[test]
fn each_size_shows_what_there_is_room_for_and_the_way_out() {
    let world = World::new();
    world.add("api", &["sh", "-c", WIDE]);
    world.add("docs", &["cat"]);
    world.peer(&["wake", "api"]);
    let whole = format!("{:078}|", 7);
    for (width, height, keys) in [
        ("200", "50", "o order  Space mark  ? help  q quit"),
        ("80", "24", "? help  q quit"),
        ("40", "12", "w wake  a attach  s send  ? help  q quit"),
    ] {
        let top = Top::start(&world, width, height);
        let screen = top.until_row("api", "awake");
        assert!(screen.trim_end().ends_with(keys), "{screen}");
        if width != "40" {
            top.until("the whole line of the pane", |screen| screen.contains(&whole));
        }
        // The way out is also shown after an action.
        top.press(&["j"]);
        top.press(&["S"]);
        let screen = top.until("what it did", |screen| screen.contains("docs: was not stopped"));
        assert!(screen.trim_end().ends_with("? help  q quit"), "{screen}");
        // All of the help can be read, and how to come back from a pane.
        top.press(&["?"]);
        top.until("the keys", |screen| screen.contains("wake the chosen peer"));
        let mut screen = top.screen();
        while !screen.contains("C-b") {
            top.press(&["Down"]);
            screen = top.until("another line of it", |shown| shown != screen);
        }
        top.press(&["Escape"]);
        top.until("no help", |screen| !screen.contains("closes"));
        top.press(&["q"]);
        top.assert_given_back("[code 0]");
    }
}

#[test]
fn verbs_are_for_the_chosen_one_and_for_all_that_are_marked() {
    let world = World::new();
    for name in ["api", "docs", "zebra"] {
        world.add(name, &["cat"]);
        world.peer(&["wake", name]);
    }
    let top = Top::start(&world, "140", "30");
    top.until_row("zebra", "awake");
    top.press(&["Space"]);
    top.press(&["Space"]);
    top.until("marks", |screen| {
        screen.contains("\n *api") && screen.contains("\n *docs") && screen.contains("\n> zebra")
    });
    assert!(top.screen().starts_with("peer top  3 peers  3 awake  by name  2 marked\n"), "{}", top.screen());
    top.press(&["x"]);
    top.until("the question", |screen| screen.contains("stop 2 peers (api, docs), and refuse wakes? y/n"));
    top.press(&["y"]);
    top.until("both are", |screen| screen.contains("2 of 2 done"));
    assert!(world.has("api", "stopped") && world.has("docs", "stopped") && !world.has("zebra", "stopped"));
    // Without a question for one, with a question for several.
    top.press(&["S"]);
    top.until("the question", |screen| screen.contains("let 2 peers (api, docs) be woken again? y/n"));
    top.press(&["y"]);
    wait_until("both may be woken", || !world.has("api", "stopped") && !world.has("docs", "stopped"));
    top.until_row("docs", "asleep");
    top.press(&["u"]);
    top.until("no marks", |screen| !screen.contains("marked"));
    top.press(&["r"]);
    top.until("the question", |screen| {
        screen.contains("start zebra fresh at the next wake, giving up what was said? y/n")
    });
    top.press(&["y"]);
    top.until("it is marked", |screen| screen.contains("zebra: fresh at its next wake"));
    assert!(world.has("zebra", "fresh-next"));
    top.press(&["i"]);
    top.until("the interrupt", |screen| screen.contains("zebra: interrupted"));
    top.press(&["O"]);
    top.until("the order", |screen| screen.contains("by name reversed") && screen.contains("\n> zebra"));
    let names: Vec<String> = top.screen().lines().filter_map(|line| Some(line.get(2..7)?.trim().to_owned())).collect();
    assert_eq!(names[2..5], ["zebra", "docs", "api"], "{}", top.screen());
}

#[test]
fn the_mouse_chooses_orders_and_scrolls() {
    let world = World::new();
    for name in ["api", "docs", "zebra"] {
        world.add(name, &["sh", "-c", "seq -f 'line %g' 100; exec cat"]);
        world.peer(&["wake", name]);
    }
    let top = Top::start(&world, "140", "20");
    top.until_row("zebra", "awake");
    let at = |button: u8, column: u16, row: u16| format!("\x1b[<{button};{column};{row}M");
    top.press(&["-l", &at(0, 5, 4)]);
    top.until("docs is chosen", |screen| screen.contains("\n> docs"));
    top.press(&["-l", &at(65, 5, 4)]);
    top.until("zebra is chosen", |screen| screen.contains("\n> zebra"));
    top.press(&["-l", &at(0, 12, 2)]);
    top.until("another order", |screen| screen.contains("by state"));
    top.press(&["-l", &at(0, 3, 2)]);
    top.press(&["-l", &at(0, 3, 2)]);
    top.until("the other way round", |screen| screen.contains("by name reversed"));
    // Over the chosen peer's screen it opens that screen.
    top.press(&["-l", &at(64, 130, 10)]);
    top.until("its screen", |screen| screen.starts_with("zebra  screen  ") && screen.contains("of 100"));
    top.press(&["-l", &at(64, 130, 10)]);
    top.until("three lines up", |screen| screen.contains("80–97 of 100"));
    top.press(&["q"]);
    top.until("the fleet", |screen| screen.starts_with("peer top"));
}

fn a_screen_can_be_scrolled_and_searched(kind: RuntimeKind) {
    let world = World::on(kind);
    world.add("api", &["sh", "-c", "seq -f 'line %g' 300; exec cat"]);
    world.peer(&["wake", "api"]);
    for (width, height) in [("200", "50"), ("80", "24"), ("40", "12")] {
        let top = Top::start(&world, width, height);
        top.until_row("api", "awake");
        top.press(&["v"]);
        top.until("the end", |screen| screen.starts_with("api  screen  ") && screen.contains("\nline 300\n"));
        top.press(&["/"]);
        top.until("the search", |screen| screen.contains("search: _"));
        top.press(&["-l", "LINE 4"]);
        top.press(&["Enter"]);
        top.until("nothing of that", |screen| screen.contains("not found"));
        top.press(&["/"]);
        top.press(&["-l", "line 142"]);
        top.press(&["Enter"]);
        top.until("the line at the top", |screen| screen.lines().nth(1).is_some_and(|line| line == "line 142"));
        top.press(&["g"]);
        top.until("the beginning", |screen| screen.lines().nth(1).is_some_and(|line| line == "line 1"));
        top.press(&["Space"]);
        let second = format!("line {}", height.parse::<u32>().expect("a number") - 1);
        top.until("a page further", |screen| screen.lines().nth(1).is_some_and(|line| line == second));
        // The log of the same peer, and back.
        top.press(&["l"]);
        top.until("its log", |screen| screen.starts_with("api  log  ") && screen.contains("wake.decided"));
        top.press(&["q"]);
        top.until("the fleet", |screen| screen.starts_with("peer top"));
        top.press(&["q"]);
        top.assert_given_back("[code 0]");
    }
}

on_each_runtime! {
    a_screen_can_be_scrolled_and_searched
}
