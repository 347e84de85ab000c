//! The interface to a terminal multiplexer, and the ways in which it can fail.
//!
//! A [`Runtime`] is stateless. Each call names its server by an absolute path (the socket of a tmux server, the session
//! directory of a zellij one), because a record must mean the same server from cron as from a shell. No method makes
//! decisions: whether a session *should* exist is up to the caller.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};

use crate::command::Argv;
use crate::process::ProcessId;
pub use crate::terminal::Size;

mod error;
mod key;
mod kind;
mod name;

pub use error::RuntimeError;
pub use key::Key;
pub use kind::{ClientBehaviour, Facts, RuntimeKind, Setup, Supported, SurroundingServer, Variables};
pub use name::RuntimeName;

/// The address of one session: everything an effect needs to reach this session and no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Absolute path of the tmux socket or of the zellij session's directory.
    pub server: PathBuf,
    /// The session's name, unique to one incarnation.
    pub session: String,
    /// The runtime's id of the session if it has ids (tmux `$3`); otherwise the name.
    pub session_id: String,
    /// The pane the agent runs in (tmux `%3`, zellij `terminal_0`).
    pub pane: String,
    /// The server process that hosts the pane, if known. Ids and paths are valid for this process only: a different
    /// process on the same path is never queried ([`RuntimeError::OtherServer`]).
    pub server_process: Option<ProcessId>,
    /// The pane's process, if known. If the pane runs a different process, it is no longer the pane that was meant.
    pub pane_pid: Option<u32>,
}

/// The session to create: detached, with one pane that runs `argv`.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Absolute path of the tmux socket or of the zellij session's directory.
    pub server: PathBuf,
    /// Must match `[A-Za-z0-9][A-Za-z0-9_-]{0,63}`; anything else is a bug in the caller.
    pub session: String,
    /// An opaque tag of `[A-Za-z0-9/_-]`, which later listings return with the session.
    pub tag: String,
    /// The pane process and its arguments: at least two words, never passed to a shell.
    pub argv: Vec<OsString>,
    /// Working directory of the pane process; must exist.
    pub cwd: PathBuf,
    /// Columns and rows until a client attaches.
    pub size: (u16, u16),
}

/// A session that the runtime reports as created.
#[derive(Clone, Debug)]
pub struct Created {
    /// How to address the session from now on.
    pub target: Target,
    /// The server that hosts the session.
    pub server: ProcessId,
    /// The version that the server reports, in the format of [`Runtime::version`]; `None` if it was not queried.
    pub server_version: Option<String>,
}

/// One session, as listed by its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// The session's name.
    pub session: String,
    /// The runtime's id of the session.
    pub session_id: String,
    /// The pane's id.
    pub pane: String,
    /// The pane's process, if the runtime reports it. tmux keeps it after the process has exited, so it is never a sign
    /// of life.
    pub pane_pid: Option<u32>,
    /// Whether the pane's command has ended and only its last screen remains.
    pub pane_dead: bool,
    /// The tag given at creation; empty for a session that `peer` did not create.
    pub tag: String,
    /// The number of clients attached to the session.
    pub attached: u32,
    /// When the pane last produced output, in seconds since the epoch, if the runtime reports it. The real time may be
    /// up to [`ACTIVITY_STEP`] later.
    pub activity_s: Option<u64>,
}

/// How much later than reported a pane may have last produced output. tmux counts whole seconds. For zellij the time
/// comes from the kernel, which updates a terminal's timestamps in steps of 8 s (Linux, `tty_update_time`).
pub const ACTIVITY_STEP: Duration = Duration::from_secs(8);

/// How a terminal is attached to a session.
#[derive(Clone, Copy, Debug, Default)]
pub struct AttachMode {
    /// Whether the caller is itself a client of this server. It then switches sessions instead of nesting.
    pub inside: bool,
    /// Whether the agent receives none of what is typed.
    pub read_only: bool,
}

/// A server's answer to a listing request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// The server answered; these are all its panes.
    Up {
        /// The server process.
        server: ProcessId,
        /// One row per pane, in the server's order.
        rows: Vec<SessionRow>,
    },
    /// The server is known to be gone.
    Gone(Gone),
}

/// The ways in which a server is known to be gone. Every other failure is a [`RuntimeError`], which means unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gone {
    /// There is no socket at that path.
    NoSocket,
    /// There is a socket, and no process listens on it.
    NotListening,
    /// The session was ended in the regular way and had its own server. This is equivalent to a session that a live
    /// server no longer lists, and is not a failure of the runtime.
    Ended,
    /// The expected server has ended, and a different one listens on its path.
    Replaced,
}

/// How much of a pane to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capture {
    /// Lines of history above the visible screen; 0 for only the visible screen.
    pub history: u32,
    /// Whether to keep colours and attributes as SGR escape sequences.
    pub ansi: bool,
}

