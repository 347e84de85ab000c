//! What a user does to a peer's session with the runtime's own commands, on each runtime.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use peer_adapters::process::{self, ProcessId};
use peer_adapters::runtime::{Capture, Key, Listing, Runtime, RuntimeKind, Target};
use peer_adapters::socket::{self, Listener};
use peer_adapters::tmux::Tmux;
use peer_adapters::zellij::Zellij;

use super::run::Run;
use super::{World, wait_until};

/// Makes one test of each case for each runtime; a case takes the runtime that it runs on. Cases that need more than a
/// runtime begin with `#[ignore = "…"]`.
macro_rules! on_each_runtime {
    (#[ignore = $why:literal] $($case:ident)*) => {
        mod tmux {
            $(#[test] #[ignore = $why] fn $case() { super::$case(peer_adapters::runtime::RuntimeKind::Tmux); })*
        }
        mod zellij {
            $(#[test] #[ignore = $why] fn $case() { super::$case(peer_adapters::runtime::RuntimeKind::Zellij); })*
        }
    };
    ($($case:ident)*) => {
        mod tmux {
            $(#[test] fn $case() { super::$case(peer_adapters::runtime::RuntimeKind::Tmux); })*
        }
        mod zellij {
            $(#[test] fn $case() { super::$case(peer_adapters::runtime::RuntimeKind::Zellij); })*
        }
    };
}
pub(crate) use on_each_runtime;

/// Far above what a client takes, so that only a hang exceeds it.
const DEADLINE: Duration = Duration::from_secs(20);

impl World {
    /// The place of a peer's session, from its record, or from the last end if that left the session.
    #[track_caller]
    pub(crate) fn place(&self, name: &str) -> Target {
        let record = self.session(name);
        let record = if record.is_null() { self.end(name)["left"].clone() } else { record };
        let text = |key: &str| record[key].as_str().unwrap_or_else(|| panic!("no {key}: {record}")).to_owned();
        let id = |key: &str| serde_json::from_value::<ProcessId>(record[key].clone()).ok();
        Target {
            server: PathBuf::from(text("server")),
            session: text("session"),
            session_id: text("session_id"),
            pane: text("pane"),
            server_process: id("server_process"),
            pane_pid: id("pane_process").map(|pane| pane.pid),
        }
    }

    /// The server that hosts a peer's session.
    #[track_caller]
    pub(crate) fn server_of(&self, name: &str) -> ProcessId {
        let server = &self.session(name)["server_process"];
        let number = |key: &str| server[key].as_u64().unwrap_or_else(|| panic!("no server: {server}"));
        ProcessId { pid: u32::try_from(number("pid")).expect("a pid"), start: number("start") }
    }

    /// Ends a peer's session but not the server, as a user would.
    #[track_caller]
    pub(crate) fn close_session(&self, name: &str) {
        let place = self.place(name);
        match self.kind {
            RuntimeKind::Tmux => {
                self.tmux(&["kill-session", "-t", &format!("={}:", place.session)]);
            }
            RuntimeKind::Zellij => {
                let server = self.server_of(name);
                // A client may miss a session (zellij 0.45.1), and a user would type the command again.
                wait_until("its session is ended", || {
                    let lives = process::find(server).expect("/proc").is_some();
                    if lives {
                        self.zellij(&place, &["kill-session", &place.session]);
                    }
                    !lives
                });
            }
        }
        wait_until("its session is gone", || !self.sessions().contains(&place.session));
    }

    /// Kills the server of a peer's session with SIGKILL.
    #[track_caller]
    pub(crate) fn lose_server(&self, name: &str) {
        let server = self.server_of(name);
        process::signal(server, Signal::SIGKILL).expect("a server of ours");
        wait_until("its server is gone", || process::find(server).expect("/proc").is_none());
    }

    /// Names of the sessions that exist.
    pub(crate) fn sessions(&self) -> Vec<String> {
        match self.kind {
            RuntimeKind::Tmux => {
                let listed = self.tmux(&["list-sessions", "-F", ":#{session_name}"]);
                listed.lines().filter_map(|line| line.strip_prefix(':').map(str::to_owned)).collect()
            }
            RuntimeKind::Zellij => self
                .zellij_sockets()
                .iter()
                .filter(|path| matches!(socket::listener(path), Ok(Listener::Up(_))))
                .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
                .collect(),
        }
    }

    /// What runtimes have left on disk for sessions of this world: nothing once all have ended and been cleaned up.
    pub(crate) fn session_dirs(&self) -> Vec<PathBuf> {
        let dirs = |parent: &PathBuf| std::fs::read_dir(parent).into_iter().flatten().flatten();
        self.session_parents().iter().flat_map(dirs).map(|entry| entry.path()).collect()
    }

    /// The directories in which zellij's sessions have theirs.
    fn session_parents(&self) -> Vec<PathBuf> {
        let resort = self.run.as_ref().map(|run| run.path().join("peer"));
        std::iter::once(self.path("state/zellij")).chain(resort).collect()
    }

    fn zellij_sockets(&self) -> Vec<PathBuf> {
        let sockets = |dir: PathBuf| std::fs::read_dir(dir.join("contract_version_1")).into_iter().flatten().flatten();
        self.session_dirs().into_iter().flat_map(sockets).map(|entry| entry.path()).collect()
    }

    /// Every zellij server of this world, even if it does not listen any more.
    pub(crate) fn zellij_servers(&self) -> Vec<ProcessId> {
        let marks = self.session_parents();
        let ours = |pid: &u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            let mut words = line.split('\0').skip(1);
            words.next() == Some("--server")
                && words
                    .next()
                    .is_some_and(|path| marks.iter().any(|mark| std::path::Path::new(path).starts_with(mark)))
        };
        let numbers = std::fs::read_dir("/proc").expect("/proc").flatten();
        let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.filter(ours).filter_map(|pid| process::status(pid).ok().flatten()).map(|status| status.id).collect()
    }

    /// Every tmux server of this world, even if it does not listen any more: a server keeps the command line that
    /// started it.
    pub(crate) fn tmux_servers(&self) -> Vec<ProcessId> {
        let mark = self.path("");
        let ours = |pid: u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            let mut words = line.split('\0').skip_while(|word| *word != "-S").skip(1);
            words.next().is_some_and(|socket| std::path::Path::new(socket).starts_with(&mark))
        };
        let comm = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let numbers = std::fs::read_dir("/proc").expect("/proc");
        let numbers = numbers.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let servers = numbers.filter(|pid| comm(*pid).starts_with("tmux: server") && ours(*pid));
        servers.filter_map(|pid| Some(process::status(pid).ok()??.id)).collect()
    }

    /// Runs zellij against a peer's session as a user would; returns what it prints on both streams.
    pub(crate) fn zellij(&self, place: &Target, args: &[&str]) -> String {
        let mut client = Command::new("zellij");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ZELLIJ")) {
            client.env_remove(name);
        }
        client
            .args(args)
            .env("HOME", self.path("home"))
            .env("ZELLIJ_SOCKET_DIR", &place.server)
            .env("ZELLIJ_CONFIG_DIR", place.server.join("config"))
            .stdin(Stdio::null());
        let run = Run::of(&mut client, None);
        run.stdout + &run.stderr
    }

    /// The runtime's id of a peer's pane.
    #[track_caller]
    pub(crate) fn pane(&self, name: &str) -> String {
        self.place(name).pane
    }

    /// Waits until a peer's pane shows this text. An agent runs for a moment before it has set its traps.
    #[track_caller]
    pub(crate) fn await_screen(&self, name: &str, text: &str) {
        wait_until(&format!("{name} shows {text:?}"), || self.screen(name).contains(text));
    }

    /// The text on a peer's pane now.
    #[track_caller]
    pub(crate) fn screen(&self, name: &str) -> String {
        let place = self.place(name);
        match self.kind {
            RuntimeKind::Tmux => self.tmux(&["capture-pane", "-p", "-J", "-t", &place.pane]),
            // A pane that is not up yet shows nothing.
            RuntimeKind::Zellij => {
                self.ask(async |zellij| zellij.capture(&place, Capture::default()).await.unwrap_or_default())
            }
        }
    }

    /// How many clients are attached to the server of a place.
    #[track_caller]
    pub(crate) fn clients(&self, place: &Target) -> usize {
        match self.kind {
            RuntimeKind::Tmux => self.tmux(&["list-clients", "-F", "client"]).matches("client\n").count(),
            RuntimeKind::Zellij => self.ask(async |zellij| match zellij.list(&place.server).await {
                Ok(Listing::Up { rows, .. }) => rows.iter().map(|row| row.attached as usize).sum(),
                _ => 0,
            }),
        }
    }

    /// Captures a place through the adapter.
    #[track_caller]
    pub(crate) fn captured(&self, place: &Target, how: Capture) -> String {
        match self.kind {
            RuntimeKind::Tmux => {
                let binary = peer_adapters::command::resolve("tmux".as_ref(), None, std::path::Path::new("/"));
                let tmux = Tmux::new(binary.expect("tmux on PATH"), self.path("state/tmux.conf"), DEADLINE);
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(tmux.capture(place, how)).expect("captured")
            }
            RuntimeKind::Zellij => self.ask(async |zellij| zellij.capture(place, how).await.expect("captured")),
        }
    }

    /// Presses keys in a peer's pane, as a user would: tmux's names of keys, or text.
    #[track_caller]
    pub(crate) fn press(&self, name: &str, keys: &[&str]) {
        let place = self.place(name);
        match self.kind {
            RuntimeKind::Tmux => {
                let said = self.tmux(&[&["send-keys", "-t", &place.pane], keys].concat());
                assert_eq!(said, "", "tmux send-keys");
            }
            RuntimeKind::Zellij => {
                // `-l` is tmux's flag for literal text. zellij needs no such flag, because here only names of keys are
                // taken for keys.
                let keys = keys.strip_prefix(&["-l"]).unwrap_or(keys);
                let named = |key: &&str| match Key::try_from((*key).to_owned()) {
                    Ok(key) => vec![key],
                    Err(_) => key.chars().map(|c| if c == ' ' { Key::Space } else { Key::Char(c) }).collect(),
                };
                let keys: Vec<Key> = keys.iter().flat_map(named).collect();
                self.ask(async |zellij| zellij.press(&place, &keys).await.expect("pressed"));
            }
        }
    }

    /// Lays a pane of zellij out again.
    #[track_caller]
    pub(crate) fn lay_out_again(&self, name: &str) {
        let place = self.place(name);
        self.ask(async |zellij| zellij.lay_out_again(&place).await.expect("laid out"));
    }

    /// Asks through the adapter, because a raw client of zellij 0.45.1 occasionally misses its session.
    fn ask<T>(&self, question: impl AsyncFnOnce(Zellij) -> T) -> T {
        let binary = peer_adapters::command::resolve("zellij".as_ref(), None, std::path::Path::new("/"));
        let zellij = Zellij::new(binary.expect("zellij 0.44.1 or newer on PATH"), DEADLINE);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(question(zellij))
    }
}
