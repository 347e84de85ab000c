//! What a tick does, one peer at a time under its lock, many peers side by side, within the budget.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use peer_adapters::screen::{self, Phase as ScreenPhase};
use serde_json::json;
use tokio::time::Instant;

use super::{Deed, Request, Subject, idle, lost_servers, since_wake, skipped};
use crate::engine::deliver::Message;
use crate::engine::wake::Live;
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::axis::Axis;
use crate::policy::ending::Intent;
use crate::policy::health::{AutoRestart, Health, HealthPolicy, drain_alert, should_restart};
use crate::policy::idle::IdleDecision;
use crate::policy::name::PeerName;
use crate::policy::verdict::{Action, Judgement};
use crate::policy::wake::WakeRequest;
use crate::store::{Event, Heartbeat, Locked, Marker, Phase, SessionRecord};

/// How many peers are ended or started at once: each ladder waits most of its time, and each start costs an agent's
/// start-up on the same two cores.
const SIDE_BY_SIDE: usize = 4;

/// Memory above this share of the limit, in percent, is worth a word before it is drained.
const MEMORY_WARNING_PERCENT: u64 = 80;

/// What is to be done to one peer.
#[derive(Clone, Debug)]
enum Task {
    /// Record an end that has happened.
    Bury,
    /// End an agent whose session is gone.
    EndOrphan,
    /// Its server is gone: end the survivor where there is one, then record.
    EndLost { survivor: bool },
    /// End a healthy agent with this intent; what is told of it.
    End { intent: Intent, what: &'static str, cause: String },
    /// A start whose driver is gone: wait for it in its place.
    Drive,
    /// Start again by itself.
    Restart,
    /// Clear what an ended one left on its server.
    Clear,
}

impl Task {
    fn deed(&self, peer: &PeerName) -> Deed {
        let (what, cause) = match self {
            Self::Bury => ("ended", "confirmed".to_owned()),
            Self::EndOrphan => ("orphan-ended", "session gone".to_owned()),
            Self::EndLost { .. } => ("ended", "runtime-lost".to_owned()),
            Self::End { what, cause, .. } => (*what, cause.clone()),
            Self::Drive => ("supervised", "its start was left alone".to_owned()),
            Self::Restart => ("restarted", String::new()),
            Self::Clear => ("cleared", "its session was left".to_owned()),
        };
        Deed { peer: peer.clone(), what, cause }
    }
}

impl Engine {
    /// Decides and does everything that follows from the judgements; what does not fit into the budget is skipped and
    /// said.
    pub(super) async fn carry_out(
        &self,
        request: &Request,
        deadline: Instant,
        subjects: &[Subject],
        asleep: &[Peer],
        judged: &BTreeMap<PeerName, Judgement>,
        beat: &mut Heartbeat,
    ) -> Result<Vec<Deed>> {
        let tasks = self.tasks(subjects, asleep, judged, beat, request.dry_run);
        if request.dry_run {
            return Ok(tasks.iter().map(|(peer, _, task)| task.deed(&peer.name)).collect());
        }
        self.announce_lost(subjects, judged)?;
        let results: Vec<_> = stream::iter(tasks)
            .map(async |(peer, record, task)| {
                let name = peer.name.clone();
                (name, self.within(deadline, peer, record, task).await)
            })
            .buffer_unordered(SIDE_BY_SIDE)
            .collect()
            .await;
        let mut done = Vec::new();
        for (name, result) in results {
            match result {
                Ok(deed) => done.extend(deed),
                Err(error) => beat.skipped.push(skipped(&name, &error)),
            }
        }
        done.sort_by(|a, b| a.peer.cmp(&b.peer));
        Ok(done)
    }

    fn tasks<'a>(
        &self,
        subjects: &'a [Subject],
        asleep: &'a [Peer],
        judged: &BTreeMap<PeerName, Judgement>,
        beat: &mut Heartbeat,
        dry_run: bool,
    ) -> Vec<(&'a Peer, Option<&'a SessionRecord>, Task)> {
        let mut tasks = Vec::new();
        for subject in subjects {
            match self.task_for(subject, judged.get(&subject.peer.name), beat, dry_run) {
                Ok(task) => tasks.extend(task.map(|task| (&subject.peer, Some(&subject.record), task))),
                Err(error) => beat.skipped.push(skipped(&subject.peer.name, &error)),
            }
        }
        for peer in asleep {
            match self.task_asleep(peer) {
                Ok(task) => tasks.extend(task.map(|task| (peer, None, task))),
                Err(error) => beat.skipped.push(skipped(&peer.name, &error)),
            }
        }
        tasks
    }

