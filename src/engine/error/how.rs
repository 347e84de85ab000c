//! Details of errors: how far an operation came, what stood in its way, and what was seen instead.

use std::path::PathBuf;
use std::time::Duration;

use peer_adapters::runtime::Size;

use super::EngineError;
use crate::policy::choice::ChoiceError;

impl EngineError {
    /// Returns the name under which the log records an unconfirmed message; `None` for every other error.
    pub(in crate::engine) fn unconfirmed(&self) -> Option<&'static str> {
        match self.itself() {
            _ if self.is_undelivered() => Some(Undelivered::NotTyped.as_str()),
            Self::NotAccepted { how, .. } | Self::Interrupted { how, .. } => Some(how.as_str()),
            Self::NoRoom { .. } => Some("pane-too-small"),
            _ => None,
        }
    }

    /// Whether the undelivered message may be sent again unchanged, because it was not said and will not be said later.
    /// `None` if the error is not about a delivery.
    pub fn is_retryable(&self) -> Option<bool> {
        match self.itself() {
            _ if self.is_undelivered() => Some(true),
            Self::NotAccepted { how, .. } | Self::Interrupted { how, .. } => Some(*how != Undelivered::NotSeen),
            Self::NoRoom { .. } => Some(true),
            Self::Unsendable { .. } | Self::TooManyHops { .. } => Some(false),
            _ => None,
        }
    }

    /// Whether a message was not typed because the start before it failed.
    pub const fn is_undelivered(&self) -> bool {
        matches!(self, Self::NotDelivered { .. })
    }
}

/// The reason why a question was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// The profile recognizes no rows in the question.
    #[error("its profile does not describe the rows of this question; no key was pressed")]
    NoRows,
    /// The row takes an answer in the user's own words.
    #[error("that row takes an answer in your own words; no key was pressed")]
    Typed,
    /// The spec accepts this dialog, so the start answers it.
    #[error("its spec accepts this dialog, so a wake answers it; no key was pressed")]
    StartAnswers,
    /// The screen does not show which row Enter would choose.
    #[error("its screen does not show which row has the cursor; Enter was not pressed")]
    NoCursor,
    /// The screen never stopped changing.
    #[error("its screen keeps changing; Enter was not pressed")]
    Restless,
    /// A key had no effect, or an unexpected one.
    #[error("the cursor did not move to that row; Enter was not pressed")]
    NotMoved,
    /// Another question took its place.
    #[error("the question has changed or is gone; Enter was not pressed")]
    Changed,
    /// It is not the question of which the user saw the rows.
    #[error("it asks something else by now; no key was pressed")]
    Replaced,
    /// Enter had no effect, or the same question came back.
    #[error("Enter was pressed on that row, but the question is still open")]
    Stands,
}

/// The reason why an agent cannot continue in a conversation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It is a conversation of another agent.
    #[error("it is one of {agent}, and its agent is {own}")]
    OfAgent {
        /// The agent that it belongs to.
        agent: String,
        /// The agent of the peer.
        own: String,
    },
    /// The agent cannot resume conversations.
    #[error("{agent} does not resume conversations")]
    NoResume {
        /// The profile.
        agent: String,
    },
    /// The agent has no such conversation for its working directory.
    #[error("{agent} keeps no such conversation of {}{}", .cwd.display(),
        .place.as_ref().map(|place| format!(": there is no {}", place.display())).unwrap_or_default())]
    NotFound {
        /// The profile.
        agent: String,
        /// The working directory.
        cwd: PathBuf,
        /// The path at which it would be, if that follows from the id.
        place: Option<PathBuf>,
    },
    /// A process has it open. Two processes would write to one transcript.
    #[error("process {pid} has it open")]
    Open {
        /// The pid of that process.
        pid: u32,
    },
    /// An incarnation of the peer is recorded and has not ended.
    #[error("it is awake, or its end is not recorded yet")]
    Awake,
}

