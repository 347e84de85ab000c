//! Handles the end of the agent: writes the exit record at once, then records the end.

use std::time::Duration;

use nix::sys::signal::Signal;
use peer_adapters::process::{ProcessId, Reaped};
use peer_adapters::signals::Signals;

use super::hangup::{HangupEvidence, TerminalServer};
use super::signals::signal_session;
use super::{PaneError, successor};
use crate::engine::hooks;
use crate::engine::life::record_end::{self, StartedAs};
use crate::engine::observe::process_id;
use crate::policy::ending::{Incarnation, Intent};
use crate::policy::name::PeerName;
use crate::policy::time::{Timestamp, millis};
use crate::store::{ExitRecord, Hangup, PeerFiles, SessionRecord, StateDir, Stored};

/// The agent's end, as the pane process saw it.
pub(super) struct Ended {
    /// When it was reaped. Finding out about a hangup takes up to a second more.
    pub(super) at: Timestamp,
    pub(super) uptime: Duration,
    pub(super) reaped: Reaped,
}

impl Ended {
    pub(super) fn record(&self, incarnation: Incarnation, hangup: Option<Hangup>) -> ExitRecord {
        ExitRecord {
            code: self.reaped.code,
            signal: self.reaped.signal,
            uptime_ms: millis(self.uptime),
            max_rss_kib: self.reaped.max_rss_kib,
            hangup,
            ..ExitRecord::unseen(incarnation, self.at)
        }
    }

    /// Returns the exit code that a shell would report.
    pub(super) fn code(&self) -> i32 {
        self.reaped.code.unwrap_or_else(|| 128 + self.reaped.signal.unwrap_or(0))
    }
}

/// Returns how the agent's terminal was taken away, if that happened before or together with the agent's end.
///
/// The recorded server is checked, because after a self-fresh this process may have another parent. `parent` is used if
/// no server was recorded yet. An end that `peer` intended already has its cause, so nothing is checked for it. A record that
/// cannot be read does not keep the end from being recorded.
pub(super) fn hangup_before(
    files: &PeerFiles,
    started: &SessionRecord,
    parent: Option<ProcessId>,
    reaped: &Reaped,
    heard: HangupEvidence,
    signals: &Signals,
) -> Result<Option<Hangup>, PaneError> {
    let incarnation = started.incarnation;
    let record = match files.session() {
        Ok(Stored::Present(record)) => Some(record).filter(|record| record.incarnation == incarnation),
        // Without a session record, either the end is recorded already, or the user deleted both files.
        Ok(Stored::Absent | Stored::Corrupt(_)) | Err(_) => {
            let last = files.end().ok().and_then(Stored::present);
            let ended = last.is_some_and(|last| last.end.incarnation >= incarnation);
            (!ended).then(|| started.clone())
        }
    };
    let Some(record) = record.filter(|record| record.intent.is_none()) else { return Ok(None) };
    let server = record.place.server_process.map(process_id).or(parent);
    Ok(TerminalServer(server).hangup(reaped, heard, signals)?)
}

/// Writes the exit record at once, then records the end, unless the process that caused it does so first. Returns the
/// next incarnation if the agent requested a fresh restart of itself.
pub(super) fn record_exit(
    state: &StateDir,
    name: &PeerName,
    exit: &ExitRecord,
    started: Option<&StartedAs>,
) -> Result<Option<Incarnation>, PaneError> {
    state.peer(name).write_exit(exit)?;
    let locked = state.lock_blocking(name)?;
    // Recording the end removes the launch file, but a fresh restart needs it.
    let launch = locked.files().launch(exit.incarnation)?.present();
    // Read now and not at the start: an event runs the hooks that are configured when it happens.
    let with_hooks = launch.as_ref().map(|launch| hooks::with_hooks(state.clone(), &launch.config_dir));
    let state = with_hooks.as_ref().unwrap_or(state);
    let Some(record) = record_end::after_exit(state, &locked, exit, started)? else { return Ok(None) };
    match launch {
        Some(launch) if record.intent == Some(Intent::SelfFresh) => {
            signal_session(Signal::SIGKILL)?;
            Ok(Some(successor::record_successor(state, &locked, &record, launch)?))
        }
        _ => Ok(None),
    }
}
