//! The observed state of one peer on the runtime and process axes.
//!
//! A peer's pane is identified by its server's process, its pane id there, and the pane process in it. Names, paths and
//! sessions may be changed by the user and identify nothing. Only the recorded server can report a pane as absent, and
//! it is believed only if the kernel does not contradict it.

mod awake;
pub(crate) mod changes;
pub mod conversation;
pub(crate) mod fleet;
pub mod fleet_observation;
mod judge;
pub mod launched;
pub(crate) mod live;
pub(crate) mod own_files;
pub(crate) mod reach;
pub mod recover;
mod refused;
mod standing;
pub(crate) mod turn;
pub(crate) mod turn_event;

use std::hash::Hasher;
use std::path::Path;

use fnv::FnvHasher;
use peer_adapters::process::{self, ProcessId};
use peer_adapters::runtime::{Listing, Runtime, SessionRow, Target};

use super::{Engine, Result};
use crate::policy::axis::Axis;
use crate::policy::ending::Incarnation;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::policy::wake::Refusal;
use crate::store::{Host, Place, Process, SessionRecord};

pub use judge::{Own, judge, process_axis};
pub(crate) use standing::{Standing, elsewhere, is_another_boot, standing};

/// The observation of one recorded incarnation.
#[derive(Clone, Debug)]
pub struct Observation {
    /// Whether the runtime's session exists.
    pub runtime: Axis,
    /// Whether the agent's process exists.
    pub process: Axis,
    /// Whether the runtime's server is known to be gone.
    pub server_gone: bool,
    /// Whether the server, which hosted only this session, is gone because, as far as can be determined, the session
    /// was ended.
    pub ended: bool,
    /// When the runtime was observed: no later than its answer.
    pub listed_at: Timestamp,
    /// Whether the record is from another boot of this machine.
    pub rebooted: bool,
    /// If the record is from another machine or pid namespace: which one, and since when.
    pub elsewhere: Option<String>,
    /// The server process that answered.
    pub answered: Option<ProcessId>,
    /// The recorded server process, if it is alive and does not listen on its path.
    pub unreachable: Option<ProcessId>,
    /// The pane as its server lists it.
    pub row: Option<SessionRow>,
    /// Panes of older incarnations of this peer that the same server still lists.
    pub leftovers: Vec<SessionRow>,
}

impl Observation {
    /// Returns when the pane last produced output, if the runtime reports it.
    pub(crate) fn last_output(&self) -> Option<Timestamp> {
        self.row.as_ref().and_then(|row| row.activity_s).map(|s| Timestamp::from_ms(s.saturating_mul(1000)))
    }

    /// Whether the agent is known to be gone.
    pub fn is_over(&self) -> bool {
        self.process == Axis::Dead && self.unknown().is_none()
    }

    /// Whether the session can no longer be reached and everything else is known, so that the user may end it by its
    /// processes. Only for a session with a server of its own, which cannot be made to listen again.
    pub fn is_cut_off(&self, place: &Place) -> bool {
        place.kind().is_some_and(|kind| !kind.facts().shares_server())
            && self.unreachable.is_some()
            && self.process.why_unknown().is_none()
    }

    /// Returns the refusal for an unknown axis, which forbids signals, markers and starts.
    pub fn unknown(&self) -> Option<Refusal> {
        if let Some(owner) = &self.elsewhere {
            return Some(Refusal::Elsewhere { owner: owner.clone() });
        }
        let axes = [("runtime", &self.runtime), ("process", &self.process)];
        axes.into_iter().find_map(|(axis, value)| match value {
            Axis::Unknown(why) => Some(Refusal::RuntimeUnavailable { axis, why: why.clone() }),
            Axis::Alive | Axis::Dead => None,
        })
    }
}

impl Engine {
    /// Observes both axes: one listing call to the record's own server, and one query of the kernel.
    ///
    /// # Errors
    /// The record names a runtime that this version does not know. What could not be observed is [`Axis::Unknown`],
    /// and not an error.
    pub async fn observe(&self, name: &PeerName, record: &SessionRecord) -> Result<Observation> {
        match standing(record) {
            Standing::Here => {}
            other => return Ok(other.observation(self.now())),
        }
        let runtime = self.runtime_of(&record.place)?;
        let listed_at = self.now();
        let listing = runtime.list(&record.place.server).await;
        let answer = match listing {
            Err(ref error) => Err(error),
            Ok(Listing::Gone(gone)) => Ok(Own::Gone(gone)),
            Ok(Listing::Up { server, mut rows }) => {
                let prefix = self.tag_prefix(name);
                let tagged = |row: &SessionRow| row.tag.starts_with(&prefix);
                let own = rows.iter().position(|row| is_pane_of(record, row, tagged(row)));
                let row = own.map(|at| rows.swap_remove(at));
                rows.retain(tagged);
                Ok(Own::Up { server, row, tagged: rows })
            }
        };
        Ok(judge(record, answer, listed_at, process_axis(record)))
    }

