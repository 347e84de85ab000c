//! `peer attach`: hand the terminal to the pane, waking the peer first; always by resuming.

use std::ffi::OsStr;
use std::path::Path;

use peer_adapters::command::{self, Argv};
use peer_adapters::runtime::RuntimeKind;

use super::deliver::Message;
use super::observe::target;
use super::runtimes::kind_of;
use super::{Engine, EngineError, Result};
use crate::policy::name::PeerName;
use crate::policy::wake::{Mode, WakeRequest};
use crate::store::SessionRecord;

/// How a terminal gets to a pane.
#[derive(Debug)]
pub enum Attach {
    /// By running this in the foreground.
    Run(Argv),
    /// It shows that very pane already.
    Here,
}

impl Engine {
    /// Wakes one peer where it is not awake, and tells how this terminal gets to its pane.
    ///
    /// # Errors
    /// As [`Engine::wake`]; never a silent fresh start.
    pub async fn attach(&self, name: &PeerName) -> Result<Attach> {
        let peer = self.peer(name)?;
        let request = WakeRequest { mode: Mode::Resume, ..WakeRequest::default() };
        self.wake(name, &request, &Message::default()).await?;
        let record = self.awake(&peer).await?;
        let inside = self.is_inside(&record)?;
        if inside && self.own_pane(kind_of(&record.place.runtime)?).as_ref() == Some(&record.place.pane) {
            return Ok(Attach::Here);
        }
        Ok(Attach::Run(self.runtime_of(&record.place)?.attach(&target(&record.place), inside).await?))
    }

    /// The pane that this command runs in, as the runtime's records name it.
    fn own_pane(&self, kind: RuntimeKind) -> Option<String> {
        let text = |key| self.var(key).and_then(|value| value.to_str()).map(str::to_owned);
        match kind {
            RuntimeKind::Tmux => text("TMUX_PANE"),
            RuntimeKind::Zellij => text("ZELLIJ_PANE_ID").map(|number| format!("terminal_{number}")),
        }
    }

    /// Whether this command itself runs in a pane of the server that the record names.
    fn is_inside(&self, record: &SessionRecord) -> Result<bool> {
        let server = match kind_of(&record.place.runtime)? {
            // TMUX=/path/of/socket,server-pid,session
            RuntimeKind::Tmux => {
                let tmux = self.var("TMUX").and_then(|value| value.to_str()).unwrap_or_default();
                let mut parts = tmux.rsplitn(3, ',').skip(1);
                let pid = parts.next().and_then(|pid| pid.parse().ok());
                let same = record.place.server_process.is_none_or(|recorded| Some(recorded.pid) == pid);
                parts.next().filter(|_| same).map(Path::new)
            }
            RuntimeKind::Zellij => self.var("ZELLIJ").and(self.var("ZELLIJ_SOCKET_DIR")).map(OsStr::new).map(Path::new),
        };
        Ok(server.is_some_and(|server| server == record.place.server))
    }
}

/// Runs an attach in the foreground until the person detaches or the pane ends.
///
/// # Errors
/// The runtime's client cannot be started.
pub fn run(argv: &Argv) -> Result<std::process::ExitStatus> {
    command::run_in_foreground(argv).map_err(|source| EngineError::Io {
        action: "run",
        path: argv.program.clone(),
        source,
    })
}
