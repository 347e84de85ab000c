//! Tests of guard, backoff, latch and budgets.

use super::*;
use crate::policy::ending::{EndReport, Incarnation, Reached};

const NOW: Timestamp = Timestamp::from_ms(1_795_305_600_000);
const FAILURE: HealthPolicy = HealthPolicy { restart: Restart::OnFailure, max_restarts: 20 };

fn ago(seconds: u64) -> Timestamp {
    Timestamp::from_ms(NOW.as_ms() - seconds * 1000)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ring(seconds_ago: &[u64]) -> Deaths {
    let entry = |&at: &u64| Death { at_ms: ago(at), cause: None, incarnation: None };
    Deaths::from(seconds_ago.iter().map(entry).collect::<Vec<_>>())
}

fn end(cause: EndCause, seconds_ago: u64, previous: Option<&End>) -> End {
    let incarnation = Incarnation(1);
    let report = EndReport {
        incarnation,
        cause,
        at: ago(seconds_ago),
        exit: None,
        uptime: seconds(1),
        max_rss_kib: None,
        reached: Reached::Ready,
    };
    End::new(report, previous)
}

/// Ends of one cause, at the given numbers of seconds ago, oldest first.
fn ends(cause: EndCause, seconds_ago: &[u64]) -> End {
    let all = seconds_ago.iter().fold(None, |previous, &at| Some(end(cause, at, previous.as_ref())));
    all.expect("at least one end")
}

#[test]
fn guard_3_deaths_within_300_s_refuse_until_fewer_remain() {
    let judge = |seconds_ago: &[u64]| Breaker::judge(&ring(seconds_ago), 20, NOW);
    assert_eq!(judge(&[10, 20]), Breaker::Closed);
    assert_eq!(judge(&[10, 20, 300]), Breaker::Closed);
    assert_eq!(judge(&[10, 20, 299]), Breaker::CrashLoop { deaths: 3, retry_after: seconds(1) });
    assert_eq!(judge(&[10, 20, 200, 290]), Breaker::CrashLoop { deaths: 4, retry_after: seconds(100) });
}

#[test]
fn guard_a_clock_that_was_wrong_does_not_refuse_until_that_day() {
    let later = |after| Death { at_ms: NOW.after(seconds(after)), cause: None, incarnation: None };
    let far = Deaths::from(vec![later(86_400), later(86_401), later(86_402)]);
    assert_eq!(Breaker::judge(&far, 20, NOW), Breaker::Closed);
    let near = Deaths::from(vec![later(2), later(3), later(4)]);
    assert_eq!(Breaker::judge(&near, 20, NOW), Breaker::CrashLoop { deaths: 3, retry_after: seconds(302) });
    // What is shown as recent is what the guard counts.
    assert_eq!((recent(&far, NOW).len(), recent(&near, NOW).len()), (0, 3));
}

#[test]
fn two_passes_that_see_one_death_count_it_once() {
    let mut deaths = Deaths::default();
    assert!(deaths.record(EndCause::Vanished, Incarnation(4), NOW));
    assert!(!deaths.record(EndCause::Crashed, Incarnation(4), NOW));
    assert!(deaths.record(EndCause::Crashed, Incarnation(5), NOW));
    assert_eq!(deaths.len(), 2);
}

#[test]
fn an_end_that_is_not_counted_never_enters_the_ring() {
    let mut deaths = Deaths::default();
    assert!(!deaths.record(EndCause::RuntimeLost, Incarnation(1), NOW));
    assert!(deaths.is_empty());
}

#[test]
fn the_ring_keeps_the_newest_32() {
    let mut deaths = Deaths::default();
    for number in 0..40 {
        deaths.record(EndCause::Crashed, Incarnation(number), ago(100 - number));
    }
    assert_eq!(deaths.len(), DEATHS_MAX);
    assert_eq!(deaths.as_slice()[0].incarnation, Some(Incarnation(8)));
}

#[test]
fn the_ring_reads_bare_times_and_entries_and_writes_entries() {
    let text = r#"[1000,{"at_ms":2000,"cause":"crashed"},{"at_ms":3000,"cause":"killed","incarnation":9}]"#;
    let deaths: Deaths = serde_json::from_str(text).expect("both forms are read");
    let written = serde_json::to_string(&deaths).expect("a ring is plain data");
    assert_eq!(written, text.replacen("1000", r#"{"at_ms":1000}"#, 1));
}

#[test]
fn backoff_is_30_60_120_240_300_300() {
    let steps: Vec<u64> = (0..8).map(|deaths| backoff(deaths).as_secs()).collect();
    assert_eq!(steps, [0, 30, 60, 120, 240, 300, 300, 300]);
    assert_eq!(backoff(usize::MAX), seconds(300));
}

#[test]
fn backoff_holds_only_where_something_is_restarted_by_itself() {
    let crashed = end(EndCause::Crashed, 10, None);
    let held = Health::assess(&ring(&[500, 10]), Some(&crashed), FAILURE, NOW);
    assert_eq!(held.restart_delay, Some(RestartDelay::Backoff { until: NOW.after(seconds(50)), deaths: 2 }));
    let on_wake = HealthPolicy { restart: Restart::OnWake, ..FAILURE };
    assert_eq!(Health::assess(&ring(&[500, 10]), Some(&crashed), on_wake, NOW).restart_delay, None);
    assert_eq!(Health::assess(&ring(&[]), Some(&crashed), FAILURE, NOW).restart_delay, None, "a reset clears the hold");
}

#[test]
fn a_clock_that_was_wrong_at_the_end_does_not_hold_until_that_day() {
    for (cause, span) in [(EndCause::Crashed, 30), (EndCause::MemoryDrained, 30)] {
        let delay = |after| {
            let mut end = end(cause, 0, None);
            end.at_ms = NOW.after(seconds(after));
            let health = Health::assess(&ring(&[400]), Some(&end), FAILURE, NOW);
            health.restart_delay.map(RestartDelay::until)
        };
        assert_eq!(delay(86_400), None, "{cause:?}");
        assert_eq!(delay(2), Some(NOW.after(seconds(span + 2))), "{cause:?}: set back a little");
    }
}

#[test]
fn stability_300_s_of_ready_uptime_forget_the_deaths() {
    let mut deaths = ring(&[500, 400]);
    assert!(!deaths.trim_stable(seconds(299)));
    assert_eq!(deaths.len(), 2);
    assert!(deaths.trim_stable(seconds(300)));
    assert!(deaths.is_empty());
}

#[test]
fn latch_closes_after_max_restarts_in_a_row_and_0_is_never() {
    let hourly: Vec<u64> = (0..20).map(|n| n * 3600).collect();
    let judge = |max_restarts| Breaker::judge(&ring(&hourly), max_restarts, NOW);
    assert_eq!(judge(20), Breaker::Failed { deaths: 20 });
    assert_eq!(judge(21), Breaker::Closed);
    assert_eq!(judge(0), Breaker::Closed);
    let full: Vec<u64> = (0..32).map(|n| n * 3600).collect();
    assert_eq!(Breaker::judge(&ring(&full), 1000, NOW), Breaker::Failed { deaths: 32 });
}

#[test]
fn clean_exits_past_10_in_60_s_hold_for_30_s() {
    let always = HealthPolicy { restart: Restart::Always, ..FAILURE };
    let hold = |last: &End| Health::assess(&ring(&[]), Some(last), always, NOW).restart_delay;
    let ten: Vec<u64> = (0..10).rev().map(|n| n * 5).collect();
    assert_eq!(hold(&ends(EndCause::Completed, &ten)), None);
    let eleven: Vec<u64> = (0..11).rev().map(|n| n * 5).collect();
    let last = ends(EndCause::Completed, &eleven);
    assert_eq!(hold(&last), Some(RestartDelay::Pause { until: NOW.after(seconds(30)), cause: EndCause::Completed }));
    let slow: Vec<u64> = (0..11).rev().map(|n| n * 6).collect();
    assert_eq!(hold(&ends(EndCause::Completed, &slow)), None);
}

#[test]
fn a_closed_pane_spends_the_budget_of_clean_exits() {
    let closed: Vec<u64> = (1..11).rev().map(|n| n * 5).collect();
    let ten = ends(EndCause::Closed, &closed);
    assert_eq!(Health::assess(&ring(&[]), Some(&ten), FAILURE, NOW).restart_delay, None);
    for cause in [EndCause::Closed, EndCause::Completed] {
        let last = end(cause, 0, Some(&ten));
        let hold = Health::assess(&ring(&[]), Some(&last), FAILURE, NOW).restart_delay;
        assert_eq!(hold, Some(RestartDelay::Pause { until: NOW.after(seconds(30)), cause }));
    }
}

#[test]
fn self_freshes_past_5_in_300_s_are_not_allowed() {
    let recent = |seconds_ago: &[u64]| ends(EndCause::SelfFresh, seconds_ago).recent;
    assert_eq!(self_fresh_allowed(&recent(&[200, 150, 100, 50]), NOW), Ok(()));
    assert_eq!(self_fresh_allowed(&recent(&[250, 200, 150, 100, 50]), NOW), Err(seconds(50)));
    assert_eq!(self_fresh_allowed(&recent(&[300, 200, 150, 100, 50]), NOW), Ok(()));
}

#[test]
fn a_memory_drain_holds_for_30_s_and_the_fourth_in_600_s_alerts() {
    let drained = ends(EndCause::MemoryDrained, &[10]);
    let health = Health::assess(&ring(&[]), Some(&drained), FAILURE, NOW);
    assert_eq!(health.held_until(NOW), Some(NOW.after(seconds(20))));
    let mut forgiven = drained.clone();
    forgiven.reset();
    assert_eq!(Health::assess(&ring(&[]), Some(&forgiven), FAILURE, NOW).restart_delay, None);
    assert!(!drain_alert(&ends(EndCause::MemoryDrained, &[599, 300, 10]).recent, NOW));
    assert!(drain_alert(&ends(EndCause::MemoryDrained, &[599, 300, 100, 10]).recent, NOW));
}

#[test]
fn each_restart_policy_restarts_what_it_says() {
    use AutoRestart::{No, Now};
    use EndCause as C;
    for (cause, on_wake, on_failure, always) in [
        (C::IdleReaped, No, No, No),
        (C::Stopped, No, No, No),
        (C::Moved, No, No, No),
        (C::SelfFresh, Now, Now, Now),
        (C::Replaced, No, No, Now),
        (C::Completed, No, No, Now),
        (C::CompletedEarly, No, Now, Now),
        (C::Crashed, No, Now, Now),
        (C::Killed, No, Now, Now),
        (C::Vanished, No, Now, Now),
        (C::Closed, No, Now, Now),
        (C::Unresponsive, No, Now, Now),
        (C::SpawnFailed, No, Now, Now),
        (C::MemoryDrained, No, Now, Now),
        (C::RuntimeLost, No, Now, Now),
        (C::Rebooted, No, Now, Now),
    ] {
        let last = end(cause, 400, None);
        for (restart, expected) in
            [(Restart::OnWake, on_wake), (Restart::OnFailure, on_failure), (Restart::Always, always)]
        {
            let health = Health::assess(&ring(&[400]), Some(&last), HealthPolicy { restart, ..FAILURE }, NOW);
            assert_eq!(should_restart(restart, Some(&last), &health, NOW), expected, "{cause} {restart:?}");
        }
    }
}

#[test]
fn a_restart_waits_for_the_later_of_guard_and_backoff_and_never_comes_when_failed() {
    let crashed = end(EndCause::Crashed, 10, None);
    let assess = |deaths: &Deaths, max_restarts| {
        let health = Health::assess(deaths, Some(&crashed), HealthPolicy { max_restarts, ..FAILURE }, NOW);
        should_restart(Restart::OnFailure, Some(&crashed), &health, NOW)
    };
    assert_eq!(assess(&ring(&[10]), 20), AutoRestart::HeldUntil(NOW.after(seconds(20))));
    assert_eq!(assess(&ring(&[30, 20, 10]), 20), AutoRestart::HeldUntil(NOW.after(seconds(270))));
    assert_eq!(assess(&ring(&[299, 298, 10]), 20), AutoRestart::HeldUntil(NOW.after(seconds(110))));
    assert_eq!(assess(&ring(&[30, 20, 10]), 3), AutoRestart::No);
}
