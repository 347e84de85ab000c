//! The environment of a case: a private place for one runtime, without any process left when it is dropped.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use peer_adapters::command;
use peer_adapters::process::{self, ProcessId};
use peer_adapters::runtime::{
    Capture, Created, Gone, Listing, NewSession, Runtime, RuntimeKind, SessionRow, Setup, Target,
};
use peer_adapters::version::Versions;

/// How long a condition may take on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Far above the time an answer takes, so that only a hang exceeds it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// Lines that a client prints on stderr.
pub(crate) struct Words {
    /// Access is denied.
    pub(crate) denied: &'static str,
    /// Client and server do not speak the same protocol, or the client does not know the request.
    pub(crate) mismatch: &'static str,
}

/// What a case needs to know about its runtime beyond the trait.
pub(crate) trait Host: Sync {
    /// The runtime under test.
    fn runtime(&self) -> &dyn Runtime;

    /// A private directory of the test.
    fn dir(&self) -> &Path;

    /// The server for a session of that name.
    fn server(&self, session: &str) -> PathBuf;

    /// The same runtime with another binary and deadline.
    fn with_binary(&self, binary: PathBuf, deadline: Duration) -> Box<dyn Runtime>;

    /// What its client prints on failures.
    fn words(&self) -> Words;

    /// What the newest unsupported version prints.
    fn too_old(&self) -> &'static str;

    /// Whether this is the listing of `server` after its last session was removed.
    fn nothing_left(&self, listing: &Listing) -> bool;

    /// The plan of a session that does not exist yet.
    fn plan(&self, session: &str, argv: &[&str]) -> NewSession {
        NewSession {
            server: self.server(session),
            session: session.to_owned(),
            tag: format!("tag/{session}"),
            argv: argv.iter().map(OsString::from).collect(),
            cwd: self.dir().to_path_buf(),
            size: (200, 50),
        }
    }
}

pub(crate) struct Tmux {
    dir: tempfile::TempDir,
    runtime: peer_adapters::tmux::Tmux,
}

impl Tmux {
    pub(crate) fn new() -> Self {
        let dir = crate::directory("pct");
        std::fs::write(dir.path().join("tmux.conf"), peer_adapters::tmux::Tmux::CONFIG).expect("written");
        let runtime = peer_adapters::tmux::Tmux::new(binary("tmux"), dir.path().join("tmux.conf"), DEADLINE);
        Self { dir, runtime }
    }
}

impl Host for Tmux {
    fn runtime(&self) -> &dyn Runtime {
        &self.runtime
    }

    fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn server(&self, _session: &str) -> PathBuf {
        self.dir().join("s")
    }

    fn with_binary(&self, binary: PathBuf, deadline: Duration) -> Box<dyn Runtime> {
        Box::new(peer_adapters::tmux::Tmux::new(binary, self.dir().join("tmux.conf"), deadline))
    }

    fn words(&self) -> Words {
        Words {
            denied: "error connecting to /s (Permission denied)",
            mismatch: "protocol version mismatch (client 8, server 7)",
        }
    }

    fn too_old(&self) -> &'static str {
        "tmux 3.1c"
    }

    fn nothing_left(&self, listing: &Listing) -> bool {
        matches!(listing, Listing::Up { rows, .. } if rows.is_empty())
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        if let Ok(peer_adapters::socket::Listener::Up(server)) = peer_adapters::socket::listener(&self.server("")) {
            end_with_panes(server.process.id);
        }
    }
}

pub(crate) struct Zellij {
    dir: tempfile::TempDir,
    runtime: peer_adapters::zellij::Zellij,
}

impl Zellij {
    pub(crate) fn new() -> Self {
        let dir = crate::directory("pcz");
        Self { dir, runtime: peer_adapters::zellij::Zellij::new(binary("zellij"), DEADLINE) }
    }
}

impl Host for Zellij {
    fn runtime(&self) -> &dyn Runtime {
        &self.runtime
    }

    fn dir(&self) -> &Path {
        self.dir.path()
    }

    fn server(&self, session: &str) -> PathBuf {
        peer_adapters::zellij::Zellij::server_dir(self.dir(), session).expect("short enough")
    }

    fn with_binary(&self, binary: PathBuf, deadline: Duration) -> Box<dyn Runtime> {
        Box::new(peer_adapters::zellij::Zellij::new(binary, deadline))
    }

    fn words(&self) -> Words {
        Words {
            denied: "failed to connect: Permission denied (os error 13)",
            mismatch: "error: unexpected argument --pane-id found",
        }
    }

