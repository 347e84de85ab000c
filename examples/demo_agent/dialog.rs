//! Questions with rows to choose from.

use std::collections::VecDeque;
use std::time::Instant;

use crate::screen::Cursor;

/// A question of the agent.
pub(crate) struct Dialog {
    question: String,
    rows: Vec<String>,
    /// Whether its rows have numbers.
    numbered: bool,
    /// The row with the cursor, and the one that had it before.
    chosen: usize,
    before: usize,
    /// When the cursor moved.
    moved_at: Option<Instant>,
}

impl Dialog {
    /// Asks whether the folder is trusted, with the cursor on no.
    pub(crate) fn trust() -> Self {
        let question = "Quick safety check: Is this a project you created or one you trust?".to_owned();
        Self::new(question, vec!["No, exit".to_owned(), "Yes, I trust this folder".to_owned()], false)
    }

    /// The questions of a message `ASK question? | row | row ;; question? | row`, in order.
    pub(crate) fn of_message(text: &str) -> VecDeque<Self> {
        let Some(asked) = text.trim().strip_prefix("ASK ") else { return VecDeque::new() };
        let one = |part: &str| {
            let mut words = part.split('|').map(|word| word.trim().to_owned());
            let question = words.next().unwrap_or_default();
            Self::new(question, words.collect(), true)
        };
        asked.split(";;").map(one).collect()
    }

    fn new(question: String, rows: Vec<String>, numbered: bool) -> Self {
        Self { question, rows, numbered, chosen: 0, before: 0, moved_at: None }
    }

    /// Whether this is the question about the folder.
    pub(crate) fn is_trust(&self) -> bool {
        !self.numbered
    }

    /// Moves the cursor.
    pub(crate) fn step(&mut self, down: bool) {
        let moved = if down { self.chosen + 1 } else { self.chosen.saturating_sub(1) };
        self.before = self.chosen;
        self.chosen = moved.min(self.rows.len().saturating_sub(1));
    }

    /// Records that the moved cursor is drawn now.
    pub(crate) fn seen(&mut self) {
        self.moved_at = Some(Instant::now());
    }

    /// The row that an Enter takes, which is the previous one for `late` after a move.
    pub(crate) fn taken(&self, late: std::time::Duration) -> usize {
        if self.moved_at.is_some_and(|at| at.elapsed() < late) { self.before } else { self.chosen }
    }

    /// A row with its number.
    pub(crate) fn label(&self, row: usize) -> String {
        let label = self.rows.get(row).map_or("", String::as_str);
        if self.numbered { format!("{}. {label}", row + 1) } else { label.to_owned() }
    }

    /// The lines of the dialog, and the cursor.
    pub(crate) fn draw(&self) -> (Vec<String>, Cursor) {
        let mut live = vec![format!(" {}", self.question), String::new()];
        for row in 0..self.rows.len() {
            live.push(format!(" {} {}", if row == self.chosen { '❯' } else { ' ' }, self.label(row)));
        }
        live.extend([String::new(), " Enter to confirm · Esc to cancel".to_owned()]);
        (live, Cursor { row: 2 + self.chosen, column: 1 })
    }
}
