//! Signals to processes and groups whose identity still matches.

use std::io;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::{Family, ProcessId, find, kernel, members, status};

/// Sends a signal to a process group, but only if the group still belongs to `leader`.
///
/// Returns whether there was a process to receive it. Refuses groups 0 and 1 and the caller's own.
///
/// # Errors
/// Permission denied, or a group that must never be signalled.
pub fn signal_group(leader: ProcessId, signal: Signal) -> io::Result<bool> {
    let group = i32::try_from(leader.pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    if group <= 1 || Pid::from_raw(group) == nix::unistd::getpgrp() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("process group {group} is never signalled")));
    }
    // A group outlives its leader, and its number cannot be given to a new process while a member is left. So either
    // the leader still exists, or the group is ours if no member started before the leader did.
    let ours = match status(leader.pid)? {
        Some(status) => status.id == leader,
        None => members(Family::Group(leader.pid))?.iter().all(|member| member.id.start >= leader.start),
    };
    if !ours {
        return Ok(false);
    }
    match killpg(Pid::from_raw(group), signal) {
        Ok(()) => Ok(true),
        Err(Errno::ESRCH) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Returns `true` if a process ignores a signal, as an interactive shell ignores `SIGTERM`. `false` if the kernel does
/// not report it.
pub fn ignores(pid: u32, signal: Signal) -> bool {
    let bit = u32::try_from(signal as i32 - 1).ok();
    kernel::ignored_signals(pid).zip(bit).is_some_and(|(mask, bit)| mask >> bit & 1 == 1)
}

/// Sends a signal to one process, but only if its identity still matches. Returns whether the process was there.
///
/// # Errors
/// Permission denied.
pub fn signal(id: ProcessId, signal: Signal) -> io::Result<bool> {
    if find(id)?.is_none() {
        return Ok(false);
    }
    let pid = i32::try_from(id.pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    match nix::sys::signal::kill(Pid::from_raw(pid), signal) {
        Ok(()) => Ok(true),
        Err(Errno::ESRCH) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_group_and_init_are_never_signalled() {
        let group = u32::try_from(nix::unistd::getpgrp().as_raw()).expect("positive");
        for pid in [0, 1, group] {
            let error = signal_group(ProcessId { pid, start: 0 }, Signal::SIGCONT).expect_err("refused");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }
}
