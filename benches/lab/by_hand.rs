//! A real agent in a runtime without `peer`, driven as by a careful script.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use peer_adapters::agent::Profile;
use peer_adapters::runtime::RuntimeKind;
use peer_adapters::screen::{self, Composer, Phase, View};

use crate::common::real_agent::Agent;
use crate::{REST, until};

/// The settings of our sessions that affect speed.
const ZELLIJ: &str = "session_serialization false\ndisable_session_metadata true\nshow_startup_tips false\n\
    show_release_notes false\npane_frames false\ndefault_mode \"locked\"\nweb_server false\nload_plugins { }\n";

/// An agent's home and runtime, used without `peer`.
pub(crate) struct ByHand<'a> {
    agent: &'a Agent,
    profile: Profile,
    /// The terminal of the client that has made the session, on zellij.
    terminal: RefCell<Option<Child>>,
}

impl<'a> ByHand<'a> {
    pub(crate) fn new(agent: &'a Agent) -> Self {
        let profile = Profile::builtin(agent.name).expect("a profile");
        let config = agent.world.path("raw-config");
        std::fs::create_dir(&config).expect("created");
        std::fs::write(config.join("config.kdl"), ZELLIJ).expect("written");
        Self { agent, profile, terminal: RefCell::new(None) }
    }

    /// Runs a life; returns how long fresh, resume and send took, from the start of the first client to the agent's own
    /// record. A life in which a step fails is repeated: a client of zellij may miss its session or be disconnected
    /// (0.45.1), and a paste that comes too soon may be discarded.
    pub(crate) fn life(&self, turn: usize) -> [Duration; 3] {
        for attempt in 0..5 {
            if let Some(life) = self.lives(turn * 10 + attempt) {
                return life;
            }
            println!("  by hand, turn {turn}: it was not seen to arrive; once more");
        }
        panic!("five in turn that went wrong by hand");
    }

    fn lives(&self, turn: usize) -> Option<[Duration; 3]> {
        let ended = |session: &str, took: Option<Duration>| {
            if took.is_none() {
                self.end(session);
            }
            took
        };
        let id = uuid::Uuid::new_v4().to_string();
        let started = Instant::now();
        self.start(&format!("raw-{turn}-1"), &self.words(&id, false));
        let first = format!("raw-{turn}-1");
        let fresh = ended(&first, self.say(&first, "fresh", turn, 1, started))?;
        let sent = ended(&first, self.say(&first, "send", turn, 2, Instant::now()))?;
        self.end(&first);
        let id = if self.agent.name == "codex" { self.newest_rollout() } else { id };
        let started = Instant::now();
        let second = format!("raw-{turn}-2");
        self.start(&second, &self.words(&id, true));
        let resumed = ended(&second, self.say(&second, "resume", turn, 3, started))?;
        self.end(&second);
        Some([fresh, resumed, sent])
    }

    /// Waits until the agent is ready, sends a message, and waits until it is accepted; then, not counted, for the
    /// answer.
    fn say(&self, session: &str, what: &str, turn: usize, turns: usize, started: Instant) -> Option<Duration> {
        let text = format!("bench raw {what} {turn}");
        let ready = |view: &View| matches!(view.phase, Phase::Ready | Phase::Busy) && view.composer == Composer::Empty;
        if what != "send" {
            until(started, || ready(&screen::read(&self.profile, &self.screen(session))))?;
        }
        self.paste_and_press(session, &text);
        let took = until(started, || match self.agent.name {
            // It writes nothing before its first answer, so a message is accepted once the composer is empty.
            "pi" => {
                let shown = self.screen(session);
                shown.contains(&text) && screen::read(&self.profile, &shown).composer == Composer::Empty
            }
            name => self.has_accepted(name, &text),
        })?;
        let answer = format!("turns={turns}: {text}");
        until(started, || self.screen(session).contains(&answer))?;
        std::thread::sleep(REST);
        Some(took)
    }

    /// Whether the agent's files of the last minute have `text` as a user message.
    pub(crate) fn has_accepted(&self, name: &str, text: &str) -> bool {
        let home = self.agent.world.path("home");
        let is_recent = |path: &PathBuf| {
            let changed = path.metadata().and_then(|meta| meta.modified());
            changed.is_ok_and(|at| at + Duration::from_secs(60) > SystemTime::now())
        };
        let says = |path: PathBuf, whole: bool| {
            let bytes = std::fs::read(path).unwrap_or_default();
            let held = String::from_utf8_lossy(&bytes);
            held.lines().any(|line| line.contains(text) && (whole || line.contains("\"user\"")))
        };
        match name {
            "claude" => {
                files(&home.join(".claude/projects")).into_iter().filter(is_recent).any(|path| says(path, false))
            }
            "codex" => files(&home.join(".codex/sessions")).into_iter().filter(is_recent).any(|path| says(path, false)),
            // See `say`.
            "pi" => true,
            _ => {
                let database = |path: &PathBuf| path.to_string_lossy().contains("opencode.db");
                files(&home.join(".local/share/opencode")).into_iter().filter(database).any(|path| says(path, true))
            }
        }
    }

