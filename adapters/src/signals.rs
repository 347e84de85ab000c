//! Signals for a process that waits for them instead of being interrupted by them.

use std::io;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};

/// Undoes inherited signal settings that would break this process: blocked signals, with which nothing could ask it to
/// end, and an ignored `SIGCHLD`, with which no child can be waited for (wait(2), NOTES). Other ignored signals are
/// left alone, because they are intended, as by nohup(1). Call it before anything else; does not block.
///
/// # Errors
/// None that kernels are known to have.
pub fn restore() -> io::Result<()> {
    restore_children()?;
    Ok(SigSet::empty().thread_set_mask()?)
}

#[allow(unsafe_code, reason = "nix marks each change of a disposition as unsafe; see SAFETY")]
fn restore_children() -> io::Result<()> {
    // SAFETY: the disposition becomes the default, which runs none of our code.
    unsafe { nix::sys::signal::signal(Signal::SIGCHLD, nix::sys::signal::SigHandler::SigDfl) }?;
    Ok(())
}

/// Makes the kernel end this process after `span` (rounded up to seconds), whatever it is waiting for then, by SIGALRM,
/// which has no handler here.
pub fn end_within(span: Duration) {
    let seconds = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    nix::unistd::alarm::set(u32::try_from(seconds).unwrap_or(u32::MAX).max(1));
}

/// Returns `true` if this process ignores a signal, as a process started by nohup(1) ignores SIGHUP. `false` if the
/// kernel does not report it.
#[allow(unsafe_code, reason = "nix changes dispositions and does not ask for them")]
pub fn is_ignored(signal: Signal) -> bool {
    let mut now = std::mem::MaybeUninit::<nix::libc::sigaction>::uninit();
    // SAFETY: without a new action nothing changes. The pointer is valid for writes, and it is read only after a
    // success.
    unsafe {
        nix::libc::sigaction(signal as nix::libc::c_int, std::ptr::null(), now.as_mut_ptr()) == 0
            && now.assume_init().sa_sigaction == nix::libc::SIG_IGN
    }
}

/// A set of signals that this thread has blocked, so that none is lost between two waits.
#[derive(Debug)]
pub struct Signals {
    kernel: kernel::Signals,
}

/// One signal that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caught {
    /// The signal.
    pub signal: Signal,
    /// The pid of the sender. `None` if the kernel itself sent the signal, or does not report the sender (macOS).
    pub sender: Option<u32>,
}

impl Signals {
    /// Blocks these signals, and no others, for this thread, and undoes an ignored `SIGCHLD`, as [`restore`] does. From now
    /// on they can only be waited for. One that is blocked and pending already, as it may be after execve(2), stays so.
    ///
    /// # Errors
    /// The process is out of file descriptors.
    pub fn take_over(signals: &[Signal]) -> io::Result<Self> {
        restore_children()?;
        let mut set = SigSet::empty();
        for signal in signals {
            set.add(*signal);
        }
        set.thread_set_mask()?;
        Ok(Self { kernel: kernel::Signals::new(set)? })
    }

    /// Returns the next signal; blocks until it arrives. Of several pending signals the lowest number comes first.
    ///
    /// # Errors
    /// The kernel call failed.
    pub fn wait(&self) -> io::Result<Caught> {
        self.kernel.wait()
    }

    /// Returns the next signal if it arrives in time. Blocks for `patience` at most; zero only checks.
    ///
    /// # Errors
    /// As [`Signals::wait`].
    pub fn wait_for(&self, patience: Duration) -> io::Result<Option<Caught>> {
        self.kernel.wait_for(patience)
    }
}

#[cfg(target_os = "linux")]
mod kernel {
    use std::os::fd::AsFd;

    use nix::errno::Errno;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use nix::sys::signalfd::{SfdFlags, SignalFd};

    use super::{Caught, Duration, SigSet, Signal, io};

    #[derive(Debug)]
    pub(super) struct Signals(SignalFd);

