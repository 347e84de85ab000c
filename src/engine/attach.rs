//! `peer attach`: hand the terminal to the pane, waking the peer first; always by resuming.

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use peer_adapters::command::{self, Argv};
use peer_adapters::runtime::RuntimeKind;

use super::deliver::Message;
use super::observe::target;
use super::runtimes::kind_of;
use super::wake::Live;
use super::{Engine, EngineError, Peer, Result};
use crate::policy::axis::Axis;
use crate::policy::ending::Incarnation;
use crate::policy::name::PeerName;
use crate::policy::wake::{Mode, WakeRequest};
use crate::store::SessionRecord;

/// How often a client that zellij cut off at once is started again. Each time is one more line that a person reads where the
/// client has a reason of its own to fail.
const RETRIES: u32 = 2;

/// A client that fails later than this was there for a while, and its end is the person's to read. One that was cut off ends
/// within 200 ms on an idle machine.
const AT_ONCE: Duration = Duration::from_secs(3);

/// Before it is started again: a server needs some 10 ms to notice that a client is gone, and cuts off who comes meanwhile.
const SETTLE: Duration = Duration::from_millis(200);

/// How a terminal gets to a pane.
#[derive(Debug)]
pub enum Attach {
    /// By running this in the foreground, for as long as that incarnation lives.
    Run(Argv, Incarnation),
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
        let argv = self.runtime_of(&record.place)?.attach(&target(&record.place), inside).await?;
        Ok(Attach::Run(argv, record.incarnation))
    }

    /// Runs an attach in the foreground until the person detaches or the pane ends. A client of zellij that fails at once
    /// while its session lives was cut off (0.45.1 on a loaded machine: 2 of 40), and is started again; who detaches leaves
    /// with success.
    ///
    /// # Errors
    /// The runtime's client cannot be started.
    pub async fn run_attached(&self, name: &PeerName, argv: Argv, incarnation: Incarnation) -> Result<ExitStatus> {
        let (peer, mut argv) = (self.peer(name)?, argv);
        for _ in 0..RETRIES {
            let started = Instant::now();
            let status = run(argv).await?;
            if status.code().is_none_or(|code| code == 0) || started.elapsed() > AT_ONCE {
                return Ok(status);
            }
            tokio::time::sleep(SETTLE).await;
            match self.attach_again(&peer, incarnation).await {
                Ok(Some(again)) => argv = again,
                // What the client said stands on the terminal.
                Ok(None) | Err(_) => return Ok(status),
            }
        }
        run(argv).await
    }

    /// The client to start again, where that incarnation lives on zellij and is known to.
    async fn attach_again(&self, peer: &Peer, incarnation: Incarnation) -> Result<Option<Argv>> {
        let record = peer.files.session()?.present().filter(|record| record.incarnation == incarnation);
        match self.live(peer, record).await? {
            Live::Session(record, sight)
                if kind_of(&record.place.runtime)? == RuntimeKind::Zellij
                    && (&sight.runtime, &sight.process) == (&Axis::Alive, &Axis::Alive) =>
            {
                let inside = self.is_inside(&record)?;
                Ok(Some(self.runtime_of(&record.place)?.attach(&target(&record.place), inside).await?))
            }
            Live::Session(..) | Live::Starting(_) | Live::None => Ok(None),
        }
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

/// On a thread of its own: what else is under way (`peer top` attaches beside it) may hold a lock, and goes on.
async fn run(argv: Argv) -> Result<ExitStatus> {
    let program = argv.program.clone();
    let ran = tokio::task::spawn_blocking(move || command::run_in_foreground(&argv)).await;
    ran.expect("it is never aborted, and does not panic").map_err(|source| EngineError::Io {
        action: "run",
        path: program,
        source,
    })
}
