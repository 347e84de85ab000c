//! Combines what an agent reports about its turns through its own hooks with what is already known, so that each turn
//! and each question is announced once, whichever source reports it first. See [`super::look`] for the other sources.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;
use super::turn::{Turn, TurnObservation, Witness};

/// What is known about the turns of one incarnation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnRecord {
    /// What the agent was last seen doing.
    #[serde(flatten)]
    pub seen: TurnObservation,
    /// When the newest turn began, if that was reported or seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_ms: Option<Timestamp>,
    /// The witness of that, if no hook has reported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_by: Option<Witness>,
    /// When the newest finished turn ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_ms: Option<Timestamp>,
    /// The witness of that, if no hook has reported it: what was seen, or the report of the next turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_by: Option<Witness>,
    /// When an end was reported that was not announced, because no turn was known to be in progress. It repeats the last
    /// one, unless the start of its turn is reported afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unannounced_ms: Option<Timestamp>,
}

impl TurnRecord {
    /// Returns what is known after an observation that changes nothing else.
    pub(super) fn with(before: Option<&Self>, seen: TurnObservation) -> Self {
        match before {
            Some(known) => Self { seen, ..known.clone() },
            None => Self {
                seen,
                began_ms: None,
                began_by: None,
                finished_ms: None,
                finished_by: None,
                unannounced_ms: None,
            },
        }
    }

    /// Returns since when a turn has been in progress, as far as was reported or seen.
    pub fn in_progress_since(&self) -> Option<Timestamp> {
        let began = self.began_ms.filter(|_| !matches!(self.seen.turn, Turn::Free))?;
        self.finished_ms.is_none_or(|finished| finished <= began).then_some(began)
    }

    /// As [`TurnRecord::in_progress_since`], if a hook reported the start.
    pub fn reported_since(&self) -> Option<Timestamp> {
        self.in_progress_since().filter(|_| self.began_by.is_none())
    }

    /// Returns the start of the turn in progress if it is exact. A screen shows it a moment later, or much later.
    pub(super) fn exact_start(&self) -> Option<Timestamp> {
        self.in_progress_since().filter(|_| matches!(self.began_by, None | Some(Witness::StatusFile)))
    }

    /// Returns when this last changed.
    pub fn changed_at(&self) -> Timestamp {
        self.seen.at_ms.max(self.began_ms.unwrap_or_default()).max(self.finished_ms.unwrap_or_default())
    }

    /// Returns the end of a turn that began at `at`, if a look has taken it for that of the turn before: the agent's own
    /// files had its time, and its start was not reported yet.
    fn seen_to_end_since(&self, at: Timestamp) -> Option<Timestamp> {
        let is_exact =
            self.finished_by.is_some() && self.seen.turn == Turn::Free && self.finished_ms == self.seen.since_ms;
        self.finished_ms.filter(|finished| is_exact && *finished >= at)
    }

    /// Whether a look has announced the end of the turn whose end is reported at `at`. `sent` is when the agent got its
    /// last message.
    fn was_seen_to_end(&self, at: Timestamp, sent: Option<Timestamp>) -> bool {
        let Some(finished) = self.finished_ms.filter(|_| self.finished_by.is_some()) else { return false };
        let is_of_that_turn = match self.in_progress_since() {
            Some(next_began) => at < next_began,
            None => sent <= Some(finished) && self.began_ms <= Some(at),
        };
        is_of_that_turn && at.since(finished) < HOOK_DELAY
    }
}

/// How long after the end of a turn its hook may run. A message that is answered sooner than that, after a look has
/// announced the end of another turn, is taken for that turn.
const HOOK_DELAY: Duration = Duration::from_secs(2);

/// A report from a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TurnReport {
    /// A turn begins.
    Started {
        /// Whether this is a different turn from the known one, because no other source says that the known one
        /// continues.
        anew: bool,
    },
    /// A turn is over.
    Finished {
        /// Whether the agent also reports the start of each turn.
        reports_starts: bool,
        /// When the turn began, for agents whose starts were not reported.
        since: Option<Timestamp>,
    },
    /// The agent needs a person. Contains what was observed when that was reported.
    Asks(TurnObservation),
}

/// A change to announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A turn has begun.
    Started,
    /// A turn is over, with its duration if known.
    Finished(Option<Duration>),
    /// The agent needs a person.
    Asks,
}

