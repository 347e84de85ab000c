//! Tests that cannot run on every machine.

use std::io::Write as _;

/// Notes that the calling test cannot run here, and why. Fails instead if `PEER_TEST_ALL` is set.
///
/// `cargo test` shows no output of a test that passes, so the note is also in a file that `scripts/test` prints at its end.
#[track_caller]
pub(crate) fn cannot_run(why: &str) {
    assert!(std::env::var_os("PEER_TEST_ALL").is_none(), "cannot run here: {why}");
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let why = why.trim().replace('\n', "; ");
    let notes = concat!(env!("CARGO_TARGET_TMPDIR"), "/not-run");
    let file = std::fs::OpenOptions::new().create(true).append(true).open(notes);
    file.and_then(|mut file| file.write_all(format!("{test}: {why}\n").as_bytes())).expect(notes);
}

/// As [`cannot_run`], unless the tests run as root. Returns whether they do.
#[track_caller]
pub(crate) fn is_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        cannot_run("only root can do this");
    }
    is_root
}
