//! Two axes, one verdict, and what follows from it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::axis::Axis;

/// An absence that nobody reported is probed again after this time (500 ms): long enough for a runtime that renames or
/// re-attaches, short enough that a tick over a dozen such peers stays within its budget.
pub const CONFIRM_AFTER: Duration = Duration::from_millis(500);

/// No unreported absence is believed within this time of the start (30 s). Shorter and an agent that replaces itself
/// while it starts (a launcher, an updater) is buried alive; longer and a real early death is noticed late.
pub const SETTLE: Duration = Duration::from_secs(30);

/// Output or a beat this recent (15 s) contradicts an absence. Shorter and a busy agent's pause between two lines ends
/// it; longer and a death right after output waits for a tick more.
pub const BUSY_WITHIN: Duration = Duration::from_secs(15);

/// So many unreported ends in one tick (5), if they are most of the fleet, wait for a second opinion. Fewer and every
/// second coincidence waits; more and a small fleet is buried by one wrong listing.
pub const MASS_LEAST: usize = 5;

/// What the runtime said about a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuntimeSeen {
    /// The session is listed.
    Session,
    /// The server answered, and the session is not there.
    NoSession,
    /// There is no server: no socket, or nobody listening on it. Nothing else means this.
    ServerGone,
    /// It did not answer, or could not be asked; why.
    Unknown(String),
}

impl RuntimeSeen {
    /// The runtime axis.
    pub fn axis(&self) -> Axis {
        match self {
            Self::Session => Axis::Alive,
            Self::NoSession | Self::ServerGone => Axis::Dead,
            Self::Unknown(why) => Axis::Unknown(why.clone()),
        }
    }
}

/// Everything by which an incarnation on record is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerdictFacts {
    /// What the runtime said.
    pub runtime: RuntimeSeen,
    /// What the kernel said about its pid and start time.
    pub process: Axis,
    /// Whether its end is on record, or certain because the machine was restarted since.
    pub end_recorded: bool,
    /// Time since its start.
    pub age: Duration,
    /// Time since its last output or beat; `None` when there was none.
    pub quiet_for: Option<Duration>,
    /// Whether these facts are those of a second look, [`CONFIRM_AFTER`] after a first that said the same.
    pub confirmed: bool,
}

/// What the two axes say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Session and agent are there.
    Healthy,
    /// The agent's end is on record.
    Ended,
    /// The session is there, the agent is not, and nobody said so.
    AgentGone,
    /// Neither is there.
    Gone,
    /// The agent is there and its session is not.
    Orphan,
    /// The server of its session is gone.
    RuntimeLost,
    /// A witness did not answer.
    Unknown,
}

/// Why nothing is done for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldReason {
    /// A witness did not answer.
    Unknown,
    /// It has just been started.
    Settling,
    /// It showed a sign of life a moment ago.
    Busy,
    /// Most of the fleet seems gone at once: the next tick has to agree.
    MassAbsence,
}

/// What follows from a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It lives: look at idleness, memory and beats.
    Watch,
    /// Do nothing this tick.
    Hold(HoldReason),
    /// Look again after [`CONFIRM_AFTER`], and judge with `confirmed`.
    ProbeAgain,
    /// Record its end and clear what is left of the session.
    End,
    /// End the agent with the ladder, then record the end.
    EndOrphan,
    /// Its server is gone: end the agent with the ladder if it survived, then record the end. No death is counted.
    EndLost {
        /// Whether the agent is still there.
        survivor: bool,
    },
}

impl Action {
    /// Whether it ends an incarnation.
    pub const fn ends(self) -> bool {
        matches!(self, Self::End | Self::EndOrphan | Self::EndLost { .. })
    }
}

/// A verdict with what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What the axes say.
    pub verdict: Verdict,
    /// What follows.
    pub action: Action,
    /// Whether somebody reported the end.
    pub reported: bool,
}

/// Judges one incarnation.
pub fn judge(facts: &VerdictFacts) -> Judgement {
    let verdict = verdict(facts);
    Judgement { verdict, action: action(verdict, facts), reported: facts.end_recorded }
}

/// The table of the contract's section 4. An unknown process under a session that is gone is unknown as well.
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
        Verdict::Unknown => Action::Hold(HoldReason::Unknown),
        Verdict::Ended => Action::End,
        Verdict::AgentGone | Verdict::Gone if facts.end_recorded => Action::End,
        Verdict::AgentGone | Verdict::Gone => unreported(facts, Action::End),
        Verdict::Orphan => unreported(facts, Action::EndOrphan),
        // Ending a survivor takes a signal, and what may not be there is not signalled.
        Verdict::RuntimeLost => match facts.process.alive() {
            Some(survivor) => Action::EndLost { survivor },
            None => Action::Hold(HoldReason::Unknown),
        },
    }
}

