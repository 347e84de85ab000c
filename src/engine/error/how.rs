//! Details of errors: how far an operation came, what stood in its way, and what was seen instead.

use std::path::PathBuf;
use std::time::Duration;

use peer_adapters::runtime::Size;

use super::EngineError;
use crate::policy::choice::ChoiceError;

impl EngineError {
    /// Under which name the log tells of a message that is not confirmed; none of what is no such thing.
    pub(in crate::engine) fn unconfirmed(&self) -> Option<&'static str> {
        match self.itself() {
            Self::NotAccepted { how, .. } | Self::Interrupted { how, .. } => Some(how.as_str()),
            Self::NoRoom { .. } => Some("pane-too-small"),
            _ => None,
        }
    }

    /// Whether the same message may be sent again as it is, where one was not delivered: it was not said, and will not be.
    pub fn is_retryable(&self) -> Option<bool> {
        match self.itself() {
            Self::NotAccepted { how, .. } | Self::Interrupted { how, .. } => Some(*how != Undelivered::NotSeen),
            Self::NoRoom { .. } => Some(true),
            Self::Unsendable { .. } | Self::TooManyHops { .. } => Some(false),
            _ => None,
        }
    }
}

/// The reason why a question was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// The profile recognizes no rows in the question.
    #[error("its profile does not describe the rows of this question; no key was pressed")]
    NoRows,
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
    /// Enter had no effect, or the same question came back.
    #[error("Enter was pressed on that row, but the question is still open")]
    Stands,
}

/// Why an agent cannot go on in a conversation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Another agent's files hold it.
    #[error("it is one of {agent}, and its agent is {own}")]
    OfAgent {
        /// Whose it is.
        agent: String,
        /// What runs in its pane now.
        own: String,
    },
    /// Its agent starts anew each time.
    #[error("{agent} does not resume conversations")]
    NoResume {
        /// The profile.
        agent: String,
    },
    /// Its agent keeps no such conversation for its directory.
    #[error("{agent} keeps no such conversation of {}{}", .cwd.display(),
        .place.as_ref().map(|place| format!(": there is no {}", place.display())).unwrap_or_default())]
    NotFound {
        /// The profile.
        agent: String,
        /// Its working directory.
        cwd: PathBuf,
        /// Where it would be, if its id tells.
        place: Option<PathBuf>,
    },
    /// Some process has it open, and two would write into one transcript.
    #[error("process {pid} has it open")]
    Open {
        /// Which.
        pid: u32,
    },
    /// An incarnation of it is on record.
    #[error("it is awake, or its end is not recorded yet")]
    Awake,
}

impl Unanswered {
    /// Returns the name used in JSON output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoRows => "rows-unknown",
            Self::StartAnswers => "start-answers",
            Self::NoCursor => "cursor-unknown",
            Self::Restless => "screen-restless",
            Self::NotMoved => "cursor-not-moved",
            Self::Changed => "question-changed",
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

pub(super) fn numbered(rows: &[String]) -> String {
    let row = |(index, label): (usize, &String)| format!("{}. {label}", index + 1);
    rows.iter().enumerate().map(row).collect::<Vec<_>>().join(" / ")
}

/// How far a message came that was not confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
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
    #[error("it needs a person: {question}")]
    NeedsPerson {
        /// The question.
        question: String,
        /// The dialog's id, if `accept` in the spec may answer it.
        acceptable: Option<String>,
    },
}

pub(super) fn quote(screen: &[String]) -> String {
    if screen.is_empty() { String::new() } else { format!("; its screen says: {}", screen.join(" / ")) }
}
