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

impl RuntimeSeen {
    /// Returns the runtime axis.
    pub fn axis(&self) -> Axis {
        match self {
            Self::Session => Axis::Alive,
            Self::NoSession | Self::ServerGone => Axis::Dead,
            Self::Unknown(why) => Axis::Unknown(why.clone()),
        }
    }
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
mod tests {
    use super::*;

    /// Facts of an incarnation that has settled, is silent and was not probed before.
    fn facts(runtime: RuntimeSeen, process: Axis) -> VerdictFacts {
        let age = Duration::from_secs(3600);
        VerdictFacts { runtime, process, end_recorded: false, age, quiet_for: None, confirmed: false }
    }

    fn late() -> Axis {
        Axis::Unknown("timed out after 2 s".to_owned())
    }

    fn mute() -> RuntimeSeen {
        RuntimeSeen::Unknown("timed out after 2 s".to_owned())
    }

    fn judged(facts: &VerdictFacts) -> (Verdict, Action) {
        let judgement = judge(facts);
        (judgement.verdict, judgement.action)
    }

    const UNKNOWN: (Verdict, Action) = (Verdict::Unknown, Action::Defer(DeferReason::Unknown));

    #[test]
    fn alive_alive_is_healthy() {
        assert_eq!(judged(&facts(RuntimeSeen::Session, Axis::Alive)), (Verdict::Healthy, Action::Watch));
    }

    #[test]
    fn alive_dead_with_an_end_record_is_ended_at_once() {
        let age = Duration::ZERO;
        let facts = VerdictFacts { end_recorded: true, age, ..facts(RuntimeSeen::Session, Axis::Dead) };
        assert_eq!(judged(&facts), (Verdict::Ended, Action::End));
    }

    #[test]
    fn alive_dead_without_a_record_is_agent_gone_and_confirmed_first() {
        let first = facts(RuntimeSeen::Session, Axis::Dead);
        assert_eq!(judged(&first), (Verdict::AgentGone, Action::ProbeAgain));
        assert_eq!(judged(&VerdictFacts { confirmed: true, ..first }), (Verdict::AgentGone, Action::End));
    }

    #[test]
    fn dead_dead_with_its_server_up_is_gone_and_confirmed_unless_recorded() {
        let first = facts(RuntimeSeen::NoSession, Axis::Dead);
        assert_eq!(judged(&first), (Verdict::Gone, Action::ProbeAgain));
        assert_eq!(judged(&VerdictFacts { confirmed: true, ..first.clone() }), (Verdict::Gone, Action::End));
        assert_eq!(judged(&VerdictFacts { end_recorded: true, ..first }), (Verdict::Gone, Action::End));
    }

    #[test]
    fn dead_alive_with_its_server_up_is_an_orphan_and_confirmed_first() {
        let first = facts(RuntimeSeen::NoSession, Axis::Alive);
        assert_eq!(judged(&first), (Verdict::Orphan, Action::ProbeAgain));
        assert_eq!(judged(&VerdictFacts { confirmed: true, ..first }), (Verdict::Orphan, Action::EndOrphan));
    }

    #[test]
    fn an_orphan_that_goes_on_beating_is_ended_all_the_same() {
        let quiet_for = Some(Duration::from_secs(1));
        let facts = VerdictFacts { quiet_for, confirmed: true, ..facts(RuntimeSeen::NoSession, Axis::Alive) };
        assert_eq!(judged(&facts), (Verdict::Orphan, Action::EndOrphan));
    }

    #[test]
    fn server_gone_is_runtime_lost_and_survivors_are_ended() {
        for (process, survivor) in [(Axis::Alive, true), (Axis::Dead, false)] {
            let facts = facts(RuntimeSeen::ServerGone, process);
            assert_eq!(judged(&facts), (Verdict::RuntimeLost, Action::EndLost { survivor }));
        }
        let unsure = judged(&facts(RuntimeSeen::ServerGone, late()));
        assert_eq!(unsure, (Verdict::RuntimeLost, Action::Defer(DeferReason::Unknown)));
    }

