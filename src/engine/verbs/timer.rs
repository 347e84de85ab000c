//! `peer timer`: has `peer reap` run by the machine's own scheduler, with the environment that it needs.
//!
//! A plan is made first and can be shown: the files to write, and the commands to run. Nothing of the user's own is
//! changed: the files belong to `peer`, and a crontab is changed only between two marker lines.

mod crontab;
mod files;
mod install;
mod named;
mod status;
mod texts;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use peer_adapters::command::{self, Argv, Output};
use peer_adapters::transcript::SAID;
use peer_adapters::{process, systemd};
use serde::{Deserialize, Serialize};

use crate::engine::{Engine, EngineError, Result};
pub use status::TimerStatus;
use texts::World;

/// How long a service manager or `crontab` may take to answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// The scheduler that runs the ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A timer of the user's systemd.
    Systemd,
    /// A launchd agent.
    Launchd,
    /// A line in the user's crontab.
    Cron,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Systemd, Self::Launchd, Self::Cron];

    /// Returns the name that the user types.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Launchd => "launchd",
            Self::Cron => "cron",
        }
    }
}

/// The parts of an installation.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The scheduler that will run the ticks.
    pub kind: Kind,
    /// Files that `peer` manages, with their content.
    pub files: Vec<(PathBuf, String)>,
    /// The lines that go into the crontab, markers included.
    pub crontab: Option<String>,
    /// Commands to run afterwards, in order.
    pub commands: Vec<Vec<String>>,
    /// What the user should know before relying on it.
    pub notes: Vec<String>,
    /// The time from one tick to the next.
    #[serde(skip)]
    every: Duration,
}

/// Returns a crontab without the line of a fleet's ticks, and that line's interval if it was there.
pub fn crontab_without(text: &str, script: &Path, fleet: &str) -> (String, Option<Duration>) {
    let line = crontab::Line::new(script, fleet);
    (line.without(text), line.interval(text))
}

impl Engine {
    /// Returns what would be written and run for a tick at this interval; writes nothing.
    ///
    /// # Errors
    /// Nothing here runs timers, or cron cannot express the interval.
    pub fn timer_plan(&self, kind: Option<Kind>, every: Duration) -> Result<Plan> {
        let kind = kind.map_or_else(|| self.timer_kind(), Ok)?;
        let world = self.timer_world(kind)?;
        let mut plan = Plan { kind, files: Vec::new(), crontab: None, commands: Vec::new(), notes: Vec::new(), every };
        match kind {
            Kind::Systemd => {
                let units = self.systemd_units()?;
                plan.files = vec![
                    (units.path("service"), texts::service(&world)),
                    (units.path("timer"), texts::timer(&world, every)),
                ];
                let timer = units.name("timer");
                plan.commands = [&["daemon-reload"][..], &["enable", &timer], &["restart", &timer]]
                    .map(|words| words_of("systemctl", &[&["--user"], words].concat()))
                    .into();
                plan.notes = self.lingering_note();
            }
            Kind::Launchd => {
                let agent = self.launchd_agent()?;
                let path = agent.path("plist");
                let domain = format!("gui/{}", nix::unistd::geteuid());
                plan.commands = vec![words_of("launchctl", &["bootstrap", &domain, &path.display().to_string()])];
                plan.files = vec![(path, texts::plist(&world, &agent.name, every))];
            }
            Kind::Cron => {
                // Beside the line of another fleet it has other markers, which are chosen during the installation.
                plan.crontab = Some(self.cron_line().block("", every)?);
                plan.files = vec![(self.cron_script(), texts::script(&world))];
                // If the kernel cannot be queried, there is no note.
                plan.notes = cron_note(process::is_running(&CRON_DAEMONS).unwrap_or(true));
            }
        }
        Ok(plan)
    }

    /// As [`Engine::timer_plan`], with the markers for the current crontab, if that can be read.
    ///
    /// # Errors
    /// As [`Engine::timer_plan`].
    pub async fn timer_shown(&self, kind: Option<Kind>, every: Duration) -> Result<Plan> {
        let mut plan = self.timer_plan(kind, every)?;
        if plan.kind == Kind::Cron
            && let Ok(text) = crontab::read().await
        {
            plan.crontab = Some(self.cron_line().block(&text, every)?);
        }
        Ok(plan)
    }

    /// Returns the scheduler of this machine: launchd on macOS, the user's systemd if it runs, else cron if it is
    /// installed.
    fn timer_kind(&self) -> Result<Kind> {
        if cfg!(target_os = "macos") {
            return Ok(Kind::Launchd);
        }
        // systemd may run the machine without running a manager for this user.
        if self.manager_dir().is_some() && self.program("systemctl").is_some() {
            return Ok(Kind::Systemd);
        }
        if self.program("crontab").is_some() {
            return Ok(Kind::Cron);
        }
        Err(EngineError::Declaration {
            what: "timer".to_owned(),
            problem: "neither systemd nor cron is available to you here".to_owned(),
            hint: Some("install cron, or keep `peer watch` running".to_owned()),
        })
    }

