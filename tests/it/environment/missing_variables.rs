//! An agent that is woken from elsewhere and lacks variables that it had the last time still starts, with a warning: it
//! may ask for a login after a wake that exits with 0.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::common;
use crate::common::{Run, World, on_each_runtime};
use peer_adapters::runtime::RuntimeKind;
use serde_json::{Value, json};

on_each_runtime! {
    a_wake_that_lacks_what_the_last_one_had_says_so_before_it_starts
    a_tick_that_starts_one_without_says_so_too
}

const KEY: (&str, &str) = ("MINE_KEY", "the-secret");

/// A peer whose agent needs two variables, and a third if the second is set.
fn world(on: RuntimeKind) -> World {
    let world = World::on(on);
    let needs = "environment.needs = [\"MINE_KEY\", \"MINE_URL\"]\nenvironment.needs_with.MINE_URL = [\"WITH_*\"]\n";
    world.profile("mine", &format!("description = \"mine\"\nextends = \"command\"\n{needs}"));
    world
}

fn declared(on: RuntimeKind, argv: &[&str]) -> World {
    let world = world(on);
    world.declare("a", &["--agent", "mine"], argv);
    world
}

fn peer_with(world: &World, env: &[(&str, &str)], args: &[&str]) -> Run {
    Run::of(world.command(args).envs(env.iter().copied()), None)
}

fn note(names: &str, flags: &str) -> String {
    format!(
        "note: a: it is started without {names}, which its agent depends on and had the last time; peer add a{flags}, where \
         that is set, or an env_file in its spec gives it to every wake\n"
    )
}

fn decided(world: &World) -> Value {
    let log = fs::read_to_string(world.path("state/lifecycle.log")).expect("a log");
    let mut events = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    events.rfind(|event| event["event"] == "wake.decided").expect("one")
}

#[track_caller]
fn restarted(world: &World, env: &[(&str, &str)]) -> Run {
    assert_eq!(world.peer(&["stop", "a"]).code, 0);
    assert_eq!(world.peer(&["start", "a"]).code, 0);
    let run = peer_with(world, env, &["wake", "a", "--json"]);
    assert_eq!(run.code, 0, "{run:?}");
    run
}

fn a_wake_that_lacks_what_the_last_one_had_says_so_before_it_starts(on: RuntimeKind) {
    let world = declared(on, &["cat"]);
    peer_with(&world, &[KEY, ("MINE_URL", "u"), ("WITH_A", "1"), ("OTHER", "x")], &["wake", "a"])
        .prints("a: woken fresh (first-wake)\n");
    assert_eq!(world.session("a")["essential_env"], json!(["MINE_KEY", "MINE_URL", "WITH_A"]));
    assert!(decided(&world)["missing_env"].is_null());
    // An empty variable counts as missing.
    let bare = restarted(&world, &[("MINE_URL", "")]);
    let names = ["MINE_KEY", "MINE_URL", "WITH_A"];
    assert_eq!(bare.stderr, note(&names.join(", "), " --keep-env MINE_KEY,MINE_URL,WITH_A"));
    assert_eq!(bare.json()["peers"][0]["missing_env"], json!(names));
    assert_eq!(decided(&world)["missing_env"], json!(names));
    // Later views show it too.
    let status = world.peer(&["status", "a"]);
    assert!(status.stdout.contains("Lacks: MINE_KEY, MINE_URL, WITH_A, which it had the last time\n"), "{status:?}");
    assert_eq!(world.peer(&["wake", "a", "--json"]).json()["peers"][0]["missing_env"], json!(names));
    // All is well again where the variables are set, and from anywhere once they are kept.
    let whole = [KEY, ("MINE_URL", "u"), ("WITH_A", "1")];
    assert_eq!(restarted(&world, &whole).stderr, "");
    assert_eq!(peer_with(&world, &whole, &["add", "a", "--keep-env", "MINE_KEY", "--keep-env", "MINE_URL"]).code, 0);
    assert_eq!(restarted(&world, &[]).stderr, note("WITH_A", " --keep-env WITH_A"));
    for file in ["lifecycle.log", "a.end", "a.session"] {
        let text = fs::read_to_string(world.path(&format!("state/{file}"))).expect("there");
        assert!(!text.contains(KEY.1), "{file}");
    }
}

fn a_tick_that_starts_one_without_says_so_too(on: RuntimeKind) {
    let world = world(on);
    world.declare("a", &["--agent", "mine", "--restart", "always"], &["cat"]);
    peer_with(&world, &[KEY], &["wake", "a"]).prints("a: woken fresh (first-wake)\n");
    world.lose_server("a");
    let tick = common::wait_for("a tick that starts it again", || {
        let tick = world.peer(&["reap"]);
        tick.stdout.contains("restarted").then_some(tick)
    });
    assert_eq!(tick.stderr, note("MINE_KEY", " --keep-env MINE_KEY"), "{tick:?}");
    assert_eq!(decided(&world)["missing_env"], json!(["MINE_KEY"]));
}

