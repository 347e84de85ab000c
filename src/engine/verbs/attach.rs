//! `peer attach`: lends the terminal to the pane. A peer that is not awake is woken first, always by resuming.

use std::ffi::{OsStr, OsString};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use peer_adapters::command::{self, Argv, Foreground};
use peer_adapters::process::{self, ProcessId};
use peer_adapters::runtime::{AttachMode, RuntimeKind};
use peer_adapters::terminal::KeptTitle;

use crate::engine::message::Message;
use crate::engine::observe::live::Live;
use crate::engine::observe::{process_id, target};
use crate::engine::peer::runtimes::kind_of;
use crate::engine::{Engine, EngineError, POLL, Peer, Result};
use crate::policy::axis::Axis;
use crate::policy::ending::{End, Incarnation};
use crate::policy::name::PeerName;
use crate::policy::wake::{Mode, Refusal, WakeDecision, WakeRequest};
use crate::store::SessionRecord;

/// How often a client that zellij dropped at once is started again. If the client has its own reason to fail, each
/// attempt is one more line for the user to read.
const RETRIES: u32 = 2;

/// A client that fails later than this was attached for a while, and its end is reported to the user. A client that was
/// dropped ends within 200 ms on an idle machine.
const AT_ONCE: Duration = Duration::from_secs(3);

/// The pause before a client is started again: a server needs some 10 ms to notice that a client is gone, and drops one
/// that connects meanwhile.
const SETTLE: Duration = Duration::from_millis(200);

/// How often to look whether the agent that a terminal is attached to has ended: a look reads one file of `/proc`.
const LOOKS: Duration = Duration::from_millis(250);

/// How long a client may take to end by itself, because its session was removed.
const LEAVES: Duration = Duration::from_millis(500);

/// How long the end of the agent may take to be recorded: milliseconds, or until it has ended itself after a hangup.
const RECORDED: Duration = Duration::from_secs(1);

/// How a terminal was left.
#[derive(Debug)]
pub struct Left {
    /// Whether the user left, or the agent ended.
    pub success: bool,
    /// How the agent ended, if it did.
    pub end: Option<End>,
}

/// How a terminal gets to a pane.
#[derive(Debug)]
pub enum Attach {
    /// By running this in the foreground, for as long as that incarnation is alive.
    Run(AttachCommand),
    /// The terminal is that very pane.
    Here,
}

/// What to run to get to a pane.
#[derive(Debug)]
pub struct AttachCommand {
    /// The runtime's client.
    pub argv: Argv,
    /// The incarnation; the client runs for as long as it is alive.
    pub incarnation: Incarnation,
    /// Its pane process, if that is recorded.
    pub pane: Option<ProcessId>,
    /// Whether input does not reach the agent.
    pub read_only: bool,
    /// The keys with which the user leaves, in the usual notation.
    pub leave: &'static str,
    /// Whether the client wipes the line that explains those keys at once, and the user has never left a session of
    /// this runtime before.
    pub hides_leave_hint: bool,
    /// The runtime.
    pub runtime: RuntimeKind,
    /// The multiplexer that this terminal is already in, if any: it takes its own keys first.
    pub nested: Option<RuntimeKind>,
}

impl Engine {
    /// Determines how this terminal gets to a peer's pane. A living session can be attached to at once, whatever its
    /// agent is waiting for. A peer that is not awake is woken: resumed, or started fresh if there is nothing to resume
    /// and nothing to lose. If the agent comes up and is not ready because it shows a dialog, the user can answer it
    /// there.
    ///
    /// # Errors
    /// As [`Engine::wake`], if there is no session in the end; never a silent fresh start.
    pub async fn attach(&self, name: &PeerName, read_only: bool) -> Result<Attach> {
        let peer = self.known(name)?;
        let live = self.live_in_reach(&peer, peer.files.session()?.present()).await?;
        let record = if let Some(record) = attachable(&peer, &live)? {
            record
        } else {
            self.usable_settings()?;
            let woken = self.wake(name, &self.request_to_attach(&peer, &live)?, &Message::default()).await;
            let live = self.live_in_reach(&peer, peer.files.session()?.present()).await?;
            match (woken, attachable(&peer, &live)?) {
                (Ok(_) | Err(EngineError::NotReady { .. }), Some(record)) => record,
                (Ok(_), None) => return Err(self.not_awake(&peer, &live)),
                (Err(error), _) => return Err(error),
            }
        };
        let kind = kind_of(&record.place.runtime)?;
        let inside = self.is_inside(&record)?;
        let client = kind.facts().client();
        if inside && kind.facts().pane_around(&self.variables()).as_ref() == Some(&record.place.pane) {
            return Ok(Attach::Here);
        }
        if read_only && client.blind_alone_if_read_only && !self.is_looked_at(&peer, &record).await? {
            return Err(EngineError::NobodyAttached { peer: peer.name });
        }
        let (runtime, target) = (self.runtime_of(&record.place)?, target(&record.place));
        Ok(Attach::Run(AttachCommand {
            argv: runtime.attach(&target, AttachMode { inside, read_only }).await?,
            incarnation: record.incarnation,
            pane: record.place.pane_process.map(process_id),
            read_only,
            leave: runtime.leave(&target, read_only),
            hides_leave_hint: client.wipes_screen && !self.state.has_detached(kind.as_str()),
            runtime: kind,
            nested: self.around().filter(|_| !inside),
        }))
    }

