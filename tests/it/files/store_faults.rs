//! A state directory that fails: what cannot be read or written is reported, nothing is killed or started because of
//! it, and a file that does not parse is set aside once.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use crate::common;
use crate::common::not_run::{cannot_run, is_root};
use crate::common::{Run, World, lives, signal};
use nix::sys::signal::Signal;
use serde_json::json;

fn chmod(path: &std::path::Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}

/// Files that were set aside, by their original suffixes.
fn aside(world: &World, name: &str) -> Vec<String> {
    let prefix = format!("{name}.");
    let mut found: Vec<String> = fs::read_dir(world.path("state"))
        .expect("it is there")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|file| Some(file.strip_prefix(&prefix)?.split_once(".corrupt-")?.0.to_owned()))
        .collect();
    found.sort();
    found
}

#[test]
fn a_state_directory_that_others_may_write_to_is_refused() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.peer(&["list"]);
    let state = world.path("state");
    chmod(&state, 0o770);
    for verb in [&["wake", "a"][..], &["stop", "a"], &["list"], &["why", "a"]] {
        world.peer(verb).fails(
            1,
            &format!("error: cannot use {}: others may write to it (mode 770); run chmod 700 on it\n", state.display()),
        );
    }
    assert!(world.server().is_none());
}

#[test]
fn a_state_directory_of_another_user_is_refused() {
    if !is_root() {
        return;
    }
    let world = World::new();
    world.add("a", &["cat"]);
    world.peer(&["list"]);
    let state = world.path("state");
    chown(&state, Some(4_242), None).expect("chown");
    world.peer(&["wake", "a"]).fails(
        1,
        &format!(
            "error: cannot use {}: it belongs to uid 4242, and its records would decide what we kill\n",
            state.display()
        ),
    );
    chown(&state, Some(0), None).expect("chown");
}

#[test]
fn state_is_made_private() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.peer(&["wake", "a"]);
    let mode = |path: &str| world.path(path).metadata().expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode("state"), mode("state/panes")), (0o700, 0o700));
    for (path, _) in world.snapshot() {
        let meta = path.metadata().expect("it is there");
        assert!(meta.is_dir() || meta.permissions().mode() & 0o777 == 0o600, "{}", path.display());
    }
}

/// Runs `peer` with a limit on the size of files, which looks like a full disk to a writer.
fn with_full_disk(world: &World, args: &[&str]) -> Run {
    // 0 blocks for new data; SIGXFSZ is ignored, so that writes fail with an error.
    let mut command = world.command(&[]);
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$@\"";
    let mut shell = std::process::Command::new("bash");
    shell.args(["-c", script, "bash", env!("CARGO_BIN_EXE_peer")]).args(args).env_clear().current_dir(world.work());
    for (key, value) in command.get_envs() {
        shell.env(key, value.expect("set"));
    }
    command.stdin(std::process::Stdio::null());
    Run::of(&mut shell, None)
}

#[test]
fn on_a_full_disk_nothing_is_killed_and_nothing_is_started() {
    let world = World::new();
    world.demo("a", &[]);
    world.demo("b", &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    let (agent, conversations) = (world.agent("a"), world.conversations("a"));
    for verb in [&["stop", "a"][..], &["new", "a"], &["wake", "b"]] {
        let run = with_full_disk(&world, verb);
        assert_eq!(run.code, 1, "{verb:?}: {run:?}");
        assert!(run.stderr.starts_with("error: cannot write ") && run.stderr.contains("File too large"), "{run:?}");
    }
    assert!(lives(agent) && world.agent("a") == agent, "nothing was signalled");
    assert!(!world.has("a", "stopped") && !world.has("a", "idle-reaped"));
    assert_eq!((world.conversations("a"), world.processes().len()), (conversations, 1));
    // With room on the disk again, everything continues.
    world.peer(&["wake", "a", "b"]).prints("a: already awake\nb: woken fresh (first-wake)\n");
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
}

#[test]
fn a_read_only_state_directory_is_said() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.peer(&["wake", "a"]);
    let agent = world.agent("a");
    let state = world.path("state");
    // Root ignores modes, so the mount itself has to be read-only, in a separate mount namespace of the command.
    let script = "mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\" && exec \"$@\"";
    let mut shell = std::process::Command::new("unshare");
    shell.args(["-m", "bash", "-c", script]).arg(&state).args([env!("CARGO_BIN_EXE_peer"), "stop", "a"]).env_clear();
    for (key, value) in world.command(&[]).get_envs() {
        shell.env(key, value.expect("set"));
    }
    let run = Run::of(&mut shell, None);
    if run.stderr.contains("unshare") || run.stderr.contains("mount:") {
        cannot_run(&format!("no mount namespaces: {}", run.stderr));
        return;
    }
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("Read-only file system"), "{run:?}");
    assert!(lives(agent) && !world.has("a", "stopped"));
}

