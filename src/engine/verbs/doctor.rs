//! `peer doctor`: checks everything that a fleet depends on, and gives a cure with each finding. It changes nothing
//! unless it is asked to make the harmless repairs.

mod fleet;
mod machine;
mod peers;
mod programs;
mod skew;
mod trial;

use serde::Serialize;

use crate::engine::peer::environment::Environment;
use crate::engine::verbs::timer::{Kind, TimerStatus};
use crate::engine::{Engine, Result};

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// Will do harm one day.
    Warning,
    /// Does not work.
    Broken,
}

impl Level {
    /// Returns the word that is shown on the screen.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Broken => "broken",
        }
    }
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The severity.
    pub level: Level,
    /// What it is about: `state`, `tmux`, `timer`, a peer's name …
    pub about: String,
    /// What was found.
    pub what: String,
    /// The command to run, or what to change.
    pub cure: Option<String>,
}

impl Finding {
    fn new(level: Level, about: impl Into<String>, what: impl Into<String>) -> Self {
        Self { level, about: about.into(), what: what.into(), cure: None }
    }

    fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(cure.into());
        self
    }
}

impl Engine {
    /// Checks directories, programs, peers, servers and the timer. Blocks for a few probe deadlines at most. `shell` is
    /// the environment of the user's shell, if this engine checks with another one (cron's); each peer's findings then
    /// include what a wake from that other environment would lack.
    ///
    /// # Errors
    /// The directory of specs cannot be listed; everything else that fails is a finding.
    pub async fn doctor(&self, shell: Option<&Environment>) -> Result<Vec<Finding>> {
        let mut found = machine::look(self);
        found.extend(programs::look(self).await?);
        found.extend(fleet::look(self, shell).await?);
        found.extend(match self.timer_status().await {
            Ok(status) => self.timer_findings(&status),
            Err(error) => vec![Finding::new(Level::Warning, "timer", error.to_string())],
        });
        Ok(found)
    }

    /// Makes the repairs that cannot harm anything alive: servers that cannot be reached are made to listen again.
    /// Returns what was done, and what failed.
    ///
    /// # Errors
    /// As [`Engine::doctor`].
    pub async fn mend(&self) -> Result<Vec<Finding>> {
        fleet::reach(self).await
    }

    fn timer_findings(&self, status: &TimerStatus) -> Vec<Finding> {
        let ago = status.last_tick_at_ms.map(|at| self.now().since(at).as_secs());
        let last =
            ago.map_or_else(|| "there was no tick yet".to_owned(), |ago| format!("the last tick was {ago} s ago"));
        let watch = status.watch.map(|watch| format!("peer watch (process {}) every {} s", watch.pid, watch.every_s));
        let Some(kind) = status.kind else {
            let Some(watch) = watch.filter(|_| status.alive) else {
                let what =
                    format!("none is installed, so nothing is parked, restarted or cleaned up automatically; {last}");
                let cure = "peer timer install, or keep `peer watch` running";
                return vec![Finding::new(Level::Warning, "timer", what).cure(cure)];
            };
            return vec![Finding::new(Level::Ok, "timer", format!("{watch}; {last}"))];
        };
        let every = status.every_s.map_or_else(String::new, |every| format!(" every {every} s"));
        let watch = watch.map_or_else(String::new, |watch| format!(", and {watch}"));
        let inactive = status.inactive().map_or_else(String::new, |inactive| format!("; {inactive}"));
        let what = format!("{}{every}{watch}{inactive}; {last}", kind.as_str());
        let unit = status.unit.as_deref().unwrap_or_default();
        let mut found = vec![if status.alive && inactive.is_empty() {
            Finding::new(Level::Ok, "timer", what)
        } else {
            let log = match kind {
                Kind::Systemd if !inactive.is_empty() => format!("systemctl --user enable --now {unit}"),
                Kind::Systemd => format!("systemctl --user status {unit} {}", unit.replace(".timer", ".service")),
                Kind::Launchd => format!("launchctl print gui/$UID/{unit}"),
                Kind::Cron if status.unread().is_some() => status.unread().unwrap_or_default().to_owned(),
                Kind::Cron => "check that the cron daemon is running; peer timer install rewrites the line".to_owned(),
            };
            let level = if status.alive || status.unread().is_some() { Level::Warning } else { Level::Broken };
            Finding::new(level, "timer", what).cure(log)
        }];
        if kind == Kind::Systemd {
            found.extend(self.lingering_note().into_iter().map(|note| Finding::new(Level::Warning, "timer", note)));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Progress;

    struct Nobody;

    impl Progress for Nobody {
        fn waiting(&self, _: &str, _: std::time::Duration, _: std::time::Duration) {}
        fn notice(&self, _: &str) {}
    }

    #[test]
    fn a_crontab_that_nobody_reads_is_a_warning_with_its_way_out() {
        let dir = tempfile::tempdir().expect("a directory");
        let (state, config) = (dir.path().join("state"), dir.path().join("config"));
        let engine = Engine::open(state, config, "/bin/true".into(), Box::new(Nobody)).expect("an engine");
        let status = TimerStatus {
            kind: Some(Kind::Cron),
            unit: None,
            active: Some(false),
            watch: None,
            every_s: Some(60),
            last_tick_at_ms: None,
            tick: None,
            alive: false,
        };
        let [found] = &engine.timer_findings(&status)[..] else { panic!("one finding") };
        assert_eq!(found.level, Level::Warning);
        assert_eq!(found.what, "cron every 60 s; no cron daemon runs here; there was no tick yet");
        assert_eq!(found.cure.as_deref(), Some("start it (service cron start), or keep `peer watch` running"));
    }
}
