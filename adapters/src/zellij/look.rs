//! What the kernel knows of a session: no process is started, and a hung server hangs nobody.

use std::collections::HashMap;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::home::{Home, Record};
use crate::process::{self, ProcessId, Status};
use crate::runtime::Gone;
use crate::socket::{self, Listener};

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
    /// How many clients are connected; 0 where the kernel does not tell.
    pub(super) clients: u32,
}

/// Looks at the session that lives in `home`: a small file and a few of `/proc`, and a connection only where they do not tell.
/// Never waits.
pub(super) fn look(home: &Home) -> io::Result<Sight> {
    look_by(home, &Table::read())
}

/// The same by a table that was read a moment ago.
pub(super) fn look_by(home: &Home, table: &Table) -> io::Result<Sight> {
    let Some(record) = home.read()? else { return Ok(Sight::Gone(Gone::NoSocket)) };
    // A server dies of a connection that is closed before its first client has introduced itself (zellij 0.45.1: seen).
    if record.running.is_none() && process::find(record.creator)?.is_some() {
        return Ok(Sight::Unclear(format!("process {} is creating the session", record.creator.pid)));
    }
    let socket = home.socket(&record.session);
    let connections = table.of(&socket);
    let known = match record.running {
        Some(running) => process::find(running.server)?,
        None => None,
    };
    let server = match known {
        Some(server) if server.stopped => return Ok(Sight::Unclear(stopped(server))),
        // A connection would cost the server threads and lines in its log, and would disturb whoever comes next: zellij
        // takes two clients away for each that leaves, the second with a number that may be another's by then (0.45.1).
        Some(server) if connections.listens && socket.exists() => server.id,
        _ => match socket::listener(&socket)? {
            // zellij 0.45.1 takes its socket along when its session is ended (by its keys, `kill-session`, its last pane) and
            // leaves it when it is killed, by SIGTERM too: seen.
            Listener::Gone(Gone::NoSocket) if record.running.is_some() && known.is_none() => {
                return Ok(Sight::Gone(Gone::Ended));
            }
            Listener::Gone(gone) => return Ok(Sight::Gone(gone)),
            Listener::Full => return Ok(Sight::Unclear("its queue of waiting clients is full".to_owned())),
            Listener::Up(found) if found.uid != nix::unistd::geteuid().as_raw() => {
                let problem = format!("the server runs as uid {}", found.uid);
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
            }
            Listener::Up(found) if found.process.stopped => return Ok(Sight::Unclear(stopped(found.process))),
            Listener::Up(found) => found.process.id,
        },
    };
    Ok(Sight::Up(Up { pane: pane_in(&record, server)?, record, server, clients: connections.clients }))
}

fn stopped(server: Status) -> String {
    let pid = server.id.pid;
    format!("process {pid} is stopped; `kill -CONT {pid}` lets it go on")
}

/// The process that the record names, or the one that a person started in the pane when that had ended.
fn pane_in(record: &Record, server: ProcessId) -> io::Result<Option<ProcessId>> {
    if let Some(pane) = record.running.and_then(|running| running.pane)
        && process::find(pane)?.is_some()
    {
        return Ok(Some(pane));
    }
    pane_of(server.pid)
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

/// What the kernel's table of sockets has for one path. All empty where there is none (macOS) or where it is not that of
/// the server (another network namespace): then nothing follows from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Connections {
    /// Somebody listens there.
    listens: bool,
    /// So many clients are connected. One that only asks something counts as long as it lives, some 10 ms.
    pub(super) clients: u32,
}

/// The kernel's table of sockets at one moment, by path. To read it costs time with every socket of the machine.
#[derive(Debug, Default)]
pub(super) struct Table(HashMap<Vec<u8>, Connections>);

impl Table {
    /// # Source
    /// zellij 0.45.1 holds one connection a client; an accepted connection carries the listener's path (unix(7)).
    pub(super) fn read() -> Self {
        Self::parse(&std::fs::read("/proc/net/unix").unwrap_or_default())
    }

    /// A line is `Num RefCount Protocol Flags Type St Inode Path`, with flag 0x10000 for a listener and state 3 for a
    /// connection.
    fn parse(table: &[u8]) -> Self {
        let mut paths = HashMap::<Vec<u8>, Connections>::new();
        for line in table.split(|byte| *byte == b'\n') {
            // No field before the path has a slash; an abstract name before one makes a field too many.
            let Some(path) = line.iter().position(|byte| *byte == b'/') else { continue };
            let head = String::from_utf8_lossy(&line[..path]);
            let fields: Vec<&str> = head.split_ascii_whitespace().collect();
            match fields[..] {
                [_, _, _, _, _, "03", _] => paths.entry(line[path..].to_vec()).or_default().clients += 1,
                [_, _, _, "00010000", _, _, _] => paths.entry(line[path..].to_vec()).or_default().listens = true,
                _ => {}
            }
        }
        Self(paths)
    }

    pub(super) fn of(&self, path: &Path) -> Connections {
        self.0.get(path.as_os_str().as_bytes()).copied().unwrap_or_default()
    }
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
    fn only_sockets_of_exactly_that_path_count() {
        let table = b"Num       RefCount Protocol Flags    Type St Inode Path
0000000000000001: 00000002 00000000 00010000 0001 01 37473 /s/contract_version_1/a b
0000000000000002: 00000003 00000000 00000000 0001 03 37933 /s/contract_version_1/a b
0000000000000003: 00000003 00000000 00000000 0001 03 37934 /s/contract_version_1/a b
0000000000000004: 00000003 00000000 00000000 0001 03 37935 /x /s/contract_version_1/a b
0000000000000005: 00000003 00000000 00000000 0001 03 37936 /s/contract_version_1/a b2
0000000000000006: 00000003 00000000 00000000 0001 03 37937
0000000000000007: 00000003 00000000 00000000 0001 03     8 @x/s/contract_version_1/a b
0000000000000008: 00000003 00000000 00000000 0001 03     9 /s/contract_version_1/a b
";
        let found = |path: &str| Table::parse(table).of(Path::new(path));
        assert_eq!(found("/s/contract_version_1/a b"), Connections { listens: true, clients: 3 });
        assert_eq!(found("/s/contract_version_1/a"), Connections::default());
    }

    #[test]
    fn a_listener_and_its_clients_are_in_the_table() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("socket");
        assert_eq!(Table::read().of(&path), Connections::default());
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("bound");
        let client = std::os::unix::net::UnixStream::connect(&path).expect("connected");
        let accepted = listener.accept().expect("accepted");
        assert_eq!(Table::read().of(&path), Connections { listens: true, clients: 1 });
        drop((client, accepted, listener));
        assert_eq!(Table::read().of(&path), Connections::default());
    }
}
