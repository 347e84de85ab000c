//! An agent in a tmux of its own, with a private home.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use peer_adapters::agent::{Profile, Start};
use peer_adapters::command::{Argv, run};
use peer_adapters::process;
use peer_adapters::runtime::Key;
use peer_adapters::screen::{self, Composer, Phase, View};
use peer_adapters::transcript::Files;

use super::mock_model;

/// Longer than an agent ever took here (opencode on a loaded machine: 20 s).
pub(super) const PATIENCE: Duration = Duration::from_secs(90);

/// A private home, working directory and tmux server, all gone when the test ends, however it ends.
pub(super) struct World {
    pub(super) dir: tempfile::TempDir,
    pub(super) home: PathBuf,
    pub(super) cwd: PathBuf,
    pub(super) executor: tokio::runtime::Runtime,
}

impl World {
    pub(super) fn new(flags: &[&str]) -> Self {
        mock_model::must_listen();
        let dir = crate::directory("peer");
        let root = dir.path().canonicalize().expect("exists");
        let (home, cwd) = (root.join("home"), root.join("work.dir"));
        let executor = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an executor");
        let world = Self { dir, home, cwd, executor };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/offline/agent-home");
        let argv = Argv::new(script).arg(&world.home).arg(&world.cwd).args(flags);
        let output = world.executor.block_on(run(&argv, None, Duration::from_secs(10))).expect("agent-home runs");
        assert!(output.status.success(), "{}", output.summary());
        world
    }

    /// Runs one tmux command in this world; it must succeed.
    pub(super) fn tmux(&self, args: Vec<OsString>, stdin: Option<&[u8]>) -> String {
        let socket = self.dir.path().join("socket");
        let command = Argv::new("tmux").args(["-u", "-f", "/dev/null", "-S"]).arg(socket).args(args);
        let mut command = command.env("HOME", &self.home).cwd(&self.cwd);
        let probe = Profile::builtin("command").expect("built in");
        for (name, _) in std::env::vars_os() {
            if probe.removes(&name.to_string_lossy(), |_| false) {
                command = command.env_remove(name);
            }
        }
        let output = self.executor.block_on(run(&command, stdin, Duration::from_secs(10))).expect("tmux runs");
        assert!(output.status.success(), "tmux: {}", output.summary());
        String::from_utf8(output.stdout).expect("utf-8")
    }

    pub(super) fn start(&self, agent: &str, extra: &[&str], start: Start<'_>) -> Pane<'_> {
        let profile = Profile::builtin(agent).expect(agent);
        let since = SystemTime::now();
        let files = Files { profile: &profile, home: &self.home, env: &|_| None, cwd: &self.cwd };
        let mut args =
            words(&["new-session", "-d", "-P", "-F", "#{pane_id} #{pane_pid}", "-x", "120", "-y", "40", "--"]);
        args.extend(profile.command.iter().map(OsString::from));
        args.extend(extra.iter().map(OsString::from));
        args.extend(files.arguments(start).into_iter().map(OsString::from));
        args.extend(words(&[";", "set-option", "-g", "remain-on-exit", "on"]));
        let answer = self.tmux(args, None);
        let (id, pid) = answer.trim().split_once(' ').expect("pane and pid");
        Pane { world: self, profile, id: id.to_owned(), pid: pid.parse().expect("a pid"), since }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let socket = self.dir.path().join("socket");
        let argv = Argv::new("tmux").arg("-S").arg(socket).arg("kill-server");
        let _ = self.executor.block_on(run(&argv, None, Duration::from_secs(10)));
    }
}

pub(super) fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

/// An agent in its pane.
pub(super) struct Pane<'a> {
    pub(super) world: &'a World,
    pub(super) profile: Profile,
    pub(super) id: String,
    pub(super) pid: u32,
    pub(super) since: SystemTime,
}

