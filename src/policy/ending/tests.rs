//! One test per kind of end: how it is detected, what it means, and how it is written.

use super::*;
use crate::policy::state::State;
use crate::policy::time::Timestamp;

const AT: Timestamp = Timestamp::from_ms(1_795_305_600_000);

fn before(seconds: u64) -> Timestamp {
    Timestamp::from_ms(AT.as_ms() - seconds * 1000)
}

fn facts(evidence: Evidence) -> EndFacts {
    EndFacts { intent: None, evidence, server: Server::Up, rebooted: false, at: AT }
}

fn exit(exit: Exit) -> Evidence {
    Evidence::Exit { exit, ready_at: Some(before(3600)) }
}

fn report(cause: EndCause, exit: Option<Exit>) -> EndReport {
    EndReport {
        incarnation: Incarnation(3),
        cause,
        at: AT,
        exit,
        uptime: Duration::from_millis(1500),
        max_rss_kib: None,
        reached: Reached::Ready,
    }
}

#[test]
fn an_intent_comes_before_whatever_the_kill_looked_like() {
    for (intent, cause) in [
        (Intent::IdleReaped, EndCause::IdleReaped),
        (Intent::Stopped, EndCause::Stopped),
        (Intent::Moved, EndCause::Moved),
        (Intent::SelfFresh, EndCause::SelfFresh),
        (Intent::Replaced, EndCause::Replaced),
        (Intent::MemoryDrained, EndCause::MemoryDrained),
        (Intent::Unresponsive, EndCause::Unresponsive),
        (Intent::Declined, EndCause::Declined),
        (Intent::Closed, EndCause::Closed),
        (Intent::RuntimeLost, EndCause::RuntimeLost),
    ] {
        for evidence in [exit(Exit::Signal(9)), exit(Exit::Code(0)), Evidence::Absent, Evidence::HungUp] {
            let facts = EndFacts { intent: Some(intent), ..facts(evidence) };
            assert_eq!(classify(&facts), cause);
        }
    }
}

#[test]
fn completed_is_exit_0_after_10_s_of_being_ready() {
    let after = |ready_at| classify(&facts(Evidence::Exit { exit: Exit::Code(0), ready_at }));
    assert_eq!(after(Some(before(10))), EndCause::Completed);
    assert_eq!(after(Some(before(9))), EndCause::CompletedEarly);
    assert_eq!(after(None), EndCause::CompletedEarly);
}

#[test]
fn crashed_is_any_other_exit() {
    assert_eq!(classify(&facts(exit(Exit::Code(3)))), EndCause::Crashed);
    let gone = EndFacts { server: Server::Gone, rebooted: true, ..facts(exit(Exit::Code(3))) };
    assert_eq!(classify(&gone), EndCause::Crashed, "a recorded exit comes before what happened since");
}

#[test]
fn killed_is_a_signal_that_nobody_here_sent() {
    for signal in [1, 9, 11, 15] {
        assert_eq!(classify(&facts(exit(Exit::Signal(signal)))), EndCause::Killed);
    }
    let gone_since = EndFacts { server: Server::Gone, ..facts(exit(Exit::Signal(9))) };
    assert_eq!(classify(&gone_since), EndCause::Killed, "a server that goes sends SIGHUP and nothing else");
}

#[test]
fn a_machine_that_goes_down_kills_nobody() {
    for signal in [1, 9, 15] {
        let facts = EndFacts { rebooted: true, ..facts(exit(Exit::Signal(signal))) };
        assert_eq!(classify(&facts), EndCause::Rebooted);
    }
    let segv = EndFacts { rebooted: true, ..facts(exit(Exit::Signal(11))) };
    assert_eq!(classify(&segv), EndCause::Killed);
}

#[test]
fn a_hangup_with_its_server_gone_is_runtime_lost_and_with_it_there_is_closed() {
    let hung_up = facts(Evidence::HungUp);
    assert_eq!(classify(&hung_up), EndCause::Closed);
    assert_eq!(classify(&EndFacts { server: Server::Gone, ..hung_up }), EndCause::RuntimeLost);
    let by_signal = EndFacts { server: Server::Gone, ..facts(exit(Exit::Signal(1))) };
    assert_eq!(classify(&by_signal), EndCause::RuntimeLost);
}

#[test]
fn an_absence_is_told_by_what_is_gone_with_it() {
    let absent = facts(Evidence::Absent);
    assert_eq!(classify(&absent), EndCause::Vanished);
    assert_eq!(classify(&EndFacts { server: Server::Gone, ..absent }), EndCause::RuntimeLost);
    assert_eq!(classify(&EndFacts { rebooted: true, ..absent }), EndCause::Rebooted);
}

#[test]
fn spawn_failed_is_what_never_started() {
    assert_eq!(classify(&facts(Evidence::SpawnFailed)), EndCause::SpawnFailed);
}

