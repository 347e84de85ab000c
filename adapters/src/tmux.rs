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
};
use crate::systemd::Scope;
use crate::version::{Executable, Fitness, Versions};

mod argv;
mod check;
mod classify;
mod listing;
mod probe;
mod server;

use argv::Line;
use classify::Asked;
use listing::NewPane;

const KIND: RuntimeKind = RuntimeKind::Tmux;

/// The interval of checks whether a server listens again; it needs less than a millisecond.
const LISTENS: Duration = Duration::from_millis(1);

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
            Some(RuntimeError::Failed { .. }) if classify::was_cut_off(&output) => Err(cut_off(argv, &output, asked)),
            Some(error) => Err(error),
            None => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        }
    }

    async fn output(&self, argv: &Argv, stdin: Option<&[u8]>, asked: Asked<'_>) -> Result<Output, RuntimeError> {
        command::run(argv, stdin, self.deadline).await.map_err(|error| classify::not_run(error, asked, self.deadline))
    }

    /// Starts a server on the socket, and waits until it listens. Concurrent starts are safe: tmux takes its own lock.
    async fn start_server(&self, asked: Asked<'_>) -> Result<ProcessId, RuntimeError> {
        if !self.config.is_file() {
            // tmux would start anyway and show the error in the first pane, where it swallows every key.
            return Err(classify::failed(asked, format!("no configuration file at {}", self.config.display())));
        }
        prepare_directory(asked)?;
        let asked = Asked { command: "start-server", ..asked };
        let args = argv::prefix(&self.config, asked.server, true);
        let start = server::start(&self.binary, args);
        if let Some(server) = self.start_in_scope(&start, asked).await? {
            return Ok(server);
        }
        match self.run(&start, None, asked).await {
            // A wrapper that prints lines of its own has started a server nevertheless.
            Err(RuntimeError::Failed { .. }) if matches!(probe::probe(asked), Ok(Ok(_))) => {}
            said => drop(said?),
        }
        probe::require(asked, None)
    }

    /// Starts the server in its own scope. `None` if no scope is available, or if the server is better off without one.
    async fn start_in_scope(&self, start: &Argv, asked: Asked<'_>) -> Result<Option<ProcessId>, RuntimeError> {
        let name = asked.server.file_name().unwrap_or_default().to_string_lossy();
        let Some(scope) = Scope::find(KIND.as_str(), &name, asked.server).await else { return Ok(None) };
        for spared in [true, false] {
            let scoped = self.run(&scope.around(server::in_scope(start.clone()), spared), None, asked).await;
            if scoped.is_ok()
                && let Ok(server) = probe::probe(asked)?
            {
                return Ok(Some(server));
            }
            tracing::debug!(?scoped, spared, "no scope from systemd");
            if !scoped.is_err_and(|error| Scope::refuses_to_spare(&error)) {
                break;
            }
        }
        Ok(None)
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

/// Creates the directory of the socket, or checks the existing one.
fn prepare_directory(asked: Asked<'_>) -> Result<(), RuntimeError> {
    let Some(dir) = asked.server.parent() else { return Ok(()) };
    server::prepare_directory(dir).map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => probe::denied(asked, error.to_string()),
        _ => classify::failed(asked, format!("cannot make directory {}: {error}", dir.display())),
    })
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

    /// Looks for a session whose creation failed or was answered unreadably (by a wrapper that prints lines of its
    /// own). Searches by tag, in a listing by the client that was used, then in one by the server's own executable.
    ///
    /// # Errors
    /// `why` if a listing shows that the session does not exist; [`RuntimeError::Unconfirmed`] if no listing is
    /// available.
    async fn find_created(
        &self,
        new: &NewSession,
        server: ProcessId,
        asked: Asked<'_>,
        why: RuntimeError,
    ) -> Result<Created, RuntimeError> {
        use RuntimeError::{DuplicateSession, NoBinary, NotAnswering, PermissionDenied, ServerGone, TimedOut};
        // These mean that nothing was created, or that it is still unknown.
        if matches!(
            why,
            DuplicateSession { .. }
                | NoBinary { .. }
                | NotAnswering { .. }
                | PermissionDenied { .. }
                | ServerGone { .. }
                | TimedOut { .. }
        ) {
            return Err(why);
        }
        let own = Executable::of(server).map(|own| own.path);
        for binary in [Some(self.binary.clone()), own].into_iter().flatten() {
            let client = self.argv(binary, asked.server, argv::list_panes());
            match self.list_by(&client, server, asked).await {
                Ok(Listing::Up { rows, .. }) => {
                    let row = rows.into_iter().find(|row| row.tag == new.tag && row.pane_pid.is_some()).ok_or(why)?;
                    let pane_pid = row.pane_pid.unwrap_or_default();
                    let made = NewPane {
                        session_id: row.session_id,
                        pane: row.pane,
                        pane_pid,
                        server: server.pid,
                        version: None,
                    };
                    return Ok(created(new, server, made));
                }
                Ok(Listing::Gone(_)) => return Err(why),
                Err(error) => tracing::debug!(%error, "looking for a session whose making was not confirmed"),
            }
        }
        Err(RuntimeError::Unconfirmed { runtime: KIND, session: new.session.clone(), detail: why.to_string() })
    }
}