    fn task_for(
        &self,
        subject: &Subject,
        judgement: Option<&Judgement>,
        beat: &mut Heartbeat,
        dry_run: bool,
    ) -> Result<Option<Task>> {
        let Some(judgement) = judgement else { return abandoned_start(subject) };
        Ok(match judgement.action {
            Action::Watch => self.watch_over(subject, beat, dry_run)?,
            Action::End => Some(Task::Bury),
            Action::EndOrphan => Some(Task::EndOrphan),
            Action::EndLost { survivor } => Some(Task::EndLost { survivor }),
            Action::Hold(_) | Action::ProbeAgain => None,
        })
    }

    /// Beats, memory and idleness of a healthy peer, in the order of their urgency.
    fn watch_over(&self, subject: &Subject, beat: &mut Heartbeat, dry_run: bool) -> Result<Option<Task>> {
        if let Some(silence) = self.unresponsive(subject)? {
            let cause = format!("no beat for {} s", silence.as_secs());
            return Ok(Some(Task::End { intent: Intent::Unresponsive, what: "ended", cause }));
        }
        if let Some(task) = self.too_large(subject, beat, dry_run)? {
            return Ok(Some(task));
        }
        Ok(match idle::decide(self, subject, beat)? {
            IdleDecision::Keep(_) => None,
            IdleDecision::Park { idle } => {
                let cause = format!("idle for {} s", idle.as_secs());
                Some(Task::End { intent: Intent::IdleReaped, what: "parked", cause })
            }
        })
    }

    /// How long a peer that promised beats has been silent, where that is too long. The first beat is owed from the
    /// moment it was ready, or the machine woke.
    fn unresponsive(&self, subject: &Subject) -> Result<Option<Duration>> {
        let Some(promised) = subject.peer.effective.beat_timeout.value else { return Ok(None) };
        let Some(ready) = subject.record.ready_at() else { return Ok(None) };
        let last = since_wake(&subject.peer, &subject.record, Marker::Beat)?.max(Some(ready));
        let silence = last.map(|last| self.now().since(last)).unwrap_or_default();
        Ok((silence > promised).then_some(silence))
    }

    /// Warns once a crossing, and drains what is over its limit.
    fn too_large(&self, subject: &Subject, beat: &mut Heartbeat, dry_run: bool) -> Result<Option<Task>> {
        let name = &subject.peer.name;
        let (Some(limit), Some(pulse)) = (subject.peer.effective.max_memory_kib.value, beat.peers.get_mut(name)) else {
            return Ok(None);
        };
        let Some(held) = pulse.memory_kib else { return Ok(None) };
        if held > limit {
            let cause = format!("{} MiB of {} MiB", held / 1024, limit / 1024);
            return Ok(Some(Task::End { intent: Intent::MemoryDrained, what: "drained", cause }));
        }
        let high = held * 100 > limit * MEMORY_WARNING_PERCENT;
        if high && !pulse.memory_warned && !dry_run {
            let event = Event::new(self.now(), "memory.high").peer(name).incarnation(subject.record.incarnation);
            self.log(&event.with("memory_kib", held).with("limit_kib", limit))?;
        }
        pulse.memory_warned = high;
        Ok(None)
    }

    /// A peer that is not awake: cleared where something of it is left, started where its spec says so.
    fn task_asleep(&self, peer: &Peer) -> Result<Option<Task>> {
        let Some(last) = peer.files.end()?.present() else { return Ok(None) };
        let policy =
            HealthPolicy { restart: peer.effective.restart.value, max_restarts: peer.effective.max_restarts.value };
        let deaths = self.deaths(peer)?;
        let now = self.now();
        let health = Health::assess(&deaths, Some(&last.end), policy, now);
        let wanted = !peer.files.has(Marker::Stopped)?
            && should_restart(policy.restart, Some(&last.end), &health, now) == AutoRestart::Now;
        Ok(match (wanted, &last.left) {
            (true, _) => Some(Task::Restart),
            (false, Some(_)) => Some(Task::Clear),
            (false, None) => None,
        })
    }

    /// One event a lost server, whatever the number of its peers.
    fn announce_lost(&self, subjects: &[Subject], judged: &BTreeMap<PeerName, Judgement>) -> Result<()> {
        for (server, peers) in lost_servers(subjects, judged) {
            let names: Vec<_> = peers.iter().map(|name| name.as_str()).collect();
            let event = Event::new(self.now(), "runtime.lost").with("server", server.display().to_string());
            self.log(&event.with("peers", json!(names)))?;
        }
        Ok(())
    }

    async fn within(
        &self,
        deadline: Instant,
        peer: &Peer,
        record: Option<&SessionRecord>,
        task: Task,
    ) -> Result<Option<Deed>> {
        let out_of_time = || EngineError::OutOfTime { peer: peer.name.clone() };
        if Instant::now() >= deadline {
            return Err(out_of_time());
        }
        // Dropping what is not finished is safe: every step of a ladder or a start can be followed by the next tick.
        match tokio::time::timeout_at(deadline, self.perform(peer, record, task)).await {
            Ok(result) => result,
            Err(_) => Err(out_of_time()),
        }
    }

