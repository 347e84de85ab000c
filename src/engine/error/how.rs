//! How far it came, what stood in the way, and what was seen instead: the words of errors.

use std::time::Duration;

use peer_adapters::runtime::Size;

use crate::policy::choice::NoRow;

/// Why a question was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// It has no rows that the profile knows.
    #[error("the rows of its question are not known by its profile; nothing was pressed")]
    NoRows,
    /// Its spec accepts this dialog.
    #[error("its start answers this dialog, which its spec accepts; nothing was pressed")]
    StartAnswers,
    /// Nothing tells which row Enter would take.
    #[error("its screen does not show which row has the cursor; Enter was not pressed")]
    NoCursor,
    /// It never stood still.
    #[error("its screen changes all the time; Enter was not pressed")]
    Restless,
    /// A key did nothing, or something else.
    #[error("its cursor does not move to that row; Enter was not pressed")]
    NotMoved,
    /// Another question came.
    #[error("it asks something else by now, or nothing; Enter was not pressed")]
    Changed,
    /// Enter did nothing, or the same question came again.
    #[error("Enter was pressed on that row, and the question stands")]
    Stands,
}

impl Unanswered {
    /// In documents.
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

pub(super) fn no_row(why: NoRow) -> &'static str {
    match why {
        NoRow::Nothing => "no row",
        NoRow::Several => "more than one row",
    }
}

pub(super) fn numbered(rows: &[String]) -> String {
    let row = |(index, label): (usize, &String)| format!("{}. {label}", index + 1);
    rows.iter().enumerate().map(row).collect::<Vec<_>>().join(" / ")
}

/// How far a message came that was not seen to arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// Nothing of it is in the agent or its composer; it may be sent again.
    #[error("not typed")]
    NotTyped,
    /// It stands in the composer, or may; it may be sent again, and is then said once.
    #[error("typed and not sent")]
    NotSent,
    /// It was sent, and what the agent wrote down does not show it. The same message sent again is looked for first.
    #[error("sent and not seen to arrive")]
    NotSeen,
}

impl Undelivered {
    /// In documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotTyped => "not-typed",
            Self::NotSent => "not-sent",
            Self::NotSeen => "not-seen",
        }
    }
}

/// How a started agent is not ready.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// It ended first.
    #[error("it ended ({how})")]
    Ended {
        /// How, as it is shown.
        how: String,
        /// How many starts in a row were to resume, and ended like this.
        failed_resumes: u32,
    },
    /// Time passed; it lives.
    #[error("nothing said that it is after {} s; it is left running", .0.as_secs())]
    TimedOut(Duration),
    /// The same, in a pane that is too small to show it.
    #[error(
        "nothing said that it is after {} s in a pane of {} columns and {} rows; it is left running",
        .after.as_secs(), .size.columns, .size.rows
    )]
    NoRoom {
        /// How long it was waited for.
        after: Duration,
        /// How small.
        size: Size,
    },
    /// It asks something that a program must not answer, or was not allowed to.
    #[error("it needs a person: {question}")]
    NeedsPerson {
        /// What it asks.
        question: String,
        /// The dialog's id where `accept` in the spec may answer it.
        acceptable: Option<String>,
    },
}

pub(super) fn quote(screen: &[String]) -> String {
    if screen.is_empty() { String::new() } else { format!("; its screen says: {}", screen.join(" / ")) }
}