    #[test]
    fn unknown_on_either_axis_holds_whatever_else_is_known() {
        let mut unknown: Vec<_> = [Axis::Alive, Axis::Dead, late()].map(|axis| facts(mute(), axis)).into();
        unknown.push(facts(RuntimeSeen::Session, late()));
        unknown.push(facts(RuntimeSeen::NoSession, late()));
        for facts in unknown {
            for end_recorded in [false, true] {
                let facts = VerdictFacts { end_recorded, confirmed: true, ..facts.clone() };
                assert_eq!(judged(&facts), UNKNOWN, "{facts:?}");
            }
        }
    }

    #[test]
    fn settle_no_unreported_absence_is_believed_within_30_s() {
        for (runtime, process) in [(RuntimeSeen::Session, Axis::Dead), (RuntimeSeen::NoSession, Axis::Alive)] {
            let young = VerdictFacts { confirmed: true, ..facts(runtime, process) };
            let at = |seconds| judge(&VerdictFacts { age: Duration::from_secs(seconds), ..young.clone() }).action;
            assert_eq!(at(29), Action::Defer(DeferReason::Settling));
            assert!(at(30).ends());
        }
    }

    #[test]
    fn busy_output_or_a_beat_in_the_last_15_s_contradicts_an_absence() {
        let base = VerdictFacts { confirmed: true, ..facts(RuntimeSeen::Session, Axis::Dead) };
        let quiet =
            |seconds| judge(&VerdictFacts { quiet_for: Some(Duration::from_secs(seconds)), ..base.clone() }).action;
        assert_eq!(quiet(14), Action::Defer(DeferReason::Busy));
        assert_eq!(quiet(15), Action::End);
    }

    /// A fleet of `ending` peers that end with `action` and `healthy` healthy ones; `reported` applies to the ends.
    fn fleet(ending: usize, action: Action, reported: bool, healthy: usize) -> BTreeMap<usize, Judgement> {
        let end = Judgement { verdict: Verdict::Gone, action, reported };
        let live = Judgement { verdict: Verdict::Healthy, action: Action::Watch, reported: false };
        (0..ending).map(|n| (n, end)).chain((ending..ending + healthy).map(|n| (n, live))).collect()
    }

    fn held(fleet: &mut BTreeMap<usize, Judgement>) -> usize {
        defer_mass_absence(fleet, &BTreeSet::new()).len()
    }

    #[test]
    fn a_whole_fleet_that_vanishes_in_one_tick_waits_for_a_second_opinion() {
        let mut first = fleet(6, Action::End, false, 1);
        let waiting = defer_mass_absence(&mut first, &BTreeSet::new());
        assert_eq!(waiting.len(), 6);
        assert!(first.values().all(|judgement| !judgement.action.ends()));

        let mut second = fleet(6, Action::End, false, 1);
        assert!(defer_mass_absence(&mut second, &waiting).is_empty());
        assert_eq!(second.values().filter(|judgement| judgement.action.ends()).count(), 6);
    }

    #[test]
    fn an_end_that_only_the_second_tick_sees_waits_for_a_third() {
        let waiting: BTreeSet<usize> = (0..5).collect();
        let mut second = fleet(6, Action::End, false, 0);
        assert_eq!(defer_mass_absence(&mut second, &waiting), BTreeSet::from([5]));
        assert_eq!(second[&0].action, Action::End);
        assert_eq!(second[&5].action, Action::Defer(DeferReason::MassAbsence));
    }

    #[test]
    fn few_ends_or_no_more_than_half_or_reported_ones_are_carried_out() {
        assert_eq!(held(&mut fleet(4, Action::End, false, 0)), 0);
        assert_eq!(held(&mut fleet(5, Action::End, false, 5)), 0);
        assert_eq!(held(&mut fleet(5, Action::End, false, 4)), 5);
        assert_eq!(held(&mut fleet(9, Action::End, true, 0)), 0);
        assert_eq!(held(&mut fleet(9, Action::EndLost { survivor: true }, false, 0)), 9);
    }

    #[test]
    fn witnesses_that_do_not_answer_do_not_make_a_fleet_look_larger() {
        let mut fleet = fleet(5, Action::End, false, 0);
        let mute =
            Judgement { verdict: Verdict::Unknown, action: Action::Defer(DeferReason::Unknown), reported: false };
        fleet.extend((100..120).map(|n| (n, mute)));
        assert_eq!(held(&mut fleet), 5);
    }
}
