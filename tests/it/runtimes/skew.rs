//! tmux or zellij is upgraded, or downgraded again, under a living fleet.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common;
use crate::common::{World, killed, lives, wait_until};
use peer_adapters::runtime::RuntimeKind;

/// The executable that scripts/test-runtimes names.
fn named(variable: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| panic!("{variable} names an executable"), PathBuf::from)
}

/// Installs a binary where this world finds it, as a package manager does: another file under the same name.
fn install(world: &World, binary: &Path) {
    let (bin, name) = (world.path("bin"), world.kind().as_str());
    fs::create_dir_all(&bin).expect("created");
    fs::copy(binary, bin.join("new")).expect("copied");
    fs::rename(bin.join("new"), bin.join(name)).expect("renamed");
}

/// Makes this world's `peer` use the installed binary.
fn configure(world: &World) {
    let name = world.kind().as_str();
    let config = world.path("config/config.toml");
    let text = fs::read_to_string(&config).expect("read");
    let line = format!("[{name}]\nbinary = {}\n", common::quoted(&world.path("bin").join(name)));
    let section = format!("[{name}]\n");
    let text = if text.contains(&section) { text.replace(&section, &line) } else { format!("{text}\n{line}") };
    fs::write(&config, text).expect("written");
}

#[track_caller]
fn fine(world: &World, args: &[&str]) -> String {
    let run = world.peer(args);
    assert_eq!(run.code, 0, "{args:?}: {run:?}");
    run.stdout
}

/// Attaches as a user does, and leaves once the server has seen the client. Uses `peer`, because another client may not
/// fit.
#[track_caller]
fn attach(world: &World, name: &str) {
    let peer = world.command(&["attach", name]);
    let line = format!("exec '{}' attach {name}", peer.get_program().display());
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).env_clear().env("TERM", "xterm").current_dir(world.work());
    script.envs(peer.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let mut terminal = script.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("script(1)");
    wait_until("somebody is attached", || {
        let status = world.peer(&["status", name, "--json"]).json();
        status["session"]["attached"] == 1
    });
    killed(&mut terminal);
}

/// `before` is replaced by `after` under a peer that is awake: everything works on it through its own server's
/// executable, and a restart of its runtime resumes it on the new one.
fn goes_on(on: RuntimeKind, before: &Path, after: &Path) {
    let world = World::on(on);
    install(&world, before);
    configure(&world);
    world.demo("a", &[]);
    world.demo("b", &[]);
    fine(&world, &["wake", "a", "-m", "one"]);
    let (agent, server, conversation) = (world.agent("a"), world.server_of("a"), world.conversation("a"));
    install(&world, after);
    fine(&world, &["list"]);
    fine(&world, &["send", "a", "two"]);
    fine(&world, &["wake", "b", "-m", "one"]);
    fine(&world, &["reap"]);
    assert!(lives(agent) && world.server_of("a") == server && lives(server.pid));
    assert_eq!(world.said(&conversation), ["one", "two"]);
    assert!(fine(&world, &["screen", "a"]).contains("two"));
    attach(&world, "a");
    let doctor = world.peer(&["doctor"]);
    assert!(doctor.stdout.contains("own executable is used instead"), "{doctor:?}");
    assert!(doctor.stdout.contains("peer restart-runtime"), "{doctor:?}");

    fine(&world, &["restart-runtime"]);
    assert!(world.server_of("a") != server && !lives(server.pid));
    assert_eq!((world.conversation("a"), world.session("a")["resumed"].as_bool()), (conversation, Some(true)));
    let doctor = world.peer(&["doctor"]);
    assert!(!doctor.stdout.contains("own executable is used instead"), "{doctor:?}");
    fine(&world, &["send", "a", "three"]);
    fine(&world, &["stop", "a"]);
    fine(&world, &["stop", "b"]);
    for name in ["a", "b"] {
        assert_eq!(world.deaths(name), 0);
    }
}

#[test]
#[ignore = "needs two versions of tmux; scripts/test-runtimes names them"]
fn a_fleet_goes_on_over_an_upgrade_of_tmux_and_back() {
    let (old, new) = (named("PEER_TEST_OLD_TMUX"), named("PEER_TEST_NEW_TMUX"));
    goes_on(RuntimeKind::Tmux, &old, &new);
    goes_on(RuntimeKind::Tmux, &new, &old);
}

#[test]
#[ignore = "needs two versions of zellij; scripts/test-runtimes names them"]
fn a_fleet_goes_on_over_an_upgrade_of_zellij_and_back() {
    let (old, new) = (named("PEER_TEST_OLD_ZELLIJ"), named("PEER_TEST_NEW_ZELLIJ"));
    goes_on(RuntimeKind::Zellij, &old, &new);
    goes_on(RuntimeKind::Zellij, &new, &old);
}
