//! The events of the turn axis: the same, whichever source a change is known by.

use crate::policy::ending::Incarnation;
use crate::policy::event::EventName;
use crate::policy::name::PeerName;
use crate::policy::report::{Change, TurnRecord};
use crate::policy::time::{Timestamp, millis};
use crate::store::Event;

/// Returns the event of a change, without its witness; `now` is what is known after it.
pub(crate) fn turn_event(
    name: &PeerName,
    incarnation: Incarnation,
    at: Timestamp,
    change: Change,
    now: &TurnRecord,
) -> Event {
    let event_at = |at, event_name| Event::new(at, event_name).peer(name).incarnation(incarnation);
    let event = |event_name| event_at(at, event_name);
    match change {
        Change::Started => event(EventName::TurnStarted),
        Change::Finished(took) => {
            let took = took.map(millis);
            // It may be announced with the report of its start, which came after that of its end.
            let ended = now.finished_ms.map_or(at, |finished| finished.max(at));
            event_at(ended, EventName::TurnFinished).with("duration_ms", took)
        }
        Change::Asks => {
            let event = event(EventName::AgentWaiting);
            match now.seen.ask() {
                // The text of a question is for hooks alone.
                Some(ask) => event.cause(ask.kind.as_str()).with_for_hooks("question", ask.question.clone()),
                None => event,
            }
        }
    }
}
