//! The end of the agent, as its parent saw it: put on disk at once, then recorded.

use std::time::Instant;

use nix::sys::signal::Signal;
use peer_adapters::process::{ProcessId, Reaped};
use peer_adapters::signals::Signals;

use super::hangup::{Heard, Holder};
use super::signals::signal_session;
use super::{PaneError, now, successor};
use crate::engine::hooks;
use crate::engine::life::record_end::{self, StartedAs};
use crate::engine::observe::process_id;
use crate::policy::ending::{Incarnation, Intent};
use crate::policy::name::PeerName;
use crate::store::{ExitRecord, Hangup, PeerFiles, SessionRecord, StateDir, Stored};

/// What was seen of the agent's end.
pub(super) struct Ended {
    pub(super) reaped: Reaped,
    pub(super) hangup: Option<Hangup>,
}

impl Ended {
    pub(super) fn record(&self, incarnation: Incarnation, born: Instant) -> ExitRecord {
        ExitRecord {
            code: self.reaped.code,
            signal: self.reaped.signal,
            uptime_ms: u64::try_from(born.elapsed().as_millis()).unwrap_or(u64::MAX),
            max_rss_kib: self.reaped.max_rss_kib,
            hangup: self.hangup,
            ..ExitRecord::unseen(incarnation, now())
        }
    }

    /// The code a shell would report.
    pub(super) fn code(&self) -> i32 {
        self.reaped.code.unwrap_or_else(|| 128 + self.reaped.signal.unwrap_or(0))
    }
}

/// Whether the agent's terminal was taken away before it ended, or with it. The server is the one on record, because after
/// a self-fresh our parent may be another process already; `parent` where none was recorded yet. An end that one of us
/// wanted has its cause already.
pub(super) fn hangup_before(
    files: &PeerFiles,
    started: &SessionRecord,
    parent: Option<ProcessId>,
    reaped: &Reaped,
    heard: Heard,
    signals: &Signals,
) -> Result<Option<Hangup>, PaneError> {
    let incarnation = started.incarnation;
    let record = match files.session()? {
        Stored::Present(record) => Some(record).filter(|record| record.incarnation == incarnation),
        // Without a record the end is on record already, or somebody deleted both.
        Stored::Absent | Stored::Corrupt(_) => {
            let ended = files.end()?.present().is_some_and(|last| last.end.incarnation >= incarnation);
            (!ended).then(|| started.clone())
        }
    };
    let Some(record) = record.filter(|record| record.intent.is_none()) else { return Ok(None) };
    let server = record.place.server_process.map(process_id).or(parent);
    Ok(Holder(server).took_away(reaped, heard, signals)?)
}

/// Puts the end on disk at once, then records it as this peer's end unless whoever caused it does so first. Returns the
/// incarnation to go on with, where the agent asked for a clean restart of itself.
pub(super) fn record_exit(
    state: &StateDir,
    name: &PeerName,
    exit: &ExitRecord,
    started: Option<&StartedAs>,
) -> Result<Option<Incarnation>, PaneError> {
    state.peer(name).write_exit(exit)?;
    let locked = state.lock_blocking(name)?;
    // Recording the end takes the launch file away, and a clean restart starts from it.
    let launch = locked.files().launch(exit.incarnation)?.present();
    // Read now and not at the start: what a person's hooks are is a matter of the moment at which something happens.
    let heard = launch.as_ref().map(|launch| hooks::heard(state.clone(), &launch.config_dir));
    let state = heard.as_ref().unwrap_or(state);
    let Some(ended) = record_end::after_exit(state, &locked, exit, started)? else { return Ok(None) };
    match launch {
        Some(launch) if ended.record.intent == Some(Intent::SelfFresh) => {
            signal_session(Signal::SIGKILL)?;
            Ok(Some(successor::succeed(state, &locked, &ended.record, launch)?))
        }
        _ => Ok(None),
    }
}
