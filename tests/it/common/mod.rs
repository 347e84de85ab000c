//! A world for one test: state, configuration, home and tmux server in one directory. Nothing of the user's is seen or
//! touched, tests run side by side, and everything is gone when the test ends, even if it fails.

pub(crate) mod attached;
pub(crate) mod corpus;
pub(crate) mod demo;
pub(crate) mod files;
#[cfg(feature = "mcp")]
pub(crate) mod mcp;
pub(crate) mod mock_model;
pub(crate) mod not_run;
pub(crate) mod random;
pub(crate) mod real_agent;
pub(crate) mod run;
pub(crate) mod runtimes;
pub(crate) mod said;
pub(crate) mod ticks;
pub(crate) mod top;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use peer_adapters::process::{self, ProcessId};
use peer_adapters::runtime::RuntimeKind;
use peer_adapters::socket::{self, Listener};
use tempfile::TempDir;

pub(crate) use run::{Run, ended, killed};
pub(crate) use runtimes::on_each_runtime;

/// How long a condition may take on a loaded machine before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` holds, checking it often.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    loop {
        let asked = Instant::now();
        if condition() {
            return;
        }
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        // A condition that runs programs must not take the machine from what it waits for.
        std::thread::sleep(asked.elapsed().max(Duration::from_millis(5)));
    }
}

/// Waits until `look` returns something, and returns that.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    wait_until(what, || {
        found = look();
        found.is_some()
    });
    found.expect("it was waited for")
}

/// Sends a signal to one process.
#[track_caller]
pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).expect("a pid"));
    nix::sys::signal::kill(pid, signal).expect("a living process of ours");
}

/// Stops a process and waits until it is stopped: a busy process receives a signal a moment after it was sent.
#[track_caller]
pub(crate) fn stop(pid: u32) {
    signal(pid, Signal::SIGSTOP);
    wait_until("it is stopped", || process::status(pid).expect("/proc").is_some_and(|status| status.stopped));
}

/// Whether a process with this pid is alive (a zombie is not).
pub(crate) fn lives(pid: u32) -> bool {
    process::status(pid).expect("/proc").is_some()
}

/// A path as TOML writes a string.
pub(crate) fn quoted(path: &Path) -> String {
    toml::Value::from(path.to_str().expect("UTF-8")).to_string()
}

/// A new directory whose name begins so: where temporary files belong, or in /tmp if that path is too long for sockets or
/// would have to be quoted in scripts.
fn directory(prefix: &str) -> TempDir {
    let usual = std::env::temp_dir();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-".contains(byte);
    let fits = usual.as_os_str().len() <= 40 && usual.as_os_str().as_encoded_bytes().iter().all(plain);
    let place = if fits { usual } else { PathBuf::from("/tmp") };
    tempfile::Builder::new().prefix(prefix).tempdir_in(place).expect("a directory")
}

/// One test's directory with everything in it.
pub(crate) struct World {
    dir: TempDir,
    kind: RuntimeKind,
    /// The directory in `XDG_RUNTIME_DIR`, if that is set.
    run: Option<TempDir>,
}

impl World {
    /// An empty fleet on tmux. Probes have 30 s, which only a hang exceeds.
    pub(crate) fn new() -> Self {
        Self::on(RuntimeKind::Tmux)
    }

    /// An empty fleet on either runtime.
    pub(crate) fn on(kind: RuntimeKind) -> Self {
        Self::on_within(kind, "30s")
    }

    /// An empty fleet on zellij, in a state directory whose path is too long for sockets: sessions are in the runtime
    /// directory.
    pub(crate) fn with_a_runtime_directory() -> Self {
        let dir = directory(&format!("peer-{}-", "x".repeat(80)));
        Self::in_directories(dir, Some(directory("run-")), RuntimeKind::Zellij, "30s")
    }

    /// The runtime directory.
    #[track_caller]
    pub(crate) fn runtime_directory(&self) -> &Path {
        self.run.as_ref().expect("this world has one").path()
    }

    /// An empty fleet on tmux, where a runtime must answer within `timeout`.
    pub(crate) fn with_probe_timeout(timeout: &str) -> Self {
        Self::on_within(RuntimeKind::Tmux, timeout)
    }

    /// An empty fleet on either runtime, which must answer within `timeout`.
    pub(crate) fn on_within(kind: RuntimeKind, timeout: &str) -> Self {
        Self::in_directories(directory("peer-"), None, kind, timeout)
    }

    fn in_directories(dir: TempDir, run: Option<TempDir>, kind: RuntimeKind, timeout: &str) -> Self {
        let world = Self { dir, kind, run };
        for sub in ["home", "work", "config"] {
            fs::create_dir(world.path(sub)).expect("create");
        }
        // If systemd runs the user's sessions, the first wake may have to warn that its server ends with the login. No
        // test is about that.
        if Path::new(&format!("/run/user/{}/bus", nix::unistd::geteuid())).exists() {
            fs::DirBuilder::new().mode(0o700).create(world.path("state")).expect("create");
            fs::write(world.path("state/login-told"), "").expect("write");
        }
        let socket = quoted(&world.socket());
        let config = format!("[tmux]\nsocket = {socket}\n\n[probe]\ntimeout = {timeout:?}\n");
        fs::write(world.path("config/config.toml"), config).expect("write");
        world
    }

    /// The runtime on which this world's peers are declared.
    pub(crate) fn kind(&self) -> RuntimeKind {
        self.kind
    }

    /// A path in the world's directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The directory in which agents work.
    pub(crate) fn work(&self) -> PathBuf {
        self.path("work")
    }

    /// The socket of the private tmux server.
    pub(crate) fn socket(&self) -> PathBuf {
        self.path("s")
    }

