//! Each hint of an error can be typed, and does what it says.

use std::fs;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use peer_adapters::process;
use serde_json::json;

use crate::common::files::executable;
use crate::common::{Run, World, lives, signal, wait_until};

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
    world
        .peer(&["add", "a", "--replace", "--", "sh"])
        .prints(&format!("a: replaced (command on tmux: {})\n", which::which("sh").expect("a shell").display()));
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
        world
            .peer(verb)
            .fails(3, "error: there is no peer named a\nhint: it was removed: peer restore a brings it back\n");
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
    typed(&world, &["screen", "a"], 1, "wake a", "a: woken fresh (first-wake)");
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
    typed(&world, &["rename", "a", "b"], 1, "rename b NEW", "b: is called other now");
    world.peer(&["rename", "other", "b"]);
    world.peer(&["rm", "b"]);
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

/// What hosted the agent is gone, and the record is of another machine or of another pid namespace.
#[test]
fn what_ran_elsewhere_leads_to_its_release() {
    for (key, elsewhere) in [("machine", json!("0123456789abcdef0123456789abcdef")), ("pid_namespace", json!(7))] {
        let world = World::new();
        world.demo("a", &[]);
        world.peer(&["wake", "a", "-m", "hello"]);
        let (agent, conversation) = (world.agent("a"), world.conversation("a"));
        // As after a power cut: nothing of it is left that could record an end.
        signal(world.pane_process("a"), Signal::SIGKILL);
        world.lose_server("a");
        let _ = process::status(agent).map(|found| found.map(|status| process::signal(status.id, Signal::SIGKILL)));
        wait_until("all of it has ended", || !lives(agent) && world.processes().is_empty());
        world.edit("a", "session", |record| record["host"][key] = elsewhere.clone());
        for verb in [&["wake", "a"][..], &["send", "a", "more"], &["stop", "a"], &["new", "a"], &["rm", "a"]] {
            let refused = world.peer(verb);
            let hint =
                "hint: run this command there, or peer release a if that machine or container is gone for good\n";
            assert!(refused.code == 6 && refused.stderr.ends_with(hint), "{key}: {verb:?}: {refused:?}");
        }
        // Without a terminal nobody can be asked, and the hint says so.
        typed(&world, &["release", "a"], 2, "release a --yes", "is given up; the next wake resumes it here");
        world.peer(&["wake", "a", "-m", "more"]).prints("a: woken resumed (runtime-lost); message delivered\n");
        assert_eq!(world.said(&conversation), ["hello", "more"], "{key}");
        typed(&world, &["release", "a"], 4, "stop a", "a: parked and stopped");
    }
}

#[test]
fn what_a_peer_needs_is_restored_as_the_hint_says() {
    let world = World::new();
    fs::create_dir(world.path("work/there")).expect("create");
    let program = world.work().join("agent");
    executable(&program, "exec cat");
    world.declare("a", &["--agent", "command", "--cwd", "there"], &[program.to_str().expect("UTF-8")]);
    let edit = |from: &str, to: &str| {
        let mut edit = world.command(&["edit", "a"]);
        let run = Run::of(edit.env("EDITOR", format!("sed -i 's|{from}|{to}|'")), None);
        assert_eq!(run.code, 0, "{run:?}");
    };
    // The working directory.
    fs::remove_dir(world.path("work/there")).expect("ours");
    let there = world.path("work/there").canonicalize().unwrap_or_else(|_| world.path("work/there"));
    let hint = format!("hint: restore {}, or set another cwd in `peer edit a`\n", there.display());
    let refused = world.peer(&["wake", "a"]);
    assert!(refused.code == 1 && refused.stderr.ends_with(&hint), "{refused:?}");
    fs::create_dir(&there).expect("restored");
    assert_eq!(world.peer(&["wake", "a"]).code, 0);
    world.peer(&["stop", "a"]);
    world.peer(&["start", "a"]);
    fs::remove_dir(&there).expect("ours");
    edit("work/there", "work");
    assert_eq!(world.peer(&["wake", "a"]).code, 0);
    world.peer(&["stop", "a"]);
    world.peer(&["start", "a"]);
    // Its program.
    fs::remove_file(&program).expect("ours");
    let refused = world.peer(&["wake", "a"]);
    let hint = "hint: install it again, or set another command in `peer edit a`\n";
    assert!(refused.code == 1 && refused.stderr.ends_with(hint), "{refused:?}");
    edit("work/agent", "work/other");
    executable(&world.work().join("other"), "exec cat");
    assert_eq!(world.peer(&["wake", "a"]).code, 0);
}

#[test]
fn what_an_agent_would_not_get_as_typed_leads_to_what_it_does() {
    let world = World::new();
    world.demo("a", &[]);
    world.peer(&["wake", "a"]);
    let refused = world.peer_with_input(&["send", "a", "-"], "one\u{1b}[31m two\n");
    let hint = "hint: remove it, e.g. with tr -d '\\000-\\010\\013-\\037\\177'\n";
    assert!(refused.code == 1 && refused.stderr.ends_with(hint), "{refused:?}");
    // The hint, in a shell.
    let shell = format!(
        "printf 'one\\033[31m two' | {} | '{}' send a -",
        &hint["hint: remove it, e.g. with ".len()..].trim_end(),
        env!("CARGO_BIN_EXE_peer")
    );
    let of_peer = world.command(&[]);
    let mut sh = Command::new("sh");
    sh.args(["-c", &shell]).env_clear().envs(of_peer.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let run = Run::of(sh.current_dir(world.work()).stdin(Stdio::null()), None);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(world.said(&world.conversation("a")), ["one[31m two"]);
}
