//! What the composer shows.

use super::{Piece, Session};
use crate::screen::Cursor;

/// Rows of the composer that are shown.
const COMPOSER_ROWS: usize = 10;

/// Characters of a message that an answer repeats.
pub(super) const ECHO: usize = 60;

impl Session<'_> {
    /// The live area: what is in progress, then the composer between its two rules.
    pub(super) fn composer(&self) -> (Vec<String>, Cursor) {
        let columns = self.screen.columns();
        let mut live = Vec::new();
        if self.turn.is_some() {
            live.push("✻ Working… (esc to interrupt)".to_owned());
        }
        live.extend(self.queue.iter().map(|text| format!("  queued: {}", shortened(text))));
        let rule = "─".repeat(columns);
        live.push(rule.clone());
        let rows = self.draft_rows(columns.saturating_sub(3).max(1));
        let shown = &rows[rows.len().saturating_sub(COMPOSER_ROWS)..];
        for (index, row) in shown.iter().enumerate() {
            live.push(format!("{}{row}", if index == 0 { "> " } else { "  " }));
        }
        let cursor = Cursor { row: live.len() - 1, column: 2 + shown.last().map_or(0, |row| row.chars().count()) };
        if let Some(ghost) = self.flags.ghost.as_ref().filter(|_| self.draft.is_empty())
            && let Some(last) = live.last_mut()
        {
            last.extend(["\x1b[2m", ghost, "\x1b[22m"]);
        }
        live.push(rule);
        if self.control_c_at.is_some() {
            live.push("  Press Ctrl-C again to exit".to_owned());
        }
        (live, cursor)
    }

    /// The content of the composer, in rows of at most `width` characters; at least one row.
    fn draft_rows(&self, width: usize) -> Vec<String> {
        let text = self.draft.iter().fold(String::new(), |text, piece| match piece {
            Piece::Char(c) => text + c.encode_utf8(&mut [0; 4]),
            Piece::Paste { number, text: pasted } => match pasted.matches('\n').count() {
                0 => text + &format!("[Pasted text #{number}]"),
                lines => text + &format!("[Pasted text #{number} +{lines} lines]"),
            },
        });
        let mut rows = Vec::new();
        for line in text.split('\n') {
            let characters: Vec<char> = line.chars().filter(|c| !c.is_control()).collect();
            rows.extend(characters.chunks(width).map(|row| row.iter().collect::<String>()));
            if characters.is_empty() {
                rows.push(String::new());
            }
        }
        rows
    }
}

/// The first characters of a message, on one line.
pub(super) fn shortened(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(ECHO).collect()
}
