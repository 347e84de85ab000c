//! `peer reap`: one heartbeat. Probe every peer on both axes, judge, act, stamp, and end in time.

mod act;
mod clock;
mod idle;
mod mail;
mod memory;
mod task;
mod turns;
mod unchanged;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use peer_adapters::process;
use peer_adapters::runtime::RuntimeKind;
use peer_adapters::zellij::Zellij;
use serde::Serialize;
use tokio::time::Instant;

use crate::engine::observe::fleet::{Looked, Member};
use crate::engine::observe::survey::{Silent, Stray};
use crate::engine::observe::{Sight, process_id, recorded};
use crate::engine::verbs::wake::Live;
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::axis::{Axis, Stamped};
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::policy::verdict::{
    Action, CONFIRM_AFTER, HoldReason, Judgement, RuntimeSeen, VerdictFacts, judge, second_opinion,
};
use crate::store::{Event, Heartbeat, Marker, PeerFiles, Pulse, SessionRecord, Stored, TickUnderWay, Ticking, Watch};

/// How long after its budget a tick has stamped, on a machine under any load: later, it hangs.
const STAMPED_WITHIN: Duration = Duration::from_secs(10);

/// One tick in so many looks for clients that nobody waits for, the first among them: a look costs a file of each orphan of the
/// machine, and the kernel ends them with whoever asked, but for a moment at their start.
const LEFT_CLIENTS: u64 = 10;

/// What a tick is asked to do.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Judge, and do nothing.
    pub dry_run: bool,
    /// Only this peer.
    pub only: Option<PeerName>,
    /// How long the tick may take; as configured when not given.
    pub budget: Option<Duration>,
    /// How often this process ticks, where it does so again and again.
    pub every: Option<Duration>,
}

/// What a tick came to.
#[derive(Clone, Debug, Serialize)]
pub struct Tick {
    /// Its number; 0 for a dry run, which is not counted.
    pub tick: u64,
    /// How long it took.
    pub duration_ms: u64,
    /// How many incarnations were on record.
    pub probed: usize,
    /// What was done, or would be, in order of name.
    pub done: Vec<Deed>,
    /// What it had no time for or could not do.
    pub skipped: Vec<String>,
}

/// One thing that a tick did, or in a dry run would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deed {
    /// To whom.
    pub peer: PeerName,
    /// What: `parked`, `ended`, `orphan-ended`, `restarted` …
    pub what: &'static str,
    /// Why.
    pub cause: String,
}

/// One peer with an incarnation on record, as this tick sees it.
struct Subject {
    peer: Peer,
    /// Its files as the tick found them: for what is looked at again before anything is done.
    files: PeerFiles,
    record: SessionRecord,
    sight: Sight,
    seen_at: Timestamp,
    /// When a tick looked at it last, and found it healthy.
    looked_at: Option<Timestamp>,
}

/// What a decision about one incarnation looks at.
#[derive(Clone, Copy)]
struct View<'a> {
    peer: &'a Peer,
    files: &'a PeerFiles,
    record: &'a SessionRecord,
    sight: &'a Sight,
}

impl Subject {
    fn view(&self) -> View<'_> {
        View { peer: &self.peer, files: &self.files, record: &self.record, sight: &self.sight }
    }

    /// A start in progress, or one that never came about: its driver's business, and later that of whoever takes over.
    fn is_on_its_way(&self) -> bool {
        self.record.ready_at().is_none()
            && matches!(Live::of(self.record.clone(), self.sight.clone()), Live::Starting(_) | Live::None)
    }
}

/// Everybody that a tick is about.
struct Fleet {
    /// With an incarnation on record, looked at.
    subjects: Vec<Subject>,
    /// The rest, who are not awake.
    asleep: Vec<Peer>,
    /// Those whose spec or record cannot be read.
    unreadable: BTreeSet<PeerName>,
    /// Sessions of ours that no record names.
    strays: Vec<Stray>,
    /// Directories of sessions that no record names and that host nothing of ours.
    unused: Vec<PathBuf>,
}

