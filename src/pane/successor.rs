//! Prepares the incarnation that takes over the pane after a self-fresh.

use peer_adapters::command::{self, Argv};
use peer_adapters::process;

use crate::engine::life::plan::Plan;
use crate::engine::{Engine, EngineError, Progress, Result, wall_clock};
use crate::policy::ending::{EndCause, Incarnation};
use crate::policy::event::EventName;
use crate::policy::wake::WakeReason;
use crate::store::{Event, Launch, Locked, Marker, Phase, Place, Process, SessionRecord, StateDir};

/// Records the next incarnation for the same pane, and returns its number. The caller is the pane process, which holds
/// the lock and has recorded the end.
///
/// # Errors
/// If the peer was removed meanwhile, or an operation on the state directory failed. The marker is gone then, and the
/// pane ends.
pub(super) fn record_successor(
    state: &StateDir,
    locked: &Locked,
    ended: &SessionRecord,
    launch: Launch,
) -> Result<Incarnation> {
    let next = start_next(state, locked, ended, launch);
    if let Err(error) = &next {
        // Remove the marker, so that this does not loop. The end is recorded, and the next wake is fresh anyway.
        locked.unmark(Marker::NewEager)?;
        let event = Event::new(wall_clock(), EventName::SelfFreshFailed).peer(locked.files().name());
        state.journal().append(&event.incarnation(ended.incarnation).cause(error.to_string()))?;
    }
    next
}

fn start_next(state: &StateDir, locked: &Locked, ended: &SessionRecord, launch: Launch) -> Result<Incarnation> {
    let engine = pane_engine(state, launch)?;
    let mut peer = engine.peer(locked.files().name())?;
    if engine.kept_variables(&peer.spec).is_err() {
        // The file became invalid since the agent requested the restart. The previous agent's environment still has its
        // values.
        peer.spec.env_file = None;
    }
    // A clean restart is not a request of a person.
    let hops = ended.hops;
    let plan = Plan { resume: None, cause: WakeReason::Ended(EndCause::SelfFresh).into(), topic: None, hops };
    let next = locked.next_incarnation(engine.now())?;
    // The next pane process records itself when it has started the agent.
    let place = Place { pane_process: None, ..ended.place.clone() };
    let mut record = engine.planned(&peer, &plan, next, place)?;
    // The first process that seeds or wakes the peer takes over.
    record.phase = Phase::Starting { driver: Process::NOBODY };
    engine.write_plan(&peer, locked, &plan, &mut record)?;
    let seed = Argv::new(&engine.executable)
        .args(["seed", peer.name.as_str(), &next.to_string()])
        .env("PEER_STATE_DIR", state.root())
        .env("PEER_CONFIG_DIR", engine.config.root());
    // If the seed cannot be started, the agent lacks its initial prompt until the next message, which delivers it.
    if let Err(error) = command::spawn_detached(&seed) {
        tracing::warn!(%error, "seed");
    }
    Ok(next)
}

/// Opens the engine as the waker had it: with its configuration, and the environment in which the agent was launched.
fn pane_engine(state: &StateDir, launch: Launch) -> Result<Engine> {
    let executable = process::own_executable().map_err(EngineError::Kernel)?;
    let mut engine = Engine::open(state.root().to_owned(), launch.config_dir, executable, Box::new(NoProgress))?;
    engine.usable_settings()?;
    engine.inherited = Some(launch.inherited);
    engine.env = launch.env.into_iter().map(|(key, value)| (key.0, value.0)).collect();
    Ok(engine)
}

/// No user watches the pane process.
struct NoProgress;

impl Progress for NoProgress {
    fn waiting(&self, _: &str, _: std::time::Duration, _: std::time::Duration) {}
    fn notice(&self, _: &str) {}
}
