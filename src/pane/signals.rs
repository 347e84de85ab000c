//! What reaches the pane process while its agent lives, and what of it the agent gets.

use std::io;
use std::time::Duration;

use nix::sys::signal::Signal;
use peer_adapters::process::{self, ChildChange, Family, Reaped};
use peer_adapters::signals::Signals;

use super::hangup::Heard;
use crate::store::SELF_FRESH;

/// Blocks every signal that we wait for, so that none is lost between two waits. The agent gets the defaults back.
pub(super) fn take_over_signals() -> io::Result<Signals> {
    Signals::block(&[
        Signal::SIGCHLD,
        Signal::SIGHUP,
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
        SELF_FRESH,
        Signal::SIGALRM,
        Signal::SIGTSTP,
        Signal::SIGTTIN,
        Signal::SIGTTOU,
    ])
}

/// The agent as its parent knows it.
pub(super) struct Agent {
    pub(super) pid: u32,
    /// Between `SIGTERM` and `SIGKILL`, when it is asked to end for a self-fresh.
    pub(super) grace: Duration,
}

/// Waits for the agent's end, passing on what a parent in a terminal passes on. Returns also what was heard meanwhile of
/// the terminal being taken away.
pub(super) fn watch(signals: &Signals, agent: &Agent, mut heard: Heard) -> io::Result<(Reaped, Heard)> {
    let mut asked_to_end = false;
    process::give_back_code();
    loop {
        let caught = signals.wait()?;
        match caught.signal {
            Signal::SIGCHLD => {
                if let Some(reaped) = reap(agent.pid)? {
                    // An alarm outlives exec(2): left on, it would kill the fresh agent in the place of this one.
                    nix::unistd::alarm::cancel();
                    return Ok((reaped, heard));
                }
            }
            Signal::SIGHUP => {
                pass_on(agent.pid, Signal::SIGHUP);
                // A stopped agent would never see the hangup; the kernel sends this pair to a session leader too.
                pass_on(agent.pid, Signal::SIGCONT);
            }
            SELF_FRESH => {
                asked_to_end = true;
                pass_on(agent.pid, Signal::SIGTERM);
                pass_on(agent.pid, Signal::SIGCONT);
                nix::unistd::alarm::set(u32::try_from(agent.grace.as_secs()).unwrap_or(u32::MAX).max(1));
            }
            Signal::SIGALRM if asked_to_end => pass_on(agent.pid, Signal::SIGKILL),
            // It went off between the old agent's end and exec(2), and was pending: it is not about this agent.
            Signal::SIGALRM => {}
            // Job control of the terminal is the agent's; these reach us only when a person sends them by hand.
            Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU => {}
            other => pass_on(agent.pid, other),
        }
        // After the agent has it too: this may take a moment.
        heard.note(caught);
    }
}

/// Takes note of every child that changed; the agent's end, if that was among them. Another child is the one that seeds
/// a fresh agent after a self-fresh.
fn reap(agent: u32) -> io::Result<Option<Reaped>> {
    loop {
        match process::next_child_change()? {
            None => return Ok(None),
            Some((pid, ChildChange::Ended(reaped))) if pid == agent => return Ok(Some(reaped)),
            Some((pid, ChildChange::Stopped(signal))) if pid == agent => resume_if_stranded(pid, signal),
            Some(_) => {}
        }
    }
}

/// Continues an agent that the terminal stopped. There is no shell around it that could, and as the leader of an
/// orphaned group, which it is in a plain start, it would never have been stopped. `SIGSTOP` is somebody's wish: it
/// stays.
fn resume_if_stranded(pid: u32, signal: i32) {
    let stranded = [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU].iter().any(|by| *by as i32 == signal);
    if stranded {
        if let Some(group) = raw(pid) {
            let _ = nix::unistd::tcsetpgrp(io::stdin(), group);
        }
        pass_on(pid, Signal::SIGCONT);
    }
}

fn raw(pid: u32) -> Option<nix::unistd::Pid> {
    i32::try_from(pid).ok().map(nix::unistd::Pid::from_raw)
}

/// Sends a signal to the agent's group. The pid cannot have been reused: only we reap it, and we have not.
fn pass_on(pid: u32, signal: Signal) {
    if let Some(group) = raw(pid) {
        // A group that is gone gets nothing, and its SIGCHLD is on the way.
        let _ = nix::sys::signal::killpg(group, signal);
    }
}

/// Sends a signal to what the agent left in our terminal session, jobs in groups of their own included: the kernel's
/// hangup reaches only the one in the foreground, and after a self-fresh there is none. What left the session meant to
/// stay, and is let alone.
pub(super) fn signal_session(signal: Signal) -> io::Result<()> {
    let me = process::me()?;
    for left in process::members(Family::Session(me.pid))? {
        if left.id != me {
            process::signal(left.id, signal)?;
        }
    }
    Ok(())
}