/// The contract's table row by row: cause, counted, budget, restart delay, state and label.
#[test]
fn each_end_means_what_the_contract_says() {
    use EndCause as C;
    let backoff = RestartDelayRule::Backoff;
    let second = Duration::from_secs;
    let budget = |most, window| Some(Budget { most, window: second(window) });
    let table = [
        (C::IdleReaped, None, false, None, RestartDelayRule::None, State::Asleep, "asleep"),
        (C::Stopped, None, false, None, RestartDelayRule::None, State::Stopped, "stopped"),
        (C::Moved, None, false, None, RestartDelayRule::None, State::Asleep, "moved"),
        (C::Declined, None, false, None, RestartDelayRule::None, State::Asleep, "declined"),
        (C::SelfFresh, None, false, budget(5, 300), RestartDelayRule::None, State::Starting, "restarting"),
        (C::Replaced, None, false, None, RestartDelayRule::None, State::Asleep, "replaced"),
        (
            C::Completed,
            None,
            false,
            budget(10, 60),
            RestartDelayRule::PastBudget(second(30)),
            State::Completed,
            "completed",
        ),
        (C::CompletedEarly, Some(Exit::Code(0)), true, None, backoff, State::Crashed, "crashed (exit 0)"),
        (C::Crashed, Some(Exit::Code(3)), true, None, backoff, State::Crashed, "crashed (exit 3)"),
        (C::Killed, Some(Exit::Signal(9)), true, None, backoff, State::Crashed, "crashed (SIGKILL)"),
        (C::Killed, Some(Exit::Signal(34)), true, None, backoff, State::Crashed, "crashed (signal 34)"),
        (C::Vanished, None, true, None, backoff, State::Crashed, "crashed (pane gone)"),
        (C::Closed, None, false, budget(10, 60), RestartDelayRule::PastBudget(second(30)), State::Asleep, "closed"),
        (C::Unresponsive, Some(Exit::Signal(9)), true, None, backoff, State::Crashed, "crashed (unresponsive)"),
        (C::SpawnFailed, None, true, None, backoff, State::Crashed, "crashed (spawn)"),
        (C::MemoryDrained, None, false, budget(3, 600), RestartDelayRule::Always(second(30)), State::Asleep, "drained"),
        (C::RuntimeLost, None, false, None, RestartDelayRule::None, State::Lost, "lost"),
        (C::Rebooted, None, false, None, RestartDelayRule::None, State::Lost, "lost"),
    ];
    for (cause, exit, counted, budget, hold, state, shown) in table {
        let meaning = cause.meaning();
        assert_eq!(
            (meaning.counted, meaning.budget, meaning.restart_delay, meaning.state),
            (counted, budget, hold, state),
            "{cause}"
        );
        assert_eq!(End::new(report(cause, exit), None).shown_as(), shown);
    }
}

#[test]
fn the_record_reads_as_the_contract_names_its_fields() {
    let end = End { max_rss_kib: Some(2048), ..End::new(report(EndCause::Crashed, Some(Exit::Code(3))), None) };
    let json = serde_json::to_value(&end).expect("an end is plain data");
    let expected = serde_json::json!({
        "incarnation": 3, "cause": "crashed", "counted": true, "at_ms": 1_795_305_600_000_u64,
        "code": 3, "uptime_ms": 1500, "max_rss_kib": 2048,
    });
    assert_eq!(json, expected);
    assert_eq!(serde_json::from_value::<End>(json).ok(), Some(end));
}

#[test]
fn a_record_of_before_tells_a_spawn_that_failed_from_an_end_that_lasts() {
    let old = |cause: &str| {
        let text = format!(r#"{{"incarnation":3,"cause":"{cause}","counted":true,"at_ms":1,"before":"idle-reaped"}}"#);
        serde_json::from_str::<End>(&text).expect("today's format").lasting_cause()
    };
    assert_eq!(old("spawn-failed"), Some(EndCause::IdleReaped));
    assert_eq!(old("crashed"), Some(EndCause::Crashed));
}

#[test]
fn a_record_without_an_exit_and_one_with_a_signal_are_read_back() {
    for exit in [None, Some(Exit::Signal(9))] {
        let drained = End::new(report(EndCause::MemoryDrained, exit), None);
        let text = serde_json::to_string(&drained).expect("an end is plain data");
        assert_eq!(serde_json::from_str::<End>(&text).ok(), Some(drained), "{text}");
    }
}

#[test]
fn a_failed_spawn_carries_the_end_before_it_and_every_end_the_budgets() {
    let drained = End::new(report(EndCause::MemoryDrained, None), None);
    let failed = EndReport { reached: Reached::Resume, ..report(EndCause::SpawnFailed, None) };
    let spawn = End::new(failed, Some(&drained));
    assert_eq!(spawn.lasting_cause(), Some(EndCause::MemoryDrained));
    assert_eq!(spawn.recent.count(EndCause::MemoryDrained, MEMORY_DRAINS.window, AT), 1);
    let crashed = End::new(report(EndCause::Crashed, None), Some(&spawn));
    assert_eq!((crashed.before, crashed.lasting_cause()), (None, Some(EndCause::Crashed)));
    assert_eq!(crashed.recent, drained.recent);
}

#[test]
fn ends_of_one_budget_displace_none_of_another() {
    let mut recent = RecentEnds::default();
    let at = |second: u64| Timestamp::from_ms(1_000_000 + second * 1_000);
    for second in 0..2 {
        recent.record(EndCause::MemoryDrained, at(second));
    }
    for second in 2..200 {
        recent.record(EndCause::Completed, at(second));
    }
    assert_eq!(recent.count(EndCause::MemoryDrained, Duration::from_secs(600), at(200)), 2);
    let budget = EndCause::Completed.meaning().budget.expect("clean exits have one");
    assert!(recent.room(EndCause::Completed, budget, at(200)).is_err(), "the excess still shows");
    assert!(
        recent.count(EndCause::Completed, Duration::from_secs(600), at(200)) <= budget.most + 1,
        "and no more is kept"
    );
}
