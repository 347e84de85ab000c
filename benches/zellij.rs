//! `cargo bench --bench zellij`: a wake on zellij compared with a raw detached start, and a tick over fifty peers on
//! zellij compared with one raw query of one of their servers.

#[path = "../tests/it/common/mod.rs"]
#[allow(dead_code, unused_imports, unused_macros, reason = "a bench uses its part of the tests' world")]
mod common;
mod lab;

use std::path::Path;
use std::process::Command;

use common::World;
use lab::table::{self, Promise};
use lab::{cost, in_turns};

const FLEET: usize = 50;
const TURNS: usize = 30;

fn main() {
    if which::which("zellij").is_err() {
        return println!("zellij is not installed: nothing to measure");
    }
    lab::machine();
    let world = World::new();
    for number in 0..FLEET {
        let run =
            world.peer(&["add", &name(number), "--runtime", "zellij", "--agent", "command", "--", "sleep", "1000"]);
        assert_eq!(run.code, 0, "{run:?}");
    }
    table::head();
    let (ours, raw) = in_turns(
        TURNS,
        |turn| cost(&mut lab::peer(&world, &["wake", &name(turn)])),
        |turn| cost(&mut background(&world, turn)),
    );
    table::line("wake on zellij, attach --create-background", ours.wall, Some(raw.wall), Promise::None);
    table::line("  user+system time of it", ours.cpu, Some(raw.cpu), Promise::None);
    (TURNS..FLEET).for_each(|number| drop(world.peer(&["wake", &name(number)])));
    let (ours, raw) =
        in_turns(TURNS, |_| cost(&mut lab::peer(&world, &["reap"])), |turn| cost(&mut list_panes(&world, &name(turn))));
    table::line("peer reap of 50, one action list-panes", ours.wall, Some(raw.wall), Promise::Times(1.0));
    table::line("  user+system time of it", ours.cpu, Some(raw.cpu), Promise::None);
    if let Some(started) = lab::processes_started(&world, &["reap"]) {
        table::number("processes started", &started.to_string(), Some(started == 0), "none");
    }
}

fn name(number: usize) -> String {
    format!("z{number}")
}

/// zellij as a user's shell would run it, in directories of this world. The state directory in its environment is the
/// mark by which the world ends the processes that it started.
fn zellij(world: &World, sockets: &Path) -> Command {
    let mut client = Command::new("zellij");
    client
        .env_clear()
        .env("PATH", std::env::var_os("PATH").expect("PATH"))
        .env("HOME", world.path("home"))
        .env("LANG", "C.UTF-8")
        .env("SHELL", "/bin/sh")
        .env("ZELLIJ_SOCKET_DIR", sockets)
        .env("PEER_STATE_DIR", world.path("state"))
        .current_dir(world.work());
    client
}

fn background(world: &World, turn: usize) -> Command {
    let mut client = zellij(world, &world.path(&format!("raw{turn}")));
    client.args(["attach", "--create-background", &format!("r{turn}")]);
    client
}

fn list_panes(world: &World, peer: &str) -> Command {
    let record = world.session(peer);
    let text = |key: &str| record[key].as_str().expect("on record").to_owned();
    let mut client = zellij(world, Path::new(&text("server")));
    client.args(["--session", &text("session"), "action", "list-panes"]);
    client
}
