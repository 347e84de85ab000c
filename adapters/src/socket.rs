//! Finds the process that listens on a Unix socket by querying the kernel, in some 70 µs and without starting a
//! process.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use crate::process::{self, Status};
use crate::runtime::Gone;

/// The result of a connection attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// This process listens. It is still unknown whether it answers.
    Up(Listening),
    /// A process listens and accepts no more connections: so many are waiting already that it must be hung.
    Full,
    /// No process listens.
    Gone(Gone),
}

/// The process behind a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listening {
    /// The process, as the kernel reports it.
    pub process: Status,
    /// The user it ran as when it started to listen.
    pub uid: u32,
}

/// Queries which process listens on the socket at `path`. Never blocks, sends nothing, and hangs up at once.
///
/// # Errors
/// [`io::ErrorKind::PermissionDenied`] if the path or socket denies access; `ENAMETOOLONG` if the path does not fit
/// into a socket address (107 bytes on Linux, 103 on macOS); others as the kernel reports them. Nothing is known then.
///
/// # Source
/// unix(7): a non-blocking `connect` answers `EAGAIN` when the queue is full. macOS answers `ECONNREFUSED` there, as if
/// nobody listened; its queue of a hung tmux server is 128 long.
pub fn listener(path: &Path) -> io::Result<Listener> {
    let address = UnixAddr::new(path)?;
    match ask(&address)? {
        Answer::Told(listener) => Ok(listener),
        // A process closes its sockets before it is visible as ended. If it was the only holder of this one, the next
        // connection is refused.
        Answer::Ended(_) => match ask(&address)? {
            Answer::Told(listener) => Ok(listener),
            Answer::Ended(pid) => {
                Err(io::Error::other(format!("process {pid}, which began to listen there, has ended")))
            }
        },
    }
}

/// Returns `true` if a process listens on the socket at `path`, also one that is not visible here. Never blocks. `false` if that
/// is not known.
pub fn listens(path: &Path) -> bool {
    let asked = || Some((UnixAddr::new(path).ok()?, non_blocking_socket().ok()?));
    asked()
        .is_some_and(|(address, socket)| matches!(connect(socket.as_raw_fd(), &address), Ok(()) | Err(Errno::EAGAIN)))
}

enum Answer {
    Told(Listener),
    /// We were connected, and the process that started to listen has ended: either just now, or another process
    /// inherited its socket.
    Ended(u32),
}

fn ask(address: &UnixAddr) -> io::Result<Answer> {
    let socket = non_blocking_socket()?;
    match connect(socket.as_raw_fd(), address) {
        Ok(()) => {}
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(Answer::Told(Listener::Gone(Gone::NoSocket))),
        Err(Errno::ECONNREFUSED) => return Ok(Answer::Told(Listener::Gone(Gone::NotListening))),
        Err(Errno::EAGAIN) => return Ok(Answer::Told(Listener::Full)),
        Err(errno) => return Err(errno.into()),
    }
    let (pid, uid) = peer(&socket)?;
    Ok(match process::status(pid)? {
        Some(process) => Answer::Told(Listener::Up(Listening { process, uid })),
        None => Answer::Ended(pid),
    })
}

#[cfg(not(target_os = "macos"))]
fn non_blocking_socket() -> nix::Result<OwnedFd> {
    socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)
}

#[cfg(target_os = "macos")]
fn non_blocking_socket() -> nix::Result<OwnedFd> {
    use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
    let socket = socket(AddressFamily::Unix, SockType::Stream, SockFlag::empty(), None)?;
    fcntl(&socket, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    fcntl(&socket, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(socket)
}

#[cfg(not(target_os = "macos"))]
fn peer(socket: &OwnedFd) -> io::Result<(u32, u32)> {
    let peer = nix::sys::socket::getsockopt(socket, nix::sys::socket::sockopt::PeerCredentials)?;
    match u32::try_from(peer.pid()) {
        Ok(pid) if pid > 0 => Ok((pid, peer.uid())),
        _ => Err(io::Error::other("the process that listens there is not visible from this pid namespace")),
    }
}

#[cfg(target_os = "macos")]
fn peer(socket: &OwnedFd) -> io::Result<(u32, u32)> {
    use nix::sys::socket::{getsockopt, sockopt};
    let pid = getsockopt(socket, sockopt::LocalPeerPid)?;
    let uid = getsockopt(socket, sockopt::LocalPeerCred)?.uid();
    Ok((u32::try_from(pid).map_err(io::Error::other)?, uid))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_listener_is_named_by_pid_and_user() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("s");
        let _bound = UnixListener::bind(&path).expect("bind");
        let Listener::Up(found) = listener(&path).expect("answer") else { panic!("somebody listens") };
        assert_eq!(found.process.id, process::me().expect("own identity"));
        assert_eq!(found.uid, nix::unistd::geteuid().as_raw());
    }

    #[test]
    fn the_two_ways_of_being_gone_are_told_apart() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("s");
        assert_eq!(listener(&path).expect("answer"), Listener::Gone(Gone::NoSocket));
        drop(UnixListener::bind(&path).expect("bind"));
        assert_eq!(listener(&path).expect("answer"), Listener::Gone(Gone::NotListening));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_queue_is_not_waited_for() {
        let dir = tempfile::tempdir().expect("directory");
        let path = dir.path().join("s");
        let _bound = UnixListener::bind(&path).expect("bind");
        let address = UnixAddr::new(&path).expect("short path");
        let mut waiting = Vec::new();
        while listener(&path).expect("answer") != Listener::Full {
            let socket = non_blocking_socket().expect("socket");
            let _ = connect(socket.as_raw_fd(), &address);
            waiting.push(socket);
            assert!(waiting.len() < 10_000, "the queue has an end");
        }
    }

    #[test]
    fn a_path_that_fits_no_address_is_an_error() {
        let error = listener(Path::new(&format!("/{}", "x".repeat(107)))).expect_err("108 bytes");
        assert_eq!(error.raw_os_error(), Some(nix::libc::ENAMETOOLONG));
    }
}
