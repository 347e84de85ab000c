//! The supported multiplexers, and what holds for each of them without asking its program.
//!
//! Everything that differs between them is behind [`Facts`] or [`Runtime`]: no caller compares kinds.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Runtime, RuntimeError};
use crate::command::Argv;
use crate::process::ProcessId;
use crate::version::Versions;

/// The terminal multiplexers that can host a pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuntimeKind {
    /// tmux, 3.2 or newer: one server on a private socket hosts all sessions.
    Tmux,
    /// zellij, 0.44.1 or newer: each session has its own server in a private socket directory.
    Zellij,
}

impl RuntimeKind {
    /// All of them, the one that is preferred for a new peer first.
    pub const ALL: [Self; 2] = [Self::Tmux, Self::Zellij];

    /// Their names, in the same order.
    pub const NAMES: [&'static str; 2] = [Self::Tmux.as_str(), Self::Zellij.as_str()];

    /// Returns the name that users type and that records contain. It is also the name of the binary.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tmux => "tmux",
            Self::Zellij => "zellij",
        }
    }

    /// Returns the multiplexer of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Returns what is known about it.
    pub fn facts(self) -> &'static dyn Facts {
        match self {
            Self::Tmux => &crate::tmux::FACTS,
            Self::Zellij => &crate::zellij::FACTS,
        }
    }
}

impl std::fmt::Display for RuntimeKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Looks up a variable of some process's environment.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The versions of a multiplexer that are known to work.
#[derive(Clone, Copy, Debug)]
pub struct Supported {
    /// The oldest version that works, as users write it.
    pub oldest: &'static str,
    /// The newest version that was tested: major, minor, patch.
    pub newest: [u32; 3],
    /// The argument that prints the version.
    pub flag: &'static str,
}

/// How to set up a [`Runtime`].
#[derive(Clone, Debug)]
pub struct Setup {
    /// The client's executable; should be an absolute path.
    pub binary: PathBuf,
    /// The file that contains the text of [`Facts::configuration`], if the multiplexer has one.
    pub configuration: PathBuf,
    /// How long each call may take.
    pub deadline: Duration,
    /// The cache of executables' versions.
    pub versions: Versions,
}

/// The server that the environment of a process names: the one whose pane the process is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SurroundingServer {
    /// The address, in the form of [`Target::server`](super::Target::server), if it is named.
    pub address: Option<PathBuf>,
    /// The server's process, if it is named.
    pub pid: Option<u32>,
    /// The session's name, if it is named.
    pub session: Option<String>,
}

/// What a multiplexer's client does to the terminal that it is given.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about one client")]
pub struct ClientBehaviour {
    /// A read-only client shows nothing unless another client is attached.
    pub blind_alone_if_read_only: bool,
    /// It wipes the screen at once, with the line that explains how to leave.
    pub wipes_screen: bool,
    /// It sets the terminal's title and leaves it behind.
    pub sets_title: bool,
    /// It may be cut off right after its start on a loaded machine, while its session lives.
    pub may_be_dropped: bool,
    /// Inside a session of the same multiplexer it may ask first what to do.
    pub may_ask_inside_own: bool,
}

/// What holds for every installation of a multiplexer. Nothing here starts a process; only the methods that take a
/// server's address read files or the kernel's tables.
pub trait Facts: Sync {
    /// Returns the versions that are known to work.
    fn supported(&self) -> Supported;

    /// Returns a number that is the same for all versions whose clients and servers understand each other.
    fn protocol(&self, version: [u32; 3]) -> [u32; 3];

    /// Returns the problem of a version that otherwise works, and its cure. `version` is as in [`Runtime::version`].
    fn known_problem(&self, version: &str) -> Option<(&'static str, &'static str)> {
        let _ = version;
        None
    }

    /// Creates the runtime. Does not block and checks nothing.
    fn open(&self, setup: Setup) -> Arc<dyn Runtime>;

    /// Returns the name and the text of the configuration that our servers are started with. The caller writes the file
    /// before the first [`Runtime::create`].
    fn configuration(&self) -> Option<(&'static str, &'static str)> {
        None
    }