    /// The command of a fresh start, or of a resume.
    fn words(&self, id: &str, resume: bool) -> Vec<String> {
        let file = self.agent.world.path(&format!("home/.pi/agent/sessions/{id}.jsonl"));
        let words = match (self.agent.name, resume) {
            ("claude", false) => vec!["claude", "--session-id", id],
            ("claude", true) => vec!["claude", "--resume", id],
            ("codex", false) => vec!["codex", "--no-daemon"],
            ("codex", true) => vec!["codex", "--no-daemon", "resume", id],
            ("pi", _) => vec!["pi", "--model", "mock/mock", "--session", file.to_str().expect("text")],
            (_, false) => vec!["opencode"],
            (_, true) => vec!["opencode", "--continue"],
        };
        words.into_iter().map(str::to_owned).collect()
    }

    fn newest_rollout(&self) -> String {
        let rollouts = files(&self.agent.world.path("home/.codex/sessions"));
        let newest = rollouts.into_iter().max_by_key(|path| path.metadata().and_then(|meta| meta.modified()).ok());
        let stem = newest.expect("a rollout").file_stem().expect("a name").to_string_lossy().into_owned();
        stem.get(stem.len() - 36..).expect("an id").to_owned()
    }

    /// A client of the runtime, in the environment that `peer` would get.
    fn client(&self, program: &str, words: &[&str]) -> Command {
        let ours = self.agent.command(&[]);
        let mut client = Command::new(program);
        client.args(words).env_clear().envs(ours.get_envs().filter_map(|(key, value)| Some((key, value?))));
        client.env("TERM", "xterm-256color").env("COLORTERM", "truecolor");
        client.env("ZELLIJ_SOCKET_DIR", self.agent.world.path("z")).env("SHELL", "/bin/sh");
        client.env("ZELLIJ_CONFIG_DIR", self.agent.world.path("raw-config"));
        client.current_dir(self.agent.world.work()).stdin(Stdio::null());
        client
    }

    fn run(&self, program: &str, words: &[&str], input: &str) -> String {
        let run = crate::common::Run::of(&mut self.client(program, words), Some(input));
        run.stdout
    }

    fn tmux(&self, words: &[&str], input: &str) -> String {
        let socket = self.agent.world.path("s-raw");
        self.run("tmux", &[&["-u", "-f", "/dev/null", "-S", socket.to_str().expect("text")], words].concat(), input)
    }

    fn start(&self, session: &str, words: &[String]) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match self.agent.world.kind() {
            RuntimeKind::Tmux => {
                let new = ["new-session", "-d", "-x", "200", "-y", "50", "-s", session, "--"];
                self.tmux(&[&new[..], &words].concat(), "");
            }
            RuntimeKind::Zellij => {
                let arguments: Vec<String> = words[1..].iter().map(|word| format!("{word:?}")).collect();
                let arguments = arguments.join(" ");
                let arguments = if arguments.is_empty() { arguments } else { format!("args {arguments};") };
                let layout = format!("layout {{ pane command={:?} {{ {arguments} }}; }}", words[0]);
                let line =
                    format!("stty cols 200 rows 50; exec zellij --layout-string '{layout}' attach --create {session}");
                let mut script = self.client("script", &["-qec", &line, "/dev/null"]);
                script.stdin(Stdio::piped()).stdout(Stdio::null());
                *self.terminal.borrow_mut() = Some(script.spawn().expect("script(1)"));
            }
        }
    }

    fn screen(&self, session: &str) -> String {
        match self.agent.world.kind() {
            RuntimeKind::Tmux => self.tmux(&["capture-pane", "-p", "-e", "-t", &format!("={session}:")], ""),
            RuntimeKind::Zellij => {
                let dump = ["--session", session, "action", "dump-screen", "--ansi", "--pane-id", "terminal_0"];
                self.run("zellij", &dump, "")
            }
        }
    }

    fn paste_and_press(&self, session: &str, text: &str) {
        match self.agent.world.kind() {
            RuntimeKind::Tmux => {
                let pane = format!("={session}:");
                let (load, paste) = (["load-buffer", "-"], ["paste-buffer", "-p", "-r", "-d", "-t", &pane]);
                let enter = ["send-keys", "-t", &pane, "Enter"];
                self.tmux(&[&load[..], &[";"], &paste, &[";"], &enter].concat(), text);
            }
            RuntimeKind::Zellij => {
                let act = |verb, word| {
                    self.run("zellij", &["--session", session, "action", verb, "--pane-id", "terminal_0", word], "")
                };
                act("paste", text);
                act("send-keys", "Enter");
            }
        }
    }

    fn end(&self, session: &str) {
        match self.agent.world.kind() {
            RuntimeKind::Tmux => drop(self.tmux(&["kill-session", "-t", &format!("={session}")], "")),
            RuntimeKind::Zellij => {
                self.run("zellij", &["kill-session", session], "");
                if let Some(mut terminal) = self.terminal.borrow_mut().take() {
                    let _ = terminal.kill();
                    let _ = terminal.wait();
                }
            }
        }
        std::thread::sleep(REST);
    }
}

/// All files below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
