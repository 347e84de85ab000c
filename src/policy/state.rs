//! The states that a person sees: one function for list, status and JSON.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ending::End;
use super::health::{Breaker, Health};
use super::time::Timestamp;
use super::wake::Recorded;

/// What a peer is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Its agent runs and waits.
    Awake,
    /// It comes up, or comes back.
    Starting,
    /// Its agent runs and works.
    Busy,
    /// Parked: the next wake brings it back.
    Asleep,
    /// Parked by hand: wakes are refused.
    Stopped,
    /// It finished.
    Completed,
    /// It died.
    Crashed,
    /// It died, and no start is due or allowed yet.
    Held,
    /// It died too often: wakes are refused until a reset.
    Failed,
    /// Its runtime, its machine or its session went away under it.
    Lost,
    /// A witness did not answer.
    Unknown,
    /// It was declared, and nothing else.
    NeverStarted,
}

impl State {
    /// The name on the screen and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Awake => "awake",
            Self::Starting => "starting",
            Self::Busy => "busy",
            Self::Asleep => "asleep",
            Self::Stopped => "stopped",
            Self::Completed => "completed",
            Self::Crashed => "crashed",
            Self::Held => "held",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Unknown => "unknown",
            Self::NeverStarted => "never-started",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What the state of a peer is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateFacts {
    /// The incarnation on record.
    pub live: Recorded,
    /// Whether its agent is known to be working on something.
    pub turn_in_progress: bool,
    /// Whether `NAME.stopped` exists.
    pub stopped: bool,
    /// `NAME.end`.
    pub last_end: Option<End>,
    /// Its guard, latch and hold, at the same time.
    pub health: Health,
    /// Whether any incarnation of it ever started its agent.
    pub ever_ran: bool,
}

/// A state with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The word.
    pub state: State,
    /// What a person should read beside it: how it ended, why it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When the hold or the guard lets go, where one holds.
    #[serde(rename = "held_until_ms", skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Timestamp>,
}

impl Shown {
    fn new(state: State, detail: Option<String>) -> Self {
        Self { state, detail, held_until: None }
    }
}

/// The state of a peer at `now`.
pub fn state(facts: &StateFacts, now: Timestamp) -> Shown {
    match &facts.live {
        Recorded::None => not_awake(facts, now),
        Recorded::Starting => Shown::new(State::Starting, None),
        Recorded::Session { runtime, process } => match (runtime.alive(), process.alive()) {
            (Some(true), Some(true)) if facts.turn_in_progress => Shown::new(State::Busy, None),
            (Some(true), Some(true)) => Shown::new(State::Awake, None),
            (Some(false), Some(true)) => Shown::new(State::Lost, Some("the agent outlived its session".to_owned())),
            (Some(_), Some(false)) => Shown::new(State::Crashed, Some("agent gone, not yet recorded".to_owned())),
            _ => Shown::new(State::Unknown, runtime.why_unknown().or(process.why_unknown()).map(str::to_owned)),
        },
    }
}

/// The state of a peer with no session on record: what keeps it down comes before how it ended.
fn not_awake(facts: &StateFacts, now: Timestamp) -> Shown {
    let ended = facts.last_end.as_ref();
    let how = || ended.map(End::shown_as);
    if facts.stopped {
        return Shown::new(State::Stopped, how().filter(|how| how != State::Stopped.as_str()));
    }
    if let Breaker::Failed { deaths } = facts.health.breaker {
        let last = how().map_or_else(String::new, |how| format!(", last {how}"));
        return Shown::new(State::Failed, Some(format!("{deaths} deaths in a row{last}")));
    }
    if let Some(until) = facts.health.held_until(now) {
        return Shown { state: State::Held, detail: how(), held_until: Some(until) };
    }
    match ended {
        Some(end) => {
            let state = end.cause.meaning().state;
            Shown::new(state, Some(end.shown_as()).filter(|how| how != state.as_str()))
        }
        None if facts.ever_ran => Shown::new(State::Asleep, Some("its last end is not on record".to_owned())),
        None => Shown::new(State::NeverStarted, None),
    }
}
