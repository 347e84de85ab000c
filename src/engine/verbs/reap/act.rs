//! The actions of a tick: each under its peer's lock, several peers concurrently, within the budget.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use serde_json::json;
use tokio::time::Instant;

use super::task::{Due, Task};
use super::{ActionKind, Fleet, Request, TickAction, View, idle, skipped};
use crate::engine::error::NotReady;
use crate::engine::life::not_ready::Repetition;
use crate::engine::message::Message;
use crate::engine::observe::fleet_observation::Silent;
use crate::engine::observe::live::Live;
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::axis::Axis;
use crate::policy::ending::{EndCause, Intent};
use crate::policy::event::EventName;
use crate::policy::health::drain_alert;
use crate::policy::idle::IdleDecision;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::policy::verdict::{Action, Judgement};
use crate::policy::wake::WakeRequest;
use crate::store::{Event, Heartbeat, Locked, Marker, SessionRecord, Stored};

/// How many peers are ended or started concurrently. A ladder waits most of its time, and each start costs an agent's
/// start-up on the same two cores. This also staggers the return of a fleet that lost its runtime.
const SIDE_BY_SIDE: usize = 4;

/// How long each tick watches a start that has exceeded its time: long enough to see it become ready and stay ready.
const LATE_START_LOOK: Duration = Duration::from_secs(2);

/// What applies to all tasks of one tick.
#[derive(Clone, Copy)]
struct Bounds {
    deadline: Instant,
    machine_woke_at: Option<Timestamp>,
}

impl Engine {
    /// Decides and does everything that follows from the judgements. What does not fit into the budget is skipped and
    /// reported.
    pub(super) async fn carry_out(
        &self,
        request: &Request,
        deadline: Instant,
        fleet: &Fleet,
        judged: &BTreeMap<PeerName, Judgement>,
        beat: &mut Heartbeat,
    ) -> Result<Vec<TickAction>> {
        let tasks = self.due(fleet, judged, beat, request.dry_run);
        let mut done = Vec::new();
        if request.dry_run {
            done.extend(tasks.iter().map(|(peer, _, task)| task.action(&peer.name)));
        } else {
            self.announce_lost(fleet, judged)?;
            let bounds = Bounds { deadline, machine_woke_at: beat.machine_woke_at_ms };
            let (urgent, mut rest): (Vec<_>, Vec<_>) = tasks.into_iter().partition(|(_, _, task)| task.is_urgent());
            let lost = self.perform_all(bounds, urgent, &mut done, beat).await;
            // After a power cut, the first tick brings the fleet back, and not only the second.
            rest.extend(self.due_again(&lost, beat));
            rest.sort_by_key(|(_, _, task)| task.urgency());
            self.perform_all(bounds, rest, &mut done, beat).await;
            self.sweep_sessions(&fleet.unused, deadline).await;
        }
        // The sort is stable, so the actions of one peer stay in the order in which they were done.
        done.sort_by(|a, b| a.peer.cmp(&b.peer));
        Ok(done)
    }

