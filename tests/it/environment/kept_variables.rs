//! `peer add --keep-env` and `env_file`: an agent has the variables that it needs wherever it is woken from, and their
//! values are shown to no one else.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::common::{Run, World, on_each_runtime};
use peer_adapters::runtime::RuntimeKind;

on_each_runtime! {
    what_was_kept_reaches_an_agent_that_is_woken_from_elsewhere
    the_spec_goes_over_its_file_and_that_over_the_profile_and_the_waker
}

pub(super) const SECRET: &str = "sk-ant-$ecret \"of\" 'mine'";

pub(super) fn environment(pid: u32) -> BTreeMap<String, String> {
    let environ = fs::read(format!("/proc/{pid}/environ")).expect("ours");
    let environ = String::from_utf8_lossy(&environ).into_owned();
    environ.split('\0').filter_map(|entry| entry.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

pub(super) fn mode(path: &Path) -> u32 {
    path.metadata().expect("it is there").permissions().mode() & 0o777
}

pub(super) fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
}

/// A profile whose agent needs two variables.
pub(super) fn with_profile(on: RuntimeKind) -> World {
    let world = World::on(on);
    let needs = "environment.needs = [\"MINE_KEY\", \"MINE_URL\"]\nenvironment.set = { MINE_SET = \"profile\", MINE_OVER = \"profile\" }\n";
    world.profile("mine", &format!("description = \"mine\"\nextends = \"command\"\n{needs}"));
    world
}

/// `peer` with these variables.
pub(super) fn peer_with(world: &World, env: &[(&str, &str)], args: &[&str]) -> Run {
    Run::of(world.command(args).envs(env.iter().copied()), None)
}

pub(super) fn add(world: &World, env: &[(&str, &str)], flags: &[&str]) -> Run {
    let runtime = world.kind().as_str();
    let words = [&["add", "a", "--agent", "mine", "--runtime", runtime], flags, &["--", "cat"]].concat();
    peer_with(world, env, &words)
}

pub(super) fn cat() -> String {
    let found = std::env::var("PATH").expect("PATH");
    let found = found.split(':').map(|dir| format!("{dir}/cat")).find(|file| Path::new(file).exists());
    found.expect("it is installed")
}

pub(super) fn kept_file(world: &World) -> PathBuf {
    world.path("state/a.env")
}

pub(super) fn spec(world: &World) -> String {
    fs::read_to_string(world.path("config/peers/a.toml")).expect("a spec")
}

fn what_was_kept_reaches_an_agent_that_is_woken_from_elsewhere(on: RuntimeKind) {
    let world = with_profile(on);
    let run = add(&world, &[("MINE_KEY", SECRET)], &["--keep-env", "MINE_KEY", "--keep-env", "MINE_KEY"]);
    run.prints(&format!("a: added (mine on {}: {}); keeps MINE_KEY\n", on.as_str(), cat()));
    assert_eq!(mode(&kept_file(&world)), 0o600);
    world.peer(&["wake", "a"]).prints("a: woken fresh (first-wake)\n");
    assert_eq!(environment(world.agent("a"))["MINE_KEY"], SECRET);
    // Every view shows only the name.
    for args in [
        &["show", "a"][..],
        &["show", "a", "--json"],
        &["status", "a"],
        &["status", "a", "--json"],
        &["list", "--json"],
        &["why", "a", "--json"],
        &["log", "--json"],
        &["doctor", "--json"],
        &["doctor", "--as-cron"],
        &["add", "a", "--json", "--agent", "mine", "--runtime", on.as_str(), "--", "cat"],
    ] {
        let run = world.peer(args);
        assert!(!run.stdout.contains("ecret") && !run.stderr.contains("ecret"), "{run:?}");
    }
    assert!(!spec(&world).contains("ecret") && spec(&world).contains("a.env"), "{}", spec(&world));
    let shown = world.peer(&["show", "a", "--json"]).json();
    assert_eq!(shown["spec"]["env_file_names"]["value"], serde_json::json!(["MINE_KEY"]));
    for file in fs::read_dir(world.path("state")).expect("ours").flatten().filter(|file| file.path().is_file()) {
        let text = fs::read(file.path()).expect("ours");
        let holds = String::from_utf8_lossy(&text).contains("ecret");
        assert_eq!(holds, file.path() == kept_file(&world), "{}", file.path().display());
    }
}

fn the_spec_goes_over_its_file_and_that_over_the_profile_and_the_waker(on: RuntimeKind) {
    let world = with_profile(on);
    let file = world.path("secrets");
    fs::write(&file, "MINE_KEY=file\nMINE_OVER=file\nBOTH=file\n").expect("written");
    chmod(&file, 0o600);
    let flags = ["--env-file", file.to_str().expect("UTF-8"), "--env", "BOTH=spec"];
    assert_eq!(add(&world, &[], &flags).code, 0);
    let waker = [("MINE_KEY", "waker"), ("MINE_SET", "waker"), ("BOTH", "waker"), ("MINE_URL", "waker")];
    peer_with(&world, &waker, &["wake", "a"]).prints("a: woken fresh (first-wake)\n");
    let has = environment(world.agent("a"));
    let expected =
        [("MINE_KEY", "file"), ("MINE_OVER", "file"), ("MINE_SET", "profile"), ("BOTH", "spec"), ("MINE_URL", "waker")];
    for (name, from) in expected {
        assert_eq!(has[name], from, "{name}");
    }
}

#[test]
fn what_cannot_be_kept_is_refused_and_no_value_is_said() {
    let world = with_profile(RuntimeKind::Tmux);
    let set = [("EMPTY", ""), ("TERM_PROGRAM", "x"), ("CLAUDECODE", "1"), ("PEER_NAME", "x"), ("IN_SPEC", "x")];
    for (name, code, says) in [
        ("sk-ant-secret", 2, "error: --keep-env: not a valid variable name"),
        ("MINE_KEY=secret", 2, "error: --keep-env: not a valid variable name"),
        ("", 2, "error: --keep-env: not a valid variable name"),
        ("MINE_KEY,", 2, "error: --keep-env: not a valid variable name"),
        ("MINE_KEY,sk-ant-secret", 2, "error: --keep-env: not a valid variable name"),
        ("1A", 2, "not a valid variable name"),
        (
            "MINE_KEY",
            1,
            "error: keep MINE_KEY: it is not set here, so there is no value to keep\nhint: export MINE_KEY=…",
        ),
        ("EMPTY", 1, "error: keep EMPTY: it is empty here"),
        ("TERM_PROGRAM", 1, "it belongs to a terminal or session"),
        ("CLAUDECODE", 1, "it belongs to a terminal or session"),
        ("PEER_NAME", 1, "peer sets it itself"),
        ("PWD", 1, "peer sets it itself"),
        ("IN_SPEC", 1, "the spec's [env] sets it too"),
    ] {
        let run = add(&world, &set, &["--env", "IN_SPEC=y", "--keep-env", name]);
        assert_eq!((run.code, run.stdout.as_str()), (code, ""), "{name}: {run:?}");
        assert!(run.stderr.contains(says) && !run.stderr.contains("secret"), "{name}: {run:?}");
    }
    let mut odd = world.command(&["add", "a", "--keep-env", "MINE_KEY", "--", "cat"]);
    let run = Run::of(odd.env("MINE_KEY", std::ffi::OsStr::from_bytes(b"\xff")), None);
    assert!(run.code == 1 && run.stderr.contains("its value is not UTF-8"), "{run:?}");
    let run = add(
        &world,
        &[("MINE_KEY", &"x".repeat(128 << 10)[..131_000]), ("MINE_URL", "y".repeat(900).as_str())],
        &["--keep-env", "MINE_KEY", "--keep-env", "MINE_URL"],
    );
    assert!(run.code == 1 && run.stderr.contains("more than 131072 are never read"), "{run:?}");
    assert!(!world.path("config/peers").exists() && !kept_file(&world).exists());
    let run = peer_with(&world, &[("MINE_KEY", "x")], &["add", "nobody", "--keep-env", "MINE_KEY"]);
    assert_eq!(run.code, 3, "{run:?}");
}

#[test]
fn what_is_not_kept_is_two_lines_and_the_second_can_be_typed() {
    let world = with_profile(RuntimeKind::Tmux);
    let set = [("MINE_KEY", "one"), ("MINE_URL", "u")];
    let run = add(&world, &set, &[]);
    assert_eq!(
        run.stderr,
        "note: a: a timer or another shell lacks MINE_KEY, MINE_URL\nhint: peer add a --keep-env MINE_KEY,MINE_URL\n"
    );
    let words: Vec<&str> = run.stderr.lines().nth(1).expect("a hint").split_whitespace().skip(2).collect();
    let kept = peer_with(&world, &set, &words);
    kept.prints(&format!("a: kept (mine on tmux: {}); keeps MINE_KEY, MINE_URL\n", cat()));
    world.peer(&["wake", "a"]);
    let has = environment(world.agent("a"));
    assert_eq!((has["MINE_KEY"].as_str(), has["MINE_URL"].as_str()), ("one", "u"));
}

#[test]
fn more_is_kept_for_a_peer_that_is_declared() {
    let world = with_profile(RuntimeKind::Tmux);
    let run = add(&world, &[("MINE_KEY", "one"), ("MINE_URL", ""), ("OTHER_KEY", "x")], &[]);
    assert_eq!((run.code, run.stdout.as_str()), (0, format!("a: added (mine on tmux: {})\n", cat()).as_str()));
    assert_eq!(run.stderr, "note: a: a timer or another shell lacks MINE_KEY\nhint: peer add a --keep-env MINE_KEY\n");
    // The user's own comments stay as they are.
    let path = world.path("config/peers/a.toml");
    fs::write(&path, format!("# mine\n{}", spec(&world))).expect("written");
    let kept = peer_with(&world, &[("MINE_KEY", "two\nlines\r")], &["add", "a", "--keep-env", "MINE_KEY"]);
    kept.prints(&format!("a: kept (mine on tmux: {}); keeps MINE_KEY\n", cat()));
    assert!(spec(&world).contains("# mine\n"), "{}", spec(&world));
    let kept = peer_with(&world, &[("MINE_URL", "u")], &["add", "a", "--keep-env", "MINE_URL", "--json"]).json();
    assert_eq!((&kept["outcome"], &kept["kept"]), (&"kept".into(), &serde_json::json!(["MINE_KEY", "MINE_URL"])));
    // The whole declaration again, with and without --keep-env.
    let line = |outcome: &str| format!("a: {outcome} (mine on tmux: {}); keeps MINE_KEY, MINE_URL\n", cat());
    add(&world, &[("MINE_KEY", "three")], &["--keep-env", "MINE_KEY"]).prints(&line("kept"));
    add(&world, &[("MINE_KEY", "elsewhere")], &[]).prints(&line("unchanged"));
    world.peer(&["wake", "a"]);
    let has = environment(world.agent("a"));
    assert_eq!((has["MINE_KEY"].as_str(), has["MINE_URL"].as_str()), ("three", "u"));
    // A file that was removed is written again.
    fs::remove_file(kept_file(&world)).expect("ours");
    let kept = peer_with(&world, &[("MINE_KEY", "two\nlines\r")], &["add", "a", "--keep-env", "MINE_KEY"]);
    assert_eq!(kept.code, 0, "{kept:?}");
    world.peer(&["new", "a"]);
    assert_eq!(environment(world.agent("a"))["MINE_KEY"], "two\nlines\r");
}

#[test]
fn what_is_kept_goes_with_its_declaration_and_a_persons_own_file_stays() {
    let world = with_profile(RuntimeKind::Tmux);
    add(&world, &[("MINE_KEY", "secret")], &["--keep-env", "MINE_KEY"]);
    // The same agent with other settings keeps them, another agent does not get them.
    let run = add(&world, &[], &["--replace", "--idle", "5m"]);
    assert!(run.code == 0 && run.stdout.ends_with("; keeps MINE_KEY\n"), "{run:?}");
    let other = ["add", "a", "--replace", "--agent", "command", "--runtime", "tmux", "--", "cat"];
    let run = world.peer(&other);
    let kept = kept_file(&world);
    let changed = format!(
        "note: a: env_file was \"{}\", is not set\nnote: a: idle_timeout was \"5m\", is not set\n",
        kept.display()
    );
    let told = format!("a: replaced (command on tmux: {})\n", cat());
    assert_eq!((run.code, run.stdout, run.stderr), (0, told, changed));
    assert!(!kept.exists() && !spec(&world).contains("env_file"));
    add(&world, &[("MINE_KEY", "secret")], &["--replace", "--keep-env", "MINE_KEY"]);
    assert_eq!(mode(&kept_file(&world)), 0o600);
    // An editor that removes the key.
    let mut edit = world.command(&["edit", "a"]);
    let run = Run::of(edit.env("EDITOR", "sed -i /^env_file/d"), None);
    let unused = format!("note: a: its spec does not name {0} any more; rm {0}\n", kept_file(&world).display());
    assert_eq!((run.code, run.stderr.as_str()), (0, unused.as_str()), "{run:?}");
    // Left by a start that was cut short.
    fs::create_dir_all(world.path("state/panes")).expect("made");
    fs::write(world.path("state/panes/a.9.launch"), "secret").expect("written");
    let trash = world.peer(&["rm", "a", "--json"]).json();
    let trash = PathBuf::from(trash["peers"][0]["trash"].as_str().expect("a directory"));
    for file in fs::read_dir(&trash).expect("ours").flatten() {
        assert!(!fs::read_to_string(file.path()).expect("text").contains("secret"), "{}", file.path().display());
    }
    assert!(!kept_file(&world).exists());

    let own = world.path("own");
    fs::write(&own, "MINE_KEY=secret\n").expect("written");
    chmod(&own, 0o600);
    let flag = ["--env-file", own.to_str().expect("UTF-8")];
    assert_eq!(add(&world, &[], &flag).code, 0);
    let run = peer_with(&world, &[("MINE_URL", "u")], &["add", "a", "--keep-env", "MINE_URL"]);
    let problem = format!("error: keep variables of a: its spec uses your own env_file, {}\n", own.display());
    assert!(run.code == 1 && run.stderr.starts_with(&problem), "{run:?}");
    world.peer(&["rm", "a"]);
    assert_eq!(fs::read_to_string(&own).expect("it stays"), "MINE_KEY=secret\n");
    chmod(&own, 0o644);
    assert!(add(&world, &[], &flag).stderr.contains("can read or write it (mode 644)"));
    assert!(!world.path("config/peers/a.toml").exists());
}