impl Unanswered {
    /// Returns the name used in JSON output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoRows => "rows-unknown",
            Self::Typed => "row-typed",
            Self::StartAnswers => "start-answers",
            Self::NoCursor => "cursor-unknown",
            Self::Restless => "screen-restless",
            Self::NotMoved => "cursor-not-moved",
            Self::Changed | Self::Replaced => "question-changed",
            Self::Stands => "question-stands",
        }
    }
}

pub(super) fn no_row(why: ChoiceError) -> &'static str {
    match why {
        ChoiceError::NoMatch => "no row",
        ChoiceError::Ambiguous => "several rows",
    }
}

/// How far a message came that was not confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(clippy::enum_variant_names, reason = "each says what has not happened")]
pub enum Undelivered {
    /// Nothing of it is in the agent or its composer; it can be sent again.
    #[error("not typed")]
    NotTyped,
    /// It is in the composer, or may be. It can be sent again, and is then delivered once.
    #[error("typed but not sent")]
    NotSent,
    /// It was sent, and the agent's own record does not show it. If the same message is sent again, the record is
    /// searched first.
    #[error("sent but not confirmed")]
    NotSeen,
}

impl Undelivered {
    /// Returns the name used in JSON output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotTyped => "not-typed",
            Self::NotSent => "not-sent",
            Self::NotSeen => "not-seen",
        }
    }
}

/// What becomes of a wake whose caller was asked to stop waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeftStart {
    /// Nothing was started.
    #[error("was not woken")]
    NotBegun,
    /// Its agent becomes ready without the caller.
    #[error("goes on starting")]
    GoesOn,
    /// Its agent is ready.
    #[error("is awake")]
    Awake,
}

/// In which way a started agent is not ready.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// It ended first.
    #[error("it ended ({how})")]
    Ended {
        /// How it ended, in the words shown to the user.
        how: String,
        /// How many resumes in a row ended like this.
        failed_resumes: u32,
    },
    /// It did not become ready in time, and is still running.
    #[error("it is not ready after {} s; still running", .0.as_secs())]
    TimedOut(Duration),
    /// It did not become ready in time, in a pane that is too small to show it.
    #[error(
        "it is not ready after {} s in a pane of {} columns and {} rows; still running",
        .after.as_secs(), .size.columns, .size.rows
    )]
    NoRoom {
        /// How long the caller waited.
        after: Duration,
        /// The pane's size.
        size: Size,
    },
    /// It shows a dialog that `peer` must not answer, or was not allowed to.
    #[error("it needs a person: {question}{}", choices(.rows))]
    NeedsPerson {
        /// The question.
        question: Box<str>,
        /// Its rows, with their numbers; empty if they are unknown.
        rows: Box<[String]>,
        /// The dialog's id, if `accept` in the spec may answer it.
        acceptable: Option<Box<str>>,
        /// How a person can answer it.
        answer: AnswerWith,
    },
}

/// The commands with which a person can answer an agent's question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerWith {
    /// `peer attach`: a program cannot choose one of its rows, or does not know them.
    Attach,
    /// `peer answer` or `peer attach`.
    AnswerOrAttach,
}

impl AnswerWith {
    /// Returns the ways to answer a question of which `peer answer` can choose a row, or cannot.
    pub const fn of(answerable: bool) -> Self {
        if answerable { Self::AnswerOrAttach } else { Self::Attach }
    }

    /// Returns the commands for a peer's question, as in a hint.
    pub fn commands(self, peer: &str) -> String {
        match self {
            Self::Attach => format!("peer attach {peer}"),
            Self::AnswerOrAttach => format!("peer answer {peer}, or peer attach {peer}"),
        }
    }
}

/// Returns the rows of a question behind it.
pub(in crate::engine) fn choices(rows: &[String]) -> String {
    if rows.is_empty() { String::new() } else { format!("; its rows: {}", rows.join(" / ")) }
}

pub(super) fn quote(screen: &[String]) -> String {
    if screen.is_empty() { String::new() } else { format!("; its screen says: {}", screen.join(" / ")) }
}
