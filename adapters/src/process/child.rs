//! What happens to our own children.

use std::io;

/// How a child that we waited for ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reaped {
    /// The exit code, if it exited.
    pub code: Option<i32>,
    /// The signal number, if a signal ended it.
    pub signal: Option<i32>,
    /// The peak resident memory of the child and of the children it waited for, in KiB.
    pub max_rss_kib: u64,
}

/// A state change of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildChange {
    /// It was stopped by this signal.
    Stopped(i32),
    /// It ended and was reaped.
    Ended(Reaped),
}

/// Returns a state change of any of our children, or `None` if none has changed. Never blocks. Call it again until it
/// returns `None`, because one `SIGCHLD` may stand for several changes.
///
/// # Errors
/// We have no child.
#[allow(unsafe_code, reason = "nix has no wait4, and only wait4 tells one child's peak memory")]
pub fn next_child_change() -> io::Result<Option<(u32, ChildChange)>> {
    use nix::libc;
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are valid for writes for the length of the call, and an all-zero rusage is a valid value.
    let (reaped, usage) = unsafe {
        let reaped = libc::wait4(-1, &raw mut status, libc::WNOHANG | libc::WUNTRACED, usage.as_mut_ptr());
        (reaped, usage.assume_init())
    };
    if reaped < 0 {
        return Err(io::Error::last_os_error());
    }
    let Some(child) = u32::try_from(reaped).ok().filter(|pid| *pid > 0) else { return Ok(None) };
    if libc::WIFSTOPPED(status) {
        return Ok(Some((child, ChildChange::Stopped(libc::WSTOPSIG(status)))));
    }
    let peak = u64::try_from(usage.ru_maxrss).unwrap_or(0);
    let reaped = Reaped {
        code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
        signal: libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
        // Linux counts in KiB, macOS in bytes (getrusage(2) on each).
        max_rss_kib: if cfg!(target_os = "macos") { peak / 1024 } else { peak },
    };
    Ok(Some((child, ChildChange::Ended(reaped))))
}