impl Pane<'_> {
    pub(super) fn files(&self) -> Files<'_> {
        Files { profile: &self.profile, home: &self.world.home, env: &|_| None, cwd: &self.world.cwd }
    }

    pub(super) fn capture(&self) -> String {
        self.world.tmux(words(&["capture-pane", "-p", "-e", "-t", &self.id]), None)
    }

    pub(super) fn view(&self) -> View {
        screen::read(&self.profile, &self.capture())
    }

    pub(super) fn alive(&self) -> bool {
        process::status(self.pid).expect("the kernel answers").is_some()
    }

    pub(super) fn press(&self, keys: &[Key]) {
        let mut args = words(&["send-keys", "-t", &self.id, "--"]);
        args.extend(keys.iter().cloned().map(|key| OsString::from(String::from(key))));
        self.world.tmux(args, None);
    }

    /// Polls until `is` holds; fails with the screen after [`PATIENCE`].
    pub(super) fn until<T>(&self, what: &str, mut is: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = is() {
                return found;
            }
            assert!(Instant::now() < deadline, "{}: not {what}\n{}", self.profile.name, screen::plain(&self.capture()));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until it is ready, and has been for as long as the profile requires.
    pub(super) fn ready(&self, hold: Duration) {
        let mut since = None;
        self.until("ready", || {
            assert!(self.alive(), "{} ended: {:?}", self.profile.name, screen::last_lines(&self.capture(), 5));
            let view = self.view();
            if view.phase != Phase::Ready || view.composer != Composer::Empty {
                since = None;
                return None;
            }
            (since.get_or_insert_with(Instant::now).elapsed() >= hold).then_some(())
        });
    }

    /// Pastes a message, and presses Enter once the composer shows it.
    pub(super) fn put_in(&self, text: &str) {
        self.world.tmux(words(&["load-buffer", "-b", "text", "-"]), Some(text.as_bytes()));
        self.world.tmux(words(&["paste-buffer", "-p", "-r", "-d", "-b", "text", "-t", &self.id]), None);
        self.until("showing the paste", || matches!(self.view().composer, Composer::Holds(_)).then_some(()));
        std::thread::sleep(self.profile.message.settle);
        self.press(&[Key::Enter]);
        self.until("empty again", || (self.view().composer == Composer::Empty).then_some(()));
    }

    pub(super) fn discover(&self) -> Option<String> {
        let tree = process::tree(self.pid).expect("the kernel answers");
        let pids: Vec<u32> = tree.iter().map(|process| process.id.pid).collect();
        self.files().discover(self.since, &pids, |_| false).expect("files can be read")
    }

    /// Sends a message and waits for its answer; returns the conversation's id.
    pub(super) fn converse(&self, known: Option<&str>, text: &str, turns: usize) -> String {
        let mark = self.files().mark(known).expect("files can be read");
        assert!(!self.files().accepted(&mark, known, text).expect("files can be read"), "accepted before it was sent");
        self.put_in(text);
        let id = known.map_or_else(|| self.until("discovered", || self.discover()), str::to_owned);
        let accepted = || self.files().accepted(&mark, Some(&id), text).expect("files can be read").then_some(());
        self.until("in its transcript", accepted);
        assert!(!self.files().accepted(&mark, Some(&id), "never sent").expect("files can be read"));
        let answer = format!("turns={turns}: ");
        self.until(&format!("answering {answer}"), || screen::plain(&self.capture()).contains(&answer).then_some(()));
        self.until("ready again", || (self.view().phase == Phase::Ready).then_some(()));
        id
    }

    /// Asks it to leave by its quit steps, without a signal.
    pub(super) fn quit(&self) {
        for step in &self.profile.quit.steps {
            self.press(&step.keys);
            let deadline = Instant::now() + step.wait;
            while self.alive() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
            }
            if !self.alive() {
                return;
            }
        }
        // A busy machine takes longer than the profile allows between two steps.
        self.until("gone", || (!self.alive()).then_some(()));
    }
}
