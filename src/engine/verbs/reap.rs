//! `peer reap`: one tick. Probes every peer on both axes, judges, acts, and stamps the heartbeat, within a time budget.

mod act;
mod action;
mod clock;
mod fleet;
mod held_up;
mod idle;
mod judge;
mod mail;
mod memory;
mod task;
mod turns;
mod unchanged;
mod watch_over;

use std::path::Path;
use std::time::Duration;

use peer_adapters::process;
use peer_adapters::runtime::RuntimeKind;
use serde::Serialize;
use tokio::time::Instant;

use crate::engine::observe::{process_id, recorded};
use crate::engine::{Engine, EngineError, Result};
use crate::policy::event::EventName;
use crate::policy::name::PeerName;
use crate::policy::time::{Timestamp, millis};
use crate::policy::verdict::defer_mass_absence;
use crate::store::{Event, Heartbeat, Marker, PeerFiles, SessionRecord, Stored, TickInProgress, TickLock, Watch};
pub use action::{ActionKind, TickAction};
use fleet::{Fleet, Subject, View};
use judge::{judge_all, keep_the_others, stamp};

/// How long after its budget a tick has written its stamps, on a machine under any load. After that, it hangs.
const STAMPED_WITHIN: Duration = Duration::from_secs(10);

/// Every how many ticks, including the first, abandoned clients are searched for. A search reads a file for each
/// orphaned process on the machine. The kernel ends clients with their parent, except for a moment at their start.
const LEFT_CLIENTS: u64 = 10;

/// The options of a tick.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Only judge, and change nothing.
    pub dry_run: bool,
    /// Only this peer.
    pub only: Option<PeerName>,
    /// How long the tick may take; as configured if not given.
    pub budget: Option<Duration>,
    /// How often this process ticks, if it does so repeatedly.
    pub every: Option<Duration>,
}

/// The result of a tick.
#[derive(Clone, Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are those of the JSON document")]
pub struct Tick {
    /// Its number; 0 for a dry run, which is not counted.
    pub tick: u64,
    /// How long it took.
    pub duration_ms: u64,
    /// How many incarnations were recorded.
    pub probed: usize,
    /// What was done, or would be, sorted by peer.
    pub done: Vec<TickAction>,
    /// What it had no time for or could not do.
    pub skipped: Vec<String>,
}

impl Engine {
    /// Runs one tick. `None` if another tick is in progress. Blocks for at most the budget, plus a moment to write the
    /// stamps.
    ///
    /// # Errors
    /// The state directory failed. A peer that could not be judged or ended is reported in [`Tick::skipped`].
    pub async fn reap(&self, request: &Request) -> Result<Option<Tick>> {
        // A dry run changes nothing, so it neither blocks a tick nor waits for one.
        let budget = request.budget.unwrap_or(self.settings.tick.budget.0);
        let ticking = if request.dry_run { None } else { self.take_turn(budget)? };
        if ticking.is_none() && !request.dry_run {
            return Ok(None);
        }
        let (started, started_at) = (Instant::now(), self.now());
        let deadline = started + budget;
        let (before, damaged) = self.last_tick();
        let mut beat = Heartbeat { skipped: damaged, ..self.begin(&before, started_at, request)? };
        if !request.dry_run {
            self.sweep_temporaries(&mut beat);
        }
        let mut fleet = self.fleet(request, &before, &mut beat).await?;
        let mut judged = judge_all(self, &fleet.subjects, false, &mut beat);
        fleet.subjects = self.confirm(fleet.subjects, &mut judged, &mut beat).await?;
        beat.waiting = defer_mass_absence(&mut judged, &before.waiting);
        stamp(&mut beat, &fleet.subjects, &judged, &before);
        if request.only.is_some() {
            keep_the_others(&mut beat, &before, &fleet);
        }
        let mut done = self.carry_out(request, deadline, &fleet, &judged, &mut beat).await?;
        if !request.dry_run {
            let held_up = self.stamp_turns(&mut beat, &fleet.subjects, &done, &before, deadline).await?;
            done.extend(self.get_on(held_up, deadline, &mut beat).await);
        }
        if !request.dry_run && beat.tick % LEFT_CLIENTS == 1 {
            self.end_abandoned_clients(&fleet.subjects)?;
        }
        beat.duration_ms = millis(started.elapsed());
        if let Some(ticking) = &ticking {
            self.state.write_heartbeat(ticking, &beat)?;
            self.log_tick(&beat, &done)?;
        }
        let tick = if request.dry_run { 0 } else { beat.tick };
        Ok(Some(Tick {
            tick,
            duration_ms: beat.duration_ms,
            probed: fleet.subjects.len(),
            done,
            skipped: beat.skipped,
        }))
    }

