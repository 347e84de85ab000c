//! Declaring peers, and the promises of the command line: each mistake is refused with its place and the remedy, data
//! goes to stdout and everything else to stderr, and the exit code says what happened.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Instant;

use crate::common;
use crate::common::{Run, World, lives};
use peer_adapters::runtime::RuntimeKind;
use serde_json::json;

/// An editor that runs this script on the file `$1`.
fn editor(world: &World, script: &str) -> String {
    let path = world.path("editor");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("write");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
    path.display().to_string()
}

fn spec(world: &World, name: &str) -> String {
    fs::read_to_string(world.path(&format!("config/peers/{name}.toml"))).expect("a spec")
}

#[test]
fn a_declaration_is_written_down_with_absolute_paths() {
    let world = World::new();
    let run = world.peer(&["add", "a", "--runtime", "tmux", "--idle", "90m", "--", "cat", "-u"]);
    let cat = which("cat");
    run.prints(&format!("a: added (command on tmux: {cat} -u)\n"));
    let spec = spec(&world, "a");
    assert!(spec.contains(&format!("command = [\"{cat}\", \"-u\"]")), "{spec}");
    assert!(spec.contains(&format!("cwd = {}", common::quoted(&world.work()))), "{spec}");
    assert!(spec.contains("idle_timeout = \"1h30m\""), "{spec}");
    let document = world.peer(&["add", "a", "--json", "--runtime", "tmux", "--idle", "90m", "--", "cat", "-u"]).json();
    assert_eq!((&document["schema"], &document["outcome"]), (&json!("peer.add/1"), &json!("unchanged")));
}

#[test]
fn the_same_declaration_again_is_no_error_and_another_needs_replace() {
    let world = World::new();
    world.add("a", &["cat"]);
    let before = spec(&world, "a");
    let again = ["add", "a", "--agent", "command", "--runtime", "tmux", "--", "cat"];
    let cat = which("cat");
    world.peer(&again).prints(&format!("a: unchanged (command on tmux: {cat})\n"));
    let other = ["add", "a", "--agent", "command", "--runtime", "tmux", "--", "tac"];
    world.peer(&other).fails(
        1,
        "error: add a: it is already declared with different settings\n\
         hint: peer show a, then the same command with --replace\n",
    );
    assert_eq!(spec(&world, "a"), before);
    let replace = ["add", "a", "--replace", "--agent", "command", "--runtime", "tmux", "--", "tac"];
    world.peer(&replace).prints(&format!("a: replaced (command on tmux: {})\n", which("tac")));
}

#[test]
fn bad_names_are_refused_with_the_rule() {
    let world = World::new();
    let long = "x".repeat(49);
    for name in ["Bad", "-x", "_x", "a.b", "a/b", "..", "", "ä", &long] {
        let run = world.peer(&["add", "--", name]);
        assert_eq!(run.code, 2, "{name}: {run:?}");
        let run = world.peer(&["wake", name]);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{name}: {run:?}");
        if !name.starts_with('-') {
            assert!(run.stderr.contains("use 1 to 48 of a-z, 0-9, '-' and '_'"), "{run:?}");
        }
    }
    assert!(!world.path("config/peers").exists());
}

#[test]
fn what_does_not_exist_is_said_when_declared() {
    let world = World::new();
    for (args, stderr) in [
        (
            &["add", "a", "--runtime", "tmux", "--", "nosuchprogram"][..],
            "error: command \"nosuchprogram\": there is no such executable on PATH\n\
             hint: install it, or use its absolute path\n",
        ),
        (&["add", "a", "--agent", "clade"], "error: no agent profile is named \"clade\"\nhint: did you mean claude?\n"),
        (
            &["add", "a", "--accept", "trustfolder", "--", "claude"],
            "error: accept \"trustfolder\": claude has no dialog of this name\nhint: did you mean trust-folder?\n",
        ),
        (
            &["add", "a", "--accept", "permission", "--", "claude"],
            "error: accept \"permission\": this dialog of claude needs a person's answer\n\
             hint: of its dialogs these can be accepted: trust-folder, api-key, bypass-mode\n",
        ),
        (
            &["add", "a", "--accept", "trust-folder", "--", "cat"],
            "error: accept \"trust-folder\": command has no dialog of this name\n\
             hint: none of its dialogs can be accepted\n",
        ),
        (
            &["add", "a", "--cwd", "/no/such/dir", "--", "cat"],
            "error: cannot use the working directory /no/such/dir: No such file or directory (os error 2)\n\
             hint: mkdir -p /no/such/dir, or name another directory with --cwd\n",
        ),
        (
            &["add", "a", "--agent", "command", "--runtime", "tmux"],
            "error: add a: the profile \"command\" has no command of its own\nhint: peer add a -- COMMAND [ARG…]\n",
        ),
    ] {
        world.peer(args).fails(1, stderr);
    }
    assert_eq!(world.peer(&["list", "--json"]).json()["peers"], serde_json::json!([]), "nothing was declared");
}