    /// Returns the multiplexer in which this terminal is a pane.
    fn around(&self) -> Option<RuntimeKind> {
        RuntimeKind::ALL.into_iter().find(|kind| kind.facts().server_around(&self.variables()).is_some())
    }

    /// Returns a lookup in the environment of the caller.
    fn variables(&self) -> impl Fn(&str) -> Option<OsString> {
        |name| self.var(name).cloned()
    }

    /// Opens a window in the user's own multiplexer, if this terminal is one of its panes and it opens windows that way
    /// (tmux). The window attaches to a peer and closes when the user leaves. Returns `false` if no window can be opened.
    ///
    /// # Errors
    /// That multiplexer refuses.
    pub async fn attach_in_window(&self, name: &PeerName, way: &AttachCommand) -> Result<bool> {
        let Some(kind) = way.nested else { return Ok(false) };
        let ours = |key: &str| key.starts_with("PEER_") && !matches!(key, "PEER_NAME" | "PEER_INCARNATION");
        let passed: Vec<(&OsStr, &OsStr)> = self
            .env
            .iter()
            .filter(|(key, _)| key.to_str().is_some_and(ours))
            .map(|(key, value)| (key.as_os_str(), value.as_os_str()))
            .collect();
        let attach = Argv::new(&self.executable).args(["attach", name.as_str()]);
        let attach = if way.read_only { attach.arg("--read-only") } else { attach };
        let binary = self.runtime_binary(kind, None)?;
        let open = kind.facts().window(&self.variables(), &binary, name.as_str(), &passed, &attach);
        let Some(open) = open else { return Ok(false) };
        let program = open.program.clone();
        let failed = |why: String| EngineError::Io {
            action: "open a window with",
            path: program,
            source: std::io::Error::other(why),
        };
        match command::run(&open, None, self.settings.probe.timeout.0).await {
            Ok(output) if output.status.success() => Ok(true),
            Ok(output) => Err(failed(output.summary())),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// Attaching asks for the existing conversation. If there never was one, a fresh start loses nothing.
    fn request_to_attach(&self, peer: &Peer, live: &Live) -> Result<WakeRequest> {
        let resume = WakeRequest { mode: Mode::Resume, ..WakeRequest::default() };
        let nothing = matches!(self.preview_wake(peer, live, &resume)?, WakeDecision::Refuse(Refusal::NothingToResume));
        let empty = !peer.profile.capabilities().resume || peer.files.conversations()?.is_empty();
        Ok(if nothing && empty { WakeRequest::default() } else { resume })
    }

    /// Runs an attach in the foreground until the user detaches or the agent ends. A client that fails at once while its
    /// session is alive may have been dropped, and is started again if its runtime does that; a client that was detached
    /// by the user succeeds.
    ///
    /// # Errors
    /// The runtime's client cannot be started.
    pub async fn run_attached(&self, name: &PeerName, way: AttachCommand) -> Result<Left> {
        let peer = self.known(name)?;
        let (runtime, incarnation, pane) = (way.runtime, way.incarnation, way.pane);
        let title = if runtime.facts().client().sets_title { KeptTitle::of_stdout() } else { None };
        let status = self.run_until_seen(&peer, way).await?;
        drop(title);
        if status.success() {
            self.state.record_detach(runtime.as_str())?;
        }
        let end = Self::recorded_end(&peer, incarnation, pane, !status.success()).await?;
        Ok(Left { success: status.success() || end.is_some(), end })
    }

    /// Returns how an incarnation ended, if it did. Its pane process records that when it ends itself, and is waited for, for
    /// `RECORDED` at most: if it is gone, or if `failed` says that the client ended without the user.
    async fn recorded_end(
        peer: &Peer,
        incarnation: Incarnation,
        pane: Option<ProcessId>,
        failed: bool,
    ) -> Result<Option<End>> {
        let started = Instant::now();
        loop {
            let end = peer.files.end()?.present().map(|last| last.end).filter(|end| end.incarnation == incarnation);
            let may_come = failed || pane.is_some_and(|pane| matches!(process::find(pane), Ok(None)));
            if end.is_some() || !may_come || started.elapsed() >= RECORDED {
                return Ok(end);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn run_until_seen(&self, peer: &Peer, way: AttachCommand) -> Result<ExitStatus> {
        let AttachCommand { mut argv, incarnation, pane, read_only, .. } = way;
        for _ in 0..RETRIES {
            let started = Instant::now();
            let status = run(argv, pane).await?;
            if status.code().is_none_or(|code| code == 0) || started.elapsed() > AT_ONCE {
                return Ok(status);
            }
            tokio::time::sleep(SETTLE).await;
            match self.attach_again(peer, incarnation, read_only).await {
                Ok(Some(again)) => argv = again,
                // The client's own message is on the terminal.
                Ok(None) | Err(_) => return Ok(status),
            }
        }
        run(argv, pane).await
    }

    /// Returns the client to start again, if that incarnation is known to be alive and its client may be dropped.
    async fn attach_again(&self, peer: &Peer, incarnation: Incarnation, read_only: bool) -> Result<Option<Argv>> {
        let record = peer.files.session()?.present().filter(|record| record.incarnation == incarnation);
        match self.live(peer, record).await? {
            Live::Session(record, observation)
                if kind_of(&record.place.runtime)?.facts().client().may_be_dropped
                    && (&observation.runtime, &observation.process) == (&Axis::Alive, &Axis::Alive) =>
            {
                let inside = self.is_inside(&record)?;
                Ok(Some(
                    self.runtime_of(&record.place)?
                        .attach(&target(&record.place), AttachMode { inside, read_only })
                        .await?,
                ))
            }
            Live::Session(..) | Live::Starting(_) | Live::None => Ok(None),
        }
    }

    /// Whether this command runs in a pane of the recorded server.
    fn is_inside(&self, record: &SessionRecord) -> Result<bool> {
        let around = kind_of(&record.place.runtime)?.facts().server_around(&self.variables());
        let recorded = record.place.server_process.map(|server| server.pid);
        Ok(around.is_some_and(|around| {
            let same = around.pid.is_none_or(|pid| recorded.is_none_or(|recorded| recorded == pid));
            same && around.address.is_some_and(|address| address == record.place.server)
        }))
    }
}

/// Returns the recorded incarnation if its pane can be attached to, which excludes one that is being ended.
fn attachable(peer: &Peer, live: &Live) -> Result<Option<SessionRecord>> {
    let record = match live {
        Live::Session(record, observation) => {
            Engine::refuse_unknown(peer, observation).map_err(|error| error.instead_of("attach to"))?;
            let lives = (&observation.runtime, &observation.process) == (&Axis::Alive, &Axis::Alive);
            Some(record).filter(|_| lives)
        }
        // Before its pane process runs there is nothing to see.
        Live::Starting(record) => Some(record).filter(|record| record.process.is_some()),
        Live::None => None,
    };
    Ok(record.filter(|record| record.intent.is_none()).map(|record| (**record).clone()))
}

/// Runs the client, and ends it once the pane process is gone: what it would show then is a picture of an agent that has
/// ended, and zellij would give keys a meaning of its own (Enter runs the pane again, Esc opens a shell). It is waited for
/// on a separate thread, because other work of this process (`peer top` attaches while it works) may hold a lock and must
/// continue.
async fn run(argv: Argv, pane: Option<ProcessId>) -> Result<ExitStatus> {
    let program = argv.program.clone();
    let failed = |source| EngineError::Io { action: "run", path: program.clone(), source };
    let client = Foreground::spawn(&argv).map_err(failed)?;
    let process = client.process();
    let mut waited = tokio::task::spawn_blocking(move || client.wait());
    let ran = tokio::select! {
        ran = &mut waited => ran,
        () = is_gone(pane) => {
            // A session that was removed has ended its client by itself.
            if let Ok(ran) = tokio::time::timeout(LEAVES, &mut waited).await {
                ran
            } else {
                if let Some(client) = process {
                    process::signal(client, Signal::SIGTERM)?;
                }
                waited.await
            }
        }
    };
    ran.expect("it is never aborted, and does not panic").map_err(failed)
}

/// Waits until a process has ended. A kernel that cannot be queried is no proof of that.
async fn is_gone(pane: Option<ProcessId>) {
    let Some(pane) = pane else { return std::future::pending().await };
    while !matches!(process::find(pane), Ok(None)) {
        tokio::time::sleep(LOOKS).await;
    }
}
