//! Code that runs in a child between fork and exec, for commands that outlive us and for those that must not.

use std::os::unix::process::CommandExt;

use crate::inherited::{self, Inherited};

/// Prepares a command that outlives us: it inherits nothing of ours and gets as many descriptors as allowed.
///
/// Otherwise the server would hold a lock for ever, such as that of a crontab's `flock -n 9`. tmux takes one descriptor
/// per pane, and at the soft limit of 1024 it stops answering (3.3a: seen at a limit of 40). And the umask, nice value
/// and soft limits of the process that starts the server would apply to everything that ever runs in it.
#[allow(unsafe_code, reason = "pre_exec is the only way to act between fork and exec; see SAFETY")]
pub(super) fn detach_from_us(command: &mut std::process::Command) {
    use nix::libc::{F_SETFD, FD_CLOEXEC, fcntl};
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    // SAFETY: only async-signal-safe calls happen between fork and exec: fcntl, umask, setpriority, getrlimit,
    // setrlimit.
    unsafe {
        command.pre_exec(|| {
            inherited::apply_server_defaults();
            for descriptor in 3..INHERITABLE {
                // SAFETY: this sets a flag on a number; one that is not open is refused with EBADF. The descriptor
                // stays usable until exec.
                fcntl(descriptor, F_SETFD, FD_CLOEXEC);
            }
            // Failing to raise the limit must not prevent the start.
            if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
                let _ = setrlimit(Resource::RLIMIT_NOFILE, hard.min(OPEN_FILES), hard);
            }
            Ok(())
        });
    }
}

/// Prepares a command that gets its own umask, nice value and limits.
#[allow(unsafe_code, reason = "pre_exec is the only way to act between fork and exec; see SAFETY")]
pub(super) fn give(command: &mut std::process::Command, inherited: &Inherited) {
    let apply = inherited.applier();
    // SAFETY: only system calls happen between fork and exec: umask, setpriority, getrlimit and setrlimit.
    unsafe {
        command.pre_exec(move || {
            apply();
            Ok(())
        });
    }
}

/// Prepares a command that is useless without us and has to be forked anyway; others are tied to us by a
/// [`super::lifeline`].
///
/// The kernel's parent is the *thread* that forks: clients are started on the one thread that runs the commands.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "pre_exec is the only way to act between fork and exec; see SAFETY")]
pub(super) fn end_with_us(command: &mut std::process::Command) {
    use nix::sys::signal::Signal;
    use std::io::ErrorKind;
    let us = nix::unistd::getpid();
    // SAFETY: only async-signal-safe calls happen between fork and exec: prctl and getppid.
    unsafe {
        command.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            // We may have ended before the kernel knew.
            if nix::unistd::getppid() == us { Ok(()) } else { Err(ErrorKind::NotFound.into()) }
        });
    }
}

/// No other system has this: such a client ends when its server answers or exits.
#[cfg(not(target_os = "linux"))]
pub(super) fn end_with_us(_command: &mut std::process::Command) {}

/// How many descriptors are marked. Shells and cron pass on single digits, and each costs a system call.
const INHERITABLE: i32 = 1024;

/// The limit of open files for a server: one per pane and three per client, so enough for tens of thousands of agents.
/// Children inherit it, and some programs close every possible descriptor when they start, so it is not the million
/// that systemd allows as the hard limit. macOS refuses more than `OPEN_MAX`.
const OPEN_FILES: nix::libc::rlim_t = if cfg!(target_os = "macos") { 10_240 } else { 65_536 };
