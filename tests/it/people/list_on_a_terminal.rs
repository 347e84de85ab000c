//! `peer list` on a terminal: colours, narrow ones, `--watch`.

use super::list::ended;
use crate::common;
use crate::common::{World, wait_for, wait_until};
use serde_json::json;
use std::time::Duration;

/// Runs `peer` with these arguments in a new tmux pane of this size, and returns the pane.
#[track_caller]
pub(super) fn pane(world: &World, width: &str, height: &str, env: &[&str], words: &str) -> String {
    let peer = env!("CARGO_BIN_EXE_peer");
    let dirs = format!(
        "HOME={} PEER_STATE_DIR={} PEER_CONFIG_DIR={}",
        world.path("home").display(),
        world.path("state").display(),
        world.path("config").display()
    );
    let script = format!(
        "env -u NO_COLOR -u CI -u CLICOLOR -u CLICOLOR_FORCE {dirs} {} '{peer}' {words}; echo \"[code $?]\"; exec cat",
        env.join(" ")
    );
    let socket = world.path("s-look");
    let argv = ["-f/dev/null", "new-session", "-dP", "-F#{pane_id}", "-x", width, "-y", height, "sh", "-c", &script];
    world.tmux_on(&socket, &argv).trim().to_owned()
}

/// What that pane shows.
pub(super) fn shows(world: &World, pane: &str, flags: &[&str]) -> String {
    world.tmux_on(&world.path("s-look"), &[&["capture-pane", "-p", "-t", pane], flags].concat())
}

/// What that pane shows once the command has ended, without the text after it.
#[track_caller]
fn output(world: &World, pane: &str, flags: &[&str]) -> String {
    let screen =
        wait_for("the command to end", || Some(shows(world, pane, flags)).filter(|screen| screen.contains("[code 0]")));
    screen.split("[code 0]").next().expect("a first part").to_owned()
}

#[test]
fn colours_are_for_terminals_and_for_those_who_want_them() {
    let world = World::new();
    ended(&world, "api", &["sh", "-c", "exit 3"], Duration::from_secs(60));
    assert!(!world.peer(&["list"]).stdout.contains('\x1b'));
    let coloured = pane(&world, "120", "10", &["TERM=screen"], "list");
    let screen = output(&world, &coloured, &["-e"]);
    assert!(screen.contains("\x1b[1m\x1b[31mcrashed"), "{screen:?}");
    for env in [&["TERM=screen", "NO_COLOR=1"][..], &["TERM=dumb"]] {
        let plain = pane(&world, "120", "10", env, "list");
        let screen = output(&world, &plain, &["-e"]);
        assert!(screen.contains("crashed (exit 3)") && !screen.contains('\x1b'), "{screen:?}");
    }
}

#[test]
fn a_narrow_terminal_shows_what_matters_and_wraps_nothing() {
    let world = World::new();
    world.add("api", &["cat"]);
    world.peer(&["list"]);
    world.write("api", "topic", "a long topic about 登录页面 and more of it\n");
    let narrow = pane(&world, "46", "10", &["TERM=screen"], "list");
    assert_eq!(
        output(&world, &narrow, &[]),
        "NAME  STATE          AGENT    TOPIC\n\
         api   never-started  command  a long topic ab…\n"
    );
    let narrowest = pane(&world, "20", "10", &["TERM=screen"], "list");
    assert_eq!(output(&world, &narrowest, &[]), "NAME  STATE\napi   never-started\n");
}

#[test]
fn a_common_terminal_shows_which_agent_it_is_and_where() {
    let world = World::new();
    ended(&world, "api", &["sh", "-c", "exit 3"], Duration::from_secs(60));
    world.write("api", "topic", "login\n");
    let common = pane(&world, "80", "24", &["TERM=screen"], "list");
    let screen = output(&world, &common, &[]);
    let titles: Vec<&str> = screen.lines().next().expect("a heading").split_whitespace().collect();
    assert_eq!(titles[..5], ["NAME", "STATE", "AGENT", "RUNTIME", "TOPIC"], "{screen}");
}

