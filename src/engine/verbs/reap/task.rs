//! What follows from the judgements of a tick, one task a peer, in the order of urgency.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use peer_adapters::agent::ConversationId;
use peer_adapters::process;

use super::{Deed, Fleet, Subject, View, idle, since_wake, skipped};
use crate::engine::observe::conversation::Learner;
use crate::engine::observe::survey::Stray;
use crate::engine::observe::{elsewhere, process_id};
use crate::engine::verbs::wake::Live;
use crate::engine::{Engine, Peer, Result};
use crate::policy::ending::{EndCause, Intent};
use crate::policy::health::{AutoRestart, Health, HealthPolicy, should_restart};
use crate::policy::idle::IdleDecision;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::policy::verdict::{Action, Judgement};
use crate::store::{Event, Heartbeat, LastEnd, Marker, Phase, SessionRecord};

/// Memory above this share of the limit, in percent, is worth a word before it is drained: less would be said of agents
/// that are only well used, more would come too late to do anything.
const MEMORY_WARNING_PERCENT: u64 = 80;

/// How long after an end each tick looks for its conversation; a wake looks whenever it comes. An agent writes its files
/// within seconds, and a tick that looked for ever would look for what was never said.
const LATE_FILES: Duration = Duration::from_secs(600);

/// What is to be done to one peer.
#[derive(Clone, Debug)]
pub(super) enum Task {
    /// Record an end that has happened.
    Bury,
    /// End an agent whose session is gone.
    EndOrphan,
    /// Its server is gone: end the survivor where there is one, then record.
    EndLost { survivor: bool },
    /// End a healthy agent with this intent; what is told of it.
    End { intent: Intent, what: &'static str, cause: String },
    /// Put the record of a living agent together again.
    Recover,
    /// Remove a session of ours that no record names.
    ClearStray(Stray),
    /// Clear what an ended one left on its server.
    Clear,
    /// Start again by itself.
    Restart,
    /// A start whose driver is gone: wait for it in its place.
    Drive,
    /// Deliver what is due in its inbox; one that is not awake is woken for it, with this topic.
    Mail { topic: Option<String> },
}

impl Task {
    pub(super) fn deed(&self, peer: &PeerName) -> Deed {
        let (what, cause) = match self {
            Self::Bury => ("ended", "confirmed".to_owned()),
            Self::EndOrphan => ("orphan-ended", "session gone".to_owned()),
            Self::EndLost { .. } => ("ended", "runtime-lost".to_owned()),
            Self::End { what, cause, .. } => (*what, cause.clone()),
            Self::Recover => ("recovered", "its record was lost".to_owned()),
            Self::ClearStray(stray) => ("cleared", format!("session {} is not on record", stray.row.session)),
            Self::Clear => ("cleared", "its session was left".to_owned()),
            Self::Restart => ("restarted", String::new()),
            Self::Mail { .. } => ("delivered", "its inbox".to_owned()),
            Self::Drive => ("supervised", "its start was left alone".to_owned()),
        };
        Deed { peer: peer.clone(), what, cause }
    }

    /// What takes long and can wait comes last: an agent that never gets ready must not cost others their end.
    pub(super) const fn urgency(&self) -> u8 {
        match self {
            Self::Drive => 2,
            Self::Restart | Self::Mail { .. } => 1,
            _ => 0,
        }
    }

    pub(super) const fn is_urgent(&self) -> bool {
        self.urgency() == 0
    }

