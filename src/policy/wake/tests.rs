//! One test per row, some stories of several wakes, and properties that hold for every input.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::policy::ending::{EndReport, Incarnation, Reached};

const NOW: Timestamp = Timestamp::from_ms(1_795_305_600_000);

fn ago(seconds: u64) -> Timestamp {
    Timestamp::from_ms(NOW.as_ms() - seconds * 1000)
}

/// A healthy executor that was parked a minute ago and has a conversation: row 21 decides.
fn parked() -> WakeFacts {
    WakeFacts {
        managed_by: None,
        stopped: false,
        live: RecordedState::None,
        markers: Markers { idle_reaped: true, ..Markers::default() },
        last_end: Some(end(EndCause::IdleReaped, 60, None)),
        deaths: Deaths::default(),
        max_restarts: 20,
        context_policy: ContextPolicy::Executor,
        topics: vec!["invoices".to_owned()],
        conversation: Some("conv-1".to_owned()),
        now_in: None,
        is_untouched: false,
        resume_without_topic: true,
        ever_ran: true,
    }
}

fn end(cause: EndCause, seconds_ago: u64, previous: Option<&End>) -> End {
    end_of(Reached::Ready, cause, seconds_ago, previous)
}

fn end_of(reached: Reached, cause: EndCause, seconds_ago: u64, previous: Option<&End>) -> End {
    let report = EndReport {
        incarnation: Incarnation(7),
        cause,
        at: ago(seconds_ago),
        exit: None,
        uptime: Duration::from_secs(5),
        max_rss_kib: None,
        reached,
    };
    End::new(report, previous)
}

/// The facts after the recorded incarnation, which was ready, has ended.
fn assume_ended(facts: &WakeFacts, cause: EndCause, at: Timestamp) -> WakeFacts {
    let mut after = facts.clone();
    after.live = RecordedState::None;
    after.last_end = Some(end(cause, NOW.since(at).as_secs(), facts.last_end.as_ref()));
    // This number is larger than any in the ring, so the death is counted.
    after.deaths.record(cause, Incarnation(u64::MAX), at);
    after.ever_ran = true;
    after
}

fn ended(cause: EndCause) -> WakeFacts {
    WakeFacts { last_end: Some(end(cause, 60, None)), markers: Markers::default(), ..parked() }
}

fn session(runtime: Axis, process: Axis) -> WakeFacts {
    WakeFacts { live: RecordedState::Session { runtime, process }, ..parked() }
}

fn deaths(seconds_ago: &[u64]) -> Deaths {
    let mut deaths = Deaths::default();
    for (number, &seconds) in seconds_ago.iter().enumerate() {
        assert!(deaths.record(EndCause::Crashed, Incarnation(number as u64), ago(seconds)));
    }
    deaths
}

fn plain() -> WakeRequest {
    WakeRequest::default()
}

fn asking(mode: Mode) -> WakeRequest {
    WakeRequest { mode, ..plain() }
}

fn about(topic: &str) -> WakeRequest {
    WakeRequest { topic: Some(topic.to_owned()), ..plain() }
}

/// Formats as `mode cause`, as in the log: `fresh crashed`, `resume idle-reaped`, `refuse stopped`.
fn said(facts: &WakeFacts, request: &WakeRequest) -> String {
    match decide(facts, request, NOW) {
        WakeDecision::Refuse(refusal) => format!("refuse {}", refusal.cause()),
        WakeDecision::Fresh { cause } => format!("fresh {cause}"),
        WakeDecision::Resume { conversation, cause } => {
            assert_eq!(Some(conversation), facts.conversation);
            format!("resume {cause}")
        }
        other => format!("{other:?}"),
    }
}

/// Returns the number of the row that decides.
fn row(facts: &WakeFacts, request: &WakeRequest) -> u8 {
    explain(facts, request, NOW).iter().find(|reading| reading.decides).map_or(0, |reading| reading.row)
}