    fn too_old(&self) -> &'static str {
        "zellij 0.44.0"
    }

    fn nothing_left(&self, listing: &Listing) -> bool {
        *listing == Listing::Gone(Gone::NoSocket)
    }
}

impl Drop for Zellij {
    fn drop(&mut self) {
        let homes = std::fs::read_dir(self.dir().join("zellij")).into_iter().flatten().flatten();
        let sockets =
            homes.flat_map(|home| std::fs::read_dir(home.path().join("contract_version_1"))).flatten().flatten();
        for socket in sockets {
            for server in process::with_arguments(&["--server".as_ref(), socket.path().as_os_str()]).unwrap_or_default()
            {
                end_with_panes(server.id);
            }
        }
    }
}

/// Returns a runtime whose binary does not exist: that a server may not be accessed is determined without it.
pub(crate) fn without_binary(kind: &str) -> Arc<dyn Runtime> {
    let nowhere = PathBuf::from("/nonexistent");
    let kind = RuntimeKind::named(kind).unwrap_or_else(|| panic!("no runtime is called {kind}"));
    let versions = Versions::new(None, DEADLINE);
    kind.facts().open(Setup { binary: nowhere.clone(), configuration: nowhere, deadline: DEADLINE, versions })
}

/// Ends them by pid, because a client would hang if the test left the server stopped.
fn end_with_panes(server: ProcessId) {
    for process in process::tree(server.pid).unwrap_or_default() {
        let _ = process::signal(process.id, Signal::SIGKILL);
    }
}

fn binary(name: &str) -> PathBuf {
    command::resolve(name.as_ref(), None, Path::new("/"))
        .unwrap_or_else(|error| panic!("the conformance suite needs {name} on PATH: {error}"))
}

pub(crate) async fn create(host: &dyn Host, session: &str, argv: &[&str]) -> Created {
    host.runtime().create(&host.plan(session, argv)).await.expect("created")
}

pub(crate) async fn idle(host: &dyn Host, session: &str) -> Created {
    create(host, session, &["/bin/sleep", "1000"]).await
}

/// Creates a session whose program requests bracketed paste and writes its raw input into the returned file.
pub(crate) async fn recorder(host: &dyn Host, session: &str) -> (Created, PathBuf) {
    let heard = host.dir().join(format!("{session}.heard"));
    let script = "stty raw -echo; printf '\\033[?2004hlistening\\r\\n'; exec cat >\"$1\"";
    let created = create(host, session, &["/bin/sh", "-c", script, "sh", heard.to_str().expect("text")]).await;
    shows(host, &created.target, "listening").await;
    (created, heard)
}

/// Waits until the file has as many bytes as `expected`, and compares.
pub(crate) async fn heard(file: &Path, expected: &str) {
    eventually("all has arrived", || std::fs::read(file).is_ok_and(|got| got.len() >= expected.len())).await;
    let got = std::fs::read(file).expect("readable");
    if expected.len() < 1000 {
        assert_eq!(String::from_utf8_lossy(&got), expected);
    }
    let differs = got.iter().zip(expected.bytes()).position(|(got, expected)| *got != expected);
    assert_eq!((differs, got.len()), (None, expected.len()), "first difference, length");
}

/// Waits until the pane shows `text`, and returns its screen.
pub(crate) async fn shows(host: &dyn Host, target: &Target, text: &str) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        let screen = host.runtime().capture(target, Capture::default()).await.expect("captured");
        if screen.contains(text) {
            return screen;
        }
        assert!(Instant::now() < end, "{text:?} is not shown:\n{screen}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Returns the row of a session, if its server is up and lists it.
pub(crate) async fn find_row(host: &dyn Host, target: &Target) -> Option<SessionRow> {
    match host.runtime().list(&target.server).await.expect("listed") {
        Listing::Up { rows, .. } => rows.into_iter().find(|row| row.session == target.session),
        Listing::Gone(_) => None,
    }
}

/// Waits until the row of a session satisfies `wanted`.
pub(crate) async fn row_where(host: &dyn Host, target: &Target, wanted: impl Fn(&SessionRow) -> bool) -> SessionRow {
    let end = Instant::now() + PATIENCE;
    loop {
        let row = find_row(host, target).await;
        if let Some(row) = row.clone().filter(|row| wanted(row)) {
            return row;
        }
        assert!(Instant::now() < end, "last seen: {row:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn is_alive(id: ProcessId) -> bool {
    process::find(id).expect("probe").is_some()
}