#[test]
fn a_start_that_was_not_ready_says_nothing_of_what_it_lives_by() {
    let world = World::new();
    let ready =
        "extends = \"command\"\ndescription = \"mine\"\nready.screen = [\"^up\"]\nenvironment.needs = [\"MINE_KEY\"]\n";
    world.profile("mine", ready);
    let argv = ["sh", "-c", "[ -e no ] && exit 3; echo up; exec sleep 1000"];
    world.declare("b", &["--agent", "mine"], &argv);
    assert_eq!(peer_with(&world, &[KEY], &["wake", "b"]).code, 0);
    world.peer(&["stop", "b"]);
    world.peer(&["start", "b"]);
    fs::write(world.work().join("no"), "").expect("written");
    for _ in 0..2 {
        let run = world.peer(&["wake", "b", "--json"]);
        assert!(run.code == 5 && run.stderr.contains("started without MINE_KEY"), "{run:?}");
        assert_eq!(run.json()["peers"][0]["missing_env"], json!(["MINE_KEY"]), "one that fails tells a machine too");
    }
    fs::remove_file(world.work().join("no")).expect("ours");
    let run = world.peer(&["wake", "b"]);
    assert!(run.code == 0 && run.stderr.contains("started without MINE_KEY"), "{run:?}");
}

#[test]
fn an_agent_that_starts_over_by_itself_has_what_it_had() {
    let peer = env!("CARGO_BIN_EXE_peer");
    let script = format!("[ -e go ] && exec sleep 1000; until [ -e go ]; do sleep 0.05; done; '{peer}' self-fresh");
    let world = declared(RuntimeKind::Tmux, &["sh", "-c", &script]);
    peer_with(&world, &[KEY], &["wake", "a"]).prints("a: woken fresh (first-wake)\n");
    fs::write(world.work().join("go"), "").expect("written");
    common::wait_until("it is another one", || {
        world.session("a")["incarnation"] == 2 && world.session("a")["process"]["pid"].is_number()
    });
    let record = world.session("a");
    assert_eq!((&record["essential_env"], &record["missing_env"]), (&json!(["MINE_KEY"]), &Value::Null));
}

/// Makes a program for an interpreter that is beside it, and returns their directory.
fn an_interpreted_agent(world: &World) -> PathBuf {
    let bin = world.path("bin");
    fs::create_dir(&bin).expect("made");
    for (name, text) in
        [("agent", "#!/usr/bin/env -S interpreter -u\n"), ("interpreter", "#!/bin/sh\nexec sleep 1000\n")]
    {
        fs::write(bin.join(name), text).expect("written");
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).expect("ours");
    }
    bin
}

#[test]
fn doctor_says_what_each_would_lack_where_cron_wakes_it() {
    let world = world(RuntimeKind::Tmux);
    let bin = an_interpreted_agent(&world);
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("PATH"));
    let agent = bin.join("agent").display().to_string();
    let with = |env: &[(&str, &str)], args: &[&str]| {
        let run = Run::of(world.command(args).envs(env.iter().copied()).env("PATH", &path), None);
        assert!(run.code <= 1, "{run:?}");
        run
    };
    let add = |name: &str, env: &[(&str, &str)], flags: &[&str]| {
        let words = [&["add", name, "--agent", "mine", "--runtime", "tmux"], flags, &["--", &agent]].concat();
        assert_eq!(with(env, &words).code, 0);
    };
    add("had", &[], &[]);
    add("kept", &[KEY], &["--keep-env", "MINE_KEY"]);
    add("new", &[], &[]);
    with(&[KEY], &["wake", "had", "kept"]);
    let findings = |env: &[(&str, &str)], name: &str, flags: &[&str]| -> Vec<String> {
        let document = with(env, &[&["doctor", "--json"], flags].concat()).json();
        let found = document["findings"].as_array().expect("findings").clone();
        let of_it = found.into_iter().filter(|finding| finding["about"] == name);
        let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or("-").to_owned();
        of_it.map(|f| format!("{}: {} -> {}", text(&f, "level"), text(&f, "what"), text(&f, "cure"))).collect()
    };
    let lacks = |name: &str| {
        let cure = format!("peer add {name} --keep-env MINE_KEY");
        vec![format!("warning: it would be started without MINE_KEY, which its agent depends on -> {cure}")]
    };
    let well = vec!["ok: its command would be found with every variable it depends on -> -".to_owned()];
    let cron = &["--as-cron"][..];
    // For variables that it has now, even if this shell lacks them; variables that it never had are taken from this
    // shell.
    assert_eq!(findings(&[], "had", cron), lacks("had"));
    assert_eq!(findings(&[], "kept", cron), well);
    assert_eq!((findings(&[], "new", cron), findings(&[KEY], "new", cron)), (well, lacks("new")));
    assert_eq!(findings(&[], "had", &[]), Vec::<String>::new());
    // The shell that declared the peer found the interpreter of its program, and cron would not.
    let path = world.path("config/peers/new.toml");
    let text = fs::read_to_string(&path).expect("a spec");
    let bare: Vec<&str> = text.lines().filter(|line| !line.starts_with("search_path")).collect();
    fs::write(&path, bare.join("\n")).expect("written");
    let broken = findings(&[], "new", cron);
    assert!(broken[0].starts_with(&format!("broken: {agent} is a script for interpreter, which is not on its PATH")));
    assert!(findings(&[], "new", &[]).is_empty());
    for name in ["had", "kept"] {
        with(&[], &["stop", name]);
    }
}
