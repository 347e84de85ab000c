//! Judges what a tick has observed: the verdict on each incarnation, and the stamps of both axes.

use std::collections::BTreeMap;

use super::{Fleet, Subject, idle, memory, skipped};
use crate::engine::{Engine, Peer, Result};
use crate::policy::axis::{Axis, Stamped};
use crate::policy::name::PeerName;
use crate::policy::verdict::{Action, CONFIRM_AFTER, DeferReason, Judgement, RuntimeSeen, VerdictFacts, judge};
use crate::store::{Heartbeat, PeerObservation, SessionRecord};

impl Engine {
    /// Looks again at every absence without a recorded end.
    pub(super) async fn confirm(
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
}

/// Returns what could not be determined, one line per reason whatever the number of peers.
pub(super) fn not_judged(subjects: &[Subject]) -> Vec<String> {
    let mut reasons = BTreeMap::<&str, usize>::new();
    let mut said = Vec::new();
    for Subject { peer, observation, .. } in subjects {
        if let Some(owner) = &observation.elsewhere {
            said.push(format!("{}: it was started {owner}", peer.name));
        } else if let Some(why) = observation.runtime.why_unknown().or(observation.process.why_unknown()) {
            *reasons.entry(why).or_default() += 1;
        }
    }
    said.extend(reasons.into_iter().map(|(why, peers)| format!("{why}; peers not judged: {peers}")));
    said
}

/// Stamps both axes of every subject, each with its own time.
pub(super) fn stamp(
    beat: &mut Heartbeat,
    subjects: &[Subject],
    judged: &BTreeMap<PeerName, Judgement>,
    before: &Heartbeat,
) {
    let memory = memory::of_limited(subjects);
    for subject in subjects {
        let name = &subject.peer.name;
        let Some(judgement) = judged.get(name) else { continue };
        let same = before.peers.get(name).filter(|pulse| pulse.incarnation == subject.record.incarnation);
        let pulse = PeerObservation {
            incarnation: subject.record.incarnation,
            runtime: Stamped { value: subject.observation.runtime.clone(), at_ms: subject.observation.listed_at },
            process: Stamped { value: subject.observation.process.clone(), at_ms: subject.seen_at },
            verdict: judgement.verdict,
            turn: None,
            asked: None,
            progress: None,
            limited: None,
            stalled: false,
            memory_kib: memory.get(name).copied(),
            memory_warned: same.is_some_and(|pulse| pulse.memory_warned),
        };
        beat.peers.insert(name.clone(), pulse);
    }
}

/// Keeps what the last tick saw of the peers that this tick did not look at.
pub(super) fn keep_the_others(beat: &mut Heartbeat, before: &Heartbeat, fleet: &Fleet) {
    let looked_at = |name: &PeerName| {
        fleet.subjects.iter().any(|subject| subject.peer.name == *name) || fleet.asleep.iter().any(|p| p.name == *name)
    };
    let others = before.peers.iter().filter(|(name, _)| !looked_at(name));
    beat.peers.extend(others.map(|(name, pulse)| (name.clone(), pulse.clone())));
    beat.waiting.extend(before.waiting.iter().filter(|name| !looked_at(name)).cloned());
}

/// Judges every subject whose files can be read. An unreadable file costs only its own peer the judgement, and is
/// reported.
pub(super) fn judge_all(
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
            judgement.action = Action::Defer(DeferReason::Settling);
        }
        judged.insert(name.clone(), judgement);
    }
    judged
}

fn facts(engine: &Engine, subject: &Subject, confirmed: bool) -> Result<VerdictFacts> {
    let Subject { peer, record, observation, .. } = subject;
    let runtime = match observation.runtime.why_unknown() {
        Some(why) => RuntimeSeen::Unknown(why.to_owned()),
        None if observation.server_gone => RuntimeSeen::ServerGone,
        None if observation.runtime.alive() == Some(true) => RuntimeSeen::Session,
        None => RuntimeSeen::NoSession,
    };
    let gone = observation.process.alive() == Some(false);
    let healthy = runtime == RuntimeSeen::Session && observation.process == Axis::Alive;
    Ok(VerdictFacts {
        runtime,
        process: observation.process.clone(),
        end_recorded: observation.rebooted || (gone && (record.intent.is_some() || ended_on_record(peer, record)?)),
        age: engine.now().since(record.woke_at_ms),
        // Only an absence can be contradicted by a sign of life.
        quiet_for: if healthy {
            None
        } else {
            idle::last_sign_of_life(peer, observation)?.map(|at| engine.now().since(at))
        },
        confirmed,
    })
}

/// Whether the end is on disk: the parent saw it, or an earlier pass was cut short after it had recorded it.
fn ended_on_record(peer: &Peer, record: &SessionRecord) -> Result<bool> {
    let exit = peer.files.exit(record.incarnation)?.present().is_some();
    let end = peer.files.end()?.present().is_some_and(|last| last.end.incarnation == record.incarnation);
    Ok(exit || end)
}
