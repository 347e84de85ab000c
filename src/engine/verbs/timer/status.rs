//! Whether ticks run by themselves, judged by what runs and not only by files.

use std::path::PathBuf;
use std::time::Duration;

use peer_adapters::{file, process};
use serde::Serialize;

use super::{CRON_DAEMONS, Kind, crontab, texts, words_of};
use crate::engine::observe::process_id;
use crate::engine::{Engine, Result};
use crate::policy::time::Timestamp;

/// After this many intervals without a tick, the timer counts as not running: one tick may be late, and one may be
/// skipped.
const LATE_AFTER: u32 = 3;

/// Whether ticks run by themselves.
#[derive(Clone, Debug, Serialize)]
pub struct TimerStatus {
    /// The scheduler that runs them; `None` if nothing is installed.
    pub kind: Option<Kind>,
    /// The unit or agent that was installed, if it has a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Whether systemd reports its timer as active, or `false` if no cron daemon reads the crontab; `None` if that is
    /// unknown.
    pub active: Option<bool>,
    /// A running `peer watch`.
    pub watch: Option<Watching>,
    /// The time from one tick to the next, if that is known.
    pub every_s: Option<u64>,
    /// When the last tick began, however it was started.
    pub last_tick_at_ms: Option<Timestamp>,
    /// Its number.
    pub tick: Option<u64>,
    /// Whether ticks run: a timer was just installed, or it or a `peer watch` ticked within three intervals.
    pub alive: bool,
}

/// A running `peer watch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Watching {
    /// Its process.
    pub pid: u32,
    /// The time from one tick to the next.
    pub every_s: u64,
}

impl Engine {
    /// Determines whether ticks run by themselves.
    ///
    /// # Errors
    /// The crontab or the heartbeat cannot be read.
    pub async fn timer_status(&self) -> Result<TimerStatus> {
        let mut kind = None;
        for candidate in Kind::ALL {
            if self.timer_is(candidate).await? {
                kind = Some(candidate);
                break;
            }
        }
        let every = match kind {
            Some(kind) => self.timer_interval(kind).await?,
            None => None,
        };
        let beat = self.state.heartbeat()?;
        let last = beat.as_ref().map(|beat| beat.started_at_ms);
        let watch = beat.as_ref().and_then(|beat| beat.watch).filter(|watch| {
            // A process that cannot be observed is not reported as running.
            matches!(process::find(process_id(watch.process)), Ok(Some(_)))
        });
        let active = match kind {
            Some(Kind::Systemd) => self.timer_is_active().await,
            Some(Kind::Cron) => is_read(process::is_running(&CRON_DAEMONS).ok()),
            Some(Kind::Launchd) | None => None,
        };
        let now = self.now();
        let timer = every.is_some_and(|every| {
            let installed = kind.and_then(|kind| self.installed_at(kind));
            ticks(&Seen { every, last, installed, asked: kind == Some(Kind::Systemd), active }, now)
        });
        let watches = watch.is_some_and(|watch| is_recent(last, Duration::from_millis(watch.every_ms), now));
        let watch = watch.map(|watch| Watching { pid: watch.process.pid, every_s: watch.every_ms / 1000 });
        Ok(TimerStatus {
            kind,
            unit: kind.and_then(|kind| self.timer_unit(kind)),
            active,
            watch,
            every_s: every.map(|every| every.as_secs()).or(watch.filter(|_| kind.is_none()).map(|watch| watch.every_s)),
            last_tick_at_ms: last,
            tick: beat.map(|beat| beat.tick),
            alive: timer || watches,
        })
    }

    async fn timer_interval(&self, kind: Kind) -> Result<Option<Duration>> {
        let text = |path: PathBuf| file::read_to_string(&path, file::MOST).unwrap_or_default();
        Ok(match kind {
            Kind::Systemd => texts::interval_of_timer(&text(self.systemd_units()?.path("timer"))),
            Kind::Launchd => texts::interval_of_plist(&text(self.launchd_agent()?.path("plist"))),
            Kind::Cron => self.cron_line().interval(&crontab::read().await?),
        })
    }

