//! The tmux runtime: one server on a private socket hosts every session.
//!
//! The facts about tmux in this module were seen with 3.3a and read in the sources of 3.0a to 3.7c. Success is exit
//! code 0 *and* an empty stderr *and* the expected shape on stdout: tmux exits 0 after several failures. Before any
//! client is started, the kernel is queried for the listener on the socket. This distinguishes the ways in which a
//! server can be gone, and keeps clients and their commands out of the queue of a stopped server.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use nix::sys::signal::Signal;

use crate::command::{self, Argv, Output};
use crate::process::{self, ProcessId};
use crate::runtime::{
    AttachMode, Capture, Created, Key, Listing, NewSession, Runtime, RuntimeError, RuntimeKind, Size, Target,
    strip_control_chars,
};
use crate::version::Versions;

mod argv;
mod check;
mod classify;
mod created;
mod facts;
mod listing;
mod probe;
mod retire;
mod server;

use argv::Line;
use classify::Asked;
use created::created;
pub(crate) use facts::FACTS;

const KIND: RuntimeKind = RuntimeKind::Tmux;

/// The tmux installed on this machine, driven through its own client.
#[derive(Clone, Debug)]
pub struct Tmux {
    binary: PathBuf,
    config: PathBuf,
    deadline: Duration,
    versions: Versions,
}

/// Parses the panes listed by the server process `server`. `None` if a line does not have the requested format.
pub fn read_listing(said: &str, server: u32) -> Option<Vec<crate::runtime::SessionRow>> {
    listing::rows(said, server)
}

impl Tmux {
    /// The configuration that our servers are started with; the caller writes it to the file passed to [`Tmux::new`].
    ///
    /// A server reads it once, when it starts. The user's own configuration is neither read nor changed.
    pub const CONFIG: &str = include_str!("tmux/server.conf");

    /// Drives `binary`, starts servers with `config_file`, and gives each call `deadline` to be answered.
    ///
    /// Does not block and checks nothing. `config_file` must contain [`Tmux::CONFIG`] before the first
    /// [`Runtime::create`]; `binary` should be an absolute path.
    pub fn new(binary: PathBuf, config_file: PathBuf, deadline: Duration) -> Self {
        Self { binary, config: config_file, deadline, versions: Versions::new(None, deadline) }
    }

    /// Replaces the cache of executables' versions.
    #[must_use]
    pub fn with_versions(self, versions: Versions) -> Self {
        Self { versions, ..self }
    }

    /// Returns the socket that `tmux -L name` uses for this user: `$TMUX_TMPDIR/tmux-UID/name`, with `/tmp` if the
    /// variable is not set.
    ///
    /// # Source
    /// tmux 3.3a, `make_label` in `tmux.c`: a `TMUX_TMPDIR` that cannot be resolved counts as not set.
    pub fn default_socket(name: &str) -> PathBuf {
        let chosen = std::env::var_os("TMUX_TMPDIR").filter(|dir| !dir.is_empty());
        let base = chosen.and_then(|dir| std::fs::canonicalize(dir).ok());
        let base = base.or_else(|| std::fs::canonicalize("/tmp").ok()).unwrap_or_else(|| PathBuf::from("/tmp"));
        Self::socket_in(&base, name)
    }

    /// Returns the socket of that name if `TMUX_TMPDIR` is `base`.
    pub fn socket_in(base: &Path, name: &str) -> PathBuf {
        base.join(format!("tmux-{}", nix::unistd::geteuid())).join(name)
    }

    /// Returns a client for the server process that listens: our binary, or the server's own if ours is incompatible.
    async fn client(&self, asked: Asked<'_>, server: ProcessId, line: Line) -> Result<Argv, RuntimeError> {
        let binary = self.versions.client(KIND, &self.binary, server).await?;
        Ok(self.argv(binary, asked.server, line))
    }

    fn argv(&self, binary: PathBuf, server: &Path, line: Line) -> Argv {
        Argv::new(binary)
            .args(argv::prefix(&self.config, server, false))
            .args(line.0)
            // A client inside another server's pane would use that server's session.
            .env_remove("TMUX")
            .env_remove("TMUX_PANE")
            .ends_with_us()
    }

