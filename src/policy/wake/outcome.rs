//! What comes out of the table: a decision, its cause, and what each row says.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::policy::ending::EndCause;
use crate::policy::health::GUARD_WINDOW;

/// Why a wake does what it does, under the name that is printed, returned and logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WakeCause {
    /// What the table says.
    pub reason: WakeReason,
    /// The table says resume, and there is no conversation to be found.
    pub no_conversation: bool,
}

/// The `cause` column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WakeReason {
    /// `--fresh`.
    AskedFresh,
    /// `--resume`, or `attach`.
    AskedResume,
    /// `peer refresh`.
    Refresh,
    /// It never ran.
    FirstWake,
    /// Its policy starts every task fresh.
    Ephemeral,
    /// A topic that its conversation does not know.
    NewTopic,
    /// No topic, where resuming needs one.
    NoTopic,
    /// How its last incarnation ended, under that end's own name.
    Ended(EndCause),
}

impl From<WakeReason> for WakeCause {
    fn from(reason: WakeReason) -> Self {
        Self { reason, no_conversation: false }
    }
}

impl WakeReason {
    /// The name, without the suffix.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AskedFresh => "asked-fresh",
            Self::AskedResume => "asked-resume",
            Self::Refresh => "refresh",
            Self::FirstWake => "first-wake",
            Self::Ephemeral => "ephemeral",
            Self::NewTopic => "new-topic",
            Self::NoTopic => "no-topic",
            Self::Ended(cause) => cause.as_str(),
        }
    }
}

impl fmt::Display for WakeCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason.as_str())?;
        if self.no_conversation { f.write_str("-no-conversation") } else { Ok(()) }
    }
}

impl Serialize for WakeCause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why a wake is refused, with what its message and its exit code need.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Row 2.
    #[error("its lifecycle is managed by {by}")]
    ManagedElsewhere {
        /// Who.
        by: String,
    },
    /// Row 3.
    #[error("it was stopped by hand")]
    Stopped,
    /// Row 4: retry when it is known again. The witness did not answer, or the kernel contradicts what it said.
    #[error("whether it is awake is not known ({axis} axis): {why}")]
    RuntimeUnavailable {
        /// `runtime` or `process`.
        axis: &'static str,
        /// Why it is unknown.
        why: String,
    },
    /// Row 4 too: the witnesses are elsewhere.
    #[error("it was started {owner}; whether it is awake cannot be told from here")]
    Elsewhere {
        /// Where, and since when.
        owner: String,
    },
    /// Row 8.
    #[error("it failed: {deaths} deaths in a row")]
    Failed {
        /// Counted deaths in a row.
        deaths: usize,
    },
    /// Row 9.
    #[error("crash loop: {deaths} deaths within {} s; retry in {} s", GUARD_WINDOW.as_secs(), whole_seconds(*retry_after))]
    CrashLoop {
        /// Counted deaths in the window.
        deaths: usize,
        /// When the guard lets go.
        retry_after: Duration,
    },
    /// Row 12.
    #[error("there is no conversation to resume")]
    NothingToResume,
}

/// `span` in seconds, rounded up: whoever waits that long is let in.
fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

impl Refusal {
    /// The name of the cause in the table.
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::ManagedElsewhere { .. } => "managed-elsewhere",
            Self::Stopped => "stopped",
            Self::RuntimeUnavailable { .. } | Self::Elsewhere { .. } => "runtime-unavailable",
            Self::Failed { .. } => "failed",
            Self::CrashLoop { .. } => "crash-loop",
            Self::NothingToResume => "nothing-to-resume",
        }
    }

    /// How long to wait before trying again, where that is known.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::CrashLoop { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }

    /// Whether the same wake may succeed later with nobody doing anything.
    pub const fn retryable(&self) -> bool {
        matches!(self, Self::RuntimeUnavailable { .. } | Self::Elsewhere { .. } | Self::CrashLoop { .. })
    }
}

/// What a wake does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WakeDecision {
    /// Start nothing, and say why.
    Refuse(Refusal),
    /// It is awake: deliver a message live.
    AlreadyAwake,
    /// Another caller is starting it: wait for that start, then deliver live.
    StillStarting,
    /// The agent outlived its session: end it with the ladder, observe again, decide again.
    EndOrphan,
    /// The agent is gone: record its end, clear what is left of the session, observe again, decide again.
    RecordEnd,
    /// Start with a new conversation.
    Fresh {
        /// Why.
        cause: WakeCause,
    },
    /// Start with the conversation it had.
    Resume {
        /// The agent's own id of it.
        conversation: String,
        /// Why.
        cause: WakeCause,
    },
}

impl WakeDecision {
    /// Whether it starts an agent at once.
    pub const fn starts(&self) -> bool {
        matches!(self, Self::Fresh { .. } | Self::Resume { .. })
    }
}

impl fmt::Display for WakeDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refuse(refusal) => write!(f, "refuse ({}): {refusal}", refusal.cause()),
            Self::AlreadyAwake => f.write_str("find it awake (already-awake)"),
            Self::StillStarting => f.write_str("wait for the start in progress (already-awake)"),
            Self::EndOrphan => f.write_str("end the orphan, then go on"),
            Self::RecordEnd => f.write_str("record the end, clear the session, then go on"),
            Self::Fresh { cause } => write!(f, "start fresh ({cause})"),
            Self::Resume { conversation, cause } => write!(f, "resume {conversation} ({cause})"),
        }
    }
}

/// What one row of the table says of the facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowReading {
    /// Its number in the table, from 1.
    pub row: u8,
    /// Whether its condition holds.
    pub holds: bool,
    /// Whether it is the first that holds, and so decides.
    pub decides: bool,
    /// Its condition, for a person.
    pub condition: &'static str,
    /// What it does here if it holds, else what it would do.
    pub result: String,
}