    /// Adds to `config.toml`.
    pub(crate) fn configure(&self, text: &str) {
        let path = self.path("config/config.toml");
        let before = fs::read_to_string(&path).expect("read");
        fs::write(path, before + text).expect("write");
    }

    /// Writes a profile as the user's own.
    pub(crate) fn profile(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path("config/agents")).expect("create");
        fs::write(self.path(&format!("config/agents/{name}.toml")), text).expect("write");
    }

    /// `peer` with this world's environment and nothing else of ours.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_peer"));
        command
            .args(args)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").expect("PATH"))
            .env("HOME", self.path("home"))
            .env("LANG", "C.UTF-8")
            .env("PEER_STATE_DIR", self.path("state"))
            .env("PEER_CONFIG_DIR", self.path("config"))
            .current_dir(self.work())
            .stdin(Stdio::null());
        if let Some(run) = &self.run {
            command.env("XDG_RUNTIME_DIR", run.path());
        }
        command
    }

    /// Runs `peer` to its end.
    #[track_caller]
    pub(crate) fn peer(&self, args: &[&str]) -> Run {
        Run::of(&mut self.command(args), None)
    }

    /// Runs `peer` from a shell that has run `script` first, e.g. `umask 077`.
    #[track_caller]
    pub(crate) fn peer_after(&self, script: &str, args: &[&str]) -> Run {
        let peer = self.command(args);
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{script}; exec \"$@\""), "sh"]).arg(peer.get_program()).args(peer.get_args());
        shell.env_clear().envs(peer.get_envs().filter_map(|(key, value)| Some((key, value?))));
        Run::of(shell.current_dir(self.work()).stdin(Stdio::null()), None)
    }

    /// Runs `peer` with `input` on its stdin.
    #[track_caller]
    pub(crate) fn peer_with_input(&self, args: &[&str], input: &str) -> Run {
        Run::of(&mut self.command(args), Some(input))
    }

    /// Declares a peer that runs `argv` in the world's working directory, on the world's runtime.
    #[track_caller]
    pub(crate) fn add(&self, name: &str, argv: &[&str]) {
        self.declare(name, &["--agent", "command"], argv);
    }

    /// Declares a peer with these flags.
    #[track_caller]
    pub(crate) fn declare(&self, name: &str, flags: &[&str], argv: &[&str]) {
        let mut words = vec!["add", name, "--runtime", self.kind.as_str()];
        words.extend_from_slice(flags);
        if !argv.is_empty() {
            words.push("--");
            words.extend_from_slice(argv);
        }
        let run = self.peer(&words);
        assert!(run.code == 0 && run.stderr.is_empty(), "{run:?}");
    }

    /// Sets keys in a peer's spec, at the top because its tables come last.
    pub(crate) fn set_in_spec(&self, name: &str, lines: &str) {
        let path = self.path(&format!("config/peers/{name}.toml"));
        let before = fs::read_to_string(&path).expect("read");
        fs::write(path, format!("{lines}\n{before}")).expect("write");
    }

    /// The process of the private tmux server, if one listens.
    pub(crate) fn server(&self) -> Option<ProcessId> {
        match socket::listener(&self.socket()) {
            Ok(Listener::Up(found)) => Some(found.process.id),
            _ => None,
        }
    }

    /// Runs tmux against the private server as a user would; returns what it prints on both streams.
    pub(crate) fn tmux(&self, args: &[&str]) -> String {
        self.tmux_on(&self.socket(), args)
    }

    /// Runs tmux against another socket of this world; no other server is ever contacted.
    pub(crate) fn tmux_on(&self, socket: &Path, args: &[&str]) -> String {
        assert!(socket.starts_with(self.dir.path()), "{} is not ours", socket.display());
        let mut client = Command::new("tmux");
        client.args(["-u", "-S"]).arg(socket).args(args).env_remove("TMUX").stdin(Stdio::null());
        let run = Run::of(&mut client, None);
        run.stdout + &run.stderr
    }

    /// Living processes with this world's state directory and a peer's name in their environment: agents, and the
    /// processes that they started.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.marked(b"PEER_NAME=")
    }

    /// Living processes with this world's state directory and a variable with this prefix in their environment.
    fn marked(&self, prefix: &[u8]) -> Vec<u32> {
        let mark = format!("PEER_STATE_DIR={}", self.path("state").display());
        let carries = |pid: &u32| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let mut variables = environ.split(|byte| *byte == 0);
            variables.clone().any(|variable| variable == mark.as_bytes()) && variables.any(|v| v.starts_with(prefix))
        };
        let numbers =
            fs::read_dir("/proc").expect("/proc").filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        numbers.filter(carries).filter(|pid| lives(*pid)).collect()
    }

    fn end_everything(&self) {
        // By pid: a client would hang if the test left the server stopped.
        let sockets =
            fs::read_dir(self.dir.path()).expect("our directory").filter_map(|entry| Some(entry.ok()?.path()));
        for path in sockets.filter(|path| path.file_name().and_then(OsStr::to_str).is_some_and(|n| n.starts_with('s')))
        {
            let Ok(Listener::Up(server)) = socket::listener(&path) else { continue };
            let tree = process::tree(server.process.id.pid).unwrap_or_default();
            for process in tree {
                let _ = process::signal(process.id, Signal::SIGKILL);
            }
        }
        for server in self.zellij_servers() {
            let _ = process::signal(server, Signal::SIGKILL);
        }
        for server in self.tmux_servers() {
            for process in process::tree(server.pid).unwrap_or_default() {
                let _ = process::signal(process.id, Signal::SIGKILL);
            }
        }
        for pid in self.marked(b"") {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("lifecycle.log:\n{}", fs::read_to_string(self.path("state/lifecycle.log")).unwrap_or_default());
        }
        self.end_everything();
    }
}