#[test]
fn a_mistake_in_a_spec_names_file_line_key_and_cure() {
    let world = World::new();
    world.add("a", &["cat"]);
    let file = world.path("config/peers/a.toml");
    let good = spec(&world, "a");
    for (line, said, hint) in [
        ("idle_timout = \"1h\"", ":1: idle_timout: unknown field `idle_timout`\n", "did you mean `idle_timeout`?"),
        ("xyz = 1", ":1: xyz: unknown field `xyz`\n", "hint: man 5 peer-files lists the keys"),
        ("idle_timeout = \"soon\"", ":1: idle_timeout: \"soon\" is not a duration: write it like 90s, ", ""),
        ("max_memory = \"much\"", ":1: max_memory: \"much\" is not a size: write it like 512M or 2G; 0 is no ", ""),
        ("restart = \"allways\"", ":1: restart: unknown variant", "hint: did you mean `always`?"),
        ("policy = 3", ":1: policy: ", ""),
    ] {
        fs::write(&file, format!("{line}\n{good}")).expect("write");
        let run = world.peer(&["wake", "a"]);
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{run:?}");
        assert!(run.stderr.starts_with(&format!("error: {}{said}", file.display())), "{line}: {run:?}");
        assert!(run.stderr.contains(hint), "{line}: {run:?}");
    }
    fs::write(&file, good.replace("command = [\"/", "command = [\"")).expect("write");
    let run = world.peer(&["wake", "a"]);
    assert!(run.stderr.contains(": command: the first word is not an absolute path"), "{run:?}");
    assert!(world.server().is_none(), "nothing was started");
}

#[test]
fn a_mistake_in_the_configuration_or_a_profile_is_refused_the_same_way() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.profile("mine", "extends = \"command\"\ndescription = \"x\"\ninterupt = [\"Escape\"]\n");
    let run = world.peer(&["add", "b", "--agent", "mine", "--", "cat"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("agents/mine.toml") && run.stderr.contains("interrupt"), "{run:?}");
    world.configure("\n[tick]\nbudjet = \"5s\"\n");
    let run = world.peer(&["wake", "a"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("config.toml:8: budjet: unknown field"), "{run:?}");
    assert!(run.stderr.ends_with("hint: did you mean `budget`?\n"), "{run:?}");
}

#[test]
fn rm_refuses_what_is_awake_and_keeps_everything_in_the_trash() {
    let world = World::new();
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    let (agent, conversation) = (world.agent("a"), world.conversation("a"));
    world.peer(&["rm", "a"]).fails(4, "error: a is awake\nhint: peer stop a, or use --force\n");
    assert!(lives(agent));
    let trash = world.peer(&["rm", "a", "--force", "--json"]).json();
    assert!(!lives(agent));
    let trash = std::path::PathBuf::from(trash["peers"][0]["trash"].as_str().expect("a directory"));
    assert!(fs::read_to_string(trash.join("a.conversations")).expect("kept").contains(&conversation));
    assert!(trash.join("a.toml").exists() && trash.join("a.end").exists());
    assert_eq!(world.peer(&["wake", "a"]).code, 3);
    // Declared again, it starts from nothing.
    world.demo("a", &[]);
    world.peer(&["wake", "a"]).prints("a: woken fresh (first-wake)\n");
}

#[test]
fn rm_takes_a_spec_that_does_not_parse() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.set_in_spec("a", "nonsense");
    assert_eq!(world.peer(&["list"]).code, 1);
    assert_eq!(world.peer(&["rm", "a"]).code, 0);
    assert_eq!(world.peer(&["list"]).code, 0);
}

#[test]
fn edit_checks_before_it_saves_and_keeps_what_was_typed() {
    let world = World::new();
    world.add("a", &["cat"]);
    let before = spec(&world, "a");
    let with = |editor: &str| Run::of(world.command(&["edit", "a"]).env("EDITOR", editor), None);

    let bad = editor(&world, "sed -i '1i idle_timout = \"1h\"' \"$1\"");
    let run = with(&bad);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run:?}");
    assert!(
        run.stderr.contains(": idle_timout: unknown field") && run.stderr.contains("the spec was not saved"),
        "{run:?}"
    );
    assert_eq!(spec(&world, "a"), before);
    let draft = run.stderr.rsplit("your text is in ").next().expect("a path").trim();
    assert!(fs::read_to_string(draft).expect("kept").contains("idle_timout"));
    fs::remove_file(draft).expect("ours");

    let good = editor(&world, "sed -i '1i idle_timeout = \"2h\"' \"$1\"");
    assert_eq!(
        (with(&good).stdout, spec(&world, "a")),
        ("a: saved\n".to_owned(), format!("idle_timeout = \"2h\"\n{before}"))
    );
    let nothing = editor(&world, "exit 0");
    with(&nothing).prints("a: nothing changed\n");
    let failing = editor(&world, "exit 1");
    assert_eq!(with(&failing).code, 2);
}

