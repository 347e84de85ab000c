//! The directories of sessions: which are ours, how long their paths may be, and when they are removed.

use super::lab::{Lab, eventually, is_alive};
use super::life::WAIT;
use nix::sys::signal::Signal;
use peer_adapters::process;
use peer_adapters::runtime::{Capture, Runtime, RuntimeError, Target};
use peer_adapters::zellij::Zellij;
use std::path::Path;

#[tokio::test]
async fn a_directory_is_swept_once_nothing_lives_in_it() {
    let lab = Lab::new();
    let created = lab.create(&WAIT).await;
    let dir = &created.target.server;
    assert!(!lab.zellij.sweep(dir).await.expect("told") && is_alive(created.server));
    process::signal(created.server, Signal::SIGKILL).expect("signalled");
    eventually("the server is gone", || !is_alive(created.server)).await;
    assert!(lab.zellij.sweep(dir).await.expect("told") && !dir.exists());
    assert!(!lab.zellij.sweep(dir).await.expect("nothing there is nothing to do"));
}

#[tokio::test]
async fn a_session_below_a_long_path_is_made_in_a_short_one() {
    let lab = Lab::new();
    let base = lab.path(&"long".repeat(30));
    let mut plan = lab.plan(&WAIT);
    plan.server = Zellij::server_dir(&base, &plan.session).expect("short enough");
    assert!(!plan.server.starts_with(&base));
    let created = lab.zellij.create(&plan).await.expect("created");
    let row = lab.row(&plan.server).await;
    lab.zellij.remove(&created.target).await.expect("removed");
    assert!(!row.pane_dead && !is_alive(created.server) && !plan.server.exists());
}

#[tokio::test]
async fn a_socket_path_of_exactly_the_limit_works_and_one_byte_more_does_not() {
    let lab = Lab::new();
    let room = 107 - lab.base.path().as_os_str().len() - "//contract_version_1/x".len();
    for (length, fits) in [(room, true), (room + 1, false)] {
        let mut plan = lab.plan(&WAIT);
        plan.session = "x".to_owned();
        plan.server = lab.path(&"d".repeat(length));
        let created = lab.zellij.create(&plan).await;
        assert_eq!(created.is_ok(), fits, "{created:?}");
        if let Ok(created) = created {
            lab.zellij.remove(&created.target).await.expect("removed");
        }
        assert!(!plan.server.exists());
    }
}

#[tokio::test]
async fn another_session_in_the_directory_is_never_removed() {
    let lab = Lab::new();
    let created = lab.create(&WAIT).await;
    let namesake = Target { session: "s2".into(), session_id: "s2".into(), ..created.target.clone() };
    lab.zellij.remove(&namesake).await.expect("not there is success");
    assert!(is_alive(created.server));
    let error = lab.zellij.capture(&namesake, Capture::default()).await;
    assert!(matches!(error, Err(RuntimeError::NoSuchSession { .. })), "{error:?}");
}

#[tokio::test]
async fn a_foreign_directory_is_not_deleted() {
    let lab = Lab::new();
    std::fs::create_dir(lab.path("precious")).expect("made");
    std::fs::write(lab.path("precious/file"), "x").expect("written");
    let target = Target {
        server: lab.path("precious"),
        session: "s".into(),
        session_id: "s".into(),
        pane: "terminal_0".into(),
        server_process: None,
        pane_pid: None,
    };
    lab.zellij.remove(&target).await.expect_err("something is left");
    assert!(Path::new(&lab.path("precious/file")).exists());
}
