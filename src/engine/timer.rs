//! `peer timer`: have `peer reap` run by whatever runs things here, with the environment that it needs.
//!
//! A plan is made first and can be shown: which files would be written, and which commands run. Nothing of the person's
//! own is touched: the files are ours, and a crontab is changed only between our own two marker lines.

mod crontab;
mod texts;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use peer_adapters::command::{self, Argv};
use peer_adapters::file;
use serde::{Deserialize, Serialize};

use super::{Engine, EngineError, Result};
use crate::policy::time::Timestamp;

/// How long a service manager or `crontab` may take to answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// So many intervals without a tick mean that the timer does not run: one may be late, and one may be skipped.
const LATE_AFTER: u32 = 3;

/// Who runs the ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A timer of the user's systemd.
    Systemd,
    /// An agent of launchd.
    Launchd,
    /// A line in the user's crontab.
    Cron,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Systemd, Self::Launchd, Self::Cron];

    /// The name that a person types.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Launchd => "launchd",
            Self::Cron => "cron",
        }
    }
}

/// What an installation consists of.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// Who will run the ticks.
    pub kind: Kind,
    /// Files of ours, with their content.
    pub files: Vec<(PathBuf, String)>,
    /// The lines that go into the crontab, markers included.
    pub crontab: Option<String>,
    /// Commands to run afterwards, in order.
    pub commands: Vec<Vec<String>>,
    /// What a person should know before relying on it.
    pub notes: Vec<String>,
}

/// Whether ticks come by themselves.
#[derive(Clone, Debug, Serialize)]
pub struct TimerStatus {
    /// Who runs them; none where nothing is installed.
    pub kind: Option<Kind>,
    /// From one tick to the next, where that is known.
    pub every_s: Option<u64>,
    /// When the last tick began, whoever asked for it.
    pub last_tick_at_ms: Option<Timestamp>,
    /// Its number.
    pub tick: Option<u64>,
    /// A timer is installed, and it ticked within three intervals.
    pub alive: bool,
}

impl Engine {
    /// What would be written and run for a tick `every` so often; writes nothing.
    ///
    /// # Errors
    /// Nothing here runs timers, or cron cannot count the interval.
    pub fn timer_plan(&self, kind: Option<Kind>, every: Duration) -> Result<Plan> {
        let kind = kind.map_or_else(|| self.timer_kind(), Ok)?;
        let world = self.timer_world()?;
        match kind {
            Kind::Systemd => {
                let dir = self.systemd_dir()?;
                Ok(Plan {
                    kind,
                    files: vec![
                        (dir.join("peer.service"), texts::service(&world)),
                        (dir.join("peer.timer"), texts::timer(every)),
                    ],
                    crontab: None,
                    commands: [&["daemon-reload"][..], &["enable", "peer.timer"], &["restart", "peer.timer"]]
                        .map(|words| words_of("systemctl", &[&["--user"], words].concat()))
                        .into(),
                    notes: self.lingering_note(),
                })
            }
            Kind::Launchd => {
                let path = self.launchd_plist()?;
                let domain = format!("gui/{}", nix::unistd::geteuid());
                let bootstrap = words_of("launchctl", &["bootstrap", &domain, &path.display().to_string()]);
                Ok(Plan {
                    kind,
                    files: vec![(path, texts::plist(&world, every))],
                    crontab: None,
                    commands: vec![bootstrap],
                    notes: Vec::new(),
                })
            }
            Kind::Cron => {
                let script = self.state.root().join("timer.sh");
                let block = crontab::block(&script, every)?;
                Ok(Plan {
                    kind,
                    files: vec![(script, texts::script(&world))],
                    crontab: Some(block),
                    commands: Vec::new(),
                    notes: Vec::new(),
                })
            }
        }
    }

