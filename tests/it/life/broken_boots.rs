//! A start that never was ready leaves the context to resume unchanged, and an agent that was never executed is not a
//! death.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

use crate::common;
use crate::common::run::succeeds;
use crate::common::{Run, World, on_each_runtime};
use peer::testing::StateDir;
use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};

on_each_runtime! {
    three_broken_boots_after_a_park_and_a_repaired_binary_goes_on_where_it_was
    whatever_it_would_have_resumed_for_it_still_does
    a_crash_is_not_resumed_because_the_start_after_it_was_interrupted
    a_start_that_reads_no_keys_yet_is_ended_by_a_signal_and_resumed_all_the_same
    a_runtime_that_refuses_is_nobodys_death
    too_few_files_for_a_wake_are_nobodys_death
    an_agent_that_the_machine_has_no_means_for_is_nobodys_death
}

/// A peer whose agent is a script, which runs the demo agent unless a test replaces it.
fn repairable(world: &World) {
    world.demo("a", &[]);
    let path = world.path("config/peers/a.toml");
    let spec = fs::read_to_string(&path).expect("readable");
    let program = spec.split('"').find(|word| word.ends_with("demo_agent")).expect("its program").to_owned();
    fs::write(&path, spec.replace(&program, world.work().join("agent").to_str().expect("UTF-8"))).expect("written");
    fs::write(world.work().join("healthy"), format!("#!/bin/sh\nexec {program} \"$@\"\n")).expect("written");
    install(world, None);
}

/// Replaces the agent by a script; `None` is the healthy one.
fn install(world: &World, broken: Option<&str>) {
    let (new, agent) = (world.work().join("new"), world.work().join("agent"));
    match broken {
        Some(text) => fs::write(&new, text).expect("written"),
        None => drop(fs::copy(world.work().join("healthy"), &new).expect("copied")),
    }
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("executable");
    fs::rename(new, agent).expect("renamed");
}

const BROKEN: [(&str, &str); 4] = [
    ("#!/bin/sh\necho please run /login; exit 1\n", "crashed"),
    ("#!/bin/sh\nexit 127\n", "crashed"),
    ("#!/bin/sh\nexit 0\n", "completed-early"),
    ("#!/nonexistent/interpreter\n", "spawn-failed"),
];

/// Wakes the peer, whose agent ends before it is ready.
#[track_caller]
fn fails(world: &World, cause: &str) -> Run {
    let run = world.peer(&["wake", "a"]);
    assert_eq!(run.code, 5, "{run:?}");
    let end = world.await_end("a");
    assert_eq!((&end["cause"], &end["counted"], &end["unready"]), (&json!(cause), &json!(true), &json!(true)), "{end}");
    run
}

fn why(world: &World) -> Value {
    world.peer(&["why", "a", "--json"]).json()["decision"].clone()
}

fn three_broken_boots_after_a_park_and_a_repaired_binary_goes_on_where_it_was(on: RuntimeKind) {
    let world = World::on(on);
    repairable(&world);
    world.peer(&["wake", "a", "-m", "hello"]);
    let conversation = world.conversation("a");
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    world.peer(&["start", "a"]);
    for (number, (broken, cause)) in BROKEN.into_iter().enumerate() {
        if number == 3 {
            // It counts for the crash-loop guard, even though the context is kept.
            assert_eq!((world.deaths("a"), world.peer(&["wake", "a"]).code), (3, 4));
            world.peer(&["reset", "a"]);
        }
        install(&world, Some(broken));
        let run = fails(&world, cause);
        // A wake never starts fresh by itself; from the second failure on, the hint says how to.
        assert_eq!(run.stderr.contains("peer wake a --fresh"), number > 0, "{run:?}");
        assert_eq!(world.end("a")["conversation"], conversation);
        if world.deaths("a") < 3 {
            assert_eq!(why(&world), json!(format!("resume {conversation} (stopped)")));
        }
    }
    install(&world, None);
    world.peer(&["wake", "a", "-m", "again"]).prints("a: woken resumed (stopped); message delivered\n");
    assert_eq!(
        (world.conversation("a"), world.said(&conversation)),
        (conversation, vec!["hello".into(), "again".into()])
    );
    world.await_screen("a", "ack turns=2: again");
}

