//! What a tick does, one peer at a time under its lock, many peers side by side, within the budget.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use peer_adapters::screen::{self, Phase as ScreenPhase};
use serde_json::json;
use tokio::time::Instant;

use super::task::{Due, Task};
use super::{Deed, Fleet, Request, View, idle, skipped};
use crate::engine::error::NotReady;
use crate::engine::life::ready::Repetition;
use crate::engine::message::Message;
use crate::engine::verbs::wake::Live;
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::axis::Axis;
use crate::policy::ending::{EndCause, Intent};
use crate::policy::health::drain_alert;
use crate::policy::idle::IdleDecision;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::policy::verdict::{Action, Judgement};
use crate::policy::wake::WakeRequest;
use crate::store::{Event, Heartbeat, Locked, Marker, SessionRecord, Stored};

/// How many peers are ended or started at once: each ladder waits most of its time, and each start costs an agent's
/// start-up on the same two cores. It also staggers the return of a fleet that lost its runtime.
const SIDE_BY_SIDE: usize = 4;

/// How long a start that is past its time is looked at in each tick; long enough to see it ready and still ready.
const LATE_START_LOOK: Duration = Duration::from_secs(2);

/// What holds for all tasks of one tick.
#[derive(Clone, Copy)]
struct Bounds {
    deadline: Instant,
    machine_woke_at: Option<Timestamp>,
}

impl Engine {
    /// Decides and does everything that follows from the judgements; what does not fit into the budget is skipped and
    /// said.
    pub(super) async fn carry_out(
        &self,
        request: &Request,
        deadline: Instant,
        fleet: &Fleet,
        judged: &BTreeMap<PeerName, Judgement>,
        beat: &mut Heartbeat,
    ) -> Result<Vec<Deed>> {
        let tasks = self.due(fleet, judged, beat, request.dry_run)?;
        let mut done = Vec::new();
        if request.dry_run {
            done.extend(tasks.iter().map(|(peer, _, task)| task.deed(&peer.name)));
        } else {
            self.announce_lost(fleet, judged)?;
            let bounds = Bounds { deadline, machine_woke_at: beat.machine_woke_at_ms };
            let (urgent, mut rest): (Vec<_>, Vec<_>) = tasks.into_iter().partition(|(_, _, task)| task.is_urgent());
            let lost = self.perform_all(bounds, urgent, &mut done, beat).await;
            // After a power cut the first tick brings the fleet back, and not the one after it.
            rest.extend(self.due_again(&lost, beat));
            rest.sort_by_key(|(_, _, task)| task.urgency());
            self.perform_all(bounds, rest, &mut done, beat).await;
            self.sweep_sessions(&fleet.unused, deadline).await;
        }
        // Stable: of one peer, in the order in which it was done.
        done.sort_by(|a, b| a.peer.cmp(&b.peer));
        Ok(done)
    }

