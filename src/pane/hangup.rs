//! Determines whether the agent ended by itself, or its terminal was taken away first.
//!
//! Whatever takes a terminal away ends several processes in no particular order. A service manager that stops services
//! sends SIGTERM to server, pane process and agent. A server that exits hangs up its terminals, and an agent that reads
//! or writes at that moment can be gone before its parent gets the signal. After each end, the pane process therefore
//! listens for a moment longer.

use std::io;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::termios;
use peer_adapters::process::{self, ProcessId, Reaped};
use peer_adapters::runtime::{Facts, RuntimeKind};
use peer_adapters::signals::{Caught, Signals};

use crate::store::{Hangup, Place};

/// How long a server may take to exit after a hangup. tmux 3.3a closes its panes before it exits. 1 s is many times
/// what that was seen to take, and delays only the record of a pane that the user closed.
const SERVER_EXIT_GRACE: Duration = Duration::from_secs(1);

/// How much later than an agent's end by SIGTERM or SIGHUP a signal to the pane process may come. Signalling a whole
/// control group takes microseconds per process, and a script takes some milliseconds. A longer time delays the record
/// of an agent that was killed alone.
const AFTER_A_SIGNAL: Duration = Duration::from_millis(100);

/// The same for any other end: an agent may exit with 0 on SIGTERM, or abort when its terminal fails. This delays the
/// record of every agent that ends by itself.
const AFTER_ANY_END: Duration = Duration::from_millis(25);

/// The interval between two checks of terminal and server in that time.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// How long a SIGTERM to the pane process explains an end. systemd kills remaining processes 90 s after its SIGTERM. An
/// agent that survives longer was not its target, and a later end is the agent's own.
const SIGTERM_EXPLAINS: Duration = Duration::from_secs(120);

/// How long an orderly exit of a zellij server may take from the hangup of its panes to its end: milliseconds, and some
/// tens of them on a loaded machine.
const IN_ORDER: Duration = Duration::from_millis(100);

/// The evidence so far that the terminal is being taken away.
#[derive(Debug)]
pub(super) struct HangupEvidence {
    /// Where the session is.
    place: Place,
    /// The server that started the pane process.
    parent: Option<ProcessId>,
    /// The first SIGHUP, with its sender.
    hangup: Option<Caught>,
    /// When the last SIGTERM arrived.
    asked_at: Option<Instant>,
    /// Whether an orderly exit of the server had begun at the first signal.
    orderly_exit: Option<bool>,
}

impl HangupEvidence {
    pub(super) fn nothing_yet(place: Place, parent: Option<ProcessId>) -> Self {
        Self { place, parent, hangup: None, asked_at: None, orderly_exit: None }
    }

    pub(super) fn note(&mut self, caught: Caught) {
        match caught.signal {
            Signal::SIGHUP => {
                self.hangup.get_or_insert(caught);
                self.is_orderly_exit();
            }
            Signal::SIGTERM => {
                self.asked_at = Some(Instant::now());
                self.is_orderly_exit();
            }
            _ => {}
        }
    }

    /// Returns whether an orderly exit of the server has begun. `false` for a server of many sessions: its exit never
    /// closes just one of them.
    fn is_orderly_exit(&mut self) -> bool {
        if let Some(orderly_exit) = self.orderly_exit {
            return orderly_exit;
        }
        let facts = self.place.kind().map(RuntimeKind::facts).filter(|facts| !facts.shares_server());
        let orderly_exit = facts.is_some_and(|facts| self.ends_in_order(facts));
        self.orderly_exit = Some(orderly_exit);
        orderly_exit
    }

