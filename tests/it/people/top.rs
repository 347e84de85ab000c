//! `peer top`, driven by keys in a real tmux pane.

use std::os::unix::fs::PermissionsExt;

use crate::common;
use crate::common::top::Top;
use crate::common::{World, lives, signal, wait_for, wait_until};
use nix::sys::signal::Signal;

#[test]
fn keys_wake_send_and_stop() {
    let world = World::new();
    world.demo("api", &[]);
    world.add("docs", &["cat"]);
    world.add("zebra", &["cat"]);
    let top = Top::start(&world, "140", "30");
    let screen = top.until_row("zebra", "never-started");
    assert!(screen.starts_with("peer top  3 peers  3 never-started  by name\n"), "{screen}");
    assert!(screen.contains("w wake  x stop  n new  a attach  s send"), "{screen}");
    assert!(Top::row(&screen, "api").expect("a row").starts_with("> api "), "{screen}");
    // Wake: its screen appears on the right.
    top.press(&["w"]);
    top.until_row("api", "awake");
    top.until("what it did", |screen| screen.contains("api: fresh (first-wake)"));
    let screen = top.until("a start and its memory", |screen| {
        Top::row(screen, "api").is_some_and(|row| row.contains("······") && row.contains("▁▁▁▁▁▁▁▁▁▁▁█"))
    });
    assert!(screen.contains("│ api awake "), "{screen}");
    // Send: the text is typed, accepted, and answered on the screen to the right.
    top.press(&["s"]);
    top.until("the prompt", |screen| screen.contains("to api: _"));
    top.press(&["-l", "hello there"]);
    top.press(&["Enter"]);
    top.until("the answer", |screen| screen.contains("ack turns=1: hello there"));
    assert_eq!(world.said(&world.conversation("api")), ["hello there"]);
    // Stop asks first; any key but y means no.
    top.press(&["x"]);
    top.until("the question", |screen| screen.contains("stop api, and refuse wakes? y/n"));
    top.press(&["n"]);
    top.until("the keys again", |screen| screen.contains("w wake"));
    assert!(world.has("api", "session"));
    top.press(&["x"]);
    top.until("the question", |screen| screen.contains("y/n"));
    top.press(&["y"]);
    top.until_row("api", "stopped");
    // A refusal is shown with its hint.
    top.press(&["w"]);
    top.until("the refusal", |screen| {
        screen.contains("cannot wake api: it was stopped with `peer stop`   hint: S lets it be woken")
    });
    top.press(&["q"]);
    top.assert_given_back("[code 0]");
}

#[test]
fn keys_choose_filter_sort_and_quit() {
    let world = World::new();
    world.demo("api", &[]);
    world.add("docs", &["cat"]);
    world.add("zebra", &["cat"]);
    let top = Top::start(&world, "140", "30");
    top.until_row("zebra", "never-started");
    top.press(&["j"]);
    top.until("docs is chosen", |screen| screen.contains("\n> docs"));
    top.press(&["/"]);
    top.press(&["-l", "zeb"]);
    top.until("only zebra", |screen| screen.contains("\n> zebra") && !screen.contains("  docs "));
    top.press(&["Escape"]);
    top.until_row("docs", "never-started");
    top.press(&["o"]);
    top.until("the order", |screen| screen.starts_with("peer top  3 peers  3 never-started  by state"));
    top.press(&["?"]);
    top.until("help", |screen| {
        screen.contains("any key closes this") && screen.contains("attach to it, waking it first")
    });
    top.press(&["?"]);
    top.until("no help", |screen| !screen.contains("any key closes this"));
    top.press(&["q"]);
    top.assert_given_back("[code 0]");
}

#[test]
fn the_chosen_pane_keeps_its_colours_except_for_who_wants_none() {
    let world = World::new();
    let draws = r"printf '\033[1;32mgreen\033[0m \033[38;5;208morange\033[0m\n'; exec cat";
    world.add("api", &["sh", "-c", draws]);
    world.peer(&["wake", "api"]);
    let shown = |env: &str| {
        let top = Top::start_with(&world, "130", "16", env);
        top.until("the pane", |screen| screen.contains("green orange"));
        let drawn = top.tmux(&["capture-pane", "-p", "-e", "-t", &top.pane]);
        top.press(&["q"]);
        top.assert_given_back("[code 0]");
        drawn.lines().find(|line| line.contains("green")).expect("it was there").to_owned()
    };
    let coloured = shown("-u NO_COLOR");
    assert!(coloured.contains("\x1b[1m\x1b[38;5;2mgreen") && coloured.contains("\x1b[38;5;208morange"), "{coloured:?}");
    let plain = shown("NO_COLOR=1");
    assert!(plain.contains("green orange"), "{plain:?}");
}

