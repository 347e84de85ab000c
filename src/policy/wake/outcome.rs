//! The results of the wake table: a decision, its cause, and the reading of each row.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::policy::ending::EndCause;
use crate::policy::health::GUARD_WINDOW;

/// Why a wake does what it does, as printed, returned and logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WakeCause {
    /// The reason given by the table.
    pub reason: WakeReason,
    /// Whether the table decided to resume but no conversation could be found.
    pub no_conversation: bool,
}

/// The `cause` column of the wake table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WakeReason {
    /// `--fresh`.
    AskedFresh,
    /// `--resume`, or `attach`.
    AskedResume,
    /// `--conversation`.
    AskedConversation,
    /// `peer add --conversation`: one that was begun by hand.
    Adopted,
    /// `peer refresh`.
    Refresh,
    /// The agent never ran.
    FirstWake,
    /// The policy starts every task fresh.
    Ephemeral,
    /// The topic is unknown to the conversation.
    NewTopic,
    /// There is no topic, and resuming requires one.
    NoTopic,
    /// How the last incarnation ended; its name is that of the end's cause.
    Ended(EndCause),
}

impl From<WakeReason> for WakeCause {
    fn from(reason: WakeReason) -> Self {
        Self { reason, no_conversation: false }
    }
}

impl WakeReason {
    /// Returns the name without the suffix.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AskedFresh => "asked-fresh",
            Self::AskedResume => "asked-resume",
            Self::AskedConversation => "asked-conversation",
            Self::Adopted => "adopted",
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

/// What a wake did, as printed, returned and logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// It started the agent in a new conversation.
    Fresh,
    /// It resumed the agent in an earlier conversation.
    Resume,
    /// It started nothing.
    AlreadyAwake,
}

impl Decision {
    /// Returns the decision by which an incarnation was started.
    pub const fn of_start(resumed: bool) -> Self {
        if resumed { Self::Resume } else { Self::Fresh }
    }

    /// Returns the name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Resume => "resume",
            Self::AlreadyAwake => "already-awake",
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The way out of a session that nothing can reach any more, as the reason of a [`Refusal::RuntimeUnavailable`] names it.
pub const STOP_ENDS_IT: &str = "`peer stop` ends it";

/// Why a wake is refused, with the values that its message and its exit code need.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Row 2.
    #[error("its lifecycle is managed by {by}")]
    ManagedElsewhere {
        /// What manages it.
        by: String,
    },
    /// Row 3.
    #[error("it was stopped with `peer stop`")]
    Stopped,
    /// Row 4: a witness did not answer, or the kernel contradicts it. Retry once the axis is known again.
    #[error("its state is unknown ({axis} axis): {why}")]
    RuntimeUnavailable {
        /// `runtime` or `process`.
        axis: &'static str,
        /// Why it is unknown.
        why: String,
    },
    /// Row 4: the witnesses are on another machine or in another pid namespace.
    #[error("it was started {owner}; its state cannot be checked from here")]
    Elsewhere {
        /// Where it was started, and since when.
        owner: String,
    },
    /// Row 5: another conversation is requested than the current one.
    #[error("it is awake in another conversation{}", .now_in.as_ref().map(|id| format!(", {id}")).unwrap_or_default())]
    InAnotherConversation {
        /// Which is asked for.
        asked: String,
        /// Which it is in, where that is known.
        now_in: Option<String>,
    },
    /// Row 5: a new conversation is requested, and something was said in the current one.
    #[error("it is awake, and not in a new conversation")]
    InOldConversation,
    /// Row 10.
    #[error("its agent has no files of the conversation {conversation} for its directory")]
    ConversationGone {
        /// Which was asked for.
        conversation: String,
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
        /// Counted deaths within the window.
        deaths: usize,
        /// How long until the guard allows a start.
        retry_after: Duration,
    },
    /// Row 12.
    #[error("there is no conversation to resume")]
    NothingToResume,
}

/// Returns `span` in whole seconds, rounded up so that a caller that waits so long is not refused again.
fn whole_seconds(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

impl Refusal {
    /// Returns the name of the cause in the table.
    pub const fn cause(&self) -> &'static str {
        match self {
            Self::ManagedElsewhere { .. } => "managed-elsewhere",
            Self::Stopped => "stopped",
            Self::RuntimeUnavailable { .. } | Self::Elsewhere { .. } => "runtime-unavailable",
            Self::Failed { .. } => "failed",
            Self::CrashLoop { .. } => "crash-loop",
            Self::NothingToResume => "nothing-to-resume",
            Self::InAnotherConversation { .. } | Self::InOldConversation => "in-another-conversation",
            Self::ConversationGone { .. } => "conversation-gone",
        }
    }

    /// Returns how long to wait before the next attempt, if known.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::CrashLoop { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }
}

/// What a wake does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WakeDecision {
    /// Start nothing, and report why.
    Refuse(Refusal),
    /// The agent is awake: deliver a message to it directly.
    AlreadyAwake,
    /// Another caller is starting it: wait for that start, then deliver the message directly.
    StillStarting,
    /// The agent outlived its session: end it with the signal ladder, then observe and decide again.
    EndOrphan,
    /// The agent is gone: record its end, clear the rest of the session, then observe and decide again.
    RecordEnd,
    /// Start with a new conversation.
    Fresh {
        /// Why.
        cause: WakeCause,
    },
    /// Start with the existing conversation.
    Resume {
        /// The agent's own id of the conversation.
        conversation: String,
        /// Why.
        cause: WakeCause,
    },
}

impl WakeDecision {
    /// Whether this decision starts an agent at once.
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

/// How one row of the table reads for the given facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RowReading {
    /// The row's number in the table, from 1.
    pub row: u8,
    /// Whether the row's condition holds.
    pub holds: bool,
    /// Whether the row is the first one that holds, and so decides.
    pub decides: bool,
    /// The row's condition in words.
    pub condition: &'static str,
    /// What the row does if it holds, or otherwise would do.
    pub result: String,
}
