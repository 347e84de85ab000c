//! A private place for zellij sessions, which leaves nothing behind when it is dropped.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use peer_adapters::process::{self, ProcessId};
use peer_adapters::runtime::{Capture, Created, Listing, NewSession, Runtime, SessionRow, Target};
use peer_adapters::zellij::Zellij;

pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Sessions below one temporary directory. Dropping it ends their servers, each by its own pid.
pub(super) struct Lab {
    pub(super) base: tempfile::TempDir,
    pub(super) zellij: Zellij,
    next: AtomicU32,
}

impl Lab {
    pub(super) fn new() -> Self {
        let binary =
            which::which("zellij").expect("these tests need zellij 0.44.1 or newer on PATH: cargo install zellij");
        let base = crate::directory("pz");
        Self { base, zellij: Zellij::new(binary, Duration::from_secs(5)), next: AtomicU32::new(1) }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }

    /// The plan of a session that does not exist yet.
    pub(super) fn plan(&self, argv: &[&str]) -> NewSession {
        let session = format!("s{}", self.next.fetch_add(1, Ordering::Relaxed));
        NewSession {
            server: Zellij::server_dir(self.base.path(), &session).expect("short enough"),
            session,
            tag: "alice/7".to_owned(),
            argv: argv.iter().map(OsString::from).collect(),
            cwd: self.base.path().to_path_buf(),
            size: (200, 50),
        }
    }

    pub(super) async fn create(&self, argv: &[&str]) -> Created {
        self.zellij.create(&self.plan(argv)).await.expect("created")
    }

    /// A session whose pane writes its raw input into the file, and requests bracketed paste.
    pub(super) async fn listener(&self) -> (Created, PathBuf) {
        let heard = self.path(&format!("heard{}", self.next.load(Ordering::Relaxed)));
        let script = "stty raw -echo; printf '\\033[?2004hlistening\\r\\n'; exec cat >\"$1\"";
        let created = self.create(&["/bin/sh", "-c", script, "sh", heard.to_str().expect("text")]).await;
        self.shows(&created.target, "listening").await;
        (created, heard)
    }

    /// Makes a script executable, under another name. Another process does the copying: a child that another test
    /// starts meanwhile would inherit the open file for a moment, and the kernel does not execute a file that is open
    /// for writing.
    pub(super) async fn install(&self, script: &Path) -> PathBuf {
        let program = script.with_extension("program");
        let argv = peer_adapters::command::Argv::new("install").args(["-m", "755"]).arg(script).arg(&program);
        let output = peer_adapters::command::run(&argv, None, PATIENCE).await.expect("install runs");
        assert!(output.status.success(), "{}", output.stderr);
        program
    }

    /// Waits until the pane shows `text`, and returns its screen.
    pub(super) async fn shows(&self, target: &Target, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let screen = self.zellij.capture(target, Capture::default()).await.expect("captured");
            if screen.contains(text) {
                return screen;
            }
            assert!(Instant::now() < deadline, "{text:?} is not shown:\n{screen}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Returns the only row of a session that is up.
    pub(super) async fn row(&self, server: &Path) -> SessionRow {
        match self.zellij.list(server).await.expect("listed") {
            Listing::Up { mut rows, .. } if rows.len() == 1 => rows.remove(0),
            other => panic!("one row expected: {other:?}"),
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for server in servers_below(self.base.path()) {
            let _ = process::signal(server, Signal::SIGKILL);
        }
    }
}

/// Returns the zellij servers whose socket is below `dir`.
pub(super) fn servers_below(dir: &Path) -> Vec<ProcessId> {
    let processes = std::fs::read_dir("/proc").expect("readable");
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = line.split('\0').skip(1);
        words.next() == Some("--server") && words.next().is_some_and(|socket| Path::new(socket).starts_with(dir))
    })
    .filter_map(|pid| process::status(pid).ok().flatten())
    .map(|status| status.id)
    .collect()
}

/// Waits until `condition` holds.
pub(super) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(super) fn is_alive(id: ProcessId) -> bool {
    process::find(id).expect("probe").is_some()
}

/// Stops a process and waits until the kernel reports it as stopped.
pub(super) async fn stop(id: ProcessId) {
    process::signal(id, Signal::SIGSTOP).expect("signalled");
    eventually("the process is stopped", || process::find(id).expect("probe").is_some_and(|status| status.stopped))
        .await;
}