#[track_caller]
fn assert_row(number: u8, expected: &str, facts: &WakeFacts, request: &WakeRequest) {
    assert_eq!((row(facts, request), said(facts, request).as_str()), (number, expected));
}

#[test]
fn row_1_is_listed_and_never_holds_for_a_peer_that_exists() {
    let readings = explain(&parked(), &plain(), NOW);
    assert_eq!(readings.iter().map(|reading| reading.row).collect::<Vec<_>>(), (1..=21).collect::<Vec<_>>());
    assert!(!readings[0].holds);
}

#[test]
fn row_2_managed_elsewhere_comes_before_everything() {
    let facts = WakeFacts { managed_by: Some("worker.service".to_owned()), stopped: true, ..parked() };
    assert_row(2, "refuse managed-elsewhere", &facts, &plain());
    assert_row(2, "refuse managed-elsewhere", &facts, &WakeRequest { force: true, ..asking(Mode::Fresh) });
}

#[test]
fn row_3_stopped_refuses_even_force() {
    let facts = WakeFacts { stopped: true, ..parked() };
    assert_row(3, "refuse stopped", &facts, &plain());
    assert_row(3, "refuse stopped", &facts, &WakeRequest { force: true, ..asking(Mode::Fresh) });
}

#[test]
fn row_4_an_unknown_axis_never_starts_a_second_one() {
    let late = || Axis::Unknown("tmux did not answer within 2 s".to_owned());
    for runtime in [Axis::Alive, Axis::Dead, late()] {
        assert_row(4, "refuse runtime-unavailable", &session(runtime, late()), &plain());
    }
    for process in [Axis::Alive, Axis::Dead] {
        let facts = session(late(), process);
        assert_row(4, "refuse runtime-unavailable", &facts, &WakeRequest { force: true, ..asking(Mode::Fresh) });
    }
    let WakeDecision::Refuse(refusal) = decide(&session(late(), Axis::Dead), &plain(), NOW) else { panic!("refused") };
    let told = "its state is unknown (runtime axis): tmux did not answer within 2 s";
    assert_eq!(refusal.to_string(), told);
}

#[test]
fn row_5_alive_on_both_axes_is_already_awake_unless_another_conversation_is_asked_for() {
    for mode in [Mode::Auto, Mode::Resume] {
        assert_row(5, "AlreadyAwake", &session(Axis::Alive, Axis::Alive), &asking(mode));
    }
}

#[test]
fn row_5_the_second_sender_waits_for_the_first_ones_start() {
    assert_row(
        5,
        "StillStarting",
        &WakeFacts { live: RecordedState::Starting { is_watched: true }, ..parked() },
        &plain(),
    );
}

#[test]
fn row_6_an_orphan_is_ended_first() {
    assert_row(6, "EndOrphan", &session(Axis::Dead, Axis::Alive), &plain());
}

#[test]
fn row_7_what_is_left_of_a_session_is_recorded_first() {
    assert_row(7, "RecordEnd", &session(Axis::Alive, Axis::Dead), &plain());
    assert_row(7, "RecordEnd", &session(Axis::Dead, Axis::Dead), &plain());
}

#[test]
fn row_7_what_follows_can_be_said_without_doing_it() {
    let before = session(Axis::Alive, Axis::Dead);
    assert_row(16, "fresh killed", &assume_ended(&before, EndCause::Killed, NOW), &plain());
    assert_row(17, "resume runtime-lost", &assume_ended(&before, EndCause::RuntimeLost, NOW), &plain());
}

#[test]
fn row_7_the_death_that_follows_can_close_the_guard() {
    let before = WakeFacts { deaths: deaths(&[200, 100]), ..session(Axis::Alive, Axis::Dead) };
    assert_row(9, "refuse crash-loop", &assume_ended(&before, EndCause::Killed, NOW), &plain());
}

