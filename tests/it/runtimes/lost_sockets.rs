//! A tmux server that is alive and cannot be reached at its path: a cleaner removed the socket, its directory or all of
//! `$TMUX_TMPDIR`, or another server listens there. No healthy agent is ended, no death is counted, and no second
//! server is started. Verbs that may act make the recorded server listen again, and the others name it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::common;
use crate::common::ticks::{done, settle, skipped, tick};
use crate::common::{Run, World, lives, quoted, wait_for, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::process::{self, ProcessId};
use serde_json::Value;

/// What a cleaner removes: the socket, its directory, or the parent of that.
const REMOVED: [&str; 3] = ["tmp/tmux-0/peer", "tmp/tmux-0", "tmp"];

fn socket(world: &World) -> PathBuf {
    world.path(REMOVED[0])
}

/// Two peers that are awake and one that is not, on a server whose directory tmux would make.
fn fleet() -> World {
    let world = World::new();
    for name in ["a", "b", "c"] {
        world.demo(name, &[]);
        world.set_in_spec(name, &format!("idle_timeout = \"0s\"\nsocket = {}", quoted(&socket(&world))));
    }
    assert_eq!(world.peer(&["wake", "a", "b", "-m", "hello"]).code, 0);
    settle(&world, "a");
    settle(&world, "b");
    world
}

fn remove(path: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).expect("removed");
    } else {
        fs::remove_file(path).expect("removed");
    }
}

fn row(world: &World, name: &str) -> Value {
    let list = world.peer(&["list", "--json"]).json();
    list["peers"].as_array().expect("rows").iter().find(|row| row["peer"] == name).expect("it is listed").clone()
}

fn state(world: &World, name: &str) -> String {
    row(world, name)["state"].as_str().expect("a word").to_owned()
}

/// Asserts that verbs that only read report what is known and what can be done, and change nothing.
#[track_caller]
fn is_named(world: &World, server: ProcessId, what: &str) {
    let before = world.snapshot();
    assert_eq!(state(world, "a"), "unknown", "{what}");
    for args in [&["status", "a"][..], &["why", "a"], &["doctor"], &["reap", "--dry-run", "--json"]] {
        let run = world.peer(args);
        let said = run.stdout + &run.stderr;
        assert!(said.contains(&format!("process {}", server.pid)), "{what}: {args:?}: {said}");
    }
    assert!(world.peer(&["doctor"]).stdout.contains("-> peer doctor --fix"), "{what}");
    assert!(!socket(world).exists() && world.snapshot() == before, "{what}");
}

/// Asserts that the same agents are on the same single server, every peer is reached, and no death is counted.
#[track_caller]
fn all_is_well(world: &World, agents: [u32; 2], server: ProcessId, what: &str) {
    assert_eq!(world.tmux_servers(), [server], "{what}");
    for (name, agent) in ["a", "b"].into_iter().zip(agents) {
        assert_eq!((world.agent(name), lives(agent), world.deaths(name)), (agent, true, 0), "{what}");
        assert_eq!((state(world, name), world.end(name)), ("awake".to_owned(), Value::Null), "{what}");
    }
    let directory = fs::metadata(socket(world).parent().expect("a directory")).expect("it is there");
    assert_eq!(directory.permissions().mode() & 0o777, 0o700, "{what}");
    for _ in 0..2 {
        let document = tick(world, &[]);
        assert_eq!((done(&document), skipped(&document)), (vec![], vec![]), "{what}");
    }
}

#[test]
fn whoever_may_act_makes_a_server_listen_again() {
    let verbs: [&[&str]; 6] = [
        &["wake", "a"],
        &["wake", "c"],
        &["send", "a", "hello again"],
        &["reap"],
        &["doctor", "--fix"],
        &["wake", "b"],
    ];
    let world = fleet();
    let (agents, server) = ([world.agent("a"), world.agent("b")], world.server_of("a"));
    for (n, verb) in verbs.into_iter().enumerate() {
        let gone = REMOVED[n % REMOVED.len()];
        remove(&world.path(gone));
        let what = format!("{verb:?} after {gone}");
        is_named(&world, server, &what);
        let run = world.peer(verb);
        assert!(run.code == 0 || verb[0] == "doctor", "{what}: {run:?}");
        all_is_well(&world, agents, server, &what);
    }
    assert_eq!(world.said(&world.conversation("a")), ["hello", "hello again"]);
    assert_eq!(world.server_of("c"), server, "it was started on the same one");
}