    /// Takes the lock of ticks. `None` if another tick is in progress and has time left.
    ///
    /// # Errors
    /// [`EngineError::TickHangs`]: nothing is parked, no end is recorded and nothing is restarted while that one is alive.
    fn take_turn(&self, budget: Duration) -> Result<Option<TickLock>> {
        let now = clock::running();
        let own =
            TickInProgress { process: recorded(process::me()?), began_ms: millis(now), budget_ms: millis(budget) };
        let other = match self.state.try_tick(own)? {
            Ok(ticking) => return Ok(Some(ticking)),
            Err(other) => other,
        };
        let Some(other) = other else { return Ok(None) };
        // The entry may be from a killed tick, and says nothing about one that has begun since.
        let ticks = process::find(process_id(other.process))?.is_some();
        let running = now.saturating_sub(Duration::from_millis(other.began_ms));
        let budget = Duration::from_millis(other.budget_ms);
        if ticks && running > budget.saturating_add(STAMPED_WITHIN) {
            return Err(EngineError::TickHangs { pid: other.process.pid, running, budget });
        }
        Ok(None)
    }

    /// Removes temporary files of killed writers, in both directories. Best effort: the next tick tries again.
    fn sweep_temporaries(&self, beat: &mut Heartbeat) {
        // A process that cannot be observed may still be writing.
        let lives = |pid| !matches!(process::status(pid), Ok(None));
        let swept = self.state.sweep_temporaries(lives).map_err(EngineError::from);
        let specs = self.config.sweep_temporaries(lives).map_err(EngineError::from);
        for error in [swept, specs].into_iter().filter_map(std::result::Result::err) {
            note_once(beat, error.to_string());
        }
    }

    /// Returns the heartbeat of the last tick, and the files of the fleet that are damaged.
    fn last_tick(&self) -> (Heartbeat, Vec<String>) {
        let (before, unread) = match self.state.stored_heartbeat() {
            Ok(Stored::Present(before)) => (before, None),
            Ok(Stored::Absent) => (Heartbeat::default(), None),
            Ok(Stored::Corrupt(why)) => (Heartbeat::default(), Some(why)),
            // This tick replaces it.
            Err(error) => (Heartbeat::default(), Some(error.source.to_string())),
        };
        let damaged = self.state.damaged_with(unread).into_iter();
        let said = damaged.map(|found| format!("{}: {}; read as absent", found.file.display(), found.why));
        (before, said.collect())
    }

    fn begin(&self, before: &Heartbeat, started_at: Timestamp, request: &Request) -> Result<Heartbeat> {
        let (suspended, up) = (clock::suspended(), clock::up());
        let jumped = clock::slept(before, suspended) || clock::was_set(before, started_at, up);
        Ok(Heartbeat {
            tick: before.tick.saturating_add(1),
            started_at_ms: started_at,
            watch: match request.every {
                Some(every) => Some(Watch { process: recorded(process::me()?), every_ms: millis(every) }),
                // A tick that the user or a timer started says nothing about other tickers.
                None => before.watch,
            },
            suspended_ms: millis(suspended),
            up_ms: millis(up),
            machine_woke_at_ms: if jumped { Some(started_at) } else { before.machine_woke_at_ms },
            ..Heartbeat::default()
        })
    }

    /// Ends clients that a killed `peer` left. Searches only if there are sessions with servers of their own, or were a
    /// moment ago.
    fn end_abandoned_clients(&self, subjects: &[Subject]) -> Result<()> {
        let mut ended = 0;
        for kind in RuntimeKind::ALL.into_iter().filter(|kind| !kind.facts().shares_server()) {
            let places = subjects.iter().map(|subject| &subject.record.place);
            let places: Vec<&Path> =
                places.filter(|place| place.kind() == Some(kind)).map(|place| place.server.as_path()).collect();
            let below = self.state.root().join(kind.as_str());
            if places.is_empty() && !below.is_dir() {
                continue;
            }
            match kind.facts().end_abandoned_clients(&|dir| dir.starts_with(&below) || places.contains(&dir)) {
                Ok(clients) => ended += clients,
                // Best effort; the next tick tries again.
                Err(error) => tracing::debug!(%error, "left clients"),
            }
        }
        if ended == 0 {
            return Ok(());
        }
        self.log(&Event::new(self.now(), EventName::ClientsEnded).with("clients", ended))
    }

    fn log_tick(&self, beat: &Heartbeat, done: &[TickAction]) -> Result<()> {
        // A tick without news is in heartbeat.json; in the log it would crowd out everything else.
        if done.is_empty() && beat.skipped.is_empty() {
            return Ok(());
        }
        self.log(
            &Event::new(self.now(), EventName::TickFinished)
                .with("tick", beat.tick)
                .with("duration_ms", beat.duration_ms)
                .with("done", done.len())
                .with("skipped", beat.skipped.clone()),
        )
    }
}

/// Adds what the tick could not do to the heartbeat. Several parts of a tick may meet one bad directory.
fn note_once(beat: &mut Heartbeat, line: String) {
    if !beat.skipped.contains(&line) {
        beat.skipped.push(line);
    }
}

/// Formats an action's error as a line for the heartbeat.
fn skipped(name: &PeerName, error: &EngineError) -> String {
    format!("{name}: {error}")
}

/// Returns when a marker was set, if this incarnation set it.
fn since_wake(files: &PeerFiles, record: &SessionRecord, marker: Marker) -> Result<Option<Timestamp>> {
    Ok(files.marked_at(marker)?.filter(|at| *at >= record.woke_at_ms))
}
