//! tmux is upgraded, or put back, under a living fleet.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{World, lives, wait_until};

/// The executable that scripts/test-runtimes names.
fn named(variable: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| panic!("{variable} names a tmux"), PathBuf::from)
}

/// Puts a tmux where this world finds one, as a package manager does: another file under the same name.
fn install(world: &World, tmux: &Path) {
    let bin = world.path("bin");
    fs::create_dir_all(&bin).expect("created");
    fs::copy(tmux, bin.join("tmux.new")).expect("copied");
    fs::rename(bin.join("tmux.new"), bin.join("tmux")).expect("renamed");
}

#[track_caller]
fn fine(world: &World, args: &[&str]) -> String {
    let run = world.peer(args);
    assert_eq!(run.code, 0, "{args:?}: {run:?}");
    run.stdout
}

/// Attaches as a person does, and leaves once the server has seen it. Asked through peer: another client may not fit.
#[track_caller]
fn attach(world: &World, name: &str) {
    let peer = world.command(&["attach", name]);
    let line = format!("exec {} attach {name}", peer.get_program().display());
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).env_clear().env("TERM", "xterm").current_dir(world.work());
    script.envs(peer.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let mut terminal = script.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("script(1)");
    wait_until("somebody is attached", || {
        let status = world.peer(&["status", name, "--json"]).json();
        status["session"]["attached"] == 1
    });
    terminal.kill().expect("it is ours");
    terminal.wait().expect("it is ours");
}

#[test]
#[ignore = "needs two versions of tmux; scripts/test-runtimes names them"]
fn a_fleet_goes_on_over_an_upgrade_and_back() {
    let (old, new) = (named("PEER_TEST_OLD_TMUX"), named("PEER_TEST_NEW_TMUX"));
    for (before, after) in [(&old, &new), (&new, &old)] {
        let world = World::new();
        install(&world, before);
        let config = world.path("config/config.toml");
        let text = fs::read_to_string(&config).expect("read");
        let line = format!("[tmux]\nbinary = {}\n", common::quoted(&world.path("bin/tmux")));
        fs::write(&config, text.replace("[tmux]\n", &line)).expect("written");
        world.demo("a", &[]);
        world.demo("b", &[]);
        fine(&world, &["wake", "a", "-m", "one"]);
        let (agent, server, conversation) = (world.agent("a"), world.server(), world.conversation("a"));
        install(&world, after);
        fine(&world, &["list"]);
        fine(&world, &["send", "a", "two"]);
        fine(&world, &["wake", "b", "-m", "one"]);
        fine(&world, &["reap"]);
        assert!(lives(agent) && world.server() == server && world.server().is_some());
        attach(&world, "a");
        let doctor = world.peer(&["doctor"]);
        assert!(doctor.stdout.contains("through its own executable"), "{doctor:?}");
        assert!(doctor.stdout.contains("peer restart-runtime"), "{doctor:?}");

        fine(&world, &["restart-runtime"]);
        assert!(world.server().is_some() && world.server() != server);
        assert_eq!((world.conversation("a"), world.session("a")["resumed"].as_bool()), (conversation, Some(true)));
        let doctor = world.peer(&["doctor"]);
        assert!(!doctor.stdout.contains("through its own executable"), "{doctor:?}");
        fine(&world, &["send", "a", "three"]);
        fine(&world, &["stop", "a"]);
        fine(&world, &["stop", "b"]);
        for name in ["a", "b"] {
            assert_eq!(world.deaths(name), 0);
        }
    }
}
