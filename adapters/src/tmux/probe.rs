//! Checks with the kernel whether a server is up, before any client is started, and after one was cut off.

use std::io;

use super::KIND;
use super::classify::{self, Asked};
use crate::command::{Argv, Output};
use crate::process::{self, ProcessId, Status};
use crate::runtime::{Gone, RuntimeError};
use crate::socket::{self, Listener};

/// Returns the server process, or how it is gone. Starts nothing and never blocks.
pub(super) fn probe(asked: Asked<'_>) -> Result<Result<ProcessId, Gone>, RuntimeError> {
    let listener = socket::listener(asked.server).map_err(|error| unknown(&error, asked))?;
    match listener {
        Listener::Gone(gone) => Ok(Err(gone)),
        Listener::Full => Err(silent(asked, "its queue of waiting clients is full".to_owned())),
        Listener::Up(found) if found.uid != nix::unistd::geteuid().as_raw() => {
            Err(denied(asked, format!("the server runs as uid {}", found.uid)))
        }
        Listener::Up(found) => can_react(found.process, asked).map(|()| Ok(found.process.id)),
    }
}

/// Checks that a process can react: one that is stopped cannot.
pub(super) fn answers(process: ProcessId, asked: Asked<'_>) -> Result<(), RuntimeError> {
    let status = process::find(process).map_err(|error| unknown(&error, asked))?;
    status.map_or(Ok(()), |status| can_react(status, asked))
}

fn can_react(server: Status, asked: Asked<'_>) -> Result<(), RuntimeError> {
    let pid = server.id.pid;
    if server.stopped {
        return Err(silent(asked, format!("process {pid} is stopped; `kill -CONT {pid}` lets it go on")));
    }
    Ok(())
}

/// Returns the server process, for a call that needs one: only the `recorded` one if that is known.
pub(super) fn require(asked: Asked<'_>, recorded: Option<ProcessId>) -> Result<ProcessId, RuntimeError> {
    let (runtime, server) = (KIND, asked.server.to_owned());
    let listens = probe(asked)?;
    // Only a server that is known to have ended counts as gone.
    let lives = |recorded| !matches!(process::find(recorded), Ok(None));
    match (listens, recorded) {
        (Ok(found), None) => Ok(found),
        (Ok(found), Some(recorded)) if found == recorded => Ok(found),
        (Ok(found), Some(recorded)) if lives(recorded) => {
            Err(RuntimeError::OtherServer { runtime, server, recorded, found })
        }
        (Ok(_), Some(_)) => Err(RuntimeError::ServerGone { runtime, server, gone: Gone::Replaced }),
        (Err(gone), Some(recorded)) if lives(recorded) => {
            Err(RuntimeError::Unreachable { runtime, server, recorded, gone })
        }
        (Err(gone), _) => Err(RuntimeError::ServerGone { runtime, server, gone }),
    }
}

/// Whether the server process has ended.
pub(super) fn has_ended(process: ProcessId, asked: Asked<'_>) -> Result<bool, RuntimeError> {
    Ok(process::find(process).map_err(|error| unknown(&error, asked))?.is_none())
}

/// A client that the server disconnects reports that the server ended. If the server is alive, it is of another
/// version.
pub(super) fn cut_off(argv: &Argv, output: &Output, asked: Asked<'_>) -> RuntimeError {
    match probe(asked) {
        Ok(Ok(server)) => {
            let said = output.summary();
            let (client, pid) = (argv.program.display(), server.pid);
            let detail = format!("{said}, but the server, pid {pid}, lives: {client} cannot talk to its version");
            RuntimeError::VersionMismatch { runtime: KIND, server: asked.server.to_owned(), detail }
        }
        _ => classify::failed(asked, output.summary()),
    }
}

/// The error that states what denies access.
pub(super) fn denied(asked: Asked<'_>, detail: String) -> RuntimeError {
    RuntimeError::PermissionDenied { runtime: KIND, server: asked.server.to_owned(), detail }
}

fn silent(asked: Asked<'_>, detail: String) -> RuntimeError {
    RuntimeError::NotAnswering { runtime: KIND, server: asked.server.to_owned(), detail }
}

fn unknown(error: &io::Error, asked: Asked<'_>) -> RuntimeError {
    let socket = asked.server.display();
    if error.kind() == io::ErrorKind::PermissionDenied {
        denied(asked, error.to_string())
    } else if error.raw_os_error() == Some(nix::libc::ENAMETOOLONG) {
        let bytes = asked.server.as_os_str().len();
        classify::failed(asked, format!("the socket path {socket} is too long ({bytes} bytes): choose a shorter one"))
    } else {
        classify::failed(asked, format!("cannot ask who listens on {socket}: {error}"))
    }
}
