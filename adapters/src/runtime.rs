//! What a terminal multiplexer must be able to do for us, and how it can fail.
//!
//! A [`Runtime`] is stateless: each call names the server it means by an absolute path (the socket of a tmux server,
//! the session directory of a zellij one), because the same record must mean the same server from cron and from a
//! shell. No method decides anything: whether a session *should* exist is the caller's business.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use crate::command::Argv;
use crate::process::ProcessId;
pub use crate::terminal::Size;

mod key;

pub use key::Key;

/// The terminal multiplexers that can host a pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuntimeKind {
    /// tmux, 3.2 or newer: one server on a private socket hosts all sessions.
    Tmux,
    /// zellij, 0.44.1 or newer: each session is a server of its own in a private socket directory.
    Zellij,
}

impl RuntimeKind {
    /// The name a person types and records carry; also the name of the binary.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tmux => "tmux",
            Self::Zellij => "zellij",
        }
    }
}

impl std::fmt::Display for RuntimeKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where one session lives: everything an effect needs to hit this session and no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Absolute path of the tmux socket or of the zellij session's own directory.
    pub server: PathBuf,
    /// The session's name, unique to one incarnation.
    pub session: String,
    /// The runtime's own id of the session where it has ids (tmux `$3`); the name otherwise.
    pub session_id: String,
    /// The pane the agent runs in (tmux `%3`, zellij `terminal_0`).
    pub pane: String,
    /// The server process that hosts the pane, where it is known. Ids and paths mean something to this process alone:
    /// another one on the same path is never asked ([`RuntimeError::OtherServer`]).
    pub server_process: Option<ProcessId>,
    /// The pane's process, where it is known. A pane that runs another one is not the one meant any more.
    pub pane_pid: Option<u32>,
}

/// What to create: one detached session with one pane that runs `argv`.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Absolute path of the tmux socket or of the zellij session's own directory.
    pub server: PathBuf,
    /// `[A-Za-z0-9][A-Za-z0-9_-]{0,63}`; anything else is a caller's bug.
    pub session: String,
    /// An opaque tag of `[A-Za-z0-9/_-]` that a later listing returns with the session.
    pub tag: String,
    /// The pane process and its arguments; at least two words, never given to a shell.
    pub argv: Vec<OsString>,
    /// Working directory of the pane process; must exist.
    pub cwd: PathBuf,
    /// Columns and rows until somebody attaches.
    pub size: (u16, u16),
}

/// A session that the runtime says it made.
#[derive(Clone, Debug)]
pub struct Created {
    /// How to address it from now on.
    pub target: Target,
    /// The server that hosts it.
    pub server: ProcessId,
    /// The server's version as it says itself, in the words of [`Runtime::version`]; `None` where it was not asked.
    pub server_version: Option<String>,
}

/// One session as its server lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// The session's name.
    pub session: String,
    /// The runtime's own id of it.
    pub session_id: String,
    /// The pane's id.
    pub pane: String,
    /// The pane's process where the runtime tells it; kept by tmux after death, so never a sign of life.
    pub pane_pid: Option<u32>,
    /// The pane's command has ended and only its last screen is left.
    pub pane_dead: bool,
    /// The tag given at creation; empty for a session that is not ours.
    pub tag: String,
    /// How many clients look at it now.
    pub attached: u32,
    /// When the pane last printed, in seconds since the epoch, where the runtime tells it; the truth may be up to
    /// [`ACTIVITY_STEP`] later.
    pub activity_s: Option<u64>,
}

/// How much later than told a pane may have printed last: tmux counts whole seconds, and the kernel, by which it is known of
/// zellij, moves a terminal's time in steps of 8 s (Linux, `tty_update_time`).
pub const ACTIVITY_STEP: Duration = Duration::from_secs(8);

/// How a terminal is given to a session.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attaching {
    /// The caller is itself a client of this very server: it switches, and does not nest.
    pub inside: bool,
    /// What is typed does not reach the agent.
    pub read_only: bool,
}

/// What a server answered to "what have you got?".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// The server answered; these are all its panes.
    Up {
        /// The server process.
        server: ProcessId,
        /// One row a pane, in the server's order.
        rows: Vec<SessionRow>,
    },
    /// The server is known not to be there.
    Gone(Gone),
}

/// The ways in which a server is known not to be there. Every other failure is a [`RuntimeError`]: unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gone {
    /// There is no socket at that path.
    NoSocket,
    /// A socket is there and nobody listens on it.
    NobodyListening,
    /// The session was ended in order, and was a server of its own: the same as a session that its living server does not
    /// list any more, and no failure of the runtime.
    Ended,
    /// The server that was meant has ended, and another one listens on its path.
    Replaced,
}

