//! What a tick checks of a healthy peer: its beats, its memory and its idleness.

use std::time::Duration;

use peer_adapters::agent::ConversationId;

use super::task::Task;
use super::{ActionKind, Subject, View, idle, since_wake};
use crate::engine::observe::conversation::ConversationFinder;
use crate::engine::{Engine, Result};
use crate::policy::ending::Intent;
use crate::policy::event::EventName;
use crate::policy::idle::IdleDecision;
use crate::policy::time::Timestamp;
use crate::store::{Event, Heartbeat, Marker};

/// The share of the memory limit, in percent, above which a warning is logged before the agent is drained. A lower
/// value would also warn about agents that are merely well used, a higher one would be too late to react to.
const MEMORY_WARNING_PERCENT: u64 = 80;

/// How long after its request a self-fresh has begun, on a machine under any load. A shorter time would take a client
/// away from a pane that is about to get its fresh agent; a longer one leaves an agent that is to be replaced at work.
const SELF_FRESH_BEGINS: Duration = Duration::from_secs(10);

impl Engine {
    /// Checks beats, memory and idleness of a healthy peer, in the order of their urgency.
    pub(super) fn watch_over(&self, subject: &Subject, beat: &mut Heartbeat, dry_run: bool) -> Result<Option<Task>> {
        if !dry_run {
            self.forgive_if_stable(subject)?;
            self.update_conversation(subject)?;
        }
        // An end was begun and its process was killed. If this were ignored, the agent's next crash would be recorded
        // as that end.
        let begun = match subject.record.intent.filter(|intent| !intent.is_for_orphan()) {
            Some(Intent::SelfFresh) if !self.is_overdue_self_fresh(subject.view())? => None,
            begun => begun,
        };
        if let Some(intent) = begun {
            return Ok(Some(Task::End {
                intent,
                what: ActionKind::Ended,
                cause: "its ending was cut short".to_owned(),
            }));
        }
        if let Some(silence) = self.unresponsive(subject.view(), beat.machine_woke_at_ms)? {
            let cause = format!("no beat for {} s", silence.as_secs());
            return Ok(Some(Task::End { intent: Intent::Unresponsive, what: ActionKind::Ended, cause }));
        }
        if let Some(task) = self.too_large(subject, beat, dry_run)? {
            return Ok(Some(task));
        }
        Ok(match idle::decide(self, subject.view(), beat.machine_woke_at_ms)? {
            IdleDecision::Keep(_) => None,
            IdleDecision::Park { idle } => {
                let cause = format!("idle for {} s", idle.as_secs());
                Some(Task::End { intent: Intent::IdleReaped, what: ActionKind::Parked, cause })
            }
        })
    }

    /// Whether the pane process has not completed a self-fresh in its time: it was never signalled, or is stopped or gone.
    fn is_overdue_self_fresh(&self, View { files, record, .. }: View<'_>) -> Result<bool> {
        let Some(asked_at) = since_wake(files, record, Marker::NewEager)? else { return Ok(false) };
        let launch = files.launch(record.incarnation)?.present();
        let grace = launch.map(|launch| Duration::from_millis(launch.grace_ms)).unwrap_or_default();
        Ok(self.now().since(asked_at) > grace.saturating_add(SELF_FRESH_BEGINS))
    }

    /// Forgets earlier deaths once the incarnation has been ready for long enough.
    fn forgive_if_stable(&self, subject: &Subject) -> Result<()> {
        let (peer, record) = (&subject.peer, &subject.record);
        let Some(ready_for) = record.ready_at().map(|at| self.now().since(at)) else { return Ok(()) };
        let deaths = subject.files.deaths()?.present().unwrap_or_default();
        if !deaths.clone().trim_stable(ready_for) {
            return Ok(());
        }
        // The holder of the lock may be recording the next death.
        let Some(locked) = self.state.try_lock(&peer.name)? else { return Ok(()) };
        let same = peer.files.session()?.present().is_some_and(|now| now.incarnation == record.incarnation);
        if same && locked.trim_stable(ready_for)? {
            let event = Event::new(self.now(), EventName::PeerStable).peer(&peer.name).incarnation(record.incarnation);
            self.log(&event.with("deaths", deaths.len()))?;
        }
        Ok(())
    }

    /// Learns which conversation an agent is in, because the user may have begun one in its pane.
    fn update_conversation(&self, subject: &Subject) -> Result<()> {
        let (peer, record) = (&subject.peer, &subject.record);
        if peer.profile.conversation.id == ConversationId::None || subject.is_unchanged() {
            return Ok(());
        }
        let finder = ConversationFinder::of(peer);
        let mut seen = record.clone();
        finder.preview(&self.state, &peer.files, &mut seen)?;
        if seen == *record {
            return Ok(());
        }
        // The holder of the lock delivers a message or ends the agent, and learns the conversation in either case.
        let Some(locked) = self.state.try_lock(&peer.name)? else { return Ok(()) };
        let current = peer.files.session()?.present().filter(|now| now.incarnation == record.incarnation);
        let Some(mut current) = current else { return Ok(()) };
        finder.find(&self.state, &locked, &mut current)
    }

    /// Returns how long a peer with a beat timeout has been silent, if that is too long. The first beat is due counting
    /// from the moment it was ready, or the machine resumed.
    pub(super) fn unresponsive(
        &self,
        View { peer, files, record, .. }: View<'_>,
        machine_woke_at: Option<Timestamp>,
    ) -> Result<Option<Duration>> {
        let Some(promised) = peer.effective.beat_timeout.value else { return Ok(None) };
        let Some(ready) = record.ready_at() else { return Ok(None) };
        let last = since_wake(files, record, Marker::Beat)?.max(machine_woke_at).max(Some(ready));
        let silence = last.map(|last| self.now().since(last)).unwrap_or_default();
        Ok((silence > promised).then_some(silence))
    }

    /// Logs a warning each time memory crosses the warning level, and drains an agent above its limit.
    fn too_large(&self, subject: &Subject, beat: &mut Heartbeat, dry_run: bool) -> Result<Option<Task>> {
        let name = &subject.peer.name;
        let (Some(limit), Some(pulse)) = (subject.peer.effective.max_memory_kib.value, beat.peers.get_mut(name)) else {
            return Ok(None);
        };
        let Some(held) = pulse.memory_kib else { return Ok(None) };
        if held > limit {
            let cause = format!("{} MiB of {} MiB", held / 1024, limit / 1024);
            return Ok(Some(Task::End { intent: Intent::MemoryDrained, what: ActionKind::Drained, cause }));
        }
        let high = held.saturating_mul(100) > limit.saturating_mul(MEMORY_WARNING_PERCENT);
        if high && !pulse.memory_warned && !dry_run {
            let event =
                Event::new(self.now(), EventName::MemoryHigh).peer(name).incarnation(subject.record.incarnation);
            self.log(&event.with("memory_kib", held).with("limit_kib", limit))?;
        }
        pulse.memory_warned = high;
        Ok(None)
    }
}