/// A terminal multiplexer that hosts panes.
///
/// Every method makes one query or carries out one effect through the runtime's own client, with an argv array and a
/// deadline (2 s unless configured otherwise; see [`RuntimeError::TimedOut`] about late effects). No method retries.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// Returns which runtime this is.
    fn kind(&self) -> RuntimeKind;

    /// Returns the installed version, as the binary prints it (`tmux 3.3a`, `zellij 0.45.1`).
    async fn version(&self) -> Result<String, RuntimeError>;

    /// Creates a detached session and starts its pane process. Starts the server if none is running.
    ///
    /// # Errors
    /// After [`RuntimeError::TimedOut`] the session may appear later, and after [`RuntimeError::Unconfirmed`] it may
    /// exist. In both cases the caller must fence the incarnation off before it tries again. No other error leaves a
    /// session behind.
    async fn create(&self, new: &NewSession) -> Result<Created, RuntimeError>;

    /// Lists everything the server at `server` hosts, in one call. Never starts a server.
    ///
    /// # Errors
    /// Any error means that nothing is known. A server that is known to be gone is `Ok(Listing::Gone(_))`.
    async fn list(&self, server: &Path) -> Result<Listing, RuntimeError>;

    /// Lists many servers concurrently and returns the answers in the order of `servers`. Blocks no longer than one
    /// listing does.
    async fn list_all(&self, servers: &[&Path]) -> Vec<Result<Listing, RuntimeError>> {
        join_all(servers.iter().map(|server| self.list(server))).await
    }

    /// Returns the text of the pane, one line per row, without trailing blanks. These are the newest rows, wherever a
    /// user has scrolled to.
    ///
    /// There is one exception: while an attached user has scrolled back, the text may be what that user sees, if the
    /// runtime shows nothing else (zellij). [`Runtime::show_bottom`] ends the scrolling.
    async fn capture(&self, target: &Target, how: Capture) -> Result<String, RuntimeError>;

    /// Ends the scrolling of attached users, for a caller that is about to type and must see the result. Does nothing
    /// if scrolling does not affect captures.
    async fn show_bottom(&self, target: &Target) -> Result<(), RuntimeError> {
        let _ = target;
        Ok(())
    }

    /// As [`Runtime::show_bottom`], and lays the pane out again: for a pane that may stand still because its runtime has
    /// lost count of its rows (zellij 0.45.1). Its program is told of two changes of its size. Does nothing on a runtime
    /// of which that is not known.
    async fn lay_out_again(&self, target: &Target) -> Result<(), RuntimeError> {
        let _ = target;
        Ok(())
    }

    /// Resizes a pane that no client is attached to. The size lasts until a client attaches.
    async fn resize(&self, target: &Target, size: Size) -> Result<(), RuntimeError>;

    /// Sends `text` to the pane as one bracketed paste, all or nothing, without a final Enter.
    ///
    /// ESC and other control characters except newline and tab are dropped, so a payload cannot end its own bracket.
    async fn paste(&self, target: &Target, text: &str) -> Result<(), RuntimeError>;

    /// Presses keys in the given order.
    async fn press(&self, target: &Target, keys: &[Key]) -> Result<(), RuntimeError>;

    /// Removes our pane, by id and not by name, and the session with it if nothing else is in it. Succeeds if the pane does not
    /// exist.
    async fn remove(&self, target: &Target) -> Result<(), RuntimeError>;

    /// Cleans up after a creation that was abandoned because it timed out or its caller was killed. Succeeds if there
    /// is nothing to clean up. If the server lists a late session, the caller uses [`Runtime::remove`] as for any other
    /// session, and this method does nothing.
    ///
    /// # Errors
    /// Something may be left behind; the caller should try again.
    async fn discard_failed_create(&self, server: &Path, session: &str) -> Result<(), RuntimeError> {
        let _ = (server, session);
        Ok(())
    }

    /// Makes a live server listen again on its path after its socket was lost. Only `process` gets a signal. Returns
    /// `false` if no signal was sent, because the server already listens or because servers of this runtime cannot do
    /// this.
    ///
    /// # Errors
    /// The server does not listen by the deadline, a different server listens, or the server has ended.
    async fn listen_again(&self, server: &Path, process: ProcessId) -> Result<bool, RuntimeError> {
        let _ = (server, process);
        Ok(false)
    }

    /// Ends a server that hosts nothing. A server that hosts something by then keeps running. Returns `false` if the
    /// server is still up or there was none.
    ///
    /// # Errors
    /// The server did not answer and is unchanged.
    async fn retire(&self, server: &Path) -> Result<bool, RuntimeError> {
        let _ = server;
        Ok(false)
    }

    /// Cleans up after a session in `server` that is no longer recorded by the caller: its server has ended, or a user's
    /// panes lived on in it until now. Returns whether its files are gone; those of a session that is alive or being
    /// created stay.
    ///
    /// # Errors
    /// The state is unknown, or the files cannot be deleted; try again.
    async fn sweep(&self, server: &Path) -> Result<bool, RuntimeError> {
        let _ = server;
        Ok(false)
    }

    /// Returns the command that attaches this terminal to the session; the caller runs it in the foreground.
    ///
    /// # Errors
    /// There is no client that speaks the protocol of the session's server.
    async fn attach(&self, target: &Target, how: AttachMode) -> Result<Argv, RuntimeError>;

    /// Returns the keys that detach from the session, in the usual notation (`C-b d`).
    fn leave(&self, target: &Target, read_only: bool) -> &'static str;
}

/// Removes the characters of a paste that could end its own bracket or act on the terminal: all control characters except
/// newline and tab.
pub(crate) fn strip_control_chars(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}