/// Returns what is new in a report made at `at`, and what is known after it. Hooks run concurrently, so a report may
/// arrive after a later one. It is still announced, but it does not replace the newer state.
pub fn apply(known: Option<&TurnRecord>, report: TurnReport, at: Timestamp) -> (Vec<Change>, TurnRecord) {
    let since = known.and_then(TurnRecord::in_progress_since);
    match (report, known) {
        // A look has announced it.
        (TurnReport::Started { .. }, Some(known)) if since.is_some() && known.began_by.is_some() => {
            (Vec::new(), TurnRecord { began_by: None, ..known.clone() })
        }
        (TurnReport::Finished { since: sent, .. }, Some(known)) if known.was_seen_to_end(at, sent) => {
            (Vec::new(), TurnRecord { finished_by: None, ..known.clone() })
        }
        (TurnReport::Started { .. }, Some(known)) if known.finished_ms.is_some_and(|finished| finished >= at) => {
            let began_ms = known.began_ms.max(Some(at));
            let ended = known.unannounced_ms.filter(|ended| *ended >= at).or_else(|| known.seen_to_end_since(at));
            let ended = ended.map(|ended| Change::Finished(Some(ended.since(at))));
            let news = [Change::Started].into_iter().chain(ended).collect();
            (news, TurnRecord { began_ms, began_by: None, unannounced_ms: None, ..known.clone() })
        }
        // The question was observed after this report was made.
        (TurnReport::Started { .. }, Some(known)) if known.seen.ask().is_some() && known.seen.at_ms >= at => {
            (vec![Change::Started], TurnRecord { began_ms: Some(at), began_by: None, ..known.clone() })
        }
        (TurnReport::Finished { .. }, Some(known)) if since.is_some_and(|began| began > at) => {
            (vec![Change::Finished(None)], TurnRecord { finished_ms: Some(at), finished_by: None, ..known.clone() })
        }
        (report, before) => apply_next(before, report, at),
    }
}

