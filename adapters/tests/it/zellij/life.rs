//! Sessions of a real zellij: created, observed, lost and removed.

use std::time::{Duration, Instant};

use super::lab;
use super::lab::{Lab, eventually, is_alive, servers_below, stop};
use nix::sys::signal::Signal;
use peer_adapters::process;
use peer_adapters::runtime::{AttachMode, Capture, Gone, Key, Listing, Runtime, RuntimeError, Target};
use peer_adapters::zellij::Zellij;

pub(super) const WAIT: [&str; 2] = ["/bin/sleep", "1000"];

#[tokio::test]
async fn a_session_is_made_at_the_wanted_size_listed_and_removed_without_a_trace() {
    let lab = Lab::new();
    let created = lab.create(&["/bin/sh", "-c", "stty size; echo size told; exec sleep 1000"]).await;
    assert!(lab.shows(&created.target, "size told").await.starts_with("50 200\n"));
    let row = lab.row(&created.target.server).await;
    assert_eq!((row.session.as_str(), row.pane.as_str(), row.tag.as_str()), ("s1", "terminal_0", "alice/7"));
    assert!(!row.pane_dead);
    assert!(row.activity_s.is_some());
    let pane = process::status(row.pane_pid.expect("known")).expect("probe").expect("alive");
    assert_eq!(pane.parent, created.server.pid);
    lab.zellij.remove(&created.target).await.expect("removed");
    assert!(!is_alive(created.server) && !is_alive(pane.id));
    assert!(!created.target.server.exists());
    assert_eq!(lab.zellij.list(&created.target.server).await.expect("listed"), Listing::Gone(Gone::NoSocket));
    lab.zellij.remove(&created.target).await.expect("absent is success");
}

#[tokio::test]
async fn twenty_sessions_come_up_at_once_and_none_disturbs_another() {
    let lab = std::sync::Arc::new(Lab::new());
    let mut creations = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let lab = lab.clone();
        creations.spawn(async move { lab.create(&WAIT).await });
    }
    let created = creations.join_all().await;
    for one in &created {
        assert!(!lab.row(&one.target.server).await.pane_dead);
    }
    assert_eq!(servers_below(lab.base.path()).len(), 20);
}

#[tokio::test]
async fn a_name_is_taken_while_its_session_lives_and_free_after_it() {
    let lab = Lab::new();
    let plan = lab.plan(&WAIT);
    let first = lab.zellij.create(&plan).await.expect("created");
    let again = lab.zellij.create(&plan).await;
    assert!(matches!(again, Err(RuntimeError::DuplicateSession { .. })), "{again:?}");
    assert!(is_alive(first.server));
    process::signal(first.server, Signal::SIGKILL).expect("signalled");
    eventually("the server is gone", || !is_alive(first.server)).await;
    gone(&lab, &first.target, Gone::NotListening).await;
    // The stale directory with its socket is cleared away, and the new command runs, not the old one.
    let second = lab.zellij.create(&plan).await.expect("created over a dead one");
    assert_ne!(first.server, second.server);
}

#[tokio::test]
async fn two_creations_of_one_name_make_one_session() {
    let lab = Lab::new();
    let plan = lab.plan(&["/bin/sh", "-c", "echo ran >>ran; exec sleep 1000"]);
    let (one, two) = tokio::join!(lab.zellij.create(&plan), lab.zellij.create(&plan));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    assert_eq!(servers_below(lab.base.path()).len(), 1);
    eventually("the command ran", || std::fs::read_to_string(lab.path("ran")).is_ok_and(|ran| ran == "ran\n")).await;
}

#[tokio::test]
async fn listing_during_a_creation_breaks_nothing_and_never_says_gone() {
    let lab = Lab::new();
    for _ in 0..5 {
        let plan = lab.plan(&WAIT);
        let creation = lab.zellij.create(&plan);
        tokio::pin!(creation);
        let mut unclear = 0;
        let created = loop {
            tokio::select! {
                created = &mut creation => break created.expect("created"),
                () = tokio::time::sleep(Duration::from_millis(1)) => match lab.zellij.list(&plan.server).await {
                    Err(RuntimeError::NotAnswering { .. }) => unclear += 1,
                    Ok(Listing::Up { .. }) => {}
                    other => panic!("a session that is being made is {other:?}"),
                },
            }
        };
        assert!(unclear > 0, "the creation was never seen in progress");
        assert!(!lab.row(&created.target.server).await.pane_dead);
    }
}

