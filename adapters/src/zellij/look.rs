//! The state of a session according to the kernel. No process is started, and a hung server blocks no caller.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::home::{self, Home};
use super::record::{Record, Running};
use super::table::Table;
use crate::process::{self, ProcessId, Status};
use crate::runtime::Gone;
use crate::socket::{self, Listener};

/// The variable that carries our tag in a session's server and panes, so that it is known without our record.
pub(super) const TAG: &str = "PEER_SESSION_TAG";

/// The variable that contains the pane's number in the environment of its process.
const PANE_NUMBER: &str = "ZELLIJ_PANE_ID";

/// The number of the first pane, which is ours; no later pane gets it.
const OUR_NUMBER: &str = "0";

/// The state of a session.
#[derive(Debug)]
pub(super) enum Observation {
    /// There is no server that we could talk to.
    Gone(Gone),
    /// A server listens.
    Up(Up),
    /// Its server is alive, and no socket leads to it any more; zellij cannot recreate the socket.
    Unreachable(Record, ProcessId),
    /// The state is unknown now, for this reason.
    Unclear(String),
}

/// A session whose server listens.
#[derive(Clone, Debug)]
pub(super) struct Up {
    pub(super) record: Record,
    /// The current name of the session: a user may rename it.
    pub(super) name: String,
    pub(super) server: ProcessId,
    /// The pane's process, while it is alive.
    pub(super) pane: Option<ProcessId>,
    /// Whether our pane was closed, and the process in it lives on without it.
    pub(super) pane_closed: bool,
    /// The number of connected clients; 0 if the kernel does not report it.
    pub(super) clients: u32,
}

/// Observes the session in `home`: reads a small file and a few in `/proc`, and connects only if they are not
/// conclusive. Never waits.
pub(super) fn look(home: &Home) -> io::Result<Observation> {
    look_by(home, &Table::read())
}

/// Observes the session by a socket table that was just read.
///
/// The session is that of its recorded server. It is gone when that process has ended, and not when its socket's file
/// is gone: any client of zellij 0.45.1 removes the file of a server that was killed, and a cleaner may remove that of
/// a live one.
pub(super) fn look_by(home: &Home, table: &Table) -> io::Result<Observation> {
    match known(home, table)? {
        Some(record) => look_at(home, record, table),
        None => Ok(Observation::Gone(Gone::NoSocket)),
    }
}

/// Observes a session whose record is known.
pub(super) fn look_at(home: &Home, record: Record, table: &Table) -> io::Result<Observation> {
    if record.is_elsewhere()? {
        return Ok(Observation::Unclear("it was made on another machine, or in another container".to_owned()));
    }
    if record.is_of_another_boot() {
        return Ok(Observation::Gone(how_gone(home, &record)));
    }
    let running = match record.running {
        Some(running) => running,
        // A connection that is closed before the first client has introduced itself crashes the server (zellij 0.45.1:
        // seen).
        None if process::find(record.creator)?.is_some() => {
            return Ok(Observation::Unclear(format!("process {} is creating the session", record.creator.pid)));
        }
        // The creator died before it could record the server.
        None => match unnoted(home, &record.session, table)? {
            Some(running) => running,
            None => return Ok(Observation::Gone(how_gone(home, &record))),
        },
    };
    let Some(server) = process::find(running.server)? else { return Ok(Observation::Gone(how_gone(home, &record))) };
    if server.stopped {
        return Ok(Observation::Unclear(stopped(server)));
    }
    let pane = pane_in(running)?;
    let pane_closed = pane.is_some_and(|pane| !pane.has_terminal);
    // A process that has its terminal is in its pane, even if `closed` was recorded before it was seen.
    let closed = record.closed && pane.is_none_or(|pane| !pane.has_terminal);
    let record = Record { closed, ..record };
    let pane = pane.map(|pane| pane.id);
    let clients = table.of(&home.socket(&record.session)).clients;
    Ok(match route_to(home, &record.session, running, table)? {
        Route::Name(name) => Observation::Up(Up { record, name, server: server.id, pane, pane_closed, clients }),
        Route::None => Observation::Unreachable(record, server.id),
        Route::Full => Observation::Unclear("its queue of waiting clients is full".to_owned()),
    })
}

/// Determines how a session without a server is gone.
///
/// zellij 0.45.1 removes its socket when its session is ended (by its keys, `kill-session`, its last pane) and leaves
/// it when it is killed, by SIGTERM too. But any client that looks since then removes it as well. So the result is a
/// description and not a proof.
fn how_gone(home: &Home, record: &Record) -> Gone {
    match (home.socket(&record.session).symlink_metadata().is_ok(), record.running.is_some()) {
        (true, _) => Gone::NotListening,
        (false, true) => Gone::Ended,
        (false, false) => Gone::NoSocket,
    }
}

/// Returns the record of the session; `None` if there is no session. A record that was deleted or damaged is rebuilt
/// from what the kernel knows about a live server.
pub(super) fn known(home: &Home, table: &Table) -> io::Result<Option<Record>> {
    match home.read() {
        Ok(Some(record)) => Ok(Some(record)),
        Ok(None) => rebuilt(home, table),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => rebuilt(home, table),
        Err(error) => Err(error),
    }
}

