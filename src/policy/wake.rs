//! Decides what a wake does, and why, from one ordered table that [`decide`] and [`explain`] share.
//!
//! The first row that holds decides. `peer why` shows the same rows that `peer wake` obeys, so the two cannot disagree.

mod outcome;
mod table;
#[cfg(test)]
mod tests;

pub use outcome::{Decision, Refusal, RowReading, STOP_ENDS_IT, WakeCause, WakeDecision, WakeReason};

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::axis::Axis;
use super::ending::{End, EndCause, NextWake};
use super::health::{Breaker, Deaths};
use super::recorded::RecordedState;
use super::time::Timestamp;

/// Two memory drains within this time (600 s) make the next wake fresh, because the context itself fills the memory. If
/// it were shorter, a context that fills the memory in ten minutes would be revived forever; if it were longer, two
/// unrelated drains in one afternoon would cost a context.
pub const SECOND_DRAIN_WINDOW: Duration = Duration::from_secs(600);

/// The conversation that the caller requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Let the table decide.
    #[default]
    Auto,
    /// A new conversation (`--fresh`, `peer new`).
    Fresh,
    /// The existing conversation, or a refusal (`--resume`, `peer attach`, `--conversation`).
    Resume,
}

/// The request of a wake's caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WakeRequest {
    /// The requested conversation.
    pub mode: Mode,
    /// With [`Mode::Fresh`]: ignore the guard and the latch, since an operator's explicit request is always obeyed. No
    /// effect with other modes.
    pub force: bool,
    /// The topic of the message, compared by [`topic_line`].
    pub topic: Option<String>,
    /// With [`Mode::Resume`]: this one of its conversations, by its whole id, and not the last one.
    pub conversation: Option<String>,
    /// Nothing is to be started: the caller wants the agent that is awake, or none.
    pub only_if_awake: bool,
    /// What was awake has been ended for this very request, so whatever is awake now has begun since.
    pub has_ended_it: bool,
}

/// How long a peer's context is worth keeping: `policy` in its spec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContextPolicy {
    /// One long conversation, resumed whatever the topic.
    Conversational,
    /// One conversation per topic: resumed for a topic that it knows, fresh for a new one.
    #[default]
    Executor,
    /// One conversation per task: every start is fresh, and a finished task ends the agent.
    Ephemeral,
}

/// Which marker files exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each marker is there or not, and any of them beside any other")]
pub struct Markers {
    /// `NAME.idle-reaped`: the agent was parked, and has not been ready since.
    pub idle_reaped: bool,
    /// `NAME.new-eager`: the agent requested a fresh restart of itself.
    pub self_fresh_requested: bool,
    /// `NAME.fresh-next`: the user requested a fresh start at the next wake.
    pub fresh_next: bool,
    /// `NAME.adopted`: the user gave it a conversation that was started outside `peer`.
    pub adopted: bool,
}

/// The facts by which a wake is decided. The peer exists: row 1 is answered before the facts are collected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct WakeFacts {
    /// What else manages the peer's lifecycle: `managed_by` in its spec, or the unit or plist named after it.
    pub managed_by: Option<String>,
    /// Whether `NAME.stopped` exists.
    pub stopped: bool,
    /// The recorded incarnation.
    pub live: RecordedState,
    /// The other marker files.
    pub markers: Markers,
    /// The content of `NAME.end`.
    pub last_end: Option<End>,
    /// The counted deaths; none if the peer had failed and its spec was changed since.
    pub deaths: Deaths,
    /// `max_restarts` in its spec; 0 never latches.
    pub max_restarts: u32,
    /// `policy` in its spec.
    pub context_policy: ContextPolicy,
    /// The content of `NAME.topic`: the topics of the current conversation.
    pub topics: Vec<String>,
    /// The conversation that a resume would use, the requested one if one is requested; `None` if none can be found.
    pub conversation: Option<String>,
    /// The conversation that the incarnation on record is in, where that is known.
    pub now_in: Option<String>,
    /// Whether the incarnation on record began a new conversation, in which nothing was said yet.
    pub is_untouched: bool,
    /// `resume_without_topic` in its spec.
    pub resume_without_topic: bool,
    /// Whether any incarnation was ever ready.
    pub ever_ran: bool,
}

/// Returns what a wake does at `now`.
pub fn decide(facts: &WakeFacts, request: &WakeRequest, now: Timestamp) -> WakeDecision {
    table::first_that_holds(&Case::new(facts, request, now))
}

/// Returns the reading of every row of the table, in order. Exactly one row decides, and its result is that of
/// [`decide`].
pub fn explain(facts: &WakeFacts, request: &WakeRequest, now: Timestamp) -> Vec<RowReading> {
    let case = Case::new(facts, request, now);
    let known =
        RowReading { row: 1, holds: false, decides: false, condition: "no such peer", result: "exit 3".to_owned() };
    let mut readings = vec![known];
    let mut open = true;
    for row in &table::TABLE {
        let decision = (row.evaluate)(&case);
        let holds = decision.is_some();
        let result = decision.map_or_else(|| row.result_text.to_owned(), |decision| decision.to_string());
        let decides = holds && open;
        open &= !holds;
        readings.push(RowReading { row: row.number, holds, decides, condition: row.condition, result });
    }
    readings
}

