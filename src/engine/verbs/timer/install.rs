//! Carries a plan out, and takes it back.

use super::files::{Undo, remove};
use super::{Kind, Plan, crontab, words_of};
use crate::engine::{Engine, EngineError, Result};

impl Engine {
    /// Carries a plan out. Installing is idempotent: an older timer of this fleet, of whatever kind, is replaced.
    ///
    /// # Errors
    /// A file cannot be written, or the service manager refuses. The files are then as they were before; a
    /// launchd agent may be unloaded. Or an older timer of another kind cannot be removed: the new one is installed then.
    pub async fn timer_install(&self, plan: &Plan) -> Result<()> {
        let mut undo = Undo::default();
        if let Err(error) = self.carry_out_plan(plan, &mut undo).await {
            undo.all();
            if plan.kind == Kind::Systemd {
                // systemd forgets the removed files. If it does not answer, it never read them.
                let _ = self.run(&words_of("systemctl", &["--user", "daemon-reload"])).await;
            }
            return Err(self.with_way_out(plan.kind, error));
        }
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != plan.kind) {
            if self.timer_is(kind).await? {
                self.timer_remove(kind).await?;
            }
        }
        Ok(())
    }

    async fn carry_out_plan(&self, plan: &Plan, undo: &mut Undo) -> Result<()> {
        let before = if plan.kind == Kind::Cron { Some(crontab::read().await?) } else { None };
        for (path, text) in &plan.files {
            undo.write(path, text)?;
        }
        if let Some(before) = before {
            let after = self.cron_line().with(&before, plan.every)?;
            if after != before {
                crontab::write(&after).await?;
            }
        }
        if plan.kind == Kind::Launchd {
            // A loaded agent must be unloaded before it can be loaded again; an agent that is not loaded is not an
            // error.
            let _ = self.run(&launchd_bootout(&self.launchd_agent()?.name)).await;
        }
        if plan.kind == Kind::Systemd {
            undo.made_by_others(self.systemd_units()?.wanted());
        }
        for words in &plan.commands {
            self.run(words).await?;
        }
        Ok(())
    }

    /// Removes the timer of this fleet, and returns the kinds that were installed.
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

    pub(super) async fn timer_is(&self, kind: Kind) -> Result<bool> {
        match kind {
            Kind::Systemd => Ok(self.systemd_units().is_ok_and(|units| units.path("timer").exists())),
            Kind::Launchd => Ok(self.launchd_agent().is_ok_and(|agent| agent.path("plist").exists())),
            // Without the program there is no crontab.
            Kind::Cron if self.program("crontab").is_none() => Ok(false),
            Kind::Cron => Ok(self.cron_line().interval(&crontab::read().await?).is_some()),
        }
    }

    async fn timer_remove(&self, kind: Kind) -> Result<()> {
        match kind {
            Kind::Systemd => {
                let units = self.systemd_units()?;
                // If systemd does not run there is nothing to disable, and the files are removed anyway.
                let disable = ["--user", "disable", "--now", &units.name("timer")];
                let _ = self.run(&words_of("systemctl", &disable)).await;
                for path in [units.path("timer"), units.path("service"), units.wanted()] {
                    remove(&path)?;
                }
                let _ = self.run(&words_of("systemctl", &["--user", "daemon-reload"])).await;
                Ok(())
            }
            Kind::Launchd => {
                let agent = self.launchd_agent()?;
                let _ = self.run(&launchd_bootout(&agent.name)).await;
                remove(&agent.path("plist"))
            }
            Kind::Cron => {
                crontab::write(&self.cron_line().without(&crontab::read().await?)).await?;
                remove(&self.cron_script())
            }
        }
    }

    /// Adds a hint to the error of an installation.
    fn with_way_out(&self, kind: Kind, error: EngineError) -> EngineError {
        let EngineError::Declaration { what, problem, hint: None } = error else { return error };
        let by_cron = "or peer timer install --kind cron";
        let way_out = match kind {
            Kind::Systemd if self.manager_dir().is_none() => {
                let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
                let user = user.map_or_else(|| nix::unistd::geteuid().to_string(), |user| user.name);
                Some(format!(
                    "no systemd manager of {user} runs: log in as {user} (ssh, machinectl shell {user}@), or have root \
                     run loginctl enable-linger {user}, and install again; {by_cron}"
                ))
            }
            Kind::Systemd => Some(format!("systemctl --user status shows what your systemd manager does; {by_cron}")),
            Kind::Launchd | Kind::Cron => None,
        };
        EngineError::Declaration { what, problem, hint: way_out }
    }
}

fn launchd_bootout(label: &str) -> Vec<String> {
    words_of("launchctl", &["bootout", &format!("gui/{}/{label}", nix::unistd::geteuid())])
}