    /// Runs one client and returns its output if nothing in it indicates a failure.
    async fn run(&self, argv: &Argv, stdin: Option<&[u8]>, asked: Asked<'_>) -> Result<String, RuntimeError> {
        let output = self.output(argv, stdin, asked).await?;
        match classify::failure(&output, asked) {
            // If another process listens, this client has not talked to it.
            Some(error @ RuntimeError::ServerGone { .. }) => match probe::probe(asked)? {
                Ok(server) => {
                    Err(classify::failed(asked, format!("{error}, but process {} listens there", server.pid)))
                }
                Err(_) => Err(error),
            },
            Some(RuntimeError::Failed { .. }) if classify::was_cut_off(&output) => {
                Err(probe::cut_off(argv, &output, asked))
            }
            Some(error) => Err(error),
            None => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        }
    }

    async fn output(&self, argv: &Argv, stdin: Option<&[u8]>, asked: Asked<'_>) -> Result<Output, RuntimeError> {
        command::run(argv, stdin, self.deadline).await.map_err(|error| classify::not_run(error, asked, self.deadline))
    }

    /// Runs a guarded command line against a pane. Empty output is success, [`argv::REFUSED`] means that the pane takes
    /// no input, and [`argv::OTHER`] that it is not the expected pane.
    async fn act(
        &self,
        target: &Target,
        line: Line,
        stdin: Option<&[u8]>,
        asked: Asked<'_>,
    ) -> Result<(), RuntimeError> {
        check::target(target, asked)?;
        let server = probe::require(asked, target.server_process)?;
        let said = self.run(&self.client(asked, server, line).await?, stdin, asked).await?;
        match said.trim() {
            "" => Ok(()),
            argv::REFUSED => Err(RuntimeError::PaneDead { runtime: KIND, session: target.session.clone() }),
            argv::OTHER => Err(not_there(target)),
            other => Err(classify::failed(asked, format!("unexpected answer {other:?}"))),
        }
    }
}

/// The error for a pane that does not exist, or that runs something else by now.
fn not_there(target: &Target) -> RuntimeError {
    let detail = format!("pane {} is gone or no longer belongs to this peer", target.pane);
    RuntimeError::NoSuchSession { runtime: KIND, session: target.session.clone(), detail }
}

impl Tmux {
    async fn list_by(&self, client: &Argv, server: ProcessId, asked: Asked<'_>) -> Result<Listing, RuntimeError> {
        let said = match self.run(client, None, asked).await {
            Ok(said) => said,
            // The server is up and hosts nothing.
            Err(RuntimeError::NoSuchSession { .. }) => String::new(),
            Err(RuntimeError::ServerGone { gone, .. }) => return Ok(Listing::Gone(gone)),
            Err(error) => return Err(error),
        };
        let rows = listing::rows(&said, server.pid)
            .ok_or_else(|| classify::failed(asked, format!("unexpected answer {said:?}")))?;
        Ok(Listing::Up { server, rows })
    }
}

fn asked<'a>(command: &'a str, target: &'a Target) -> Asked<'a> {
    Asked { command, server: &target.server, session: &target.session }
}

/// Returns a unique buffer name: by process, then by call.
fn buffer_name() -> String {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    format!("peer-{}-{}", std::process::id(), CALLS.fetch_add(1, Ordering::Relaxed))
}

#[async_trait]
impl Runtime for Tmux {
    fn kind(&self) -> RuntimeKind {
        KIND
    }

    async fn version(&self) -> Result<String, RuntimeError> {
        self.versions.usable(KIND, &self.binary).await
    }

    async fn create(&self, new: &NewSession) -> Result<Created, RuntimeError> {
        let asked = Asked { command: "new-session", server: &new.server, session: &new.session };
        let line = argv::new_session(new);
        check::new_session(new, &line, asked)?;
        let server = match probe::probe(asked)? {
            Ok(server) => server,
            Err(_) => self.start_server(asked).await?,
        };
        let client = self.client(asked, server, line).await?.cwd(&new.cwd);
        let answer = match self.run(&client, None, asked).await {
            Ok(said) => listing::created(&said)
                .filter(|made| made.server == server.pid)
                .ok_or_else(|| classify::failed(asked, format!("unexpected answer {said:?}"))),
            Err(error) => Err(error),
        };
        match answer {
            Ok(made) => Ok(created(new, server, made)),
            Err(error) => self.find_created(new, server, asked, error).await,
        }
    }

    async fn list(&self, server: &Path) -> Result<Listing, RuntimeError> {
        let asked = Asked { command: "list-panes", server, session: "" };
        let process = match probe::probe(asked)? {
            Ok(process) => process,
            Err(gone) => return Ok(Listing::Gone(gone)),
        };
        let client = self.client(asked, process, argv::list_panes()).await?;
        self.list_by(&client, process, asked).await
    }

