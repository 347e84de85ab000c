//! Keys while the question of an agent is shown. A key that chooses counts only if its user had seen the question, and
//! if it was neither typed ahead nor part of a text.

use super::Around;
use crate::cli::verbs::top::app::{App, Effect, Mode};
use crate::cli::verbs::top::asked::Asked;
use crate::cli::verbs::top::draw::asked::{page, top};
use crate::cli::verbs::top::input::Key;

impl App {
    pub(super) fn asked_key(&mut self, key: Key, around: Around) -> Option<Effect> {
        let Mode::Asks(asked) = &mut self.mode else { return None };
        let (moved, digits) = (std::mem::take(&mut asked.moved), std::mem::take(&mut asked.digits));
        let meant = (around.rested || moved) && !around.goes_on && !self.types_ahead;
        match key {
            // With a letter that was read together with it.
            Key::Esc | Key::Alt(_) | Key::Char('q') => self.mode = Mode::Browse,
            Key::Char('a') if meant => {
                let whom = asked.whom.clone();
                self.mode = Mode::Browse;
                return Some(self.begin_attach(whom));
            }
            Key::F5 | Key::Ctrl('r' | 'l') if asked.open().is_some() => return self.read_question(),
            Key::PageUp => self.scroll_question(-1, true),
            Key::PageDown => self.scroll_question(1, true),
            Key::Enter => {
                let row = asked.at;
                return self.choose(row, meant && around.looked);
            }
            Key::Char(c) if c.is_ascii_digit() => return self.digit(c, digits, meant && around.looked),
            key => move_mark(asked, key),
        }
        None
    }

    /// Applies a digit: it chooses the row with this number, or goes there if numbers have several digits.
    fn digit(&mut self, c: char, before: usize, meant: bool) -> Option<Effect> {
        let Mode::Asks(asked) = &mut self.mode else { return None };
        asked.open()?;
        let digit = usize::try_from(c.to_digit(10)?).ok()?;
        let longer = before.saturating_mul(10).saturating_add(digit);
        let number = if asked.row_of(longer).is_some() { longer } else { digit };
        let Some(row) = asked.row_of(number) else {
            self.message.pass(format!("there is no row {digit}"));
            return None;
        };
        if asked.has_long_numbers() {
            asked.step(isize::MIN / 2);
            asked.step(isize::try_from(row).unwrap_or(isize::MAX));
            asked.digits = number;
            return None;
        }
        self.choose(row, meant)
    }

    fn choose(&mut self, row: usize, meant: bool) -> Option<Effect> {
        let Mode::Asks(asked) = &mut self.mode else { return None };
        let question = asked.open()?;
        if question.cursor.is_none() {
            self.message.pass("no row can be chosen from here: a attaches");
        } else if question.rows.get(row)?.typed {
            self.message.pass("that row takes an answer in your own words: a attaches");
        } else if !meant {
            self.message.pass("that was typed before it could be read: press it again");
        } else {
            return self.choose_row(row);
        }
        None
    }

    /// Scrolls what is above the rows, by lines or by pages down.
    pub(super) fn scroll_question(&mut self, by: isize, pages: bool) {
        let Mode::Asks(asked) = &self.mode else { return };
        let most = top(self, asked);
        let lines = if pages { by.saturating_mul(isize::try_from(page(self)).unwrap_or(1)) } else { by };
        if let Mode::Asks(asked) = &mut self.mode {
            asked.up = asked.up.min(most).saturating_add_signed(-lines).min(most);
        }
    }
}

fn move_mark(asked: &mut Asked, key: Key) {
    let by = match key {
        Key::Up | Key::Char('k') | Key::Ctrl('p') => -1,
        Key::Down | Key::Char('j') | Key::Ctrl('n') => 1,
        Key::Home | Key::Char('g') => isize::MIN / 2,
        Key::End | Key::Char('G') => isize::MAX / 2,
        _ => return,
    };
    asked.step(by);
    // A letter may belong to a text.
    asked.moved = !matches!(key, Key::Char(_));
}
