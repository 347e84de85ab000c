//! Cases about the server and its binary: stopped, killed, another user's, missing, too old.

use crate::conformance::hosts::{DEADLINE, Host, PATIENCE, eventually, find_row, idle, is_alive, row_where};
use nix::sys::signal::Signal;
use peer_adapters::command::{self, Argv};
use peer_adapters::process;
use peer_adapters::runtime::{Capture, Gone, Key, Listing, RuntimeError};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

pub(crate) async fn a_stopped_server_is_unknown_and_never_waited_for(host: &dyn Host) {
    let created = idle(host, "a").await;
    process::signal(created.server, Signal::SIGSTOP).expect("signalled");
    eventually("it is stopped", || process::find(created.server).expect("probe").is_some_and(|server| server.stopped))
        .await;
    let asked = Instant::now();
    let (runtime, target) = (host.runtime(), &created.target);
    for answer in [
        runtime.list(&target.server).await.map(drop),
        runtime.capture(target, Capture::default()).await.map(drop),
        runtime.paste(target, "late").await,
        runtime.press(target, &[Key::Enter]).await,
    ] {
        assert!(matches!(answer, Err(RuntimeError::NotAnswering { .. })), "{answer:?}");
    }
    assert!(asked.elapsed() < Duration::from_secs(2), "took {:?}", asked.elapsed());
    process::signal(created.server, Signal::SIGCONT).expect("signalled");
    row_where(host, target, |row| !row.pane_dead).await;
    assert!(!runtime.capture(target, Capture::default()).await.expect("captured").contains("late"));
}

pub(crate) async fn a_killed_server_is_gone_and_can_be_followed_by_another(host: &dyn Host) {
    let first = idle(host, "a").await;
    process::signal(first.server, Signal::SIGKILL).expect("signalled");
    eventually("it is gone", || !is_alive(first.server)).await;
    let asked = Instant::now();
    // While the threads of a server end, one after the other, its state may be unknown; but it is never up.
    let listing = loop {
        match host.runtime().list(&first.target.server).await {
            Ok(listing) => break listing,
            Err(error) => assert!(asked.elapsed() < PATIENCE, "{error}"),
        }
    };
    assert_eq!(listing, Listing::Gone(Gone::NotListening));
    let captured = host.runtime().capture(&first.target, Capture::default()).await;
    assert!(matches!(captured, Err(RuntimeError::ServerGone { gone: Gone::NotListening, .. })), "{captured:?}");
    let second = idle(host, "a").await;
    assert_ne!(first.server, second.server);
    assert!(find_row(host, &second.target).await.is_some_and(|row| !row.pane_dead));
}

/// Runs as another user if we are root, for whom nothing is forbidden; otherwise with our own access removed.
pub(crate) async fn a_server_of_somebody_else_is_unknown(host: &dyn Host) {
    let created = idle(host, "a").await;
    let open = std::fs::metadata(host.dir()).expect("there").permissions();
    if nix::unistd::geteuid().is_root() {
        std::fs::set_permissions(host.dir(), std::fs::Permissions::from_mode(0o700)).expect("changed");
        let shared = tempfile::tempdir().expect("a directory");
        std::fs::set_permissions(shared.path(), std::fs::Permissions::from_mode(0o755)).expect("changed");
        let program = shared.path().join("suite");
        install(&std::env::current_exe().expect("known"), &program).await;
        let asker = Argv::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
            .arg(&program)
            .args(["--exact", "conformance::servers::asks_for_a_forbidden_server", "--ignored", "--nocapture"])
            .env("PEER_KIND", host.runtime().kind().as_str())
            .env("PEER_SERVER", &created.target.server)
            .cwd("/");
        let output = command::run(&asker, None, Duration::from_secs(20)).await.expect("setpriv runs");
        assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stdout), output.stderr);
    } else {
        std::fs::set_permissions(host.dir(), std::fs::Permissions::from_mode(0o000)).expect("changed");
        let listing = host.runtime().list(&created.target.server).await;
        std::fs::set_permissions(host.dir(), open).expect("changed back");
        assert!(matches!(listing, Err(RuntimeError::PermissionDenied { .. })), "{listing:?}");
    }
}

/// Copies a program that is then executed. Another process does the copying: a child that another test starts meanwhile
/// would inherit the open file for a moment, and the kernel does not execute a file that is open for writing.
pub(crate) async fn install(from: &Path, to: &Path) {
    let argv = Argv::new("install").args(["-m", "755"]).arg(from).arg(to);
    let output = command::run(&argv, None, Duration::from_secs(20)).await.expect("install runs");
    assert!(output.status.success(), "{}", output.stderr);
}

/// Run by the case above as another user.
#[tokio::test]
#[ignore = "run by another test, as another user"]
async fn asks_for_a_forbidden_server() {
    let server = std::env::var_os("PEER_SERVER").expect("set by the case that runs this");
    let runtime =
        crate::conformance::hosts::without_binary(&std::env::var("PEER_KIND").expect("set by the case that runs this"));
    let listing = runtime.list(Path::new(&server)).await;
    assert!(matches!(listing, Err(RuntimeError::PermissionDenied { .. })), "{listing:?}");
}

pub(crate) async fn a_missing_binary_is_named(host: &dyn Host) {
    let path = host.dir().join("no such binary");
    let runtime = host.with_binary(path.clone(), DEADLINE);
    for answer in
        [runtime.version().await.map(drop), runtime.create(&host.plan("a", &["/bin/sleep", "1"])).await.map(drop)]
    {
        assert!(matches!(&answer, Err(RuntimeError::NoBinary { path: named, .. }) if *named == path), "{answer:?}");
    }
}

pub(crate) async fn an_old_version_is_named(host: &dyn Host) {
    let installed = host.runtime().version().await.expect("answered");
    assert!(installed.starts_with(host.runtime().kind().as_str()), "{installed}");
    let path = host.dir().join("old");
    let text = host.dir().join("old.txt");
    std::fs::write(&text, format!("#!/bin/sh\necho '{}'\n", host.too_old())).expect("written");
    install(&text, &path).await;
    let version = host.with_binary(path, DEADLINE).version().await;
    let Err(RuntimeError::VersionMismatch { detail, .. }) = &version else { panic!("{version:?}") };
    assert!(detail.contains(host.too_old()), "{detail}");
}
