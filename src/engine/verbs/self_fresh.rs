//! `peer self-fresh`: an agent asks for a clean restart of itself, from inside its own pane.
//!
//! The one who asks is usually a tool call of the agent that is to end. So asking only marks and tells the pane process;
//! the pane process ends the agent, writes the next incarnation down, and becomes its pane process.

use peer_adapters::command::{self, Argv};
use peer_adapters::process;

use crate::engine::life::launch::Plan;
use crate::engine::observe::{elsewhere, process_id};
use crate::engine::{Engine, EngineError, Peer, Progress, Result};
use crate::pane::SELF_FRESH;
use crate::policy::ending::{EndCause, Incarnation, Intent};
use crate::policy::health::self_fresh_allowed;
use crate::policy::name::PeerName;
use crate::policy::wake::WakeReason;
use crate::store::{Event, Launch, Locked, Marker, Phase, Place, Process, SessionRecord, StateDir};

/// A clean restart that is marked and not yet begun.
#[derive(Debug)]
pub struct Marked {
    /// Whose.
    pub peer: PeerName,
    /// Which incarnation ends.
    pub incarnation: Incarnation,
    pane: Process,
}

impl Marked {
    /// Tells the pane process to begin; to be called once the answer to the agent is out.
    ///
    /// # Errors
    /// The pane process is gone: its agent is ended by the next tick.
    pub fn begin(&self) -> Result<()> {
        if process::signal(process_id(self.pane), SELF_FRESH)? {
            return Ok(());
        }
        Err(EngineError::NotInPane { problem: "the process that holds this pane is gone".to_owned() })
    }
}

impl Engine {
    /// Who the caller is, by the variables that a pane of ours has; the record of exactly that incarnation.
    ///
    /// # Errors
    /// [`EngineError::NotInPane`]: not in a pane of ours, or in one whose incarnation is over.
    pub(crate) fn caller(&self) -> Result<(Peer, Incarnation)> {
        let not_here = |problem: &str| EngineError::NotInPane { problem: problem.to_owned() };
        let text = |key| self.var(key).and_then(|value| value.to_str()).map(str::to_owned);
        let name = text("PEER_NAME").ok_or_else(|| not_here("PEER_NAME is not set: this is no pane of peer's"))?;
        let name: PeerName = name.parse().map_err(|error| not_here(&format!("PEER_NAME: {error}")))?;
        let number = text("PEER_INCARNATION").and_then(|number| number.parse().ok());
        let incarnation = Incarnation(number.ok_or_else(|| not_here("PEER_INCARNATION is not a number"))?);
        Ok((self.peer(&name)?, incarnation))
    }

    /// The caller's own record, while its incarnation is the one on it.
    pub(crate) fn own_record(peer: &Peer, incarnation: Incarnation) -> Result<SessionRecord> {
        let record = peer.files.session()?.present().filter(|record| record.incarnation == incarnation);
        record.ok_or_else(|| EngineError::NotInPane {
            problem: format!("incarnation {incarnation} of {} is not the current one any more", peer.name),
        })
    }

    /// Marks a clean restart of the agent that this command was run by.
    ///
    /// # Errors
    /// [`EngineError::NotInPane`]; [`EngineError::TooManySelfFreshes`] with the time to wait, the agent keeps its context.
    pub async fn self_fresh(&self) -> Result<Marked> {
        let (peer, incarnation) = self.caller()?;
        // The next agent would not have what it says now.
        self.kept_variables(&peer.spec)?;
        let locked = self.lock(&peer.name).await?;
        let mut record = Self::own_record(&peer, incarnation)?;
        // Its pane process has another number here, in a container of the agent's own.
        if let Some(owner) = elsewhere(record.place.host.as_ref(), false, record.woke_at_ms)? {
            return Err(EngineError::NotInPane { problem: format!("the pane was started {}", owner.text) });
        }
        let now = self.now();
        let recent = peer.files.end()?.present().map(|last| last.end.recent).unwrap_or_default();
        self_fresh_allowed(&recent, now)
            .map_err(|retry_after| EngineError::TooManySelfFreshes { peer: peer.name.clone(), retry_after })?;
        let gone = || EngineError::NotInPane { problem: "no pane process is on record".to_owned() };
        let pane = record.place.pane_process.ok_or_else(gone)?;
        locked.mark(Marker::NewEager, now)?;
        record.intent = Some(Intent::SelfFresh);
        locked.write_session(&record)?;
        self.log(&Event::new(now, "self-fresh.requested").peer(&peer.name).incarnation(incarnation))?;
        Ok(Marked { peer: peer.name, incarnation, pane })
    }

