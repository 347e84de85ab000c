//! `peer edit` loses nothing: neither what another command wrote meanwhile, nor what the user typed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::common::demo::program;
use crate::common::{Run, World};

fn spec(world: &World) -> String {
    fs::read_to_string(world.path("config/peers/a.toml")).expect("a spec")
}

/// A declared peer, and an editor that runs this script on the file `$1`; its spec is `$SPEC`.
fn edited_by(script: &str) -> (World, Command) {
    let world = World::new();
    world.declare("a", &["--agent", "command", "--env", "TOKEN=secret"], &["cat"]);
    let path = world.path("editor");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
    let mut edit = world.command(&["edit", "a"]);
    fs::create_dir(world.path("tmp")).expect("ours");
    edit.env("EDITOR", path).env("SPEC", world.path("config/peers/a.toml")).env("TMPDIR", world.path("tmp"));
    (world, edit)
}

/// Runs the editor in a terminal, which script(1) makes; returns what the terminal shows in the end.
fn at_a_terminal(edit: &Command) -> Run {
    let mut script = Command::new("script");
    script.args(["-qec", &format!("exec '{}' edit a", edit.get_program().display()), "/dev/null"]).env_clear();
    script.envs(edit.get_envs().filter_map(|(key, value)| Some((key, value?)))).env("TERM", "xterm");
    let mut child =
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("script(1)");
    let held = child.stdin.take();
    let run = Run::finish(child, None, Instant::now());
    drop(held);
    run
}

/// The drafts that are left.
fn drafts(world: &World) -> Vec<PathBuf> {
    fs::read_dir(world.path("tmp")).expect("ours").map(|entry| entry.expect("one").path()).collect()
}

/// The only draft that is left, whose path was printed and which only its owner can read.
#[track_caller]
fn kept(world: &World, said: &str) -> String {
    let left = drafts(world);
    let [draft] = &left[..] else { panic!("{left:?}: {said}") };
    assert!(said.contains(&format!("your text is in {}", draft.display())), "{said}");
    assert_eq!(draft.metadata().expect("there").permissions().mode() & 0o777, 0o600);
    fs::read_to_string(draft).expect("kept")
}

fn changes_directory(world: &World, from: &Path, to: &Path) -> Run {
    let mut edit = world.command(&["edit", "a"]);
    edit.env("EDITOR", format!("sed -i 's|^cwd = \"{}\"|cwd = \"{}\"|'", from.display(), to.display()));
    Run::of(&mut edit, None)
}

/// Claude Code and pi, like the demo agent, keep conversations by directory.
#[test]
fn a_changed_directory_that_leaves_the_conversation_behind_is_said_and_can_be_undone() {
    let world = World::new();
    fs::create_dir(world.path("work/new")).expect("ours");
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    let conversation = world.conversation("a");
    world.peer(&["stop", "a"]);
    world.peer(&["start", "a"]);
    let (old, new) = (world.work(), world.path("work/new"));
    let run = changes_directory(&world, &old, &new);
    let note = format!(
        "note: a: its agent keeps conversations by directory: the next start in {} is fresh; cwd = \"{}\" and then \
         peer wake a --conversation {conversation} go on with the present one\n",
        new.display(),
        old.display()
    );
    assert_eq!((run.stdout.as_str(), &run.stderr), ("a: saved\n", &note));
    let listed = world.peer(&["conversations", "a"]).stdout;
    assert!(listed.contains("its agent has no files of it for its directory"), "{listed}");
    assert!(!listed.contains("nothing was said"), "{listed}");
    world.peer(&["move", "a", "work/new"]).fails(
        2,
        "error: invalid value 'work/new' for '[RUNTIME]' [possible values: tmux, zellij]\n\
         hint: peer edit NAME moves it to another directory (cwd)\n",
    );
    changes_directory(&world, &new, &old).prints("a: saved\n");
    world.peer(&["wake", "a"]).prints("a: woken resumed (stopped)\n");
    assert_eq!(world.conversation("a"), conversation);
    let env = format!("CLAUDE_CONFIG_DIR={}", world.path("home/demo").display());
    let cwd = new.display().to_string();
    let command = program().display().to_string();
    let again = world.peer(&["add", "a", "--replace", "--cwd", &cwd, "--agent", "demo", "--env", &env, "--", &command]);
    assert!(again.code == 0 && again.stderr.contains(&note), "{again:?}");
}

/// A conversation that is begun in the new directory stays there too, and both can be gone on with.
#[test]
fn the_conversations_of_two_directories_are_both_named_when_the_peer_comes_back() {
    let world = World::new();
    fs::create_dir(world.path("work/new")).expect("ours");
    let (old, new) = (world.work(), world.path("work/new"));
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    let conversation = world.conversation("a");
    changes_directory(&world, &old, &new);
    world.peer(&["stop", "a"]);
    world.peer(&["start", "a"]);
    world.peer(&["wake", "a", "-m", "hello"]);
    let second = world.conversation("a");
    assert_ne!(second, conversation);
    let back = changes_directory(&world, &new, &old);
    assert!(
        back.stderr.contains(&format!("peer wake a --conversation {second} go on with the present one")),
        "{back:?}"
    );
    let hint = format!("hint: peer wake a --conversation {conversation} goes on with the one that it had in ");
    assert!(back.stderr.contains(&hint), "{back:?}");
    world.peer(&["stop", "a"]);
    world.peer(&["start", "a"]);
    world.peer(&["wake", "a", "--conversation", &conversation]).prints("a: woken resumed (asked-conversation)\n");
    assert_eq!(world.conversation("a"), conversation);
}

