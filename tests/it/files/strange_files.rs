//! Special files, or huge ones, in the place of regular files: no verb blocks on them or fills the memory with them,
//! and each is named in an error.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::ticks::{done, fleet, pulse, settle, skipped, tick, verdict};
use crate::common::{Run, World};
use serde_json::{Value, json};

/// Puts something in the place of a file.
type Spoil = fn(&Path);

fn fifo(path: &Path) {
    nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
}

fn device(path: &Path) {
    symlink("/dev/zero", path).expect("symlink");
}

fn directory(path: &Path) {
    fs::create_dir(path).expect("create");
}

fn socket(path: &Path) {
    drop(UnixListener::bind(path).expect("bind"));
}

/// Two gigabytes of nothing, in a file that takes no room on the disk.
fn sparse(path: &Path) {
    File::create(path).and_then(|file| file.set_len(2 << 30)).expect("sparse");
}

const NO_FILES: [(&str, Spoil); 4] =
    [("a FIFO", fifo), ("a device", device), ("a directory", directory), ("a socket", socket)];

fn clear(path: &Path) {
    // A directory, a file, or nothing.
    let _ = fs::remove_dir(path);
    let _ = fs::remove_file(path);
}

/// Runs `peer` with an address space of one GiB: reading without a limit runs out of memory, and waiting is killed as a
/// hang.
#[track_caller]
fn bounded(world: &World, args: &[&str]) -> Run {
    let plain = world.command(&[]);
    let mut shell = Command::new("bash");
    shell.args(["-c", "ulimit -v 1048576; exec \"$@\"", "bash", env!("CARGO_BIN_EXE_peer")]).args(args);
    shell.env_clear().current_dir(world.work()).stdin(Stdio::null());
    for (key, value) in plain.get_envs() {
        shell.env(key, value.expect("set"));
    }
    let run = Run::of(&mut shell, None);
    assert!((0..=7).contains(&run.code) && !run.stderr.contains("panicked"), "{args:?}: {run:?}");
    run
}

/// A demo agent that has had one message, and by its record nothing since for two hours.
fn talked(world: &World) {
    world.demo("a", &[]);
    world.set_in_spec("a", "idle_timeout = \"1h\"");
    assert_eq!(world.peer(&["wake", "a", "-m", "hello"]).code, 0);
    world.edit("a", "session", |record| {
        for key in ["woke_at_ms", "ready_at_ms", "delivered_at_ms"] {
            record[key] = json!(record[key].as_u64().expect("a time") - 7_200_000);
        }
    });
}

fn transcript(world: &World) -> PathBuf {
    let work = fs::canonicalize(world.work()).expect("it is there").display().to_string();
    let slug: String = work.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    world.path(&format!("home/demo/projects/{slug}/{}.jsonl", world.conversation("a")))
}

/// Verbs that only read, and a tick.
const LOOKS: [&[&str]; 5] = [&["list"], &["why", "a"], &["screen", "a"], &["log"], &["reap", "--json"]];

#[test]
fn an_agents_files_that_are_no_files_are_neither_waited_for_nor_a_reason_to_park() {
    let world = World::new();
    talked(&world);
    let status = world.path(&format!("home/demo/sessions/{}.json", world.agent("a")));
    fs::create_dir_all(status.parent().expect("it has one")).expect("create");
    for path in [transcript(&world), status] {
        let before = fs::read(&path);
        for (what, spoil) in NO_FILES.into_iter().chain([("2 GiB of nothing", sparse as Spoil)]) {
            clear(&path);
            spoil(&path);
            for verb in LOOKS.iter().chain(&[&["status", "a"][..], &["doctor"]]) {
                let run = bounded(&world, verb);
                if verb[0] == "list" || verb[0] == "reap" {
                    assert_eq!(run.code, 0, "{what} as {}: {run:?}", path.display());
                }
            }
            assert!(world.has("a", "session"), "{what} as {}: parked", path.display());
        }
        clear(&path);
        drop(before.map(|before| fs::write(&path, before).expect("write")));
    }
    // The transcript is a file again, and shows a turn that has just ended.
    bounded(&world, &["reap"]);
    assert!(world.has("a", "session"));
}