    /// Returns the tag of one incarnation's session, made of the state directory, the peer and the incarnation.
    pub fn tag(&self, name: &PeerName, incarnation: Incarnation) -> String {
        format!("{}{incarnation}", self.tag_prefix(name))
    }

    fn tag_prefix(&self, name: &PeerName) -> String {
        format!("{}{name}/", self.tag_root())
    }

    /// Returns the prefix of all tags of this state directory.
    pub(crate) fn tag_root(&self) -> String {
        format!("{:016x}/", fleet_number(self.state.root()))
    }
}

/// Whether a listed row is the recorded pane. A pane that now runs another process is not: it belongs to the user who
/// started that process. `tagged` says that the row carries the peer's tag, which identifies the pane if the starter
/// died before it recorded the pane id.
pub(crate) fn is_pane_of(record: &SessionRecord, row: &SessionRow, tagged: bool) -> bool {
    let Place { pane, pane_process, .. } = &record.place;
    is_at(&record.place, row) && (tagged || !pane.is_empty() || pane_process.is_some())
}

/// Whether a row listed by the place's server is the pane at that place.
pub(crate) fn is_at(place: &Place, row: &SessionRow) -> bool {
    let same_process = match (place.pane_process, row.pane_pid) {
        (Some(recorded), Some(listed)) => Some(recorded.pid == listed),
        _ => None,
    };
    let same_pane = (!place.pane.is_empty()).then(|| place.pane == row.pane);
    same_process.unwrap_or(true) && same_pane.or(same_process).unwrap_or(place.session == row.session)
}

/// Returns the FNV-1a hash. It must be the same in every build, because tags, records and names of files contain it.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hasher = FnvHasher::default();
    hasher.write(bytes);
    hasher.finish()
}

/// Returns the number that stands for the fleet of this state directory in names outside of it: tags of sessions, names
/// in the kernel, and units of a timer.
pub(crate) fn fleet_number(state: &Path) -> u64 {
    fnv1a(state.as_os_str().as_encoded_bytes())
}

/// Completes the address of a session whose starter died before it recorded the runtime's answer.
pub fn complete(record: &mut SessionRecord, observation: &Observation) {
    let place = &mut record.place;
    if let Some(row) = &observation.row {
        if place.pane.is_empty() {
            place.session_id.clone_from(&row.session_id);
            place.pane.clone_from(&row.pane);
        }
        place.server_process = place.server_process.or(observation.answered.map(recorded));
    }
}

/// Converts a recorded process identity to the kernel's.
pub fn process_id(process: Process) -> ProcessId {
    ProcessId { pid: process.pid, start: process.start }
}

/// Returns where this process runs, in the recorded form.
///
/// # Errors
/// As [`process::host`].
pub fn recorded_host() -> std::io::Result<Host> {
    let process::Host { machine, name, pid_namespace } = process::host()?.clone();
    Ok(Host { machine, name, pid_namespace })
}

/// Converts a process identity from the kernel to its recorded form.
pub fn recorded(id: ProcessId) -> Process {
    Process { pid: id.pid, start: id.start }
}

/// Converts a recorded place to a runtime address.
pub fn target(place: &Place) -> Target {
    Target {
        server: place.server.clone(),
        session: place.session.clone(),
        session_id: place.session_id.clone(),
        pane: place.pane.clone(),
        server_process: place.server_process.map(process_id),
        pane_pid: place.pane_process.map(|pane| pane.pid),
    }
}

/// Returns the address of a listed pane on the server that listed it.
pub fn target_of_row(path: &Path, server: Option<ProcessId>, row: &SessionRow) -> Target {
    Target {
        server: path.to_owned(),
        session: row.session.clone(),
        session_id: row.session_id.clone(),
        pane: row.pane.clone(),
        server_process: server,
        pane_pid: row.pane_pid,
    }
}

/// Removes what older incarnations left on the server: dead panes of starts that were fenced off. A live pane is left
/// alone, because its pane process exits at the fence by itself.
///
/// # Errors
/// The runtime did not answer.
pub async fn sweep(runtime: &dyn Runtime, record: &SessionRecord, observation: &Observation) -> Result<()> {
    for row in observation.leftovers.iter().filter(|row| row.pane_dead) {
        runtime.remove(&target_of_row(&record.place.server, observation.answered, row)).await?;
    }
    Ok(())
}
