use proptest::prelude::*;

use super::*;
use crate::policy::report::{TurnReport, apply};
use crate::policy::turn::{Ask, AskKind, Limit};

fn at(ms: u64) -> Timestamp {
    Timestamp::from_ms(ms)
}

fn seen(turn: Turn, witness: Witness, since_ms: Option<u64>, at_ms: u64) -> TurnObservation {
    TurnObservation { turn, witness, since_ms: since_ms.map(at), at_ms: at(at_ms) }
}

fn screen(turn: Turn, at_ms: u64) -> TurnObservation {
    seen(turn, Witness::Screen, None, at_ms)
}

fn file(turn: Turn, since_ms: u64, at_ms: u64) -> TurnObservation {
    seen(turn, Witness::StatusFile, Some(since_ms), at_ms)
}

fn asks(question: &str) -> Turn {
    Turn::Waiting(Ask { kind: AskKind::Question, question: Some(question.to_owned()), answerable: false })
}

fn of(seen: &TurnObservation) -> Look<'_> {
    Look { seen, reports_starts: false, in_turn: None, free_before: None }
}

/// What is on record, and what was announced in all.
#[derive(Default)]
struct Log {
    known: Option<TurnRecord>,
    told: Vec<Change>,
}

impl Log {
    fn look(&mut self, look: &Look<'_>) -> Option<Change> {
        let (news, now) = compare(self.known.as_ref(), look)?;
        self.known = Some(now);
        self.told.extend(news);
        news
    }

    fn sees(&mut self, seen: &TurnObservation) -> Option<Change> {
        self.look(&of(seen))
    }

    fn report(&mut self, report: TurnReport, when: u64) -> Vec<Change> {
        let (news, now) = apply(self.known.as_ref(), report, at(when));
        self.known = Some(now);
        self.told.extend(news.clone());
        news
    }
}

const STARTED: TurnReport = TurnReport::Started { anew: true };

fn finished(reports_starts: bool, since: Option<u64>) -> TurnReport {
    TurnReport::Finished { reports_starts, since: since.map(at) }
}

#[test]
fn a_turn_that_looks_alone_show_is_announced_once_at_each_end() {
    let mut log = Log::default();
    assert_eq!(log.sees(&screen(Turn::Free, 1)), None);
    assert_eq!(log.known, None, "a look without news writes nothing");
    assert_eq!(log.sees(&screen(Turn::Busy, 5)), Some(Change::Started));
    assert_eq!(log.sees(&screen(Turn::Busy, 6)), None);
    assert_eq!(log.sees(&screen(Turn::Free, 9)), Some(Change::Finished(None)), "a screen shows no exact time");
    assert_eq!(log.sees(&screen(Turn::Free, 10)), None);
    assert_eq!(log.sees(&file(Turn::Busy, 12, 20)), Some(Change::Started));
    let took = Change::Finished(Some(Duration::from_millis(13)));
    assert_eq!(log.sees(&file(Turn::Free, 25, 30)), Some(took));
}

#[test]
fn a_question_neither_begins_nor_ends_a_turn_and_is_announced_when_it_is_another() {
    let mut log = Log::default();
    assert_eq!(log.sees(&screen(asks("a?"), 1)), Some(Change::Asks));
    assert_eq!(log.sees(&screen(asks("a?"), 2)), None);
    assert_eq!(log.sees(&screen(asks("b?"), 3)), Some(Change::Asks));
    assert_eq!(log.sees(&screen(Turn::Free, 4)), None, "there was no turn");
    assert_eq!(log.sees(&screen(asks("b?"), 5)), Some(Change::Asks), "it was answered, and is asked again");
    assert_eq!(log.sees(&screen(Turn::Busy, 6)), Some(Change::Started));
    assert_eq!(log.sees(&screen(asks("b?"), 7)), Some(Change::Asks));
    assert_eq!(log.sees(&screen(Turn::Busy, 8)), None, "the same turn goes on");
    assert_eq!(log.sees(&screen(Turn::Limited(Limit { until_ms: None }), 9)), Some(Change::Finished(None)));
}

#[test]
fn that_a_question_can_be_answered_is_on_record_and_no_news() {
    let with_rows =
        |answerable| Turn::Waiting(Ask { kind: AskKind::Question, question: Some("a?".to_owned()), answerable });
    let mut log = Log::default();
    assert_eq!(log.sees(&screen(with_rows(false), 1)), Some(Change::Asks));
    for (when, answerable) in [(2, true), (3, false), (4, true)] {
        assert_eq!(log.sees(&screen(with_rows(answerable), when)), None);
        assert_eq!(log.known.as_ref().map(|known| &known.seen.turn), Some(&with_rows(answerable)));
    }
}

