//! Judges a record by what its server answered and what the kernel knows.

use peer_adapters::process::{self, ProcessId};
use peer_adapters::runtime::{Gone, RuntimeError, SessionRow};

use super::{Observation, process_id, recorded};
use crate::policy::axis::Axis;
use crate::policy::time::Timestamp;
use crate::policy::wake::STOP_ENDS_IT;
use crate::store::{Place, Process, SessionRecord};

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
    let way_out = match reconnect_command(record, server.pid) {
        Some(command) => format!("; `peer doctor --fix`, any wake or tick makes it listen again, as does `{command}`"),
        None => format!("; {STOP_ENDS_IT}, to be resumed in a new session"),
    };
    format!(
        "{}: its server, process {}, lives and cannot be reached ({gone:?}){way_out}",
        at(&record.place),
        server.pid
    )
}

fn replaced(record: &SessionRecord, recorded: Process, found: ProcessId) -> String {
    let way_out = reconnect_command(record, recorded.pid)
        .map(|command| format!("; end process {}, or take the path back with `{command}`", found.pid))
        .unwrap_or_default();
    let at = at(&record.place);
    format!(
        "{at}: process {} listens there, and not its server, process {}, which lives{way_out}",
        found.pid, recorded.pid
    )
}

fn reconnect_command(record: &SessionRecord, pid: u32) -> Option<String> {
    record.place.kind()?.facts().reconnect_command(pid)
}

fn at(place: &Place) -> String {
    format!("{} at {}", place.runtime, place.server.display())
}

/// Returns the process axis of a record: whether a process with its pid and start time exists. An agent that was never
/// started is dead.
pub fn process_axis(record: &SessionRecord) -> Axis {
    record.process.map_or(Axis::Dead, |agent| axis_of(agent.id, "the agent"))
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
