//! Completion of what is there at the moment of the Tab, in the real shells.

mod common;

use std::process::Command;

use common::{Run, World, wait_for, wait_until};

/// A fleet of two with a topic and a profile of the person's own.
fn fleet() -> World {
    let world = World::new();
    world.profile("mytool", "description = \"mine\"\ncommand = [\"cat\"]\n");
    world.add("api-server", &["cat"]);
    world.add("api-client", &["cat"]);
    world.add("zebra", &["cat"]);
    world.peer(&["wake", "zebra", "--topic", "billing"]);
    world
}

/// Where `peer` is, in front of everything else.
fn path() -> String {
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_peer")).parent().expect("a directory");
    format!("{}:{}", bin.display(), std::env::var("PATH").expect("PATH"))
}

fn shell(world: &World, program: &str, args: &[&str]) -> Run {
    let mut command = Command::new(program);
    command.env_clear().envs(world.command(&[]).get_envs().filter_map(|(key, value)| Some((key, value?))));
    Run::of(command.args(args).env("PATH", path()).current_dir(world.work()), None)
}

/// What bash would offer for a line whose last word is being typed.
#[track_caller]
fn bash(world: &World, words: &[&str]) -> Vec<String> {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let script = format!(
        "source <(peer completions bash)\nCOMP_WORDS=({})\nCOMP_CWORD={}\nCOMP_TYPE=9\n_clap_complete_peer peer '{}' ''\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.join(" "),
        words.len() - 1,
        words.last().expect("a word")
    );
    let run = shell(world, "bash", &["--norc", "-c", &script]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    run.stdout.split(['\n', '\u{b}']).map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
}

#[test]
fn bash_offers_names_profiles_topics_verbs_and_flags() {
    let world = fleet();
    assert_eq!(bash(&world, &["peer", "wake", "api"]), ["api-client", "api-server"]);
    assert_eq!(bash(&world, &["peer", "status", "z"]), ["zebra"]);
    assert_eq!(bash(&world, &["peer", "wake", "zebra", "--topic", ""]), ["billing"]);
    assert_eq!(bash(&world, &["peer", "add", "x", "--agent", "m"]), ["mytool"]);
    assert_eq!(bash(&world, &["peer", "add", "x", "--agent", "c"]), ["claude", "codex", "command"]);
    assert_eq!(bash(&world, &["peer", "sta"]), ["start", "status"]);
    assert!(bash(&world, &["peer", "wake", "--fr"]).contains(&"--fresh".to_owned()));
    // What is declared a moment later is offered a moment later.
    world.add("api-new", &["cat"]);
    assert_eq!(bash(&world, &["peer", "wake", "api"]), ["api-client", "api-new", "api-server"]);
}

#[test]
fn fish_offers_the_same() {
    let world = fleet();
    let offers = |line: &str| {
        let script = format!("peer completions fish | source; complete -C '{line}'");
        let run = shell(&world, "fish", &["--no-config", "-c", &script]);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
        run.stdout.lines().map(|line| line.split('\t').next().expect("a word").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(offers("peer wake api"), ["api-client", "api-server"]);
    assert_eq!(offers("peer wake zebra --topic b"), ["billing"]);
    assert_eq!(offers("peer add x --agent my"), ["mytool"]);
}

/// zsh completes only at a prompt: one in a tmux pane, where Tab is pressed.
#[test]
fn zsh_completes_at_its_prompt() {
    let world = fleet();
    let socket = world.path("s-look");
    let dirs = format!(
        "HOME={home} ZDOTDIR={home} PATH={} PEER_STATE_DIR={} PEER_CONFIG_DIR={}",
        path(),
        world.path("state").display(),
        world.path("config").display(),
        home = world.path("home").display()
    );
    let rc = "PS1='> '; autoload -U compinit; compinit -u; source <(peer completions zsh)\n";
    std::fs::write(world.path("home/.zshrc"), rc).expect("write");
    let shell = format!("env {dirs} TERM=screen zsh -i");
    world.tmux_on(&socket, &["-f/dev/null", "new-session", "-d", "-x", "80", "-y", "20", "sh", "-c", &shell]);
    let screen = || world.tmux_on(&socket, &["capture-pane", "-p"]);
    wait_until("the prompt", || screen().starts_with('>'));
    for (typed, completed) in [
        ("peer status ze", "peer status zebra"),
        ("peer wake api-s", "peer wake api-server"),
        ("peer add x --agent myt", "--agent mytool"),
    ] {
        world.tmux_on(&socket, &["send-keys", "-l", typed]);
        world.tmux_on(&socket, &["send-keys", "Tab"]);
        let shown = wait_for(completed, || Some(screen()).filter(|shown| shown.contains(completed)));
        assert!(!shown.contains("error"), "{shown}");
        world.tmux_on(&socket, &["send-keys", "C-u"]);
    }
}

#[test]
fn where_nothing_is_declared_nothing_is_offered_made_or_said() {
    let world = World::new();
    assert!(bash(&world, &["peer", "status", "a"]).is_empty());
    assert!(!world.path("state").exists());
    std::fs::remove_dir_all(world.path("config")).expect("ours");
    assert!(bash(&world, &["peer", "status", "a"]).is_empty());
}

#[test]
fn each_shell_has_a_script_that_asks_peer() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = world.peer(&["completions", shell]);
        assert!(run.code == 0 && run.stdout.contains("PEER_COMPLETE"), "{shell}: {run:?}");
        assert!(!run.stdout.contains(env!("CARGO_BIN_EXE_peer")), "{shell}: a path of this machine");
    }
    let run = world.peer(&["completions", "tcsh"]);
    assert!(run.code == 2 && run.stderr.starts_with("error: invalid value 'tcsh'"), "{run:?}");
}
