//! The exact output of the small verbs, where no other test checks it.

use crate::common::{World, wait_until};

#[test]
fn screen_prints_the_pane_its_last_lines_its_colours_and_what_was_kept() {
    let world = World::new();
    world.add("a", &["sh", "-c", r"printf 'one\ntwo\n\033[32mthree\033[0m\n'; exec cat"]);
    world.peer(&["screen", "a"]).fails(1, "error: a has no screen: it has never run\nhint: peer wake a\n");
    world.peer(&["wake", "a"]);
    wait_until("it is drawn", || world.peer(&["screen", "a"]).stdout.contains("three"));
    world.peer(&["screen", "a"]).prints("one\ntwo\nthree\n");
    world.peer(&["screen", "a", "-l", "2"]).prints("two\nthree\n");
    world.peer(&["screen", "a", "--lines", "1", "--ansi"]).prints("\u{1b}[32mthree\n\u{1b}[0m");
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    world.peer(&["screen", "a"]).prints("one\ntwo\nthree\n");
    world.peer(&["screen", "b"]).fails(3, "error: there is no peer named b\nhint: peer add b -- COMMAND\n");
}

#[test]
fn agents_lists_the_profiles_and_whose_they_are() {
    let world = World::new();
    world.profile("mine", "description = \"my own\"\ncommand = [\"cat\"]\n");
    let run = world.peer(&["agents"]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    // The version with which an agent was seen changes with each new probe of it.
    let version = regex::Regex::new(r"\b\d+\.\d+\.\d+").expect("a pattern");
    let rows: Vec<String> = run
        .stdout
        .lines()
        .map(|row| version.replace(row, "V").split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let row = |name: &str| rows.iter().find(|row| row.starts_with(name)).map(String::as_str);
    assert_eq!(rows[0], "NAME FROM SEEN RESUME CONFIRMS BY WHAT");
    assert_eq!(row("claude "), Some("claude built-in V by id transcript Claude Code"));
    assert_eq!(
        row("command "),
        Some("command built-in - no consumed any program; ready as soon as it runs, keeps no conversation")
    );
    assert_eq!(rows.last().map(String::as_str), Some("mine yours - no consumed my own"));
    // Waits that go by the clock are listed: a user's own profile may have no other way, but no built-in one has any.
    let held =
        "extends = \"claude\"\ndescription = \"held\"\nready.stable_for_resume = \"3s\"\nmessage.settle = \"50ms\"\n";
    world.profile("held", held);
    let run = world.peer(&["agents", "held"]);
    let times = "  fixed waiting times:\n    ready.stable_for_resume = 3s: its screen must look ready so long after a resume\n    \
                 message.settle = 50ms: between what is typed and Enter\n";
    assert!(run.stdout.contains(times), "{run:?}");
    let named = world.peer(&["agents", "held", "--json"]).json()["agents"][0]["times"].clone();
    let three = ["stable_for_fresh_ms", "stable_for_resume_ms", "settle_ms"];
    assert_eq!(three.map(|name| named[name].as_u64()), [Some(0), Some(3000), Some(50)], "{named}");
    for name in ["claude", "codex", "pi", "opencode", "command"] {
        let run = world.peer(&["agents", name]);
        assert!(run.code == 0 && !run.stdout.contains("waits for:"), "{run:?}");
    }
}

#[test]
fn stop_start_refresh_reset_interrupt_and_rm_say_what_they_did_one_line_a_peer() {
    let world = World::new();
    for name in ["a", "b"] {
        world.add(name, &["cat"]);
    }
    world.peer(&["wake", "a"]).prints("a: woken fresh (first-wake)\n");
    world.peer(&["interrupt", "a"]).prints("a: interrupted\n");
    world.peer(&["interrupt", "b"]).fails(4, "error: b is not awake\nhint: peer wake b\n");
    world.peer(&["stop", "a", "b"]).prints("a: parked and stopped\nb: stopped; it was not awake\n");
    world.peer(&["stop", "a"]).prints("a: stopped; it was not awake\n");
    world.peer(&["interrupt", "b"]).fails(4, "error: b is not awake\nhint: peer start b\n");
    world.peer(&["start", "a", "b"]).prints("a: may be woken again\nb: may be woken again\n");
    world.peer(&["start", "a"]).prints("a: was not stopped\n");
    world.peer(&["refresh", "--all"]).prints("a: fresh at its next wake\nb: fresh at its next wake\n");
    world.peer(&["reset", "a"]).prints("a: cleared 0 deaths\n");
    let run = world.peer(&["rm", "a", "b"]);
    let trash = regex::Regex::new(r"trash/([ab])-\d+").expect("a pattern");
    let said = trash.replace_all(&run.stdout, "trash/$1-N").replace(&world.path("").display().to_string(), "/W/");
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    assert_eq!(said, "a: removed; peer restore a restores it\nb: removed; peer restore b restores it\n");
    world
        .peer(&["rm", "a"])
        .fails(3, "error: there is no peer named a\nhint: it was removed: peer restore a brings it back\n");
}

#[test]
fn verbs_for_a_pane_say_so_elsewhere() {
    let world = World::new();
    for verb in ["beat", "self-done", "self-fresh"] {
        world.peer(&[verb]).fails(
            4,
            "error: this command only works inside an agent's pane: PEER_NAME is not set: this is not a pane of peer\n\
             hint: from outside, peer new NAME starts it fresh, peer stop NAME parks it\n",
        );
    }
}

#[test]
fn all_are_forgotten_only_by_the_word_of_a_person() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.add("b", &["cat"]);
    world.peer(&["rm", "--all"]).fails(
        2,
        "error: rm --all removes a, b, and there is no terminal to ask on\nhint: peer rm --all --yes, or peer rm with their names\n",
    );
    assert_eq!(world.peer(&["list", "--format", "{name}"]).stdout, "a\nb\n");
    assert_eq!(world.peer(&["rm", "--all", "--yes"]).code, 0);
    assert_eq!(world.peer(&["list", "--format", "{name}"]).stdout, "");
}