#[test]
fn a_stop_reaches_its_agent_and_no_other() {
    let world = fleet();
    let (agent, other, server) = (world.agent("a"), world.agent("b"), world.server_of("a"));
    remove(&world.path(REMOVED[1]));
    assert_eq!(world.peer(&["stop", "a"]).code, 0);
    assert_eq!((lives(agent), lives(other)), (false, true));
    assert_eq!((world.end("a")["cause"].clone(), world.deaths("a")), (Value::from("stopped"), 0));
    assert_eq!((state(&world, "b"), world.tmux_servers()), ("awake".to_owned(), vec![server]));
}

#[test]
fn many_at_once_make_it_listen_again_and_start_no_second_one() {
    let world = fleet();
    let (agents, server) = ([world.agent("a"), world.agent("b")], world.server_of("a"));
    for _ in 0..3 {
        remove(&world.path(REMOVED[2]));
        let runs: Vec<Run> = std::thread::scope(|scope| {
            let verbs: [&[&str]; 6] =
                [&["wake", "a"], &["wake", "b"], &["wake", "c"], &["reap"], &["wake", "a"], &["wake", "b"]];
            let run = |verb: &'static [&'static str]| world.peer(verb);
            let threads = verbs.map(|verb| scope.spawn(move || run(verb)));
            threads.into_iter().map(|thread| thread.join().expect("it ends")).collect()
        });
        assert!(runs.iter().all(|run| run.code == 0), "{runs:?}");
        all_is_well(&world, agents, server, "many at once");
    }
}

#[test]
fn nobody_waits_for_ever_for_another_that_makes_a_server_listen_again() {
    let world = fleet();
    let (agents, server) = ([world.agent("a"), world.agent("b")], world.server_of("a"));
    let config = world.path("config/config.toml");
    let patient = fs::read_to_string(&config).expect("read");
    fs::write(&config, patient.replace("\"30s\"", "\"2s\"")).expect("written");
    remove(&socket(&world));
    // Another command that is stopped while it does so.
    let lock = fs::File::create(world.path("state/servers-lock")).expect("a lock file");
    fs2::FileExt::lock_exclusive(&lock).expect("nobody else has it");
    for verb in [&["wake", "a"][..], &["wake", "c"], &["send", "a", "x"], &["stop", "a"]] {
        let run = world.peer(verb);
        assert!(run.code == 6 && run.stderr.contains("/servers-lock for 2s"), "{verb:?}: {run:?}");
    }
    let document = tick(&world, &[]);
    let told = skipped(&document);
    assert!(done(&document).is_empty() && told.iter().any(|line| line.contains("servers-lock")), "{document}");
    drop(lock);
    fs::write(&config, patient).expect("written");
    world.peer(&["wake", "a"]).prints("a: already awake\n");
    all_is_well(&world, agents, server, "once it is free");
}

#[test]
fn a_server_that_cannot_listen_again_is_unknown_and_says_why() {
    let world = fleet();
    let (agent, server) = (world.agent("a"), world.server_of("a"));
    remove(&world.path(REMOVED[0]));
    common::stop(server.pid);
    let run = world.peer(&["wake", "a"]);
    assert!(run.code == 6 && run.stderr.contains(&format!("kill -CONT {}", server.pid)), "{run:?}");
    assert_eq!(world.peer(&["wake", "c"]).code, 6);
    let document = tick(&world, &[]);
    assert!(done(&document).is_empty() && skipped(&document).iter().any(|line| line.contains("stopped")), "{document}");
    common::signal(server.pid, Signal::SIGCONT);
    let dir = world.path(REMOVED[1]);
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).expect("chmod");
    let run = world.peer(&["wake", "a"]);
    assert!(run.code == 6 && run.stderr.contains("chmod 0700"), "{run:?}");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).expect("chmod");
    // tmux would remove any file there.
    fs::write(socket(&world), "precious").expect("written");
    let run = world.peer(&["wake", "a"]);
    assert!(run.code == 6 && run.stderr.contains("is not a socket: move it away"), "{run:?}");
    assert_eq!(fs::read_to_string(socket(&world)).expect("it is there"), "precious");
    remove(&socket(&world));
    world.peer(&["wake", "a"]).prints("a: already awake\n");
    assert_eq!((world.agent("a"), lives(agent), world.deaths("a")), (agent, true, 0));
    assert!(world.session("c").is_null() && world.deaths("c") == 0, "nothing was begun");
}

