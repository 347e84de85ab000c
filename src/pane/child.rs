//! Starts the agent once, and only for the recorded incarnation.

use std::ffi::OsString;
use std::time::Duration;

use peer_adapters::command::{self, Argv};
use peer_adapters::process::{self, ProcessId};

use super::signals::end_now;
use super::{PaneError, now};
use crate::engine::hooks;
use crate::engine::life::record_end::StartedAs;
use crate::engine::observe::{recorded, recorded_host};
use crate::policy::ending::Incarnation;
use crate::policy::event::EventName;
use crate::policy::name::PeerName;
use crate::store::{AgentProcess, Event, Launch, Place, SessionRecord, Starting, StateDir, StoreError, Stored};

pub(super) enum Started {
    Running {
        pid: u32,
        grace: Duration,
        started: Box<StartedAs>,
    },
    /// The agent's program cannot be executed.
    Failed(String),
    /// The machine lacked the means to execute any program. This is recorded, and the start counts as if it had never
    /// been.
    Refused,
}

/// Starts the agent if this incarnation is the recorded one and has not been started yet. This stops a `new-session`
/// that a hung server carries out late. No other process changes the record meanwhile.
pub(super) fn start_agent(
    state: &StateDir,
    name: &PeerName,
    incarnation: Incarnation,
    parent: Option<ProcessId>,
) -> Result<Started, PaneError> {
    let starting = state.start_in_pane(name, incarnation)?;
    let superseded = || PaneError::Superseded(incarnation);
    let mut record = starting.files().session()?.present().ok_or_else(superseded)?;
    if record.incarnation != incarnation || record.process.is_some() {
        return Err(superseded());
    }
    let launch = match starting.files().launch(incarnation)? {
        Stored::Present(launch) => launch,
        Stored::Absent => return Err(PaneError::NoLaunch(incarnation, "it is missing".to_owned())),
        Stored::Corrupt(why) => return Err(PaneError::NoLaunch(incarnation, why)),
    };
    record.place.pane_process = Some(recorded(process::me()?));
    // The caller that requested this pane may be in another pid namespace, but the processes are in this one.
    record.place.host = Some(recorded_host()?);
    // The process that creates the pane also records its server, unless it is killed first.
    if let (None, Some(parent)) = (record.place.server_process, parent)
        && hosts(parent, &record.place)
    {
        record.place.server_process = Some(recorded(parent));
    }
    let pid = match command::spawn_agent(&argv(&launch, &record.place)) {
        Ok(pid) => pid,
        Err(error) => {
            let program = launch.argv.first().map(|word| word.0.display().to_string()).unwrap_or_default();
            let why = format!("cannot start {program} in {}: {error}", launch.cwd.display());
            if command::is_out_of_resources(&error) {
                refuse(state, &starting, record, &launch, why)?;
                return Ok(Started::Refused);
            }
            starting.write_session(&record)?;
            return Ok(Started::Failed(why));
        }
    };
    if let Err(error) = record_agent(&starting, &mut record, pid) {
        // Nothing would supervise it.
        end_now(pid);
        return Err(error);
    }
    let started = Box::new(StartedAs { record, config_dir: launch.config_dir });
    Ok(Started::Running { pid, grace: Duration::from_millis(launch.grace_ms), started })
}

fn record_agent(starting: &Starting, record: &mut SessionRecord, pid: u32) -> Result<(), PaneError> {
    // The child cannot have been reaped, because this process is its parent and has not waited yet. A zombie has no
    // status, and needs no record.
    if let Some(status) = process::status(pid)? {
        record.process = Some(AgentProcess { id: recorded(status.id), session: status.session });
    }
    Ok(starting.write_session(record)?)
}

/// Records that nothing was executed and that this is not a death. Processes that wait for this start read the reason.
fn refuse(
    state: &StateDir,
    starting: &Starting,
    mut record: SessionRecord,
    launch: &Launch,
    why: String,
) -> Result<(), StoreError> {
    eprintln!("peer: {}", peer_adapters::screen::printable(&why));
    let event = Event::new(now(), EventName::WakeFailed).peer(starting.files().name()).incarnation(record.incarnation);
    record.refuse(why.clone());
    starting.write_session(&record)?;
    let hooked = hooks::with_hooks(state.clone(), &launch.config_dir);
    hooked.journal().append(&event.cause("machine-refused").with("detail", why))
}

/// Builds the agent's command line. Variables that this terminal sets override the agent's own environment.
fn argv(launch: &Launch, place: &Place) -> Argv {
    let mut words = launch.argv.iter().map(|word| word.0.clone());
    let mut argv = Argv::new(words.next().unwrap_or_default()).args(words).cwd(&launch.cwd);
    argv.clear_env = true;
    argv.inherited = Some(launch.inherited.clone());
    for (key, value) in &launch.env {
        argv = argv.env(&key.0, &value.0);
    }
    let own = |key: &OsString| place.kind().zip(key.to_str()).is_some_and(|(kind, key)| kind.facts().sets(key));
    for (key, value) in std::env::vars_os().filter(|(key, _)| own(key)) {
        argv = argv.env(key, value);
    }
    argv
}

/// Whether this process is a server that serves only this session.
fn hosts(process: ProcessId, place: &Place) -> bool {
    place.kind().is_some_and(|kind| kind.facts().is_own_server(&place.server, &place.session, process))
}
