//! The ways in which a runtime can fail.

use std::path::PathBuf;
use std::time::Duration;

use super::{Gone, RuntimeKind};
use crate::process::ProcessId;

/// Why a runtime could not be queried, or did not do what was requested.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The binary is neither where it was found before nor on `PATH`.
    #[error("{runtime} is not installed: no executable at {}", .path.display())]
    NoBinary {
        /// Which runtime.
        runtime: RuntimeKind,
        /// Where the binary was expected.
        path: PathBuf,
    },
    /// The server or its socket directory belongs to another user or denies access.
    #[error("{runtime} at {}: permission denied ({detail})", .server.display())]
    PermissionDenied {
        /// Which runtime.
        runtime: RuntimeKind,
        /// The socket or session directory.
        server: PathBuf,
        /// The message of the runtime or the kernel.
        detail: String,
    },
    /// There was no answer within the deadline. **The effect may still happen** when the server wakes up.
    #[error("{runtime} at {}: no answer to {command} within {after:?}", .server.display())]
    TimedOut {
        /// Which runtime.
        runtime: RuntimeKind,
        /// The socket or session directory.
        server: PathBuf,
        /// The runtime's command that was sent.
        command: String,
        /// The deadline that passed.
        after: Duration,
    },
    /// The server exists and does not answer, according to the kernel. **No request was sent**, so nothing happens
    /// later.
    #[error("{runtime} at {}: the server does not answer ({detail})", .server.display())]
    NotAnswering {
        /// Which runtime.
        runtime: RuntimeKind,
        /// The socket or session directory.
        server: PathBuf,
        /// The evidence for it.
        detail: String,
    },
    /// Client and server, or the installed version and ours, speak different protocols.
    #[error("{runtime} at {}: version mismatch ({detail})", .server.display())]
    VersionMismatch {
        /// Which runtime.
        runtime: RuntimeKind,
        /// The socket or session directory.
        server: PathBuf,
        /// The runtime's message.
        detail: String,
    },
    /// The call needed a server, and the server is gone.
    #[error("{runtime} at {}: no server ({gone:?})", .server.display())]
    ServerGone {
        /// Which runtime.
        runtime: RuntimeKind,
        /// The socket or session directory.
        server: PathBuf,
        /// How it is gone.
        gone: Gone,
    },
    /// A different server listens on the path, and the expected one is not known to have ended. **No request was
    /// sent**, and this says nothing about the sessions that the expected server hosts.
    #[error(
        "{runtime} at {}: process {} listens there, and not process {}, which hosts it",
        .server.display(), .found.pid, .recorded.pid
    )]
    OtherServer {
        /// Which runtime.
        runtime: RuntimeKind,
        /// The socket or session directory.
        server: PathBuf,
        /// The expected server.
        recorded: ProcessId,
        /// The process that listens there now.
        found: ProcessId,
    },
    /// The expected server is not known to have ended, and no process listens on its path. None of its sessions count
    /// as gone.
    #[error("{runtime} at {}: its server, process {}, lives and cannot be reached ({gone:?})", .server.display(), .recorded.pid)]
    Unreachable {
        /// Which runtime.
        runtime: RuntimeKind,
        /// The socket or session directory.
        server: PathBuf,
        /// The expected server.
        recorded: ProcessId,
        /// What was found in its place.
        gone: Gone,
    },
    /// The server is up, and the session or pane does not exist.
    #[error("{runtime}: no session {session:?} ({detail})")]
    NoSuchSession {
        /// Which runtime.
        runtime: RuntimeKind,
        /// The requested session.
        session: String,
        /// The runtime's message.
        detail: String,
    },
    /// A session of that name already exists.
    #[error("{runtime}: a session named {session:?} exists already")]
    DuplicateSession {
        /// Which runtime.
        runtime: RuntimeKind,
        /// The requested name.
        session: String,
    },
    /// The pane cannot take input: its program has ended or its input is switched off.
    #[error("{runtime}: the pane of {session:?} takes no input")]
    PaneDead {
        /// Which runtime.
        runtime: RuntimeKind,
        /// The requested session.
        session: String,
    },
    /// It is unknown whether the session was created: neither the answer nor a listing could be read. **It may be
    /// running.**
    #[error("{runtime}: whether session {session:?} was made is not known ({detail})")]
    Unconfirmed {
        /// Which runtime.
        runtime: RuntimeKind,
        /// The requested session.
        session: String,
        /// The answer.
        detail: String,
    },
    /// Any other failure, with the exit code and the output.
    #[error("{runtime} {command} failed: {detail}")]
    Failed {
        /// Which runtime.
        runtime: RuntimeKind,
        /// The runtime's command that was sent.
        command: String,
        /// Exit code and first line of stderr, or the I/O error.
        detail: String,
    },
}

impl RuntimeError {
    /// Returns `true` if the request may have been carried out, or may still be. Any other error means that it was not.
    pub const fn may_have_taken_effect(&self) -> bool {
        match self {
            Self::TimedOut { .. } | Self::Unconfirmed { .. } | Self::Failed { .. } => true,
            Self::NoBinary { .. }
            | Self::PermissionDenied { .. }
            | Self::NotAnswering { .. }
            | Self::VersionMismatch { .. }
            | Self::ServerGone { .. }
            | Self::OtherServer { .. }
            | Self::Unreachable { .. }
            | Self::NoSuchSession { .. }
            | Self::DuplicateSession { .. }
            | Self::PaneDead { .. } => false,
        }
    }
}
