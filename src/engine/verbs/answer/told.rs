//! What an agent asks, which of its rows is chosen, and what followed.

use peer_adapters::screen::{Menu, MenuRow};
use serde::Serialize;

use crate::engine::observe::turn;
use crate::policy::ending::EndCause;
use crate::policy::turn::{Ask, AskKind};

/// A question that an agent asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names are those of the JSON document")]
pub struct Question {
    /// The kind of answer that a person must give.
    pub kind: AskKind,
    /// The question on one line, if its screen or its status file shows it.
    pub question: Option<String>,
    /// The text above the rows: the question and its context.
    pub text: Vec<String>,
    /// Whether `text` lacks its beginning, which is above the screen.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_cut: bool,
    /// The rows; empty if they are unknown.
    pub rows: Vec<MenuRow>,
    /// The place of the row with the cursor among the rows, starting at 1.
    pub cursor: Option<usize>,
}

/// Which row of which question is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice<'a> {
    /// Of whatever is asked, the row with this number or label, as the user names it.
    Named(&'a str),
    /// Of this very question, which the user saw, the row with this index.
    Seen(&'a Question, usize),
}

/// The chosen row, and what followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answered {
    /// The question.
    pub question: String,
    /// The number of the row, if it has one.
    pub row: Option<usize>,
    /// Its label.
    pub label: String,
    /// What that did to the row.
    pub did: Did,
    /// What the screen showed afterwards.
    #[serde(flatten)]
    pub after: After,
}

/// What an answer did to its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Did {
    /// It was chosen.
    Chose,
    /// Its checkbox was ticked.
    Ticked,
    /// Its checkbox was cleared.
    Unticked,
}

impl Did {
    /// Returns the verb that tells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chose => "chose",
            Self::Ticked => "ticked",
            Self::Unticked => "unticked",
        }
    }
}

/// What a screen showed after an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "after")]
pub enum After {
    /// A turn in progress.
    Busy,
    /// A composer that is ready for a message.
    Free,
    /// Another question, or the same one with another row ticked.
    Asks {
        /// The question, on one line.
        next: String,
        /// All of it.
        asks: Box<Question>,
    },
    /// The agent ended.
    Ended {
        /// Why; `None` if that is not known yet.
        cause: Option<EndCause>,
        /// Whether it counts as a death.
        counted: Option<bool>,
        /// How, as it is shown to the user.
        #[serde(skip)]
        how: Option<String>,
    },
    /// No question, and nothing else that is recognized.
    Unknown,
}

impl Question {
    pub(super) fn of(menu: &Menu) -> Self {
        let Ask { kind, question, .. } = turn::ask(&menu.dialog);
        let cursor = menu.cursor.map(|cursor| cursor + 1);
        Self { kind, question, text: menu.text.clone(), is_cut: menu.is_cut, rows: menu.rows.clone(), cursor }
    }

    /// Returns `true` if the other one asks and offers the same, wherever its cursor is.
    pub fn is_same(&self, other: &Self) -> bool {
        let without_cursor = |question: &Self| Self { cursor: None, ..question.clone() };
        without_cursor(self) == without_cursor(other)
    }
}
