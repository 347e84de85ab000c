//! Cleanup of our clients that a killed `peer` left behind.
//!
//! The kernel ends clients together with the `peer` that started them ([`crate::command::Argv::ends_with_us`]). If it
//! does not (another system, an older `peer`, one that was killed while it started its client), a client whose server
//! ends while it waits for the answer spins for ever (zellij 0.45.1: 4 of 40).

use std::io;
use std::path::Path;

use nix::sys::signal::Signal;

use super::Zellij;
use crate::process::{self, ProcessId};

impl Zellij {
    /// Ends the abandoned clients of sessions whose directory is `ours`; returns how many there were. Reads the
    /// processes that lost their parents, and starts nothing.
    ///
    /// Two facts identify one: it sends a request to one of our sessions, and its parent is the process that adopts
    /// orphans. Servers and attached clients are never affected.
    ///
    /// # Errors
    /// The process table could not be read.
    pub fn end_abandoned_clients(ours: impl Fn(&Path) -> bool) -> io::Result<usize> {
        let mut ended = 0;
        let asks = |pid| only_asks(&process::arguments(pid));
        for orphan in process::orphans_where(asks)? {
            // Checked again: now the identity of the process with this pid is known.
            if asks(orphan.id.pid)
                && session_dir(orphan.id).is_some_and(|dir| ours(Path::new(&dir)))
                && process::signal(orphan.id, Signal::SIGKILL)?
            {
                ended += 1;
            }
        }
        Ok(ended)
    }
}

/// Returns `true` for the command line of a client that makes a request or subscribes, as ours do.
fn only_asks(arguments: &[Vec<u8>]) -> bool {
    let words: Vec<&[u8]> = arguments.iter().map(Vec::as_slice).collect();
    matches!(words[..], [_, b"--session", _, b"action" | b"subscribe", ..] | [_, b"kill-session", _])
}

fn session_dir(id: ProcessId) -> Option<std::ffi::OsString> {
    // Unreadable for us, or gone by now: not one of ours.
    process::environment_variable(id.pid, "ZELLIJ_SOCKET_DIR").ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_asks_is_taken_for_a_left_client() {
        let asks = |line: &str| only_asks(&line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>());
        for left in [
            "/bin/zellij --session a-1 action send-keys --pane-id terminal_0 -- Enter",
            "zellij --session a-1 subscribe --pane-id terminal_0",
            "zellij kill-session a-1",
        ] {
            assert!(asks(left), "{left}");
        }
        for other in [
            "zellij --server /s/contract_version_1/a-1",
            "zellij attach a-1",
            "zellij --layout-string x attach --create a-1 -- sh",
            "zellij",
            "sh -c zellij --session a action",
        ] {
            assert!(!asks(other), "{other}");
        }
    }
}
