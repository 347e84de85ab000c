//! The signals of a process that waits for them, instead of being interrupted by them.

use std::io;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};

/// Undoes what whoever started this process may have left behind: signals that are blocked, so that nothing could ask it to
/// end, and `SIGCHLD` ignored, with which no child can be waited for (wait(2), NOTES). Whoever ignored others, as nohup(1)
/// does, meant it. To be called first of all; does not block.
///
/// # Errors
/// None that kernels are known to have.
#[allow(unsafe_code, reason = "nix marks each change of a disposition as unsafe; see SAFETY")]
pub fn restore() -> io::Result<()> {
    // SAFETY: the disposition becomes the default, which runs no code of ours.
    unsafe { nix::sys::signal::signal(Signal::SIGCHLD, nix::sys::signal::SigHandler::SigDfl) }?;
    Ok(SigSet::empty().thread_set_mask()?)
}

/// Lets the kernel end this process after `span` (rounded up to seconds), whatever it waits for then: SIGALRM, which nobody here
/// handles.
pub fn end_within(span: Duration) {
    let seconds = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    nix::unistd::alarm::set(u32::try_from(seconds).unwrap_or(u32::MAX).max(1));
}

/// Whether this process ignores a signal, as one that nohup(1) started does SIGHUP. One that the kernel does not tell of is not.
#[allow(unsafe_code, reason = "nix changes dispositions and does not ask for them")]
pub fn is_ignored(signal: Signal) -> bool {
    let mut now = std::mem::MaybeUninit::<nix::libc::sigaction>::uninit();
    // SAFETY: without a new action nothing is changed, and the pointer is valid for writes; it is read where that succeeded.
    unsafe {
        nix::libc::sigaction(signal as nix::libc::c_int, std::ptr::null(), now.as_mut_ptr()) == 0
            && now.assume_init().sa_sigaction == nix::libc::SIG_IGN
    }
}

/// A set of signals that this thread has blocked: none is lost between two waits.
#[derive(Debug)]
pub struct Signals {
    kernel: kernel::Signals,
}

/// One signal that was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caught {
    /// Which.
    pub signal: Signal,
    /// The pid of the process that sent it. `None`: the kernel sent it by itself, or does not tell (macOS).
    pub sender: Option<u32>,
}

impl Signals {
    /// Blocks these signals for this thread; from here on they are waited for.
    ///
    /// # Errors
    /// The kernel has no descriptor left.
    pub fn block(signals: &[Signal]) -> io::Result<Self> {
        let mut set = SigSet::empty();
        for signal in signals {
            set.add(*signal);
        }
        set.thread_block()?;
        Ok(Self { kernel: kernel::Signals::new(set)? })
    }

    /// The next one; blocks until it comes. Of several that are pending the lowest number comes first.
    ///
    /// # Errors
    /// The kernel failed us.
    pub fn wait(&self) -> io::Result<Caught> {
        self.kernel.wait()
    }

    /// The next one, if it comes in time. Blocks for `patience` at most; a patience of zero only looks.
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
            // kill(2), sigqueue(3) and tkill(2) name who sent it; codes of the kernel's own are above zero.
            let sender = (told.ssi_code <= 0 && told.ssi_pid > 0).then_some(told.ssi_pid);
            Ok(Some(Caught { signal: Signal::try_from(number)?, sender }))
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod kernel {
    use std::time::Instant;

    use super::{Caught, Duration, SigSet, io};

    /// Between two looks at what is pending: there is no wait with an end here.
    const LOOK: Duration = Duration::from_millis(1);

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
                std::thread::sleep(LOOK);
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

    /// In a thread of its own: a signal for the process is left to whoever has not blocked it.
    #[test]
    fn what_was_sent_is_caught_with_its_sender_and_nothing_else_comes() {
        let thread = std::thread::spawn(|| {
            let signals = Signals::block(&[Signal::SIGUSR1, Signal::SIGUSR2]).expect("blocked");
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
