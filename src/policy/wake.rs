//! What a wake does, and why: one ordered table, read by [`decide`] and by [`explain`].
//!
//! The first row that holds decides. `peer why` shows the readings of the very rows that `peer wake` obeys, so that the
//! two cannot disagree.

mod outcome;
mod table;
#[cfg(test)]
mod tests;

pub use outcome::{Refusal, RowReading, WakeCause, WakeDecision, WakeReason};

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::axis::Axis;
use super::ending::{End, EndCause};
use super::health::{Breaker, Deaths};
use super::recorded::Recorded;
use super::time::Timestamp;

/// Two memory drains within this time (600 s) make the next wake fresh: the context itself is what fills the memory.
/// Shorter and a context that needs ten minutes to fill it is revived for ever; longer and two unrelated drains of one
/// afternoon cost a context.
pub const SECOND_DRAIN_WINDOW: Duration = Duration::from_secs(600);

/// Which conversation the caller asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// The table decides.
    #[default]
    Auto,
    /// A new conversation (`--fresh`, `peer new`).
    Fresh,
    /// The one it had, or a refusal (`--resume`, `peer attach`).
    Resume,
}

/// What the caller of a wake asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WakeRequest {
    /// Which conversation.
    pub mode: Mode,
    /// With [`Mode::Fresh`]: neither the guard nor the latch binds, since an operator's hand is always obeyed. Without
    /// it, nothing.
    pub force: bool,
    /// What the message is about; compared by [`topic_line`].
    pub topic: Option<String>,
}

/// How long a peer's context is worth keeping: the `policy` of its spec.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lifestyle {
    /// One long conversation: parked and resumed whatever the topic.
    Conversational,
    /// One conversation a topic: resumed for a topic that it knows, fresh for a new one.
    #[default]
    Executor,
    /// One conversation a task: every start is fresh, and done means ended.
    Ephemeral,
}

/// Which marker files exist.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Markers {
    /// `NAME.idle-reaped`: parked, and not ready since.
    pub idle_reaped: bool,
    /// `NAME.new-eager`: the agent asked for a clean restart of itself.
    pub new_eager: bool,
    /// `NAME.fresh-next`: a person asked for a clean start at the next wake.
    pub fresh_next: bool,
}

/// Everything a wake is decided by. The peer exists: row 1 is answered before there are facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WakeFacts {
    /// Who else owns its lifecycle: `managed_by` of its spec, or the unit or plist that is named for it.
    pub managed_by: Option<String>,
    /// Whether `NAME.stopped` exists.
    pub stopped: bool,
    /// The incarnation on record.
    pub live: Recorded,
    /// The other marker files.
    pub markers: Markers,
    /// `NAME.end`.
    pub last_end: Option<End>,
    /// `NAME.deaths`, trimmed.
    pub deaths: Deaths,
    /// `max_restarts` of its spec; 0 never latches.
    pub max_restarts: u32,
    /// `policy` of its spec.
    pub lifestyle: Lifestyle,
    /// `NAME.topic`: topics of the current conversation.
    pub topics: Vec<String>,
    /// The conversation that a resume would use; `None` when none can be found.
    pub conversation: Option<String>,
    /// `resume_without_topic` of its spec.
    pub resume_without_topic: bool,
    /// Whether any incarnation of it ever was ready.
    pub ever_ran: bool,
}

/// What waking a peer of which `facts` are known does at `now`.
pub fn decide(facts: &WakeFacts, request: &WakeRequest, now: Timestamp) -> WakeDecision {
    table::first_that_holds(&Case::new(facts, request, now))
}

/// Every row of the table, in order, with what it says; exactly one of them decides, and it says what [`decide`] says.
pub fn explain(facts: &WakeFacts, request: &WakeRequest, now: Timestamp) -> Vec<RowReading> {
    let case = Case::new(facts, request, now);
    let known =
        RowReading { row: 1, holds: false, decides: false, condition: "no such peer", result: "exit 3".to_owned() };
    let mut readings = vec![known];
    let mut open = true;
    for row in &table::TABLE {
        let decision = (row.reads)(&case);
        let holds = decision.is_some();
        let result = decision.map_or_else(|| row.otherwise.to_owned(), |decision| decision.to_string());
        let decides = holds && open;
        open &= !holds;
        readings.push(RowReading { row: row.number, holds, decides, condition: row.condition, result });
    }
    readings
}

/// A topic as it is stored and compared: its first line without control characters and outer spaces, at most 200
/// characters. Both sides go through it, else a topic that was cut when it was stored would look new for ever.
pub fn topic_line(topic: &str) -> String {
    let line = topic.trim().lines().next().unwrap_or_default();
    let clean: String = line.chars().filter(|c| !c.is_control()).take(TOPIC_MAX).collect();
    clean.trim().to_owned()
}