#[test]
fn of_a_huge_transcript_its_end_is_read() {
    let world = World::new();
    talked(&world);
    let path = transcript(&world);
    let text = fs::read_to_string(&path).expect("a transcript");
    let file = File::options().write(true).open(&path).expect("open");
    file.set_len(2 << 30).expect("sparse");
    file.write_all_at(format!("\n{text}").as_bytes(), 2 << 30).expect("write");
    let run = bounded(&world, &["send", "a", "once more"]);
    assert_eq!(run.code, 0, "{run:?}");
    bounded(&world, &["reap"]);
    assert!(world.has("a", "session"), "it was active a moment ago");
    let status = bounded(&world, &["status", "a", "--json"]).json();
    assert_eq!(status["transcript"], json!(path), "{status}");
}

/// Files of ours, and whether `peer status` names one that is spoilt.
const FILES: [(&str, bool); 16] = [
    ("config/peers/a.toml", true),
    ("config/agents/mine.toml", false),
    ("config/config.toml", true),
    ("state/a.session", true),
    ("state/a.end", true),
    ("state/a.deaths", true),
    ("state/a.conversations", false),
    ("state/a.topic", true),
    // What stop puts in its place is a file again.
    ("state/a.stopped", false),
    ("state/a.lock", true),
    ("state/panes/a.1.exit", false),
    ("state/heartbeat.json", false),
    ("state/versions.json", false),
    ("state/servers.json", false),
    ("state/reap-lock", false),
    ("state/lifecycle.log", false),
];

#[test]
fn what_is_no_file_in_the_place_of_ours_is_named_and_waited_for_by_nobody() {
    let world = World::new();
    for name in ["a", "b"] {
        world.add(name, &["cat"]);
    }
    assert_eq!(world.peer(&["wake", "a", "b", "--topic", "x"]).code, 0);
    settle(&world, "a");
    world.profile("mine", "extends = \"command\"\ndescription = \"mine\"\n");
    for (file, shown) in FILES {
        let path = world.path(file);
        let before = fs::read(&path).ok();
        // All files are opened in one place, so one of them stands for all.
        let spoils = if file == "state/a.session" { &NO_FILES[..] } else { &NO_FILES[..1] };
        for (what, spoil) in spoils {
            clear(&path);
            spoil(&path);
            for verb in LOOKS.iter().chain(&[&["agents"][..], &["wake", "a"], &["stop", "a"], &["show", "a"]]) {
                bounded(&world, verb);
            }
            let status = bounded(&world, &["status", "a"]);
            let said = format!("{}{}", status.stdout, status.stderr);
            assert!(!shown || said.contains("not a regular file"), "{what} as {file}: {status:?}");
            if file != "config/config.toml" && file != "state/lifecycle.log" {
                let list = bounded(&world, &["list", "--json"]).json();
                let rows = list["peers"].as_array().expect("rows").clone();
                let b = rows.iter().find(|row| row["peer"] == "b").unwrap_or(&Value::Null);
                assert_eq!(b["state"], "awake", "{what} as {file}: {list}");
            }
            clear(&path);
        }
        if let Some(before) = before {
            fs::write(&path, before).expect("write");
        }
        world.peer(&["start", "a"]);
        world.peer(&["wake", "a"]);
    }
}

#[test]
fn a_bad_file_of_one_peers_turns_or_none_at_all_costs_no_tick() {
    let world = World::new();
    for name in ["a", "b"] {
        world.demo(name, &["--slow-turn"]);
        assert_eq!(world.peer(&["wake", name, "-m", "SLOW 3000"]).code, 0);
    }
    let busy = |name: &str| pulse(&world, name)["turn"]["turn"] == "busy";
    fifo(&world.path("state/panes/a.1.turn"));
    let told = skipped(&tick(&world, &[]));
    assert!(told.len() == 1 && told[0].starts_with("a: ") && told[0].contains("it is a FIFO"), "{told:?}");
    assert!(busy("a") && busy("b"), "all are stamped");
    let started = |name: &str| world.events(name, "turn.started").len();
    assert_eq!((started("a"), started("b")), (0, 1));
    // A cleaner took the whole directory.
    fs::remove_dir_all(world.path("state/panes")).expect("it is there");
    assert_eq!(skipped(&tick(&world, &[])), Vec::<String>::new());
    assert_eq!(started("a"), 1);
    assert_eq!(world.peer(&["reap"]).code, 0);
}