#[tokio::test]
async fn a_hung_server_is_unknown_at_once_and_disturbs_no_other() {
    let lab = Lab::new();
    let (hung, other) = (lab.create(&WAIT).await, lab.create(&WAIT).await);
    stop(hung.server).await;
    let asked = Instant::now();
    for error in [
        lab.zellij.list(&hung.target.server).await.map(|_| ()),
        lab.zellij.capture(&hung.target, Capture::default()).await.map(|_| ()),
        lab.zellij.paste(&hung.target, "x").await,
        lab.zellij.press(&hung.target, &[Key::Enter]).await,
    ] {
        assert!(matches!(error, Err(RuntimeError::NotAnswering { .. })), "{error:?}");
    }
    assert!(asked.elapsed() < Duration::from_secs(1), "took {:?}", asked.elapsed());
    lab.zellij.capture(&other.target, Capture::default()).await.expect("the other answers");
    lab.zellij.remove(&hung.target).await.expect("a stopped server can be removed");
    assert!(!is_alive(hung.server) && is_alive(other.server));
}

/// Waits until a listing reports how the server is gone. While its threads end, one after the other, nothing is known.
async fn gone(lab: &Lab, target: &Target, how: Gone) {
    let deadline = Instant::now() + lab::PATIENCE;
    loop {
        match lab.zellij.list(&target.server).await {
            Ok(listing) => return assert_eq!(listing, Listing::Gone(how)),
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    }
}

#[tokio::test]
async fn a_killed_server_is_gone_and_its_directory_can_be_removed() {
    let lab = Lab::new();
    let created = lab.create(&WAIT).await;
    process::signal(created.server, Signal::SIGKILL).expect("signalled");
    eventually("the server is gone", || !is_alive(created.server)).await;
    gone(&lab, &created.target, Gone::NotListening).await;
    let error = lab.zellij.capture(&created.target, Capture::default()).await;
    assert!(matches!(error, Err(RuntimeError::ServerGone { gone: Gone::NotListening, .. })), "{error:?}");
    lab.zellij.remove(&created.target).await.expect("removed");
    assert!(!created.target.server.exists());
}

#[tokio::test]
async fn a_session_that_somebody_ended_is_told_from_one_that_lost_its_server() {
    let lab = Lab::new();
    let created = lab.create(&WAIT).await;
    let mut end = lab.zellij.attach(&created.target, AttachMode::default()).await.expect("a client");
    end.args = ["kill-session", &created.target.session].map(Into::into).to_vec();
    assert!(Zellij::has_socket(&created.target.server));
    eventually("it is told", || !is_alive(created.server) || end_with(&end)).await;
    gone(&lab, &created.target, Gone::Ended).await;
    assert!(!Zellij::has_socket(&created.target.server));
    lab.zellij.remove(&created.target).await.expect("removed");
    assert!(!created.target.server.exists());

    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let created = lab.create(&WAIT).await;
        process::signal(created.server, signal).expect("signalled");
        eventually("the server is gone", || !is_alive(created.server)).await;
        gone(&lab, &created.target, Gone::NotListening).await;
        assert!(Zellij::has_socket(&created.target.server));
    }
}

/// Runs a raw client; call it again if the client overlooks its session.
fn end_with(argv: &peer_adapters::command::Argv) -> bool {
    peer_adapters::command::run_in_foreground(argv).expect("it runs");
    false
}

#[tokio::test]
async fn a_creation_that_was_given_up_leaves_nothing() {
    let lab = Lab::new();
    let hung = lab.path("hung");
    std::fs::write(&hung, "#!/bin/sh\nexec sleep 1000\n").expect("written");
    let hung = lab.install(&hung).await;
    let plan = lab.plan(&WAIT);
    let given_up = Zellij::new(hung, Duration::from_millis(100)).create(&plan).await;
    assert!(matches!(given_up, Err(RuntimeError::TimedOut { .. })), "{given_up:?}");
    assert!(plan.server.exists());
    lab.zellij.discard_failed_create(&plan.server, &plan.session).await.expect("cleared");
    assert!(!plan.server.exists());
    lab.zellij.discard_failed_create(&plan.server, &plan.session).await.expect("nothing there is success");
    assert_eq!(lab.zellij.list(&plan.server).await.expect("listed"), Listing::Gone(Gone::NoSocket));
}

#[tokio::test]
async fn a_server_whose_socket_was_deleted_is_still_found_and_ended() {
    let lab = Lab::new();
    let created = lab.create(&WAIT).await;
    let socket = created.target.server.join("contract_version_1").join(&created.target.session);
    std::fs::remove_file(socket).expect("deleted");
    let listing = lab.zellij.list(&created.target.server).await;
    let unreachable = |error: &RuntimeError| matches!(error, RuntimeError::Unreachable { recorded, gone: Gone::NoSocket, .. } if *recorded == created.server);
    assert!(listing.as_ref().is_err_and(unreachable), "{listing:?}");
    let captured = lab.zellij.capture(&created.target, Capture::default()).await;
    assert!(captured.as_ref().is_err_and(unreachable), "{captured:?}");
    assert!(is_alive(created.server));
    lab.zellij.remove(&created.target).await.expect("removed");
    assert!(!is_alive(created.server));
}

