//! `peer attach` as a user meets it: the terminal is attached to any agent at once, and the user can leave it.

use std::time::{Duration, Instant};

use crate::common::attached::Attached;
use crate::common::{PATIENCE, World, on_each_runtime, wait_until};
use peer_adapters::runtime::RuntimeKind;

on_each_runtime! {
    one_that_waits_for_an_answer_is_attached_to_at_once
    how_to_leave_is_said_before_the_switch
    one_that_asks_while_it_comes_up_is_there_to_be_answered
    one_with_nothing_to_lose_is_started
    one_whose_conversation_is_unknown_is_not_started_fresh
    the_one_that_waits_is_found
    looking_only_types_nothing
    typing_reaches_the_agent_after_scrolling_back
    the_prefix_twice_reaches_the_agent
    how_to_leave_fits_into_one_row_whatever_the_name
    how_to_leave_is_shown_while_the_terminal_is_attached
    a_window_of_the_persons_own_tmux_shows_it
}

/// The user's own terminal, 80x24: a separate tmux that shows one command and stays when that ends.
struct Terminal<'a>(&'a World);

impl<'a> Terminal<'a> {
    #[track_caller]
    fn running(world: &'a World, words: &[&str]) -> Self {
        let person = world.path("s-person");
        let of_peer = world.command(&[]);
        let mut argv = vec!["-f".to_owned(), "/dev/null".to_owned(), "new-session".to_owned()];
        argv.extend(["-d", "-x", "80", "-y", "24", "env", "-u", "TMUX", "-u", "TMUX_PANE"].map(str::to_owned));
        let pairs = of_peer.get_envs().filter_map(|(key, value)| Some((key.to_str()?, value?.to_str()?)));
        argv.extend(
            pairs.filter(|(key, _)| !matches!(*key, "TERM" | "TMUX")).map(|(key, value)| format!("{key}={value}")),
        );
        let line = format!(
            "while [ -e '{}' ]; do sleep 0.01; done; '{}' {}; echo \"left with $?\"; exec cat",
            world.path("hold").display(),
            env!("CARGO_BIN_EXE_peer"),
            words.join(" ")
        );
        argv.extend(["sh", "-c", &line].map(str::to_owned));
        let argv: Vec<&str> = argv.iter().map(String::as_str).collect();
        assert_eq!(world.tmux_on(&person, &argv), "");
        Self(world)
    }

    fn shows(&self) -> String {
        self.0.tmux_on(&self.0.path("s-person"), &["capture-pane", "-p", "-J"])
    }