#[test]
fn a_turn_that_was_reported_is_over_only_by_something_newer() {
    let began = 1_000;
    let begun = || {
        let mut log = Log::default();
        log.report(STARTED, began);
        log
    };
    assert_eq!(begun().sees(&file(Turn::Free, 900, 1_500)), None, "the file is of the time before it");
    assert_eq!(begun().sees(&file(Turn::Free, 900, 12_000)), Some(Change::Finished(None)), "it stays so");
    let took = Change::Finished(Some(Duration::from_millis(200)));
    assert_eq!(begun().sees(&file(Turn::Free, 1_200, 1_500)), Some(took), "it was interrupted");
    assert_eq!(begun().sees(&screen(Turn::Free, 999)), None, "a look from before it");
    let free = screen(Turn::Free, 9_000);
    let in_turn = Look { in_turn: Some(true), ..of(&free) };
    assert_eq!(begun().look(&in_turn), None, "its files say that it goes on");
    assert_eq!(begun().look(&Look { free_before: Some(at(999)), ..in_turn }), None, "free before it began");
    assert_eq!(begun().look(&Look { free_before: Some(at(6_001)), ..in_turn }), None, "not for long enough");
    let news = begun().look(&Look { free_before: Some(at(6_000)), ..in_turn });
    assert_eq!(news, Some(Change::Finished(None)), "its files never said that it is over");
}

#[test]
fn what_is_busy_without_a_report_is_no_turn_where_each_start_is_reported() {
    let mut log = Log::default();
    let busy = file(Turn::Busy, 5, 50);
    assert_eq!(log.look(&Look { reports_starts: true, ..of(&busy) }), None);
    log.report(STARTED, 60);
    log.report(finished(true, None), 70);
    // A subagent works on.
    let busy = file(Turn::Busy, 61, 80);
    assert_eq!(log.look(&Look { reports_starts: true, ..of(&busy) }), None);
    assert_eq!(log.look(&of(&busy)), None, "the file is older than the end");
}

#[test]
fn a_report_of_what_a_look_has_announced_is_no_news() {
    let mut log = Log::default();
    log.sees(&file(Turn::Busy, 5, 6));
    assert_eq!(log.report(STARTED, 5), []);
    log.sees(&file(Turn::Free, 9, 10));
    assert_eq!(log.report(finished(true, None), 9), []);
    // An agent that reports the ends alone.
    let mut log = Log::default();
    log.sees(&screen(Turn::Busy, 100));
    log.sees(&screen(Turn::Free, 900));
    assert_eq!(log.report(finished(false, Some(90)), 880), []);
    assert_eq!(log.report(finished(false, Some(950)), 990), [Change::Finished(Some(Duration::from_millis(40)))]);
    log.sees(&screen(Turn::Busy, 2_000));
    log.sees(&screen(Turn::Free, 3_000));
    let next = log.report(finished(false, Some(90)), 6_000);
    assert_eq!(next, [Change::Finished(None)], "of another turn, which no look saw");
}

#[test]
fn the_end_of_a_short_turn_is_not_that_of_the_interrupted_one_before_it() {
    let mut log = Log::default();
    log.report(STARTED, 1_000);
    // That one was interrupted, which no hook reports. The next one is over before its own hooks have run.
    let over = log.sees(&file(Turn::Free, 9_010, 9_020));
    assert_eq!(over, Some(Change::Finished(Some(Duration::from_millis(8_010)))));
    assert_eq!(log.report(STARTED, 9_000), [Change::Started, Change::Finished(Some(Duration::from_millis(10)))]);
    assert_eq!(log.report(finished(true, None), 9_010), []);
}

#[test]
fn a_clock_that_was_set_back_does_not_silence_the_looks() {
    let mut log = Log::default();
    log.sees(&screen(Turn::Busy, 9_000_000));
    assert_eq!(log.sees(&screen(Turn::Free, 1_000)), Some(Change::Finished(None)));
    assert_eq!(log.sees(&screen(Turn::Busy, 2_000)), Some(Change::Started));
    assert_eq!(log.sees(&screen(Turn::Busy, 3_000)), None);
    assert_eq!(log.sees(&screen(Turn::Free, 4_000)), Some(Change::Finished(None)));
}