#[test]
fn row_8_failed_refuses_until_a_reset() {
    let many: Vec<u64> = (0..20).map(|n| 90_000 - n * 4_000).collect();
    let facts = WakeFacts { deaths: deaths(&many), ..ended(EndCause::Crashed) };
    assert_row(8, "refuse failed", &facts, &plain());
    assert_row(8, "refuse failed", &facts, &asking(Mode::Fresh));
    assert_row(16, "fresh crashed", &WakeFacts { max_restarts: 0, ..facts.clone() }, &plain());
    assert_row(16, "fresh crashed", &WakeFacts { deaths: Deaths::default(), ..facts }, &plain());
}

#[test]
fn row_9_a_crash_loop_refuses_and_says_when_to_retry() {
    let facts = WakeFacts { deaths: deaths(&[250, 100, 10]), ..ended(EndCause::Crashed) };
    assert_row(9, "refuse crash-loop", &facts, &plain());
    let refusal = Refusal::CrashLoop { deaths: 3, retry_after: Duration::from_secs(50) };
    assert_eq!(refusal.to_string(), "crash loop: 3 deaths within 300 s; retry in 50 s");
    assert_eq!(decide(&facts, &plain(), NOW), WakeDecision::Refuse(refusal));
    assert_eq!(
        decide(&facts, &plain(), NOW.after(Duration::from_secs(50))),
        Case::fresh(WakeReason::Ended(EndCause::Crashed))
    );
}

#[test]
fn row_9_an_operators_forced_fresh_start_is_always_obeyed() {
    let forced = WakeRequest { force: true, ..asking(Mode::Fresh) };
    let looping = WakeFacts { deaths: deaths(&[250, 100, 10]), ..ended(EndCause::Crashed) };
    assert_row(10, "fresh asked-fresh", &looping, &forced);
    let failed = WakeFacts { max_restarts: 3, ..looping.clone() };
    assert_row(10, "fresh asked-fresh", &failed, &forced);
    assert_row(9, "refuse crash-loop", &looping, &asking(Mode::Fresh));
    assert_row(9, "refuse crash-loop", &looping, &WakeRequest { force: true, ..asking(Mode::Resume) });
    assert_row(9, "refuse crash-loop", &looping, &WakeRequest { force: true, ..plain() });
}

#[test]
fn row_10_fresh_when_asked() {
    assert_row(10, "fresh asked-fresh", &parked(), &asking(Mode::Fresh));
}

#[test]
fn row_11_self_fresh_comes_before_a_resume_that_is_asked_for() {
    let markers = Markers { self_fresh_requested: true, ..Markers::default() };
    let facts = WakeFacts { markers, ..parked() };
    assert_row(11, "fresh self-fresh", &facts, &plain());
    assert_row(11, "fresh self-fresh", &facts, &asking(Mode::Resume));
    assert_row(10, "fresh asked-fresh", &facts, &asking(Mode::Fresh));
}

#[test]
fn row_12_resumes_what_no_other_row_would() {
    for cause in [EndCause::Crashed, EndCause::Completed, EndCause::IdleReaped] {
        assert_row(12, "resume asked-resume", &ended(cause), &asking(Mode::Resume));
    }
    let markers = Markers { fresh_next: true, ..Markers::default() };
    assert_row(12, "resume asked-resume", &WakeFacts { markers, ..parked() }, &asking(Mode::Resume));
}

#[test]
fn row_12_is_never_a_silent_fresh() {
    let facts = WakeFacts { conversation: None, ..parked() };
    assert_row(12, "refuse nothing-to-resume", &facts, &asking(Mode::Resume));
    let never = WakeFacts { ever_ran: false, last_end: None, markers: Markers::default(), ..facts };
    assert_row(12, "refuse nothing-to-resume", &never, &asking(Mode::Resume));
}

fn asking_for(conversation: &str) -> WakeRequest {
    WakeRequest { conversation: Some(conversation.to_owned()), ..asking(Mode::Resume) }
}