/// `then`, once an absence that nobody reported is confirmed.
///
/// An orphan's own signs of life do not hold it: they say that the agent lives, which is known, and nothing about its
/// session. Else an orphan that goes on beating would never be ended.
fn unreported(facts: &VerdictFacts, then: Action) -> Action {
    let sign_of_life = facts.quiet_for.is_some_and(|quiet| quiet < BUSY_WITHIN) && facts.process != Axis::Alive;
    if facts.age < SETTLE {
        Action::Hold(HoldReason::Settling)
    } else if sign_of_life {
        Action::Hold(HoldReason::Busy)
    } else if facts.confirmed {
        then
    } else {
        Action::ProbeAgain
    }
}

/// Asks for a second opinion where one tick would end most of the fleet, and returns whose end waits for it.
///
/// `judged` holds every incarnation that this tick probed, `waiting` what the tick before returned: the ends that it
/// held back and that this tick finds again are carried out. A peer whose witness did not answer is not counted as
/// probed, since it says nothing for the fleet's being there.
pub fn second_opinion<K: Ord + Clone>(judged: &mut BTreeMap<K, Judgement>, waiting: &BTreeSet<K>) -> BTreeSet<K> {
    let unreported = |judgement: &Judgement| judgement.action.ends() && !judgement.reported;
    let probed = judged.values().filter(|judgement| judgement.verdict != Verdict::Unknown).count();
    let ending = judged.values().filter(|judgement| unreported(judgement)).count();
    if ending < MASS_LEAST || ending * 2 <= probed {
        return BTreeSet::new();
    }
    let mut held = BTreeSet::new();
    for (peer, judgement) in judged.iter_mut() {
        if unreported(judgement) && !waiting.contains(peer) {
            judgement.action = Action::Hold(HoldReason::MassAbsence);
            held.insert(peer.clone());
        }
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long settled, silent, never probed before.
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

    const UNKNOWN: (Verdict, Action) = (Verdict::Unknown, Action::Hold(HoldReason::Unknown));

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
        assert_eq!(unsure, (Verdict::RuntimeLost, Action::Hold(HoldReason::Unknown)));
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
            assert_eq!(at(29), Action::Hold(HoldReason::Settling));
            assert!(at(30).ends());
        }
    }

    #[test]
    fn busy_output_or_a_beat_in_the_last_15_s_contradicts_an_absence() {
        let base = VerdictFacts { confirmed: true, ..facts(RuntimeSeen::Session, Axis::Dead) };
        let quiet =
            |seconds| judge(&VerdictFacts { quiet_for: Some(Duration::from_secs(seconds)), ..base.clone() }).action;
        assert_eq!(quiet(14), Action::Hold(HoldReason::Busy));
        assert_eq!(quiet(15), Action::End);
    }

    /// A fleet of `ending` peers that end with `action` and `healthy` ones, with whether the ends were reported.
    fn fleet(ending: usize, action: Action, reported: bool, healthy: usize) -> BTreeMap<usize, Judgement> {
        let end = Judgement { verdict: Verdict::Gone, action, reported };
        let live = Judgement { verdict: Verdict::Healthy, action: Action::Watch, reported: false };
        (0..ending).map(|n| (n, end)).chain((ending..ending + healthy).map(|n| (n, live))).collect()
    }

    fn held(fleet: &mut BTreeMap<usize, Judgement>) -> usize {
        second_opinion(fleet, &BTreeSet::new()).len()
    }

    #[test]
    fn a_whole_fleet_that_vanishes_in_one_tick_waits_for_a_second_opinion() {
        let mut first = fleet(6, Action::End, false, 1);
        let waiting = second_opinion(&mut first, &BTreeSet::new());
        assert_eq!(waiting.len(), 6);
        assert!(first.values().all(|judgement| !judgement.action.ends()));

        let mut second = fleet(6, Action::End, false, 1);
        assert!(second_opinion(&mut second, &waiting).is_empty());
        assert_eq!(second.values().filter(|judgement| judgement.action.ends()).count(), 6);
    }

    #[test]
    fn an_end_that_only_the_second_tick_sees_waits_for_a_third() {
        let waiting: BTreeSet<usize> = (0..5).collect();
        let mut second = fleet(6, Action::End, false, 0);
        assert_eq!(second_opinion(&mut second, &waiting), BTreeSet::from([5]));
        assert_eq!(second[&0].action, Action::End);
        assert_eq!(second[&5].action, Action::Hold(HoldReason::MassAbsence));
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
        let mute = Judgement { verdict: Verdict::Unknown, action: Action::Hold(HoldReason::Unknown), reported: false };
        fleet.extend((100..120).map(|n| (n, mute)));
        assert_eq!(held(&mut fleet), 5);
    }
}