    /// Returns whether the server removes its socket, which it does on an orderly exit and not when it is killed.
    ///
    /// The check must be made at once and only once, because a client that finds a dead server's socket removes it too
    /// (observed with zellij 0.45.1). Blocks for at most `IN_ORDER`.
    fn ends_in_order(&self, facts: &dyn Facts) -> bool {
        let started = Instant::now();
        loop {
            let over = self.parent.is_none_or(is_gone) || started.elapsed() >= IN_ORDER;
            if facts.has_removed_socket(&self.place.server) {
                return true;
            }
            if over {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn is_conclusive(&self) -> bool {
        self.hangup.is_some() || self.asked_at.is_some_and(|at| at.elapsed() < SIGTERM_EXPLAINS)
    }
}

/// The server process that holds this terminal, if known.
pub(super) struct TerminalServer(pub(super) Option<ProcessId>);

impl TerminalServer {
    /// Returns how the terminal was taken away, if that happened before or together with this end of the agent. Blocks
    /// for up to `AFTER_A_SIGNAL`, and for up to `SERVER_EXIT_GRACE` more if the terminal was taken away.
    ///
    /// # Errors
    /// If a system call fails.
    pub(super) fn hangup(
        &self,
        how: &Reaped,
        mut heard: HangupEvidence,
        signals: &Signals,
    ) -> io::Result<Option<Hangup>> {
        let (started, patience) = (Instant::now(), patience(how));
        let mut look = Duration::ZERO;
        loop {
            while let Some(caught) = signals.wait_for(look)? {
                heard.note(caught);
                look = Duration::ZERO;
            }
            if heard.is_conclusive() || terminal_is_gone() || self.server_is_gone() {
                return Ok(Some(self.fate(&mut heard)));
            }
            look = patience.saturating_sub(started.elapsed()).min(POLL_INTERVAL);
            if look.is_zero() {
                return Ok(None);
            }
        }
    }

    fn server_is_gone(&self) -> bool {
        self.0.is_some_and(is_gone)
    }

    /// Determines whether the server survives, giving it a moment to finish exiting.
    fn fate(&self, heard: &mut HangupEvidence) -> Hangup {
        // A zellij server usually signals a pane that it closes. A killed server signals nothing.
        let sender = heard.hangup.and_then(|caught| caught.sender);
        if (sender.is_some() && sender == self.0.map(|server| server.pid)) || heard.is_orderly_exit() {
            return Hangup::PaneClosed;
        }
        let started = Instant::now();
        while self.0.is_some() && !self.server_is_gone() {
            if started.elapsed() >= SERVER_EXIT_GRACE {
                return Hangup::PaneClosed;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Hangup::ServerGone
    }
}

/// Returns `true` only if the server is known to be gone.
fn is_gone(server: ProcessId) -> bool {
    matches!(process::find(server), Ok(None))
}

/// Returns how long to listen after an end, depending on how it looks.
fn patience(how: &Reaped) -> Duration {
    let signals = [Signal::SIGTERM as i32, Signal::SIGHUP as i32];
    // A shell, and many agents, report the signal that ended them in this way.
    let told = how.signal.or_else(|| how.code?.checked_sub(128));
    if told.is_some_and(|signal| signals.contains(&signal)) { AFTER_A_SIGNAL } else { AFTER_ANY_END }
}

/// Whether the terminal on stdin was hung up. `false` if stdin is not a terminal (a pipe).
fn terminal_is_gone() -> bool {
    matches!(termios::tcgetattr(io::stdin()), Err(Errno::EIO | Errno::ENXIO))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: Option<i32>, signal: Option<i32>) -> Reaped {
        Reaped { code, signal, max_rss_kib: 0 }
    }

    #[test]
    fn an_end_that_looks_like_an_orderly_stop_is_listened_after_for_longer() {
        for how in [ended(None, Some(15)), ended(None, Some(1)), ended(Some(143), None), ended(Some(129), None)] {
            assert_eq!(patience(&how), AFTER_A_SIGNAL, "{how:?}");
        }
        for how in [ended(Some(0), None), ended(Some(15), None), ended(None, Some(9)), ended(Some(137), None)] {
            assert_eq!(patience(&how), AFTER_ANY_END, "{how:?}");
        }
    }
}