#[test]
fn row_10_resumes_the_conversation_that_is_asked_for_whatever_came_before() {
    for cause in [EndCause::Crashed, EndCause::Completed, EndCause::IdleReaped] {
        assert_row(10, "resume asked-conversation", &ended(cause), &asking_for("conv-1"));
    }
    let markers = Markers { self_fresh_requested: true, fresh_next: true, ..Markers::default() };
    assert_row(10, "resume asked-conversation", &WakeFacts { markers, ..parked() }, &asking_for("conv-1"));
    // Never another one in its place, and never a silent fresh.
    let gone = WakeFacts { conversation: None, ..parked() };
    assert_row(10, "refuse conversation-gone", &gone, &asking_for("conv-1"));
    assert_row(10, "refuse conversation-gone", &parked(), &asking_for("conv-2"));
}

#[test]
fn row_5_refuses_another_conversation_than_the_one_that_it_is_awake_in() {
    let awake =
        |now_in: Option<&str>| WakeFacts { now_in: now_in.map(str::to_owned), ..session(Axis::Alive, Axis::Alive) };
    assert_row(5, "AlreadyAwake", &awake(Some("conv-1")), &asking_for("conv-1"));
    for now_in in [Some("conv-2"), None] {
        assert_row(5, "refuse in-another-conversation", &awake(now_in), &asking_for("conv-1"));
        let starting = WakeFacts { live: RecordedState::Starting { is_watched: true }, ..awake(now_in) };
        assert_row(5, "refuse in-another-conversation", &starting, &asking_for("conv-1"));
    }
}

#[test]
fn row_5_refuses_a_new_conversation_while_it_is_awake_in_one_that_is_not() {
    let fresh = asking(Mode::Fresh);
    let starting = WakeFacts { live: RecordedState::Starting { is_watched: true }, ..parked() };
    for (facts, up) in [(session(Axis::Alive, Axis::Alive), "AlreadyAwake"), (starting, "StillStarting")] {
        let untouched = WakeFacts { is_untouched: true, ..facts.clone() };
        assert_row(5, "refuse in-another-conversation", &facts, &fresh);
        assert_row(5, "refuse in-another-conversation", &facts, &WakeRequest { force: true, ..fresh.clone() });
        assert_row(5, up, &untouched, &fresh);
        // What `peer new` finds has begun after it has ended what was there.
        assert_row(5, up, &facts, &WakeRequest { has_ended_it: true, ..fresh.clone() });
        assert_row(5, up, &facts, &plain());
    }
}

#[test]
fn row_12_resumes_what_a_person_gave_it() {
    let markers = Markers { adopted: true, ..Markers::default() };
    let never = WakeFacts { ever_ran: false, last_end: None, markers, ..parked() };
    assert_row(12, "resume adopted", &never, &plain());
    let crashed = WakeFacts { markers, ..ended(EndCause::Crashed) };
    assert_row(12, "resume adopted", &crashed, &plain());
    assert_row(12, "resume asked-resume", &crashed, &asking(Mode::Resume));
    assert_row(10, "fresh asked-fresh", &crashed, &asking(Mode::Fresh));
    assert_row(12, "fresh adopted-no-conversation", &WakeFacts { conversation: None, ..crashed }, &plain());
}

#[test]
fn row_13_refresh_at_the_next_natural_wake() {
    let markers = Markers { fresh_next: true, idle_reaped: true, ..Markers::default() };
    assert_row(13, "fresh refresh", &WakeFacts { markers, ..parked() }, &plain());
}

#[test]
fn row_14_the_first_wake_is_fresh() {
    let facts = WakeFacts { ever_ran: false, last_end: None, markers: Markers::default(), ..parked() };
    assert_row(14, "fresh first-wake", &facts, &plain());
}

#[test]
fn row_15_ephemeral_is_fresh_even_when_parked() {
    assert_row(15, "fresh ephemeral", &WakeFacts { context_policy: ContextPolicy::Ephemeral, ..parked() }, &plain());
}

#[test]
fn row_16_a_broken_or_finished_context_is_not_revived() {
    use EndCause::{Completed, CompletedEarly, Crashed, Killed, Replaced, SelfFresh, Unresponsive, Vanished};
    for cause in [CompletedEarly, Crashed, Killed, Vanished, Unresponsive, Completed, Replaced, SelfFresh] {
        assert_row(16, &format!("fresh {cause}"), &ended(cause), &plain());
    }
}