#[tokio::test]
async fn a_process_that_is_not_the_server_of_the_session_is_never_ended() {
    let lab = Lab::new();
    let (created, other) = (lab.create(&WAIT).await, lab.create(&WAIT).await);
    // As if a pid and its start time had been recorded wrongly: the arguments are the second witness.
    let file = created.target.server.join("session.json");
    let text = std::fs::read_to_string(&file).expect("readable");
    let mut record: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    record["running"]["server"] = serde_json::to_value(other.server).expect("JSON");
    std::fs::write(&file, record.to_string()).expect("written");
    let removed = lab.zellij.remove(&created.target).await;
    assert!(matches!(removed, Err(RuntimeError::Failed { .. })), "{removed:?}");
    assert!(is_alive(other.server) && is_alive(created.server));
}

#[tokio::test]
async fn a_command_that_ends_at_once_leaves_a_dead_pane_with_its_screen() {
    let lab = Lab::new();
    for script in ["echo last words; exit 3", "exit 0", "kill -9 $$"] {
        let created = lab.create(&["/bin/sh", "-c", script]).await;
        let deadline = Instant::now() + lab::PATIENCE;
        while !lab.row(&created.target.server).await.pane_dead {
            assert!(Instant::now() < deadline, "{script}: the pane is not dead");
        }
        if script.starts_with("echo") {
            lab.shows(&created.target, "last words").await;
        }
        for error in
            [lab.zellij.paste(&created.target, "x").await, lab.zellij.press(&created.target, &[Key::Enter]).await]
        {
            assert!(matches!(error, Err(RuntimeError::PaneDead { .. })), "{script}: {error:?}");
        }
        lab.zellij.remove(&created.target).await.expect("removed");
        assert!(!created.target.server.exists());
    }
}

#[tokio::test]
async fn a_session_without_panes_is_dead_and_can_be_removed() {
    let lab = Lab::new();
    let created = lab.create(&WAIT).await;
    let attach = lab
        .zellij
        .attach(&created.target, AttachMode { inside: true, ..AttachMode::default() })
        .await
        .expect("a client");
    // The same client environment, for another action.
    let mut close = attach.clone();
    close.args = ["--session", "s1", "action", "close-pane", "--pane-id", "terminal_0"].map(Into::into).to_vec();
    let deadline = Instant::now() + lab::PATIENCE;
    loop {
        // Repeated until it is done: a raw client may overlook the session, while the adapter's own clients are
        // retried.
        peer_adapters::command::run(&close, None, Duration::from_secs(5)).await.expect("ran");
        match lab.zellij.list(&created.target.server).await.expect("listed") {
            // A pane that is closed is not listed, although its process may live for a moment longer.
            Listing::Up { rows, .. } if rows.iter().all(|row| row.pane_dead) => break,
            Listing::Gone(_) => break,
            Listing::Up { .. } => assert!(Instant::now() < deadline, "the pane is not closed"),
        }
    }
    // zellij forgets the pane a moment after its process has ended.
    loop {
        match lab.zellij.capture(&created.target, Capture::default()).await {
            Err(RuntimeError::NoSuchSession { .. } | RuntimeError::ServerGone { .. }) => break,
            other => assert!(Instant::now() < deadline, "{other:?}"),
        }
    }
    lab.zellij.remove(&created.target).await.expect("removed");
    assert!(!is_alive(created.server));
}

#[tokio::test]
async fn what_zellij_cannot_do_is_said_before_it_is_tried() {
    let lab = Lab::new();
    let mut plan = lab.plan(&WAIT);
    plan.cwd = lab.path("not there");
    let error = lab.zellij.create(&plan).await.expect_err("refused").to_string();
    assert!(error.contains("not there is not there"), "{error}");
    assert!(!plan.server.exists());
    let absent = Zellij::new(lab.path("zellij"), Duration::from_secs(1));
    let error = absent.create(&lab.plan(&WAIT)).await.expect_err("refused");
    assert!(matches!(error, RuntimeError::NoBinary { .. }), "{error:?}");
    let error = absent.version().await.expect_err("refused");
    assert!(matches!(error, RuntimeError::NoBinary { .. }), "{error:?}");
    let base = lab.path(&"long".repeat(30));
    let mut plan = lab.plan(&WAIT);
    plan.server = base.join("zellij").join("s");
    let error = lab.zellij.create(&plan).await.expect_err("refused").to_string();
    assert!(error.contains("too long"), "{error}");
}

#[tokio::test]
async fn a_creator_that_is_killed_leaves_a_session_that_can_be_judged_and_removed() {
    let lab = Lab::new();
    let created = lab.create(&WAIT).await;
    // The state after the creator died before it could record the processes.
    let file = created.target.server.join("session.json");
    let text = std::fs::read_to_string(&file).expect("readable");
    let mut record: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    record["running"] = serde_json::Value::Null;
    record["creator"]["start"] = 1.into();
    std::fs::write(&file, record.to_string()).expect("written");
    assert!(!lab.row(&created.target.server).await.pane_dead);
    lab.zellij.remove(&created.target).await.expect("removed");
    assert!(!is_alive(created.server) && !created.target.server.exists());
}
