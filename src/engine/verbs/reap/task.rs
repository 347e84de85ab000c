//! The tasks that follow from the judgements of a tick: one per peer, sorted by urgency.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use peer_adapters::process;

use super::{ActionKind, Fleet, Subject, TickAction, note_once, skipped};
use crate::engine::observe::fleet_observation::UntrackedSession;
use crate::engine::observe::live::Live;
use crate::engine::observe::{elsewhere, process_id};
use crate::engine::{Engine, Peer, Result};
use crate::policy::ending::{EndCause, Intent};
use crate::policy::health::{AutoRestart, Health, should_restart};
use crate::policy::name::PeerName;
use crate::policy::verdict::{Action, Judgement};
use crate::store::{Heartbeat, LastEnd, Marker, Phase, SessionRecord};

/// How long after an end each tick looks for its conversation; a wake always looks. An agent writes its files within
/// seconds, and without this limit ticks would look for ever for a conversation that never began.
const LATE_FILES: Duration = Duration::from_secs(600);

/// What is to be done to one peer.
#[derive(Clone, Debug)]
pub(super) enum Task {
    /// Record an end that has happened.
    RecordEnd,
    /// End an agent whose session is gone.
    EndOrphan,
    /// Its server is gone: end the survivor, if there is one, and record the end.
    EndLost { survivor: bool },
    /// End a healthy agent with this intent, reported with these words.
    End { intent: Intent, what: ActionKind, cause: String },
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
            Self::RecordEnd => (ActionKind::Ended, "confirmed".to_owned()),
            Self::EndOrphan => (ActionKind::OrphanEnded, "session gone".to_owned()),
            Self::EndLost { .. } => (ActionKind::Ended, "runtime-lost".to_owned()),
            Self::End { what, cause, .. } => (*what, cause.clone()),
            Self::Recover => (ActionKind::Recovered, "its record was lost".to_owned()),
            Self::ClearUntracked(untracked) => {
                (ActionKind::Cleared, format!("session {} is not on record", untracked.row.session))
            }
            Self::Clear => (ActionKind::Cleared, "its agent had ended, its session was left over".to_owned()),
            Self::Restart => (ActionKind::Restarted, String::new()),
            Self::Mail { .. } => (ActionKind::Delivered, "its inbox".to_owned()),
            Self::Drive => (ActionKind::Supervised, "its start was left alone".to_owned()),
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
    ) -> Vec<Due<'a>> {
        // Without the list, a lost record is found by what the kernel holds.
        let launched = if fleet.asleep.is_empty() { Ok(BTreeSet::new()) } else { self.state.launched() };
        let launched = launched.unwrap_or_else(|error| {
            note_once(beat, error.to_string());
            BTreeSet::new()
        });
        let unrecorded = self.unrecorded_among(fleet, &launched, beat);
        let mut tasks: Vec<Due<'a>> = Vec::new();
        for subject in &fleet.subjects {
            match self.task_for(subject, judged.get(&subject.peer.name), beat, dry_run) {
                Ok(task) => tasks.extend(task.map(|task| (&subject.peer, Some(&subject.record), task))),
                Err(error) => beat.skipped.push(skipped(&subject.peer.name, &error)),
            }
        }
        for peer in &fleet.asleep {
            if !dry_run && let Err(error) = self.tidy_up(peer, launched.contains(&peer.name)) {
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
        self.add_mail(fleet, &mut tasks, beat);
        tasks.sort_by_key(|(_, _, task)| task.urgency());
        tasks
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
            Some(Action::End) => Some(Task::RecordEnd),
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

    /// Completes what was left open at the end of an incarnation: launch files, which hold secrets, if the pass that
    /// recorded the end was killed before it removed them; and the conversation of one that ended recently, whose files may
    /// have lagged behind.
    fn tidy_up(&self, peer: &Peer, has_launch_file: bool) -> Result<()> {
        if has_launch_file && let Some(locked) = self.state.try_lock(&peer.name)? {
            locked.remove_pane_files_of_ended()?;
        }
        let recent =
            |last: &LastEnd| last.pending_conversation.is_some() && self.now().since(last.end.at_ms) < LATE_FILES;
        if peer.files.end()?.present().as_ref().is_some_and(recent)
            && let Some(locked) = self.state.try_lock(&peer.name)?
        {
            self.find_late_conversation(peer, &locked)?;
        }
        Ok(())
    }

    /// Returns the peers that run without a record, with one query of the kernel. All processes are walked only if that
    /// query, or a launch file without a record, gives a reason.
    fn unrecorded_among(
        &self,
        fleet: &Fleet,
        launched: &BTreeSet<PeerName>,
        beat: &mut Heartbeat,
    ) -> BTreeSet<PeerName> {
        let asleep: Vec<_> = fleet.asleep.iter().map(|peer| &peer.name).collect();
        let found = self.running(&asleep).and_then(|running| {
            let reason = asleep.iter().any(|name| running.contains(*name) || launched.contains(*name));
            if reason { Ok(self.panes()?.into_keys().collect()) } else { Ok(BTreeSet::new()) }
        });
        let found: BTreeSet<PeerName> = found.unwrap_or_else(|error| {
            beat.skipped.push(error.to_string());
            BTreeSet::new()
        });
        asleep.into_iter().filter(|name| found.contains(*name)).cloned().collect()
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
        let policy = peer.health_policy();
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