#[test]
fn row_16_a_spawn_that_failed_leaves_the_decision_as_it_was() {
    for (before, number, expected) in [
        (EndCause::IdleReaped, 21, "resume idle-reaped"),
        (EndCause::RuntimeLost, 17, "resume runtime-lost"),
        (EndCause::Crashed, 16, "fresh crashed"),
    ] {
        let first = end_of(Reached::Resume, EndCause::SpawnFailed, 40, Some(&end(before, 60, None)));
        let second = end_of(Reached::Resume, EndCause::SpawnFailed, 20, Some(&first));
        assert_row(number, expected, &WakeFacts { last_end: Some(second), ..parked() }, &plain());
    }
    let spawn = end_of(Reached::FreshStart, EndCause::SpawnFailed, 60, None);
    let never = WakeFacts { ever_ran: false, last_end: Some(spawn), ..ended(EndCause::SpawnFailed) };
    assert_row(14, "fresh first-wake", &never, &plain());
}

#[test]
fn three_broken_boots_after_a_park_leave_the_park() {
    let park = end(EndCause::IdleReaped, 600, None);
    let first = end_of(Reached::Resume, EndCause::Crashed, 40, Some(&park));
    let second = end_of(Reached::Resume, EndCause::SpawnFailed, 30, Some(&first));
    let third = end_of(Reached::Resume, EndCause::CompletedEarly, 20, Some(&second));
    assert_eq!(third.failed_resumes, 3);
    let facts = WakeFacts { last_end: Some(third.clone()), ..parked() };
    assert_row(21, "resume idle-reaped", &facts, &plain());
    assert_row(20, "fresh new-topic", &facts, &about("payroll"));
    let looping = WakeFacts { deaths: deaths(&[40, 30, 20]), ..facts };
    assert_row(9, "refuse crash-loop", &looping, &plain());
    let ready = end(EndCause::Killed, 10, Some(&third));
    assert_eq!((ready.failed_resumes, ready.lasting_cause()), (0, Some(EndCause::Killed)));
}

#[test]
fn a_stop_of_a_start_that_never_was_ready_does_not_turn_a_crash_into_a_clean_park() {
    let crash = end(EndCause::Crashed, 60, None);
    for cause in [EndCause::Stopped, EndCause::RuntimeLost, EndCause::Rebooted, EndCause::Closed] {
        let last_end = Some(end_of(Reached::FreshStart, cause, 20, Some(&crash)));
        assert_row(16, "fresh crashed", &WakeFacts { last_end, ..parked() }, &plain());
    }
}

#[test]
fn who_gives_a_context_up_has_given_it_up_also_before_it_was_ready() {
    let park = end(EndCause::IdleReaped, 60, None);
    for cause in [EndCause::Replaced, EndCause::SelfFresh] {
        let given_up = end_of(Reached::Resume, cause, 40, Some(&park));
        let failed = end_of(Reached::FreshStart, EndCause::Crashed, 20, Some(&given_up));
        for last_end in [given_up, failed] {
            let facts = WakeFacts { last_end: Some(last_end), ..parked() };
            assert_row(16, &format!("fresh {cause}"), &facts, &plain());
        }
    }
}

#[test]
fn row_16_an_end_that_is_not_on_record_counts_as_vanished_unless_it_was_parked() {
    let facts = WakeFacts { last_end: None, ..parked() };
    assert_row(21, "resume idle-reaped", &facts, &plain());
    assert_row(16, "fresh vanished", &WakeFacts { markers: Markers::default(), ..facts }, &plain());
}

#[test]
fn row_17_what_was_taken_away_healthy_is_resumed() {
    assert_row(17, "resume closed", &ended(EndCause::Closed), &plain());
    assert_row(17, "resume runtime-lost", &ended(EndCause::RuntimeLost), &plain());
    assert_row(17, "resume rebooted", &ended(EndCause::Rebooted), &plain());
    assert_row(17, "resume moved", &ended(EndCause::Moved), &about("something else"));
    assert_row(17, "resume declined", &ended(EndCause::Declined), &plain());
}

