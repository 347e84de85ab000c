//! Combines the two axes into one verdict, and derives the action of a tick from it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::axis::Axis;

/// How long to wait before an unreported absence is probed again (500 ms). It is long enough for a runtime that renames
/// or re-attaches, and short enough that a tick over a dozen such peers stays within its budget.
pub const CONFIRM_AFTER: Duration = Duration::from_millis(500);

/// How long after a start no unreported absence is believed (30 s). If it were shorter, an agent that replaces itself
/// while it starts (a launcher, an updater) would be recorded as dead; if it were longer, a real early death would be
/// noticed late.
pub const SETTLE: Duration = Duration::from_secs(30);

/// How recent output or a heartbeat must be (15 s) to contradict an absence. If it were shorter, a pause between two
/// lines would end a busy agent; if it were longer, a death right after output would be noticed one tick late.
pub const BUSY_WITHIN: Duration = Duration::from_secs(15);

/// The smallest number of unreported ends in one tick (5) that wait for a second opinion if they are most of the fleet.
/// With a smaller number, every other coincidence would wait; with a larger one, one wrong listing would bury a small
/// fleet.
pub const MASS_ABSENCE_MIN: usize = 5;

/// What the runtime reported about a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuntimeSeen {
    /// The session is listed.
    Session,
    /// The server answered that the session does not exist.
    NoSession,
    /// There is no server: it has no socket, or nothing listens on it. No other failure means this.
    ServerGone,
    /// The runtime did not answer or could not be queried; holds the reason.
    Unknown(String),
}

/// The facts by which a recorded incarnation is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerdictFacts {
    /// What the runtime reported.
    pub runtime: RuntimeSeen,
    /// What the kernel reported about the recorded pid and start time.
    pub process: Axis,
    /// Whether the end is recorded, or certain because the machine was restarted since.
    pub end_recorded: bool,
    /// The time since its start.
    pub age: Duration,
    /// The time since its last output or heartbeat; `None` if there was none.
    pub quiet_for: Option<Duration>,
    /// Whether these facts come from a second probe, [`CONFIRM_AFTER`] after a first one with the same result.
    pub confirmed: bool,
}

/// The combined result of both axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Session and agent exist.
    Healthy,
    /// The agent's end is recorded.
    Ended,
    /// The session exists, the agent does not, and no end is recorded.
    AgentGone,
    /// Neither exists.
    Gone,
    /// The agent exists, its session does not.
    Orphan,
    /// The server of the session is gone.
    RuntimeLost,
    /// A witness did not answer.
    Unknown,
}

/// Why a tick does nothing for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeferReason {
    /// A witness did not answer.
    Unknown,
    /// The incarnation has just been started.
    Settling,
    /// The agent showed a sign of life a moment ago.
    Busy,
    /// Most of the fleet seems to be gone at once, so the next tick has to confirm it.
    MassAbsence,
}

/// What a tick does about a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Check idleness, memory and heartbeats of the running agent.
    Watch,
    /// Do nothing this tick.
    Defer(DeferReason),
    /// Probe again after [`CONFIRM_AFTER`], and judge with `confirmed`.
    ProbeAgain,
    /// Record the end and clear the rest of the session.
    End,
    /// End the agent with the signal ladder, then record the end.
    EndOrphan,
    /// The server is gone. End the agent with the signal ladder if it survived, then record the end. This does not
    /// count as a death.
    EndLost {
        /// Whether the agent still exists.
        survivor: bool,
    },
}

impl Action {
    /// Whether this action ends an incarnation.
    pub const fn ends(self) -> bool {
        matches!(self, Self::End | Self::EndOrphan | Self::EndLost { .. })
    }
}

/// A verdict and the action that follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What the axes say.
    pub verdict: Verdict,
    /// The action to take.
    pub action: Action,
    /// Whether the end is recorded.
    pub reported: bool,
}

