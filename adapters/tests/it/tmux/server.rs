//! Servers that are gone, stopped, inaccessible or started in unusual ways: each case has its own error, and none takes
//! longer than the deadline. The tests inspect `/proc`.

#![cfg(target_os = "linux")]

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::lab;
use super::lab::{DEADLINE, Lab, again, clients_left, eventually, is_second_run};
use nix::sys::signal::Signal;
use peer_adapters::process::{self, ProcessId};
use peer_adapters::runtime::{Capture, Gone, Key, Listing, NewSession, Runtime, RuntimeError, Target};
use peer_adapters::tmux::Tmux;

/// Returns the error of every call that needs a server, by name.
async fn errors(tmux: &Tmux, target: &Target, new: &NewSession) -> Vec<(&'static str, RuntimeError)> {
    vec![
        ("list", tmux.list(&target.server).await.expect_err("list")),
        ("create", tmux.create(new).await.expect_err("create")),
        ("capture", tmux.capture(target, Capture::default()).await.expect_err("capture")),
        ("paste", tmux.paste(target, "x").await.expect_err("paste")),
        ("press", tmux.press(target, &[Key::Enter]).await.expect_err("press")),
        ("remove", tmux.remove(target).await.expect_err("remove")),
    ]
}

/// Stops the server, and waits until the kernel reports it as stopped.
async fn stop(server: ProcessId) {
    assert!(process::signal(server, Signal::SIGSTOP).expect("stop"));
    eventually("the server is stopped", || process::find(server).expect("probe").is_some_and(|s| s.stopped)).await;
}

#[tokio::test]
async fn a_stopped_server_is_named_at_once_and_asked_nothing() {
    let lab = Lab::new();
    let created = lab.idle("a").await;
    stop(created.server).await;
    let begin = Instant::now();
    for (call, error) in errors(&lab.tmux, &created.target, &lab.session("b", &["sleep", "1000"])).await {
        assert!(matches!(error, RuntimeError::NotAnswering { .. }), "{call}: {error}");
        assert!(error.to_string().contains("kill -CONT"), "{call}: {error}");
    }
    assert!(begin.elapsed() < DEADLINE / 2);
    assert_eq!(clients_left(&lab), [""; 0]);
    process::signal(created.server, Signal::SIGCONT).expect("continue");
    assert_eq!(lab.names().await, ["a"], "nothing of it happens later");
}

/// A client keeps it: one that waits for a command of its own.
#[tokio::test]
async fn a_server_that_does_not_retire_is_not_left_to_end_with_its_next_session() {
    let lab = Lab::new();
    let created = lab.idle("a").await;
    let busy = lab.path("busy");
    let script = format!("touch {0}; while [ -e {0} ]; do sleep 0.05; done", busy.display());
    let mut client = std::process::Command::new(lab::binary());
    let mut client =
        client.arg("-S").arg(lab.socket()).args(["run-shell", &script]).env_remove("TMUX").spawn().expect("tmux runs");
    eventually("it waits", || busy.exists()).await;
    lab.tmux.remove(&created.target).await.expect("removed");
    let retired = lab.through(&lab::binary(), Duration::from_secs(1)).retire(&lab.socket()).await;
    assert!(matches!(retired, Ok(false)), "{retired:?}");
    assert_eq!(lab.raw(&["show-options", "-s", "exit-empty"]).await, "exit-empty off\n");
    std::fs::remove_file(&busy).expect("ours");
    eventually("it is done", || client.try_wait().expect("ours").is_some()).await;
    assert!(
        lab.tmux.retire(&lab.socket()).await.expect("retired")
            && process::find(created.server).expect("probe").is_none()
    );
}

/// The server stops between our probe and the client's call: the command waits in its queue.
#[tokio::test]
async fn a_late_creation_is_seen_by_the_next_listing() {
    let lab = Lab::new();
    let created = lab.idle("a").await;
    let pid = created.server.pid;
    let stopper = lab.script("stopper", &format!("kill -STOP {pid}\nexec {} \"$@\"", lab::binary().display()));
    let deadline = Duration::from_millis(500);
    let begin = Instant::now();
    let error =
        lab.through(&stopper, deadline).create(&lab.session("late", &["sleep", "1000"])).await.expect_err("late");
    assert!(matches!(&error, RuntimeError::TimedOut { command, .. } if command == "new-session"), "{error}");
    assert!(begin.elapsed() < deadline * 4, "{:?}", begin.elapsed());
    assert_eq!(clients_left(&lab), [""; 0]);
    process::signal(created.server, Signal::SIGCONT).expect("continue");
    let end = Instant::now() + lab::PATIENCE;
    while lab.names().await != ["a", "late"] {
        assert!(Instant::now() < end, "the late session shows: {:?}", lab.names().await);
    }
}