/// Why a runtime could not be asked, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The binary is not where it was found before, or on `PATH`.
    #[error("{runtime} is not installed: no executable at {}", .path.display())]
    NoBinary {
        /// Which runtime.
        runtime: RuntimeKind,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The server, or its socket directory, belongs to somebody else or forbids access.
    #[error("{runtime} at {}: permission denied ({detail})", .server.display())]
    PermissionDenied {
        /// Which runtime.
        runtime: RuntimeKind,
        /// The socket or session directory.
        server: PathBuf,
        /// What the runtime or the kernel said.
        detail: String,
    },
    /// No answer within the deadline. **The effect may still happen** when the server wakes up.
    #[error("{runtime} at {}: no answer to {command} within {after:?}", .server.display())]
    TimedOut {
        /// Which runtime.
        runtime: RuntimeKind,
        /// The socket or session directory.
        server: PathBuf,
        /// The runtime's command that was given.
        command: String,
        /// The deadline that passed.
        after: Duration,
    },
    /// The server is there and does not answer, as the kernel tells. **Nothing was asked**, so nothing happens later.
    #[error("{runtime} at {}: the server does not answer ({detail})", .server.display())]
    NotAnswering {
        /// Which runtime.
        runtime: RuntimeKind,
        /// The socket or session directory.
        server: PathBuf,
        /// How that is known.
        detail: String,
    },
    /// Client and server, or the installed version and ours, do not speak the same protocol.
    #[error("{runtime} at {}: version mismatch ({detail})", .server.display())]
    VersionMismatch {
        /// Which runtime.
        runtime: RuntimeKind,
        /// The socket or session directory.
        server: PathBuf,
        /// What the runtime said.
        detail: String,
    },
    /// The server is not there, and the call needed it.
    #[error("{runtime} at {}: no server ({gone:?})", .server.display())]
    ServerGone {
        /// Which runtime.
        runtime: RuntimeKind,
        /// The socket or session directory.
        server: PathBuf,
        /// How it is gone.
        gone: Gone,
    },
    /// Another server listens on the path, and the one that was meant is not known to have ended. **Nothing was asked**, and
    /// nothing follows from it for what the other one hosts.
    #[error(
        "{runtime} at {}: process {} listens there, and not process {}, which hosts it",
        .server.display(), .found.pid, .recorded.pid
    )]
    OtherServer {
        /// Which runtime.
        runtime: RuntimeKind,
        /// The socket or session directory.
        server: PathBuf,
        /// The server that was meant.
        recorded: ProcessId,
        /// Who listens there now.
        found: ProcessId,
    },
    /// The server that was meant is not known to have ended, and nobody listens on its path. Nothing that it hosts is gone.
    #[error("{runtime} at {}: its server, process {}, lives and cannot be reached ({gone:?})", .server.display(), .recorded.pid)]
    Unreachable {
        /// Which runtime.
        runtime: RuntimeKind,
        /// The socket or session directory.
        server: PathBuf,
        /// The server that was meant.
        recorded: ProcessId,
        /// What is there in its place.
        gone: Gone,
    },
    /// The server is there and the session or pane is not.
    #[error("{runtime}: no session {session:?} ({detail})")]
    NoSuchSession {
        /// Which runtime.
        runtime: RuntimeKind,
        /// The session that was meant.
        session: String,
        /// What the runtime said.
        detail: String,
    },
    /// A session of that name exists already.
    #[error("{runtime}: a session named {session:?} exists already")]
    DuplicateSession {
        /// Which runtime.
        runtime: RuntimeKind,
        /// The name that was asked for.
        session: String,
    },
    /// The pane cannot take input: its program ended or its input is switched off.
    #[error("{runtime}: the pane of {session:?} takes no input")]
    PaneDead {
        /// Which runtime.
        runtime: RuntimeKind,
        /// The session that was meant.
        session: String,
    },
    /// Whether a session was made is not known: the answer could not be read, and neither could a listing. **It may run.**
    #[error("{runtime}: whether session {session:?} was made is not known ({detail})")]
    Unconfirmed {
        /// Which runtime.
        runtime: RuntimeKind,
        /// The session that was asked for.
        session: String,
        /// What was answered.
        detail: String,
    },
    /// Anything else: the exit code, and what was printed.
    #[error("{runtime} {command} failed: {detail}")]
    Failed {
        /// Which runtime.
        runtime: RuntimeKind,
        /// The runtime's command that was given.
        command: String,
        /// Exit code and first line of stderr, or the I/O error.
        detail: String,
    },
}

