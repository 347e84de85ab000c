//! A lifeline ends a client when we end, for whatever reason: a pipe with one end in the client and the other in us.
//!
//! A client that waits for an answer outlives the process that started it, and a zellij 0.45.1 client whose server ends
//! at that moment spins for ever. `PR_SET_PDEATHSIG` has to be requested between fork(2) and exec, and forking slows
//! the shortest of programs down from 1.1 to 1.4 ms (Linux 6.18); with a pipe, the standard library can keep using
//! `posix_spawn(3)`.

use std::io;

/// Our end. When it is dropped, or closed by the kernel, the client is killed, unless it has already ended.
///
/// A kill that hits us during the two tenths of a millisecond in which the kernel starts the client leaves the client
/// running: it then completes its request.
#[derive(Debug)]
pub(super) struct Lifeline(#[allow(dead_code, reason = "it is held by being open")] kernel::Ours);

/// The client's end, before the client exists: any process started while this value exists inherits a copy of it.
#[derive(Debug)]
pub(super) struct UntiedLifeline(kernel::Pipe);

impl UntiedLifeline {
    /// # Errors
    /// The process is out of descriptors.
    pub(super) fn new() -> io::Result<Self> {
        kernel::Pipe::new().map(Self)
    }

    /// Ties the client, which was started since, to our end.
    ///
    /// # Errors
    /// The kernel refuses, and the client may outlive us.
    pub(super) fn tie(self, client: u32) -> io::Result<Lifeline> {
        self.0.tie(client).map(Lifeline)
    }
}

#[cfg(target_os = "linux")]
mod kernel {
    use std::io::{self, PipeReader, PipeWriter};
    use std::os::fd::AsRawFd;

    use nix::errno::Errno;
    use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
    use nix::libc::{self, c_int};
    use nix::sys::signal::Signal;

    pub(super) type Ours = PipeWriter;

    #[derive(Debug)]
    pub(super) struct Pipe {
        theirs: PipeReader,
        ours: PipeWriter,
    }

    /// The same on every architecture that Rust supports; the libc crate leaves it out.
    const F_SETSIG: c_int = 10;

    impl Pipe {
        /// # Source
        /// fcntl(2): the owner of a descriptor with `O_ASYNC` gets a signal when I/O becomes possible on it: the one
        /// set by `F_SETSIG` instead of SIGIO. pipe(7): the exit of the last writer is such an event, and nothing is
        /// ever written here. The owner is the process and not its number, which may be reused.
        pub(super) fn new() -> io::Result<Self> {
            let (theirs, ours) = io::pipe()?;
            fcntl(&theirs, FcntlArg::F_SETFD(FdFlag::empty()))?;
            set(&theirs, F_SETSIG, Signal::SIGKILL as c_int)?;
            fcntl(&theirs, FcntlArg::F_SETFL(OFlag::O_ASYNC))?;
            Ok(Self { theirs, ours })
        }

        pub(super) fn tie(self, client: u32) -> io::Result<Ours> {
            set(&self.theirs, libc::F_SETOWN, c_int::try_from(client).map_err(io::Error::other)?)?;
            Ok(self.ours)
        }
    }

    #[allow(unsafe_code, reason = "nix does not have these two; see SAFETY")]
    fn set(end: &PipeReader, what: c_int, value: c_int) -> io::Result<()> {
        // SAFETY: the descriptor is open for the length of the call, and both commands take a number.
        Errno::result(unsafe { libc::fcntl(end.as_raw_fd(), what, value) })?;
        Ok(())
    }
}

/// No other system has this: such a client ends when its server answers or exits.
#[cfg(not(target_os = "linux"))]
mod kernel {
    use std::io;

    pub(super) type Ours = ();

    #[derive(Debug)]
    pub(super) struct Pipe;

    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "as on Linux")]
    impl Pipe {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        pub(super) fn tie(self, _client: u32) -> io::Result<Ours> {
            Ok(())
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Read;
    use std::os::unix::process::CommandExt;
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::command::Argv;
    use crate::process;

    #[test]
    fn a_client_ends_when_our_end_is_closed_and_not_before() {
        let loose = UntiedLifeline::new().expect("a pipe");
        let argv = Argv::new("/bin/sh").args(["-c", "trap '' HUP TERM IO; echo; while :; do sleep 1; done"]);
        let mut client = argv.to_command().stdout(Stdio::piped()).process_group(0).spawn().expect("started");
        let tied = loose.tie(client.id()).expect("tied");
        let mut line = [0];
        client.stdout.as_mut().expect("piped").read_exact(&mut line).expect("it runs");
        drop(tied);
        let deadline = Instant::now() + Duration::from_secs(20);
        while process::status(client.id()).expect("probe").is_some() {
            assert!(Instant::now() < deadline, "it is still there");
            std::thread::yield_now();
        }
        client.wait().expect("reaped");
    }
}
