//! Whether an end is the agent's own, or its terminal was taken away first.
//!
//! Whoever takes it away ends several processes at once, in no order: a service manager that stops in order sends SIGTERM
//! to server, pane process and agent; a server that dies hangs its terminals up, and an agent that reads or writes meanwhile
//! can be gone before its parent hears of it. So each end is looked at for a moment longer than the agent took.

use std::io;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::termios;
use peer_adapters::process::{self, ProcessId, Reaped};
use peer_adapters::runtime::RuntimeKind;
use peer_adapters::signals::{Caught, Signals};
use peer_adapters::zellij::Zellij;

use crate::store::{Hangup, Place};

/// How long after a hangup the server may take to be gone. tmux 3.3a closes its panes before it exits; 1 s is many
/// times what that was seen to take, and delays only the record of a pane that was closed by hand.
const SERVER_EXIT_GRACE: Duration = Duration::from_secs(1);

/// How long a signal of our own may be behind an end by SIGTERM or SIGHUP. Whoever signals a whole control group needs
/// microseconds a process, a script some milliseconds; longer delays the record of an agent that was killed alone.
const AFTER_A_SIGNAL: Duration = Duration::from_millis(100);

/// The same behind any other end: an agent may take SIGTERM for a wish to leave with 0, or abort when its terminal fails.
/// Each agent that ends by itself is recorded so much later.
const AFTER_ANY_END: Duration = Duration::from_millis(25);

/// Between two looks at terminal and server meanwhile.
const LOOK: Duration = Duration::from_millis(5);

/// For how long a SIGTERM to us explains an end. systemd kills what is left 90 s after it asked; an agent that outlives
/// that was not meant, and what it dies of later is its own.
const ASKED_FOR: Duration = Duration::from_secs(120);

/// How long a zellij server that ends in order may take from the hangup of its panes to its end: milliseconds, some tens
/// of them on a loaded machine.
const IN_ORDER: Duration = Duration::from_millis(100);

/// What was heard so far of our terminal being taken away.
#[derive(Debug)]
pub(super) struct Heard {
    /// Where our session is.
    place: Place,
    /// The server that started us.
    parent: Option<ProcessId>,
    /// The first SIGHUP, with who sent it.
    hangup: Option<Caught>,
    /// The last SIGTERM.
    asked_at: Option<Instant>,
    /// Whether the server had begun to end in order when we first heard of it.
    in_order: Option<bool>,
}

impl Heard {
    pub(super) fn nothing_yet(place: Place, parent: Option<ProcessId>) -> Self {
        Self { place, parent, hangup: None, asked_at: None, in_order: None }
    }

    pub(super) fn note(&mut self, caught: Caught) {
        match caught.signal {
            Signal::SIGHUP => {
                self.hangup.get_or_insert(caught);
                self.look_at_server();
            }
            Signal::SIGTERM => {
                self.asked_at = Some(Instant::now());
                self.look_at_server();
            }
            _ => {}
        }
    }

    /// A server of tmux is of many sessions, and its end is never that of one of them.
    fn look_at_server(&mut self) -> bool {
        if let Some(in_order) = self.in_order {
            return in_order;
        }
        let in_order = self.place.runtime == RuntimeKind::Zellij.as_str() && self.ends_in_order();
        self.in_order = Some(in_order);
        in_order
    }

    /// zellij takes its socket along when it ends in order, and leaves it when it is killed. Asked at once and never again:
    /// a client that finds a dead server's socket takes it away as well (0.45.1: seen). Blocks for `IN_ORDER` at most.
    fn ends_in_order(&self) -> bool {
        let started = Instant::now();
        loop {
            let over = self.parent.is_none_or(is_gone) || started.elapsed() >= IN_ORDER;
            if !Zellij::has_socket(&self.place.server) {
                return true;
            }
            if over {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn is_enough(&self) -> bool {
        self.hangup.is_some() || self.asked_at.is_some_and(|at| at.elapsed() < ASKED_FOR)
    }
}

/// The server's process that holds our terminal, where it is known.
pub(super) struct Holder(pub(super) Option<ProcessId>);

impl Holder {
    /// Whether our terminal was taken away before the agent ended like this, or at the same time. Blocks for
    /// `AFTER_A_SIGNAL`, and where it was, for `SERVER_EXIT_GRACE` at most.
    ///
    /// # Errors
    /// The kernel failed us.
    pub(super) fn took_away(&self, how: &Reaped, mut heard: Heard, signals: &Signals) -> io::Result<Option<Hangup>> {
        let (started, patience) = (Instant::now(), patience(how));
        let mut look = Duration::ZERO;
        loop {
            while let Some(caught) = signals.wait_for(look)? {
                heard.note(caught);
                look = Duration::ZERO;
            }
            if heard.is_enough() || terminal_is_gone() || self.server_is_gone() {
                return Ok(Some(self.fate(&mut heard)));
            }
            look = patience.saturating_sub(started.elapsed()).min(LOOK);
            if look.is_zero() {
                return Ok(None);
            }
        }
    }

    fn server_is_gone(&self) -> bool {
        self.0.is_some_and(is_gone)
    }

    /// Whether the server outlives it, waiting a moment for it to finish exiting.
    fn fate(&self, heard: &mut Heard) -> Hangup {
        // zellij tells a pane that it closes, as a rule; a server that is killed tells nobody.
        let told_by = heard.hangup.and_then(|caught| caught.sender);
        if (told_by.is_some() && told_by == self.0.map(|server| server.pid)) || heard.look_at_server() {
            return Hangup::PaneClosed;
        }
        let started = Instant::now();
        while self.0.is_some() && !self.server_is_gone() {
            if started.elapsed() >= SERVER_EXIT_GRACE {
                return Hangup::PaneClosed;
            }
            std::thread::sleep(LOOK);
        }
        Hangup::ServerGone
    }
}

/// Not known is not gone.
fn is_gone(server: ProcessId) -> bool {
    matches!(process::find(server), Ok(None))
}

/// How long to listen after an end, by what it looks like.
fn patience(how: &Reaped) -> Duration {
    let signals = [Signal::SIGTERM as i32, Signal::SIGHUP as i32];
    // A shell, and many an agent, reports the signal that it left for in this way.
    let told = how.signal.or_else(|| how.code?.checked_sub(128));
    if told.is_some_and(|signal| signals.contains(&signal)) { AFTER_A_SIGNAL } else { AFTER_ANY_END }
}

/// Whether the terminal on our stdin was hung up. None at all (a pipe) cannot be.
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