#[test]
fn of_one_that_runs_no_row_tells_what_it_will_have_left() {
    let never = WakeFacts { ever_ran: false, last_end: None, ..session(Axis::Alive, Axis::Alive) };
    for facts in
        [never, WakeFacts { last_end: Some(end(EndCause::Crashed, 60, None)), ..session(Axis::Alive, Axis::Alive) }]
    {
        let holds: Vec<u8> = explain(&facts, &plain(), NOW).iter().filter(|row| row.holds).map(|row| row.row).collect();
        assert_eq!(holds, [5]);
    }
}

#[test]
fn row_17_stopped_and_started_again_is_resumed_whatever_the_topic() {
    let facts = WakeFacts { resume_without_topic: false, ..ended(EndCause::Stopped) };
    assert_row(17, "resume stopped", &facts, &plain());
    assert_row(17, "resume stopped", &facts, &about("something else"));
}

#[test]
fn row_18_a_memory_drain_is_resumed_and_the_second_within_600_s_is_not() {
    let first = end(EndCause::MemoryDrained, 1000, None);
    let facts = |last_end| WakeFacts { last_end: Some(last_end), ..parked() };
    assert_row(18, "resume memory-drained", &facts(first.clone()), &plain());
    assert_row(18, "fresh memory-drained", &facts(end(EndCause::MemoryDrained, 401, Some(&first))), &plain());
    assert_row(18, "resume memory-drained", &facts(end(EndCause::MemoryDrained, 400, Some(&first))), &plain());
}

#[test]
fn row_19_conversational_is_resumed_whatever_the_topic() {
    let facts = WakeFacts { context_policy: ContextPolicy::Conversational, resume_without_topic: false, ..parked() };
    assert_row(19, "resume idle-reaped", &facts, &about("something else"));
    assert_row(19, "resume idle-reaped", &facts, &plain());
}

#[test]
fn row_20_a_new_topic_starts_fresh() {
    assert_row(20, "fresh new-topic", &parked(), &about("payroll"));
    assert_row(20, "fresh new-topic", &WakeFacts { topics: Vec::new(), ..parked() }, &about("invoices"));
}

#[test]
fn row_20_a_topic_is_compared_as_it_was_stored() {
    assert_row(21, "resume idle-reaped", &parked(), &about("  invoices\nand more"));
    let long = "x".repeat(TOPIC_MAX + 50);
    let facts = WakeFacts { topics: vec![topic_line(&long)], ..parked() };
    assert_eq!(facts.topics[0].chars().count(), TOPIC_MAX);
    assert_row(21, "resume idle-reaped", &facts, &about(&long));
}

#[test]
fn row_21_parked_is_resumed() {
    assert_row(21, "resume idle-reaped", &parked(), &plain());
    assert_row(21, "resume idle-reaped", &parked(), &about("invoices"));
    assert_row(21, "resume idle-reaped", &parked(), &about(" "));
}

#[test]
fn row_21_a_ping_without_a_topic_does_not_revive_a_three_day_old_context() {
    let facts = WakeFacts { resume_without_topic: false, ..parked() };
    assert_row(21, "fresh no-topic", &facts, &plain());
    assert_row(21, "resume idle-reaped", &facts, &about("invoices"));
}

#[test]
fn a_resume_without_a_conversation_is_fresh_and_says_so() {
    let parked = WakeFacts { conversation: None, ..parked() };
    assert_row(21, "fresh idle-reaped-no-conversation", &parked, &plain());
    let lost = WakeFacts { conversation: None, ..ended(EndCause::RuntimeLost) };
    assert_row(17, "fresh runtime-lost-no-conversation", &lost, &plain());
}

#[test]
fn attach_crash_wake_does_not_resume_the_crash() {
    let markers = Markers { idle_reaped: true, ..Markers::default() };
    assert_row(16, "fresh crashed", &WakeFacts { markers, ..ended(EndCause::Crashed) }, &plain());
}