#[test]
fn a_corrupt_session_is_set_aside_once_and_its_agent_is_found_again() {
    let world = World::new();
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    let (agent, conversation) = (world.agent("a"), world.conversation("a"));
    world.write("a", "session", "{\"incarnation\": 1,");
    let run = world.peer(&["wake", "a", "-m", "more"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "a: already awake; message delivered\n"), "{run:?}");
    assert!(run.stderr.starts_with("note: a file of a did not parse ("), "{run:?}");
    assert_eq!((aside(&world, "a"), world.events("a", "store.corrupt").len()), (vec!["session".to_owned()], 1));
    assert_eq!(world.peer(&["wake", "a"]).stderr, "", "reported once");
    assert_eq!(
        (world.agent("a"), world.processes(), world.conversation("a")),
        (agent, vec![agent], conversation.clone())
    );
    world.peer(&["stop", "a"]).prints("a: parked and stopped\n");
    assert_eq!((world.processes().len(), world.end("a")["conversation"].as_str()), (0, Some(conversation.as_str())));
}

#[test]
fn a_corrupt_session_of_a_dead_agent_is_only_set_aside() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.peer(&["wake", "a"]);
    let agent = world.agent("a");
    signal(world.pane_process("a"), Signal::SIGKILL);
    common::wait_until("it is dead", || !lives(agent));
    world.write("a", "session", "");
    let run = world.peer(&["wake", "a"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(world.session("a")["incarnation"].as_u64() > Some(1), "a number never comes twice");
    assert_eq!(world.processes().len(), 1);
}

#[test]
fn a_corrupt_end_is_set_aside_and_a_park_still_resumes() {
    let world = World::new();
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    let conversation = world.conversation("a");
    world.peer(&["stop", "a"]);
    world.peer(&["start", "a"]);
    world.write("a", "end", "not JSON");
    let why = world.peer(&["why", "a"]);
    assert!(why.stdout.starts_with(&format!("a: a wake would resume {conversation} (idle-reaped)\n")), "{why:?}");
    let run = world.peer(&["wake", "a"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "a: woken resumed (idle-reaped)\n"), "{run:?}");
    assert_eq!((aside(&world, "a"), world.conversation("a")), (vec!["end".to_owned()], conversation));
    assert!(world.session("a")["incarnation"].as_u64() > Some(1), "a number never comes twice");
}

#[test]
fn a_corrupt_end_of_a_crash_is_not_revived() {
    let world = World::new();
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    signal(world.agent("a"), Signal::SIGKILL);
    world.await_end("a");
    world.write("a", "end", "");
    let why = world.peer(&["why", "a"]);
    assert!(why.stdout.starts_with("a: a wake would start fresh (vanished)\n"), "{why:?}");
    assert_eq!(world.peer(&["wake", "a"]).stdout, "a: woken fresh (vanished)\n");
}

#[test]
fn an_agent_whose_record_does_not_parse_is_shown_as_running() {
    let world = World::new();
    world.demo("a", &[]);
    world.peer(&["wake", "a"]);
    let agent = world.agent("a");
    // As a newer version may write it.
    world.edit("a", "session", |record| record["intent"] = json!("hibernated"));
    let list = world.peer(&["list", "--json"]).json();
    assert_eq!(list["peers"][0]["state"], "unknown", "{list}");
    assert!(list["peers"][0]["detail"].as_str().is_some_and(|why| why.contains("its agent runs")), "{list}");
    assert_eq!(world.peer(&["wake", "a"]).stdout, "a: already awake\n");
    assert_eq!(world.agent("a"), agent);
}

#[test]
fn a_corrupt_ring_of_deaths_is_an_empty_one() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.peer(&["list"]);
    world.write("a", "deaths", "[1, 2, \"three\"]");
    let run = world.peer(&["wake", "a"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "a: woken fresh (first-wake)\n"), "{run:?}");
    assert!(run.stderr.starts_with("note: a file of a did not parse ("), "{run:?}");
    assert_eq!((aside(&world, "a"), world.deaths("a")), (vec!["deaths".to_owned()], 0));
    assert_eq!(world.peer(&["wake", "a"]).stderr, "");
}