    /// Returns the runtime directory of this user's systemd manager, also in a shell started by `su` or `sudo`.
    pub(crate) fn manager_dir(&self) -> Option<PathBuf> {
        systemd::runtime_dir(self.var("XDG_RUNTIME_DIR").map(OsString::as_os_str))
    }

    fn program(&self, name: &str) -> Option<PathBuf> {
        command::resolve(OsStr::new(name), self.var("PATH").map(OsString::as_os_str), Path::new("/")).ok()
    }

    /// Returns what a tick needs and a bare environment lacks.
    fn timer_world(&self, kind: Kind) -> Result<World> {
        let text = |value: &OsStr| {
            value.to_str().map(str::to_owned).ok_or_else(|| EngineError::Declaration {
                what: "timer".to_owned(),
                problem: format!("{} is not UTF-8, so it cannot be written to a timer", value.to_string_lossy()),
                hint: None,
            })
        };
        let mut env = Vec::new();
        for (key, value) in &self.env {
            let Some(key) = key.to_str() else { continue };
            // Variables of a pane: the installing shell may be in one, but the ticks are not about that peer.
            let of_a_pane =
                matches!(key, "PEER_NAME" | "PEER_INCARNATION" | "PEER_STATE_DIR" | "PEER_CONFIG_DIR" | SAID);
            let wanted = matches!(key, "PATH" | "LANG" | "LC_ALL" | "LC_CTYPE" | "TMUX_TMPDIR");
            if wanted || (key.starts_with("PEER_") && !of_a_pane) {
                env.push((key.to_owned(), text(value)?));
            }
        }
        // systemd sets this for its services itself, and another user's value (`su`) is useless.
        if let Some(dir) = self.manager_dir().filter(|_| kind != Kind::Systemd) {
            env.push(("XDG_RUNTIME_DIR".to_owned(), text(dir.as_os_str())?));
        }
        let state = text(self.state.root().as_os_str())?;
        env.push(("PEER_STATE_DIR".to_owned(), state.clone()));
        env.push(("PEER_CONFIG_DIR".to_owned(), text(self.config.root().as_os_str())?));
        env.sort();
        Ok(World { executable: text(self.executable.as_os_str())?, env, state })
    }

    /// # Source
    /// logind: a user whose manager outlives the last login lingers.
    pub(crate) fn lingering_note(&self) -> Vec<String> {
        let cure =
            "ticks and the agents that they start end with your last login; `loginctl enable-linger` lets them stay";
        if systemd::lingers(nix::unistd::geteuid().as_raw()) { Vec::new() } else { vec![cure.to_owned()] }
    }

    /// Runs a command to its end; a systemd command gets the variables by which it finds the user's manager.
    async fn run(&self, words: &[String]) -> Result<()> {
        let output = self.ask_manager(words).await?;
        if output.status.success() { Ok(()) } else { Err(failed(words, output.summary())) }
    }

    async fn ask_manager(&self, words: &[String]) -> Result<Output> {
        let (program, rest) = words.split_first().expect("a plan's commands have a program");
        let mut argv = Argv::new(program).args(rest);
        if let Some(dir) = self.manager_dir().filter(|dir| self.var("XDG_RUNTIME_DIR").is_none_or(|own| own != dir)) {
            // The inherited bus address is another user's too.
            argv = argv.env("XDG_RUNTIME_DIR", dir).env_remove("DBUS_SESSION_BUS_ADDRESS");
        }
        command::run(&argv, None, DEADLINE).await.map_err(|error| failed(words, error.to_string()))
    }
}

/// Names of the programs that read crontabs (Debian's, Red Hat's cronie, Alpine's and others').
const CRON_DAEMONS: [&str; 5] = ["cron", "crond", "fcron", "dcron", "bcron-start"];

/// Returns a note if no cron daemon runs, because a crontab alone does nothing.
fn cron_note(runs: bool) -> Vec<String> {
    let cure = "no cron daemon runs here, and nothing ticks before one does: start it (service cron start), or keep \
                `peer watch` running";
    if runs { Vec::new() } else { vec![cure.to_owned()] }
}

fn words_of(program: &str, words: &[&str]) -> Vec<String> {
    std::iter::once(program).chain(words.iter().copied()).map(str::to_owned).collect()
}

fn failed(words: &[String], problem: String) -> EngineError {
    EngineError::Declaration { what: words.join(" "), problem, hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crontab_that_nobody_reads_is_told() {
        assert!(cron_note(true).is_empty());
        assert!(cron_note(false)[0].contains("no cron daemon runs here"));
        // The test process has a name.
        let comm = std::fs::read_to_string("/proc/self/comm").unwrap_or_default();
        assert!(process::is_running(&[comm.trim()]).unwrap_or(true));
        assert!(!process::is_running(&["no-such-name"]).unwrap_or(false));
    }
}
