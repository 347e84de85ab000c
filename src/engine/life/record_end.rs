//! Recording an end: gather the facts, let the policy determine the cause, and write it once.
//!
//! No runtime is queried here, because the pane process records its own agent's end too.

use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use peer_adapters::process;
use tokio::time::Instant;

use crate::engine::observe::conversation::ConversationFinder;
use crate::engine::observe::{Observation, process_id};
use crate::engine::{Engine, Peer, Result};
use crate::policy::ending::{EndFacts, EndReport, Evidence, Exit, Intent, Reached, Server, classify};
use crate::policy::event::EventName;
use crate::policy::inbox::{Afterwards, afterwards};
use crate::policy::time::Timestamp;
use crate::store::{
    ConversationEntry, Ends, Event, ExitRecord, Hangup, LastEnd, Locked, Marker, Outcome, PeerFiles, Phase, Queued,
    Session, SessionRecord, StateDir,
};

/// How long a pane process may take to record that its agent has ended. The kernel notifies it at once and it needs a
/// millisecond; a stopped one would never do it.
const EXIT_RECORD_PATIENCE: Duration = Duration::from_secs(2);

impl Engine {
    /// Waits until the pane process has recorded how its agent ended, if there is a pane process that can. Call this
    /// once the agent is dead: the kernel shows that a moment before the parent learns it.
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

/// What was observed of an end from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndContext {
    /// Whether the runtime's server is gone.
    pub server_gone: bool,
    /// Whether the record is from another boot.
    pub rebooted: bool,
    /// What became of the runtime's session.
    pub session: Session,
}

impl EndContext {
    /// Only the exit record shows the end, and the session still has the last screen.
    pub const UNSEEN: Self = Self { server_gone: false, rebooted: false, session: Session::Left };

    /// Returns the context for an observation after which the session was cleared.
    pub fn cleared(observation: &Observation) -> Self {
        // An exit record explains the end best. Without one, a server that is gone took the agent with it.
        Self {
            server_gone: observation.server_gone || observation.ended,
            rebooted: observation.rebooted,
            session: Session::Cleared,
        }
    }

    /// Returns the context for an observation whose session still has the last screen.
    pub fn left(observation: &Observation) -> Self {
        Self { session: Session::Left, ..Self::cleared(observation) }
    }
}

/// Records the end of the pane process's own agent, and returns the session record that the end replaced. `None` if
/// another process already recorded it.
///
/// # Errors
/// The state directory failed. The exit record is on disk, and the next wake or tick completes the end.
pub fn after_exit(
    state: &StateDir,
    locked: &Locked,
    exit: &ExitRecord,
    started: Option<&StartedAs>,
) -> Result<Option<SessionRecord>> {
    let on_record = locked.files().session()?.present().filter(|record| record.incarnation == exit.incarnation);
    let remembered = if on_record.is_none() { remembered(locked, exit, started)? } else { None };
    let Some(mut record) = on_record.or(remembered) else {
        // Another process recorded this end while this one waited for the lock, and removed the files before the exit
        // record was written.
        locked.remove_pane_files(exit.incarnation)?;
        return Ok(None);
    };
    let config = locked.files().launch(exit.incarnation)?.present().map(|launch| launch.config_dir);
    let finder = config.and_then(|config| ConversationFinder::load(&config, locked.files().name()));
    if let Some(finder) = finder {
        // The last chance to learn an id that the agent chose itself. The end must be recorded with or without it.
        let _ = finder.find(state, locked, &mut record);
    }
    record_end(state, locked, &record, EndContext::UNSEEN, std::time::SystemTime::now().into())?;
    Ok(Some(record))
}

/// What the pane process remembers of its start.
#[derive(Clone, Debug)]
pub struct StartedAs {
    /// The record after the agent had been started.
    pub record: SessionRecord,
    /// The configuration directory that was used.
    pub config_dir: PathBuf,
}

/// Returns the pane process's copy of the record of an incarnation whose files were deleted while it ran. `None` if
/// they were not deleted, because another process already recorded this end, or if the peer was removed.
fn remembered(locked: &Locked, exit: &ExitRecord, started: Option<&StartedAs>) -> Result<Option<SessionRecord>> {
    let files = locked.files();
    let Some(StartedAs { record, config_dir }) = started else { return Ok(None) };
    // Recording an end removes the exit record.
    let settled = files.session()?.present().is_some()
        || files.exit(exit.incarnation)?.present().is_none()
        || files.end()?.present().is_some_and(|last| last.end.incarnation >= exit.incarnation);
    if settled || ConversationFinder::load(config_dir, files.name()).is_none() {
        return Ok(None);
    }
    if let Some(conversation) = record.conversation.clone() {
        let (at_ms, agent, incarnation) = (exit.at_ms, record.agent.clone(), record.incarnation);
        locked.append_conversation(&ConversationEntry { at_ms, conversation, agent, incarnation, how: None })?;
    }
    // Whether it was ever ready was in the lost record; an agent that ran usually was.
    let phase = Phase::Ready { ready_at_ms: record.woke_at_ms };
    // Whether it was being ended was in the lost record as well. An exit that an intended end may have caused is not
    // counted as a death.
    let intent = may_be_asked_for(exit).then_some(Intent::Closed);
    Ok(Some(SessionRecord { intent, phase, ..record.clone() }))
}

