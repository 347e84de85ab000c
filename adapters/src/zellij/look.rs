//! What the kernel knows of a session: no process is started, and a hung server hangs nobody.

use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::UNIX_EPOCH;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, getsockopt, socket, sockopt};

use super::home::{Home, Record};
use crate::process::{self, ProcessId};
use crate::runtime::Gone;

/// A session as the kernel shows it.
#[derive(Debug)]
pub(super) enum Sight {
    /// There is no server for us to talk to.
    Gone(Gone),
    /// A server listens.
    Up(Up),
    /// Nothing can be said now, and why.
    Unclear(String),
}

/// A session whose server listens.
#[derive(Clone, Debug)]
pub(super) struct Up {
    pub(super) record: Record,
    pub(super) server: ProcessId,
    /// The pane's process, while it lives.
    pub(super) pane: Option<ProcessId>,
    /// Who is connected, where the kernel tells.
    pub(super) clients: Option<u32>,
}

/// Looks at the session that lives in `home`. Reads a file, connects, reads two lines of `/proc`; never waits.
pub(super) fn look(home: &Home) -> io::Result<Sight> {
    let Some(record) = home.read()? else { return Ok(Sight::Gone(Gone::NoSocket)) };
    // A server dies of a connection that is closed before its first client has introduced itself (zellij 0.45.1: seen).
    if record.running.is_none() && process::find(record.creator)?.is_some() {
        return Ok(Sight::Unclear(format!("process {} is creating it", record.creator.pid)));
    }
    // Asked before connecting: a stopped server lets connections queue up, and each that is given up costs it a thread later.
    if let Some(running) = record.running
        && let Some(why) = hung(running.server)?
    {
        return Ok(Sight::Unclear(why));
    }
    let socket = home.socket(&record.session);
    // Counted first: our own connection would count.
    let clients = clients_of(&socket);
    match server_of(&socket) {
        Ok(server) => see(record, server, clients),
        Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(Sight::Gone(Gone::NoSocket)),
        Err(Errno::ECONNREFUSED) => Ok(Sight::Gone(Gone::NobodyListening)),
        Err(Errno::EAGAIN) => Ok(Sight::Unclear("its queue of connections is full".to_owned())),
        Err(errno) => Err(errno.into()),
    }
}

fn see(record: Record, pid: u32, clients: Option<u32>) -> io::Result<Sight> {
    let Some(server) = process::status(pid)? else { return Ok(Sight::Gone(Gone::NobodyListening)) };
    if let Some(why) = hung(server.id)? {
        return Ok(Sight::Unclear(why));
    }
    let known = match record.running.and_then(|running| running.pane) {
        Some(pane) => process::find(pane)?.map(|status| status.id),
        None => None,
    };
    // A person may have run the command again in the pane; its process is a new one then.
    let pane = match known {
        Some(pane) => Some(pane),
        None => pane_of(server.id.pid)?,
    };
    Ok(Sight::Up(Up { record, server: server.id, pane, clients }))
}

fn hung(server: ProcessId) -> io::Result<Option<String>> {
    let stopped = process::find(server)?.is_some_and(|status| status.stopped);
    Ok(stopped.then(|| format!("its server, process {}, is stopped", server.pid)))
}

/// The process in the first pane of the server `pid`, while it lives. zellij tells no pids; its panes' processes are its
/// children and have the pane's number in their environment.
pub(super) fn pane_of(pid: u32) -> io::Result<Option<ProcessId>> {
    for child in process::children(pid)? {
        // One that ends while we look has no environment any more.
        if let Ok(Some(number)) = process::environment_variable(child.id.pid, "ZELLIJ_PANE_ID")
            && number == "0"
        {
            return Ok(Some(child.id));
        }
    }
    Ok(None)
}

/// The server of the socket at `path`, found by its arguments: slower than a connection (a walk over all processes), and
/// the only way that does not disturb a server that is just starting.
///
/// A server that turns itself into a daemon is three processes for a moment, of which the last stays.
pub(super) fn starting_servers_of(path: &Path) -> io::Result<Vec<ProcessId>> {
    let servers = process::with_arguments(&["--server".as_ref(), path.as_os_str()])?;
    Ok(servers.into_iter().map(|server| server.id).collect())
}