#[test]
fn show_says_where_each_value_comes_from() {
    let world = World::new();
    world.configure("\n[defaults]\nrestart = \"always\"\n");
    world.declare("a", &["--agent", "command", "--idle", "30m", "--env", "TOKEN=secret"], &["cat"]);
    world.set_in_spec("a", "max_memory = \"2048M\"");
    let Run { code, stdout, stderr, .. } = world.peer(&["show", "a"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    for (key, value, origin) in [
        ("idle_timeout", "30m", "spec"),
        ("restart", "always", "config.toml"),
        ("max_memory", "2G", "spec"),
        ("policy", "executor", "default"),
        ("ready_timeout", "2m", "profile"),
        ("env", "[\"TOKEN\"]", "spec"),
        ("mcp", "false", "default"),
        ("show_sender", "false", "default"),
    ] {
        let line = stdout.lines().find(|line| line.trim_start().starts_with(key)).expect(key);
        assert_eq!(line.split_whitespace().collect::<Vec<_>>(), [key, value, origin]);
    }
    assert!(!stdout.contains("secret"), "values of variables are not shown");
    let other = World::on(RuntimeKind::Zellij);
    other.add("z", &["cat"]);
    let of_zellij = other.peer(&["show", "z"]).stdout;
    let has = |key: &str| of_zellij.lines().any(|line| line.trim_start().starts_with(key));
    assert!(!has("socket") && !has("env "), "{of_zellij}");
    let document = world.peer(&["show", "a", "--json"]).json();
    let memory = [&document["spec"]["max_memory"]["value"], &document["spec"]["max_memory_kib"]["value"]];
    assert_eq!(memory, [&json!("2G"), &json!(2 << 20)]);
    let told = [&document["schema"], &document["spec"]["restart"]["origin"]];
    assert_eq!(told, [&json!("peer.show/1"), &json!("config")]);
}

#[test]
fn help_anywhere_runs_nothing() {
    let world = World::new();
    world.add("a", &["cat"]);
    let before = world.snapshot();
    for args in [
        &["--help"][..],
        &["wake", "--help"],
        &["stop", "a", "--help"],
        &["wake", "a", "-h"],
        &["rm", "a", "--force", "--help"],
    ] {
        let run = world.peer(args);
        assert!(run.code == 0 && run.stderr.is_empty() && run.stdout.contains("Usage: peer"), "{run:?}");
    }
    assert!(world.snapshot() == before && world.server().is_none());
}

#[test]
fn usage_errors_exit_with_2_on_stderr() {
    let world = World::new();
    for args in [
        &[][..],
        &["wake"],
        &["frobnicate"],
        &["wake", "a", "--nope"],
        &["wake", "a", "--fresh", "--resume"],
        &["wake", "a", "--force"],
    ] {
        let run = world.peer(args);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{args:?}: {run:?}");
        assert!(!run.stderr.is_empty());
    }
    let run = world.peer(&["wkae", "a"]);
    assert!(run.stderr.contains("wake"), "the nearest verb: {run:?}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let world = World::new();
    for number in 0..40 {
        world.add(&format!("peer-{number}"), &["cat"]);
    }
    for args in [&["list"][..], &["list", "--json"], &["--help"], &["completions", "bash"], &["agents"]] {
        let mut child = world.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        drop(child.stdout.take());
        Run::finish(child, None, Instant::now()).prints("");
    }
}

#[test]
fn a_missing_runtime_is_6_with_the_cure() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.configure("");
    let config = world.path("config/config.toml");
    let text = fs::read_to_string(&config).expect("read").replace("[tmux]\n", "[tmux]\nbinary = \"/no/such/tmux\"\n");
    fs::write(config, text).expect("write");
    world.peer(&["wake", "a"]).fails(
        6,
        "error: tmux is not installed: no executable at /no/such/tmux\n\
         hint: install tmux, or set its path in config.toml: [tmux] binary = \"…\"\n",
    );
    assert_eq!(world.deaths("a"), 0);
}

#[test]
fn a_peer_may_have_a_server_of_its_own() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.add("b", &["cat"]);
    let own = world.path("s-own");
    world.set_in_spec("b", &format!("socket = {}", common::quoted(&own)));
    world.peer(&["wake", "a", "b"]).prints("a: woken fresh (first-wake)\nb: woken fresh (first-wake)\n");
    assert!(world.tmux_on(&own, &["list-sessions"]).starts_with("b-1:"));
    world.tmux(&["kill-server"]);
    world.await_end("a");
    world.peer(&["wake", "b"]).prints("b: already awake\n");
    world.peer(&["stop", "b"]).prints("b: parked and stopped\n");
}

fn which(program: &str) -> String {
    let path = std::env::var("PATH").expect("PATH");
    let found = path.split(':').map(|dir| format!("{dir}/{program}")).find(|file| std::path::Path::new(file).exists());
    found.expect("it is installed")
}

#[test]
fn a_directory_is_named_by_where_it_is_and_not_by_the_way_there() {
    let world = World::new();
    std::fs::create_dir(world.path("docs")).expect("create");
    let run = world.peer(&["add", "a", "--cwd", "../docs", "--", "cat"]);
    assert_eq!(run.code, 0, "{run:?}");
    let spec = std::fs::read_to_string(world.path("config/peers/a.toml")).expect("a spec");
    let docs = world.path("docs").canonicalize().expect("it is there");
    assert!(spec.contains(&format!("cwd = {}\n", crate::common::quoted(&docs))), "{spec}");
}
