//! What the kernel knows of a session: no process is started, and a hung server hangs nobody.

use std::collections::HashMap;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::home::{self, Home};
use super::record::{Record, Running};
use crate::process::{self, ProcessId, Status};
use crate::runtime::Gone;
use crate::socket::{self, Listener};

/// The variable in which a session's server and panes carry our tag, so that it is known without our record.
pub(super) const TAG: &str = "PEER_SESSION_TAG";

/// The variable in which zellij tells a pane's process the pane's number.
const PANE_NUMBER: &str = "ZELLIJ_PANE_ID";

/// That of the first pane, which is ours; no later one gets it.
const OUR_NUMBER: &str = "0";

/// A session as the kernel shows it.
#[derive(Debug)]
pub(super) enum Sight {
    /// There is no server for us to talk to.
    Gone(Gone),
    /// A server listens.
    Up(Up),
    /// Its server lives, and no socket leads to it any more; zellij cannot make it again.
    Unreachable(Record, ProcessId),
    /// Nothing can be said now, and why.
    Unclear(String),
}

/// A session whose server listens.
#[derive(Clone, Debug)]
pub(super) struct Up {
    pub(super) record: Record,
    /// What the session is called now: a person may rename it.
    pub(super) name: String,
    pub(super) server: ProcessId,
    /// The pane's process, while it lives.
    pub(super) pane: Option<ProcessId>,
    /// Our pane was closed, and what ran in it lives on without it.
    pub(super) pane_closed: bool,
    /// How many clients are connected; 0 where the kernel does not tell.
    pub(super) clients: u32,
}

/// Looks at the session that lives in `home`: a small file and a few of `/proc`, and a connection only where they do not tell.
/// Never waits.
pub(super) fn look(home: &Home) -> io::Result<Sight> {
    look_by(home, &Table::read())
}

/// The same by a table that was read a moment ago.
///
/// The session is that of its recorded server. It is gone when that process is, and not when its socket's file is: any
/// client of zellij 0.45.1 removes the file of a server that was killed, and a cleaner that of one that lives.
pub(super) fn look_by(home: &Home, table: &Table) -> io::Result<Sight> {
    match known(home, table)? {
        Some(record) => look_at(home, record, table),
        None => Ok(Sight::Gone(Gone::NoSocket)),
    }
}

/// The same of a session that is known.
pub(super) fn look_at(home: &Home, record: Record, table: &Table) -> io::Result<Sight> {
    if record.is_elsewhere()? {
        return Ok(Sight::Unclear("it was made on another machine, or in another container".to_owned()));
    }
    if record.is_of_another_boot() {
        return Ok(Sight::Gone(how_gone(home, &record)));
    }
    let running = match record.running {
        Some(running) => running,
        // A server dies of a connection that is closed before its first client has introduced itself (zellij 0.45.1: seen).
        None if process::find(record.creator)?.is_some() => {
            return Ok(Sight::Unclear(format!("process {} is creating the session", record.creator.pid)));
        }
        // Whoever made it died before it could note the server.
        None => match unnoted(home, &record.session, table)? {
            Some(running) => running,
            None => return Ok(Sight::Gone(how_gone(home, &record))),
        },
    };
    let Some(server) = process::find(running.server)? else { return Ok(Sight::Gone(how_gone(home, &record))) };
    if server.stopped {
        return Ok(Sight::Unclear(stopped(server)));
    }
    let pane = pane_in(running)?;
    let pane_closed = pane.is_some_and(|pane| !pane.has_terminal);
    // What has its terminal is in its pane, whatever somebody noted who did not see it yet.
    let closed = record.closed && pane.is_none_or(|pane| !pane.has_terminal);
    let record = Record { closed, ..record };
    let pane = pane.map(|pane| pane.id);
    let clients = table.of(&home.socket(&record.session)).clients;
    Ok(match way_in(home, &record.session, running, table)? {
        Way::Name(name) => Sight::Up(Up { record, name, server: server.id, pane, pane_closed, clients }),
        Way::None => Sight::Unreachable(record, server.id),
        Way::Full => Sight::Unclear("its queue of waiting clients is full".to_owned()),
    })
}