    async fn capture(&self, target: &Target, how: Capture) -> Result<String, RuntimeError> {
        let asked = asked("capture-pane", target);
        check::target(target, asked)?;
        let server = probe::require(asked, target.server_process)?;
        let client = self.client(asked, server, argv::capture_pane(target, how)).await?;
        let text = self.run(&client, None, asked).await?;
        if text.trim_end() == argv::OTHER {
            return Err(not_there(target));
        }
        Ok(text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n"))
    }

    async fn resize(&self, target: &Target, size: Size) -> Result<(), RuntimeError> {
        let asked = asked("resize-window", target);
        check::target(target, asked)?;
        let server = probe::require(asked, target.server_process)?;
        let client = self.client(asked, server, argv::resize_window(target, size)).await?;
        let said = self.run(&client, None, asked).await?;
        if said.trim_end() == argv::OTHER { Err(not_there(target)) } else { Ok(()) }
    }

    async fn paste(&self, target: &Target, text: &str) -> Result<(), RuntimeError> {
        let asked = asked("paste-buffer", target);
        let text = strip_control_chars(text);
        if text.is_empty() {
            return Ok(());
        }
        let buffer = buffer_name();
        let pasted = self.act(target, argv::paste(target, &buffer), Some(text.as_bytes()), asked).await;
        if matches!(pasted, Err(RuntimeError::NoSuchSession { .. } | RuntimeError::Failed { .. })) {
            // The pane may have vanished between load and paste. Best effort: normally there is no such buffer.
            let client = self.argv(self.binary.clone(), &target.server, argv::delete_buffer(&buffer));
            let _ = self.output(&client, None, asked).await;
        }
        pasted
    }

    async fn press(&self, target: &Target, keys: &[Key]) -> Result<(), RuntimeError> {
        if keys.is_empty() {
            return Ok(());
        }
        self.act(target, argv::press(target, keys), None, asked("send-keys", target)).await
    }

    async fn remove(&self, target: &Target) -> Result<(), RuntimeError> {
        let asked = asked("kill-pane", target);
        check::target(target, asked)?;
        let server = match probe::require(asked, target.server_process) {
            Err(RuntimeError::ServerGone { .. }) => return Ok(()),
            answer => answer?,
        };
        match self.run(&self.client(asked, server, argv::kill_pane(target)).await?, None, asked).await {
            Ok(_) | Err(RuntimeError::NoSuchSession { .. } | RuntimeError::ServerGone { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// # Source
    /// tmux makes its socket anew on `SIGUSR1` (`server_signal` in `server.c`, 3.0a to 3.7c), where the directory is
    /// there.
    async fn listen_again(&self, server: &Path, process: ProcessId) -> Result<bool, RuntimeError> {
        let asked = Asked { command: "SIGUSR1", server, session: "" };
        let deadline = tokio::time::Instant::now() + self.deadline;
        let mut signalled = false;
        loop {
            let late = tokio::time::Instant::now() >= deadline;
            match probe::require(asked, Some(process)) {
                Err(RuntimeError::Unreachable { .. }) if !signalled => {
                    server::prepare_directory(asked)?;
                    server::nothing_but_a_socket(server).map_err(|error| classify::failed(asked, error.to_string()))?;
                    probe::answers(process, asked)?;
                    let sent = process::signal(process, Signal::SIGUSR1);
                    signalled = sent.map_err(|error| probe::denied(asked, error.to_string()))?;
                }
                Err(RuntimeError::Unreachable { .. }) if !late => tokio::time::sleep(server::LISTENS).await,
                answer => return answer.map(|_| signalled),
            }
        }
    }

    async fn retire(&self, server: &Path) -> Result<bool, RuntimeError> {
        self.end_if_empty(server).await
    }

    async fn attach(&self, target: &Target, how: AttachMode) -> Result<Argv, RuntimeError> {
        let asked = asked("attach-session", target);
        let server = probe::require(asked, target.server_process)?;
        let binary = self.versions.client(KIND, &self.binary, server).await?;
        let words = argv::prefix(&self.config, &target.server, false).into_iter().chain(argv::attach(target, how).0);
        let argv = Argv::new(binary).args(words);
        // Outside, a TMUX left over from another server would count as nesting; inside, it names the client to switch.
        Ok(if how.inside { argv } else { argv.env_remove("TMUX").env_remove("TMUX_PANE") })
    }

    fn leave(&self, _target: &Target, _read_only: bool) -> &'static str {
        "C-b d"
    }
}