    /// Whether it records the end of one whose runtime or machine went away under it.
    pub(super) const fn is_about_lost(&self) -> bool {
        matches!(self, Self::EndLost { .. })
    }
}

/// A task, for whom, and the record that it was decided by.
pub(super) type Due<'a> = (&'a Peer, Option<&'a SessionRecord>, Task);

impl Engine {
    /// Everything that is due, the urgent first. What cannot be told is said in `beat`.
    pub(super) fn due<'a>(
        &self,
        fleet: &'a Fleet,
        judged: &BTreeMap<PeerName, Judgement>,
        beat: &mut Heartbeat,
        dry_run: bool,
    ) -> Result<Vec<Due<'a>>> {
        let unrecorded = self.unrecorded_among(fleet, beat)?;
        let mut tasks: Vec<Due<'a>> = Vec::new();
        for subject in &fleet.subjects {
            match self.task_for(subject, judged.get(&subject.peer.name), beat, dry_run) {
                Ok(task) => tasks.extend(task.map(|task| (&subject.peer, Some(&subject.record), task))),
                Err(error) => beat.skipped.push(skipped(&subject.peer.name, &error)),
            }
        }
        for peer in &fleet.asleep {
            if !dry_run && let Err(error) = self.learn_if_late(peer) {
                beat.skipped.push(skipped(&peer.name, &error));
            }
            let lost = unrecorded.contains(&peer.name);
            let task = if lost { Ok(Some(Task::Recover)) } else { self.task_asleep(peer) };
            match task {
                Ok(task) => tasks.extend(task.map(|task| (peer, None, task))),
                Err(error) => beat.skipped.push(skipped(&peer.name, &error)),
            }
        }
        let recovered: BTreeSet<&PeerName> =
            tasks.iter().filter(|(_, _, task)| matches!(task, Task::Recover)).map(|(peer, ..)| &peer.name).collect();
        // Without a record every session of a peer looks like a stray; what is left over then is for the next tick to say.
        for stray in fleet.strays.iter().filter(|stray| !recovered.contains(&stray.peer)) {
            match task_for_stray(fleet, stray, beat) {
                Ok(task) => tasks.extend(task),
                Err(error) => beat.skipped.push(skipped(&stray.peer, &error)),
            }
        }
        self.add_mail(fleet, &mut tasks, beat)?;
        tasks.sort_by_key(|(_, _, task)| task.urgency());
        Ok(tasks)
    }

    /// Those whose loss this tick has recorded, and whom it starts again at once.
    pub(super) fn due_again<'a>(&self, lost: &[&'a Peer], beat: &mut Heartbeat) -> Vec<Due<'a>> {
        let mut due: Vec<Due<'a>> = Vec::new();
        for peer in lost {
            match self.task_asleep(peer) {
                Ok(Some(Task::Restart)) => due.push((peer, None, Task::Restart)),
                Ok(_) => {}
                Err(error) => beat.skipped.push(skipped(&peer.name, &error)),
            }
        }
        due
    }

    fn task_for(
        &self,
        subject: &Subject,
        judgement: Option<&Judgement>,
        beat: &mut Heartbeat,
        dry_run: bool,
    ) -> Result<Option<Task>> {
        if subject.is_on_its_way() {
            return self.task_on_its_way(subject);
        }
        Ok(match judgement.map(|judgement| judgement.action) {
            Some(Action::Watch) => self.watch_over(subject, beat, dry_run)?,
            Some(Action::End) => Some(Task::Bury),
            Some(Action::EndOrphan) => Some(Task::EndOrphan),
            Some(Action::EndLost { survivor }) => Some(Task::EndLost { survivor }),
            Some(Action::Hold(_) | Action::ProbeAgain) | None => None,
        })
    }

    /// A start that nobody drives any more is taken over. One that the runtime was never asked for leaves the peer as it
    /// was before it.
    fn task_on_its_way(&self, subject: &Subject) -> Result<Option<Task>> {
        let driver = match subject.record.phase {
            Phase::Starting { driver } => driver,
            Phase::Refused => return Ok(self.task_asleep(&subject.peer)?.or_else(|| left_by_unborn(&subject.record))),
            Phase::Ready { .. } => return Ok(None),
        };
        let driver = process_id(driver);
        // Our own ticks do not overlap, so what an earlier one had no time left for is nobody's now.
        let ours = driver == peer_adapters::process::me()?;
        if !ours && peer_adapters::process::find(driver)?.is_some() {
            return Ok(None);
        }
        match Live::of(subject.record.clone(), subject.sight.clone()) {
            Live::Starting(_) => Ok(Some(Task::Drive)),
            Live::None => Ok(self.task_asleep(&subject.peer)?.or_else(|| left_by_unborn(&subject.record))),
            Live::Session(..) => Ok(None),
        }
    }

    /// Beats, memory and idleness of a healthy peer, in the order of their urgency.
    fn watch_over(&self, subject: &Subject, beat: &mut Heartbeat, dry_run: bool) -> Result<Option<Task>> {
        if !dry_run {
            self.forgive_if_stable(subject)?;
            self.learn_current(subject)?;
        }
        // Somebody began to end it and was killed: left alone, its next crash would pass for that end. A self-fresh is its
        // pane process's to finish.
        let begun = |intent: &Intent| *intent != Intent::SelfFresh && !intent.of_an_orphan();
        if let Some(intent) = subject.record.intent.filter(begun) {
            return Ok(Some(Task::End { intent, what: "ended", cause: "its ending was cut short".to_owned() }));
        }
        if let Some(silence) = self.unresponsive(subject.view(), beat.machine_woke_at_ms)? {
            let cause = format!("no beat for {} s", silence.as_secs());
            return Ok(Some(Task::End { intent: Intent::Unresponsive, what: "ended", cause }));
        }
        if let Some(task) = self.too_large(subject, beat, dry_run)? {
            return Ok(Some(task));
        }
        Ok(match idle::decide(self, subject.view(), beat.machine_woke_at_ms)? {
            IdleDecision::Keep(_) => None,
            IdleDecision::Park { idle } => {
                let cause = format!("idle for {} s", idle.as_secs());
                Some(Task::End { intent: Intent::IdleReaped, what: "parked", cause })
            }
        })
    }

    /// Forgets the deaths of those before it once it has been ready for long enough.
    fn forgive_if_stable(&self, subject: &Subject) -> Result<()> {
        let (peer, record) = (&subject.peer, &subject.record);
        let Some(ready_for) = record.ready_at().map(|at| self.now().since(at)) else { return Ok(()) };
        let deaths = subject.files.deaths()?.present().unwrap_or_default();
        if !deaths.clone().trim_stable(ready_for) {
            return Ok(());
        }
        // Whoever holds the lock may be recording the next one.
        let Some(locked) = self.state.try_lock(&peer.name)? else { return Ok(()) };
        let same = peer.files.session()?.present().is_some_and(|now| now.incarnation == record.incarnation);
        if same && locked.trim_stable(ready_for)? {
            let event = Event::new(self.now(), "peer.stable").peer(&peer.name).incarnation(record.incarnation);
            self.log(&event.with("deaths", deaths.len()))?;
        }
        Ok(())
    }

    /// Learns which conversation an agent is in, which a person may have begun in its pane.
    fn learn_current(&self, subject: &Subject) -> Result<()> {
        let (peer, record) = (&subject.peer, &subject.record);
        if peer.profile.conversation.id == ConversationId::None || subject.is_unchanged() {
            return Ok(());
        }
        let learner = Learner::new(&peer.profile, &peer.spec.cwd);
        let mut seen = record.clone();
        learner.foresee(&self.state, &peer.files, &mut seen)?;
        if seen == *record {
            return Ok(());
        }
        // Whoever holds the lock delivers a message to it, or ends it: both learn.
        let Some(locked) = self.state.try_lock(&peer.name)? else { return Ok(()) };
        let current = peer.files.session()?.present().filter(|now| now.incarnation == record.incarnation);
        let Some(mut current) = current else { return Ok(()) };
        learner.learn(&self.state, &locked, &mut current)
    }

    /// Looks again for the conversation of one that ended a while ago; its files may have been a moment behind.
    fn learn_if_late(&self, peer: &Peer) -> Result<()> {
        let recent = |last: &LastEnd| last.unlearned.is_some() && self.now().since(last.end.at_ms) < LATE_FILES;
        if peer.files.end()?.present().as_ref().is_some_and(recent)
            && let Some(locked) = self.state.try_lock(&peer.name)?
        {
            self.learn_late(peer, &locked)?;
        }
        Ok(())
    }

    /// How long a peer that promised beats has been silent, where that is too long. The first beat is owed from the
    /// moment it was ready, or the machine woke.
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
        let high = held.saturating_mul(100) > limit.saturating_mul(MEMORY_WARNING_PERCENT);
        if high && !pulse.memory_warned && !dry_run {
            let event = Event::new(self.now(), "memory.high").peer(name).incarnation(subject.record.incarnation);
            self.log(&event.with("memory_kib", held).with("limit_kib", limit))?;
        }
        pulse.memory_warned = high;
        Ok(None)
    }

    /// Who runs without being on record, by one look at the kernel; by a walk over all processes only where that, or a launch
    /// file without a record, gives a reason to.
    fn unrecorded_among(&self, fleet: &Fleet, beat: &mut Heartbeat) -> Result<BTreeSet<PeerName>> {
        if fleet.asleep.is_empty() {
            return Ok(BTreeSet::new());
        }
        let launched = self.state.launched()?;
        let asleep: Vec<_> = fleet.asleep.iter().map(|peer| &peer.name).collect();
        let found = self.running(&asleep).and_then(|running| {
            let reason = asleep.iter().any(|name| running.contains(*name) || launched.contains(*name));
            if reason { Ok(self.panes()?.into_keys().collect()) } else { Ok(BTreeSet::new()) }
        });
        let found: BTreeSet<PeerName> = found.unwrap_or_else(|error| {
            beat.skipped.push(error.to_string());
            BTreeSet::new()
        });
        Ok(asleep.into_iter().filter(|name| found.contains(*name)).cloned().collect())
    }

    /// A peer that is not awake: cleared where something of it is left, started where its spec says so.
    fn task_asleep(&self, peer: &Peer) -> Result<Option<Task>> {
        let Some(last) = peer.files.end()?.present() else { return Ok(None) };
        // Cleared and started again by a tick where it ran. Of an earlier boot nothing runs in any namespace: of this machine, or
        // of a container that was booted since, which has another namespace each time.
        let ended_before = |booted| self.now().since(last.end.at_ms) > booted;
        if last.end.cause != EndCause::Rebooted
            && elsewhere(last.host.as_ref(), false, last.end.at_ms)?.is_some_and(|owner| {
                owner.another_machine || !process::booted_for().is_ok_and(|booted| booted.is_some_and(ended_before))
            })
        {
            return Ok(None);
        }
        let policy =
            HealthPolicy { restart: peer.effective.restart.value, max_restarts: peer.effective.max_restarts.value };
        let deaths = self.deaths(peer)?;
        let now = self.now();
        let health = Health::assess(&deaths, Some(&last.end), policy, now);
        // A self-fresh whose fresh start failed has lost its mark, and is not tried again and again.
        let asked = last.end.cause != EndCause::SelfFresh || peer.files.has(Marker::NewEager)?;
        let wanted = asked
            && !peer.files.has(Marker::Stopped)?
            && should_restart(policy.restart, Some(&last.end), &health, now) == AutoRestart::Now;
        Ok(match (wanted, &last.left) {
            (true, _) => Some(Task::Restart),
            (false, Some(_)) => Some(Task::Clear),
            (false, None) => None,
        })
    }
}