#[test]
fn a_last_end_that_is_shown_can_be_read_at_any_width() {
    let world = World::new();
    ended(&world, "crashed", &["sh", "-c", "exit 3"], Duration::from_secs(3 * 3600 + 5));
    world.add("frontend-of-the-shop", &["cat"]);
    world.peer(&["wake", "frontend-of-the-shop"]);
    world.peer(&["stop", "frontend-of-the-shop"]);
    world.edit("frontend-of-the-shop", "end", |end| end["cause"] = json!("idle-reaped"));
    for name in ["crashed", "frontend-of-the-shop"] {
        world.write(name, "topic", "the login page\n");
    }
    let ago = regex::Regex::new(
        r"^((crashed \(exit 3\) )?\d+[smh] ago|(crashed|idle-reaped|stopped) \d+[smh]( ago)?)( {2}.*)?$",
    )
    .expect("valid");
    let mut shown = 0;
    for width in ["56", "72", "80", "90", "100", "130"] {
        let screen = output(&world, &pane(&world, width, "24", &["TERM=screen"], "list"), &[]);
        let mut lines = screen.lines();
        let heading = lines.next().expect("a heading");
        let Some(at) = heading.find("LAST-END") else { continue };
        shown += 1;
        for line in lines.filter(|line| !line.trim().is_empty()) {
            assert!(line.starts_with("crashed  ") || line.starts_with("frontend-of-the-shop  "), "{width}: {screen}");
            let cell: String = line.chars().skip(at).collect();
            assert!(ago.is_match(&cell), "{width}: {cell:?} in\n{screen}");
        }
    }
    assert!(shown >= 3, "it is shown at 80 columns and more: {shown}");
}

#[test]
fn watch_shows_what_changes() {
    let world = World::new();
    world.add("api", &["cat"]);
    let watching = pane(&world, "100", "10", &["TERM=screen"], "list --watch --every 100ms");
    let state = || {
        let screen = shows(&world, &watching, &[]);
        // Each refresh replaces the one before.
        assert!(screen.matches("NAME").count() <= 1, "{screen}");
        screen.lines().nth(1).and_then(|line| line.split_whitespace().nth(1)).map(str::to_owned)
    };
    wait_until("it is shown", || state().as_deref() == Some("never-started"));
    world.peer(&["wake", "api"]);
    wait_until("it is awake", || state().as_deref() == Some("awake"));
    world.peer(&["stop", "api"]);
    wait_until("it is stopped", || state().as_deref() == Some("stopped"));
}

#[test]
fn watch_says_how_many_a_low_screen_does_not_show() {
    let world = World::new();
    for number in 0..9 {
        world.add(&format!("p{number}"), &["cat"]);
    }
    let low = pane(&world, "100", "5", &["TERM=screen"], "list --watch");
    let screen = wait_for("the page", || Some(shows(&world, &low, &[])).filter(|screen| screen.contains("more")));
    let first: Vec<&str> = screen.trim_end().lines().filter_map(|line| line.split("  ").next()).collect();
    assert_eq!(first, ["NAME", "p0", "p1", "… 7 more"]);
}

#[test]
fn a_look_that_is_piped_into_head_ends_quietly() {
    let world = World::new();
    world.add("a", &["cat"]);
    let script = format!("'{}' list --watch --every 100ms | head -n 1", env!("CARGO_BIN_EXE_peer"));
    let mut command = std::process::Command::new("sh");
    for (key, value) in world.command(&[]).get_envs() {
        command.env(key, value.expect("it is set"));
    }
    let run = common::Run::of(command.args(["-c", &script]), None);
    assert_eq!((run.code, run.stdout.lines().count(), run.stderr.as_str()), (0, 1, ""));
}