    /// Carries a plan out. Installing twice is installing once: an older one of ours, of whatever kind, goes first.
    ///
    /// # Errors
    /// A file cannot be written, or the service manager refuses; what was written before stays and is written again.
    pub async fn timer_install(&self, plan: &Plan) -> Result<()> {
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != plan.kind) {
            if self.timer_is(kind).await? {
                self.timer_remove(kind).await?;
            }
        }
        for (path, text) in &plan.files {
            write(path, text)?;
        }
        if let Some(block) = &plan.crontab {
            let before = crontab::read().await?;
            let after = crontab::with(&before, block);
            if after != before {
                crontab::write(&after).await?;
            }
        }
        if plan.kind == Kind::Launchd {
            // One that is loaded already must go before it can be loaded anew; one that is not is no error.
            let _ = run(&launchd_bootout()).await;
        }
        for words in &plan.commands {
            run(words).await?;
        }
        Ok(())
    }

    /// Takes every timer of ours away and returns of which kinds there were any.
    ///
    /// # Errors
    /// A file or the crontab cannot be changed.
    pub async fn timer_uninstall(&self) -> Result<Vec<Kind>> {
        let mut removed = Vec::new();
        for kind in Kind::ALL {
            if self.timer_is(kind).await? {
                self.timer_remove(kind).await?;
                removed.push(kind);
            }
        }
        Ok(removed)
    }

    /// Whether ticks come by themselves.
    ///
    /// # Errors
    /// The crontab or the heartbeat cannot be read.
    pub async fn timer_status(&self) -> Result<TimerStatus> {
        let mut found = None;
        for kind in Kind::ALL {
            if self.timer_is(kind).await? {
                found = Some(kind);
                break;
            }
        }
        let every = match found {
            Some(kind) => self.timer_interval(kind).await?,
            None => None,
        };
        let beat = self.state.heartbeat()?;
        let last = beat.as_ref().map(|beat| beat.started_at_ms);
        let recent = |every: Duration| last.is_some_and(|last| self.now().since(last) <= every * LATE_AFTER);
        Ok(TimerStatus {
            kind: found,
            every_s: every.map(|every| every.as_secs()),
            last_tick_at_ms: last,
            tick: beat.map(|beat| beat.tick),
            alive: every.is_some_and(recent),
        })
    }

    async fn timer_is(&self, kind: Kind) -> Result<bool> {
        match kind {
            Kind::Systemd => Ok(self.systemd_dir().is_ok_and(|dir| dir.join("peer.timer").exists())),
            Kind::Launchd => Ok(self.launchd_plist().is_ok_and(|path| path.exists())),
            // Without the program there is no crontab to be in.
            Kind::Cron if self.program("crontab").is_none() => Ok(false),
            Kind::Cron => Ok(crontab::interval(&crontab::read().await?).is_some()),
        }
    }

    async fn timer_interval(&self, kind: Kind) -> Result<Option<Duration>> {
        let text = |path: PathBuf| file::read_to_string(&path, file::MOST).unwrap_or_default();
        Ok(match kind {
            Kind::Systemd => texts::interval_of_timer(&text(self.systemd_dir()?.join("peer.timer"))),
            Kind::Launchd => texts::interval_of_plist(&text(self.launchd_plist()?)),
            Kind::Cron => crontab::interval(&crontab::read().await?),
        })
    }

    async fn timer_remove(&self, kind: Kind) -> Result<()> {
        match kind {
            Kind::Systemd => {
                // Where systemd does not run there is nothing to disable, and the files go all the same.
                let _ = run(&words_of("systemctl", &["--user", "disable", "--now", "peer.timer"])).await;
                let dir = self.systemd_dir()?;
                remove(&dir.join("peer.timer"))?;
                remove(&dir.join("peer.service"))?;
                let _ = run(&words_of("systemctl", &["--user", "daemon-reload"])).await;
                Ok(())
            }
            Kind::Launchd => {
                let _ = run(&launchd_bootout()).await;
                remove(&self.launchd_plist()?)
            }
            Kind::Cron => {
                crontab::write(&crontab::without(&crontab::read().await?)).await?;
                remove(&self.state.root().join("timer.sh"))
            }
        }
    }

    /// Who runs things here: launchd on macOS, the user's systemd where it is up, else cron where it is installed.
    fn timer_kind(&self) -> Result<Kind> {
        if cfg!(target_os = "macos") {
            return Ok(Kind::Launchd);
        }
        let runtime_dir = self.var("XDG_RUNTIME_DIR").map(PathBuf::from);
        let runtime_dir = runtime_dir.unwrap_or_else(|| format!("/run/user/{}", nix::unistd::geteuid()).into());
        // The socket of the user's manager: systemd may run the machine and not this user.
        if runtime_dir.join("systemd/private").exists() && self.program("systemctl").is_some() {
            return Ok(Kind::Systemd);
        }
        if self.program("crontab").is_some() {
            return Ok(Kind::Cron);
        }
        Err(EngineError::Declaration {
            what: "timer".to_owned(),
            problem: "neither systemd nor cron runs things for you here".to_owned(),
            hint: Some("install cron, or keep `peer watch` running".to_owned()),
        })
    }

    fn program(&self, name: &str) -> Option<PathBuf> {
        command::resolve(OsStr::new(name), self.var("PATH").map(std::ffi::OsString::as_os_str), Path::new("/")).ok()
    }

    /// What a tick needs to know and a bare environment does not tell.
    fn timer_world(&self) -> Result<texts::World> {
        let text = |value: &OsStr| {
            value.to_str().map(str::to_owned).ok_or_else(|| EngineError::Declaration {
                what: "timer".to_owned(),
                problem: format!("{} is not UTF-8, and no timer could carry it", value.to_string_lossy()),
                hint: None,
            })
        };
        let mut env = Vec::new();
        for (key, value) in &self.env {
            let Some(key) = key.to_str() else { continue };
            // Of a pane: whoever installs from inside one is not whom the ticks are about.
            let of_a_pane = matches!(key, "PEER_NAME" | "PEER_INCARNATION" | "PEER_STATE_DIR" | "PEER_CONFIG_DIR");
            let wanted = matches!(key, "PATH" | "LANG" | "LC_ALL" | "LC_CTYPE" | "TMUX_TMPDIR" | "XDG_RUNTIME_DIR");
            if wanted || (key.starts_with("PEER_") && !of_a_pane) {
                env.push((key.to_owned(), text(value)?));
            }
        }
        env.push(("PEER_STATE_DIR".to_owned(), text(self.state.root().as_os_str())?));
        env.push(("PEER_CONFIG_DIR".to_owned(), text(self.config.root().as_os_str())?));
        env.sort();
        Ok(texts::World { executable: text(self.executable.as_os_str())?, env })
    }

    fn home(&self) -> Result<PathBuf> {
        self.var("HOME").filter(|home| !home.is_empty()).map(PathBuf::from).ok_or_else(|| EngineError::Declaration {
            what: "timer".to_owned(),
            problem: "HOME is not set, so there is no place for its files".to_owned(),
            hint: None,
        })
    }

    fn systemd_dir(&self) -> Result<PathBuf> {
        let own = self.var("XDG_CONFIG_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        Ok(own.map_or_else(|| self.home().map(|home| home.join(".config")), Ok)?.join("systemd/user"))
    }

    fn launchd_plist(&self) -> Result<PathBuf> {
        Ok(self.home()?.join(format!("Library/LaunchAgents/{}.plist", texts::LABEL)))
    }

    /// # Source
    /// logind: `/var/lib/systemd/linger/USER` exists for a user whose manager outlives the last login.
    pub(super) fn lingering_note(&self) -> Vec<String> {
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
        let lingers = user.as_ref().is_some_and(|user| Path::new("/var/lib/systemd/linger").join(&user.name).exists());
        let cure =
            "ticks and the agents that they start end with your last login; `loginctl enable-linger` lets them stay";
        if lingers { Vec::new() } else { vec![cure.to_owned()] }
    }
}

fn words_of(program: &str, words: &[&str]) -> Vec<String> {
    std::iter::once(program).chain(words.iter().copied()).map(str::to_owned).collect()
}

fn launchd_bootout() -> Vec<String> {
    words_of("launchctl", &["bootout", &format!("gui/{}/{}", nix::unistd::geteuid(), texts::LABEL)])
}

/// Runs a command to its end.
async fn run(words: &[String]) -> Result<()> {
    let (program, rest) = words.split_first().expect("a plan's commands have a program");
    let failed = |problem| EngineError::Declaration { what: words.join(" "), problem, hint: None };
    match command::run(&Argv::new(program).args(rest), None, DEADLINE).await {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(failed(output.summary())),
        Err(error) => Err(failed(error.to_string())),
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    let failed = |source| EngineError::Io { action: "write", path: path.to_owned(), source };
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(failed)?;
    }
    std::fs::write(path, text).map_err(failed)
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(EngineError::Io { action: "remove", path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}