impl RuntimeError {
    /// Whether what was asked may have been done, or may yet be; any other error says that it was not.
    pub const fn may_be_done(&self) -> bool {
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

/// How much of a pane to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capture {
    /// Lines of history above the visible screen; 0 for the visible screen alone.
    pub history: u32,
    /// Keep colours and attributes as SGR escape sequences.
    pub ansi: bool,
}

/// A terminal multiplexer that hosts panes.
///
/// Every method asks or does one thing through the runtime's own client with an argv array and a deadline (2 s unless
/// configured otherwise; see [`RuntimeError::TimedOut`] for what a late effect means). None retries.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// Which runtime this is.
    fn kind(&self) -> RuntimeKind;

    /// The installed version, as the binary prints it (`tmux 3.3a`, `zellij 0.45.1`).
    async fn version(&self) -> Result<String, RuntimeError>;

    /// Makes a detached session and starts its pane process, starting the server where none runs.
    ///
    /// # Errors
    /// On [`RuntimeError::TimedOut`] the session may appear later, and on [`RuntimeError::Unconfirmed`] it may be there: the
    /// caller must fence the incarnation off before it tries again. No other error leaves a session behind.
    async fn create(&self, new: &NewSession) -> Result<Created, RuntimeError>;

    /// Everything the server at `server` hosts, in one call; never starts a server.
    ///
    /// # Errors
    /// Any error means that nothing is known. A server that is known not to be there is `Ok(Listing::Gone(_))`.
    async fn list(&self, server: &Path) -> Result<Listing, RuntimeError>;

    /// The same for many servers, side by side; in their order. Blocks no longer than one of them does.
    async fn list_all(&self, servers: &[&Path]) -> Vec<Result<Listing, RuntimeError>> {
        join_all(servers.iter().map(|server| self.list(server))).await
    }

    /// The text of the pane, one line a row, trailing blanks cut: its newest rows, whatever a person had scrolled to.
    ///
    /// Only while somebody who is attached has scrolled back it may be what they see, where the runtime shows nothing else
    /// (zellij); [`Runtime::show_bottom`] ends that.
    async fn capture(&self, target: &Target, how: Capture) -> Result<String, RuntimeError>;

    /// Ends the scrolling of whoever is attached, for a caller who is about to type and must see what comes of it. Nothing
    /// to do where scrolling hides nothing from us.
    async fn show_bottom(&self, target: &Target) -> Result<(), RuntimeError> {
        let _ = target;
        Ok(())
    }

    /// Gives a pane that nobody looks at another size, for as long as nobody does.
    async fn resize(&self, target: &Target, size: Size) -> Result<(), RuntimeError>;

    /// Hands `text` to the pane as one bracketed paste, whole or not at all; no Enter follows.
    ///
    /// ESC and other control characters but newline and tab are dropped, so a payload cannot end its own bracket.
    async fn paste(&self, target: &Target, text: &str) -> Result<(), RuntimeError>;

    /// Presses keys, in order.
    async fn press(&self, target: &Target, keys: &[Key]) -> Result<(), RuntimeError>;

    /// Removes the session by its id, not by its name. A session that is not there is success.
    async fn remove(&self, target: &Target) -> Result<(), RuntimeError>;

    /// Clears what a creation left that was given up: it timed out, or whoever asked for it was killed. Nothing being
    /// there is success. Where a late session is listed by its server, it is [`Runtime::remove`]d like any other and there
    /// is nothing to do here.
    ///
    /// # Errors
    /// Something may be left: ask again.
    async fn abandon(&self, server: &Path, session: &str) -> Result<(), RuntimeError> {
        let _ = (server, session);
        Ok(())
    }

    /// Makes a server that lives, and on whose path nobody listens any more, listen there again: `process` and no other
    /// gets a signal. `false`: it was not told to, because it listens, or because this runtime's servers cannot.
    ///
    /// # Errors
    /// It does not listen by the deadline, another server does, or it has ended.
    async fn listen_again(&self, server: &Path, process: ProcessId) -> Result<bool, RuntimeError> {
        let _ = (server, process);
        Ok(false)
    }

    /// Has a server end that hosts nothing; one that hosts something by then stays. `false`: it is there, or there was none.
    ///
    /// # Errors
    /// It did not answer; it is as it was.
    async fn retire(&self, server: &Path) -> Result<bool, RuntimeError> {
        let _ = server;
        Ok(false)
    }

    /// The command that gives this terminal to the session; run by the caller in the foreground.
    ///
    /// # Errors
    /// There is no client that speaks with the session's server.
    async fn attach(&self, target: &Target, how: Attaching) -> Result<Argv, RuntimeError>;

    /// What a person presses to leave such a session, as people write it (`C-b d`).
    fn leave(&self, target: &Target, read_only: bool) -> &'static str;
}
