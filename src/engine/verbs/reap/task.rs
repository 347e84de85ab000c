//! The tasks that follow from the judgements of a tick: one per peer, sorted by urgency.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use peer_adapters::agent::ConversationId;
use peer_adapters::process;

use super::{Fleet, Subject, TickAction, View, idle, since_wake, skipped};
use crate::engine::observe::conversation::ConversationFinder;
use crate::engine::observe::fleet_observation::UntrackedSession;
use crate::engine::observe::{elsewhere, process_id};
use crate::engine::verbs::wake::Live;
use crate::engine::{Engine, Peer, Result};
use crate::policy::ending::{EndCause, Intent};
use crate::policy::event::EventName;
use crate::policy::health::{AutoRestart, Health, HealthPolicy, should_restart};
use crate::policy::idle::IdleDecision;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::policy::verdict::{Action, Judgement};
use crate::store::{Event, Heartbeat, LastEnd, Marker, Phase, SessionRecord};

/// The share of the memory limit, in percent, above which a warning is logged before the agent is drained. A lower
/// value would also warn about agents that are merely well used, a higher one would be too late to react to.
const MEMORY_WARNING_PERCENT: u64 = 80;

/// How long after an end each tick looks for its conversation; a wake always looks. An agent writes its files within
/// seconds, and without this limit ticks would look for ever for a conversation that never began.
const LATE_FILES: Duration = Duration::from_secs(600);

/// What is to be done to one peer.
#[derive(Clone, Debug)]
pub(super) enum Task {
    /// Record an end that has happened.
    Bury,
    /// End an agent whose session is gone.
    EndOrphan,
    /// Its server is gone: end the survivor, if there is one, and record the end.
    EndLost { survivor: bool },
    /// End a healthy agent with this intent, reported with these words.
    End { intent: Intent, what: &'static str, cause: String },
    /// Reconstruct the record of a living agent.
    Recover,
    /// Remove a session of this fleet that no record names.
    ClearUntracked(UntrackedSession),
    /// Clear what an ended incarnation left on its server.
    Clear,
    /// Restart the peer because its spec says so.
    Restart,
    /// Take over a start whose driver is gone.
    Drive,
    /// Deliver what is due in its inbox. A peer that is not awake is woken for it, with this topic.
    Mail { topic: Option<String> },
}

impl Task {
    pub(super) fn action(&self, peer: &PeerName) -> TickAction {
        let (what, cause) = match self {
            Self::Bury => ("ended", "confirmed".to_owned()),
            Self::EndOrphan => ("orphan-ended", "session gone".to_owned()),
            Self::EndLost { .. } => ("ended", "runtime-lost".to_owned()),
            Self::End { what, cause, .. } => (*what, cause.clone()),
            Self::Recover => ("recovered", "its record was lost".to_owned()),
            Self::ClearUntracked(untracked) => {
                ("cleared", format!("session {} is not on record", untracked.row.session))
            }
            Self::Clear => ("cleared", "its session was left".to_owned()),
            Self::Restart => ("restarted", String::new()),
            Self::Mail { .. } => ("delivered", "its inbox".to_owned()),
            Self::Drive => ("supervised", "its start was left alone".to_owned()),
        };
        TickAction { peer: peer.clone(), what, cause }
    }

    /// What takes long and can wait comes last: an agent that never becomes ready must not delay the end of others.
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

    /// Whether it records the end of an incarnation whose runtime or machine went away.
    pub(super) const fn is_about_lost(&self) -> bool {
        matches!(self, Self::EndLost { .. })
    }
}

/// A task with its peer, and the record on which it was decided.
pub(super) type Due<'a> = (&'a Peer, Option<&'a SessionRecord>, Task);

impl Engine {
    /// Returns everything that is due, the most urgent first. What cannot be determined is reported in `beat`.
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
        // While a record is missing, every session of its peer looks untracked; the next tick handles the rest.
        for untracked in fleet.untracked.iter().filter(|session| !recovered.contains(&session.peer)) {
            match task_for_untracked(fleet, untracked, beat) {
                Ok(task) => tasks.extend(task),
                Err(error) => beat.skipped.push(skipped(&untracked.peer, &error)),
            }
        }
        self.add_mail(fleet, &mut tasks, beat)?;
        tasks.sort_by_key(|(_, _, task)| task.urgency());
        Ok(tasks)
    }

