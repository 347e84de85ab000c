//! A real agent that `peer` manages, without a network.

use std::path::Path;

use nix::sys::signal::Signal;
use peer_adapters::runtime::RuntimeKind;

use crate::common::mock_model;
use crate::common::{Run, World, run, signal, wait_for, wait_until};

/// An agent in its own world: a home that suits the agent, and a peer named after it.
pub(crate) struct Agent {
    pub(crate) world: World,
    pub(crate) name: &'static str,
}

/// Runs a command of an agent's world to its end.
#[track_caller]
pub(crate) fn ran(command: &mut std::process::Command) -> std::process::Output {
    let piped = std::process::Stdio::piped;
    run::output(command.stdout(piped()).stderr(piped()).spawn().expect("peer runs"))
}

impl Agent {
    pub(crate) fn new(name: &'static str, on: RuntimeKind, words: &[&str]) -> Self {
        Self::with_flags(name, on, &[], words)
    }

    pub(crate) fn with_flags(name: &'static str, on: RuntimeKind, flags: &[&str], words: &[&str]) -> Self {
        mock_model::must_listen();
        let world = World::on(on);
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/offline/agent-home");
        let made =
            Run::of(std::process::Command::new(home).arg(world.path("home")).arg(world.work()).args(flags), None);
        assert_eq!(made.code, 0, "{made:?}");
        let agent = Self { world, name };
        agent.add(name, on, words);
        agent
    }

    /// Declares another real agent in the same world.
    pub(crate) fn add(&self, name: &'static str, on: RuntimeKind, words: &[&str]) {
        let cwd = self.world.work();
        let cwd = cwd.to_str().expect("utf-8");
        let declaration = ["add", name, "--agent", name, "--runtime", on.as_str(), "--cwd", cwd, "--", name];
        let added = self.peer(&[&declaration[..], words].concat());
        assert!(added.starts_with(&format!("{name}: added")), "{added}");
    }

    /// Runs `peer` with the variables of `scripts/offline` that the agents need; it must succeed.
    pub(crate) fn peer(&self, args: &[&str]) -> String {
        let run = self.run(args);
        assert!(run.status.success(), "peer {args:?}: {run:?}\n{}", self.log());
        String::from_utf8(run.stdout).expect("utf-8")
    }

    pub(crate) fn run(&self, args: &[&str]) -> std::process::Output {
        ran(&mut self.command(args))
    }

    /// Runs `peer` without any account in its environment, as a timer or another shell does.
    pub(crate) fn run_elsewhere(&self, args: &[&str]) -> std::process::Output {
        let mut command = self.command(args);
        for account in ["ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_KEY"] {
            command.env_remove(account);
        }
        ran(&mut command)
    }

    /// The command of [`Agent::run`], not started yet.
    pub(crate) fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = self.world.command(args);
        let kept =
            ["ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_KEY", "DISABLE_AUTOUPDATER"];
        for (key, value) in kept.iter().filter_map(|key| Some((key, std::env::var_os(key)?))) {
            command.env(key, value);
        }
        command.env("PATH", std::env::var_os("PATH").expect("a PATH"));
        command
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.world.path("state/lifecycle.log")).unwrap_or_default()
    }

    /// Waits until the screen shows the model's answer, which says how many messages it was sent.
    pub(crate) fn remembers(&self, turns: usize, message: &str) {
        let answer = format!("turns={turns}: {message}");
        wait_until(&answer, || self.peer(&["screen", self.name]).contains(&answer));
    }

    /// Types a command in the pane, as a user does.
    pub(crate) fn type_by_hand(&self, command: &str) {
        self.world.press(self.name, &["-l", command]);
        let shows = || self.peer(&["screen", self.name]).contains(command);
        wait_until("the composer shows it", shows);
        // An Enter right after the text would become a part of it.
        std::thread::sleep(std::time::Duration::from_millis(500));
        self.world.press(self.name, &["Enter"]);
    }

    pub(crate) fn kill(&self) {
        signal(self.world.agent(self.name), Signal::SIGKILL);
        wait_for("its end on record", || {
            let end = self.world.file(self.name, "end");
            let end = std::fs::read_to_string(end).ok()?;
            end.contains("\"killed\"").then_some(())
        });
    }
}
