//! Both axes of one peer, seen now.

use peer_adapters::process::{self, ProcessId};
use peer_adapters::runtime::{Gone, Listing, Runtime, RuntimeError, SessionRow, Target};

use super::{Engine, Result};
use crate::policy::axis::Axis;
use crate::policy::ending::Incarnation;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::policy::wake::Refusal;
use crate::store::{Place, Process, SessionRecord};

/// What was seen of one recorded incarnation.
#[derive(Clone, Debug)]
pub struct Sight {
    /// Is the runtime's session there?
    pub runtime: Axis,
    /// Is the agent's process there?
    pub process: Axis,
    /// The runtime's server is known to be gone.
    pub server_gone: bool,
    /// When the runtime was seen: no later than its answer.
    pub listed_at: Timestamp,
    /// The record is of another boot of this machine.
    pub rebooted: bool,
    /// The session as its server lists it.
    pub row: Option<SessionRow>,
    /// Sessions of older incarnations of this peer that the same server still lists.
    pub leftovers: Vec<SessionRow>,
}

impl Sight {
    /// The agent is known not to be there.
    pub fn is_over(&self) -> bool {
        self.process == Axis::Dead && self.unknown().is_none()
    }

    /// The refusal that an unknown axis leads to: no signal, no marker, no start.
    pub fn unknown(&self) -> Option<Refusal> {
        let axes = [("runtime", &self.runtime), ("process", &self.process)];
        axes.into_iter().find_map(|(axis, value)| match value {
            Axis::Unknown(why) => Some(Refusal::RuntimeUnavailable { axis, why: why.clone() }),
            Axis::Alive | Axis::Dead => None,
        })
    }
}

impl Engine {
    /// Looks at both axes: one listing call of the record's own server, and one kernel fact.
    ///
    /// # Errors
    /// The record names an unknown runtime. Everything that could not be seen is [`Axis::Unknown`] and no error.
    pub async fn observe(&self, name: &PeerName, record: &SessionRecord) -> Result<Sight> {
        if boot_differs(record) {
            return Ok(rebooted(self.now()));
        }
        let runtime = self.runtime_of(&record.place)?;
        let listing = runtime.list(&record.place.server).await;
        let prefix = self.tag_prefix(name);
        let answer = match &listing {
            Err(error) => Err(error),
            Ok(Listing::Gone(gone)) => Ok(Own::Gone(*gone)),
            // Not only by the name: somebody may have started a new server and a session of the same name.
            Ok(Listing::Up { rows, .. }) => {
                Ok(Own::Up(rows.iter().filter(|row| row.tag.starts_with(&prefix)).cloned().collect()))
            }
        };
        Ok(judge(record, answer, self.now(), process_axis(record)))
    }

    /// The tag of one incarnation's session: whose state directory, which peer, which start.
    pub fn tag(&self, name: &PeerName, incarnation: Incarnation) -> String {
        format!("{}{incarnation}", self.tag_prefix(name))
    }

    fn tag_prefix(&self, name: &PeerName) -> String {
        format!("{}{name}/", self.tag_root())
    }

    /// What the tag of each session of this state directory begins with.
    pub(super) fn tag_root(&self) -> String {
        format!("{:016x}/", fnv1a(self.state.root().as_os_str().as_encoded_bytes()))
    }
}

/// What a server answered, as far as it concerns one peer.
#[derive(Clone, Debug)]
pub enum Own {
    /// It is known not to be there.
    Gone(Gone),
    /// It is there, and these sessions carry the peer's tag.
    Up(Vec<SessionRow>),
}

/// What is left of an incarnation of another boot: nothing.
pub fn rebooted(now: Timestamp) -> Sight {
    Sight {
        runtime: Axis::Dead,
        process: Axis::Dead,
        server_gone: true,
        listed_at: now,
        rebooted: true,
        row: None,
        leftovers: Vec::new(),
    }
}

/// Whether the record belongs to another boot. A kernel that does not tell is no proof.
pub(super) fn boot_differs(record: &SessionRecord) -> bool {
    process::boot_id().is_ok_and(|boot| boot != record.boot_id)
}