    /// Whether one server hosts many sessions, possibly some that are not ours. If not, each session has a server of its
    /// own, which ends with it.
    fn shares_server(&self) -> bool;

    /// Chooses the address of the server of a new session: `named` is what the configuration calls it (a name, or an
    /// absolute path), and `base` the directory for our own files. The caller must record it, because the choice depends
    /// on this process's environment.
    ///
    /// # Errors
    /// The session's name is too long for an address; shorten it.
    fn address(&self, base: &Path, named: &str, session: &str) -> Result<PathBuf, RuntimeError>;

    /// Returns the address that [`Facts::address`] would give if the directory that the environment names for it still
    /// existed. `None` if it exists, or if none is named.
    fn vanished_address(&self, named: &str, of: Variables<'_>) -> Option<PathBuf> {
        let _ = (named, of);
        None
    }

    /// Returns the pane that a process with this environment is in, in the form of [`Target::pane`](super::Target::pane).
    fn pane_around(&self, of: Variables<'_>) -> Option<String>;

    /// Returns the server whose pane a process with this environment is in; `None` if it is in none.
    fn server_around(&self, of: Variables<'_>) -> Option<SurroundingServer>;

    /// Whether the multiplexer sets this variable in its panes, so that it describes the pane and not its user.
    fn sets(&self, variable: &str) -> bool;

    /// Returns what its client does to a terminal.
    fn client(&self) -> ClientBehaviour {
        ClientBehaviour::default()
    }

    /// Returns the command that opens a window with `program` beside the pane that a process with this environment is
    /// in. `passed` are variables for it. `None` if windows cannot be opened that way.
    fn window(
        &self,
        of: Variables<'_>,
        binary: &Path,
        title: &str,
        passed: &[(&OsStr, &OsStr)],
        program: &Argv,
    ) -> Option<Argv> {
        let _ = (of, binary, title, passed, program);
        None
    }

    /// Returns the command that makes the server process `pid` listen on its path again; `None` if it never does.
    fn reconnect_command(&self, pid: u32) -> Option<String> {
        let _ = pid;
        None
    }

    /// Returns the command that closes a pane on a server, for a user to type; `None` if a session ends with its server.
    fn close_command(&self, server: &Path, pane: &str) -> Option<String> {
        let _ = (server, pane);
        None
    }

    /// Whether `process` is the server of the one session in `server`, according to its arguments; `false` in doubt, and
    /// if servers are shared.
    fn is_own_server(&self, server: &Path, session: &str, process: ProcessId) -> bool {
        let _ = (server, session, process);
        false
    }

    /// Whether the server's exit can be told from its death by a socket that it removes, and that socket is gone.
    fn has_removed_socket(&self, server: &Path) -> bool {
        let _ = server;
        false
    }

    /// Lists the servers of `base` that have files there, recorded or not. Reads up to three directories.
    ///
    /// # Errors
    /// A directory exists and cannot be read: it is unknown which servers there are.
    fn servers_on_disk(&self, base: &Path) -> Result<Vec<PathBuf>, RuntimeError> {
        let _ = base;
        Ok(Vec::new())
    }

    /// Returns the tag of the session whose files are in `server`, if one is known.
    fn tag_on_disk(&self, server: &Path) -> Option<String> {
        let _ = server;
        None
    }

    /// Deletes the files of a session that is known to be gone but cannot be checked from here. Ends nothing.
    ///
    /// # Errors
    /// The directory contains something that is not ours, or cannot be deleted.
    fn discard(&self, server: &Path) -> Result<(), RuntimeError> {
        let _ = server;
        Ok(())
    }

    /// Deletes what creations of sessions of `base` left behind that were killed before they had started anything. Best
    /// effort.
    fn sweep_drafts(&self, base: &Path) {
        let _ = base;
    }

    /// Ends clients that a killed command of ours left behind on servers that `ours` accepts. Returns their number.
    ///
    /// # Errors
    /// The process table cannot be read, or a client cannot be signalled.
    fn end_abandoned_clients(&self, ours: &dyn Fn(&Path) -> bool) -> io::Result<usize> {
        let _ = ours;
        Ok(0)
    }
}