    fn timer_unit(&self, kind: Kind) -> Option<String> {
        match kind {
            Kind::Systemd => Some(self.systemd_units().ok()?.name("timer")),
            Kind::Launchd => Some(self.launchd_agent().ok()?.name),
            Kind::Cron => None,
        }
    }

    /// Returns when its files were last written.
    fn installed_at(&self, kind: Kind) -> Option<Timestamp> {
        let path = match kind {
            Kind::Systemd => self.systemd_units().ok()?.path("timer"),
            Kind::Launchd => self.launchd_agent().ok()?.path("plist"),
            Kind::Cron => self.cron_script(),
        };
        path.metadata().ok()?.modified().ok().map(Timestamp::from)
    }

    /// # Source
    /// `systemctl(1)`, `is-active`: one word on stdout, and exit code 0 for an active unit; nothing but a message where
    /// the manager cannot be reached.
    async fn timer_is_active(&self) -> Option<bool> {
        let timer = self.systemd_units().ok()?.name("timer");
        let output = self.ask_manager(&words_of("systemctl", &["--user", "is-active", &timer])).await.ok()?;
        let said = String::from_utf8_lossy(&output.stdout);
        (!said.trim().is_empty()).then(|| output.status.success())
    }
}

impl TimerStatus {
    /// Returns what keeps an installed timer from ticking, if its scheduler says so or does not run.
    pub fn inactive(&self) -> Option<String> {
        let is_inactive = self.active == Some(false);
        match &self.unit {
            Some(unit) => is_inactive.then(|| format!("{unit} is not active")),
            None => (is_inactive && self.kind == Some(Kind::Cron)).then(|| "no cron daemon runs here".to_owned()),
        }
    }

    /// Returns what makes a crontab tick that nobody reads.
    pub fn unread(&self) -> Option<&'static str> {
        let is_unread = self.kind == Some(Kind::Cron) && self.active == Some(false);
        is_unread.then_some("start it (service cron start), or keep `peer watch` running")
    }
}

/// Whether a crontab is read: certainly not without a daemon, which need not be one of those that we know.
fn is_read(runs: Option<bool>) -> Option<bool> {
    runs.filter(|runs| !runs)
}

/// What is known about an installed timer.
struct Seen {
    every: Duration,
    last: Option<Timestamp>,
    installed: Option<Timestamp>,
    /// Whether its scheduler can report if it is active.
    asked: bool,
    active: Option<bool>,
}

/// Whether it ticks, or is about to tick for the first time.
fn ticks(seen: &Seen, now: Timestamp) -> bool {
    let is_known_to_run = !seen.asked || seen.active == Some(true);
    let is_new = is_known_to_run && is_recent(seen.installed, seen.every, now);
    seen.active != Some(false) && (is_recent(seen.last, seen.every, now) || is_new)
}

fn is_recent(at: Option<Timestamp>, every: Duration, now: Timestamp) -> bool {
    at.is_some_and(|at| now.since(at) <= every.saturating_mul(LATE_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_ticks_if_it_did_or_is_new_and_not_if_systemd_says_no() {
        let now = Timestamp::from_ms(1_795_305_600_000);
        let ago = |seconds: u64| Some(Timestamp::from_ms(now.as_ms() - seconds * 1000));
        for (last, installed, asked, active, expected) in [
            (None, ago(1), true, Some(true), true),
            (None, ago(1), false, None, true),
            (None, ago(1), true, None, false),
            (None, ago(1), true, Some(false), false),
            (None, ago(200), true, Some(true), false),
            (ago(100), ago(9000), true, Some(true), true),
            (ago(100), ago(9000), true, None, true),
            (ago(100), ago(9000), true, Some(false), false),
            (ago(200), ago(9000), true, Some(true), false),
            (ago(9000), ago(5), true, Some(true), true),
            (None, None, false, None, false),
            // A crontab without a daemon.
            (None, ago(1), false, is_read(Some(false)), false),
            (None, ago(1), false, is_read(Some(true)), true),
            (None, ago(1), false, is_read(None), true),
        ] {
            let seen = Seen { every: Duration::from_secs(60), last, installed, asked, active };
            assert_eq!(ticks(&seen, now), expected, "{last:?} {installed:?} {asked} {active:?}");
        }
    }
}
