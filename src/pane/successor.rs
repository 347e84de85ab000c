//! The incarnation that takes the pane over after a self-fresh.

use peer_adapters::command::{self, Argv};
use peer_adapters::process;

use crate::engine::life::launch::Plan;
use crate::engine::{Engine, EngineError, Progress, Result, wall_clock};
use crate::policy::ending::{EndCause, Incarnation};
use crate::policy::wake::WakeReason;
use crate::store::{Event, Launch, Locked, Marker, Phase, Place, Process, SessionRecord, StateDir};

/// Called by the pane process, which holds the lock and has recorded the end: writes the next incarnation down for the
/// same pane, and returns its number.
///
/// # Errors
/// The peer was forgotten meanwhile, or the state directory failed: the mark is gone, and the pane ends.
pub(super) fn succeed(state: &StateDir, locked: &Locked, ended: &SessionRecord, launch: Launch) -> Result<Incarnation> {
    let next = start_next(state, locked, ended, launch);
    if let Err(error) = &next {
        // Not left to loop: its end is on record, and the next wake is fresh all the same.
        locked.unmark(Marker::NewEager)?;
        let event = Event::new(wall_clock(), "self-fresh.failed").peer(locked.files().name());
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
    // A clean restart is no word of a person's.
    let hops = ended.hops;
    let plan = Plan { resume: None, cause: WakeReason::Ended(EndCause::SelfFresh).into(), topic: None, hops };
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
    let executable = process::own_executable().map_err(EngineError::Kernel)?;
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
