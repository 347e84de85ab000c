//! Failures that a real multiplexer cannot be made to produce at will: a script in place of its client fails in every
//! way that we distinguish. The server, if a case needs one, is real.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use peer_adapters::process;
use peer_adapters::runtime::{Capture, Key, Runtime, RuntimeError, Target};

use crate::conformance::hosts::{DEADLINE, Host, eventually, find_row, idle};
use crate::conformance::servers::install;

/// How long a fake that does not answer may take; each call that hangs waits this long.
const SHORT: Duration = Duration::from_millis(300);

/// Returns the runtime with a script as its client, which must answer.
async fn fake(host: &dyn Host, name: &str, script: &str) -> Box<dyn Runtime> {
    fake_within(host, name, script, DEADLINE).await
}

/// Returns the runtime with a script as its client, which must answer within this time.
async fn fake_within(host: &dyn Host, name: &str, script: &str, deadline: Duration) -> Box<dyn Runtime> {
    let (text, program) = (host.dir().join(format!("{name}.txt")), host.dir().join(name));
    std::fs::write(&text, format!("#!/bin/sh\n{script}\n")).expect("written");
    install(&text, &program).await;
    host.with_binary(program, deadline)
}

/// Returns one answer for each method that runs a client, against an existing session.
async fn answers(runtime: &dyn Runtime, target: &Target) -> Vec<(&'static str, Result<(), RuntimeError>)> {
    vec![
        ("capture", runtime.capture(target, Capture::default()).await.map(drop)),
        ("paste", runtime.paste(target, "text").await),
        ("press", runtime.press(target, &[Key::Enter]).await),
    ]
}

pub(crate) async fn a_client_that_hangs_is_killed_with_its_children(host: &dyn Host) {
    let created = idle(host, "a").await;
    let pids = host.dir().join("pids");
    let script = format!("sleep 1000 &\necho $! $$ >>'{}'\nwait", pids.display());
    let hung = fake_within(host, "hung", &script, SHORT).await;
    let asked = Instant::now();
    let mut answered = answers(hung.as_ref(), &created.target).await;
    answered.push(("version", hung.version().await.map(drop)));
    answered.push(("create", hung.create(&host.plan("b", &["/bin/sleep", "1000"])).await.map(drop)));
    for (verb, answer) in answered {
        assert!(matches!(answer, Err(RuntimeError::TimedOut { .. })), "{verb}: {answer:?}");
    }
    // A query may be made twice and a creation takes longer; but all of it ends.
    assert!(asked.elapsed() < SHORT * 30, "took {:?}", asked.elapsed());
    let started = std::fs::read_to_string(&pids).expect("it was started");
    let pids: Vec<u32> = started.split_whitespace().map(|pid| pid.parse().expect("a pid")).collect();
    // On a loaded machine, a client may be killed before it has come that far.
    assert!(pids.len() >= 2, "{started}");
    for pid in pids {
        eventually("it is killed", || process::status(pid).expect("probe").is_none()).await;
    }
    // The abandoned session is cleared by name, and the existing one is unaffected.
    let given_up = host.server("b");
    host.runtime().discard_failed_create(&given_up, "b").await.expect("cleared");
    assert!(find_row(host, &created.target).await.is_some_and(|row| !row.pane_dead));
    idle(host, "b").await;
}

pub(crate) async fn a_client_that_is_late_has_not_answered(host: &dyn Host) {
    let created = idle(host, "a").await;
    let late = fake_within(host, "late", "sleep 1; exit 0", SHORT).await;
    for (verb, answer) in answers(late.as_ref(), &created.target).await {
        assert!(matches!(answer, Err(RuntimeError::TimedOut { .. })), "{verb}: {answer:?}");
    }
}

pub(crate) async fn a_refusal_is_a_matter_of_permission(host: &dyn Host) {
    let created = idle(host, "a").await;
    let denied = fake(host, "denied", &format!("echo '{}' >&2; exit 1", host.words().denied)).await;
    for (verb, answer) in answers(denied.as_ref(), &created.target).await {
        assert!(matches!(answer, Err(RuntimeError::PermissionDenied { .. })), "{verb}: {answer:?}");
    }
}

pub(crate) async fn another_protocol_is_a_matter_of_version(host: &dyn Host) {
    let created = idle(host, "a").await;
    let other = fake(host, "other", &format!("echo '{}' >&2; exit 1", host.words().mismatch)).await;
    for (verb, answer) in answers(other.as_ref(), &created.target).await {
        assert!(matches!(answer, Err(RuntimeError::VersionMismatch { .. })), "{verb}: {answer:?}");
    }
}

pub(crate) async fn a_client_that_breaks_is_a_failure_and_never_an_absence(host: &dyn Host) {
    let created = idle(host, "a").await;
    for (name, script) in [
        ("killed", "kill -9 $$"),
        ("panics", "echo \"thread 'main' panicked at src/main.rs\" >&2; exit 101"),
        ("fails", "exit 1"),
        ("complains", "echo 'something is odd' >&2; exit 0"),
    ] {
        let broken = fake(host, name, script).await;
        for (verb, answer) in answers(broken.as_ref(), &created.target).await {
            assert!(matches!(answer, Err(RuntimeError::Failed { .. })), "{name} {verb}: {answer:?}");
        }
        let made = broken.create(&host.plan("b", &["/bin/sleep", "1000"])).await;
        assert!(matches!(made, Err(RuntimeError::Failed { .. })), "{name}: {made:?}");
    }
    assert!(find_row(host, &created.target).await.is_some_and(|row| !row.pane_dead));
    idle(host, "b").await;
}

pub(crate) async fn a_binary_that_may_not_be_run_is_named(host: &dyn Host) {
    let path: PathBuf = host.dir().join("not executable");
    std::fs::write(&path, "#!/bin/sh\nexit 0\n").expect("written");
    let version = host.with_binary(path.clone(), DEADLINE).version().await;
    assert!(matches!(&version, Err(RuntimeError::NoBinary { path: named, .. }) if *named == path), "{version:?}");
    let directory = host.with_binary(Path::new("/").to_path_buf(), DEADLINE).version().await;
    assert!(matches!(&directory, Err(RuntimeError::NoBinary { .. })), "{directory:?}");
}

pub(crate) async fn a_version_that_says_nothing_is_no_version(host: &dyn Host) {
    for (name, script) in [("silent", "exit 0"), ("other", "echo screen 4.9.0"), ("sick", "echo oops >&2; exit 3")] {
        let version = fake(host, name, script).await.version().await;
        assert!(matches!(version, Err(RuntimeError::VersionMismatch { .. })), "{name}: {version:?}");
    }
}
