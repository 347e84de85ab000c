//! Unsuitable clients: wrappers that print lines of their own, executables that are gone, and those of another version
//! than the server.

use std::path::{Path, PathBuf};

use super::lab::{DEADLINE, Lab, binary};
use peer_adapters::runtime::{AttachMode, Capture, Key, Runtime, RuntimeError, RuntimeKind};
use peer_adapters::version::{Executable, Versions};

/// A shell script in place of tmux, which does `first` if its arguments match `when`, and then what tmux does.
fn wrapper(lab: &Lab, when: &str, first: &str) -> PathBuf {
    let tmux = binary();
    lab.script("wrapper", &format!("case \"$*\" in {when}) {first};; esac\nexec {} \"$@\"", tmux.display()))
}

#[tokio::test]
async fn a_wrapper_that_prints_lines_of_its_own_is_passed_over() {
    for line in ["echo hello", "echo hello >&2"] {
        let lab = Lab::new();
        let tmux = lab.through(&wrapper(&lab, "*", line), DEADLINE);
        let created = tmux.create(&lab.session("a", &["sh", "-c", "echo there; exec cat"])).await.expect(line);
        assert_eq!((lab.names().await, lab.server()), (vec!["a".to_owned()], Some(created.server)), "{line}");
        tmux.list(&lab.socket()).await.expect(line);
        tmux.press(&created.target, &[Key::Char('x')]).await.expect(line);
        tmux.capture(&created.target, Capture::default()).await.expect(line);
        tmux.remove(&created.target).await.expect(line);
        assert_eq!(lab.names().await, [""; 0], "{line}");
    }
}

#[tokio::test]
async fn a_session_that_was_made_is_found_when_its_making_was_not_confirmed() {
    let tmux = binary();
    let tmux = tmux.display();
    for answer in [
        "echo hello",
        "echo hello >&2",
        &format!("{tmux} \"$@\" >/dev/null; exit 1"),
        &format!("{tmux} \"$@\" >&2; kill -9 $$"),
    ] {
        let lab = Lab::new();
        let other = lab.idle("other").await;
        let tmux = lab.through(&wrapper(&lab, "*new-session*", answer), DEADLINE);
        let created = tmux.create(&lab.session("a", &["sleep", "1000"])).await.expect(answer);
        let rows = lab.rows().await;
        let row = rows.iter().find(|row| row.session == "a").expect("it is there");
        assert_eq!((&row.session_id, &row.pane), (&created.target.session_id, &created.target.pane), "{answer}");
        assert_eq!((rows.len(), created.server), (2, other.server), "{answer}");
        assert_eq!(created.target.pane_pid, row.pane_pid, "{answer}");
    }
}

#[tokio::test]
async fn a_session_that_was_not_made_is_not_found() {
    let lab = Lab::new();
    lab.idle("other").await;
    let tmux = lab.through(&wrapper(&lab, "*new-session*", "echo hello; exit 0"), DEADLINE);
    let error = tmux.create(&lab.session("a", &["sleep", "1000"])).await.expect_err("nothing was made");
    assert!(matches!(&error, RuntimeError::Failed { detail, .. } if detail.contains("hello")), "{error}");
    assert_eq!(lab.names().await, ["other"]);
}

#[tokio::test]
async fn an_executable_that_is_gone_is_replaced_by_that_of_the_server() {
    let lab = Lab::new();
    let installed = lab.path("tmux");
    std::fs::copy(binary(), &installed).expect("copied");
    let created =
        lab.through(&installed, DEADLINE).create(&lab.session("a", &["sleep", "1000"])).await.expect("created");
    // Upgraded in place: the path has another file, and the old one is only held by the server; then removed.
    std::fs::rename(&installed, lab.path("old")).expect("renamed");
    std::fs::remove_file(lab.path("old")).expect("removed");
    let tmux = lab.through(&installed, DEADLINE);
    tmux.press(&created.target, &[Key::Char('x')]).await.expect("pressed");
    assert_eq!(lab.names().await, ["a"]);
    let attach = tmux.attach(&created.target, AttachMode::default()).await.expect("a client");
    assert_eq!(attach.program, Path::new(&format!("/proc/{}/exe", created.server.pid)));
    assert_eq!(Executable::name_of(created.server), Some(lab.path("old")));
    tmux.remove(&created.target).await.expect("removed");
    let error = tmux.create(&lab.session("b", &["sleep", "1000"])).await.map(|created| created.target.session);
    assert_eq!(error.expect("the server's own makes it"), "b");
}

#[tokio::test]
async fn a_client_of_another_version_is_replaced_by_the_servers_own() {
    let lab = Lab::new();
    let created = lab.idle("a").await;
    for version in ["3.2a", "3.6a"] {
        let said = format!(
            "case \"$*\" in -V) echo tmux {version}; exit;; esac\necho 'server exited unexpectedly' >&2; exit 1"
        );
        let other = lab.script(&format!("tmux-{version}"), &said);
        let mine = std::fs::canonicalize(binary()).expect("there");
        let program = lab
            .through(&other, DEADLINE)
            .attach(&created.target, AttachMode::default())
            .await
            .expect("a client")
            .program;
        let fits = version.starts_with("3.6") == is_new(&lab.raw(&["display-message", "-p", "#{version}"]).await);
        assert_eq!(program, if fits { other.clone() } else { mine }, "{version}");
        // A client that claims to be compatible but is cut off has another version, and nothing is gone.
        let listed = lab.through(&other, DEADLINE).list(&lab.socket()).await;
        let cut_off = matches!(&listed, Err(RuntimeError::VersionMismatch { detail, .. }) if detail.contains("lives"));
        assert_eq!(cut_off, fits, "{version}: {listed:?}");
        assert_eq!(listed.is_ok(), !fits, "{version}: {listed:?}");
    }
}

fn is_new(version: &str) -> bool {
    !["3.2", "3.3", "3.4", "3.5"].iter().any(|old| version.starts_with(old))
}

#[tokio::test]
async fn an_executable_is_asked_once_for_as_long_as_it_is_the_same_file() {
    let lab = Lab::new();
    let write = |version: &str| lab.script("tmux", &format!("echo x >>${{0%/*}}/asked\necho tmux {version}"));
    let program = write("3.3a");
    let versions = Versions::new(None, DEADLINE);
    let text = async || versions.of(RuntimeKind::Tmux, &program).await.expect("it answers").text.expect("a version");
    assert_eq!((text().await, text().await), ("tmux 3.3a".to_owned(), "tmux 3.3a".to_owned()));
    write("3.10");
    assert_eq!(text().await, "tmux 3.10");
    assert_eq!(std::fs::read_to_string(lab.path("asked")).expect("asked").lines().count(), 2);
}