#[test]
fn what_would_make_the_next_start_fail_is_said_when_it_is_saved() {
    let world = World::new();
    world.add("a", &["cat"]);
    let mut edit = world.command(&["edit", "a"]);
    edit.env("EDITOR", "sed -i 's|^cwd = .*|cwd = \"/nowhere\"|'");
    let run = Run::of(&mut edit, None);
    assert_eq!((run.code, run.stdout.as_str()), (0, "a: saved\n"), "{run:?}");
    assert!(
        run.stderr.starts_with("note: a: its next start would fail: ") && run.stderr.contains("/nowhere"),
        "{run:?}"
    );
    let why = world.peer(&["why", "a"]).stdout;
    assert!(why.contains("\na: it would fail: ") && why.contains("/nowhere"), "{why}");
}

#[test]
fn what_another_command_wrote_meanwhile_is_not_overwritten() {
    let (world, mut edit) = edited_by("echo '# mine' >> \"$1\"; echo '# theirs' >> \"$SPEC\"");
    let before = spec(&world);
    let run = Run::of(&mut edit, None);
    assert!(run.code == 1 && run.stderr.contains("was changed by another command meanwhile"), "{run:?}");
    assert_eq!(spec(&world), format!("{before}# theirs\n"));
    assert_eq!(kept(&world, &run.stderr), format!("{before}# mine\n"));
}

#[test]
fn at_a_terminal_it_is_opened_again_with_what_the_other_wrote_on_top() {
    let (world, edit) = edited_by(
        "if grep -q '^# peer edit: now: # theirs' \"$1\"; then echo '# theirs' >> \"$1\"; exit; fi\n\
         echo '# mine' >> \"$1\"; echo '# theirs' >> \"$SPEC\"",
    );
    let before = spec(&world);
    let run = at_a_terminal(&edit);
    assert!(run.code == 0 && run.stdout.contains("a: saved"), "{run:?}");
    assert_eq!(spec(&world), format!("{before}# mine\n# theirs\n"));
    assert!(drafts(&world).is_empty());
}

#[test]
fn a_rejected_text_is_opened_again_with_the_reason_on_top() {
    let (world, edit) = edited_by(
        "cp \"$1\" \"$TMPDIR/../seen\"\n\
         if grep -q '^# peer edit: ' \"$1\"; then sed -i s/timout/timeout/ \"$1\"; else sed -i '1i idle_timout = \"2h\"' \"$1\"; fi",
    );
    let before = spec(&world);
    let run = at_a_terminal(&edit);
    assert!(run.code == 0 && run.stdout.contains("a: saved"), "{run:?}");
    assert_eq!(spec(&world), format!("idle_timeout = \"2h\"\n{before}"));
    let seen = fs::read_to_string(world.path("seen")).expect("the second time");
    let lines: Vec<&str> = seen.lines().collect();
    assert!(lines[0].starts_with("# peer edit: ") && lines[0].contains(":1: idle_timout: unknown field"), "{seen}");
    assert_eq!(lines[1], "# peer edit: hint: did you mean `idle_timeout`?");
    assert_eq!(lines[2], "idle_timout = \"2h\"");
}

#[test]
fn saving_the_rejected_text_again_ends_it_and_keeps_it() {
    let (world, edit) = edited_by("grep -q '^# peer edit: ' \"$1\" || echo 'nonsense' >> \"$1\"");
    let before = spec(&world);
    let run = at_a_terminal(&edit);
    assert!(run.code == 2 && spec(&world) == before, "{run:?}");
    assert!(kept(&world, &run.stdout.replace("\r\n", "\n")).ends_with("nonsense\n"));
}

#[test]
fn an_editor_that_is_left_without_saving_loses_nothing_of_the_rejected_text() {
    let (world, edit) = edited_by("grep -q '^# peer edit: ' \"$1\" && exit 1; echo 'nonsense' >> \"$1\"");
    let before = spec(&world);
    let run = at_a_terminal(&edit);
    assert!(run.code == 2 && spec(&world) == before, "{run:?}");
    assert!(kept(&world, &run.stdout.replace("\r\n", "\n")).ends_with("nonsense\n"));
}

#[test]
fn without_a_terminal_only_an_editor_that_was_named_is_run() {
    let (world, mut edit) = edited_by("exit 1");
    edit.env_remove("EDITOR");
    let run = Run::of(&mut edit, None);
    assert!(run.code == 2 && run.stderr.contains("edit needs a terminal"), "{run:?}");
    assert!(run.stderr.contains(&world.path("config/peers/a.toml").display().to_string()), "{run:?}");
    assert!(drafts(&world).is_empty());
}

#[test]
fn a_failing_editor_leaves_what_was_typed_and_nothing_else() {
    let (world, mut edit) = edited_by("echo '# mine' >> \"$1\"; exit 3");
    let before = spec(&world);
    let run = Run::of(&mut edit, None);
    assert!(run.stderr.contains("failed: exit status: 3"), "{run:?}");
    assert_eq!((run.code, kept(&world, &run.stderr), spec(&world)), (2, format!("{before}# mine\n"), before));
    let (world, mut edit) = edited_by("exit 3");
    let run = Run::of(&mut edit, None);
    assert!(run.code == 2 && run.stderr.contains("hint: nothing was changed"), "{run:?}");
    assert!(drafts(&world).is_empty(), "values of its variables are left nowhere");
}

#[test]
fn what_was_removed_meanwhile_is_not_written_anew() {
    let (world, mut edit) = edited_by("echo '# mine' >> \"$1\"; rm \"$SPEC\"");
    let run = Run::of(&mut edit, None);
    assert!(run.code == 3 && run.stderr.contains("there is no peer named a"), "{run:?}");
    assert!(kept(&world, &run.stderr).ends_with("# mine\n") && !world.path("config/peers/a.toml").exists());
}