#[test]
fn a_resume_that_died_is_not_tried_again_by_itself_but_a_person_may() {
    let woken = session(Axis::Alive, Axis::Dead);
    let died = assume_ended(&woken, EndCause::Crashed, NOW);
    assert_row(16, "fresh crashed", &died, &plain());
    assert_row(12, "resume asked-resume", &died, &asking(Mode::Resume));
}

#[test]
fn one_unreachable_tick_starts_no_duplicates() {
    let late = || Axis::Unknown("timed out".to_owned());
    let facts = WakeFacts { last_end: Some(end(EndCause::Crashed, 60, None)), ..session(late(), late()) };
    assert_row(4, "refuse runtime-unavailable", &facts, &plain());
}

const CAUSES: [EndCause; 17] = [
    EndCause::IdleReaped,
    EndCause::Stopped,
    EndCause::Moved,
    EndCause::SelfFresh,
    EndCause::Replaced,
    EndCause::Declined,
    EndCause::Completed,
    EndCause::CompletedEarly,
    EndCause::Crashed,
    EndCause::Killed,
    EndCause::Closed,
    EndCause::Vanished,
    EndCause::Unresponsive,
    EndCause::SpawnFailed,
    EndCause::MemoryDrained,
    EndCause::RuntimeLost,
    EndCause::Rebooted,
];

fn any_axis() -> impl Strategy<Value = Axis> {
    prop_oneof![Just(Axis::Alive), Just(Axis::Dead), Just(Axis::Unknown("late".to_owned()))]
}

fn any_live() -> impl Strategy<Value = RecordedState> {
    prop_oneof![
        Just(RecordedState::None),
        any::<bool>().prop_map(|is_watched| RecordedState::Starting { is_watched }),
        (any_axis(), any_axis()).prop_map(|(runtime, process)| RecordedState::Session { runtime, process }),
    ]
}

/// Up to four consecutive ends.
fn any_end() -> impl Strategy<Value = Option<End>> {
    let causes = proptest::collection::vec((proptest::sample::select(&CAUSES[..]), 0_u64..2000), 0..4);
    causes.prop_map(|mut ends| {
        ends.sort_by_key(|&(_, seconds_ago)| std::cmp::Reverse(seconds_ago));
        ends.into_iter().fold(None, |previous, (cause, seconds)| Some(end(cause, seconds, previous.as_ref())))
    })
}

fn any_facts() -> impl Strategy<Value = WakeFacts> {
    let flags = proptest::array::uniform7(any::<bool>());
    let context_policies = [ContextPolicy::Conversational, ContextPolicy::Executor, ContextPolicy::Ephemeral];
    let ring = proptest::collection::vec(0_u64..600, 0..6);
    (flags, any_live(), any_end(), ring, 0_u32..5, proptest::sample::select(context_policies.to_vec())).prop_map(
        |(
            [managed, stopped, idle_reaped, self_fresh_requested, fresh_next, talks, opt_out],
            live,
            last_end,
            ring,
            max_restarts,
            context_policy,
        )| {
            WakeFacts {
                managed_by: (managed && stopped).then(|| "unit".to_owned()),
                stopped: stopped && self_fresh_requested,
                live,
                markers: Markers {
                    idle_reaped,
                    self_fresh_requested: self_fresh_requested && fresh_next,
                    fresh_next,
                    adopted: false,
                },
                ever_ran: last_end.is_some() || idle_reaped,
                last_end,
                deaths: deaths(&ring),
                max_restarts,
                context_policy,
                topics: vec!["a".to_owned()],
                conversation: talks.then(|| "conv-1".to_owned()),
                now_in: None,
                is_untouched: !talks,
                resume_without_topic: !opt_out,
            }
        },
    )
}