    /// Returns restarts for the peers whose loss this tick has recorded, so that they are started again at once.
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
            Some(Action::Defer(_) | Action::ProbeAgain) | None => None,
        })
    }

    /// Takes over a start whose driver is gone. A start that never reached the runtime leaves the peer as it was
    /// before.
    fn task_on_its_way(&self, subject: &Subject) -> Result<Option<Task>> {
        let driver = match subject.record.phase {
            Phase::Starting { driver } => driver,
            Phase::Refused => return Ok(self.task_asleep(&subject.peer)?.or_else(|| left_by_unborn(&subject.record))),
            Phase::Ready { .. } => return Ok(None),
        };
        let driver = process_id(driver);
        // Ticks of this process do not overlap, so a start that an earlier one had no time for has no driver now.
        let ours = driver == peer_adapters::process::me()?;
        if !ours && peer_adapters::process::find(driver)?.is_some() {
            return Ok(None);
        }
        match Live::of(subject.record.clone(), subject.observation.clone()) {
            Live::Starting(_) => Ok(Some(Task::Drive)),
            Live::None => Ok(self.task_asleep(&subject.peer)?.or_else(|| left_by_unborn(&subject.record))),
            Live::Session(..) => Ok(None),
        }
    }

    /// Checks beats, memory and idleness of a healthy peer, in the order of their urgency.
    fn watch_over(&self, subject: &Subject, beat: &mut Heartbeat, dry_run: bool) -> Result<Option<Task>> {
        if !dry_run {
            self.forgive_if_stable(subject)?;
            self.learn_current(subject)?;
        }
        // An end was begun and its process was killed. If this were ignored, the agent's next crash would be recorded
        // as that end. A self-fresh is completed by the pane process.
        let begun = |intent: &Intent| *intent != Intent::SelfFresh && !intent.is_for_orphan();
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
    fn learn_current(&self, subject: &Subject) -> Result<()> {
        let (peer, record) = (&subject.peer, &subject.record);
        if peer.profile.conversation.id == ConversationId::None || subject.is_unchanged() {
            return Ok(());
        }
        let finder = ConversationFinder::new(&peer.profile, &peer.spec.cwd);
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

    /// Looks again for the conversation of an incarnation that ended recently; its files may have lagged behind.
    fn learn_if_late(&self, peer: &Peer) -> Result<()> {
        let recent =
            |last: &LastEnd| last.pending_conversation.is_some() && self.now().since(last.end.at_ms) < LATE_FILES;
        if peer.files.end()?.present().as_ref().is_some_and(recent)
            && let Some(locked) = self.state.try_lock(&peer.name)?
        {
            self.find_late_conversation(peer, &locked)?;
        }
        Ok(())
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
            return Ok(Some(Task::End { intent: Intent::MemoryDrained, what: "drained", cause }));
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

    /// Returns the peers that run without a record, with one query of the kernel. All processes are walked only if that
    /// query, or a launch file without a record, gives a reason.
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

    /// Returns the task for a peer that is not awake: restart it if its spec says so, or clear what is left of it.
    fn task_asleep(&self, peer: &Peer) -> Result<Option<Task>> {
        let Some(last) = peer.files.end()?.present() else { return Ok(None) };
        // Clearing and restarting is done by a tick on the host where it ran. If this machine has booted since, nothing
        // of it runs in any namespace here; a container also has a new namespace after each boot.
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
        // A self-fresh whose fresh start failed has lost its marker, and is not retried for ever.
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

/// Returns the task for a start that never completed: it may have left its own directory, which no listing shows. An
/// address that is a socket belongs to a shared server.
fn left_by_unborn(record: &SessionRecord) -> Option<Task> {
    record.place.server.is_dir().then_some(Task::Clear)
}

/// Returns the task for a session of this fleet that no record names: a dead one is removed, and a living one is ended
/// or recovered. If its peer is not declared, the session is only reported, because its purpose is unknown.
fn task_for_untracked<'a>(
    fleet: &'a Fleet,
    untracked: &UntrackedSession,
    beat: &mut Heartbeat,
) -> Result<Option<Due<'a>>> {
    let subject = fleet.subjects.iter().find(|subject| subject.peer.name == untracked.peer);
    if subject.is_some_and(|subject| subject.observation.elsewhere.is_some()) {
        return Ok(None);
    }
    let peer = subject.map(|subject| &subject.peer).or_else(|| fleet.asleep.iter().find(|p| p.name == untracked.peer));
    let Some(peer) = peer else {
        if fleet.unreadable.contains(&untracked.peer) {
            return Ok(None);
        }
        let (session, server) = (&untracked.row.session, untracked.server.display());
        beat.skipped.push(format!("session {session} at {server} belongs to no declared peer"));
        return Ok(None);
    };
    // What the last incarnation left is cleared by another task, which keeps its screen.
    let left = peer.files.end()?.present().and_then(|last| last.left);
    let kept = left.is_some_and(|place| untracked.is_at(&place));
    Ok((!kept).then(|| (peer, None, Task::ClearUntracked(untracked.clone()))))
}
