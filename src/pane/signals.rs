//! Handles the signals that the pane process receives while its agent lives, and forwards some of them to the agent.

use std::io;
use std::time::Duration;

use nix::sys::signal::Signal;
use peer_adapters::process::{self, ChildChange, Family, Reaped};
use peer_adapters::signals::Signals;

use super::hangup::HangupEvidence;
use crate::store::SELF_FRESH;

/// Blocks every signal that the pane process waits for, so that none is lost between two waits, nor across exec(2) when it
/// becomes its own successor. The agent gets the defaults back.
pub(super) fn take_over_signals() -> io::Result<Signals> {
    Signals::take_over(&[
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

/// Whether the terminal is being taken away already, so that an agent would only begin to die. A self-fresh is exec(2): what
/// came during it is pending. Signals that were meant for the agent before are discarded.
pub(super) fn is_taken_away(signals: &Signals) -> io::Result<bool> {
    while let Some(caught) = signals.wait_for(Duration::ZERO)? {
        if matches!(caught.signal, Signal::SIGHUP | Signal::SIGTERM) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The agent, as its parent knows it.
pub(super) struct Agent {
    pub(super) pid: u32,
    /// The time between `SIGTERM` and `SIGKILL` when the agent is ended for a self-fresh.
    pub(super) grace: Duration,
}

/// Waits for the agent's end, and forwards the signals that a parent in a terminal forwards. Also returns the evidence
/// that the terminal is being taken away. `wants_fresh` tells whether this agent has requested a self-fresh: the signal may
/// have been meant for the agent before it, of whose requests the last came too late.
pub(super) fn watch(
    signals: &Signals,
    agent: &Agent,
    mut heard: HangupEvidence,
    wants_fresh: impl Fn() -> bool,
) -> io::Result<(Reaped, HangupEvidence)> {
    let mut asked_to_end = false;
    process::release_code_pages();
    loop {
        let caught = signals.wait()?;
        match caught.signal {
            Signal::SIGCHLD => {
                if let Some(reaped) = reap(agent.pid)? {
                    // An alarm survives exec(2). If it stayed set, it would kill the fresh agent instead of this one.
                    nix::unistd::alarm::cancel();
                    return Ok((reaped, heard));
                }
            }
            Signal::SIGHUP => {
                pass_on(agent.pid, Signal::SIGHUP);
                // A stopped agent would never see the hangup. The kernel sends both signals to a session leader too.
                pass_on(agent.pid, Signal::SIGCONT);
            }
            SELF_FRESH if !wants_fresh() => {}
            SELF_FRESH => {
                asked_to_end = true;
                pass_on(agent.pid, Signal::SIGTERM);
                pass_on(agent.pid, Signal::SIGCONT);
                nix::unistd::alarm::set(u32::try_from(agent.grace.as_secs()).unwrap_or(u32::MAX).max(1));
            }
            Signal::SIGALRM if asked_to_end => pass_on(agent.pid, Signal::SIGKILL),
            // This alarm went off between the old agent's end and exec(2), and was pending. It does not concern this
            // agent.
            Signal::SIGALRM => {}
            // The terminal's job control belongs to the agent. These signals arrive here only if the user sends them
            // manually.
            Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU => {}
            other => pass_on(agent.pid, other),
        }
        // Only after the agent has the signal, because this may take a moment.
        heard.note(caught);
    }
}

/// Handles every child that changed state, and returns the agent's end if it was among them. The other child is the one
/// that seeds a fresh agent after a self-fresh.
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

/// Continues an agent that the terminal stopped. No shell around it could do so. In a plain start it would lead an
/// orphaned process group, and never have been stopped. `SIGSTOP` is always sent on purpose, so the agent stays
/// stopped.
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

/// Sends a signal to the agent's process group. Its pid cannot have been reused, because only this process reaps the
/// agent, and it has not done so yet.
fn pass_on(pid: u32, signal: Signal) {
    if let Some(group) = raw(pid) {
        // If the group is gone, the signal has no effect, and a SIGCHLD is pending.
        let _ = nix::sys::signal::killpg(group, signal);
    }
}

/// Ends the agent's process group at once, and waits for the agent's end.
pub(super) fn end_now(pid: u32) {
    pass_on(pid, Signal::SIGKILL);
    // An error means that it is reaped already.
    let _ = nix::sys::wait::waitpid(raw(pid), None);
}

/// Sends a signal to the processes that the agent left in this terminal session, including background process groups.
/// The kernel's hangup reaches only the foreground group, and after a self-fresh there is none. Processes that left the
/// session did so on purpose and are not signalled.
pub(super) fn signal_session(signal: Signal) -> io::Result<()> {
    let me = process::me()?;
    for left in process::members(Family::Session(me.pid))? {
        if left.id != me {
            process::signal(left.id, signal)?;
        }
    }
    Ok(())
}
