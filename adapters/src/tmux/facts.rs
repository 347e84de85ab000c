//! What holds for every tmux, without asking one.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Tmux;
use crate::command::Argv;
use crate::runtime::{Facts, Runtime, RuntimeError, Setup, Supported, SurroundingServer, Variables};

/// What [`RuntimeKind::facts`](crate::runtime::RuntimeKind::facts) returns for tmux.
pub(crate) static FACTS: TmuxFacts = TmuxFacts;

/// [`Facts`] about tmux.
pub(crate) struct TmuxFacts;

impl Facts for TmuxFacts {
    /// # Source
    /// 3.1c does not know `-N`. The newest was the development version of 3.8.
    fn supported(&self) -> Supported {
        Supported { oldest: "3.2", newest: [3, 8, 0], flag: "-V" }
    }

    /// # Source
    /// Each of 3.2a, 3.3a, 3.4, 3.5a, 3.6a, 3.7c and the development version against each other. The header of a
    /// message changed in 3.6, under the same protocol number: an older client is cut off by a newer server (`server
    /// exited unexpectedly`), and a newer one cannot hand its terminal to an older server (`open terminal failed: not a
    /// terminal`).
    fn protocol(&self, version: [u32; 3]) -> [u32; 3] {
        [u32::from(version >= [3, 6, 0]), 0, 0]
    }

    /// # Source
    /// tmux 3.3a: `paste-buffer` into a dead pane ended the server with all its sessions; the fix (tmux PR 3830) is in
    /// 3.4.
    fn known_problem(&self, version: &str) -> Option<(&'static str, &'static str)> {
        version.strip_prefix("tmux ")?.starts_with("3.3").then_some((
            "pasting into a dead pane crashes the server; this program checks first, other tools may not",
            "tmux 3.4 has the fix",
        ))
    }

    fn open(&self, setup: Setup) -> Arc<dyn Runtime> {
        Arc::new(Tmux::new(setup.binary, setup.configuration, setup.deadline).with_versions(setup.versions))
    }

    fn configuration(&self) -> Option<(&'static str, &'static str)> {
        Some(("tmux.conf", Tmux::CONFIG))
    }

    fn shares_server(&self) -> bool {
        true
    }

    fn address(&self, _base: &Path, named: &str, _session: &str) -> Result<PathBuf, RuntimeError> {
        Ok(if Path::new(named).is_absolute() { named.into() } else { Tmux::default_socket(named) })
    }

    /// tmux would fall back to another directory, while the server that listened in that one may be alive.
    fn vanished_address(&self, named: &str, of: Variables<'_>) -> Option<PathBuf> {
        if Path::new(named).is_absolute() {
            return None;
        }
        let dir = of("TMUX_TMPDIR").map(PathBuf::from).filter(|dir| dir.is_absolute() && !dir.exists())?;
        Some(Tmux::socket_in(&dir, named))
    }

    fn pane_around(&self, of: Variables<'_>) -> Option<String> {
        of("TMUX_PANE")?.into_string().ok()
    }

    /// `TMUX` is `socket,server pid,session number`; the path may contain a comma.
    fn server_around(&self, of: Variables<'_>) -> Option<SurroundingServer> {
        let value = of("TMUX")?.into_string().ok().filter(|value| !value.is_empty())?;
        let mut parts = value.rsplitn(3, ',').skip(1);
        let pid = parts.next()?.parse().ok()?;
        Some(SurroundingServer { address: Some(parts.next()?.into()), pid: Some(pid), session: None })
    }

    fn sets(&self, variable: &str) -> bool {
        matches!(variable, "COLORTERM" | "TERM" | "TERM_PROGRAM" | "TERM_PROGRAM_VERSION" | "TMUX" | "TMUX_PANE")
    }

    fn window(
        &self,
        of: Variables<'_>,
        binary: &Path,
        title: &str,
        passed: &[(&OsStr, &OsStr)],
        program: &Argv,
    ) -> Option<Argv> {
        let socket = self.server_around(of)?.address?;
        let mut open = Argv::new(binary).arg("-S").arg(socket).args(["new-window", "-n", title]);
        for (key, value) in passed {
            let mut pair = OsString::from(key);
            pair.push("=");
            pair.push(value);
            open = open.arg("-e").arg(pair);
        }
        Some(open.arg("--").arg(&program.program).args(&program.args))
    }

    fn reconnect_command(&self, pid: u32) -> Option<String> {
        Some(format!("kill -USR1 {pid}"))
    }

    fn close_command(&self, server: &Path, pane: &str) -> Option<String> {
        Some(format!("tmux -S {} kill-pane -t {pane}", server.display()))
    }
}
