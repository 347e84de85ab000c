//! Clients of a runtime end with the `peer` that started them, and clients that are left over are found.

on_each_runtime! {
    a_client_that_waits_for_an_answer_ends_with_whoever_asked
}

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common;
use crate::common::not_run::cannot_run;
use crate::common::run::succeeds;
use crate::common::{World, killed, lives, on_each_runtime, signal, wait_for, wait_until};
use nix::sys::signal::Signal;
use peer_adapters::process;
use peer_adapters::runtime::RuntimeKind;

fn a_client_that_waits_for_an_answer_ends_with_whoever_asked(on: RuntimeKind) {
    let world = World::on(on);
    world.demo("a", &[]);
    world.peer(&["wake", "a"]);
    // A program that records its pid and gets no signal, in place of a client whose server does not answer.
    let (client, note) = (world.path("client"), world.path("note"));
    let script =
        format!("#!/bin/sh\ntrap '' HUP TERM\necho $$ >{0}.new; mv {0}.new {0}; exec sleep 1000\n", note.display());
    std::fs::write(&client, script).expect("written");
    std::fs::set_permissions(&client, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    use_client(&world, &client);
    let mut sender =
        world.command(&["send", "a", "hello"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let waits: u32 = wait_for("its client waits", || std::fs::read_to_string(&note).ok()?.trim().parse().ok());
    assert!(lives(waits));
    // A client is tied to its caller right after it was started, and a busy machine can run the client first.
    wait_until("the caller waits for its client", || sleeps(sender.id()));
    killed(&mut sender);
    wait_until("its client is gone", || !lives(waits));
}

/// Whether a process sleeps until something happens (proc(5), state S).
fn sleeps(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('S'))
}

/// Names a runtime's client in `config.toml`, in which tmux has a section already.
fn use_client(world: &World, client: &Path) {
    let line = format!("binary = {}\n", common::quoted(client));
    match world.kind() {
        RuntimeKind::Zellij => world.configure(&format!("\n[zellij]\n{line}")),
        RuntimeKind::Tmux => {
            let path = world.path("config/config.toml");
            let text = std::fs::read_to_string(&path).expect("read");
            std::fs::write(path, text.replace("[tmux]\n", &format!("[tmux]\n{line}"))).expect("written");
        }
    }
}

/// A peer on zellij, and a client of its session that never ends and whose starter has ended. `None` if orphans are
/// adopted by neither the first process nor a service manager (for example by a subreaper around the tests), because
/// then they cannot be recognised.
fn left_client() -> Option<(World, u32)> {
    let world = World::on(RuntimeKind::Zellij);
    world.demo("a", &[]);
    world.peer(&["wake", "a"]);
    let left = orphan(&world, "a");
    if process::orphans_where(|_| true).expect("/proc").iter().any(|orphan| orphan.id.pid == left) {
        return Some((world, left));
    }
    signal(left, Signal::SIGKILL);
    let taken_in = format!("the parent of an orphan is neither the first process nor a service manager: {left}");
    cannot_run(&taken_in);
    None
}

/// A client of a peer's session that never ends and whose starter has ended.
fn orphan(world: &World, name: &str) -> u32 {
    let note = world.path("orphan");
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "\"$@\" >/dev/null 2>&1 </dev/null & echo $! >\"$NOTE\"", "sh"]).env("NOTE", &note);
    assert!(succeeds(subscribes(&mut shell, world, name)));
    let pid = std::fs::read_to_string(&note).expect("noted").trim().parse().expect("a pid");
    let executed = || process::arguments(pid).get(3).is_some_and(|word| word == b"subscribe");
    wait_until("it is a client", executed);
    pid
}

/// Adds the arguments and the environment of a client that subscribes to a peer's session.
fn subscribes<'a>(command: &'a mut Command, world: &World, name: &str) -> &'a mut Command {
    let place = world.place(name);
    command
        .args(["zellij", "--session", &place.session, "subscribe", "--pane-id", "terminal_0"])
        .env("ZELLIJ_SOCKET_DIR", &place.server)
        .env("ZELLIJ_CONFIG_DIR", place.server.join("config"))
        .env("HOME", world.path("home"))
}

#[test]
fn a_tick_ends_a_client_that_nobody_waits_for_and_nothing_else() {
    let Some((world, left)) = left_client() else { return };
    let mut asked_by_us = Command::new("/usr/bin/env");
    let asked_by_us = subscribes(&mut asked_by_us, &world, "a").stdin(Stdio::null()).stdout(Stdio::null());
    let mut asked_by_us = asked_by_us.spawn().expect("zellij");
    world.peer(&["reap", "--dry-run"]);
    assert!(lives(left), "a dry run does nothing");
    world.peer(&["reap"]);
    wait_until("it is gone", || !lives(left));
    assert!(lives(asked_by_us.id()), "its parent waits for it");
    killed(&mut asked_by_us);
    world.peer(&["send", "a", "hello"]).prints("a: already awake; message delivered\n");
}

#[test]
fn a_stop_ends_the_clients_that_are_left() {
    let Some((world, left)) = left_client() else { return };
    // While stopped, it does not notice the end of its server, as a client in an endless loop would not.
    common::stop(left);
    world.peer(&["stop", "a"]);
    wait_until("it is gone", || !lives(left));
}