#[test]
fn a_look_is_one_listing_whatever_the_fleet() {
    let world = World::new();
    // A program in front of the real tmux, which records its arguments.
    let (stand_in, log) = (world.path("tmux-told"), world.path("told"));
    let script = format!("#!/bin/sh\necho \"$*\" >>{}\nexec tmux \"$@\"\n", log.display());
    std::fs::write(&stand_in, script).expect("write");
    std::fs::set_permissions(&stand_in, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let config = std::fs::read_to_string(world.path("config/config.toml")).expect("read");
    let told = config.replacen("[tmux]\n", &format!("[tmux]\nbinary = {}\n", common::quoted(&stand_in)), 1);
    std::fs::write(world.path("config/config.toml"), told).expect("write");
    for name in ["a", "b", "c", "d"] {
        world.add(name, &["cat"]);
        assert_eq!(world.peer(&["wake", name]).code, 0);
    }
    std::fs::remove_file(&log).expect("the wakes were told");
    let asked = || std::fs::read_to_string(&log).unwrap_or_default();
    let listings = || asked().matches("list-panes").count();
    let top = Top::start(&world, "130", "16");
    wait_until("some looks", || listings() >= 6);
    top.press(&["q"]);
    top.assert_given_back("[code 0]");
    // Each refresh is a listing and the chosen peer's screen; choosing the first peer is one more screen.
    let captures = asked().lines().filter(|line| line.contains("capture-pane")).count();
    assert_eq!(asked().lines().count(), listings() + captures, "{}", asked());
    assert!(captures.abs_diff(listings()) <= 1, "{}", asked());
}

#[test]
fn attach_lends_the_terminal_and_takes_it_back() {
    let world = World::new();
    world.add("api", &["sh", "-c", "echo here I am; exec cat"]);
    let top = Top::start(&world, "120", "20");
    top.press(&["w"]);
    top.until_row("api", "awake");
    top.press(&["a"]);
    // The pane takes the whole width, and the fleet is not on the screen any more.
    top.until("the pane", |screen| screen.starts_with("here I am") && !screen.contains("peer top"));
    let clients = || world.tmux(&["list-clients", "-F", "#{session_name}"]);
    assert_eq!(clients().lines().count(), 1, "{}", clients());
    world.tmux(&["detach-client", "-s", &format!("={}", world.session("api")["session"].as_str().expect("a name"))]);
    top.until("the view again", |screen| screen.contains("back from api") && screen.contains("peer top  1 peer  "));
    top.press(&["q"]);
    top.assert_given_back("[code 0]");
}

#[test]
fn a_narrow_terminal_shows_the_fleet_alone_and_a_resize_brings_the_rest() {
    let world = World::new();
    world.add("api", &["cat"]);
    let top = Top::start(&world, "70", "10");
    let screen = top.until_row("api", "never-started");
    assert!(!screen.contains('│'), "{screen}");
    top.tmux(&["resize-window", "-t", &top.pane, "-x", "120", "-y", "12"]);
    top.until("the story", |screen| screen.contains("│ api never-started"));
}

#[test]
fn a_signal_gives_the_terminal_back() {
    let world = World::new();
    let top = Top::start(&world, "140", "12");
    top.until("a hint", |screen| screen.contains("no peer is declared: peer add NAME -- COMMAND"));
    let pid = top.pid();
    signal(pid, Signal::SIGTERM);
    wait_until("it ends", || !lives(pid));
    top.assert_given_back("[code 0]");
}

#[test]
fn without_a_terminal_it_says_what_to_use() {
    let world = World::new();
    world.peer(&["top"]).fails(2, "error: top needs a terminal\nhint: peer list --watch prints what it shows\n");
}

/// Not a test: what the next test runs in a pane.
#[test]
#[ignore = "run in a terminal by a_panic_gives_the_terminal_back"]
fn panics_in_full_screen() {
    let _held = peer::testing::FullScreen::enter().expect("a terminal");
    panic!("on purpose");
}

#[test]
fn a_panic_gives_the_terminal_back() {
    let world = World::new();
    let own = std::env::current_exe().expect("this test");
    let script = format!(
        "echo before; {} --ignored --exact people::top::panics_in_full_screen --nocapture; echo \"[code $?]\"; \
         stty -a | grep -o -e ' echo ' -e ' icanon '; exec cat",
        own.display()
    );
    let argv = ["-f/dev/null", "new-session", "-dP", "-F#{pane_id}", "-x", "160", "-y", "70", "sh", "-c", &script];
    let pane = world.tmux_on(&world.path("s-look"), &argv).trim().to_owned();
    let top = Top::on(&world, pane);
    let screen = wait_for("the panic", || Some(top.screen()).filter(|screen| screen.contains("[code ")));
    assert!(screen.contains("on purpose"), "told on the shell's own screen: {screen}");
    top.assert_given_back("[code 101]");
}
