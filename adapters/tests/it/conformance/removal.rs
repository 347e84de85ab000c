//! Cases about the end of a session.

use crate::conformance::hosts::{Host, create, eventually, find_row, idle, is_alive, shows};
use nix::sys::signal::Signal;
use peer_adapters::process;
use peer_adapters::runtime::{Capture, RuntimeError, RuntimeKind};

pub(crate) async fn a_removed_session_takes_its_program_along(host: &dyn Host) {
    let created = idle(host, "a").await;
    let row = find_row(host, &created.target).await.expect("listed");
    let pane = process::status(row.pane_pid.expect("a pid")).expect("probe").expect("it runs").id;
    host.runtime().remove(&created.target).await.expect("removed");
    eventually("the program is gone", || !is_alive(pane)).await;
    let captured = host.runtime().capture(&created.target, Capture::default()).await;
    let gone = match host.runtime().kind() {
        RuntimeKind::Tmux => matches!(captured, Err(RuntimeError::NoSuchSession { .. })),
        // Its server was its own.
        RuntimeKind::Zellij => matches!(captured, Err(RuntimeError::ServerGone { .. })),
    };
    assert!(gone, "{captured:?}");
}

pub(crate) async fn a_program_that_ignores_the_hangup_becomes_an_orphan(host: &dyn Host) {
    let script = "trap '' HUP TERM; echo ready; while :; do sleep 0.05; done";
    let created = create(host, "a", &["/bin/sh", "-c", script]).await;
    shows(host, &created.target, "ready").await;
    let row = find_row(host, &created.target).await.expect("listed");
    let pane = process::status(row.pane_pid.expect("a pid")).expect("probe").expect("it runs").id;
    host.runtime().remove(&created.target).await.expect("removed");
    assert!(find_row(host, &created.target).await.is_none());
    // Removing a session does not end an agent: that is the caller's task.
    assert!(is_alive(pane));
    process::signal(pane, Signal::SIGKILL).expect("signalled");
    eventually("the orphan is gone", || !is_alive(pane)).await;
}

pub(crate) async fn removing_one_session_leaves_the_others(host: &dyn Host) {
    let (a, ab, b) = (idle(host, "a").await, idle(host, "ab").await, idle(host, "b").await);
    host.runtime().remove(&a.target).await.expect("removed");
    for left in [&ab, &b] {
        assert!(find_row(host, &left.target).await.is_some_and(|row| !row.pane_dead), "{:?}", left.target);
    }
    // The name is a prefix of another session's.
    host.runtime().remove(&a.target).await.expect("removing what is not there is success");
    assert!(find_row(host, &ab.target).await.is_some());
}