/// Returns a topic in the form in which it is stored and compared: its first line without control characters and
/// surrounding spaces, at most 200 characters. Both sides must be normalized, or a topic that was cut when it was
/// stored would look new forever.
pub fn topic_line(topic: &str) -> String {
    let line = topic.trim().lines().next().unwrap_or_default();
    let clean: String = line.chars().filter(|c| !c.is_control()).take(TOPIC_MAX).collect();
    clean.trim().to_owned()
}

/// The maximum length of a stored topic in characters: a subject line, not a message.
pub const TOPIC_MAX: usize = 200;

/// The facts of one decision, with values that several rows use.
struct Case<'a> {
    facts: &'a WakeFacts,
    request: &'a WakeRequest,
    breaker: Breaker,
    past: Past,
}

/// What the last incarnation left behind. Every [`EndCause`] maps to one of these, so the table is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Past {
    /// No incarnation was ever ready.
    Nothing,
    /// A context that is not revived because it is broken, finished or given up; holds the cause of the end.
    Unusable(EndCause),
    /// A healthy context whose session was taken away, moved or stopped; holds the cause of the end.
    Interrupted(EndCause),
    /// The agent was ended because of its memory.
    Drained {
        /// Whether it was the second time within [`SECOND_DRAIN_WINDOW`].
        again: bool,
    },
    /// The agent was parked because it was idle.
    Parked,
    /// The agent runs, so what it will leave behind is unknown.
    Running,
}

impl<'a> Case<'a> {
    fn new(facts: &'a WakeFacts, request: &'a WakeRequest, now: Timestamp) -> Self {
        let breaker = Breaker::judge(&facts.deaths, facts.max_restarts, now);
        Self { facts, request, breaker, past: Past::of(facts) }
    }

    /// Whether guard and latch are ignored: only for an operator's forced fresh start.
    fn forced(&self) -> bool {
        self.request.force && self.request.mode == Mode::Fresh
    }

    /// Returns the topic of the request in its compared form, or `None` if it is empty.
    fn topic(&self) -> Option<String> {
        self.request.topic.as_deref().map(topic_line).filter(|topic| !topic.is_empty())
    }

    /// Whether the request has a topic that the conversation does not know.
    fn new_topic(&self) -> bool {
        self.topic().is_some_and(|topic| !self.facts.topics.iter().any(|known| topic_line(known) == topic))
    }

    /// Decides on a fresh start for `reason`.
    fn fresh(reason: WakeReason) -> WakeDecision {
        WakeDecision::Fresh { cause: reason.into() }
    }

    /// Decides on a resume for `reason`, or on a fresh start whose cause says that there was no conversation to resume.
    fn resume(&self, reason: WakeReason) -> WakeDecision {
        match &self.facts.conversation {
            Some(conversation) => WakeDecision::Resume { conversation: conversation.clone(), cause: reason.into() },
            None => WakeDecision::Fresh { cause: WakeCause { reason, no_conversation: true } },
        }
    }
}

impl Past {
    fn of(facts: &WakeFacts) -> Self {
        if matches!(&facts.live, RecordedState::Session { runtime: Axis::Alive, process: Axis::Alive }) {
            return Self::Running;
        }
        let Some(cause) = facts.last_end.as_ref().and_then(End::lasting_cause) else {
            return Self::without_an_end(facts);
        };
        match cause.meaning().next_wake {
            NextWake::Fresh => Self::Unusable(cause),
            NextWake::Resume => Self::Interrupted(cause),
            NextWake::OfDrained => Self::Drained { again: is_second_drain(facts) },
            NextWake::OfParked => Self::Parked,
        }
    }

    /// Returns the past of a peer whose end is not recorded because the file was corrupt or removed. A park marker
    /// still proves a clean end. Otherwise the end is unknown and counts as vanished.
    fn without_an_end(facts: &WakeFacts) -> Self {
        match (facts.ever_ran, facts.markers.idle_reaped) {
            (false, _) => Self::Nothing,
            (true, true) => Self::Parked,
            (true, false) => Self::Unusable(EndCause::Vanished),
        }
    }
}

/// Whether the drain that ended the last incarnation was the second within [`SECOND_DRAIN_WINDOW`].
fn is_second_drain(facts: &WakeFacts) -> bool {
    let drains = |end: &End| {
        let last = end.recent.last(EndCause::MemoryDrained).unwrap_or(end.at_ms);
        end.recent.count(EndCause::MemoryDrained, SECOND_DRAIN_WINDOW, last)
    };
    facts.last_end.as_ref().is_some_and(|end| drains(end) >= 2)
}
