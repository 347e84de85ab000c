//! Keys in `peer top` do what the user saw that they would do: a paste is text, a question concerns the peers that it
//! names, and a text that was typed is not lost.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use crate::common::top::Top;
use crate::common::{Run, World, killed, wait_until};
use fs2::FileExt;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::pty::{Winsize, openpty};

/// Lines that are keys, each of which would do something.
const LINES: &str = "first line\nx\ny\nn\ny\nq\nlast line";

#[test]
fn a_paste_is_text_whatever_its_lines_are() {
    let world = World::new();
    world.demo("api", &[]);
    world.peer(&["wake", "api"]);
    let top = Top::start(&world, "140", "30");
    top.until_row("api", "awake");
    for (marked, said) in [(true, 1), (false, 2)] {
        top.press(&["s"]);
        top.until("the prompt", |screen| screen.contains("to api: _"));
        top.paste(LINES, marked);
        top.until("the whole text", |screen| screen.contains("\nlast line_"));
        assert!(world.said(&world.conversation("api")).len() < said, "nothing is sent before Enter");
        top.press(&["Enter"]);
        top.until("it is accepted", |screen| screen.contains("api: the message was accepted"));
        assert_eq!(world.said(&world.conversation("api")), vec![LINES; said]);
        top.until("api is ready for another", |screen| screen.contains(&format!("ack turns={said}")));
    }
    assert_eq!(world.session("api")["incarnation"], 1, "nothing of it was a key");
    top.press(&["q"]);
    top.assert_given_back("[code 0]");
}

#[test]
fn a_paste_where_no_text_is_typed_does_nothing() {
    let world = World::new();
    world.add("api", &["cat"]);
    let top = Top::start(&world, "140", "20");
    top.until_row("api", "never-started");
    top.paste("wake\nx\ny\nq", true);
    top.until("what to do", |screen| screen.contains("what was pasted is not a command"));
    // Into a question, too.
    top.press(&["x"]);
    top.until("the question", |screen| screen.contains("stop api, and refuse wakes? y/n"));
    top.paste("y", true);
    // A later key shows that the paste was read.
    top.press(&["n"]);
    top.until("no question", |screen| !screen.contains("y/n"));
    assert!(!world.has("api", "session") && !world.has("api", "stopped"));
}

#[test]
fn what_answers_a_question_came_after_it() {
    let world = World::new();
    world.add("api", &["cat"]);
    world.peer(&["wake", "api"]);
    let top = Top::start(&world, "140", "20");
    top.until_row("api", "awake");
    top.paste("xy", false);
    top.until("the question", |screen| screen.contains("stop api, and refuse wakes? y/n"));
    top.press(&["n"]);
    top.until("no question", |screen| !screen.contains("y/n"));
    assert!(world.has("api", "session") && !world.has("api", "stopped"));
}

#[test]
fn a_question_is_about_whom_it_names_wherever_the_choice_has_moved() {
    let world = World::new();
    for name in ["api", "docs"] {
        world.add(name, &["cat"]);
        world.peer(&["wake", name]);
    }
    let top = Top::start(&world, "140", "20");
    top.until_row("docs", "awake");
    top.press(&["/"]);
    top.press(&["-l", "awake"]);
    top.press(&["Enter"]);
    top.press(&["x"]);
    top.until("the question", |screen| screen.contains("stop api, and refuse wakes? y/n"));
    // It leaves the list, and the choice moves to docs.
    world.peer(&["stop", "api"]);
    top.until("docs is chosen", |screen| screen.contains("\n> docs"));
    assert!(top.screen().contains("stop api, and refuse wakes? y/n"));
    top.press(&["y"]);
    top.until("what happened", |screen| {
        screen.contains("api has ended meanwhile: nothing was done; stop api, and refuse wakes? y/n")
    });
    top.press(&["n"]);
    top.until("no question", |screen| !screen.contains("y/n"));
    assert!(world.has("docs", "session") && !world.has("docs", "stopped"));
    // A new start is another incarnation.
    world.peer(&["start", "api"]);
    world.peer(&["wake", "api"]);
    top.until_row("api", "awake");
    top.press(&["k"]);
    top.until("api is chosen", |screen| screen.contains("\n> api"));
    top.press(&["n"]);
    top.until("the question", |screen| screen.contains("start api fresh now, giving up what it is doing? y/n"));
    world.peer(&["new", "api"]);
    assert_eq!(world.session("api")["incarnation"], 3);
    top.press(&["y"]);
    top.until("what happened", |screen| screen.contains("api was started anew meanwhile: nothing was done"));
    top.press(&["y"]);
    top.until("it is meant all the same", |screen| screen.contains("api: fresh (asked-fresh)"));
    assert_eq!(world.session("api")["incarnation"], 4);
}