/// Longest topic kept, in characters: a subject line, not a message.
pub const TOPIC_MAX: usize = 200;

/// The facts of one decision with what several rows ask of them.
struct Case<'a> {
    facts: &'a WakeFacts,
    request: &'a WakeRequest,
    breaker: Breaker,
    past: Past,
}

/// What the last incarnation left behind. Every [`EndCause`] falls into one of these, so that the table is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Past {
    /// Nothing ever was ready.
    Nothing,
    /// A context that is not revived: broken, finished or given up, with the end's name.
    Spent(EndCause),
    /// Something took the session away from under a healthy context.
    Interrupted(EndCause),
    /// Ended for its memory; whether it was the second time in a short while.
    Drained {
        /// Within [`SECOND_DRAIN_WINDOW`].
        again: bool,
    },
    /// Ended on purpose, to be resumed.
    Parked,
    /// It runs: what it leaves behind nobody knows yet.
    Running,
}

impl<'a> Case<'a> {
    fn new(facts: &'a WakeFacts, request: &'a WakeRequest, now: Timestamp) -> Self {
        let breaker = Breaker::judge(&facts.deaths, facts.max_restarts, now);
        Self { facts, request, breaker, past: Past::of(facts) }
    }

    /// Whether guard and latch are set aside: only for an operator's forced fresh start.
    fn forced(&self) -> bool {
        self.request.force && self.request.mode == Mode::Fresh
    }

    /// The topic of the request, as it is compared; an empty one is none.
    fn topic(&self) -> Option<String> {
        self.request.topic.as_deref().map(topic_line).filter(|topic| !topic.is_empty())
    }

    /// Whether a topic came that the conversation does not know.
    fn new_topic(&self) -> bool {
        self.topic().is_some_and(|topic| !self.facts.topics.iter().any(|known| topic_line(known) == topic))
    }

    /// A fresh start for `reason`.
    fn fresh(reason: WakeReason) -> WakeDecision {
        WakeDecision::Fresh { cause: reason.into() }
    }

    /// A resume for `reason`, or a fresh start that says that there was nothing to resume.
    fn resume(&self, reason: WakeReason) -> WakeDecision {
        match &self.facts.conversation {
            Some(conversation) => WakeDecision::Resume { conversation: conversation.clone(), cause: reason.into() },
            None => WakeDecision::Fresh { cause: WakeCause { reason, no_conversation: true } },
        }
    }
}

impl Past {
    fn of(facts: &WakeFacts) -> Self {
        if matches!(&facts.live, Recorded::Session { runtime: Axis::Alive, process: Axis::Alive }) {
            return Self::Running;
        }
        let Some(cause) = facts.last_end.as_ref().and_then(End::lasting_cause) else {
            return Self::without_an_end(facts);
        };
        match cause {
            EndCause::CompletedEarly
            | EndCause::Crashed
            | EndCause::Killed
            | EndCause::Vanished
            | EndCause::Unresponsive
            | EndCause::SpawnFailed
            // Exit 0: the work is done.
            | EndCause::Completed
            // Somebody gave the old context up, and the fresh start that was to follow did not come about.
            | EndCause::SelfFresh
            | EndCause::Replaced => Self::Spent(cause),
            EndCause::Closed | EndCause::RuntimeLost | EndCause::Rebooted | EndCause::Stopped | EndCause::Moved => {
                Self::Interrupted(cause)
            }
            EndCause::MemoryDrained => Self::Drained { again: drained_twice(facts) },
            EndCause::IdleReaped => Self::Parked,
        }
    }

    /// It ran and its end is not on record (the file was corrupt, or taken away): a park marker still tells a clean
    /// end, and anything else is not known, which counts as vanished.
    fn without_an_end(facts: &WakeFacts) -> Self {
        match (facts.ever_ran, facts.markers.idle_reaped) {
            (false, _) => Self::Nothing,
            (true, true) => Self::Parked,
            (true, false) => Self::Spent(EndCause::Vanished),
        }
    }
}

/// Whether the drain that ended it last was the second within [`SECOND_DRAIN_WINDOW`].
fn drained_twice(facts: &WakeFacts) -> bool {
    let drains = |end: &End| {
        let last = end.recent.last(EndCause::MemoryDrained).unwrap_or(end.at_ms);
        end.recent.count(EndCause::MemoryDrained, SECOND_DRAIN_WINDOW, last)
    };
    facts.last_end.as_ref().is_some_and(|end| drains(end) >= 2)
}