/// Whether an end intended by `peer`, by the agent's own keys or by SIGTERM, would look like this exit. A SIGKILL more
/// often comes from elsewhere. An agent that catches a signal exits with 128 plus its number (sh(1)).
fn may_be_asked_for(exit: &ExitRecord) -> bool {
    let by = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM].map(|signal| signal as i32);
    match (exit.code, exit.signal) {
        (Some(code), _) => code == 0 || by.contains(&(code - 128)),
        (None, Some(signal)) => by.contains(&signal),
        (None, None) => false,
    }
}

/// Returns what [`record_end`] would record now, and writes nothing. `why`, `list` and `status` show this for an
/// incarnation that is over; a wake decides by the same outcome once it is recorded.
///
/// # Errors
/// A file exists and cannot be read.
pub fn preview(files: &PeerFiles, record: &SessionRecord, context: EndContext, now: Timestamp) -> Result<Outcome> {
    outcome(files, record, context, now, files.ends()?)
}

fn outcome(
    files: &PeerFiles,
    record: &SessionRecord,
    context: EndContext,
    now: Timestamp,
    before: Ends,
) -> Result<Outcome> {
    let exit = files.exit(record.incarnation)?.present();
    let report = report(record, exit.as_ref(), context, now);
    Ok(Outcome::of(record, report, context.session, before))
}

/// Records and logs the end of the recorded incarnation, no matter which process observed it.
///
/// # Errors
/// The state directory failed; the record stays, and the next pass completes the end.
pub fn record_end(
    state: &StateDir,
    locked: &Locked,
    record: &SessionRecord,
    context: EndContext,
    now: Timestamp,
) -> Result<LastEnd> {
    locked.consume_markers(&mut record.clone())?;
    let before = locked.files().ends()?;
    let is_repeated = before.last.as_ref().is_some_and(|last| last.end.incarnation == record.incarnation);
    let outcome = outcome(locked.files(), record, context, now, before.clone())?;
    settle_taken(state, locked, record, &outcome.last, now)?;
    locked.write_outcome(&before, &outcome)?;
    // Logged before the record is removed: if this is killed in between, the next pass finds the record, and the event.
    if !is_repeated || !is_logged(state, locked, record)? {
        state.journal().append(&ended(locked, record, &outcome.last, now))?;
    }
    locked.remove_ended(record.incarnation)?;
    Ok(outcome.last)
}

/// Whether a pass that was killed has logged this end.
fn is_logged(state: &StateDir, locked: &Locked, record: &SessionRecord) -> Result<bool> {
    Ok(state.journal().read_all()?.iter().any(|event| {
        event.is(EventName::SessionEnded)
            && event.peer.as_ref() == Some(locked.files().name())
            && event.incarnation == Some(record.incarnation)
    }))
}

/// Decides what becomes of the message of an ephemeral worker that has ended: done, queued again, or put aside.
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
        let why = format!("its worker ended before it reported that it was done: {}", cause.as_str());
        let event = match becomes {
            Afterwards::Done => None,
            Afterwards::Again { .. } => Some(Event::new(now, EventName::MessageReturned).cause(cause.as_str())),
            Afterwards::PutAside => Some(Event::new(now, EventName::MessageExpired).cause("not-done")),
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

fn report(record: &SessionRecord, exit: Option<&ExitRecord>, context: EndContext, now: Timestamp) -> EndReport {
    let at = exit.map_or(now, |exit| exit.at_ms);
    let seen = exit.and_then(|exit| exit.code.map(Exit::Code).or(exit.signal.map(Exit::Signal)));
    // The pane process checked this at the moment of the end. What happened to the server afterwards is irrelevant.
    let server_gone = match exit.and_then(|exit| exit.hangup) {
        Some(hangup) => hangup == Hangup::ServerGone,
        None => context.server_gone,
    };
    let cause = classify(&EndFacts {
        intent: record.intent,
        evidence: evidence(record, exit, seen, context),
        server: if server_gone { Server::Gone } else { Server::Up },
        rebooted: context.rebooted,
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

fn evidence(record: &SessionRecord, exit: Option<&ExitRecord>, seen: Option<Exit>, context: EndContext) -> Evidence {
    match (exit, seen) {
        (Some(exit), _) if exit.hangup.is_some() => Evidence::HungUp,
        (Some(exit), _) if exit.spawn_error.is_some() => Evidence::SpawnFailed,
        (_, Some(exit)) => Evidence::Exit { exit, ready_at: record.ready_at() },
        // The pane disappeared before it could start anything.
        _ if record.process.is_none() && !context.rebooted && !context.server_gone => Evidence::SpawnFailed,
        _ => Evidence::Absent,
    }
}

fn ended(locked: &Locked, record: &SessionRecord, last: &LastEnd, now: Timestamp) -> Event {
    let (code, signal) = match last.end.exit {
        Some(Exit::Code(code)) => (Some(code), None),
        Some(Exit::Signal(signal)) => (None, Some(signal)),
        None => (None, None),
    };
    Event::new(now, EventName::SessionEnded)
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