#[test]
fn a_message_goes_to_whom_it_was_begun_for() {
    let world = World::new();
    for name in ["api", "docs"] {
        world.demo(name, &[]);
        world.peer(&["wake", name]);
    }
    let top = Top::start(&world, "140", "20");
    top.until_row("docs", "awake");
    top.press(&["/"]);
    top.press(&["-l", "awake"]);
    top.press(&["Enter"]);
    top.press(&["s"]);
    top.until("the prompt", |screen| screen.contains("to api: _"));
    top.press(&["-l", "hello api"]);
    world.peer(&["stop", "api"]);
    top.until("docs is chosen", |screen| screen.contains("\n> docs"));
    top.press(&["Enter"]);
    let screen = top.until("why, and the text again", |screen| {
        screen.contains("api has ended meanwhile: nothing was done\nto api: hello api_")
    });
    assert!(world.said(&world.conversation("docs")).is_empty(), "{screen}");
    // The peer is stopped, so that fails, and the text stays.
    top.press(&["Enter"]);
    top.until("the refusal", |screen| screen.contains("hint: S lets it be woken   (s: the text again)"));
    world.peer(&["start", "api"]);
    top.press(&["Escape"]);
    top.until_row("api", "asleep");
    top.press(&["k"]);
    top.until("api is chosen", |screen| screen.contains("\n> api"));
    top.press(&["s"]);
    top.until("the text again", |screen| screen.contains("to api: hello api_"));
    // Put aside, and continued once more.
    top.press(&["Escape"]);
    top.until("no prompt", |screen| !screen.contains("to api:"));
    top.press(&["s"]);
    top.until("the text again", |screen| screen.contains("to api: hello api_"));
    top.press(&["Enter"]);
    top.until("it arrived", |screen| screen.contains("api: the message was accepted"));
    assert_eq!(world.said(&world.conversation("api")), ["hello api"]);
}

#[test]
fn what_is_typed_ahead_is_no_command_and_who_leaves_is_asked() {
    let world = World::new();
    world.add("api", &["cat"]);
    let top = Top::start(&world, "140", "20");
    top.until_row("api", "never-started");
    let lock = File::create(world.path("state/api.lock")).expect("create");
    lock.lock_exclusive().expect("nobody holds it");
    top.paste("wxyq", false);
    top.until_row("api", "waking");
    top.press(&["q"]);
    top.until("the question", |screen| screen.contains("leave, and give this up? api: waking y/n"));
    top.press(&["n"]);
    top.until("no question", |screen| !screen.contains("y/n"));
    drop(lock);
    top.until_row("api", "awake");
    assert!(!world.has("api", "stopped"));
    top.press(&["q"]);
    // The wake ends a moment after the agent is there; until then leaving asks for confirmation.
    let screen = top.until("the shell, or a question", |screen| screen.contains("[code ") || screen.contains("y/n"));
    if !screen.contains("[code ") {
        // Keys right after a key answer nothing, so wait as long as a user who has looked.
        std::thread::sleep(std::time::Duration::from_millis(500));
        top.press(&["y"]);
    }
    top.assert_given_back("[code 0]");
}

#[test]
fn a_terminal_that_cannot_be_drawn_on_is_refused() {
    let world = World::new();
    let refused = "error: top cannot draw on this terminal: its TERM is dumb or not set\nhint: peer list --watch prints what it shows\n";
    for term in ["TERM=dumb", "-uTERM"] {
        let mut script = Command::new("script");
        let line = format!("env {term} '{}' top 2>{}", env!("CARGO_BIN_EXE_peer"), world.path("said").display());
        let peer = world.command(&[]);
        script.args(["-qec", &line, "/dev/null"]).env_clear().env("TERM", "xterm");
        script.envs(peer.get_envs().filter_map(|(key, value)| Some((key, value?))));
        let run = Run::of(script.stdin(Stdio::null()), None);
        let said = std::fs::read_to_string(world.path("said")).expect("read");
        assert_eq!((run.code, said.as_str()), (2, refused), "{term}: {run:?}");
    }
}

/// A terminal that sends nothing by itself: this test is its other end.
fn pty() -> (File, OwnedFd) {
    let size = Winsize { ws_row: 20, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(&size, None).expect("a pty");
    // A test that waits for output looks at the clock too.
    fcntl(&pty.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("set");
    (File::from(pty.master), pty.slave)
}

#[test]
fn what_the_terminal_answers_late_is_nobodys_command() {
    let world = World::new();
    let (mut terminal, end) = pty();
    let line = format!("'{}' top; echo over; exec cat >{}", env!("CARGO_BIN_EXE_peer"), world.path("typed").display());
    let mut shell = Command::new("sh");
    let peer = world.command(&[]);
    shell.args(["-c", &line]).env_clear().envs(peer.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let end = || Stdio::from(end.try_clone().expect("a descriptor"));
    let mut shell = shell.env("TERM", "xterm").stdin(end()).stdout(end()).stderr(end()).spawn().expect("sh");
    let mut shown = String::new();
    let mut buffer = [0; 4096];
    let mut until = |terminal: &mut File, text: &str| {
        wait_until(&format!("{text:?} is shown"), || {
            let count = match terminal.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                read => read.expect("it shows something"),
            };
            shown += &String::from_utf8_lossy(&buffer[..count]);
            shown.contains(text)
        });
    };
    until(&mut terminal, "declared");
    terminal.write_all(b"q").expect("typed");
    // It queries the terminal's status, and only now the answer to its earlier query comes.
    until(&mut terminal, "\x1b[5n");
    terminal.write_all(b"\x1b[?1;2c").expect("answered");
    terminal.write_all(b"\x1b[0n").expect("answered");
    until(&mut terminal, "over");
    terminal.write_all(b"typed\n\x04").expect("typed");
    wait_until("the line is there", || std::fs::read_to_string(world.path("typed")).is_ok_and(|text| !text.is_empty()));
    assert_eq!(std::fs::read_to_string(world.path("typed")).expect("read"), "typed\n");
    drop(terminal);
    killed(&mut shell);
}
