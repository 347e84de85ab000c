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
    let quiet = |seconds| judge(&VerdictFacts { quiet_for: Some(Duration::from_secs(seconds)), ..base.clone() }).action;
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
    let mute = Judgement { verdict: Verdict::Unknown, action: Action::Defer(DeferReason::Unknown), reported: false };
    fleet.extend((100..120).map(|n| (n, mute)));
    assert_eq!(held(&mut fleet), 5);
}