#[test]
fn a_corrupt_number_of_a_removed_peer_is_set_aside_and_none_comes_twice() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.peer(&["wake", "a"]);
    world.peer(&["rm", "a", "--force"]);
    assert_eq!(fs::read_to_string(world.file("a", "lock")).expect("it stays"), "{\"incarnation\":1}\n");
    world.add("a", &["cat"]);
    world.write("a", "lock", "{\"incarnation\": no number, and longer than one");
    let said = |run: Run| assert!(run.stdout.contains("a.lock: expected"), "{run:?}");
    said(world.peer(&["status", "a"]));
    said(world.peer(&["doctor"]));
    let run = world.peer(&["wake", "a"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "a: woken fresh (first-wake)\n"), "{run:?}");
    assert!(run.stderr.starts_with("note: a file of a did not parse ("), "{run:?}");
    assert_eq!((aside(&world, "a"), world.events("a", "store.corrupt").len()), (vec!["lock".to_owned()], 1));
    assert_eq!(world.peer(&["wake", "a"]).stderr, "", "reported once");
    // The clock is the lower bound if no file shows a number.
    let far_above = || assert!(world.session("a")["incarnation"].as_u64() > Some(1_000_000_000));
    far_above();
    // The same holds if the peer is removed again before the file is set aside, or while its end does not parse.
    for (spoilt, lock) in [("lock", "nonsense"), ("end", "")] {
        world.peer(&["rm", "a", "--force"]);
        world.add("a", &["cat"]);
        world.write("a", "lock", lock);
        world.write("a", spoilt, "nonsense");
        assert_eq!(world.peer(&["rm", "a"]).code, 0);
        world.add("a", &["cat"]);
        assert_eq!(world.peer(&["wake", "a"]).stderr, "", "nothing of it is left");
        far_above();
    }
}

#[test]
fn why_reports_what_it_would_do_with_corrupt_files_and_moves_none() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.peer(&["list"]);
    world.write("a", "end", "not JSON");
    let before = world.snapshot();
    assert_eq!(world.peer(&["why", "a"]).code, 0);
    assert!(world.snapshot() == before);
}

#[test]
fn a_torn_line_of_conversations_loses_no_other() {
    let world = World::new();
    world.demo("a", &[]);
    world.peer(&["wake", "a", "-m", "hello"]);
    let first = world.conversation("a");
    world.peer(&["stop", "a"]);
    world.peer(&["start", "a"]);
    let path = world.file("a", "conversations");
    let text = fs::read_to_string(&path).expect("read");
    fs::write(&path, format!("{text}{{\"at_ms\": 12, \"conver")).expect("write");
    assert_eq!(world.peer(&["wake", "a", "--fresh"]).code, 0);
    let text = fs::read_to_string(&path).expect("read");
    assert!(text.starts_with("{\"at_ms\"") && text.contains(&first));
    let second = world.conversation("a");
    let whole: Vec<&str> =
        text.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()).collect();
    assert!(whole.iter().any(|line| line.contains(&second)), "the new id stands on a line of its own: {text}");
}

#[test]
fn an_exit_record_that_was_not_settled_is_settled_by_the_next_wake() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.peer(&["wake", "a"]);
    let agent = world.agent("a");
    // As if the pane process was killed between writing its exit record and the end.
    signal(world.pane_process("a"), Signal::SIGKILL);
    common::wait_until("it is dead", || !lives(agent));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let exit = json!({ "incarnation": 1, "at_ms": u64::try_from(now.as_millis()).expect("ms"), "code": 3, "uptime_ms": 5, "max_rss_kib": 7 });
    fs::write(world.path("state/panes/a.1.exit"), exit.to_string()).expect("write");
    world.peer(&["wake", "a"]).prints("a: woken fresh (crashed)\n");
    let end = world.end("a");
    assert_eq!((&end["code"], &end["uptime_ms"], &end["max_rss_kib"]), (&json!(3), &json!(5), &json!(7)));
    assert_eq!(fs::read_dir(world.path("state/panes")).expect("panes").count(), 1, "only the new launch file is left");
}