    /// Performs tasks side by side, and returns whose loss was recorded by that.
    async fn perform_all<'a>(
        &self,
        bounds: Bounds,
        tasks: Vec<Due<'a>>,
        done: &mut Vec<Deed>,
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
                Ok(Some(deed)) => {
                    lost.extend(is_about_lost.then_some(peer));
                    done.push(deed);
                }
                Ok(None) => {}
                Err(error) => beat.skipped.push(skipped(&peer.name, &error)),
            }
        }
        lost
    }

    /// One event a lost server, whatever the number of its peers: those that this tick finds on record, and those whose
    /// pane process has recorded it by itself and that nothing has cleared since.
    fn announce_lost(&self, fleet: &Fleet, judged: &BTreeMap<PeerName, Judgement>) -> Result<()> {
        let mut lost = BTreeMap::<PathBuf, Vec<&str>>::new();
        for subject in fleet.subjects.iter().filter(|subject| !subject.sight.rebooted) {
            let judgement = judged.get(&subject.peer.name);
            if judgement.is_some_and(|judgement| matches!(judgement.action, Action::EndLost { .. })) {
                lost.entry(subject.record.place.server.clone()).or_default().push(subject.peer.name.as_str());
            }
        }
        for peer in &fleet.asleep {
            // One that cannot be read is said where its peer is looked after.
            let last = peer.files.end().ok().and_then(Stored::present);
            let ended = last.filter(|ended| ended.end.cause == EndCause::RuntimeLost);
            if let Some(place) = ended.and_then(|ended| ended.left) {
                lost.entry(place.server).or_default().push(peer.name.as_str());
            }
        }
        for (server, peers) in lost {
            let event = Event::new(self.now(), "runtime.lost").with("server", server.display().to_string());
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
    ) -> Result<Option<Deed>> {
        let supervised = matches!(task, Task::Drive);
        // To be still on its way is no failure of the tick.
        let out_of_time =
            || if supervised { Ok(None) } else { Err(EngineError::OutOfTime { peer: peer.name.clone() }) };
        if Instant::now() >= bounds.deadline {
            return out_of_time();
        }
        // Dropping what is not finished is safe: every step of a ladder or a start can be followed by the next tick.
        let performed = tokio::time::timeout_at(bounds.deadline, self.perform(bounds, peer, record, task)).await;
        performed.unwrap_or_else(|_| out_of_time())
    }

    async fn perform(
        &self,
        bounds: Bounds,
        peer: &Peer,
        judged: Option<&SessionRecord>,
        task: Task,
    ) -> Result<Option<Deed>> {
        let deed = task.deed(&peer.name);
        match (&task, judged) {
            (Task::Restart, _) => return self.restart(peer).await,
            (Task::Mail { topic }, awake) => return self.bring_mail(peer, awake.is_some(), topic.clone()).await,
            (Task::Drive, Some(record)) => return Ok(self.supervise(peer, record).await?.then_some(deed)),
            _ => {}
        }
        // Somebody who works on it knows more than this tick does.
        let Some(locked) = self.state.try_lock(&peer.name)? else { return Ok(None) };
        let record = self.on_record(peer, &locked)?;
        match (&task, judged, record) {
            (Task::Recover, _, record) => Ok(record.map(|_| deed)),
            (Task::ClearStray(stray), ..) => Ok(self.clear_stray(peer, &locked, stray).await?.then_some(deed)),
            (Task::Clear, _, record) => match self.live_in_reach(peer, record).await? {
                Live::None => self.clear_left(peer, &locked).await.map(|()| Some(deed)),
                Live::Starting(_) | Live::Session(..) => Ok(None),
            },
            (_, Some(then), Some(record)) if then.incarnation == record.incarnation => {
                let cause = self.end_as_judged(bounds, peer, &locked, record, &task).await?;
                Ok(cause.map(|cause| Deed { cause, ..deed }))
            }
            // It ended or was started anew since it was judged.
            _ => Ok(None),
        }
    }

    /// Looks once more under the lock, and ends what is still as it was judged. `None`: it is not; else the cause.
    async fn end_as_judged(
        &self,
        bounds: Bounds,
        peer: &Peer,
        locked: &Locked,
        record: SessionRecord,
        task: &Task,
    ) -> Result<Option<String>> {
        let sight = self.observe(&peer.name, &record).await?;
        Self::refuse_unknown(peer, &sight)?;
        match task {
            Task::Bury | Task::EndLost { survivor: false } if sight.process == Axis::Dead => {
                self.bury(peer, locked, &record, &sight).await?;
            }
            Task::EndOrphan | Task::EndLost { survivor: true } if sight.runtime == Axis::Dead => {
                self.end_orphan(peer, locked, record, &sight).await?;
            }
            Task::End { intent, cause, .. } if sight.process == Axis::Alive && sight.runtime == Axis::Alive => {
                let view = View { peer, files: &peer.files, record: &record, sight: &sight };
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

    /// Whether what was found without the lock still holds under it: meanwhile a message may have come, somebody may have
    /// attached, a beat may have arrived.
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

    async fn end_healthy(
        &self,
        peer: &Peer,
        locked: &Locked,
        record: SessionRecord,
        intent: Intent,
        cause: &str,
    ) -> Result<()> {
        let incarnation = record.incarnation;
        let last = self.end(peer, locked, record, Some(intent)).await?;
        let event = Event::new(self.now(), "session.reaped").peer(&peer.name).incarnation(incarnation);
        self.log(&event.cause(last.end.cause.as_str()).with("detail", cause).with("conversation", last.conversation))?;
        if drain_alert(&last.end.recent, self.now()) {
            self.log(&Event::new(self.now(), "memory.alert").peer(&peer.name).incarnation(incarnation))?;
        }
        Ok(())
    }

    /// The last look before a park: what its screen says now. A screen that cannot be read is no proof of idleness.
    pub(crate) async fn is_at_work(&self, peer: &Peer, record: &SessionRecord) -> bool {
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
            Err(error) => {
                // A self-fresh is tried once; the next wake is fresh all the same.
                self.lock(&peer.name).await?.unmark(Marker::NewEager)?;
                Err(error)
            }
        }
    }

    /// Sees a start through whose driver is gone; one that is long past its time gets a short look. Returns whether it is
    /// ready now, with the prompt typed that nobody else would type.
    async fn supervise(&self, peer: &Peer, record: &SessionRecord) -> Result<bool> {
        let limit = peer.effective.ready_timeout.value.unwrap_or(peer.profile.ready.timeout);
        let left = limit.saturating_sub(self.now().since(record.woke_at_ms));
        let patience = left.max(LATE_START_LOOK + peer.profile.ready.hold_resume);
        let why = match tokio::time::timeout(patience, self.see_ready(peer, record.incarnation)).await {
            Ok(Ok(())) => None,
            Ok(Err(EngineError::NotReady { why, .. })) => Some(why),
            Ok(Err(error)) => return Err(error),
            Err(_) => Some(NotReady::TimedOut(limit)),
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
