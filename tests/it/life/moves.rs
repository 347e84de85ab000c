//! `peer move`: the same peer and the same conversation in the other runtime, or nothing is touched.

use std::os::unix::fs::PermissionsExt;

use crate::common::{World, lives, signal, stop};
use nix::sys::signal::Signal;
use peer_adapters::runtime::RuntimeKind::{self, Tmux, Zellij};
use serde_json::json;

/// The text of the spec.
fn spec(world: &World, name: &str) -> String {
    std::fs::read_to_string(world.path(&format!("config/peers/{name}.toml"))).expect("declared")
}

/// Makes a program of a script, which can be executed while other tests start children.
fn program(world: &World, name: &str, script: &str) -> String {
    let path = world.path(name);
    std::fs::write(&path, script).expect("write");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn a_conversation_goes_there_and_back() {
    let world = World::on(Tmux);
    world.demo("a", &[]);
    world.set_in_spec("a", "# a comment of mine\nidle_timeout = \"90m\"");
    world.peer(&["wake", "a", "-m", "one"]);
    let (before, conversation) = (spec(&world, "a"), world.conversation("a"));
    for (number, to) in [(2, Zellij), (3, Tmux), (4, Zellij)] {
        let agent = world.agent("a");
        world
            .peer(&["move", "a", "--runtime", to.as_str()])
            .prints(&format!("a: moved to {to}\na: woken resumed (asked-resume)\n"));
        assert!(!lives(agent), "{to}");
        assert_eq!(world.session("a")["runtime"], to.as_str());
        assert_eq!(world.end("a")["cause"], "moved");
        assert_eq!(world.conversation("a"), conversation);
        let text = format!("turn {number}");
        world.peer(&["send", "a", &text]).prints("a: already awake; message delivered\n");
        assert_eq!(world.said(&conversation).last(), Some(&text));
        assert_eq!(world.processes(), [world.agent("a")], "one agent");
        assert_eq!(spec(&world, "a"), before.replace("\"tmux\"", &format!("\"{to}\"")), "the rest as it was typed");
    }
    assert_eq!(world.said(&conversation), ["one", "turn 2", "turn 3", "turn 4"], "turns go on");
    assert_eq!((world.deaths("a"), world.events("a", "peer.moved").len()), (0, 3));
    assert!(!world.tmux(&["list-sessions"]).contains("a-"), "nothing is left on tmux");
    world.peer(&["move", "a", "--runtime", "zellij"]).prints("a: is on zellij already\n");
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    assert!(world.session_dirs().is_empty());
}

#[test]
fn one_that_is_asleep_or_stopped_stays_so() {
    let world = World::on(Zellij);
    world.demo("a", &[]);
    world.peer(&["move", "a", "--runtime", "tmux"]).prints("a: moved to tmux; it was not awake\n");
    world.peer(&["wake", "a", "-m", "hello"]);
    let conversation = world.conversation("a");
    world.peer(&["stop", "a"]);
    world.peer(&["move", "a", "--runtime", "zellij"]).prints("a: moved to zellij; it was not awake\n");
    assert!(world.has("a", "stopped"));
    world.peer(&["start", "a"]);
    world.peer(&["wake", "a"]).prints("a: woken resumed (stopped)\n");
    assert_eq!((world.session("a")["runtime"].clone(), world.conversation("a")), (json!("zellij"), conversation));
    // A crash stays a crash, and what it left on the old runtime is removed.
    signal(world.agent("a"), Signal::SIGKILL);
    world.await_end("a");
    world.peer(&["move", "a", "--runtime", "tmux"]).prints("a: moved to tmux; it was not awake\n");
    assert!(world.session_dirs().is_empty());
    world.peer(&["wake", "a"]).prints("a: woken fresh (killed)\n");
}

#[test]
fn what_cannot_be_moved_is_refused_and_untouched() {
    let world = World::on(Tmux);
    world.demo("a", &[]);
    world.add("cat", &["cat"]);
    world.add("managed", &["cat"]);
    world.set_in_spec("managed", "managed_by = \"supervisord\"");
    world.peer(&["wake", "a", "cat"]);
    let agents = [world.agent("a"), world.agent("cat")];
    world.configure("[zellij]\nbinary = \"/nonexistent/zellij\"\n");
    world.peer(&["move", "a", "--runtime", "zellij"]).fails(
        6,
        "error: zellij is not installed: no executable at /nonexistent/zellij\n\
         hint: install zellij, or set its path in config.toml: [zellij] binary = \"…\"\n",
    );
    let old = program(&world, "old-zellij", "#!/bin/sh\necho zellij 0.44.0\n");
    let config = std::fs::read_to_string(world.path("config/config.toml")).expect("read");
    std::fs::write(world.path("config/config.toml"), config.replace("/nonexistent/zellij", &old)).expect("write");
    let run = world.peer(&["move", "a", "--runtime", "zellij"]);
    assert!(run.code == 6 && run.stderr.contains("0.44.1 or newer is needed"), "{run:?}");
    std::fs::write(
        world.path("config/config.toml"),
        config.replace("[zellij]\nbinary = \"/nonexistent/zellij\"\n", ""),
    )
    .expect("write");
    world.peer(&["move", "cat", "--runtime", "zellij"]).fails(
        1,
        "error: move cat: it is awake, and command cannot resume a conversation\n\
         hint: peer stop cat, which discards its state, then move it\n",
    );
    world.peer(&["move", "managed", "--runtime", "zellij"]).fails(
        1,
        "error: move managed: its lifecycle is managed by supervisord\n\
         hint: remove managed_by in `peer edit managed` first\n",
    );
    assert_eq!(world.peer(&["move", "a", "--runtime", "screen"]).code, 2);
    assert_eq!(world.peer(&["move", "nobody", "--runtime", "tmux"]).code, 3);
    for name in ["a", "cat", "managed"] {
        assert!(spec(&world, name).contains("runtime = \"tmux\""), "{name}");
    }
    assert_eq!([world.agent("a"), world.agent("cat")], agents);
    assert!(agents.iter().all(|pid| lives(*pid)));
    assert!(!world.has("a", "idle-reaped"));
}

#[test]
fn a_runtime_that_does_not_answer_is_no_reason_to_end_anything() {
    let world = World::on_within(Tmux, "2s");
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    let (agent, server) = (world.agent("a"), world.server_of("a").pid);
    stop(server);
    assert_eq!(world.peer(&["move", "a", "--runtime", "zellij"]).code, 6);
    signal(server, Signal::SIGCONT);
    assert!(lives(agent) && spec(&world, "a").contains("\"tmux\""));
}

/// Moves between the runtimes, either way: the target answers `--version` and fails at everything else.
fn comes_back_from_a_runtime_that_fails(from: RuntimeKind, to: RuntimeKind, version: &str) {
    let world = World::on(from);
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    let conversation = world.conversation("a");
    let flag = if to == Tmux { "-V" } else { "--version" };
    let broken = program(
        &world,
        "broken",
        &format!("#!/bin/sh\n[ \"$1\" = {flag} ] && {{ echo {version}; exit 0; }}\necho 'out of order' >&2\nexit 1\n"),
    );
    let path = world.path("config/config.toml");
    let good = std::fs::read_to_string(&path).expect("read");
    let bad = match to {
        Tmux => good.replace("[tmux]\n", &format!("[tmux]\nbinary = {broken:?}\n")),
        Zellij => format!("{good}[zellij]\nbinary = {broken:?}\n"),
    };
    std::fs::write(&path, bad).expect("write");
    let run = world.peer(&["move", "a", "--runtime", to.as_str()]);
    assert_eq!(run.code, 6, "{run:?}");
    assert!(
        run.stderr.starts_with(&format!("error: a was moved to {to}, but could not be woken there: {to} ")),
        "{run:?}"
    );
    assert!(run.stderr.contains("its conversation is kept"), "{run:?}");
    assert_eq!(world.processes(), Vec::<u32>::new());
    world.peer(&["move", "a", "--runtime", from.as_str()]).prints(&format!("a: moved to {from}; it was not awake\n"));
    world.peer(&["wake", "a", "--resume"]).prints("a: woken resumed (asked-resume)\n");
    assert_eq!(world.conversation("a"), conversation);
    world.peer(&["send", "a", "still there"]).prints("a: already awake; message delivered\n");
    assert_eq!(world.said(&conversation), ["hello", "still there"]);
}

#[test]
fn a_move_to_a_zellij_that_fails_loses_nothing() {
    comes_back_from_a_runtime_that_fails(Tmux, Zellij, "zellij 0.45.1");
}

#[test]
fn a_move_to_a_tmux_that_fails_loses_nothing() {
    comes_back_from_a_runtime_that_fails(Zellij, Tmux, "tmux 3.3a");
}