/// A start that never came about may have left a directory of its own, which no listing shows. An address that is a
/// socket is that of a server for all.
fn left_by_unborn(record: &SessionRecord) -> Option<Task> {
    record.place.server.is_dir().then_some(Task::Clear)
}

/// A session of ours that no record names: a dead one goes, and so does the agent of a living one. Of a peer that nobody
/// declares any more it is only told: what it was to be is not known.
fn task_for_stray<'a>(fleet: &'a Fleet, stray: &Stray, beat: &mut Heartbeat) -> Result<Option<Due<'a>>> {
    let subject = fleet.subjects.iter().find(|subject| subject.peer.name == stray.peer);
    if subject.is_some_and(|subject| subject.sight.elsewhere.is_some()) {
        return Ok(None);
    }
    let peer = subject.map(|subject| &subject.peer).or_else(|| fleet.asleep.iter().find(|p| p.name == stray.peer));
    let Some(peer) = peer else {
        if fleet.unreadable.contains(&stray.peer) {
            return Ok(None);
        }
        let (session, server) = (&stray.row.session, stray.server.display());
        beat.skipped.push(format!("session {session} at {server} belongs to no declared peer"));
        return Ok(None);
    };
    // What the last incarnation left is cleared by its own rule, with its screen kept.
    let left = peer.files.end()?.present().and_then(|last| last.left);
    let kept = left.is_some_and(|place| stray.is_at(&place));
    Ok((!kept).then(|| (peer, None, Task::ClearStray(stray.clone()))))
}