    #[track_caller]
    fn awaits(&self, text: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.shows().contains(text) {
            assert!(Instant::now() < end, "the person does not see {text:?}, but:\n{}", self.shows());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn presses(&self, keys: &[&str]) {
        for key in keys {
            self.0.tmux_on(&self.0.path("s-person"), &["send-keys", key]);
        }
    }

    fn types(&self, text: &str) {
        self.0.tmux_on(&self.0.path("s-person"), &["send-keys", "-l", text]);
    }

    /// Leaves, with the keys pressed again if necessary: keys that arrive within a millisecond count as pasted in tmux
    /// (`assume-paste-time`), and a loaded machine brings them together.
    #[track_caller]
    fn leaves(&self) {
        let end = Instant::now() + PATIENCE;
        while !self.shows().contains("left with 0") {
            assert!(Instant::now() < end, "the person cannot leave:\n{}", self.shows());
            self.presses(&["C-b", "d"]);
            let again = Instant::now() + Duration::from_secs(3);
            while Instant::now() < again && !self.shows().contains("left with 0") {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let person = self.0.path("s-person");
        let server = self.0.tmux_on(&person, &["display-message", "-p", "#{pid}"]);
        self.0.tmux_on(&person, &["kill-server"]);
        // The next terminal has the same socket, and a client may reach a server that is about to exit.
        if let Ok(server) = server.trim().parse() {
            wait_until("the person's server has ended", || !crate::common::lives(server));
        }
    }
}

const ASKER: &str = "description = \"asks\"\n[ready]\nscreen = ['^ready$']\n[[dialog]]\nid = \"permission\"\n\
    screen = '^(May I [^\\n]*\\?)$'\nneeds_person = true\n";

fn asker(on: RuntimeKind, name: &str, first: &str) -> World {
    let world = World::on(on);
    world.profile("asker", ASKER);
    let script = format!("echo '{first}'; while read -r line; do echo \"got $line\"; done");
    world.declare(name, &["--agent", "asker"], &["sh", "-c", &script]);
    world
}

fn one_that_waits_for_an_answer_is_attached_to_at_once(on: RuntimeKind) {
    let world = asker(on, "a", "May I go on?");
    let woken = world.peer(&["wake", "a"]);
    assert!(woken.code == 5 && woken.stderr.contains("hint: peer attach a and answer it"), "{woken:?}");
    let terminal = Terminal::running(&world, &["attach", "a"]);
    terminal.awaits("May I go on?");
    terminal.types("yes");
    terminal.presses(&["Enter"]);
    terminal.awaits("got yes");
    terminal.leaves();
}

fn how_to_leave_is_said_before_the_switch(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["sh", "-c", "echo ready; exec cat"]);
    world.peer(&["wake", "a"]);
    let terminal = Terminal::running(&world, &["attach", "a"]);
    // zellij wipes it, so it is shown for a while until the user has left once.
    if on == RuntimeKind::Zellij {
        terminal.awaits("note: a: leave with C-b d; the agent goes on");
    }
    terminal.awaits("ready");
    terminal.leaves();
    if on == RuntimeKind::Tmux {
        terminal.awaits("note: a: leave with C-b d; the agent goes on");
    }
    let known = std::fs::read_to_string(world.path("state/hints.json")).expect("noted");
    assert_eq!(known, format!("{{\"left\":[\"{}\"]}}", on.as_str()));
}

fn one_that_asks_while_it_comes_up_is_there_to_be_answered(on: RuntimeKind) {
    let world = asker(on, "a", "May I go on?");
    let terminal = Terminal::running(&world, &["attach", "a"]);
    terminal.awaits("May I go on?");
    terminal.leaves();
    assert_eq!(world.session("a")["incarnation"], 1);
}

fn one_with_nothing_to_lose_is_started(on: RuntimeKind) {
    let world = World::on(on);
    world.add("plain", &["sh", "-c", "echo 'here I am'; exec cat"]);
    for incarnation in [1, 2] {
        let terminal = Terminal::running(&world, &["attach", "plain"]);
        terminal.awaits("here I am");
        terminal.leaves();
        assert_eq!(world.session("plain")["incarnation"], incarnation);
        drop(terminal);
        world.peer(&["stop", "plain"]);
        world.peer(&["start", "plain"]);
    }
}

fn one_whose_conversation_is_unknown_is_not_started_fresh(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    world.peer(&["new", "a"]);
    world.peer(&["stop", "a"]);
    world.peer(&["start", "a"]);
    // Nothing was said in its last conversation, and an older one is known.
    let terminal = Terminal::running(&world, &["attach", "a"]);
    terminal.awaits("left with 4");
    terminal.awaits("there is no conversation to resume");
    assert!(world.session("a").is_null());
}

fn the_one_that_waits_is_found(on: RuntimeKind) {
    let world = asker(on, "asks", "May I go on?");
    world.add("calm", &["cat"]);
    world.peer(&["wake", "calm"]);
    let terminal = Terminal::running(&world, &["attach", "--waiting"]);
    terminal.awaits("no peer is waiting for an answer");
    terminal.awaits("left with 1");
    drop(terminal);
    world.peer(&["wake", "asks"]);
    let terminal = Terminal::running(&world, &["attach", "--waiting"]);
    terminal.awaits("May I go on?");
    terminal.leaves();
}

fn looking_only_types_nothing(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["sh", "-c", "echo ready; exec cat"]);
    world.peer(&["wake", "a"]);
    if on == RuntimeKind::Zellij {
        let alone = Terminal::running(&world, &["attach", "-r", "a"]);
        alone.awaits("zellij shows nothing to a read-only");
        alone.awaits("peer top");
    }
    let _other = (on == RuntimeKind::Zellij).then(|| Attached::to(&world, "a"));
    let terminal = Terminal::running(&world, &["attach", "-r", "a"]);
    terminal.awaits("ready");
    terminal.types("hello");
    terminal.presses(&["Enter"]);
    match on {
        RuntimeKind::Tmux => terminal.leaves(),
        RuntimeKind::Zellij => {
            terminal.presses(&["C-c"]);
            terminal.awaits("left with 0");
        }
    }
    assert!(!world.screen("a").contains("hello"), "{}", world.screen("a"));
}

/// One step of the wheel up, as a terminal reports it.
const WHEEL_UP: &str = "\x1b[<64;2;2M";

fn typing_reaches_the_agent_after_scrolling_back(on: RuntimeKind) {
    let world = World::on(on);
    world.demo_with_history("a");
    world.peer(&["wake", "a"]);
    let terminal = Terminal::running(&world, &["attach", "a"]);
    terminal.awaits("─────");
    match on {
        // The user leaves tmux's copy mode by its own key, as everywhere in tmux.
        RuntimeKind::Tmux => {
            terminal.presses(&["C-b", "PageUp"]);
            terminal.awaits("line 18");
            terminal.presses(&["q"]);
        }
        RuntimeKind::Zellij => {
            for _ in 0..5 {
                terminal.types(WHEEL_UP);
            }
            terminal.awaits("line 18");
        }
    }
    terminal.types("e\"\\ 7");
    wait_until("the agent has it", || world.screen("a").contains("> e\"\\ 7"));
    terminal.leaves();
    world.peer(&["send", "a", "hello"]);
}

fn the_prefix_twice_reaches_the_agent(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["sh", "-c", "stty raw -echo; echo ready; exec cat -v"]);
    world.peer(&["wake", "a"]);
    let terminal = Terminal::running(&world, &["attach", "a"]);
    terminal.awaits("ready");
    terminal.presses(&["C-b", "C-b", "C-g"]);
    terminal.awaits("^B^G");
    terminal.leaves();
}

fn how_to_leave_fits_into_one_row_whatever_the_name(on: RuntimeKind) {
    let world = World::on(on);
    let name = "n".repeat(48);
    world.add(&name, &["sh", "-c", "echo ready; exec cat"]);
    world.peer(&["wake", &name]);
    let terminal = Terminal::running(&world, &["attach", &name]);
    // What the terminal wraps is two rows here. zellij wipes the line after a while; with tmux it is there afterwards.
    let rows = || world.tmux_on(&world.path("s-person"), &["capture-pane", "-p"]);
    let is_said = || rows().lines().any(|row| row == format!("note: {name}: leave with C-b d"));
    if on == RuntimeKind::Zellij {
        wait_until("it is said in one row", is_said);
    }
    terminal.awaits("ready");
    terminal.leaves();
    assert!(on == RuntimeKind::Zellij || is_said(), "{}", rows());
}

fn how_to_leave_is_shown_while_the_terminal_is_attached(on: RuntimeKind) {
    let world = World::on(on);
    // It sets a title of its own, as agents do.
    world.add("a", &["sh", "-c", "printf '\\033]0;mine\\007'; echo ready; exec cat"]);
    world.peer(&["wake", "a"]);
    let title = || world.tmux_on(&world.path("s-person"), &["display-message", "-p", "#{pane_title}"]);
    let before = Terminal::running(&world, &["help"]);
    before.awaits("left with 0");
    let own = title();
    drop(before);
    // Whatever it writes is copied from the first byte on.
    std::fs::write(world.path("hold"), "").expect("written");
    let terminal = Terminal::running(&world, &["attach", "a"]);
    let written = world.path("written");
    let copy = format!("cat > '{}'", written.display());
    world.tmux_on(&world.path("s-person"), &["pipe-pane", &copy]);
    wait_until("it is copied", || written.exists());
    std::fs::remove_file(world.path("hold")).expect("ours");
    terminal.awaits("ready");
    if on == RuntimeKind::Zellij {
        // It has no bars; this is what the user's terminal gets as its title. This terminal is a tmux, which takes zellij's
        // question about kitty's graphics for a title too and shows the one that came last, so it is not asked for it.
        let is_set = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains("\x1b]0;a-1 | C-b d: leave\x07");
        wait_until("the title says it", || std::fs::read(&written).is_ok_and(|bytes| is_set(&bytes)));
    }
    if on == RuntimeKind::Tmux {
        terminal.awaits("C-b d: leave");
    }
    terminal.leaves();
    assert_eq!(title(), own, "the user's shell has its own title again");
}

fn a_window_of_the_persons_own_tmux_shows_it(on: RuntimeKind) {
    let world = World::on(on);
    world.add("a", &["sh", "-c", "echo ready; exec cat"]);
    world.peer(&["wake", "a"]);
    let outside = Terminal::running(&world, &["attach", "a", "--window"]);
    outside.awaits("attach --window only works inside your own tmux");
    outside.awaits("left with 2");
    drop(outside);
    let terminal = Terminal::running(&world, &["list"]);
    terminal.awaits("left with 0");
    let person = world.path("s-person");
    let windows = || world.tmux_on(&person, &["list-windows", "-F", "#{window_name}"]);
    let of_peer = world.command(&[]);
    let pairs = of_peer.get_envs().filter_map(|(key, value)| Some((key.to_str()?, value?.to_str()?)));
    let pairs: Vec<String> =
        pairs.filter(|(key, _)| *key != "TERM").map(|(key, value)| format!("{key}={value}")).collect();
    let line = format!("'{}' attach a --window; exec cat", env!("CARGO_BIN_EXE_peer"));
    let mut words = vec!["new-window", "env"];
    words.extend(pairs.iter().map(String::as_str));
    words.extend(["sh", "-c", &line]);
    assert_eq!(world.tmux_on(&person, &words), "");
    wait_until("it has a window", || windows().lines().any(|name| name == "a"));
    let shows = || world.tmux_on(&person, &["capture-pane", "-p", "-t", ":a"]);
    wait_until("it is shown", || shows().contains("ready"));
    // Typed past the user's own prefix, as C-b C-b sends it on.
    world.tmux_on(&person, &["send-keys", "-t", ":a", "C-b", "d"]);
    wait_until("its window has closed", || !windows().lines().any(|name| name == "a"));
    assert!(crate::common::lives(world.agent("a")));
    drop(terminal);
}

#[test]
fn the_status_line_says_what_works_inside_a_tmux() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.peer(&["wake", "a"]);
    for (term, says) in
        [("xterm", "C-b d: leave  C-b s: switch"), ("screen", "C-b d: leave (C-b C-b d if your tmux takes it)")]
    {
        let attached = Attached::of_terminal(&world, "a", term);
        let client = world.tmux(&["list-clients", "-F", "#{client_name}"]);
        let line = world.tmux(&["display-message", "-p", "-c", client.trim(), "#{T:status-right}"]);
        assert_eq!(line.trim(), says);
        attached.close(&world, "a");
    }
}