fn whatever_it_would_have_resumed_for_it_still_does(on: RuntimeKind) {
    let world = World::on(on);
    repairable(&world);
    world.peer(&["wake", "a", "-m", "hello"]);
    let conversation = world.conversation("a");
    for cause in ["closed", "runtime-lost"] {
        match cause {
            "closed" => world.close_session("a"),
            _ => world.lose_server("a"),
        }
        world.await_end("a");
        install(&world, Some(BROKEN[0].0));
        fails(&world, "crashed");
        assert_eq!(why(&world), json!(format!("resume {conversation} ({cause})")));
        install(&world, None);
        world.peer(&["wake", "a"]).prints(&format!("a: woken resumed ({cause})\n"));
    }
    // A wake with --fresh that failed gave nothing up, because nothing replaced the old conversation.
    world.close_session("a");
    world.await_end("a");
    install(&world, Some(BROKEN[0].0));
    assert_eq!(world.peer(&["wake", "a", "--fresh", "--force"]).code, 5);
    install(&world, None);
    world.peer(&["reset", "a"]);
    world.peer(&["wake", "a"]).prints("a: woken resumed (closed)\n");
    assert_eq!(world.conversation("a"), conversation);
}

fn a_crash_is_not_resumed_because_the_start_after_it_was_interrupted(on: RuntimeKind) {
    let world = World::on(on);
    repairable(&world);
    world.peer(&["wake", "a", "-m", "hello"]);
    let conversation = world.conversation("a");
    common::signal(world.agent("a"), nix::sys::signal::Signal::SIGKILL);
    world.await_end("a");
    // The agent starts, is never ready, and is stopped.
    install(&world, Some("#!/bin/sh\nexec sleep 1000\n"));
    world.set_in_spec("a", "ready_timeout = \"300ms\"");
    assert_eq!(world.peer(&["wake", "a"]).code, 5);
    world.peer(&["stop", "a"]);
    world.peer(&["start", "a"]);
    install(&world, None);
    assert_eq!(why(&world), "start fresh (killed)");
    let path = world.path("config/peers/a.toml");
    let spec = fs::read_to_string(&path).expect("readable");
    fs::write(&path, spec.replace("ready_timeout = \"300ms\"\n", "")).expect("written");
    world.peer(&["wake", "a"]).prints("a: woken fresh (killed)\n");
    assert_ne!(world.conversation("a"), conversation);
}

/// While the agent starts, it reads no keys and its terminal is in cooked mode, where the signal of a Ctrl-C is lost
/// (seen with Claude Code 2.1.328).
fn a_start_that_reads_no_keys_yet_is_ended_by_a_signal_and_resumed_all_the_same(on: RuntimeKind) {
    let world = World::on(on);
    repairable(&world);
    world.peer(&["wake", "a", "-m", "hello"]);
    let conversation = world.conversation("a");
    world.peer(&["stop", "a"]);
    world.peer(&["start", "a"]);
    install(&world, Some("#!/bin/sh\ntrap '' INT\necho a banner\nexec sleep 1000\n"));
    let mut wake = world.command(&["wake", "a"]);
    let wake = wake.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    common::wait_until("its agent is on record", || world.session("a")["process"].is_object());
    world.await_screen("a", "a banner");
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    let end = world.end("a");
    assert_eq!(
        (&end["cause"], &end["signal"], &end["counted"], &end["unready"]),
        (&json!("stopped"), &json!(15), &json!(false), &json!(true)),
        "{end}"
    );
    let wake = Run::finish(wake, None, Instant::now());
    assert_eq!((wake.code, world.processes()), (5, Vec::new()), "{wake:?}");
    install(&world, None);
    world.peer(&["start", "a"]);
    world.peer(&["wake", "a"]).prints("a: woken resumed (stopped)\n");
    assert_eq!(world.conversation("a"), conversation);
}

/// A parked peer with a conversation; returns the conversation and its end.
fn parked(world: &World) -> (String, Value) {
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    let conversation = world.conversation("a");
    world.peer(&["stop", "a"]);
    world.peer(&["start", "a"]);
    (conversation, world.end("a"))
}

#[track_caller]
fn is_as_it_was(world: &World, conversation: &str, end: &Value) {
    assert_eq!(
        (world.deaths("a"), &world.end("a")["cause"], &world.end("a")["at_ms"]),
        (0, &end["cause"], &end["at_ms"])
    );
    assert_eq!(why(world), json!(format!("resume {conversation} (stopped)")));
    let row = world.peer(&["list", "a", "--format", "{state}"]);
    row.prints("asleep\n");
}

