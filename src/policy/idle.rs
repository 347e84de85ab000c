//! When a peer that is awake is parked because nothing happens.

use std::time::Duration;

use super::time::Timestamp;
use super::wake::Lifestyle;

/// Idle time after which a peer is parked, unless its spec says otherwise: 1 h. Shorter and a person's lunch costs the
/// warm agent; longer and a fleet's memory is held by agents that nobody uses.
pub const IDLE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(3600);

/// Quiet time after which an ephemeral peer that said it is done is reaped: 20 s. Shorter and its last words may be cut;
/// longer and finished tasks pile up.
pub const DONE_QUIET: Duration = Duration::from_secs(20);

/// Quiet time after which an ephemeral peer that never said so is reaped: 600 s. Shorter and a slow tool call without
/// any output ends the task; longer and an agent that forgot to say it is done is paid for.
pub const NEVER_DONE_QUIET: Duration = Duration::from_secs(600);

/// The last activity of a conversation, from the best source that the agent's profile names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It was at this time.
    Last(Timestamp),
    /// The source answered, and there was none in this incarnation.
    NoneYet,
    /// The source could not be read; why. Never a reason to park.
    Unknown(String),
}

/// Whether the agent is in the middle of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It works.
    InProgress,
    /// It waits.
    Over,
    /// Its profile has no way to tell: idleness alone decides.
    NotTold,
    /// Its profile has a way, and that failed; why. Never a reason to park.
    Unknown(String),
}

/// Everything by which idleness is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleFacts {
    /// Last activity of its conversation.
    pub activity: Activity,
    /// When it was woken.
    pub woke_at: Timestamp,
    /// When a message was last delivered.
    pub last_delivery: Option<Timestamp>,
    /// Last activity of an agent that it started.
    pub child_activity: Option<Timestamp>,
    /// When the machine last came back from sleep: nothing could happen before, so the time before does not count.
    pub machine_woke_at: Option<Timestamp>,
    /// Whether a turn is in progress.
    pub turn: Turn,
    /// Whether somebody is attached who holds it awake: false also where the spec says that attaching does not.
    pub attached: bool,
    /// `policy` of its spec.
    pub lifestyle: Lifestyle,
    /// `idle_timeout` of its spec; zero is never.
    pub idle_timeout: Duration,
    /// When an ephemeral peer said that it is done.
    pub done_at: Option<Timestamp>,
}

/// Why a peer is not parked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Its spec says never.
    Never,
    /// Something happened not long enough ago.
    Active {
        /// When it will be idle, if nothing happens.
        until: Timestamp,
    },
    /// It works.
    TurnInProgress,
    /// Somebody looks at it.
    Attached,
    /// Whether it works is not known; why.
    NotKnown(String),
}

/// Whether a peer is parked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdleDecision {
    /// It stays, and why.
    Keep(Kept),
    /// It goes, after so long without anything.
    Park {
        /// How long nothing happened.
        idle: Duration,
    },
}

impl IdleFacts {
    /// The last time anything happened that counts.
    pub fn last_sign(&self) -> Timestamp {
        let activity = match self.activity {
            Activity::Last(at) => Some(at),
            Activity::NoneYet | Activity::Unknown(_) => None,
        };
        let others = [activity, self.last_delivery, self.child_activity, self.machine_woke_at];
        others.into_iter().flatten().fold(self.woke_at, Timestamp::max)
    }

    /// How long nothing may happen, and since when that is counted; `None` is for ever.
    fn allowance(&self) -> Option<(Duration, Timestamp)> {
        let (limit, since) = match (self.lifestyle, self.done_at) {
            (Lifestyle::Ephemeral, Some(done_at)) => return Some((DONE_QUIET, self.last_sign().max(done_at))),
            (Lifestyle::Ephemeral, None) => (NEVER_DONE_QUIET, self.last_sign()),
            (Lifestyle::Conversational | Lifestyle::Executor, _) => (self.idle_timeout, self.last_sign()),
        };
        (!self.idle_timeout.is_zero()).then_some((limit, since))
    }
}

/// Whether a peer that is awake is parked at `now`.
pub fn idle(facts: &IdleFacts, now: Timestamp) -> IdleDecision {
    let Some((limit, since)) = facts.allowance() else { return IdleDecision::Keep(Kept::Never) };
    let idle = now.since(since);
    if idle <= limit {
        return IdleDecision::Keep(Kept::Active { until: since.after(limit) });
    }
    match (&facts.turn, &facts.activity) {
        (Turn::InProgress, _) => IdleDecision::Keep(Kept::TurnInProgress),
        _ if facts.attached => IdleDecision::Keep(Kept::Attached),
        (Turn::Unknown(why), _) | (_, Activity::Unknown(why)) => IdleDecision::Keep(Kept::NotKnown(why.clone())),
        (Turn::Over | Turn::NotTold, Activity::Last(_) | Activity::NoneYet) => IdleDecision::Park { idle },
    }
}