fn any_turn() -> impl Strategy<Value = Option<Turn>> {
    prop_oneof![
        Just(None),
        Just(Some(Turn::Free)),
        Just(Some(Turn::Busy)),
        Just(Some(Turn::Limited(Limit { until_ms: None }))),
        Just(Some(asks("a?"))),
        Just(Some(asks("b?"))),
    ]
}

/// A turn of an agent with a status file: its start and end, and whether it was interrupted, which no hook reports.
#[derive(Clone, Debug)]
struct TrueTurn {
    begins: u64,
    ends: u64,
    interrupted: bool,
}

/// Turns of 10 ms to a minute. The reports of one arrive in order, and before the next begins.
fn any_turns() -> impl Strategy<Value = Vec<TrueTurn>> {
    let one = (1_500_u64..20_000, 10_u64..60_000, any::<bool>());
    proptest::collection::vec(one, 1..5).prop_map(|turns| {
        let mut now = 1_000;
        let next = |(pause, takes, interrupted)| {
            let begins = now + pause;
            now = begins + takes;
            TrueTurn { begins, ends: now, interrupted }
        };
        turns.into_iter().map(next).collect()
    })
}

/// What the status file says at a time.
fn status(turns: &[TrueTurn], now: u64) -> TurnObservation {
    let changes = turns.iter().flat_map(|turn| [(turn.begins, Turn::Busy), (turn.ends, Turn::Free)]);
    let (since, turn) = changes.take_while(|(since, _)| *since <= now).last().unwrap_or((500, Turn::Free));
    file(turn, since, now)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn looks_alone_announce_starts_and_ends_in_turn(
        looks in proptest::collection::vec((1_u64..30_000, any_turn(), any::<bool>()), 1..30)
    ) {
        let (mut log, mut now, mut last) = (Log::default(), 1_000, None);
        for (later, turn, by_file) in looks {
            now += later;
            // What is unknown changes nothing.
            let Some(turn) = turn else { continue };
            let seen = if by_file { file(turn.clone(), now - 1, now) } else { screen(turn.clone(), now) };
            let news = log.look(&of(&seen));
            prop_assert_eq!(log.look(&of(&seen)), None, "the same look again");
            if news == Some(Change::Asks) {
                prop_assert_ne!(Some(&turn), last.as_ref(), "the same question");
            }
            last = Some(turn);
        }
        let turns = log.told.iter().filter(|change| **change != Change::Asks);
        for (number, change) in turns.enumerate() {
            prop_assert_eq!(number % 2 == 0, *change == Change::Started, "{:?}", log.told);
        }
    }

    #[test]
    fn hooks_and_looks_together_announce_each_turn_once(
        turns in any_turns(),
        delays in proptest::collection::vec((0_u64..1_500, 0_u64..1_500), 5),
        looks in proptest::collection::vec(0_u64..400_000, 0..20),
    ) {
        #[derive(Clone, Debug)]
        enum Step { Start(u64), End(u64), Look }
        let mut steps: Vec<(u64, Step)> = looks.into_iter().map(|now| (now, Step::Look)).collect();
        for (turn, (late_start, late_end)) in turns.iter().zip(delays) {
            steps.push((turn.begins + late_start, Step::Start(turn.begins)));
            let told = (!turn.interrupted).then_some((turn.ends + late_start.max(late_end), Step::End(turn.ends)));
            steps.extend(told);
        }
        steps.push((turns.last().expect("one").ends + 30_000, Step::Look));
        steps.sort_by_key(|(now, _)| *now);
        let mut log = Log::default();
        for (now, step) in steps {
            let says = status(&turns, now);
            match step {
                Step::Look => drop(log.look(&Look { reports_starts: true, ..of(&says) })),
                Step::Start(when) => {
                    let is_young = |since: Timestamp| at(when).since(since) < Duration::from_secs(2);
                    let anew = log.known.is_none() || says.turn == Turn::Free || says.since_ms.is_some_and(is_young);
                    log.report(TurnReport::Started { anew }, when);
                }
                Step::End(when) => drop(log.report(finished(true, None), when)),
            }
        }
        let count = |started: bool| log.told.iter().filter(|change| (**change == Change::Started) == started).count();
        prop_assert_eq!((count(true), count(false)), (turns.len(), turns.len()), "{:?}", log.told);
    }
}