/// Who listens on the socket at `path`. The connection is closed at once: each one that stays open costs the server two
/// threads (zellij 0.45.1).
pub(super) fn server_of(path: &Path) -> nix::Result<u32> {
    let kind = SockType::Stream;
    // Two steps, because macOS has no flags for socket(2).
    let stream = socket(AddressFamily::Unix, kind, SockFlag::empty(), None)?;
    nix::fcntl::fcntl(&stream, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
    nix::fcntl::fcntl(&stream, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))?;
    connect(stream.as_raw_fd(), &UnixAddr::new(path)?)?;
    peer_pid(&stream)
}

#[cfg(not(target_os = "macos"))]
fn peer_pid(stream: &std::os::fd::OwnedFd) -> nix::Result<u32> {
    let pid = getsockopt(stream, sockopt::PeerCredentials)?.pid();
    u32::try_from(pid).map_err(|_| Errno::EINVAL)
}

#[cfg(target_os = "macos")]
fn peer_pid(stream: &std::os::fd::OwnedFd) -> nix::Result<u32> {
    let pid = getsockopt(stream, sockopt::LocalPeerPid)?;
    u32::try_from(pid).map_err(|_| Errno::EINVAL)
}

/// How many clients are connected to the socket at `path`. `None` where the kernel does not tell (macOS).
///
/// One that only asks something counts as long as it lives, some 10 ms.
///
/// # Source
/// zellij 0.45.1 holds one connection a client; an accepted connection carries the listener's path (unix(7)).
fn clients_of(path: &Path) -> Option<u32> {
    let table = std::fs::read("/proc/net/unix").ok()?;
    let path = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
    let connected = table.split(|byte| *byte == b'\n').filter(|line| is_connected(line, path)).count();
    u32::try_from(connected).ok()
}

/// A line is `Num RefCount Protocol Flags Type St Inode Path`; state 3 is connected.
fn is_connected(line: &[u8], path: &[u8]) -> bool {
    let Some(head) = line.strip_suffix(path).and_then(|head| head.strip_suffix(b" ")) else { return false };
    let mut fields = head.split(|byte| *byte == b' ').filter(|field| !field.is_empty());
    fields.nth(5) == Some(b"03") && fields.next().is_some() && fields.next().is_none()
}

/// When the terminal of the process last printed, in seconds since the epoch. Linux notes it in steps of 8 s.
pub(super) fn last_output_s(pane: ProcessId) -> Option<u64> {
    let terminal = std::fs::metadata(format!("/proc/{}/fd/0", pane.pid)).ok()?;
    let printed = terminal.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    std::os::unix::fs::FileTypeExt::is_char_device(&terminal.file_type()).then_some(printed.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_connected_sockets_of_exactly_that_path_count() {
        let line =
            |state: &str, path: &str| format!("000000003bd02e1d: 00000003 00000000 00000000 0001 {state} 37933 {path}");
        let path = b"/s/contract_version_1/a b".as_slice();
        assert!(is_connected(line("03", "/s/contract_version_1/a b").as_bytes(), path));
        assert!(!is_connected(line("01", "/s/contract_version_1/a b").as_bytes(), path));
        assert!(!is_connected(line("03", "/x /s/contract_version_1/a b").as_bytes(), path));
        assert!(!is_connected(line("03", "/s/contract_version_1/a b2").as_bytes(), path));
        assert!(!is_connected(b"Num       RefCount Protocol Flags    Type St Inode Path", path));
    }

    #[test]
    fn a_listener_is_known_by_its_pid_and_a_stale_socket_is_not_a_server() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("socket");
        assert_eq!(server_of(&path), Err(Errno::ENOENT));
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("bound");
        assert_eq!(server_of(&path), Ok(std::process::id()));
        drop(listener);
        assert_eq!(server_of(&path), Err(Errno::ECONNREFUSED));
    }
}