/// Tells one state directory from another on a shared server; FNV-1a, because it must be the same in every build.
pub(super) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What a listing and the kernel say of a record; `process` is what the kernel said of its agent.
pub fn judge(
    record: &SessionRecord,
    answer: std::result::Result<Own, &RuntimeError>,
    listed_at: Timestamp,
    process: Axis,
) -> Sight {
    let (runtime, server_gone, mut rows) = match answer {
        Err(error) => (Axis::Unknown(error.to_string()), false, Vec::new()),
        // The socket can be removed under a living server (a cleaner of /tmp): then nobody can reach it, and nothing that
        // it hosts is gone.
        Ok(Own::Gone(gone)) => match server_process_axis(record) {
            Axis::Dead => (Axis::Dead, gone != Gone::Ended, Vec::new()),
            Axis::Alive => {
                (Axis::Unknown(format!("its server lives and cannot be reached ({gone:?})")), false, Vec::new())
            }
            Axis::Unknown(why) => (Axis::Unknown(why), false, Vec::new()),
        },
        Ok(Own::Up(rows)) => {
            let there = rows.iter().any(|row| row.session == record.place.session);
            (if there { Axis::Alive } else { Axis::Dead }, false, rows)
        }
    };
    let own = rows.iter().rposition(|row| row.session == record.place.session).map(|at| rows.swap_remove(at));
    // A person may have split its window.
    rows.retain(|row| row.session != record.place.session);
    Sight { runtime, process, server_gone, listed_at, rebooted: false, row: own, leftovers: rows }
}

/// Whether the server that the record names is there; one that was never recorded counts as dead.
fn server_process_axis(record: &SessionRecord) -> Axis {
    record.place.server_process.map_or(Axis::Dead, |server| axis_of(server, "the server"))
}

fn axis_of(process: Process, what: &str) -> Axis {
    match process::find(process_id(process)) {
        Ok(Some(_)) => Axis::Alive,
        Ok(None) => Axis::Dead,
        Err(error) => {
            Axis::Unknown(format!("the kernel could not be asked about {what}, pid {}: {error}", process.pid))
        }
    }
}

/// Completes the address of a session whose starter did not live to write down what the runtime answered.
pub fn complete(record: &mut SessionRecord, sight: &Sight) {
    if let Some(row) = sight.row.as_ref().filter(|_| record.place.pane.is_empty()) {
        record.place.session_id.clone_from(&row.session_id);
        record.place.pane.clone_from(&row.pane);
    }
}

/// The process axis of a record: what the kernel says of pid and start time. An agent that was never started is dead.
pub fn process_axis(record: &SessionRecord) -> Axis {
    record.process.map_or(Axis::Dead, |agent| axis_of(agent.id, "the agent"))
}

/// The recorded identity as the kernel's.
pub fn process_id(process: Process) -> ProcessId {
    ProcessId { pid: process.pid, start: process.start }
}

/// The kernel's identity as it is recorded.
pub fn recorded(id: ProcessId) -> Process {
    Process { pid: id.pid, start: id.start }
}

/// The recorded place as the runtime's address.
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

/// Where a listed session is.
pub fn target_of_row(record: &SessionRecord, row: &SessionRow) -> Target {
    Target {
        server: record.place.server.clone(),
        session: row.session.clone(),
        session_id: row.session_id.clone(),
        pane: row.pane.clone(),
        server_process: record.place.server_process.map(process_id),
        pane_pid: row.pane_pid,
    }
}

/// Removes what older incarnations left on the server: dead panes of starts that were fenced off. A live one is left
/// alone, because its pane process ends by itself at the fence.
///
/// # Errors
/// The runtime did not answer.
pub async fn sweep(runtime: &dyn Runtime, record: &SessionRecord, sight: &Sight) -> Result<()> {
    for row in sight.leftovers.iter().filter(|row| row.pane_dead) {
        runtime.remove(&target_of_row(record, row)).await?;
    }
    Ok(())
}