    impl Signals {
        pub(super) fn new(set: SigSet) -> io::Result<Self> {
            Ok(Self(SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
        }

        pub(super) fn wait(&self) -> io::Result<Caught> {
            loop {
                if let Some(caught) = self.read()? {
                    return Ok(caught);
                }
                self.poll(PollTimeout::NONE)?;
            }
        }

        pub(super) fn wait_for(&self, patience: Duration) -> io::Result<Option<Caught>> {
            if let Some(caught) = self.read()? {
                return Ok(Some(caught));
            }
            self.poll(PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX))?;
            self.read()
        }

        fn poll(&self, timeout: PollTimeout) -> io::Result<()> {
            match poll(&mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)], timeout) {
                Ok(_) | Err(Errno::EINTR) => Ok(()),
                Err(errno) => Err(errno.into()),
            }
        }

        fn read(&self) -> io::Result<Option<Caught>> {
            let Some(told) = self.0.read_signal()? else { return Ok(None) };
            let number = i32::try_from(told.ssi_signo).map_err(|_| io::ErrorKind::InvalidData)?;
            // kill(2), sigqueue(3) and tkill(2) report the sender; the kernel's own codes are above zero.
            let sender = (told.ssi_code <= 0 && told.ssi_pid > 0).then_some(told.ssi_pid);
            Ok(Some(Caught { signal: Signal::try_from(number)?, sender }))
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    use std::time::Instant;

    use super::{Caught, Duration, SigSet, io};

    /// The time between two checks for pending signals: this system has no wait with a timeout.
    const POLL_INTERVAL: Duration = Duration::from_millis(1);

    #[derive(Debug)]
    pub(super) struct Signals(SigSet);

    impl Signals {
        #[allow(clippy::unnecessary_wraps, reason = "as on Linux")]
        pub(super) fn new(set: SigSet) -> io::Result<Self> {
            Ok(Self(set))
        }

        pub(super) fn wait(&self) -> io::Result<Caught> {
            Ok(Caught { signal: self.0.wait()?, sender: None })
        }

        pub(super) fn wait_for(&self, patience: Duration) -> io::Result<Option<Caught>> {
            let started = Instant::now();
            loop {
                if self.is_pending()? {
                    return self.wait().map(Some);
                }
                if started.elapsed() >= patience {
                    return Ok(None);
                }
                std::thread::sleep(POLL_INTERVAL);
            }
        }

        #[allow(unsafe_code, reason = "nix has no sigpending")]
        fn is_pending(&self) -> io::Result<bool> {
            let mut pending = std::mem::MaybeUninit::<nix::libc::sigset_t>::uninit();
            // SAFETY: the pointer is valid for writes, and sigpending fills the whole set where it succeeds.
            let pending = unsafe {
                if nix::libc::sigpending(pending.as_mut_ptr()) != 0 {
                    return Err(io::Error::last_os_error());
                }
                SigSet::from_sigset_t_unchecked(pending.assume_init())
            };
            Ok(self.0.iter().any(|signal| pending.contains(signal)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs in a separate thread, because a signal for the process goes to any thread that has not blocked it.
    #[test]
    fn what_was_sent_is_caught_with_its_sender_and_nothing_else_comes() {
        let thread = std::thread::spawn(|| {
            let signals = Signals::take_over(&[Signal::SIGUSR1, Signal::SIGUSR2]).expect("blocked");
            assert_eq!(signals.wait_for(Duration::ZERO).expect("looked"), None);
            nix::sys::signal::raise(Signal::SIGUSR2).expect("sent");
            let caught = signals.wait_for(Duration::from_secs(5)).expect("looked").expect("it is pending");
            assert_eq!(caught.signal, Signal::SIGUSR2);
            if cfg!(target_os = "linux") {
                assert_eq!(caught.sender, Some(std::process::id()));
            }
            assert_eq!(signals.wait_for(Duration::from_millis(1)).expect("looked"), None);
        });
        thread.join().expect("no panic");
    }
}
