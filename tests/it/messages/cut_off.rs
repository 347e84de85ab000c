//! A user's client that zellij disconnects at once is started again; other clients are not.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common;
use crate::common::attached::Attached;
use crate::common::{World, lives, wait_until};
use peer_adapters::runtime::RuntimeKind;

/// A peer on zellij whose client first runs this script when it is to attach; `$count` is the number of attempts, and
/// `$real` is zellij.
fn whose_client(does: &str) -> World {
    let world = World::on(RuntimeKind::Zellij);
    let real = peer_adapters::command::resolve("zellij".as_ref(), None, "/".as_ref()).expect("it is installed");
    let (client, count) = (world.path("client"), world.path("count"));
    let text = format!(
        "#!/bin/sh\nreal='{}'\ncase \"$1\" in attach) echo >>'{count}'; count=$(wc -l <'{count}')\n{does}\nesac\nexec $real \"$@\"\n",
        real.display(),
        count = count.display()
    );
    fs::write(&client, text).expect("written");
    fs::set_permissions(&client, fs::Permissions::from_mode(0o755)).expect("executable");
    world.configure(&format!("\n[zellij]\nbinary = {}\n", common::quoted(&client)));
    world.demo("a", &[]);
    world.peer(&["wake", "a"]).prints("a: woken fresh (first-wake)\n");
    world
}

fn attempts(world: &World) -> usize {
    fs::read_to_string(world.path("count")).unwrap_or_default().lines().count()
}

#[test]
fn one_that_was_cut_off_at_once_is_started_again() {
    let world = whose_client("[ $count -gt 2 ] || { echo 'Lost connection to the Zellij server'; exit 1; }");
    let mut person = Attached::once(&world, "a");
    wait_until("they are attached", || person.seen(&world, "a"));
    // A user who detaches is not attached again.
    wait_until("they have left", || {
        person.types(b"\x02d");
        !person.seen(&world, "a")
    });
    assert_eq!((person.end(), attempts(&world)), (Some(0), 3));
}

#[test]
fn one_that_fails_each_time_fails() {
    let world = whose_client("exit 1");
    assert_eq!((Attached::once(&world, "a").end(), attempts(&world)), (Some(1), 3));
    assert!(lives(world.agent("a")));
}

#[test]
fn one_whose_session_ended_meanwhile_is_not() {
    // A client may miss its session, which is the reason for these tests.
    let server = "pgrep -f -- \"--server $ZELLIJ_SOCKET_DIR/\" >/dev/null";
    let world = whose_client(&format!("while {server}; do $real kill-session \"$2\"; done; exit 1"));
    let agent = world.agent("a");
    // The agent has ended with its session, which is what is reported.
    assert_eq!((Attached::once(&world, "a").end(), attempts(&world)), (Some(0), 1));
    wait_until("its agent has ended", || !lives(agent));
    assert_eq!((world.await_end("a")["cause"].as_str(), world.sessions().len()), (Some("closed"), 0));
}
