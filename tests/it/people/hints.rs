//! Each hint of an error can be typed, and does what it says.

use nix::sys::signal::Signal;

use crate::common::{World, signal};

/// Runs `words`, which fail with `code`, then the command in the hint, and checks its effect.
#[track_caller]
fn typed(world: &World, words: &[&str], code: i32, hinted: &str, says: &str) {
    let failed = world.peer(words);
    assert_eq!(failed.code, code, "{words:?}: {failed:?}");
    let hint = failed.stderr.lines().find_map(|line| line.strip_prefix("hint: ")).unwrap_or_default();
    assert!(hint.contains(&format!("peer {hinted}")), "{words:?} hints {hint:?}, and not `peer {hinted}`");
    let line = hinted.replace("COMMAND", "cat").replace("NAME", "a").replace("TEXT", "hello").replace("NEW", "other");
    let run = world.peer(&line.split_whitespace().collect::<Vec<_>>());
    assert!(run.code == 0 && (run.stdout.clone() + &run.stderr).contains(says), "`peer {line}`: {run:?}");
}

#[test]
fn what_does_not_exist_leads_to_its_declaration() {
    let world = World::new();
    typed(&world, &["wake", "a"], 3, "add a -- COMMAND", "a: added");
    typed(&world, &["add", "a", "--", "sh"], 1, "show a", "command");
    world.peer(&["add", "a", "--replace", "--", "sh"]).prints("a: replaced (command on tmux: /usr/bin/sh)\n");
    typed(&world, &["add", "b"], 2, "add b -- COMMAND", "b: added");
    typed(&world, &["help", "zzz"], 2, "help", "Usage: peer");
    typed(&world, &["zzz"], 2, "--help", "Usage: peer");
    typed(&world, &["log", "--since", "soon"], 2, "log --help", "--since");
}

#[test]
fn what_was_removed_leads_back_to_itself() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.peer(&["rm", "a"]);
    for verb in [&["wake", "a"][..], &["status", "a"], &["send", "a", "hello"], &["stop", "a"], &["show", "a"]] {
        world.peer(verb).fails(
            3,
            "error: there is no peer named a\nhint: it was removed: peer restore a brings it back\n",
        );
    }
    typed(&world, &["wake", "a"], 3, "restore a", "a: is back");
    assert_eq!(world.peer(&["wake", "a"]).code, 0);
    // A declared peer of a similar name is offered beside it.
    world.add("api", &["cat"]);
    world.add("apis", &["cat"]);
    world.peer(&["rm", "api"]);
    world.peer(&["status", "api"]).fails(
        3,
        "error: there is no peer named api\n\
         hint: it was removed: peer restore api brings it back; or did you mean apis?\n",
    );
    // What was never removed is not in the trash, whatever else is.
    world.peer(&["status", "apit"]).fails(3, "error: there is no peer named apit\nhint: did you mean apis?\n");
}

#[test]
fn what_is_refused_leads_to_what_allows_it() {
    let world = World::new();
    world.add("a", &["cat"]);
    typed(&world, &["screen", "a"], 2, "wake a", "a: woken fresh (first-wake)");
    typed(&world, &["attach", "--waiting"], 2, "screen NAME", "");
    typed(&world, &["rm", "a"], 4, "stop a", "a: parked and stopped");
    typed(&world, &["wake", "a"], 4, "start a", "a: may be woken again");
    typed(&world, &["interrupt", "a"], 4, "wake a", "a: woken");
    typed(&world, &["release", "a"], 4, "stop a", "a: parked and stopped");
    world.peer(&["start", "a"]);
    typed(&world, &["wake", "a", "--resume"], 4, "wake a", "a: woken fresh");
    typed(&world, &["move", "a", "--runtime", "zellij"], 1, "stop a", "a: parked and stopped");
    world.peer(&["move", "a", "--runtime", "zellij"]).prints("a: moved to zellij; it was not awake\n");
    world.peer(&["move", "a", "--runtime", "tmux"]).prints("a: moved to tmux; it was not awake\n");
    world.peer(&["start", "a"]);
    typed(&world, &["self-fresh"], 4, "new NAME", "a: ");
    typed(&world, &["self-fresh"], 4, "stop NAME", "a: parked and stopped");
    typed(&world, &["rm", "--all"], 2, "rm --all --yes", "a: removed");
    typed(&world, &["restore", "b"], 1, "restore", "a  removed ");
}

#[test]
fn what_died_too_often_leads_to_another_start() {
    let world = World::new();
    world.add("a", &["cat"]);
    for _ in 0..3 {
        world.peer(&["wake", "a"]);
        signal(world.agent("a"), Signal::SIGKILL);
        world.await_end("a");
    }
    let refused: &[&str] = &["wake", "a"];
    typed(&world, refused, 4, "screen a", "");
    typed(&world, refused, 4, "wake a --fresh --force", "a: woken fresh (asked-fresh)");
    world.peer(&["stop", "a"]);
    world.peer(&["reset", "a"]);
    world.peer(&["start", "a"]);
    world.set_in_spec("a", "max_restarts = 1");
    world.peer(&["wake", "a"]);
    signal(world.agent("a"), Signal::SIGKILL);
    world.await_end("a");
    typed(&world, refused, 4, "reset a", "a: cleared 1 death");
    assert_eq!(world.peer(refused).code, 0);
}

#[test]
fn another_name_is_free_or_is_made_so() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.add("b", &["cat"]);
    typed(&world, &["rename", "a", "b"], 1, "rm b", "b: removed");
    world.peer(&["wake", "a"]);
    typed(&world, &["rename", "a", "b"], 4, "stop a", "a: parked and stopped");
    typed(&world, &["restore", "a"], 1, "restore", "b  removed ");
    world.peer(&["rename", "a", "b"]).prints("a: is called b now\n");
    typed(&world, &["restore", "b"], 1, "rename b NEW", "b: is called other now");
}

#[test]
fn a_verb_of_another_tool_leads_to_ours() {
    let world = World::new();
    for (habit, hinted, says) in [
        ("run", "add NAME -- COMMAND", "a: added"),
        ("up", "wake NAME", "a: woken"),
        ("exec", "send NAME TEXT", "message delivered"),
        ("describe", "status NAME", "a"),
        ("info", "status NAME", "a"),
        ("inspect", "status NAME --json", "\"peer\""),
        ("capture", "screen NAME", "hello"),
        ("config", "show NAME", "command"),
        ("version", "--version", "peer "),
        ("detach", "attach --help", "C-b d"),
        ("kill", "stop NAME", "a: parked and stopped"),
        ("enable", "start NAME", "a: may be woken again"),
        ("disable", "stop NAME", "a: stopped"),
        ("restart", "start NAME", "a: may be woken again"),
        ("restart", "new NAME", "a: "),
        ("pause", "stop NAME", "a: "),
        ("delete", "rm NAME", "a: removed"),
        ("undo", "restore NAME", "a: is back"),
    ] {
        typed(&world, &[habit, "a"], 2, hinted, says);
    }
}