/// How a session is gone whose server is not there.
///
/// zellij 0.45.1 takes its socket along when its session is ended (by its keys, `kill-session`, its last pane) and leaves it
/// when it is killed, by SIGTERM too; but a client that looks since removes it as well. So this is a name and no proof.
fn how_gone(home: &Home, record: &Record) -> Gone {
    match (home.socket(&record.session).symlink_metadata().is_ok(), record.running.is_some()) {
        (true, _) => Gone::NobodyListening,
        (false, true) => Gone::Ended,
        (false, false) => Gone::NoSocket,
    }
}

/// What is known of the session; `None` where there is none. A record that somebody deleted or damaged is put together
/// again by what the kernel knows of a server that lives.
pub(super) fn known(home: &Home, table: &Table) -> io::Result<Option<Record>> {
    match home.read() {
        Ok(Some(record)) => Ok(Some(record)),
        Ok(None) => rebuilt(home, table),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => rebuilt(home, table),
        Err(error) => Err(error),
    }
}

/// The record of a session by its living server: that has the socket's path among its arguments, and our tag in its
/// environment. It is noted again where that can be done.
fn rebuilt(home: &Home, table: &Table) -> io::Result<Option<Record>> {
    for path in table.listening_in(&home.sockets()) {
        let Some(session) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let Some(running) = unnoted(home, session, table)? else { continue };
        let record = record_of(running.server, session)?;
        if !record.tag.is_empty() {
            let record = Record { running: Some(running), ..record };
            let _ = home.write(&record);
            return Ok(Some(record));
        }
    }
    Ok(None)
}

/// What the server of `session` itself tells of it.
pub(super) fn record_of(server: ProcessId, session: &str) -> io::Result<Record> {
    let tag = process::environment_variable(server.pid, TAG)?.unwrap_or_default();
    let running = Running { server, pane: pane_of(server.pid)?, socket: None };
    Ok(Record { running: Some(running), ..Record::here(session, &tag.to_string_lossy(), server)? })
}

/// The server of `session` and what runs in its pane, where nobody has noted them and it listens.
pub(super) fn unnoted(home: &Home, session: &str, table: &Table) -> io::Result<Option<Running>> {
    let path = home.socket(session);
    if table.of(&path).listeners == 0 && !matches!(socket::listener(&path)?, Listener::Up(_) | Listener::Full) {
        return Ok(None);
    }
    let socket = home::socket_inode(&path);
    let mut found = None;
    for server in starting_servers_of(&path)? {
        let pane = pane_of(server.pid)?;
        if pane.is_some() {
            return Ok(Some(Running { server, pane, socket }));
        }
        found = Some(Running { server, pane, socket });
    }
    Ok(found)
}

/// How clients get to a server.
enum Way {
    /// By this name.
    Name(String),
    /// Not at all: its socket's file is gone.
    None,
    /// It takes no more of them.
    Full,
}

/// By which name clients get to the server of a session that was made as `session`. A person may have renamed it: zellij
/// renames the socket's file then, and the kernel goes on knowing the socket by its first path.
fn way_in(home: &Home, session: &str, running: Running, table: &Table) -> io::Result<Way> {
    let path = home.socket(session);
    // A connection would cost the server threads and lines in its log, and would disturb whoever comes next: zellij
    // takes two clients away for each that leaves, the second with a number that may be another's by then (0.45.1).
    if table.of(&path).listeners == 1 && home::is_still(&path, running.socket) {
        return Ok(Way::Name(session.to_owned()));
    }
    for name in home.socket_names()? {
        let path = home.socket(&name);
        // Nobody began to listen under that name, so it is a file that was renamed, and an inode is one file.
        if table.of(&path).listeners == 0 && home::socket_inode(&path) == running.socket {
            return Ok(Way::Name(name));
        }
        match socket::listener(&path)? {
            Listener::Up(found) if found.process.id == running.server => return Ok(Way::Name(name)),
            Listener::Full => return Ok(Way::Full),
            Listener::Up(_) | Listener::Gone(_) => {}
        }
    }
    Ok(Way::None)
}

fn stopped(server: Status) -> String {
    let pid = server.id.pid;
    format!("process {pid} is stopped; `kill -CONT {pid}` lets it go on")
}

/// The process that the record names, or the one that a person started in the pane when that had ended.
fn pane_in(running: Running) -> io::Result<Option<Status>> {
    if let Some(pane) = running.pane
        && let Some(found) = process::find(pane)?
    {
        return Ok(Some(found));
    }
    pane_of(running.server.pid)?.map_or(Ok(None), process::find)
}