/// Judges one incarnation.
pub fn judge(facts: &VerdictFacts) -> Judgement {
    let verdict = verdict(facts);
    Judgement { verdict, action: action(verdict, facts), reported: facts.end_recorded }
}

/// The table in section 4 of the contract. If the session is gone and the process is unknown, the verdict is unknown
/// too.
fn verdict(facts: &VerdictFacts) -> Verdict {
    match (&facts.runtime, &facts.process) {
        (RuntimeSeen::Unknown(_), _) | (RuntimeSeen::Session | RuntimeSeen::NoSession, Axis::Unknown(_)) => {
            Verdict::Unknown
        }
        (RuntimeSeen::ServerGone, _) => Verdict::RuntimeLost,
        (RuntimeSeen::Session, Axis::Alive) => Verdict::Healthy,
        (RuntimeSeen::Session, Axis::Dead) if facts.end_recorded => Verdict::Ended,
        (RuntimeSeen::Session, Axis::Dead) => Verdict::AgentGone,
        (RuntimeSeen::NoSession, Axis::Dead) => Verdict::Gone,
        (RuntimeSeen::NoSession, Axis::Alive) => Verdict::Orphan,
    }
}

fn action(verdict: Verdict, facts: &VerdictFacts) -> Action {
    match verdict {
        Verdict::Healthy => Action::Watch,
        Verdict::Unknown => Action::Defer(DeferReason::Unknown),
        Verdict::Ended => Action::End,
        Verdict::AgentGone | Verdict::Gone if facts.end_recorded => Action::End,
        Verdict::AgentGone | Verdict::Gone => unreported(facts, Action::End),
        Verdict::Orphan => unreported(facts, Action::EndOrphan),
        // Ending a survivor takes a signal, and a process that may not exist is not signalled.
        Verdict::RuntimeLost => match facts.process.alive() {
            Some(survivor) => Action::EndLost { survivor },
            None => Action::Defer(DeferReason::Unknown),
        },
    }
}

/// Returns `then` once an unreported absence is confirmed.
///
/// An orphan's own signs of life do not defer it. They show that the agent is alive, which is known, and nothing about
/// its session. Otherwise an orphan that keeps sending heartbeats would never be ended.
fn unreported(facts: &VerdictFacts, then: Action) -> Action {
    let sign_of_life = facts.quiet_for.is_some_and(|quiet| quiet < BUSY_WITHIN) && facts.process != Axis::Alive;
    if facts.age < SETTLE {
        Action::Defer(DeferReason::Settling)
    } else if sign_of_life {
        Action::Defer(DeferReason::Busy)
    } else if facts.confirmed {
        then
    } else {
        Action::ProbeAgain
    }
}

/// Defers ends that need a second opinion because one tick would end most of the fleet, and returns the peers
/// concerned.
///
/// `judged` holds every incarnation that this tick probed, and `waiting` what the previous tick returned. Ends that the
/// previous tick deferred and this tick finds again are carried out. A peer whose witness did not answer does not count
/// as probed, because it is not evidence that the fleet is alive.
pub fn defer_mass_absence<K: Ord + Clone>(judged: &mut BTreeMap<K, Judgement>, waiting: &BTreeSet<K>) -> BTreeSet<K> {
    let unreported = |judgement: &Judgement| judgement.action.ends() && !judgement.reported;
    let probed = judged.values().filter(|judgement| judgement.verdict != Verdict::Unknown).count();
    let ending = judged.values().filter(|judgement| unreported(judgement)).count();
    if ending < MASS_ABSENCE_MIN || ending * 2 <= probed {
        return BTreeSet::new();
    }
    let mut held = BTreeSet::new();
    for (peer, judgement) in judged.iter_mut() {
        if unreported(judgement) && !waiting.contains(peer) {
            judgement.action = Action::Defer(DeferReason::MassAbsence);
            held.insert(peer.clone());
        }
    }
    held
}

#[cfg(test)]
mod tests;