#[tokio::test]
async fn each_call_to_a_server_that_stops_under_it_ends_in_time() {
    let lab = Lab::new();
    let created = lab.idle("a").await;
    let pid = created.server.pid;
    let tmux = lab::binary();
    let stopper = lab.script("stopper", &format!("kill -STOP {pid}\nexec {} \"$@\"", tmux.display()));
    let slow = lab.through(&stopper, Duration::from_millis(200));
    let go_on = || process::signal(created.server, Signal::SIGCONT).expect("continue");
    let (target, keys) = (&created.target, [Key::Enter]);
    let mut found = vec![slow.list(&lab.socket()).await.expect_err("list")];
    go_on();
    found.push(slow.capture(target, Capture::default()).await.expect_err("capture"));
    go_on();
    found.push(slow.paste(target, "x").await.expect_err("paste"));
    go_on();
    found.push(slow.press(target, &keys).await.expect_err("press"));
    go_on();
    found.push(slow.remove(target).await.expect_err("remove"));
    go_on();
    for error in found {
        assert!(matches!(error, RuntimeError::TimedOut { .. }), "{error}");
    }
    // On a loaded machine, one (`start-server`) was seen to be there a moment longer.
    let end = Instant::now() + lab::PATIENCE;
    while !clients_left(&lab).is_empty() {
        assert!(Instant::now() < end, "{:?}", clients_left(&lab));
        tokio::task::yield_now().await;
    }
    assert_eq!(lab.raw(&["list-buffers"]).await, "");
}

#[tokio::test]
async fn a_killed_server_is_gone_and_its_stale_socket_no_obstacle() {
    let lab = Lab::new();
    let created = lab.idle("a").await;
    process::signal(created.server, Signal::SIGKILL).expect("kill");
    eventually("the server is gone", || lab.server().is_none()).await;
    assert!(lab.socket().exists(), "the socket file stays");
    // Its sockets may be closed a moment later; until then the listener is unknown.
    let closed =
        || matches!(peer_adapters::socket::listener(&lab.socket()), Ok(peer_adapters::socket::Listener::Gone(_)));
    eventually("its socket is closed", closed).await;
    assert_eq!(lab.tmux.list(&lab.socket()).await.expect("list"), Listing::Gone(Gone::NotListening));
    let error = lab.tmux.capture(&created.target, Capture::default()).await.expect_err("gone");
    assert!(matches!(error, RuntimeError::ServerGone { gone: Gone::NotListening, .. }), "{error}");
    lab.tmux.remove(&created.target).await.expect("no server, no session");
    let next = lab.idle("b").await;
    assert_ne!(next.server, created.server);
    assert_eq!(lab.names().await, ["b"]);
}

/// Ids and paths belong to one server process: those of another one on the same path mean something else.
#[tokio::test]
async fn a_server_that_took_the_path_is_never_asked_for_another_ones_pane() {
    let lab = Lab::new();
    let (target, first) = (lab.idle("a").await.target, lab.server().expect("a server"));
    std::fs::remove_file(lab.socket()).expect("removed");
    let error = lab.tmux.capture(&target, Capture::default()).await.expect_err("out of reach");
    assert!(matches!(&error, RuntimeError::Unreachable { recorded, .. } if *recorded == first), "{error}");
    // The same names and ids on another server.
    let second = lab.idle("a").await;
    assert_eq!(second.target.pane, target.pane);
    for error in [
        lab.tmux.capture(&target, Capture::default()).await.expect_err("capture"),
        lab.tmux.paste(&target, "x").await.expect_err("paste"),
        lab.tmux.press(&target, &[Key::Enter]).await.expect_err("press"),
        lab.tmux.remove(&target).await.expect_err("remove"),
    ] {
        let names_both = matches!(
            &error,
            RuntimeError::OtherServer { recorded, found, .. } if *recorded == first && *found == second.server
        );
        assert!(names_both, "{error}");
    }
    assert_eq!(lab.names().await, ["a"]);
    process::signal(first, Signal::SIGKILL).expect("kill");
    eventually("the first server is gone", || process::find(first).expect("probe").is_none()).await;
    let error = lab.tmux.capture(&target, Capture::default()).await.expect_err("gone");
    assert!(matches!(error, RuntimeError::ServerGone { gone: Gone::Replaced, .. }), "{error}");
    lab.tmux.remove(&target).await.expect("no server, no session");
    assert_eq!(lab.names().await, ["a"], "the other server's session");
}

#[tokio::test]
async fn a_missing_binary_is_named() {
    // A live tmux server would provide its own executable.
    let (lab, _listener, _) = faulty("exit 1");
    let server = lab.server().expect("we listen");
    let (session_id, pane) = ("$0".to_owned(), "%0".to_owned());
    let target = Target {
        server: lab.socket(),
        session: "a".to_owned(),
        session_id,
        pane,
        server_process: Some(server),
        pane_pid: None,
    };
    let missing = lab.through(&PathBuf::from("/nonexistent/tmux"), DEADLINE);
    let mut found = errors(&missing, &target, &lab.session("b", &["sleep", "1000"])).await;
    found.push(("version", missing.version().await.expect_err("version")));
    for (call, error) in found {
        assert!(matches!(error, RuntimeError::NoBinary { .. }), "{call}: {error}");
        assert!(error.to_string().contains("/nonexistent/tmux"), "{call}: {error}");
    }
}