/// The process in the first pane of the server `pid`, while it lives. zellij tells no pids; its panes' processes are its
/// children and have the pane's number in their environment.
pub(super) fn pane_of(pid: u32) -> io::Result<Option<ProcessId>> {
    for child in process::children(pid)? {
        // One that ends while we look has no environment any more.
        if let Ok(Some(number)) = process::environment_variable(child.id.pid, PANE_NUMBER)
            && number == OUR_NUMBER
        {
            return Ok(Some(child.id));
        }
    }
    Ok(None)
}

/// The living processes in panes that a person opened beside ours. zellij does not list all of them: a tab that was made
/// while nobody was attached can have a process and no pane (0.45.1: seen).
///
/// Each is told by the number of its own pane, and not by being another than ours: that one may begin just now.
pub(super) fn others_in(running: Running) -> io::Result<Vec<ProcessId>> {
    let mut others: Vec<ProcessId> = process::children(running.server.pid)?.iter().map(|child| child.id).collect();
    others.retain(|child| match process::environment_variable(child.pid, PANE_NUMBER) {
        // What has no pane's number is zellij's own.
        Ok(number) => number.is_some_and(|number| number != OUR_NUMBER),
        // One that may not be asked (sudo) is not, unless it is the one that is on record.
        Err(_) => running.pane != Some(*child),
    });
    Ok(others)
}

/// Whether the process is the zellij server of the socket at `path`, by its arguments.
pub(super) fn is_server_of(server: ProcessId, path: &Path) -> bool {
    let arguments = process::arguments(server.pid);
    arguments.len() == 3 && arguments[1] == b"--server" && arguments[2] == path.as_os_str().as_bytes()
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
    /// So many sockets listen that were bound there. The file of an older one was removed or renamed since.
    listeners: u32,
    /// So many clients are connected. One that only asks something counts as long as it lives, some 10 ms.
    pub(super) clients: u32,
}

/// The kernel's table of sockets at one moment, by path. To read it costs time with every socket of the machine.
#[derive(Debug, Default)]
pub(super) struct Table(HashMap<Vec<u8>, Connections>);

impl Table {
    /// # Source
    /// zellij 0.45.1 holds one connection a client; an accepted connection carries the path at which its listener was bound
    /// (unix(7)), also when the file has another name by then.
    pub(super) fn read() -> Self {
        Self::parse(&crate::file::read(Path::new("/proc/net/unix"), u64::MAX).unwrap_or_default())
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
                [_, _, _, "00010000", _, _, _] => paths.entry(line[path..].to_vec()).or_default().listeners += 1,
                _ => {}
            }
        }
        Self(paths)
    }

    pub(super) fn of(&self, path: &Path) -> Connections {
        self.0.get(path.as_os_str().as_bytes()).copied().unwrap_or_default()
    }

    /// The paths of the sockets that were bound in this directory and listen.
    pub(super) fn listening_in(&self, dir: &Path) -> Vec<PathBuf> {
        let dir = dir.as_os_str().as_bytes();
        let below = |path: &[u8]| path.strip_prefix(dir).is_some_and(|rest| rest.starts_with(b"/"));
        let listening = self.0.iter().filter(|(path, found)| found.listeners > 0 && below(path));
        listening.map(|(path, _)| PathBuf::from(std::ffi::OsStr::from_bytes(path))).collect()
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
        let table = Table::parse(table);
        assert_eq!(table.of(Path::new("/s/contract_version_1/a b")), Connections { listeners: 1, clients: 3 });
        assert_eq!(table.of(Path::new("/s/contract_version_1/a")), Connections::default());
        assert_eq!(table.listening_in(Path::new("/s/contract_version_1")), [Path::new("/s/contract_version_1/a b")]);
        assert!(table.listening_in(Path::new("/s/contract")).is_empty());
    }

    #[test]
    fn a_listener_and_its_clients_are_in_the_table() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("socket");
        assert_eq!(Table::read().of(&path), Connections::default());
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("bound");
        let client = std::os::unix::net::UnixStream::connect(&path).expect("connected");
        let accepted = listener.accept().expect("accepted");
        assert_eq!(Table::read().of(&path), Connections { listeners: 1, clients: 1 });
        drop((client, accepted, listener));
        assert_eq!(Table::read().of(&path), Connections::default());
    }
}
