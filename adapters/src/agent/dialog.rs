//! The questions that an agent may ask on the screen.

use serde::Deserialize;

use super::Pattern;

/// What a dialog needs from the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DialogKind {
    /// The agent asks for permission to do something.
    Permission,
    /// The agent asks for information.
    Question,
    /// The agent asks whether to trust a directory.
    Trust,
    /// The agent has no account, key or model.
    SignIn,
    /// The user must choose an entry or close the menu.
    Menu,
}

/// A question that the agent asks on the screen.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dialog {
    /// The name by which a peer's spec accepts it (`accept = ["trust-folder"]`).
    pub id: String,
    /// The pattern that recognises it. Its first capture group, if it has one, is the question shown to the user;
    /// otherwise the whole match.
    pub screen: Pattern,
    /// What it needs from the user; by default derived from the id, or a question.
    #[serde(default)]
    pub kind: Option<DialogKind>,
    /// The question to show instead of the text on the screen.
    #[serde(default)]
    pub question: Option<String>,
    /// The beginning of the row to choose if the spec accepts the dialog.
    #[serde(default)]
    pub answer: Option<String>,
    /// The beginning of the row with the cursor.
    #[serde(default)]
    pub cursor: Option<Pattern>,
    /// A row that can be chosen, with or without the cursor. The group `label` is its label; the group `number` is its
    /// number, if it has one; the group `tick` is what its checkbox contains, if it has one. The group `button` is the
    /// label of a row without a number among rows that have one.
    #[serde(default)]
    pub rows: Option<Pattern>,
    /// The label of a row that takes an answer in the user's own words.
    #[serde(default)]
    pub typed: Option<Pattern>,
    /// The label of a row that ends the agent, as a person wants who chooses it.
    #[serde(default)]
    pub ends: Option<Pattern>,
    /// The line just above the dialog, if the subject of the question is above what `screen` matches.
    #[serde(default)]
    pub above: Option<Pattern>,
    /// Whether only a person may answer it, whatever the spec accepts.
    #[serde(default)]
    pub needs_person: bool,
    /// Whether it is a box with its own background, drawn over the screen. `screen` is then matched only against the
    /// text of such a box, whatever is below it.
    #[serde(default)]
    pub over: bool,
    /// Whether it stands between the edges of the composer, in place of what is typed. `screen` is then matched only against
    /// the text there, and only if part of it has a colour of its own, which typed text never has.
    #[serde(default)]
    pub inside: bool,
}

impl Dialog {
    /// Returns what the dialog needs from the user.
    pub fn kind(&self) -> DialogKind {
        self.kind.unwrap_or(match self.id.as_str() {
            "permission" => DialogKind::Permission,
            id if id.starts_with("trust") => DialogKind::Trust,
            "sign-in" => DialogKind::SignIn,
            "menu" => DialogKind::Menu,
            _ => DialogKind::Question,
        })
    }
}
