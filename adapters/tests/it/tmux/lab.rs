//! A test's private tmux server: its directory, socket and configuration are gone when the test ends.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use peer_adapters::command::Argv;
use peer_adapters::process::{self, ProcessId};
use peer_adapters::runtime::{Created, Listing, NewSession, Runtime, SessionRow, Target};
use peer_adapters::socket::{self, Listener};
use peer_adapters::tmux::Tmux;
use tempfile::TempDir;

/// How long a condition may take on a loaded machine before the test fails.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// The deadline that tests give tmux: far above what it needs, so that only a hang exceeds it.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

pub(super) struct Lab {
    pub(super) dir: TempDir,
    pub(super) tmux: Tmux,
}

impl Lab {
    pub(super) fn new() -> Self {
        Self::with_deadline(DEADLINE)
    }

    pub(super) fn with_deadline(deadline: Duration) -> Self {
        let dir = crate::directory("peer-tmux-");
        std::fs::write(dir.path().join("tmux.conf"), Tmux::CONFIG).expect("write the configuration");
        let tmux = Tmux::new(binary(), dir.path().join("tmux.conf"), deadline);
        Self { dir, tmux }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.path("s")
    }

    /// A session that runs `argv` in the lab's directory.
    pub(super) fn session(&self, name: &str, argv: &[&str]) -> NewSession {
        NewSession {
            server: self.socket(),
            session: name.to_owned(),
            tag: format!("tag/{name}"),
            argv: argv.iter().map(OsString::from).collect(),
            cwd: self.dir.path().to_owned(),
            size: (80, 24),
        }
    }

    pub(super) async fn start(&self, name: &str, argv: &[&str]) -> Created {
        self.tmux.create(&self.session(name, argv)).await.expect("create")
    }

    /// A session whose program does nothing for ever.
    pub(super) async fn idle(&self, name: &str) -> Created {
        self.start(name, &["sleep", "1000"]).await
    }

    /// A session whose program writes its input into `file`, unchanged, until it is ended.
    pub(super) async fn recorder(&self, name: &str, file: &str) -> Created {
        let script = format!("stty raw -echo; touch {file}.ready; exec cat >{file}");
        let created = self.start(name, &["sh", "-c", &script]).await;
        eventually("the recorder reads", || self.path(&format!("{file}.ready")).exists()).await;
        created
    }

    /// Creates a shell script in the lab, to replace a program or to prepare its environment.
    pub(super) fn script(&self, name: &str, body: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("write the script");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
        path
    }

    /// Returns a runtime for this lab that uses another tmux binary.
    pub(super) fn through(&self, binary: &Path, deadline: Duration) -> Tmux {
        Tmux::new(binary.to_owned(), self.path("tmux.conf"), deadline)
    }

    pub(super) async fn rows(&self) -> Vec<SessionRow> {
        match self.tmux.list(&self.socket()).await.expect("list") {
            Listing::Up { rows, .. } => rows,
            Listing::Gone(gone) => panic!("the server is gone: {gone:?}"),
        }
    }

    pub(super) async fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.rows().await.into_iter().map(|row| row.session).collect();
        names.sort();
        names
    }

    pub(super) fn server(&self) -> Option<ProcessId> {
        match socket::listener(&self.socket()) {
            Ok(Listener::Up(found)) => Some(found.process.id),
            _ => None,
        }
    }

    /// Runs tmux against this lab's server as a user would, and returns what it prints.
    pub(super) async fn raw(&self, args: &[&str]) -> String {
        let client =
            Argv::new(binary()).args(["-u", "-S"]).arg(self.socket()).args(args.iter().copied()).env_remove("TMUX");
        let output = peer_adapters::command::run(&client, None, DEADLINE).await.expect("tmux runs");
        String::from_utf8(output.stdout).expect("UTF-8") + &output.stderr
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // By its pid, because a client would hang if the test left the server stopped.
        if let Some(server) = self.server().filter(|server| server.pid != std::process::id()) {
            let panes = process::tree(server.pid).unwrap_or_default();
            let _ = process::signal(server, Signal::SIGKILL);
            for pane in panes {
                let _ = process::signal(pane.id, Signal::SIGKILL);
            }
        }
    }
}

pub(super) fn binary() -> PathBuf {
    peer_adapters::command::resolve("tmux".as_ref(), None, Path::new("/")).expect("tmux is installed")
}

/// Waits until `condition` holds, polling often.
pub(super) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until the file holds at least `bytes` bytes, and returns them.
pub(super) async fn content(path: &Path, bytes: usize) -> Vec<u8> {
    eventually(&format!("{bytes} bytes in {}", path.display()), || {
        std::fs::metadata(path).is_ok_and(|file| file.len() >= bytes as u64)
    })
    .await;
    std::fs::read(path).expect("read")
}

/// Returns live processes whose command line names this lab, except the server and the processes in its panes.
pub(super) fn clients_left(lab: &Lab) -> Vec<String> {
    let mark = lab.dir.path().to_str().expect("ASCII").to_owned();
    let hosted: Vec<u32> = match socket::listener(&lab.socket()) {
        Ok(Listener::Up(found)) => {
            process::tree(found.process.id.pid).expect("processes").iter().map(|p| p.id.pid).collect()
        }
        _ => Vec::new(),
    };
    std::fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| !hosted.contains(pid))
        .filter_map(|pid| String::from_utf8(std::fs::read(format!("/proc/{pid}/cmdline")).ok()?).ok())
        .filter(|line| line.contains(&mark))
        .collect()
}

/// Returns the target under another session name.
pub(super) fn renamed(target: &Target, session: &str) -> Target {
    Target { session: session.to_owned(), ..target.clone() }
}

/// Returns `true` in the process that [`again`] started.
pub(super) fn is_second_run() -> bool {
    std::env::var_os("PEER_TEST_SECOND_RUN").is_some()
}

/// Runs one test of `server.rs` again in a separate process, with `change` applied to its environment or user.
pub(super) async fn again(test: &str, change: impl FnOnce(Argv) -> Argv) {
    let program = std::env::current_exe().expect("own path");
    let test = format!("tmux::{test}");
    let run = Argv::new(program).args([&test, "--exact", "--nocapture"]).env("PEER_TEST_SECOND_RUN", "1");
    let output = peer_adapters::command::run(&change(run), None, Duration::from_secs(60)).await.expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}\n{}", output.stderr);
}
