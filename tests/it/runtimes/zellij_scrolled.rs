//! A pane of zellij that was scrolled back shows again what its program draws, whatever zellij makes of its rows.

use std::fs;

use crate::common::attached::Attached;
use crate::common::{World, wait_until};
use peer_adapters::runtime::RuntimeKind;

/// What Claude Code 2.1.332 draws in a pane of 200 columns, and then when that gets 80, with which zellij 0.45.1 loses
/// count of its rows while they are scrolled. Without colours.
const DRAWN: [(&str, &[u8]); 2] =
    [("wide", include_bytes!("scrolled/wide")), ("narrow", include_bytes!("scrolled/narrow"))];

/// A program that draws this, and says what is typed. The client is that of a terminal of 80 columns.
fn scrolled_back() -> (World, Attached) {
    let world = World::on(RuntimeKind::Zellij);
    for (name, bytes) in DRAWN {
        fs::write(world.path(name), bytes).expect("writable");
    }
    let script = format!(
        "cat '{}'; trap \"cat '{}'\" WINCH; while :; do if read -r line; then echo \"got $line\"; fi; done",
        world.path("wide").display(),
        world.path("narrow").display()
    );
    world.add("a", &["sh", "-c", &script]);
    world.peer(&["wake", "a"]);
    wait_until("it is drawn", || world.screen("a").contains("/effort"));
    let mut person = Attached::sized(&world, "a", (80, 24));
    wait_until("it is drawn again", || world.screen("a").contains("· ? for shortcuts · ← for agents"));
    person.types(b"\x02[");
    person.types(b"\x1b[5~");
    wait_until("it is scrolled back", || !world.screen("a").contains("/effort"));
    (world, person)
}

#[test]
fn esc_q_and_any_other_key_end_the_scrolling_of_a_pane_whose_rows_were_joined() {
    for (key, typed) in [("\x1b", "got hello"), ("q", "got hello"), ("w", "got whello")] {
        let (world, mut person) = scrolled_back();
        person.types(key.as_bytes());
        // Until zellij has told an Esc from the beginning of another key.
        wait_until("it is at its bottom", || world.screen("a").contains("/effort"));
        person.types(b"hello\r");
        wait_until(typed, || world.screen("a").contains(typed));
    }
}

#[test]
fn a_pane_that_its_client_left_scrolled_shows_what_is_new_once_it_is_laid_out_again() {
    let (world, person) = scrolled_back();
    let size = || peer_adapters::terminal::size(world.pane_process("a")).expect("a terminal");
    let before = size();
    person.close(&world, "a");
    world.press("a", &["hello", "Enter"]);
    assert!(!world.screen("a").contains("got hello"), "zellij 0.45.1 shows it: then nothing of this is needed");
    world.lay_out_again("a");
    world.press("a", &["again", "Enter"]);
    wait_until("it shows what is new", || world.screen("a").contains("got again"));
    assert_eq!(size(), before);
}