fn any_request() -> impl Strategy<Value = WakeRequest> {
    let modes = [Mode::Auto, Mode::Auto, Mode::Fresh, Mode::Resume];
    let topics = [None, Some("a"), Some("b"), Some("")];
    (proptest::sample::select(modes.to_vec()), any::<bool>(), proptest::sample::select(topics.to_vec())).prop_map(
        |(mode, force, topic)| WakeRequest {
            mode,
            force,
            topic: topic.map(str::to_owned),
            conversation: None,
            only_if_awake: false,
            has_ended_it: false,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_unknown_axis_never_leads_to_a_start_or_an_end(facts in any_facts(), request in any_request()) {
        let RecordedState::Session { runtime, process } = &facts.live else { return Ok(()) };
        if runtime.alive().is_none() || process.alive().is_none() {
            prop_assert!(matches!(decide(&facts, &request, NOW), WakeDecision::Refuse(_)));
        }
    }

    #[test]
    fn nothing_starts_while_an_incarnation_is_on_record(facts in any_facts(), request in any_request()) {
        let starts = matches!(
            decide(&facts, &request, NOW),
            WakeDecision::Fresh { .. } | WakeDecision::Resume { .. }
        );
        prop_assert!(!starts || facts.live == RecordedState::None);
    }

    #[test]
    fn the_row_that_explain_marks_is_the_decision(facts in any_facts(), request in any_request()) {
        let readings = explain(&facts, &request, NOW);
        let deciding: Vec<_> = readings.iter().filter(|reading| reading.decides).collect();
        prop_assert_eq!(deciding.len(), 1);
        prop_assert_eq!(Some(deciding[0]), readings.iter().find(|reading| reading.holds));
        prop_assert_eq!(&deciding[0].result, &decide(&facts, &request, NOW).to_string());
    }

    #[test]
    fn only_an_asked_resume_is_refused_for_want_of_a_conversation(facts in any_facts(), request in any_request()) {
        let nothing = WakeDecision::Refuse(Refusal::NothingToResume);
        prop_assert!(decide(&facts, &request, NOW) != nothing || request.mode == Mode::Resume);
    }

    #[test]
    fn an_asked_resume_is_fresh_only_for_a_self_fresh(facts in any_facts(), force in any::<bool>()) {
        let request = WakeRequest { force, ..asking(Mode::Resume) };
        let fresh = matches!(decide(&facts, &request, NOW), WakeDecision::Fresh { .. });
        prop_assert!(!fresh || facts.markers.self_fresh_requested);
    }

    #[test]
    fn a_counted_end_is_never_resumed_unasked(facts in any_facts(), topic in any_request()) {
        let request = WakeRequest { topic: topic.topic, ..plain() };
        let broken = facts.last_end.as_ref().and_then(End::lasting_cause).is_some_and(EndCause::counted);
        let resumed = matches!(decide(&facts, &request, NOW), WakeDecision::Resume { .. });
        prop_assert!(!(broken && resumed));
    }

    #[test]
    fn a_start_that_never_was_ready_changes_nothing_but_the_guard(
        facts in any_facts(), request in any_request(), nth in 0..CAUSES.len(), resumed in any::<bool>(),
    ) {
        let (cause, reached) = (CAUSES[nth], if resumed { Reached::Resume } else { Reached::FreshStart });
        if facts.last_end.is_none() || matches!(cause, EndCause::Replaced | EndCause::SelfFresh | EndCause::MemoryDrained) {
            return Ok(());
        }
        let last_end = Some(end_of(reached, cause, 0, facts.last_end.as_ref()));
        let after = WakeFacts { last_end, ..facts.clone() };
        prop_assert_eq!(decide(&after, &request, NOW), decide(&facts, &request, NOW));
    }

    #[test]
    fn after_an_assumed_end_the_table_goes_on(facts in any_facts(), request in any_request(), nth in 0..CAUSES.len()) {
        let after = assume_ended(&facts, CAUSES[nth], NOW);
        prop_assert!(!matches!(
            decide(&after, &request, NOW),
            WakeDecision::EndOrphan | WakeDecision::RecordEnd | WakeDecision::AlreadyAwake | WakeDecision::StillStarting
        ));
    }
}