    /// Performs tasks concurrently, and returns the peers whose loss was recorded by that.
    async fn perform_all<'a>(
        &self,
        bounds: Bounds,
        tasks: Vec<Due<'a>>,
        done: &mut Vec<TickAction>,
        beat: &mut Heartbeat,
    ) -> Vec<&'a Peer> {
        let mut lost = Vec::new();
        let mut results = stream::iter(tasks)
            .map(async |(peer, record, task)| {
                let is_about_lost = task.is_about_lost();
                (peer, is_about_lost, self.within(bounds, peer, record, task).await)
            })
            .buffer_unordered(SIDE_BY_SIDE);
        while let Some((peer, is_about_lost, result)) = results.next().await {
            match result {
                Ok(Some(action)) => {
                    lost.extend(is_about_lost.then_some(peer));
                    done.push(action);
                }
                Ok(None) => {}
                Err(error) => beat.skipped.push(skipped(&peer.name, &error)),
            }
        }
        lost
    }

    pub(super) fn log_silent(&self, silent: &Silent) -> Result<()> {
        use peer_adapters::runtime::RuntimeError::{NotAnswering, TimedOut};
        let late = matches!(silent.error, TimedOut { .. } | NotAnswering { .. });
        let event = Event::new(self.now(), if late { EventName::ProbeTimedOut } else { EventName::ProbeFailed });
        self.log(&event.cause(silent.error.to_string()).with("peers", silent.peers))
    }

    /// Logs one event per lost server, whatever the number of its peers. These are the peers whose loss this tick
    /// finds, and those whose pane process has already recorded it and whose session has not been cleared since.
    fn announce_lost(&self, fleet: &Fleet, judged: &BTreeMap<PeerName, Judgement>) -> Result<()> {
        let mut lost = BTreeMap::<PathBuf, Vec<&str>>::new();
        for subject in fleet.subjects.iter().filter(|subject| !subject.observation.rebooted) {
            let judgement = judged.get(&subject.peer.name);
            if judgement.is_some_and(|judgement| matches!(judgement.action, Action::EndLost { .. })) {
                lost.entry(subject.record.place.server.clone()).or_default().push(subject.peer.name.as_str());
            }
        }
        for peer in &fleet.asleep {
            // An unreadable file is reported where its peer is handled.
            let last = peer.files.end().ok().and_then(Stored::present);
            let ended = last.filter(|ended| ended.end.cause == EndCause::RuntimeLost);
            if let Some(place) = ended.and_then(|ended| ended.left) {
                lost.entry(place.server).or_default().push(peer.name.as_str());
            }
        }
        for (server, peers) in lost {
            let event = Event::new(self.now(), EventName::RuntimeLost).with("server", server.display().to_string());
            self.log(&event.with("peers", json!(peers)))?;
        }
        Ok(())
    }

    async fn within(
        &self,
        bounds: Bounds,
        peer: &Peer,
        record: Option<&SessionRecord>,
        task: Task,
    ) -> Result<Option<TickAction>> {
        let supervised = matches!(task, Task::Drive);
        // A start that is still in progress is not a failure of the tick.
        let out_of_time =
            || if supervised { Ok(None) } else { Err(EngineError::OutOfTime { peer: peer.name.clone() }) };
        if Instant::now() >= bounds.deadline {
            return out_of_time();
        }
        // Dropping an unfinished task is safe: the next tick can continue after every step of a ladder or a start.
        let performed = tokio::time::timeout_at(bounds.deadline, self.perform(bounds, peer, record, task)).await;
        performed.unwrap_or_else(|_| out_of_time())
    }

    async fn perform(
        &self,
        bounds: Bounds,
        peer: &Peer,
        judged: Option<&SessionRecord>,
        task: Task,
    ) -> Result<Option<TickAction>> {
        let action = task.action(&peer.name);
        match (&task, judged) {
            (Task::Restart, _) => return self.restart(peer).await,
            (Task::Mail { topic }, awake) => return self.deliver_inbox(peer, awake.is_some(), topic.clone()).await,
            (Task::Drive, Some(record)) => return Ok(self.supervise(peer, record).await?.then_some(action)),
            _ => {}
        }
        // Another process that holds the lock has newer facts than this tick.
        let Some(locked) = self.state.try_lock(&peer.name)? else { return Ok(None) };
        let record = self.on_record(peer, &locked)?;
        match (&task, judged, record) {
            (Task::Recover, _, record) => Ok(record.map(|_| action)),
            (Task::ClearUntracked(untracked), ..) => {
                Ok(self.clear_untracked(peer, &locked, untracked).await?.then_some(action))
            }
            (Task::Clear, _, record) => match self.live_in_reach(peer, record).await? {
                Live::None => self.clear_left(peer, &locked).await.map(|()| Some(action)),
                Live::Starting(_) | Live::Session(..) => Ok(None),
            },
            (_, Some(then), Some(record)) if then.incarnation == record.incarnation => {
                let cause = self.end_as_judged(bounds, peer, &locked, record, &task).await?;
                Ok(cause.map(|cause| TickAction { cause, ..action }))
            }
            // The incarnation ended or was replaced since it was judged.
            _ => Ok(None),
        }
    }

    /// Observes the peer again under the lock, and ends it if the judgement still holds. Returns the cause, or `None`
    /// if it does not hold any more.
    async fn end_as_judged(
        &self,
        bounds: Bounds,
        peer: &Peer,
        locked: &Locked,
        record: SessionRecord,
        task: &Task,
    ) -> Result<Option<String>> {
        let observation = self.observe(&peer.name, &record).await?;
        Self::refuse_unknown(peer, &observation)?;
        match task {
            Task::RecordEnd | Task::EndLost { survivor: false } if observation.process == Axis::Dead => {
                self.record_dead_session(peer, locked, &record, &observation).await?;
            }
            Task::EndOrphan | Task::EndLost { survivor: true } if observation.runtime == Axis::Dead => {
                self.end_orphan(peer, locked, record, &observation).await?;
            }
            Task::End { intent, cause, .. }
                if observation.process == Axis::Alive && observation.runtime == Axis::Alive =>
            {
                let view = View { peer, files: &peer.files, record: &record, observation: &observation };
                if !self.still_due(bounds, view, *intent).await? {
                    return Ok(None);
                }
                self.end_healthy(peer, locked, record, *intent, cause).await?;
                return Ok(Some(cause.clone()));
            }
            _ => return Ok(None),
        }
        let last = peer.files.end()?.present();
        Ok(Some(last.map(|last| last.end.shown_as()).unwrap_or_default()))
    }

    /// Whether what was found without the lock still holds under it: meanwhile a message may have been delivered, a
    /// client attached, or a beat recorded.
    async fn still_due(&self, bounds: Bounds, view: View<'_>, intent: Intent) -> Result<bool> {
        Ok(match intent {
            _ if view.record.intent == Some(intent) => true,
            Intent::IdleReaped => {
                let decision = idle::decide(self, view, bounds.machine_woke_at)?;
                matches!(decision, IdleDecision::Park { .. }) && !self.is_at_work(view.peer, view.record).await
            }
            Intent::Unresponsive => self.unresponsive(view, bounds.machine_woke_at)?.is_some(),
            _ => true,
        })
    }

    pub(super) async fn end_healthy(
        &self,
        peer: &Peer,
        locked: &Locked,
        record: SessionRecord,
        intent: Intent,
        cause: &str,
    ) -> Result<()> {
        let incarnation = record.incarnation;
        let last = self.end(peer, locked, record, Some(intent)).await?;
        let event = Event::new(self.now(), EventName::SessionReaped).peer(&peer.name).incarnation(incarnation);
        self.log(&event.cause(last.end.cause.as_str()).with("detail", cause).with("conversation", last.conversation))?;
        if drain_alert(&last.end.recent, self.now()) {
            self.log(&Event::new(self.now(), EventName::MemoryAlert).peer(&peer.name).incarnation(incarnation))?;
        }
        Ok(())
    }

    async fn restart(&self, peer: &Peer) -> Result<Option<TickAction>> {
        match self.wake(&peer.name, &WakeRequest::default(), &Message::default()).await {
            Ok(woken) => {
                let cause = format!("{} ({})", woken.decision, woken.cause);
                Ok(Some(TickAction { peer: peer.name.clone(), what: ActionKind::Restarted, cause }))
            }
            // A refusal by the wake table is already in the log.
            Err(EngineError::Refused { .. }) => Ok(None),
            Err(error) => {
                // A self-fresh is tried once; the next wake is fresh anyway.
                self.lock(&peer.name).await?.unmark(Marker::NewEager)?;
                Err(error)
            }
        }
    }

    /// Sees a start through whose driver is gone; a start that has exceeded its time gets a short look. Returns whether
    /// it is ready now, with its initial prompt typed.
    async fn supervise(&self, peer: &Peer, record: &SessionRecord) -> Result<bool> {
        let limit = peer.ready_timeout();
        let left = limit.saturating_sub(self.now().since(record.woke_at_ms));
        let patience = left.max(LATE_START_LOOK + peer.profile.ready.stable_for_resume);
        let why = match tokio::time::timeout(patience, self.see_ready(peer, record.incarnation)).await {
            Ok(Ok(())) => None,
            Ok(Err(EngineError::NotReady { why, .. })) => Some(why),
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                self.leave_start(peer).await;
                Some(NotReady::TimedOut(limit))
            }
        };
        if let Some(why) = why {
            // It stays as it is until a person answers or ends it; the list shows it meanwhile.
            self.log_not_ready(peer, record.incarnation, &why, Repetition::Silent).await?;
            return Ok(false);
        }
        let locked = self.lock(&peer.name).await?;
        let current = peer.files.session()?.present().filter(|now| now.incarnation == record.incarnation);
        if let Some(mut current) = current {
            self.deliver(peer, &locked, &mut current, &Message::default()).await?;
        }
        Ok(true)
    }
}
