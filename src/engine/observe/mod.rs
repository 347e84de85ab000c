//! The observed state of one peer on the runtime and process axes.
//!
//! A peer's pane is identified by its server's process, its pane id there, and the pane process in it. Names, paths and
//! sessions may be changed by the user and identify nothing. Only the recorded server can report a pane as absent, and
//! it is believed only if the kernel does not contradict it.

pub(crate) mod changes;
pub mod conversation;
pub(crate) mod fleet;
pub mod fleet_observation;
pub(crate) mod reach;
pub mod recover;
mod refused;
pub(crate) mod told;
pub(crate) mod turn;

use std::path::Path;

use peer_adapters::process::{self, ProcessId};
use peer_adapters::runtime::{Gone, Listing, Runtime, RuntimeError, RuntimeKind, SessionRow, Target};

use super::peer::runtimes::kind_of;
use super::{Engine, Result};
use crate::policy::axis::Axis;
use crate::policy::ending::Incarnation;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::policy::wake::Refusal;
use crate::store::{Host, Phase, Place, Process, SessionRecord};

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
}

impl Observation {
    /// Whether the agent is known to be gone.
    pub fn is_over(&self) -> bool {
        self.process == Axis::Dead && self.unknown().is_none()
    }

    /// Whether the session can no longer be reached and everything else is known, so that the user may end it by its
    /// processes. Only for zellij, whose servers cannot be made to listen again.
    pub fn is_cut_off(&self, place: &Place) -> bool {
        place.runtime == RuntimeKind::Zellij.as_str()
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
    /// The record names an unknown runtime. What could not be observed is [`Axis::Unknown`], and not an error.
    pub async fn observe(&self, name: &PeerName, record: &SessionRecord) -> Result<Observation> {
        match standing(record) {
            Standing::Here => {}
            other => return Ok(other.observation(self.now())),
        }
        let runtime = self.runtime_of(&record.place)?;
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
        Ok(judge(record, answer, self.now(), process_axis(record)))
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
        format!("{:016x}/", fnv1a(self.state.root().as_os_str().as_encoded_bytes()))
    }
}

/// The answer of a server, as far as it concerns one peer.
#[derive(Clone, Debug)]
pub enum Own {
    /// The server is known to be gone.
    Gone(Gone),
    /// The server is up.
    Up {
        /// The server's process.
        server: ProcessId,
        /// The recorded pane, if the server lists it.
        row: Option<SessionRow>,
        /// The other panes that carry the peer's tag.
        tagged: Vec<SessionRow>,
    },
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

/// Whether a record can be judged from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its runtime and the kernel can be queried.
    Here,
    /// Its runtime refused to start it, so nothing exists and nothing needs to be queried.
    Refused,
    /// It is from another boot of this machine; nothing is left of it.
    Rebooted,
    /// It is from another machine or pid namespace (which one, and since when). What has its pids and paths here is
    /// something else.
    Elsewhere(String),
    /// Nothing can be determined, for this reason.
    Unclear(String),
}

impl Standing {
    /// Returns the observation of a record for which nothing is queried.
    pub(crate) fn observation(self, now: Timestamp) -> Observation {
        let rebooted = self == Self::Rebooted;
        let (axis, elsewhere) = match self {
            Self::Here | Self::Refused | Self::Rebooted => (Axis::Dead, None),
            Self::Elsewhere(owner) => (Axis::Unknown(format!("it was started {owner}")), Some(owner)),
            Self::Unclear(why) => (Axis::Unknown(why), None),
        };
        Observation {
            runtime: axis.clone(),
            process: axis,
            server_gone: rebooted,
            ended: false,
            listed_at: now,
            rebooted,
            elsewhere,
            answered: None,
            unreachable: None,
            row: None,
            leftovers: Vec::new(),
        }
    }
}

/// Determines whether a record can be judged from here. If the kernel does not report a boot id, that is not proof of
/// another boot.
pub(crate) fn standing(record: &SessionRecord) -> Standing {
    if let Err(error) = kind_of(&record.place.runtime) {
        return Standing::Unclear(format!("the record of {} cannot be used: {error}", record.place.session));
    }
    let another_boot = is_another_boot(&record.boot_id);
    let machine = match elsewhere(record.place.host.as_ref(), another_boot, record.woke_at_ms) {
        Ok(Some(owner)) if owner.another_machine => return Standing::Elsewhere(owner.text),
        Ok(owner) => owner,
        Err(error) => return Standing::Unclear(format!("where this process runs is not known: {error}")),
    };
    // On the same machine, another boot is the stronger fact: everything in any namespace has ended.
    match (another_boot, machine) {
        (true, _) => Standing::Rebooted,
        (false, Some(owner)) => Standing::Elsewhere(owner.text),
        (false, None) if record.phase == Phase::Refused => Standing::Refused,
        (false, None) => Standing::Here,
    }
}

/// Where a record was started, if not here.
#[derive(Debug)]
pub(crate) struct Owner {
    pub(crate) another_machine: bool,
    /// In the form `on another machine …, since …`.
    pub(crate) text: String,
}

/// Whether an id is that of another boot. A kernel that does not report its own id is not proof.
pub(crate) fn is_another_boot(boot_id: &str) -> bool {
    process::boot_id().is_ok_and(|ours| ours != boot_id)
}

/// Returns where a host is if it is not this one. `another_boot` says that the record is from another boot. A record
/// without a host, as older versions wrote it, counts as local.
///
/// # Errors
/// The host of this process cannot be determined.
pub(crate) fn elsewhere(theirs: Option<&Host>, another_boot: bool, since: Timestamp) -> std::io::Result<Option<Owner>> {
    let Some(theirs) = theirs else { return Ok(None) };
    let ours = process::host()?;
    let another_machine = ours.is_not_of(&theirs.machine, &theirs.name, another_boot);
    if !another_machine && ours.shares_processes_with(&theirs.machine, theirs.pid_namespace) {
        return Ok(None);
    }
    let text = if another_machine && theirs.machine == ours.machine {
        let (theirs, ours) = (&theirs.name, &ours.name);
        format!(
            "on another machine, {theirs}, with the machine id of this one, {ours} (or on this one, before it was renamed and \
             booted again), at {since}"
        )
    } else if another_machine {
        let id = theirs.machine.get(..8).unwrap_or(&theirs.machine);
        format!("on another machine, {} (machine id {id}), at {since}", theirs.name)
    } else {
        let inode = theirs.pid_namespace.unwrap_or_default();
        format!("in another pid namespace of this machine, {} (pid:[{inode}]), at {since}", theirs.name)
    };
    Ok(Some(Owner { another_machine, text }))
}

/// Distinguishes state directories on a shared server. FNV-1a, because the hash must be the same in every build.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Judges a record by a server's answer and the kernel's facts; `process` is the agent's process axis.
pub fn judge(
    record: &SessionRecord,
    answer: std::result::Result<Own, &RuntimeError>,
    listed_at: Timestamp,
    process: Axis,
) -> Observation {
    let unknown = |why| Observation {
        runtime: Axis::Unknown(why),
        process,
        server_gone: false,
        ended: false,
        listed_at,
        rebooted: false,
        elsewhere: None,
        answered: None,
        unreachable: None,
        row: None,
        leftovers: Vec::new(),
    };
    match answer {
        Err(RuntimeError::Unreachable { recorded: server, gone, .. }) => {
            let why = unreachable(record, recorded(*server), *gone);
            Observation { unreachable: Some(*server), ..unknown(why) }
        }
        Err(error) => unknown(error.to_string()),
        Ok(Own::Gone(gone)) => unanswered(record, gone, unknown),
        Ok(Own::Up { server, row, tagged }) => answered(record, server, row, tagged, unknown),
    }
}

/// Judges a record whose server did not answer on its path. The socket of a living server can be removed (a cleaner of
/// /tmp). Then the server cannot be reached, but nothing that it hosts is gone.
fn unanswered(record: &SessionRecord, gone: Gone, unknown: impl FnOnce(String) -> Observation) -> Observation {
    let ended = gone == Gone::Ended;
    let dead = |unknown: Observation| Observation { runtime: Axis::Dead, server_gone: !ended, ended, ..unknown };
    let Some(recorded) = record.place.server_process else {
        return match contradiction(record) {
            Some(why) => unknown(why),
            None => dead(unknown(String::new())),
        };
    };
    match axis_of(recorded, "the server") {
        Axis::Dead => dead(unknown(String::new())),
        Axis::Alive => {
            let why = unreachable(record, recorded, gone);
            Observation { unreachable: Some(process_id(recorded)), ..unknown(why) }
        }
        Axis::Unknown(why) => unknown(why),
    }
}

/// Judges a record by the server that answered on its path.
fn answered(
    record: &SessionRecord,
    server: ProcessId,
    row: Option<SessionRow>,
    tagged: Vec<SessionRow>,
    unknown: impl FnOnce(String) -> Observation,
) -> Observation {
    let unknown = |why| Observation { answered: Some(server), ..unknown(why) };
    if let Some(recorded) = record.place.server_process.filter(|recorded| process_id(*recorded) != server) {
        // The listing of another server says nothing about the recorded server's panes.
        return match axis_of(recorded, "the server") {
            Axis::Dead => Observation { runtime: Axis::Dead, server_gone: true, ..unknown(String::new()) },
            Axis::Alive => unknown(replaced(record, recorded, server)),
            Axis::Unknown(why) => unknown(why),
        };
    }
    let contradicted = if row.is_none() { contradiction(record) } else { None };
    let runtime = match (&row, contradicted) {
        (Some(_), _) => Axis::Alive,
        (None, None) => Axis::Dead,
        (None, Some(why)) => Axis::Unknown(why),
    };
    // An older version of `peer` tagged the session, so each pane that the user added to it carries the tag too.
    let own = |other: &SessionRow| row.as_ref().is_some_and(|row| row.session_id == other.session_id);
    let leftovers = tagged.into_iter().filter(|other| !own(other)).collect();
    Observation { runtime, row, leftovers, ..unknown(String::new()) }
}

/// Returns what speaks against a reported absence: a terminal that has not been hung up. When a server gives up a pane,
/// the pane process is hung up; if it has not been, something still hosts it, whatever a listing says.
fn contradiction(record: &SessionRecord) -> Option<String> {
    let pane = record.place.pane_process.map(|pane| ("pane process", pane, pane.pid));
    let agent = record.process.map(|agent| ("agent", agent.id, agent.session));
    pane.into_iter().chain(agent).find_map(|(what, process, session)| match process::find(process_id(process)) {
        Ok(Some(status)) if status.has_terminal && status.session == session => Some(format!(
            "{} does not list its pane, and its {what}, pid {}, still has the terminal of that pane",
            at(&record.place),
            process.pid
        )),
        Ok(_) => None,
        Err(error) => Some(not_asked(what, process, &error)),
    })
}

/// Returns why nothing is known about what the recorded server hosts, and the way out.
fn unreachable(record: &SessionRecord, server: Process, gone: Gone) -> String {
    let Place { runtime, .. } = &record.place;
    let way_out = if *runtime == RuntimeKind::Tmux.as_str() {
        format!("; `peer doctor --fix`, any wake or tick makes it listen again, as does `kill -USR1 {}`", server.pid)
    } else {
        "; `peer stop` ends it, to be resumed in a new session".to_owned()
    };
    format!(
        "{}: its server, process {}, lives and cannot be reached ({gone:?}){way_out}",
        at(&record.place),
        server.pid
    )
}

fn replaced(record: &SessionRecord, recorded: Process, found: ProcessId) -> String {
    let Place { runtime, .. } = &record.place;
    let way_out = if *runtime == RuntimeKind::Tmux.as_str() {
        format!("; end process {}, or take the path back with `kill -USR1 {}`", found.pid, recorded.pid)
    } else {
        String::new()
    };
    let at = at(&record.place);
    format!(
        "{at}: process {} listens there, and not its server, process {}, which lives{way_out}",
        found.pid, recorded.pid
    )
}

fn at(place: &Place) -> String {
    format!("{} at {}", place.runtime, place.server.display())
}

fn axis_of(process: Process, what: &str) -> Axis {
    match process::find(process_id(process)) {
        Ok(Some(_)) => Axis::Alive,
        Ok(None) => Axis::Dead,
        Err(error) => Axis::Unknown(not_asked(what, process, &error)),
    }
}

fn not_asked(what: &str, process: Process, error: &std::io::Error) -> String {
    format!("the kernel could not be asked about {what}, pid {}: {error}", process.pid)
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

/// Returns the process axis of a record: whether a process with its pid and start time exists. An agent that was never
/// started is dead.
pub fn process_axis(record: &SessionRecord) -> Axis {
    record.process.map_or(Axis::Dead, |agent| axis_of(agent.id, "the agent"))
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