    /// Waits for a fresh agent after a self-fresh and types its initial prompt; run by the pane process, detached.
    ///
    /// # Errors
    /// As [`Engine::wake`].
    pub async fn seed(&self, name: &PeerName, incarnation: Incarnation) -> Result<()> {
        let peer = self.peer(name)?;
        self.await_ready(&peer, incarnation).await?;
        let locked = self.lock(name).await?;
        let mut record = Self::own_record(&peer, incarnation)?;
        self.deliver(&peer, &locked, &mut record, &crate::engine::message::Message::default()).await?;
        Ok(())
    }
}

/// Called by the pane process, which holds the lock and has recorded the end: writes the next incarnation down for the
/// same pane, and returns its number.
///
/// # Errors
/// The peer was forgotten meanwhile, or the state directory failed: the mark is gone, and the pane ends.
pub fn succeed(state: &StateDir, locked: &Locked, ended: &SessionRecord, launch: Launch) -> Result<Incarnation> {
    let next = start_next(state, locked, ended, launch);
    if let Err(error) = &next {
        // Not left to loop: its end is on record, and the next wake is fresh all the same.
        locked.unmark(Marker::NewEager)?;
        let event = Event::new(crate::engine::wall_clock(), "self-fresh.failed").peer(locked.files().name());
        state.journal().append(&event.incarnation(ended.incarnation).cause(error.to_string()))?;
    }
    next
}

fn start_next(state: &StateDir, locked: &Locked, ended: &SessionRecord, launch: Launch) -> Result<Incarnation> {
    let engine = pane_engine(state, launch)?;
    let mut peer = engine.peer(locked.files().name())?;
    if engine.kept_variables(&peer.spec).is_err() {
        // It went bad since it was asked for. What it said before is in the environment that the last agent had.
        peer.spec.env_file = None;
    }
    let plan = Plan { resume: None, cause: WakeReason::Ended(EndCause::SelfFresh).into(), topic: None };
    let next = locked.next_incarnation(engine.now())?;
    // It writes itself down again when it has started the agent.
    let place = Place { pane_process: None, ..ended.place.clone() };
    let mut record = engine.planned(&peer, &plan, next, place)?;
    // Whoever seeds or wakes it first takes over.
    record.phase = Phase::Starting { driver: Process::NOBODY };
    engine.write_plan(&peer, locked, &plan, &mut record)?;
    let seed = Argv::new(&engine.executable)
        .args(["seed", peer.name.as_str(), &next.to_string()])
        .env("PEER_STATE_DIR", state.root())
        .env("PEER_CONFIG_DIR", engine.config.root());
    // A seed that cannot be started leaves an agent without its prompt; the next message brings it.
    if let Err(error) = command::spawn_detached(&seed) {
        tracing::warn!(%error, "seed");
    }
    Ok(next)
}

/// The engine as the waker had it: its configuration, and the environment that the agent was launched with.
fn pane_engine(state: &StateDir, launch: Launch) -> Result<Engine> {
    let executable = crate::pane::own_executable().map_err(EngineError::Kernel)?;
    let mut engine = Engine::open(state.root().to_owned(), launch.config_dir, executable, Box::new(Silent))?;
    engine.inherited = Some(launch.inherited);
    engine.env = launch.env.into_iter().map(|(key, value)| (key.0, value.0)).collect();
    Ok(engine)
}

/// Nobody watches the pane process.
struct Silent;

impl Progress for Silent {
    fn waiting(&self, _: &str, _: std::time::Duration, _: std::time::Duration) {}
    fn notice(&self, _: &str) {}
    fn settled(&self) {}
}
