//! The screen is read correctly after any history of sizes, splits, scrolling and terminals that came and went. A
//! message is accepted, or refused because an attached terminal is too small, and accepted once that is gone.

use std::collections::VecDeque;

on_each_runtime! {
    a_message_is_taken_at_any_size_or_refused_for_it
    a_terminal_that_comes_while_a_message_is_typed_costs_none
    what_a_person_scrolled_to_hides_nothing
    a_split_hides_nothing
    a_peer_is_born_with_room_beside_a_tiny_terminal
    history_is_read_in_rows_whatever_the_width
}

use crate::common::attached::Attached;
use crate::common::{Run, World, on_each_runtime, wait_until};
use peer_adapters::runtime::{Capture, RuntimeKind};
use peer_adapters::terminal;

/// Columns and rows of terminals: a corner of a screen, a telephone, an old terminal, a laptop, a large screen.
const SIZES: [(u16, u16); 7] = [(20, 6), (45, 12), (60, 24), (80, 24), (120, 35), (200, 50), (250, 70)];

/// The size that every agent supports.
const ROOMY: (u16, u16) = (80, 24);

/// A peer, and the messages that it got.
struct Told<'a> {
    world: &'a World,
    said: Vec<String>,
    /// Left in its composer by a sender that could not see it there; it is sent before the next one.
    left: VecDeque<String>,
}

impl<'a> Told<'a> {
    fn woken(world: &'a World) -> Self {
        world.demo_with_history("a");
        let told = Self { world, said: vec!["hello".to_owned()], left: VecDeque::new() };
        let run = world.peer(&["wake", "a", "-m", "hello"]);
        assert_eq!(run.code, 0, "{run:?}");
        told
    }

    /// Sends a message that must be accepted.
    #[track_caller]
    fn takes(&mut self, text: &str) {
        let run = self.world.peer(&["send", "a", text]);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{text}: {run:?}\n{}", self.world.screen("a"));
        self.note(text);
    }

    /// Sends a message that may be refused if the attached terminal is as small as `size`.
    #[track_caller]
    fn takes_or_refuses(&mut self, text: &str, size: (u16, u16)) {
        let run = self.world.peer(&["send", "a", text]);
        self.judge(&run, text, size);
    }

    #[track_caller]
    fn judge(&mut self, run: &Run, text: &str, size: (u16, u16)) {
        if run.code == 0 {
            return self.note(text);
        }
        let small = size.0 < ROOMY.0 || size.1 < ROOMY.1;
        let columns = format!("has {} columns and ", size.0);
        assert!(small && run.code == 7 && run.stderr.contains(&columns), "{text} at {size:?}: {run:?}");
        if !run.stderr.contains("was not typed") && run.stderr.contains("is in its composer") {
            self.left.push_back(text.to_owned());
        }
    }

    fn note(&mut self, text: &str) {
        self.said.extend(self.left.drain(..));
        self.said.push(text.to_owned());
    }

    /// Asserts that every message arrived once and in order, and is on the screen.
    #[track_caller]
    fn all_was_said(&self) {
        let world = self.world;
        assert_eq!(world.said(&world.conversation("a")), self.said);
        let last = format!("ack turns={}:", self.said.len());
        wait_until("its answer shows", || world.peer(&["screen", "a"]).stdout.contains(&last));
    }
}

/// On tmux, where it is easy to make: the refusal does not depend on the runtime.
#[test]
fn a_pane_that_is_small_beside_others_is_refused_for_that() {
    let world = World::on(RuntimeKind::Tmux);
    let told = Told::woken(&world);
    for _ in 0..4 {
        let before = size(&world, "a").0;
        split_beside(&world, "a");
        wait_until("it shares the width", || size(&world, "a").0 < before);
    }
    let run = world.peer(&["send", "a", "no room"]);
    let (columns, rows) = size(&world, "a");
    assert_eq!((run.code, columns < 40), (7, true), "{run:?}");
    assert_eq!(
        run.stderr,
        format!(
            "error: the message to a was not typed: its pane has {columns} columns and {rows} rows\nhint: peer attach a and \
             close the panes beside it; then send it again\n"
        )
    );
    assert_eq!(world.said(&world.conversation("a")), told.said);
}

/// The size of a peer's pane, from the kernel.
fn size(world: &World, name: &str) -> (u16, u16) {
    let size = terminal::size(world.agent(name)).expect("a terminal");
    (size.columns, size.rows)
}

fn a_message_is_taken_at_any_size_or_refused_for_it(on: RuntimeKind) {
    let world = World::on(on);
    let mut told = Told::woken(&world);
    for at in SIZES {
        let person = Attached::sized(&world, "a", at);
        wait_until("the pane has its width", || size(&world, "a").0 == at.0);
        told.takes_or_refuses(&format!("while at {at:?}"), at);
        person.close(&world, "a");
        told.takes(&format!("after {at:?}"));
    }
    told.all_was_said();
}

fn a_terminal_that_comes_while_a_message_is_typed_costs_none(on: RuntimeKind) {
    let world = World::on(on);
    let mut told = Told::woken(&world);
    for at in SIZES {
        let text = format!("during {at:?}");
        let (run, person) = std::thread::scope(|scope| {
            let sending = scope.spawn(|| world.peer(&["send", "a", &text]));
            let person = Attached::sized(&world, "a", at);
            (sending.join().expect("it ends"), person)
        });
        told.judge(&run, &text, at);
        person.close(&world, "a");
        told.takes(&format!("after {at:?}"));
    }
    told.all_was_said();
}

