//! What is done in a child between fork and exec, for what outlives us and for what must not.

use std::os::unix::process::CommandExt;

use crate::inherited::{self, Inherited};

/// Between fork and exec of what outlives us: nothing of ours is inherited, and as many descriptors as allowed.
///
/// A lock that a crontab's `flock -n 9` holds would stay held by the server for ever. tmux takes a descriptor a pane, and
/// at the soft limit of 1024 it stops answering anybody (3.3a: seen at a limit of 40). Umask, nice value and soft limits of
/// whoever starts it would be those of everything that ever runs in it, too.
#[allow(unsafe_code, reason = "pre_exec is the only way to act between fork and exec; see SAFETY")]
pub(super) fn detach_from_us(command: &mut std::process::Command) {
    use nix::libc::{F_SETFD, FD_CLOEXEC, fcntl};
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    // SAFETY: only async-signal-safe calls happen between fork and exec: fcntl, umask, setpriority, getrlimit, setrlimit.
    unsafe {
        command.pre_exec(|| {
            inherited::neutral();
            for descriptor in 3..INHERITABLE {
                // SAFETY: marks a number; one that is not open is refused with EBADF. To mark keeps it usable till exec.
                fcntl(descriptor, F_SETFD, FD_CLOEXEC);
            }
            // A limit that cannot be raised is no reason to start nothing.
            if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
                let _ = setrlimit(Resource::RLIMIT_NOFILE, hard.min(OPEN_FILES), hard);
            }
            Ok(())
        });
    }
}

/// Between fork and exec of what is to have a umask, nice value and limits of its own.
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

/// Between fork and exec of what is of no use without us and has to be forked anyway; others are held by a
/// [`super::lifeline`].
///
/// The kernel means the *thread* that forks: clients are started on the one thread that runs the commands.
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
            // We may have ended before the kernel was told.
            if nix::unistd::getppid() == us { Ok(()) } else { Err(ErrorKind::NotFound.into()) }
        });
    }
}

/// No other system has it: there such a client ends when its server answers or goes.
#[cfg(not(target_os = "linux"))]
pub(super) fn end_with_us(_command: &mut std::process::Command) {}

/// Descriptors looked at for inheritance. Shells and cron hand on single digits; each costs a system call.
const INHERITABLE: i32 = 1024;

/// Open files for a server: one a pane and three a client, so tens of thousands of agents. Children inherit it, and some
/// programs close every possible descriptor as they start, so not the million that systemd allows as the hard limit;
/// macOS refuses more than `OPEN_MAX`.
const OPEN_FILES: nix::libc::rlim_t = if cfg!(target_os = "macos") { 10_240 } else { 65_536 };