/// tmux itself falls back to /tmp if `$TMUX_TMPDIR` does not exist.
#[test]
fn a_directory_of_sockets_that_is_gone_is_made_again() {
    let world = World::new();
    let (dir, name) = (world.path("tmp"), format!("peer-test-{}", std::process::id()));
    fs::create_dir(&dir).expect("made");
    let peer = |args: &[&str]| Run::of(world.command(args).env("TMUX_TMPDIR", &dir), None);
    for peer in ["a", "b"] {
        world.demo(peer, &[]);
        world.set_in_spec(peer, &format!("socket = {name:?}"));
    }
    assert_eq!(peer(&["wake", "a"]).code, 0);
    let (agent, server) = (world.agent("a"), world.server_of("a"));
    remove(&dir);
    assert_eq!(peer(&["wake", "b"]).code, 0);
    assert_eq!((world.server_of("b"), world.tmux_servers()), (server, vec![server]));
    peer(&["wake", "a"]).prints("a: already awake\n");
    assert_eq!((world.agent("a"), lives(agent)), (agent, true));
}

/// Another server whose sessions have the same names and ids as ours.
#[test]
fn another_server_on_the_path_says_nothing_of_ours() {
    let world = fleet();
    let (agents, server) = ([world.agent("a"), world.agent("b")], world.server_of("a"));
    remove(&socket(&world));
    for session in ["a-1", "b-1"] {
        assert_eq!(
            world.tmux_on(&socket(&world), &["-f", "/dev/null", "new-session", "-d", "-s", session, "sleep 1000"]),
            ""
        );
    }
    let other = world.tmux_servers().into_iter().find(|found| *found != server).expect("a second server");
    let names_both = |said: &str| {
        said.contains(&format!("process {}", other.pid)) && said.contains(&format!("kill -USR1 {}", server.pid))
    };
    assert_eq!(state(&world, "a"), "unknown");
    for verb in [&["wake", "a"][..], &["send", "a", "x"], &["stop", "a"], &["new", "a"], &["screen", "a"]] {
        let run = world.peer(verb);
        assert!(run.code == 6 && names_both(&run.stderr), "{verb:?}: {run:?}");
    }
    let run = world.peer(&["wake", "c"]);
    assert!(run.code == 6 && run.stderr.contains(&format!("process {}", server.pid)), "{run:?}");
    assert!(world.session("c").is_null(), "nothing is started there");
    assert!(world.peer(&["doctor", "--fix"]).stdout.lines().any(names_both));
    for _ in 0..2 {
        let document = tick(&world, &[]);
        assert!(done(&document).is_empty() && skipped(&document).iter().any(|line| names_both(line)), "{document}");
    }
    assert_eq!([world.agent("a"), world.agent("b")], agents);
    assert!(agents.iter().all(|agent| lives(*agent)) && world.deaths("a") == 0 && world.end("a").is_null());
    let theirs = world.tmux_on(&socket(&world), &["list-sessions", "-F", "#{session_name}"]);
    assert_eq!(theirs.lines().collect::<Vec<_>>(), ["a-1", "b-1"]);
    // The remedy that the message names.
    common::signal(server.pid, Signal::SIGUSR1);
    wait_until("it has its path back", || state(&world, "a") == "awake");
    assert!(process::find(other).expect("/proc").is_some());
    assert_eq!(world.peer(&["wake", "c"]).code, 0);
    assert_eq!(world.server_of("c"), server);
}

/// A recorded server that has ended is gone, whichever server listens at its path.
#[test]
fn a_server_that_ended_is_lost_though_another_one_listens() {
    let world = fleet();
    let (server, conversation) = (world.server_of("a"), world.conversation("a"));
    process::signal(server, Signal::SIGKILL).expect("killed");
    wait_until("it has ended", || process::find(server).expect("/proc").is_none());
    let new = ["-f", "/dev/null", "new-session", "-d", "-s", "a-1", "sleep 1000"];
    assert_eq!(world.tmux_on(&socket(&world), &new), "");
    // A process that the server forks for a pane looks like a server until it executes a program.
    let other = wait_for("one server", || Some(world.tmux_servers()).filter(|servers| servers.len() == 1));
    assert_eq!(world.peer(&["wake", "a"]).code, 0);
    tick(&world, &[]);
    for name in ["a", "b"] {
        assert_eq!((world.end(name)["cause"].clone(), world.deaths(name)), (Value::from("runtime-lost"), 0));
    }
    assert_eq!((world.conversation("a"), world.tmux_servers()), (conversation, other));
    let theirs = world.tmux_on(&socket(&world), &["list-sessions", "-F", "#{session_name}"]);
    assert!(theirs.lines().any(|name| name == "a-1"), "{theirs}");
}