impl Engine {
    /// Carries out one tick. `None`: another tick is under way. Blocks for the budget at most, and a moment more to stamp.
    ///
    /// # Errors
    /// The state directory failed. A peer that could not be judged or ended is reported in [`Tick::skipped`].
    pub async fn reap(&self, request: &Request) -> Result<Option<Tick>> {
        // A dry run changes nothing, so it need not keep a tick away, nor wait for one.
        let budget = request.budget.unwrap_or(self.settings.tick.budget.0);
        let ticking = if request.dry_run { None } else { self.take_turn(budget)? };
        if ticking.is_none() && !request.dry_run {
            return Ok(None);
        }
        let (started, started_at) = (Instant::now(), self.now());
        let deadline = started + budget;
        let (before, damaged) = self.last_tick()?;
        let mut beat = Heartbeat { skipped: damaged, ..self.begin(&before, started_at, request)? };
        if !request.dry_run {
            self.sweep_temporaries(&mut beat);
        }
        let mut fleet = self.fleet(request, &before, &mut beat).await?;
        let mut judged = judge_all(self, &fleet.subjects, false, &mut beat);
        fleet.subjects = self.confirm(fleet.subjects, &mut judged, &mut beat).await?;
        beat.waiting = second_opinion(&mut judged, &before.waiting);
        stamp(&mut beat, &fleet.subjects, &judged, &before);
        if request.only.is_some() {
            keep_the_others(&mut beat, &before, &fleet);
        }
        let done = self.carry_out(request, deadline, &fleet, &judged, &mut beat).await?;
        if !request.dry_run {
            self.stamp_turns(&mut beat, &fleet.subjects, &done, &before, deadline).await?;
        }
        if !request.dry_run && beat.tick % LEFT_CLIENTS == 1 {
            self.end_left_clients(&fleet.subjects)?;
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

    /// The right to tick. `None`: another tick is under way, and has time left.
    ///
    /// # Errors
    /// [`EngineError::TickHangs`]: nothing is parked, buried or restarted as long as that one lives.
    fn take_turn(&self, budget: Duration) -> Result<Option<Ticking>> {
        let now = clock::running();
        let own = TickUnderWay { process: recorded(process::me()?), began_ms: millis(now), budget_ms: millis(budget) };
        let other = match self.state.try_tick(own)? {
            Ok(ticking) => return Ok(Some(ticking)),
            Err(other) => other,
        };
        let Some(other) = other else { return Ok(None) };
        // What a killed tick left there is no word of whoever has begun since.
        let ticks = process::find(process_id(other.process))?.is_some();
        let running = now.saturating_sub(Duration::from_millis(other.began_ms));
        let budget = Duration::from_millis(other.budget_ms);
        if ticks && running > budget.saturating_add(STAMPED_WITHIN) {
            return Err(EngineError::TickHangs { pid: other.process.pid, running, budget });
        }
        Ok(None)
    }

    /// Removes what writers left that were killed, in both directories. Best effort: the next tick looks again.
    fn sweep_temporaries(&self, beat: &mut Heartbeat) {
        // One that cannot be looked at may write.
        let lives = |pid| !matches!(process::status(pid), Ok(None));
        let swept = self.state.sweep_temporaries(lives).map_err(EngineError::from);
        let specs = self.config.sweep_temporaries(lives).map_err(EngineError::from);
        for error in [swept, specs].into_iter().filter_map(std::result::Result::err) {
            beat.skipped.push(error.to_string());
        }
    }

    /// What the tick before left, and which files of the fleet's say less than they should.
    fn last_tick(&self) -> Result<(Heartbeat, Vec<String>)> {
        let (before, unread) = match self.state.stored_heartbeat()? {
            Stored::Present(before) => (before, None),
            Stored::Absent => (Heartbeat::default(), None),
            Stored::Corrupt(why) => (Heartbeat::default(), Some(why)),
        };
        let damaged = self.state.damaged_beside(unread).into_iter();
        let said = damaged.map(|found| format!("{}: {}; read as absent", found.file.display(), found.why));
        Ok((before, said.collect()))
    }

    fn begin(&self, before: &Heartbeat, started_at: Timestamp, request: &Request) -> Result<Heartbeat> {
        let (suspended, up) = (clock::suspended(), clock::up());
        let jumped = clock::slept(before, suspended) || clock::was_set(before, started_at, up);
        Ok(Heartbeat {
            tick: before.tick.saturating_add(1),
            started_at_ms: started_at,
            watch: match request.every {
                Some(every) => Some(Watch { process: recorded(process::me()?), every_ms: millis(every) }),
                // A tick by hand or by a timer says nothing of who else ticks.
                None => before.watch,
            },
            suspended_ms: millis(suspended),
            up_ms: millis(up),
            machine_woke_at_ms: if jumped { Some(started_at) } else { before.machine_woke_at_ms },
            ..Heartbeat::default()
        })
    }

    /// Ends clients of zellij that a killed `peer` left. Looked for only where sessions are, or were a moment ago.
    fn end_left_clients(&self, subjects: &[Subject]) -> Result<()> {
        let places: Vec<&Path> = subjects
            .iter()
            .map(|subject| &subject.record.place)
            .filter(|p| p.runtime == RuntimeKind::Zellij.as_str())
            .map(|p| p.server.as_path())
            .collect();
        let below = self.state.root().join(RuntimeKind::Zellij.as_str());
        if places.is_empty() && !below.is_dir() {
            return Ok(());
        }
        match Zellij::end_left_clients(|dir| dir.starts_with(&below) || places.contains(&dir)) {
            Ok(0) => Ok(()),
            Ok(ended) => self.log(&Event::new(self.now(), "clients.ended").with("clients", ended)),
            // Nothing depends on it; the next tick looks again.
            Err(error) => {
                tracing::debug!(%error, "left clients");
                Ok(())
            }
        }
    }

    /// Reads every spec and record, and looks at both axes of those who have one.
    async fn fleet(&self, request: &Request, before: &Heartbeat, beat: &mut Heartbeat) -> Result<Fleet> {
        let mut names = self.config.names()?;
        names.retain(|name| request.only.as_ref().is_none_or(|only| only == name));
        if let Some(only) = request.only.as_ref().filter(|_| names.is_empty()) {
            return Err(self.no_such_peer(only));
        }
        // With one peer's record alone, the sessions of all others would look like strays.
        let all = request.only.is_none();
        let look = self.look_at(&names, all, |peer, there| Ok(peer.files.as_of(there)));
        let Looked { members, survey } = look.await?;
        let seen_at = survey.agents_at;
        let mut subjects = Vec::with_capacity(members.len());
        let (mut asleep, mut unreadable) = (Vec::new(), BTreeSet::new());
        for (name, member) in members {
            // What a broken spec wants of its peer nobody can tell.
            match member.and_then(|mut member| member.broken.take().map_or(Ok(member), Err)) {
                Ok(Member { peer, seen: Some((record, sight)), read: files, .. }) => {
                    let looked_at = unchanged::looked_at(before, &peer.name, &record);
                    subjects.push(Subject { peer, files, record, sight, seen_at, looked_at });
                }
                Ok(Member { peer, seen: None, .. }) => asleep.push(peer),
                // One broken spec must not cost the others their tick.
                Err(error) => {
                    beat.skipped.push(skipped(&name, &error));
                    unreadable.insert(name);
                }
            }
        }
        if !request.dry_run {
            subjects = self.reach_all(subjects, beat).await?;
        }
        beat.skipped.extend(not_judged(&subjects));
        if !request.dry_run {
            survey.silent.iter().try_for_each(|silent| self.log_silent(silent))?;
        }
        let (strays, unused) = if all { (survey.strays, survey.unused) } else { (Vec::new(), Vec::new()) };
        Ok(Fleet { subjects, asleep, unreadable, strays, unused })
    }

    /// Makes servers that live and cannot be reached listen again, and looks again at whom they host.
    async fn reach_all(&self, subjects: Vec<Subject>, beat: &mut Heartbeat) -> Result<Vec<Subject>> {
        let is_hidden = |subject: &Subject| subject.sight.unreachable.is_some();
        if !subjects.iter().any(is_hidden) {
            return Ok(subjects);
        }
        let (hidden, seen): (Vec<_>, Vec<_>) = subjects.into_iter().partition(is_hidden);
        let mut servers = BTreeMap::new();
        for subject in &hidden {
            if let Some(server) = subject.sight.unreachable {
                servers.entry((server, subject.record.place.server.clone())).or_insert(&subject.record.place);
            }
        }
        let reached = servers.iter().map(|((server, _), place)| self.reach(place, *server));
        for reached in join_all(reached).await {
            if let Err(error) = reached {
                beat.skipped.push(error.to_string());
            }
        }
        drop(servers);
        let mut again = self.probe_again(hidden).await?;
        again.extend(seen);
        again.sort_by(|a, b| a.peer.name.cmp(&b.peer.name));
        Ok(again)
    }

    /// The same subjects with what is seen of them now.
    async fn probe_again(&self, subjects: Vec<Subject>) -> Result<Vec<Subject>> {
        let records: Vec<_> = subjects.iter().map(|subject| (subject.peer.name.clone(), &subject.record)).collect();
        let mut survey = self.survey(&records).await?;
        drop(records);
        let subjects = subjects.into_iter().filter_map(|subject| {
            let sight = survey.sights.remove(&subject.peer.name)?;
            Some(Subject { sight, seen_at: survey.agents_at, ..subject })
        });
        Ok(subjects.collect())
    }

    fn log_silent(&self, silent: &Silent) -> Result<()> {
        use peer_adapters::runtime::RuntimeError::{NotAnswering, TimedOut};
        let late = matches!(silent.error, TimedOut { .. } | NotAnswering { .. });
        let event = Event::new(self.now(), if late { "probe.timed-out" } else { "probe.failed" });
        self.log(&event.cause(silent.error.to_string()).with("peers", silent.peers))
    }

    /// Looks again at every absence that nobody reported.
    async fn confirm(
        &self,
        subjects: Vec<Subject>,
        judged: &mut BTreeMap<PeerName, Judgement>,
        beat: &mut Heartbeat,
    ) -> Result<Vec<Subject>> {
        let doubtful =
            |subject: &Subject| judged.get(&subject.peer.name).is_some_and(|j| j.action == Action::ProbeAgain);
        if !subjects.iter().any(doubtful) {
            return Ok(subjects);
        }
        let (again, mut settled): (Vec<_>, Vec<_>) = subjects.into_iter().partition(doubtful);
        tokio::time::sleep(CONFIRM_AFTER).await;
        let mut again = self.probe_again(again).await?;
        for subject in &again {
            judged.remove(&subject.peer.name);
        }
        judged.extend(judge_all(self, &again, true, beat));
        settled.append(&mut again);
        settled.sort_by(|a, b| a.peer.name.cmp(&b.peer.name));
        Ok(settled)
    }

    fn log_tick(&self, beat: &Heartbeat, done: &[Deed]) -> Result<()> {
        // A tick without news is in heartbeat.json; in the log it would push out everything else.
        if done.is_empty() && beat.skipped.is_empty() {
            return Ok(());
        }
        self.log(
            &Event::new(self.now(), "tick.finished")
                .with("tick", beat.tick)
                .with("duration_ms", beat.duration_ms)
                .with("done", done.len())
                .with("skipped", beat.skipped.clone()),
        )
    }
}

/// What could not be told, one line a reason whatever the number of peers.
fn not_judged(subjects: &[Subject]) -> Vec<String> {
    let mut reasons = BTreeMap::<&str, usize>::new();
    let mut said = Vec::new();
    for Subject { peer, sight, .. } in subjects {
        if let Some(owner) = &sight.elsewhere {
            said.push(format!("{}: it was started {owner}", peer.name));
        } else if let Some(why) = sight.runtime.why_unknown().or(sight.process.why_unknown()) {
            *reasons.entry(why).or_default() += 1;
        }
    }
    said.extend(reasons.into_iter().map(|(why, peers)| format!("{why}; peers not judged: {peers}")));
    said
}

/// Both axes of everybody, each with its own time.
fn stamp(beat: &mut Heartbeat, subjects: &[Subject], judged: &BTreeMap<PeerName, Judgement>, before: &Heartbeat) {
    let memory = memory::of_limited(subjects);
    for subject in subjects {
        let name = &subject.peer.name;
        let Some(judgement) = judged.get(name) else { continue };
        let same = before.peers.get(name).filter(|pulse| pulse.incarnation == subject.record.incarnation);
        let pulse = Pulse {
            incarnation: subject.record.incarnation,
            runtime: Stamped { value: subject.sight.runtime.clone(), at_ms: subject.sight.listed_at },
            process: Stamped { value: subject.sight.process.clone(), at_ms: subject.seen_at },
            verdict: judgement.verdict,
            turn: None,
            asked: None,
            memory_kib: memory.get(name).copied(),
            memory_warned: same.is_some_and(|pulse| pulse.memory_warned),
        };
        beat.peers.insert(name.clone(), pulse);
    }
}

/// A tick about one peer says nothing of the others: what the last one saw of them stands.
fn keep_the_others(beat: &mut Heartbeat, before: &Heartbeat, fleet: &Fleet) {
    let looked_at = |name: &PeerName| {
        fleet.subjects.iter().any(|subject| subject.peer.name == *name) || fleet.asleep.iter().any(|p| p.name == *name)
    };
    let others = before.peers.iter().filter(|(name, _)| !looked_at(name));
    beat.peers.extend(others.map(|(name, pulse)| (name.clone(), pulse.clone())));
    beat.waiting.extend(before.waiting.iter().filter(|name| !looked_at(name)).cloned());
}

/// Judges everybody whose files can be read; a file that cannot costs its own peer its judgement, and is said.
fn judge_all(
    engine: &Engine,
    subjects: &[Subject],
    confirmed: bool,
    beat: &mut Heartbeat,
) -> BTreeMap<PeerName, Judgement> {
    let mut judged = BTreeMap::new();
    for subject in subjects {
        let name = &subject.peer.name;
        let mut judgement = match facts(engine, subject, confirmed) {
            Ok(facts) => judge(&facts),
            Err(error) => {
                beat.skipped.push(skipped(name, &error));
                continue;
            }
        };
        if subject.is_on_its_way() {
            judgement.action = Action::Hold(HoldReason::Settling);
        }
        judged.insert(name.clone(), judgement);
    }
    judged
}

fn facts(engine: &Engine, subject: &Subject, confirmed: bool) -> Result<VerdictFacts> {
    let Subject { peer, record, sight, .. } = subject;
    let runtime = match sight.runtime.why_unknown() {
        Some(why) => RuntimeSeen::Unknown(why.to_owned()),
        None if sight.server_gone => RuntimeSeen::ServerGone,
        None if sight.runtime.alive() == Some(true) => RuntimeSeen::Session,
        None => RuntimeSeen::NoSession,
    };
    let gone = sight.process.alive() == Some(false);
    let healthy = runtime == RuntimeSeen::Session && sight.process == Axis::Alive;
    Ok(VerdictFacts {
        runtime,
        process: sight.process.clone(),
        end_recorded: sight.rebooted || (gone && (record.intent.is_some() || ended_on_record(peer, record)?)),
        age: engine.now().since(record.woke_at_ms),
        // Only an absence can be contradicted by a sign of life.
        quiet_for: if healthy { None } else { idle::last_sign_of_life(peer, sight)?.map(|at| engine.now().since(at)) },
        confirmed,
    })
}

/// Its own parent saw it end, or an earlier pass was cut short after it had written that down.
fn ended_on_record(peer: &Peer, record: &SessionRecord) -> Result<bool> {
    let exit = peer.files.exit(record.incarnation)?.present().is_some();
    let end = peer.files.end()?.present().is_some_and(|last| last.end.incarnation == record.incarnation);
    Ok(exit || end)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The error that a deed failed with, as a line for the heartbeat.
fn skipped(name: &PeerName, error: &EngineError) -> String {
    format!("{name}: {error}")
}

/// Whether a marker of this incarnation's own was set, and when.
fn since_wake(files: &PeerFiles, record: &SessionRecord, marker: Marker) -> Result<Option<Timestamp>> {
    Ok(files.marked_at(marker)?.filter(|at| *at >= record.woke_at_ms))
}