    async fn perform(&self, peer: &Peer, judged: Option<&SessionRecord>, task: Task) -> Result<Option<Deed>> {
        let deed = task.deed(&peer.name);
        match task {
            Task::Restart => return self.restart(peer).await,
            Task::Drive => {
                let incarnation = judged.map(|record| record.incarnation).unwrap_or_default();
                return self.await_ready(peer, incarnation).await.map(|()| Some(deed));
            }
            _ => {}
        }
        // Somebody who works on it knows more than this tick does.
        let Some(locked) = self.state.try_lock(&peer.name)? else { return Ok(None) };
        self.heal(&locked)?;
        let record = peer.files.session()?.present();
        let Some(record) = record.filter(|now| judged.is_some_and(|then| then.incarnation == now.incarnation)) else {
            // It ended or was started anew since it was judged; only what is left of an ended one is still ours to do.
            return if matches!(task, Task::Clear) { self.clear(peer, &locked, deed).await } else { Ok(None) };
        };
        let cause = self.end_as_judged(peer, &locked, record, &task).await?;
        Ok(cause.map(|cause| Deed { cause: cause.unwrap_or(deed.cause), ..deed }))
    }

    async fn clear(&self, peer: &Peer, locked: &Locked, deed: Deed) -> Result<Option<Deed>> {
        self.clear_left(peer, locked).await?;
        Ok(Some(deed))
    }

    /// Looks once more under the lock, and ends what is still as it was judged. `None`: it is not; `Some(None)`: done,
    /// and the cause is the task's own.
    async fn end_as_judged(
        &self,
        peer: &Peer,
        locked: &Locked,
        record: SessionRecord,
        task: &Task,
    ) -> Result<Option<Option<String>>> {
        let sight = self.observe(&peer.name, &record).await?;
        Self::refuse_unknown(peer, &sight)?;
        match task {
            Task::Bury | Task::EndLost { survivor: false } if sight.process == Axis::Dead => {
                self.bury(peer, locked, &record, &sight).await?;
            }
            Task::EndOrphan | Task::EndLost { survivor: true } if sight.runtime == Axis::Dead => {
                self.end_orphan(peer, locked, record).await?;
            }
            Task::End { intent, cause, .. } if sight.process == Axis::Alive && sight.runtime == Axis::Alive => {
                if *intent == Intent::IdleReaped && self.is_at_work(peer, &record).await {
                    return Ok(None);
                }
                return self.end_healthy(peer, locked, record, *intent, cause).await.map(Some);
            }
            _ => return Ok(None),
        }
        let last = peer.files.end()?.present();
        Ok(Some(last.map(|last| last.end.shown_as())))
    }

    async fn end_healthy(
        &self,
        peer: &Peer,
        locked: &Locked,
        record: SessionRecord,
        intent: Intent,
        cause: &str,
    ) -> Result<Option<String>> {
        let incarnation = record.incarnation;
        let last = self.end(peer, locked, record, Some(intent)).await?;
        let event = Event::new(self.now(), "session.reaped").peer(&peer.name).incarnation(incarnation);
        self.log(&event.cause(last.end.cause.as_str()).with("detail", cause).with("conversation", last.conversation))?;
        if drain_alert(&last.end.recent, self.now()) {
            self.log(&Event::new(self.now(), "memory.alert").peer(&peer.name).incarnation(incarnation))?;
        }
        Ok(None)
    }

    /// The last look before a park: what its screen says now. A screen that cannot be read is no proof of idleness.
    async fn is_at_work(&self, peer: &Peer, record: &SessionRecord) -> bool {
        if peer.profile.busy.is_empty() && peer.profile.dialog.is_empty() {
            return false;
        }
        match self.capture(record).await {
            Ok(text) => matches!(screen::read(&peer.profile, &text).phase, ScreenPhase::Busy | ScreenPhase::Dialog(_)),
            Err(_) => true,
        }
    }

    async fn restart(&self, peer: &Peer) -> Result<Option<Deed>> {
        match self.wake(&peer.name, &WakeRequest::default(), &Message::default()).await {
            Ok(woken) => {
                let cause = format!("{} ({})", woken.decision, woken.cause);
                Ok(Some(Deed { peer: peer.name.clone(), what: "restarted", cause }))
            }
            // A refusal is the table's word, and it is in the log.
            Err(EngineError::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A start that nobody drives any more is taken over; one whose agent is gone already is for the next look.
fn abandoned_start(subject: &Subject) -> Result<Option<Task>> {
    let Live::Starting(record) = Live::of(subject.record.clone(), subject.sight.clone()) else { return Ok(None) };
    let Phase::Starting { driver } = record.phase else { return Ok(None) };
    let driver = peer_adapters::process::find(crate::engine::observe::process_id(driver))?;
    Ok(driver.is_none().then_some(Task::Drive))
}