/// `chmod` denies root nothing, so the queries are made by a process that has given up root.
#[tokio::test]
async fn what_is_closed_to_us_is_denied_and_not_gone() {
    let lab = Lab::new();
    let (closed, open) = (lab.path("closed"), lab.path("open"));
    if !is_second_run() {
        return again("server::what_is_closed_to_us_is_denied_and_not_gone", |run| run).await;
    }
    std::fs::create_dir(&closed).expect("make the directory");
    let in_closed =
        lab.tmux.create(&NewSession { server: closed.join("s"), ..lab.session("a", &["sleep", "1000"]) }).await;
    let in_closed = in_closed.expect("create");
    let in_open = lab.idle("a").await;
    std::fs::rename(lab.socket(), &open).expect("another name");
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o777)).expect("chmod");
    std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o000)).expect("chmod");
    let was_root = nix::unistd::geteuid().is_root();
    if was_root {
        nix::unistd::seteuid(65_534.into()).expect("give root up");
    }
    let new = NewSession { server: in_closed.target.server.clone(), cwd: "/".into(), ..lab.session("b", &["a", "b"]) };
    let mut found = errors(&lab.tmux, &in_closed.target, &new).await;
    if was_root {
        let target = Target { server: open.clone(), ..in_open.target.clone() };
        found.extend(errors(&lab.tmux, &target, &NewSession { server: open, ..new }).await);
        nix::unistd::seteuid(0.into()).expect("take it back");
    }
    // Before anything can fail, because the lab only cleans up after its own socket.
    for server in [in_closed.server, in_open.server] {
        process::signal(server, Signal::SIGKILL).expect("kill");
    }
    std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o700)).expect("chmod");
    for (call, error) in found {
        assert!(matches!(error, RuntimeError::PermissionDenied { .. }), "{call}: {error}");
    }
}

#[tokio::test]
async fn a_directory_that_others_may_write_to_gets_no_server() {
    let lab = Lab::new();
    let dir = lab.path("shared");
    std::fs::create_dir(&dir).expect("make the directory");
    std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o1777)).expect("chmod");
    let new = NewSession { server: dir.join("s"), ..lab.session("a", &["sleep", "1000"]) };
    let error = lab.tmux.create(&new).await.expect_err("shared");
    assert!(matches!(error, RuntimeError::PermissionDenied { .. }), "{error}");
    assert!(!dir.join("s").exists());
}

/// A faulty replacement for tmux, and a listener on the socket.
fn faulty(script: &str) -> (Lab, UnixListener, Tmux) {
    let lab = Lab::new();
    let listener = UnixListener::bind(lab.socket()).expect("bind");
    let fake = lab.script("tmux", script);
    let tmux = lab.through(&fake, Duration::from_secs(5));
    (lab, listener, tmux)
}

#[tokio::test]
async fn exit_0_alone_is_not_believed() {
    for (script, words) in [
        ("exit 0", "unexpected answer"),
        ("echo 'a_$0_%0_1_0__0_17_9_.'", "unexpected answer"),
        ("echo ok; echo 'access not allowed' >&2", "permission denied"),
        ("echo ok; echo 'error creating /s (No such file or directory)' >&2", "error creating"),
        ("echo 'server exited unexpectedly' >&2; exit 1", "server exited unexpectedly"),
        ("echo 'protocol version mismatch (client 8, server 7)' >&2; exit 1", "version mismatch"),
        ("kill -9 $$", "signal 9"),
    ] {
        let (lab, _listener, tmux) = faulty(script);
        let error = tmux.create(&lab.session("a", &["sleep", "1"])).await.expect_err(script);
        assert!(error.to_string().contains(words), "{script}: {error}");
        if script != "exit 0" {
            let error = tmux.list(&lab.socket()).await.expect_err(script);
            assert!(error.to_string().contains(words), "{script}: {error}");
        }
    }
}

#[tokio::test]
async fn a_row_of_another_server_spoils_the_listing() {
    let row = r"printf '%s\t$0\t%%0\t1\t0\t0\t17\ta\t\t.\n'";
    let (lab, _listener, tmux) = faulty(&format!("{row} {}", std::process::id()));
    assert!(matches!(tmux.list(&lab.socket()).await, Ok(Listing::Up { rows, .. }) if rows.len() == 1));
    let (lab, _listener, tmux) = faulty(&format!("{row} 1"));
    assert!(tmux.list(&lab.socket()).await.is_err());
}
