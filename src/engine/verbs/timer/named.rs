//! The names of a fleet's timer, so that the timers of several fleets can coexist.
//!
//! A fleet keeps the name under which it was installed; the written files contain its state directory, which identifies
//! it. The first fleet has the plain name, any other one a name with a number derived from its state directory.

use std::path::{Path, PathBuf};

use peer_adapters::file;

use super::crontab::Line;
use super::{Engine, EngineError, Result, texts};
use crate::engine::observe::fleet_number;

/// The launchd label. Not `peer.NAME`, which identifies the user's own agent for one peer.
const LABEL: &str = "io.github.peer-cli.reap";

/// The systemd unit. Further fleets have a dot in the name, because `peer-NAME.service` identifies the user's own unit
/// for one peer.
const UNIT: &str = "peer";

/// Files with one name and several extensions.
#[derive(Clone, Debug)]
pub(super) struct Named {
    dir: PathBuf,
    pub(super) name: String,
}

impl Named {
    pub(super) fn name(&self, ending: &str) -> String {
        format!("{}.{ending}", self.name)
    }

    pub(super) fn path(&self, ending: &str) -> PathBuf {
        self.dir.join(self.name(ending))
    }

    /// Returns the link that makes systemd start the timer.
    pub(super) fn wanted(&self) -> PathBuf {
        self.dir.join("timers.target.wants").join(self.name("timer"))
    }

    /// Returns the plain name if its file belongs to this fleet (`is_ours`) or does not exist, else the numbered one.
    fn of(dir: &Path, plain: &str, fleet: &str, ending: &str, is_ours: impl Fn(&str) -> bool) -> Self {
        let [plain, own] =
            [plain.to_owned(), format!("{plain}.{fleet}")].map(|name| Self { dir: dir.to_owned(), name });
        let free = match file::read_to_string(&plain.path(ending), file::MOST) {
            Ok(text) => is_ours(&text),
            Err(error) => error.kind() == std::io::ErrorKind::NotFound && !own.path(ending).exists(),
        };
        if free { plain } else { own }
    }
}

impl Engine {
    fn fleet_number(&self) -> String {
        format!("{:08x}", fleet_number(self.state.root()) & u64::from(u32::MAX))
    }

    fn state_text(&self) -> String {
        self.state.root().to_string_lossy().into_owned()
    }

    /// Returns the service and timer units of this fleet.
    pub(super) fn systemd_units(&self) -> Result<Named> {
        let own = self.var("XDG_CONFIG_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        let dir = own.map_or_else(|| self.home().map(|home| home.join(".config")), Ok)?.join("systemd/user");
        let state = self.state_text();
        Ok(Named::of(&dir, UNIT, &self.fleet_number(), "service", |text| texts::is_service_of(text, &state)))
    }

    /// Returns the launchd agent of this fleet.
    pub(super) fn launchd_agent(&self) -> Result<Named> {
        let (dir, state) = (self.home()?.join("Library/LaunchAgents"), self.state_text());
        Ok(Named::of(&dir, LABEL, &self.fleet_number(), "plist", |text| texts::is_plist_of(text, &state)))
    }

    /// Returns the line of this fleet in the crontab.
    pub(super) fn cron_line(&self) -> Line {
        Line::new(&self.cron_script(), &self.fleet_number())
    }

    /// Returns the script that this line runs.
    pub(super) fn cron_script(&self) -> PathBuf {
        self.state.root().join("timer.sh")
    }

    fn home(&self) -> Result<PathBuf> {
        self.var("HOME").filter(|home| !home.is_empty()).map(PathBuf::from).ok_or_else(|| EngineError::Declaration {
            what: "timer".to_owned(),
            problem: "HOME is not set, so there is no place for its files".to_owned(),
            hint: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_first_fleet_has_the_plain_name_and_each_keeps_its_own() {
        let dir = tempfile::tempdir().expect("a directory");
        let of = |fleet: &str| {
            let mine = fleet.to_owned();
            Named::of(dir.path(), "peer", fleet, "service", move |text| text == mine)
        };
        let install = |fleet: &str| fs::write(of(fleet).path("service"), fleet).expect("written");
        assert_eq!(of("a").name, "peer");
        install("a");
        assert_eq!((of("a").name.as_str(), of("b").name.as_str()), ("peer", "peer.b"));
        install("b");
        fs::remove_file(of("a").path("service")).expect("ours");
        assert_eq!(
            (of("a").name.as_str(), of("b").name.as_str()),
            ("peer", "peer.b"),
            "it is installed under that name"
        );
        install("c");
        assert_eq!((of("c").name.as_str(), of("a").name.as_str()), ("peer", "peer.a"));
        assert!(of("b").wanted().ends_with("timers.target.wants/peer.b.timer"));
    }
}
