//! Cron's environment: with next to nothing in it, a living agent must not look dead, and a dead one must come back.
//! `scripts/test-cron` does the same with the real cron.

use std::fs;
use std::process::{Command, Stdio};

use crate::common;
use crate::common::{Run, World, lives, signal};
use nix::sys::signal::Signal;
use serde_json::Value;

/// `env -i peer …` with these variables and no others.
fn bare(world: &World, env: &[(&str, String)], args: &[&str]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer"));
    command.args(args).env_clear().envs(env.iter().cloned()).current_dir("/").stdin(Stdio::null());
    let run = Run::of(&mut command, None);
    assert!(world.path("home").exists());
    run
}

/// With `env` alone, ticks see that an agent is alive and that it has died, and it can be woken again.
fn ticks_with(world: &World, env: &[(&str, String)], state: &str) {
    let record = || -> Value {
        let text = fs::read_to_string(world.path(&format!("{state}/a.session"))).expect("a record");
        serde_json::from_str(&text).expect("JSON")
    };
    let agent = || u32::try_from(record()["process"]["pid"].as_u64().expect("a pid")).expect("a pid");
    let first = agent();
    let tick = bare(world, env, &["reap", "--json"]);
    assert_eq!((tick.code, tick.stderr.as_str()), (0, ""), "{tick:?}");
    let tick = tick.json();
    assert_eq!((&tick["probed"], tick["done"].as_array().map(Vec::len)), (&1.into(), Some(0)), "{tick}");
    let heartbeat = fs::read_to_string(world.path(&format!("{state}/heartbeat.json"))).expect("a heartbeat");
    assert!(heartbeat.contains("\"verdict\":\"healthy\"") && lives(first), "{heartbeat}");
    // The whole server is killed, so that the tick has to find tmux for a new one.
    signal(world.server().expect("a server").pid, Signal::SIGKILL);
    common::wait_until("its end is on record", || {
        fs::read_to_string(world.path(&format!("{state}/a.end"))).is_ok_and(|end| end.contains("runtime-lost"))
            && !world.path(&format!("{state}/a.session")).exists()
    });
    // The pane process that recorded the end may hold the peer's lock for another moment; a tick leaves such a peer alone.
    let told = common::wait_for("a tick restarts it", || {
        let tick = bare(world, env, &["reap"]);
        assert_eq!((tick.code, tick.stderr.as_str()), (0, ""), "{tick:?}");
        Some(tick.stdout).filter(|told| !told.is_empty())
    });
    assert_eq!(told, "a: restarted (fresh (runtime-lost-no-conversation))\n");
    let second = agent();
    assert!(second != first && lives(second));
    // Cron lacks variables that a terminal program needs; the agent has them.
    let environ = fs::read(format!("/proc/{second}/environ")).expect("ours");
    let environ = String::from_utf8_lossy(&environ).into_owned();
    for variable in ["HOME=", "PATH=", "LANG=", "USER="] {
        assert!(environ.split('\0').any(|entry| entry.starts_with(variable)), "{variable}: {environ}");
    }
}

#[test]
fn a_tick_needs_no_more_than_the_two_directories() {
    let world = World::new();
    world.add("a", &["sleep", "1000"]);
    world.set_in_spec("a", "restart = \"on-failure\"\nidle_timeout = \"0s\"");
    assert_eq!(world.peer(&["wake", "a"]).code, 0);
    let dir = |name: &str| world.path(name).display().to_string();
    ticks_with(&world, &[("PEER_STATE_DIR", dir("state")), ("PEER_CONFIG_DIR", dir("config"))], "state");
}

#[test]
fn a_tick_needs_no_more_than_a_home() {
    let world = World::new();
    let (home, path) = (world.path("home").display().to_string(), std::env::var("PATH").expect("PATH"));
    fs::create_dir_all(world.path("home/.config/peer")).expect("create");
    fs::copy(world.path("config/config.toml"), world.path("home/.config/peer/config.toml")).expect("copy");
    let person = [("HOME", home.clone()), ("PATH", path)];
    let added =
        bare(&world, &person, &["add", "a", "--runtime", "tmux", "--restart", "on-failure", "--", "sleep", "1000"]);
    assert_eq!(added.code, 0, "{added:?}");
    assert_eq!(bare(&world, &person, &["wake", "a"]).code, 0);
    ticks_with(&world, &[("HOME", home)], "home/.local/state/peer");
    bare(&world, &person, &["stop", "a"]).prints("a: parked and stopped\n");
}