/// Returns whether a session in this home may have a server: one that listens, or one by its arguments, because the kernel's
/// table is empty on macOS and has only the sockets of its own network namespace.
pub(super) fn is_served(home: &Home) -> io::Result<bool> {
    let sockets = home.sockets();
    if !Table::read().listening_in(&sockets).is_empty() {
        return Ok(true);
    }
    let servers = process::with_first_arguments(&["--server".as_ref()])?;
    Ok(servers.iter().any(|(_, words)| words.get(1).is_some_and(|path| Path::new(path).starts_with(&sockets))))
}

/// Rebuilds the record of a session from its live server, which has the socket's path in its arguments and our tag in
/// its environment. Writes it again if possible.
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

/// Returns a record from the server of `session` itself.
pub(super) fn record_of(server: ProcessId, session: &str) -> io::Result<Record> {
    let tag = process::environment_variable(server.pid, TAG)?.unwrap_or_default();
    let running = Running { server, pane: pane_of(server.pid)?, socket: None };
    Ok(Record { running: Some(running), ..Record::here(session, &tag.to_string_lossy(), server)? })
}

/// Returns the server of `session` and the process in its pane, if they are not recorded and the server listens.
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

/// How clients reach a server.
enum Route {
    /// By this name.
    Name(String),
    /// Not at all: its socket's file is gone.
    None,
    /// It accepts no more clients.
    Full,
}

/// Finds the name by which clients reach the server of a session that was created as `session`. A user may have renamed
/// it: zellij then renames the socket's file, and the kernel still reports the socket under its first path.
fn route_to(home: &Home, session: &str, running: Running, table: &Table) -> io::Result<Route> {
    let path = home.socket(session);
    // A connection would cost the server threads and lines in its log, and would disturb the next client: zellij
    // removes two clients for each that leaves, the second with a number that may have been reassigned by then
    // (0.45.1).
    if table.of(&path).listeners == 1 && home::is_still(&path, running.socket) {
        return Ok(Route::Name(session.to_owned()));
    }
    for name in home.socket_names()? {
        let path = home.socket(&name);
        // No socket was bound under that name, so it is a renamed file, and its inode identifies it.
        if table.of(&path).listeners == 0 && home::socket_inode(&path) == running.socket {
            return Ok(Route::Name(name));
        }
        match socket::listener(&path)? {
            Listener::Up(found) if found.process.id == running.server => return Ok(Route::Name(name)),
            Listener::Full => return Ok(Route::Full),
            Listener::Up(_) | Listener::Gone(_) => {}
        }
    }
    Ok(Route::None)
}

fn stopped(server: Status) -> String {
    let pid = server.id.pid;
    format!("process {pid} is stopped; `kill -CONT {pid}` lets it go on")
}

/// Returns the recorded process, or the one that a user started in the pane after that had ended.
fn pane_in(running: Running) -> io::Result<Option<Status>> {
    if let Some(pane) = running.pane
        && let Some(found) = process::find(pane)?
    {
        return Ok(Some(found));
    }
    pane_of(running.server.pid)?.map_or(Ok(None), process::find)
}

/// Returns the live process in the first pane of the server `pid`. zellij does not report pids; its panes' processes
/// are its children and have the pane's number in their environment.
pub(super) fn pane_of(pid: u32) -> io::Result<Option<ProcessId>> {
    for child in process::children(pid)? {
        match process::environment_variable(child.id.pid, PANE_NUMBER) {
            Ok(Some(number)) if number == OUR_NUMBER => return Ok(Some(child.id)),
            Ok(_) => {}
            // One that ended meanwhile has no environment any more.
            Err(error) if process::is_gone_or_foreign(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Returns the live processes in panes that a user opened next to ours. zellij does not list all of them: a tab that
/// was created while no client was attached can have a process and no pane (0.45.1: seen).
///
/// Each is identified by the number of its own pane, and not by differing from ours: ours may be starting just now.
pub(super) fn others_in(running: Running) -> io::Result<Vec<ProcessId>> {
    let mut others: Vec<ProcessId> = process::children(running.server.pid)?.iter().map(|child| child.id).collect();
    others.retain(|child| match process::environment_variable(child.pid, PANE_NUMBER) {
        // A process without a pane number is zellij's own.
        Ok(number) => number.is_some_and(|number| number != OUR_NUMBER),
        // An unreadable process (sudo) counts, unless it is the recorded one.
        Err(_) => running.pane != Some(*child),
    });
    Ok(others)
}

/// Returns `true` if the process is the zellij server of the socket at `path`, by its arguments.
pub(super) fn is_server_of(server: ProcessId, path: &Path) -> bool {
    let arguments = process::arguments(server.pid);
    arguments.len() == 3 && arguments[1] == b"--server" && arguments[2] == path.as_os_str().as_bytes()
}

/// Finds the server of the socket at `path` by its arguments: slower than a connection (a walk over all processes), but
/// the only way that does not disturb a server that is just starting.
///
/// A server that daemonizes is three processes for a moment, of which the last stays.
pub(super) fn starting_servers_of(path: &Path) -> io::Result<Vec<ProcessId>> {
    let servers = process::with_arguments(&["--server".as_ref(), path.as_os_str()])?;
    Ok(servers.into_iter().map(|server| server.id).collect())
}

/// Returns when the terminal of the process last had output, in seconds since the epoch. Linux updates it in steps of 8
/// s.
pub(super) fn last_output_s(pane: ProcessId) -> Option<u64> {
    let terminal = std::fs::metadata(format!("/proc/{}/fd/0", pane.pid)).ok()?;
    let printed = terminal.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    std::os::unix::fs::FileTypeExt::is_char_device(&terminal.file_type()).then_some(printed.as_secs())
}
