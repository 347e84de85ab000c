//! What the mouse does: it chooses, sorts and scrolls, and answers nothing.

use ratatui::layout::Rect;

use crate::cli::verbs::top::app::{App, Effect, Mode};
use crate::cli::verbs::top::draw::layout::{Place, Plan};
use crate::cli::verbs::top::pager::Page;

impl App {
    /// A click chooses a peer or sorts by a column; it answers no question.
    pub(super) fn click(&mut self, column: u16, row: u16) {
        if self.mode != Mode::Browse || self.pager.is_some() {
            return;
        }
        match Plan::of(self, self.area()).at(self, column, row) {
            Place::Row(name) => self.chosen = Some(name),
            Place::Title(order) if order == self.order => self.reversed = !self.reversed,
            Place::Title(order) => self.order = order,
            Place::Chosen | Place::Nothing => {}
        }
    }

    /// The wheel moves what it is over; over the chosen peer's screen it opens that screen as a page.
    pub(super) fn wheel(&mut self, column: u16, row: u16, lines: i8) -> Option<Effect> {
        let rows = self.page_rows();
        if let (Some(pager), Mode::Browse) = (&mut self.pager, &self.mode) {
            pager.step(lines.into(), rows);
            return None;
        }
        if self.mode != Mode::Browse {
            self.scroll_question(lines.into(), false);
            return None;
        }
        match Plan::of(self, self.area()).at(self, column, row) {
            Place::Chosen if lines < 0 => self.read(Page::Screen),
            Place::Row(_) | Place::Title(_) => {
                self.step(isize::from(lines.signum()));
                None
            }
            Place::Chosen | Place::Nothing => None,
        }
    }

    fn area(&self) -> Rect {
        Rect::new(0, 0, self.size.0, self.size.1)
    }
}
