//! Recording an end: gather what is known of it, let the policy name its cause, and write it down once.
//!
//! No runtime is asked here, because the pane process settles its own agent's end too.

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use peer_adapters::process;
use tokio::time::Instant;

use crate::engine::observe::conversation::Learner;
use crate::engine::observe::{Sight, process_id};
use crate::engine::{Engine, Peer, Result};
use crate::policy::ending::{EndFacts, EndReport, Evidence, Exit, Intent, Reached, Server, classify};
use crate::policy::inbox::{Afterwards, afterwards};
use crate::policy::time::Timestamp;
use crate::store::{
    ConversationEntry, Event, ExitRecord, Hangup, LastEnd, Locked, Marker, Outcome, PeerFiles, Phase, Queued, Session,
    SessionRecord, StateDir,
};

/// How long a pane process may take to write down that its agent has ended. It is told by the kernel at once and needs a
/// millisecond; one that is stopped would need for ever.
const EXIT_RECORD_PATIENCE: Duration = Duration::from_secs(2);

impl Engine {
    /// Waits until the pane process has written how its agent ended, where there is a pane process that can. To be
    /// called once the agent is dead: the kernel says so a moment earlier than its parent can.
    ///
    /// # Errors
    /// The record or the process table cannot be read.
    pub(crate) async fn await_exit_record(&self, peer: &Peer, record: &SessionRecord) -> Result<()> {
        let Some(pane) = record.place.pane_process.map(process_id) else { return Ok(()) };
        let started = Instant::now();
        while started.elapsed() < EXIT_RECORD_PATIENCE {
            let written = peer.files.exit(record.incarnation)?.present().is_some();
            if written || process::find(pane)?.is_none() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }
}

/// What was seen of an end from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absence {
    /// The runtime's server is gone.
    pub server_gone: bool,
    /// The record is of another boot.
    pub rebooted: bool,
    /// What became of the runtime's session.
    pub session: Session,
}

impl Absence {
    /// Nothing but the exit record tells of it, and the session still shows the last screen.
    pub const UNSEEN: Self = Self { server_gone: false, rebooted: false, session: Session::Left };

    /// What a look said, after which the session was cleared.
    pub fn cleared(sight: &Sight) -> Self {
        // Whoever was there knows better how it ended; without anybody who was, a server that is gone took it along.
        Self { server_gone: sight.server_gone || sight.ended, rebooted: sight.rebooted, session: Session::Cleared }
    }
}

/// An end that was recorded, and the record that it took away.
#[derive(Clone, Debug)]
pub struct Ended {
    /// What was on record.
    pub record: SessionRecord,
    /// What stands in `NAME.end` now.
    pub last: LastEnd,
}

/// Called by the pane process when its agent has ended: records that, unless somebody else did already (`None`).
///
/// # Errors
/// The state directory failed; the exit record is on disk, and the next wake or tick finishes.
pub fn after_exit(
    state: &StateDir,
    locked: &Locked,
    exit: &ExitRecord,
    started: Option<&StartedAs>,
) -> Result<Option<Ended>> {
    let on_record = locked.files().session()?.present().filter(|record| record.incarnation == exit.incarnation);
    let remembered = if on_record.is_none() { remembered(locked, exit, started)? } else { None };
    let Some(mut record) = on_record.or(remembered) else {
        // Somebody recorded this end while we waited for the lock, and removed the files before ours was there.
        locked.remove_pane_files(exit.incarnation)?;
        return Ok(None);
    };
    let config = locked.files().launch(exit.incarnation)?.present().map(|launch| launch.config_dir);
    let learner = config.and_then(|config| Learner::load(&config, locked.files().name()));
    if let Some(learner) = learner {
        // The last chance to learn an id that the agent chose by itself; the end must be recorded with or without it.
        let _ = learner.learn(state, locked, &mut record);
    }
    let last = record_end(state, locked, &record, Absence::UNSEEN, std::time::SystemTime::now().into())?;
    Ok(Some(Ended { record, last }))
}

/// What the pane process remembers of its start.
#[derive(Clone, Debug)]
pub struct StartedAs {
    /// The record as it stood when the agent had been started.
    pub record: SessionRecord,
    /// The configuration that was in force.
    pub config_dir: PathBuf,
}

/// The record of an incarnation whose files were deleted while it ran, as its pane process remembers it. `None`: they were
/// not, but somebody recorded this end already, or the peer was removed.
fn remembered(locked: &Locked, exit: &ExitRecord, started: Option<&StartedAs>) -> Result<Option<SessionRecord>> {
    let files = locked.files();
    let Some(StartedAs { record, config_dir }) = started else { return Ok(None) };
    // Whoever records an end takes its exit record away.
    let settled = files.session()?.present().is_some()
        || files.exit(exit.incarnation)?.present().is_none()
        || files.end()?.present().is_some_and(|last| last.end.incarnation >= exit.incarnation);
    if settled || Learner::load(config_dir, files.name()).is_none() {
        return Ok(None);
    }
    if let Some(conversation) = record.conversation.clone() {
        let (at_ms, agent, incarnation) = (exit.at_ms, record.agent.clone(), record.incarnation);
        locked.append_conversation(&ConversationEntry { at_ms, conversation, agent, incarnation })?;
    }
    // Whether it was ever ready stood in the record; an agent that ran was, as a rule.
    let phase = Phase::Ready { ready_at_ms: record.woke_at_ms };
    // Whether somebody was ending it stood there as well. What an ending of ours may have brought about is no death then.
    let intent = may_be_asked_for(exit).then_some(Intent::Closed);
    Ok(Some(SessionRecord { intent, phase, ..record.clone() }))
}

