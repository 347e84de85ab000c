//! Compares what a look at an agent shows of its turns with what is on record, so that a look announces what no hook
//! has reported: each turn once, and nothing that is not certain.

use std::time::Duration;

use super::report::{Change, TurnRecord};
use super::time::Timestamp;
use super::turn::{Turn, TurnObservation, Witness};

/// How long a screen must have shown no turn before it is believed over the agent's files, which report a turn forever if
/// its end was never written.
pub const SCREEN_WINS: Duration = Duration::from_secs(3);

/// How long a turn must have been in progress before a file of the agent is believed that has not changed since the turn
/// began. Claude Code writes its status file within 0.2 s; a prompt that a hook of the user's stops never changes it.
const FILE_WINS: Duration = Duration::from_secs(10);

/// How far behind a record a look can be: at most a tick's budget. A record that is farther ahead was written by a clock
/// that has been set back since.
const MOST_BEHIND: Duration = Duration::from_secs(60);

/// A look at an agent that is ready or has been.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// What was seen.
    pub seen: &'a TurnObservation,
    /// Whether the agent reports the start of each turn by a hook, at once. What looks like a turn without a report is
    /// none then: a subagent of Claude Code may be at work after the end of the turn.
    pub reports_starts: bool,
    /// Whether a turn is in progress by the agent's own files, or by a message that was delivered a moment ago.
    pub in_turn: Option<bool>,
    /// When the previous look was made, if it saw the agent free.
    pub free_before: Option<Timestamp>,
}

/// Whether a look that saw this may change what is on record. If not, the rest of [`Look`] need not be determined.
pub fn may_change(known: Option<&TurnRecord>, seen: &TurnObservation) -> bool {
    let in_progress = known.is_some_and(|known| known.in_progress_since().is_some());
    let asked = known.and_then(|known| known.seen.ask());
    match &seen.turn {
        Turn::Busy | Turn::Stalled(_) => !in_progress || asked.is_some(),
        Turn::Free | Turn::Limited(_) => in_progress || asked.is_some(),
        // How a question can be answered may be learned only later, or change.
        Turn::Waiting(ask) => asked != Some(ask),
    }
}

/// Returns what is new in a look, if anything is to be announced, and what is on record after it. `None` if the record
/// stays as it is: nothing is new, it is not certain, or the record is newer than the look.
pub fn compare(known: Option<&TurnRecord>, look: &Look<'_>) -> Option<(Option<Change>, TurnRecord)> {
    let seen = look.seen;
    let is_newer = |known: &TurnRecord| {
        let changed = known.changed_at();
        changed > seen.at_ms && changed.since(seen.at_ms) < MOST_BEHIND
    };
    if !may_change(known, seen) || known.is_some_and(is_newer) {
        return None;
    }
    let in_progress = known.filter(|known| known.in_progress_since().is_some());
    match (&seen.turn, in_progress) {
        // A person's own menu is a question too, so it says nothing about a turn.
        (Turn::Waiting(_), _) => {
            let is_new = seen.is_new_request(known.and_then(|known| known.seen.ask()));
            Some((is_new.then_some(Change::Asks), TurnRecord::with(known, seen.clone())))
        }
        (Turn::Busy | Turn::Stalled(_), None) if !look.reports_starts => started(known, seen),
        (Turn::Free | Turn::Limited(_), Some(known)) => finished(known, look),
        // The question was answered.
        _ => Some((None, TurnRecord::with(known, seen.clone())))
            .filter(|_| known.is_some_and(|known| known.seen.ask().is_some())),
    }
}

fn started(known: Option<&TurnRecord>, seen: &TurnObservation) -> Option<(Option<Change>, TurnRecord)> {
    // One in the future was written by a clock that has been set back since.
    let finished = known.and_then(|known| known.finished_ms).filter(|finished| *finished <= seen.at_ms);
    let since = seen.since_ms.filter(|since| finished.is_none_or(|finished| *since > finished));
    // The file still tells of the turn that is known to be over.
    if since.is_none() && seen.since_ms.is_some() && seen.witness == Witness::StatusFile {
        return None;
    }
    let now = TurnRecord {
        began_ms: Some(since.unwrap_or(seen.at_ms)),
        began_by: Some(seen.witness),
        finished_ms: finished,
        ..TurnRecord::with(known, seen.clone())
    };
    Some((Some(Change::Started), now))
}

fn finished(known: &TurnRecord, look: &Look<'_>) -> Option<(Option<Change>, TurnRecord)> {
    let (seen, began) = (look.seen, known.in_progress_since()?);
    let ended = seen.since_ms.filter(|since| seen.witness != Witness::Screen && *since > began);
    let is_over = match seen.witness {
        Witness::Screen => {
            let is_free_for_long = |since: Timestamp| since > began && seen.at_ms.since(since) >= SCREEN_WINS;
            look.in_turn != Some(true) || look.free_before.is_some_and(is_free_for_long)
        }
        Witness::Hook | Witness::StatusFile | Witness::Transcript => {
            ended.is_some() || seen.at_ms.since(began) >= FILE_WINS
        }
    };
    let took = ended.zip(known.exact_start()).map(|(ended, began)| ended.since(began));
    let finished_ms = Some(ended.unwrap_or(seen.at_ms).max(Timestamp::from_ms(began.as_ms().saturating_add(1))));
    is_over.then(|| {
        (
            Some(Change::Finished(took)),
            TurnRecord { finished_ms, finished_by: Some(seen.witness), ..TurnRecord::with(Some(known), seen.clone()) },
        )
    })
}

#[cfg(test)]
mod tests;