fn what_a_person_scrolled_to_hides_nothing(on: RuntimeKind) {
    let world = World::on(on);
    let mut told = Told::woken(&world);
    for (turn, at) in [(200, 50), (120, 35), (80, 24), (60, 24)].into_iter().enumerate() {
        let mut person = Attached::sized(&world, "a", at);
        wait_until("the pane has its width", || size(&world, "a").0 == at.0);
        person.scroll_up(20);
        told.takes_or_refuses(&format!("while scrolled at {at:?}"), at);
        person.scroll_up(20);
        person.close(&world, "a");
        // In every other turn the screen is read before anything is sent.
        if turn % 2 == 0 {
            let screen = world.peer(&["screen", "a"]).stdout;
            assert!(screen.contains(&format!("ack turns={}:", told.said.len())), "{screen}");
        }
        told.takes(&format!("after scrolling at {at:?}"));
    }
    told.all_was_said();
}

/// Splits a peer's pane, as an attached user would.
#[track_caller]
fn split_beside(world: &World, name: &str) {
    let place = world.place(name);
    match world.kind() {
        RuntimeKind::Tmux => {
            assert_eq!(world.tmux(&["split-window", "-h", "-t", &place.pane, "sleep 1000"]), "");
        }
        RuntimeKind::Zellij => {
            let action = ["--session", &place.session, "action", "new-pane", "--direction", "right", "--"];
            world.zellij(&place, &[&action[..], &["sleep", "1000"]].concat());
        }
    }
}

fn a_split_hides_nothing(on: RuntimeKind) {
    let world = World::on(on);
    let mut told = Told::woken(&world);
    let mut split = false;
    for at in [(200, 50), (120, 35), (90, 30), (250, 70)] {
        let person = Attached::sized(&world, "a", at);
        if !split {
            wait_until("the pane has its width", || size(&world, "a").0 == at.0);
            split_beside(&world, "a");
            split = true;
        }
        wait_until("it shares the width", || (at.0 / 2 - 1..=at.0 / 2).contains(&size(&world, "a").0));
        told.takes_or_refuses(&format!("beside a split of {at:?}"), size(&world, "a"));
        person.close(&world, "a");
        told.takes(&format!("after a split of {at:?}"));
    }
    told.all_was_said();
}

fn a_peer_is_born_with_room_beside_a_tiny_terminal(on: RuntimeKind) {
    let world = World::on(on);
    let mut told = Told::woken(&world);
    let person = Attached::sized(&world, "a", (8, 2));
    wait_until("the pane has its width", || size(&world, "a").0 == 8);
    let run = world.peer(&["send", "a", "too small"]);
    assert_eq!((run.code, run.stdout.as_str()), (7, ""), "{run:?}");
    let rows = size(&world, "a").1;
    let status = world.peer(&["status", "a"]).stdout;
    assert!(status.contains(&format!("1 client attached, only 8 columns and {rows} rows\n")), "{status}");
    assert_eq!(
        run.stderr,
        format!(
            "error: the message to a was not typed: its pane has 8 columns and {rows} rows, the size of the \
             terminal that is attached\nhint: make that terminal 80 columns and 24 rows or larger, or detach it; \
             then send it again\n"
        )
    );
    world.demo("b", &[]);
    world.peer(&["wake", "b", "-m", "hello"]).prints("b: woken fresh (first-wake); message delivered\n");
    assert_eq!(size(&world, "b"), (200, 50));
    person.close(&world, "a");
    told.takes("with room");
    assert!(size(&world, "a").0 >= ROOMY.0, "{:?}", size(&world, "a"));
    told.all_was_said();
}

fn history_is_read_in_rows_whatever_the_width(on: RuntimeKind) {
    let world = World::on(on);
    let script = "i=0; while [ $((i+=1)) -le 100 ]; do printf '%060d|%d\\n' 0 $i; done; echo end; exec sleep 1000";
    world.add("a", &["/bin/sh", "-c", script]);
    world.peer(&["wake", "a"]);
    world.await_screen("a", "end");
    let person = Attached::sized(&world, "a", (50, 20));
    wait_until("the pane has its width", || size(&world, "a").0 == 50);
    person.close(&world, "a");
    let place = world.place("a");
    let text = world.captured(&place, Capture { history: 9999, ansi: false });
    let numbers: Vec<&str> = text.lines().filter_map(|row| row.split_once('|').map(|(_, number)| number)).collect();
    let expected: Vec<String> = (1..=100).map(|number| number.to_string()).collect();
    assert_eq!(numbers, expected, "{text}");
    assert!(text.lines().all(|row| row.chars().count() <= 50), "{text}");
    assert_eq!(text.lines().next(), Some("0".repeat(50).as_str()));
    let some = world.captured(&place, Capture { history: 7, ansi: false });
    let visible = world.captured(&place, Capture::default());
    assert_eq!(some.lines().count(), visible.lines().count() + 7, "{some}");
    assert!(some.ends_with(&visible) && text.ends_with(&some));
}