#[test]
fn an_inbox_that_cannot_be_listed_costs_the_other_peers_nothing() {
    let world = World::new();
    for name in ["a", "b"] {
        world.demo(name, &[]);
    }
    world.peer(&["wake", "a"]);
    assert_eq!(world.peer(&["send", "b", "--queue", "hello"]).code, 0);
    // A link to itself cannot be followed, not even by root.
    symlink("a", world.path("state/inbox/a")).expect("symlink");
    let told = tick(&world, &[]);
    assert_eq!(done(&told), [["b", "delivered", "1 of its inbox"]]);
    let told = skipped(&told);
    assert!(told.len() == 1 && told[0].starts_with("a: cannot list "), "{told:?}");
    let list = world.peer(&["list", "--json"]);
    let document = list.json();
    let states: Vec<_> = document["peers"].as_array().expect("rows").iter().map(|row| &row["state"]).collect();
    assert!(list.code == 1 && states == ["awake", "awake"] && document["broken"][0]["peer"] == "a", "{document}");
}

#[test]
fn a_tab_never_waits() {
    let world = World::new();
    world.add("a", &["cat"]);
    world.peer(&["list"]);
    for (_, spoil) in NO_FILES.into_iter().chain([("", sparse as Spoil)]) {
        for file in ["state/a.topic", "state/lifecycle.log"] {
            clear(&world.path(file));
            spoil(&world.path(file));
        }
        for words in [&["peer", "wake", ""][..], &["peer", "send", "--topic", ""], &["peer", "log", "--event", ""]] {
            let index = (words.len() - 1).to_string();
            let mut shell = world.command(&[&["--"], words].concat());
            shell.env("PEER_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", index).env("_CLAP_IFS", "\n");
            let run = Run::of(&mut shell, None);
            assert_eq!(run.code, 0, "{words:?}: {run:?}");
        }
    }
}

#[test]
fn a_bad_file_of_the_fleet_costs_one_line_and_no_tick() {
    let world = World::new();
    fleet(&world, &["a", "b"]);
    world.add("c", &["cat"]);
    tick(&world, &[]);
    let (panes, aside) = (world.path("state/panes"), world.path("state/panes.aside"));
    fs::rename(&panes, &aside).expect("renamed");
    File::create(&panes).expect("made");
    let told = skipped(&tick(&world, &[]));
    assert!(matches!(&told[..], [line] if line.contains("/panes: Not a directory")), "{told:?}");
    assert_eq!((verdict(&world, "a"), verdict(&world, "b")), ("healthy".into(), "healthy".into()));
    fs::remove_file(&panes).and_then(|()| fs::rename(&aside, &panes)).expect("as before");
    // A link to itself cannot be followed, not even by root.
    let inboxes = world.path("state/inbox");
    symlink("inbox", &inboxes).expect("symlink");
    let told = skipped(&tick(&world, &[]));
    assert!(matches!(&told[..], [line] if line.starts_with("cannot list ") && line.contains("/inbox: ")), "{told:?}");
    let listed = world.peer(&["list", "--format", "{name}"]);
    assert!(listed.code == 0 && listed.stdout.lines().count() > 0, "{listed:?}");
    assert!(listed.stderr.starts_with("note: queued messages are not counted: cannot list "), "{listed:?}");
    clear(&inboxes);
    let heartbeat = world.path("state/heartbeat.json");
    clear(&heartbeat);
    fifo(&heartbeat);
    let told = skipped(&tick(&world, &[]));
    assert!(matches!(&told[..], [line] if line.contains("heartbeat.json: it is a FIFO")), "{told:?}");
    assert_eq!(skipped(&tick(&world, &[])), Vec::<String>::new());
}