fn apply_next(before: Option<&TurnRecord>, report: TurnReport, at: Timestamp) -> (Vec<Change>, TurnRecord) {
    let since = before.and_then(TurnRecord::in_progress_since);
    let finished_ms = before.and_then(|known| known.finished_ms);
    let by_hook = |turn, since_ms| TurnObservation { turn, witness: Witness::Hook, since_ms, at_ms: at };
    match report {
        // Reported in the middle of a turn, it belongs to that turn.
        TurnReport::Started { anew: false } if since.is_some() => (
            Vec::new(),
            TurnRecord { began_ms: since, began_by: None, ..TurnRecord::with(before, by_hook(Turn::Busy, since)) },
        ),
        TurnReport::Started { .. } => {
            // The previous turn was stopped or failed, which no hook reports.
            let cut_off = since.map(|_| Change::Finished(None));
            let news = cut_off.into_iter().chain([Change::Started]).collect();
            let mut now =
                TurnRecord { unannounced_ms: None, ..TurnRecord::with(before, by_hook(Turn::Busy, Some(at))) };
            if cut_off.is_some() {
                // Its own report may be late.
                (now.finished_ms, now.finished_by) = (Some(at), Some(Witness::Hook));
            }
            (news, TurnRecord { began_ms: Some(at), began_by: None, ..now })
        }
        TurnReport::Finished { reports_starts, since: otherwise } => {
            let is_announced = reports_starts && since.is_none() && finished_ms.is_some();
            let later = |began: &Timestamp| finished_ms.is_none_or(|finished| *began > finished);
            let exact = before.and_then(TurnRecord::exact_start);
            let took = exact.or_else(|| otherwise.filter(later)).map(|began| at.since(began));
            let news = if is_announced { Vec::new() } else { vec![Change::Finished(took)] };
            let now = TurnRecord::with(before, by_hook(Turn::Free, None));
            let unannounced_ms = is_announced.then_some(at);
            (news, TurnRecord { finished_ms: Some(at), finished_by: None, unannounced_ms, ..now })
        }
        TurnReport::Asks(seen) => {
            // A question that was observed before this report was made is a different one, even if the text is
            // identical.
            let is_announced =
                before.is_some_and(|known| known.seen.at_ms >= at && !seen.is_new_request(known.seen.ask()));
            let news = if is_announced { Vec::new() } else { vec![Change::Asks] };
            (news, TurnRecord::with(before, seen))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::turn::{Ask, AskKind};

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_ms(ms)
    }

    const STARTED: TurnReport = TurnReport::Started { anew: true };

    fn finished(reports_starts: bool) -> TurnReport {
        TurnReport::Finished { reports_starts, since: None }
    }

    fn asks(at_ms: u64) -> TurnReport {
        let ask = Ask { kind: AskKind::Permission, question: Some("May I?".to_owned()), answerable: false };
        TurnReport::Asks(TurnObservation {
            turn: Turn::Waiting(ask),
            witness: Witness::Hook,
            since_ms: None,
            at_ms: at(at_ms),
        })
    }

    /// Returns what each of these reports announces, in order.
    fn told(reports: &[(TurnReport, u64)]) -> Vec<Vec<Change>> {
        let mut known: Option<TurnRecord> = None;
        let applied = |(report, when): &(TurnReport, u64)| {
            let (news, now) = apply(known.as_ref(), report.clone(), at(*when));
            known = Some(now);
            news
        };
        reports.iter().map(applied).collect()
    }

    #[test]
    fn a_turn_begins_once_and_ends_once_and_takes_the_time_between() {
        let took = Change::Finished(Some(Duration::from_millis(7)));
        assert_eq!(told(&[(STARTED, 1), (finished(true), 8)]), [vec![Change::Started], vec![took]]);
        // A second prompt in the middle of a turn does not start another, and a second end (a hook of the user's
        // continued the turn) is announced once.
        let more = TurnReport::Started { anew: false };
        let reports = [(STARTED, 1), (more.clone(), 3), (finished(true), 8), (finished(true), 9), (more, 10)];
        assert_eq!(told(&reports), [vec![Change::Started], vec![], vec![took], vec![], vec![Change::Started]]);
    }

    #[test]
    fn a_report_that_comes_behind_a_later_one_is_announced_and_what_is_known_stays() {
        let (news, known) = apply(None, finished(true), at(6));
        assert_eq!(news, [Change::Finished(None)]);
        let (news, known) = apply(Some(&known), STARTED, at(5));
        assert_eq!((news, known.in_progress_since()), (vec![Change::Started], None));
        let (_, asked) = apply(Some(&known), asks(9), at(8));
        let (news, asked) = apply(Some(&asked), STARTED, at(7));
        assert_eq!((news, asked.in_progress_since()), (vec![Change::Started], Some(at(7))));
        assert!(asked.seen.ask().is_some(), "it asks all the same");
        let (_, known) = apply(Some(&known), STARTED, at(9));
        let (news, known) = apply(Some(&known), finished(true), at(8));
        assert_eq!((news, known.in_progress_since()), (vec![Change::Finished(None)], Some(at(9))));
    }

    #[test]
    fn a_turn_whose_end_is_heard_before_its_beginning_has_both() {
        let took = |ms| Change::Finished(Some(Duration::from_millis(ms)));
        let reports = [(STARTED, 1), (finished(true), 3), (finished(true), 9), (STARTED, 7), (STARTED, 10)];
        let expected =
            [vec![Change::Started], vec![took(2)], vec![], vec![Change::Started, took(2)], vec![Change::Started]];
        assert_eq!(told(&reports), expected);
        // The end that was not announced repeats the first; the next turn has its own.
        let reports = [(STARTED, 1), (finished(true), 3), (finished(true), 4), (STARTED, 7), (finished(true), 9)];
        assert_eq!(told(&reports)[2..], [vec![], vec![Change::Started], vec![took(2)]]);
    }

    #[test]
    fn a_turn_that_was_cut_off_is_over_when_another_begins() {
        let cut_off = vec![Change::Finished(None), Change::Started];
        assert_eq!(told(&[(STARTED, 1), (STARTED, 5)]), [vec![Change::Started], cut_off]);
    }

    #[test]
    fn where_nothing_tells_of_starts_each_end_is_announced() {
        let since = |ms| TurnReport::Finished { reports_starts: false, since: Some(at(ms)) };
        let took = |ms| vec![Change::Finished(Some(Duration::from_millis(ms)))];
        let reports = [(since(1), 5), (since(1), 9), (since(10), 12)];
        assert_eq!(told(&reports), [took(4), vec![Change::Finished(None)], took(2)]);
        assert_eq!(
            told(&[(finished(true), 5)]),
            [vec![Change::Finished(None)]],
            "of its beginning nothing was reported"
        );
    }

    #[test]
    fn a_question_is_announced_once_and_again_where_it_is_asked_again() {
        let reports = [(STARTED, 1), (asks(3), 2), (asks(5), 4), (finished(true), 9)];
        let took = Change::Finished(Some(Duration::from_millis(8)));
        assert_eq!(told(&reports), [vec![Change::Started], vec![Change::Asks], vec![Change::Asks], vec![took]]);
        // A tick saw and announced the question before the earlier report arrived.
        assert_eq!(told(&[(asks(3), 3), (asks(4), 2)]), [vec![Change::Asks], vec![]]);
    }

    #[test]
    fn what_is_known_is_read_again() {
        let (_, known) = apply(None, STARTED, at(4));
        let json = serde_json::to_string(&known).expect("plain data");
        assert_eq!(serde_json::from_str::<TurnRecord>(&json).expect("what was written"), known, "{json}");
        assert_eq!(known.in_progress_since(), Some(at(4)));
        assert_eq!(apply(Some(&known), finished(true), at(5)).1.in_progress_since(), None);
    }
}