/// Whether an ending of ours, by the agent's own keys or by SIGTERM, would look like that from outside; SIGKILL is more often
/// somebody else's. An agent that catches a signal ends with 128 and its number (sh(1)).
fn may_be_asked_for(exit: &ExitRecord) -> bool {
    let by = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM].map(|signal| signal as i32);
    match (exit.code, exit.signal) {
        (Some(code), _) => code == 0 || by.contains(&(code - 128)),
        (None, Some(signal)) => by.contains(&signal),
        (None, None) => false,
    }
}

/// What [`record_end`] would record now; writes nothing. `why`, `list` and `status` tell this of an incarnation that is
/// over, and a wake decides by the same once it is recorded.
///
/// # Errors
/// A file is there and cannot be read.
pub fn foresee(files: &PeerFiles, record: &SessionRecord, absence: Absence, now: Timestamp) -> Result<Outcome> {
    let exit = files.exit(record.incarnation)?.present();
    let report = report(record, exit.as_ref(), absence, now);
    let (previous, deaths) = (files.end()?.present(), files.deaths()?.present().unwrap_or_default());
    Ok(Outcome::of(record, report, absence.session, previous, deaths))
}

/// Records the end of the incarnation on record, whoever saw it, and logs it.
///
/// # Errors
/// The state directory failed; the record still stands, and the next pass finishes.
pub fn record_end(
    state: &StateDir,
    locked: &Locked,
    record: &SessionRecord,
    absence: Absence,
    now: Timestamp,
) -> Result<LastEnd> {
    let outcome = foresee(locked.files(), record, absence, now)?;
    settle_taken(state, locked, record, &outcome.last, now)?;
    locked.record_end(record, &outcome)?;
    state.journal().append(&ended(locked, record, &outcome.last, now))?;
    Ok(outcome.last)
}

/// What the worker of one message had is done with, or waits for the next one, or is put aside.
fn settle_taken(
    state: &StateDir,
    locked: &Locked,
    record: &SessionRecord,
    last: &LastEnd,
    now: Timestamp,
) -> Result<()> {
    for message in locked.files().taken()? {
        let done_at = locked.files().marked_at(Marker::Done)?;
        let said_done = done_at.is_some_and(|at| at >= record.woke_at_ms) && message.taken == Some(record.incarnation);
        let cause = last.end.cause;
        let becomes = afterwards(said_done, cause, message.returned);
        let why = format!("its worker ended before it had said that it was done: {}", cause.as_str());
        let event = match becomes {
            Afterwards::Done => None,
            Afterwards::Again { .. } => Some(Event::new(now, "message.returned").cause(cause.as_str())),
            Afterwards::PutAside => Some(Event::new(now, "message.expired").cause("not-done")),
        };
        if let Some(event) = event {
            let event = event.peer(locked.files().name()).incarnation(record.incarnation).with("message", message.id);
            state.journal().append(&event)?;
        }
        let returned = message.returned + u32::from(becomes == Afterwards::Again { counted: true });
        locked.settle_taken(&Queued { taken: None, returned, why: Some(why), ..message }, becomes)?;
    }
    Ok(())
}

fn report(record: &SessionRecord, exit: Option<&ExitRecord>, absence: Absence, now: Timestamp) -> EndReport {
    let at = exit.map_or(now, |exit| exit.at_ms);
    let seen = exit.and_then(|exit| exit.code.map(Exit::Code).or(exit.signal.map(Exit::Signal)));
    // The pane process looked when it happened; what became of the server since says nothing of this end.
    let server_gone = match exit.and_then(|exit| exit.hangup) {
        Some(hangup) => hangup == Hangup::ServerGone,
        None => absence.server_gone,
    };
    let cause = classify(&EndFacts {
        intent: record.intent,
        evidence: evidence(record, exit, seen, absence),
        server: if server_gone { Server::Gone } else { Server::Up },
        rebooted: absence.rebooted,
        at,
    });
    EndReport {
        incarnation: record.incarnation,
        cause,
        at,
        exit: seen,
        uptime: exit.map_or_else(|| at.since(record.woke_at_ms), |exit| Duration::from_millis(exit.uptime_ms)),
        max_rss_kib: exit.map(|exit| exit.max_rss_kib).filter(|kib| *kib > 0),
        reached: match (record.ready_at(), record.resumed) {
            (Some(_), _) => Reached::Ready,
            (None, false) => Reached::FreshStart,
            (None, true) => Reached::Resume,
        },
    }
}

fn evidence(record: &SessionRecord, exit: Option<&ExitRecord>, seen: Option<Exit>, absence: Absence) -> Evidence {
    match (exit, seen) {
        (Some(exit), _) if exit.hangup.is_some() => Evidence::HungUp,
        (Some(exit), _) if exit.spawn_error.is_some() => Evidence::SpawnFailed,
        (_, Some(exit)) => Evidence::Exit { exit, ready_at: record.ready_at() },
        // The pane went away before it could start anything.
        _ if record.process.is_none() && !absence.rebooted && !absence.server_gone => Evidence::SpawnFailed,
        _ => Evidence::Absent,
    }
}

fn ended(locked: &Locked, record: &SessionRecord, last: &LastEnd, now: Timestamp) -> Event {
    let (code, signal) = match last.end.exit {
        Some(Exit::Code(code)) => (Some(code), None),
        Some(Exit::Signal(signal)) => (None, Some(signal)),
        None => (None, None),
    };
    Event::new(now, "session.ended")
        .peer(locked.files().name())
        .incarnation(record.incarnation)
        .cause(last.end.cause.as_str())
        .with("counted", last.end.counted)
        .with("code", code)
        .with("signal", signal)
        .with("uptime_ms", last.end.uptime_ms)
        .with("max_rss_kib", last.end.max_rss_kib)
        .with("conversation", record.conversation.clone())
}