fn a_runtime_that_refuses_is_nobodys_death(on: RuntimeKind) {
    let world = World::on(on);
    let (conversation, end) = parked(&world);
    // A client that fails like one that gets no terminal, no memory, or no room for its socket's path.
    let (client, kind) = (world.path("refuses"), on.as_str());
    fs::write(&client, "#!/bin/sh\ncase $1 in -V|--version) exec \"$REAL\" \"$1\";; esac\necho 'fork failed: Cannot allocate memory' >&2\nexit 1\n")
        .expect("written");
    fs::set_permissions(&client, fs::Permissions::from_mode(0o755)).expect("executable");
    let config = fs::read_to_string(world.path("config/config.toml")).expect("readable");
    let with_client = match on {
        RuntimeKind::Tmux => config.replace("[tmux]\n", &format!("[tmux]\nbinary = {}\n", common::quoted(&client))),
        RuntimeKind::Zellij => format!("{config}\n[zellij]\nbinary = {}\n", common::quoted(&client)),
    };
    fs::write(world.path("config/config.toml"), with_client).expect("written");
    let real =
        peer_adapters::command::resolve(kind.as_ref(), None, std::path::Path::new("/")).expect("it is installed");
    for _ in 0..4 {
        let run = Run::of(world.command(&["wake", "a"]).env("REAL", &real), None);
        assert_eq!(run.code, 6, "{run:?}");
        assert_eq!(world.events("a", "session.ended").len(), 1, "{run:?}");
    }
    assert!(!world.events("a", "wake.failed").is_empty());
    fs::write(world.path("config/config.toml"), config).expect("written");
    is_as_it_was(&world, &conversation, &end);
    world.peer(&["wake", "a"]).prints("a: woken resumed (stopped)\n");
    assert_eq!((world.conversation("a"), world.processes().len()), (conversation, 1));
}

/// A wake that may open few files is refused before it has done anything, or succeeds.
fn too_few_files_for_a_wake_are_nobodys_death(on: RuntimeKind) {
    let world = World::on(on);
    let (conversation, end) = parked(&world);
    for descriptors in 8..64 {
        let run = world.peer_after(&format!("ulimit -Sn {descriptors}"), &["wake", "a"]);
        assert_eq!(world.deaths("a"), 0, "{descriptors} descriptors: {run:?} {}", world.end("a"));
        if run.code == 0 {
            assert_eq!(world.conversation("a"), conversation, "{run:?}");
            assert!(descriptors > 16, "{descriptors} descriptors are few");
            return;
        }
        assert!(run.stderr.ends_with("hint: ulimit -n 1024\n"), "{descriptors} descriptors: {run:?}");
        assert_eq!(world.end("a")["at_ms"], end["at_ms"], "{descriptors} descriptors: {run:?}");
    }
    panic!("it needs more than 64 files");
}

/// Wakes `a`, whose pane process may open only this many files. The wake is a copy of `peer` that waits for the lock
/// while its executable, which it has the runtime run, is replaced.
fn wake_with_little(world: &World, descriptors: u32) -> Run {
    let real = PathBuf::from(env!("CARGO_BIN_EXE_peer"));
    let copy = world.path("copy");
    // By another process: while this one has it open for writing, a child that another case starts may have it open too,
    // and what is open for writing cannot be executed.
    assert!(succeeds(std::process::Command::new("cp").args([&real, &copy])), "copied");
    let state = StateDir::open(world.path("state")).expect("there");
    let locked = state.try_lock(&"a".parse().expect("a name")).expect("usable").expect("free");
    let told = world.command(&["wake", "a"]);
    let mut wake = std::process::Command::new(&copy);
    wake.args(told.get_args()).env_clear().current_dir(world.work()).stdin(Stdio::null());
    for (key, value) in told.get_envs() {
        wake.env(key, value.expect("set"));
    }
    let started = Instant::now();
    let wake = wake.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let script = world.path("script");
    fs::write(&script, format!("#!/bin/sh\nulimit -Sn {descriptors}\nexec '{}' \"$@\"\n", real.display()))
        .expect("written");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("executable");
    fs::rename(&script, &copy).expect("replaced");
    drop(locked);
    Run::finish(wake, None, started)
}

fn an_agent_that_the_machine_has_no_means_for_is_nobodys_death(on: RuntimeKind) {
    let world = World::on(on);
    let (conversation, end) = parked(&world);
    // As many as the pane process has open when it forks, and one for what it writes.
    for time in 1..=4 {
        let run = wake_with_little(&world, 7);
        let told = format!(" in {}: Too many open files (os error 24)\n", world.work().display());
        assert!(run.code == 1 && run.stderr.starts_with("error: a was not started: cannot start "), "{run:?}");
        assert!(run.stderr.contains(&told) && run.stderr.ends_with("peer wake a tries again\n"), "{run:?}");
        let failed = world.events("a", "wake.failed");
        assert_eq!((failed.len(), &failed[time - 1]["cause"]), (time, &json!("machine-refused")));
        assert_eq!((world.sessions(), world.session_dirs()), (Vec::new(), Vec::new()));
        let launch = world.path(&format!("state/panes/a.{}.launch", time + 1));
        assert!(!launch.exists(), "it holds secrets");
    }
    assert_eq!(world.events("a", "session.ended").len(), 1);
    is_as_it_was(&world, &conversation, &end);
    world.peer(&["wake", "a"]).prints("a: woken resumed (stopped)\n");
    assert_eq!((world.conversation("a"), world.processes().len()), (conversation, 1));
}