fn created(new: &NewSession, server: ProcessId, made: NewPane) -> Created {
    let target = Target {
        server: new.server.clone(),
        session: new.session.clone(),
        session_id: made.session_id,
        pane: made.pane,
        server_process: Some(server),
        pane_pid: Some(made.pane_pid),
    };
    Created { target, server, server_version: made.version.map(|version| format!("tmux {version}")) }
}

/// A client that the server disconnects reports that the server ended. If the server is alive, it is of another
/// version.
fn cut_off(argv: &Argv, output: &Output, asked: Asked<'_>) -> RuntimeError {
    match probe::probe(asked) {
        Ok(Ok(server)) => {
            let said = output.summary();
            let (client, pid) = (argv.program.display(), server.pid);
            let detail = format!("{said}, but the server, pid {pid}, lives: {client} cannot talk to its version");
            RuntimeError::VersionMismatch { runtime: KIND, server: asked.server.to_owned(), detail }
        }
        _ => classify::failed(asked, output.summary()),
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

/// Removes control characters except newline and tab: an `ESC [201~` in the text would end its own bracket and turn the
/// rest into keys. tmux before 3.7 passes it through.
fn strip_control_chars(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

#[async_trait]
impl Runtime for Tmux {
    fn kind(&self) -> RuntimeKind {
        KIND
    }

    async fn version(&self) -> Result<String, RuntimeError> {
        let version = self.versions.ask(KIND, &self.binary).await?;
        match (version.fitness(KIND), version.text) {
            (Fitness::Supported | Fitness::Untested, Some(text)) => Ok(text),
            (fitness, text) => Err(fitness.refusal(KIND, &self.binary, text.or(version.besides))),
        }
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
                    prepare_directory(asked)?;
                    server::nothing_but_a_socket(server).map_err(|error| classify::failed(asked, error.to_string()))?;
                    probe::answers(process, asked)?;
                    let sent = process::signal(process, Signal::SIGUSR1);
                    signalled = sent.map_err(|error| probe::denied(asked, error.to_string()))?;
                }
                Err(RuntimeError::Unreachable { .. }) if !late => tokio::time::sleep(LISTENS).await,
                answer => return answer.map(|_| signalled),
            }
        }
    }

    /// # Source
    /// With `exit-empty` a server exits when it has no session. The server checks this itself, so nothing can come in
    /// between (`server_loop` in `server.c`, 2.7 to 3.7c).
    async fn retire(&self, server: &Path) -> Result<bool, RuntimeError> {
        let asked = Asked { command: "set-option", server, session: "" };
        let Ok(process) = probe::probe(asked)? else { return Ok(false) };
        let hosts = |listing| matches!(listing, Listing::Up { rows, .. } if !rows.is_empty());
        if hosts(self.list(server).await?) {
            return Ok(false);
        }
        self.run(&self.client(asked, process, argv::exit_when_empty(true)).await?, None, asked).await?;
        let started = tokio::time::Instant::now();
        while started.elapsed() < self.deadline {
            if !matches!(process::find(process), Ok(Some(_))) {
                return Ok(true);
            }
            if hosts(self.list(server).await?) {
                self.run(&self.client(asked, process, argv::exit_when_empty(false)).await?, None, asked).await?;
                return Ok(false);
            }
            tokio::time::sleep(LISTENS * 20).await;
        }
        Ok(false)
    }

    async fn attach(&self, target: &Target, how: AttachMode) -> Result<Argv, RuntimeError> {
        let asked = asked("attach-session", target);
        let server = probe::require(asked, target.server_process)?;
        let binary = self.versions.client(KIND, &self.binary, server).await?;
        let argv =
            Argv::new(binary).args(argv::prefix(&self.config, &target.server, false)).args(argv::attach(target, how).0);
        // Outside, a TMUX left over from another server would count as nesting; inside, it names the client to switch.
        Ok(if how.inside { argv } else { argv.env_remove("TMUX").env_remove("TMUX_PANE") })
    }

    fn leave(&self, _target: &Target, _read_only: bool) -> &'static str {
        "C-b d"
    }
}
