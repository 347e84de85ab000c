//! A page on the whole screen: the screen and history of the chosen peer's pane, or its log.

use ratatui::text::{Line, Text};

use super::editor::Editor;
use super::input::Key;
use crate::cli::render::output::printable;
use crate::policy::name::PeerName;
use crate::store::Event;

/// What the page shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    Screen,
    Log,
}

impl Page {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Screen => "screen",
            Self::Log => "log",
        }
    }
}

/// What the caller has to do after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing.
    Stay,
    Close,
    /// Read this page of the same peer, again or for the first time.
    Read(Page),
    Attach,
    /// Show the question of that peer.
    Answer,
}

/// How many columns a key moves to the side.
const SIDE: usize = 16;

/// The text of a page, and the position in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pager {
    pub(super) name: PeerName,
    pub(super) page: Page,
    /// `None` until it has come.
    pub(super) text: Option<Text<'static>>,
    /// The first line and the first column that are shown.
    pub(super) top: usize,
    pub(super) left: usize,
    /// Whether new lines at the end are scrolled into view.
    pub(super) follows: bool,
    /// The search text, and whether it is being typed.
    pub(super) search: Editor,
    pub(super) searching: bool,
    /// The line that the last search found.
    pub(super) found: Option<usize>,
    /// The outcome of the last search.
    pub(super) note: &'static str,
}

impl Pager {
    pub(super) fn new(name: PeerName, page: Page) -> Self {
        Self {
            name,
            page,
            text: None,
            top: 0,
            left: 0,
            follows: true,
            search: Editor::default(),
            searching: false,
            found: None,
            note: "",
        }
    }

    pub(super) fn lines(&self) -> &[Line<'static>] {
        self.text.as_ref().map_or(&[], |text| &text.lines)
    }

    /// Takes the text, or a newer version of it.
    pub(super) fn load(&mut self, text: Text<'static>, rows: usize) {
        self.text = Some(text);
        if self.follows {
            self.top = self.bottom(rows);
        }
        self.top = self.top.min(self.bottom(rows));
    }

    /// The first line that is shown when the last line is at the bottom.
    pub(super) fn bottom(&self, rows: usize) -> usize {
        self.lines().len().saturating_sub(rows)
    }

    /// Applies a key where `rows` lines are shown.
    pub(super) fn key(&mut self, key: Key, rows: usize) -> Turn {
        if self.searching {
            self.type_search(key, rows);
            return Turn::Stay;
        }
        self.note = "";
        match key {
            Key::Esc | Key::Char('q') => return Turn::Close,
            Key::Char('v') if self.page != Page::Screen => return Turn::Read(Page::Screen),
            Key::Char('l') if self.page != Page::Log => return Turn::Read(Page::Log),
            Key::Char('r') | Key::F5 | Key::Ctrl('r' | 'l') => return Turn::Read(self.page),
            Key::Char('a') => return Turn::Attach,
            Key::Char('A') => return Turn::Answer,
            Key::Char('/') => (self.searching, self.search) = (true, Editor::default()),
            Key::Char('n') => self.find(rows, false, self.found.map_or(self.top, |at| at + 1)),
            Key::Char('N') => self.find(rows, true, self.found.unwrap_or(self.top)),
            Key::Right => self.left += SIDE,
            Key::Left => self.left = self.left.saturating_sub(SIDE),
            key => self.scroll(key, rows),
        }
        Turn::Stay
    }

    fn scroll(&mut self, key: Key, rows: usize) {
        let page = isize::try_from(rows).unwrap_or(isize::MAX).max(1);
        let by = match key {
            Key::Down | Key::Enter | Key::Char('j') | Key::Ctrl('e' | 'n') => 1,
            Key::Up | Key::Char('k') | Key::Ctrl('y' | 'p') => -1,
            Key::PageDown | Key::Char(' ' | 'f') | Key::Ctrl('f' | 'v') => page,
            Key::PageUp | Key::Char('b') | Key::Ctrl('b') => -page,
            Key::Char('d') | Key::Ctrl('d') => page / 2,
            Key::Char('u') | Key::Ctrl('u') => -page / 2,
            Key::Home | Key::Char('g') => isize::MIN / 2,
            Key::End | Key::Char('G') => isize::MAX / 2,
            _ => return,
        };
        self.step(by, rows);
    }

    /// Moves by this many lines; at the bottom, the page follows.
    pub(super) fn step(&mut self, by: isize, rows: usize) {
        self.top = self.top.saturating_add_signed(by).min(self.bottom(rows));
        self.found = None;
        self.follows = self.top == self.bottom(rows);
    }

    fn type_search(&mut self, key: Key, rows: usize) {
        match key {
            Key::Enter | Key::NewLine => {
                self.searching = false;
                // The newest lines are the nearest: from the bottom the search goes up.
                if self.follows { self.find(rows, true, self.lines().len()) } else { self.find(rows, false, self.top) }
            }
            Key::Esc => (self.searching, self.search) = (false, Editor::default()),
            key => {
                self.search.key(key);
            }
        }
    }

    /// Shows the next line that matches the search, from `from` on or above it, and wraps around at the ends.
    fn find(&mut self, rows: usize, backwards: bool, from: usize) {
        let count = self.lines().len();
        if self.search.text().is_empty() || count == 0 {
            return;
        }
        let from = from.min(count);
        let mut order: Vec<usize> = (from..count).chain(0..from).collect();
        if backwards {
            order = (0..from).rev().chain((from..count).rev()).collect();
        }
        let found = order.into_iter().find(|at| !self.found_in(&self.lines()[*at]).is_empty());
        match found {
            Some(at) => {
                (self.found, self.follows) = (Some(at), false);
                self.top = at.min(self.bottom(rows));
            }
            None => self.note = "not found",
        }
    }

    /// The byte ranges of a line that match the search. A search in small letters ignores case.
    pub(super) fn found_in(&self, line: &Line<'_>) -> Vec<std::ops::Range<usize>> {
        let needle = self.search.text();
        let (mut text, folds) = (line.to_string(), !needle.chars().any(char::is_uppercase));
        if needle.is_empty() {
            return Vec::new();
        }
        if folds {
            // Only ASCII letters, which keep their length: the ranges must hold in the line itself.
            text.make_ascii_lowercase();
        }
        text.match_indices(needle).map(|(at, found)| at..at + found.len()).collect()
    }
}

/// Formats an event of one peer in little space: time (UTC), name, cause.
pub(super) fn log_line(event: &Event) -> Line<'static> {
    // A line that another program wrote is shown as it is.
    let at = event.ts.get(5..19).map_or_else(|| event.ts.clone(), |at| at.replace('T', " "));
    let cause = event.cause.as_deref().unwrap_or_default();
    let details: Vec<String> = event.details.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let line = format!("{at}  {:<18} {cause:<14} {}", event.event, details.join(" "));
    Line::raw(printable(line.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pager(lines: usize, rows: usize) -> Pager {
        let mut pager = Pager::new("api".parse().expect("a name"), Page::Screen);
        pager.load(text(lines), rows);
        pager
    }

    fn text(lines: usize) -> Text<'static> {
        Text::from((0..lines).map(|line| Line::from(format!("Line {line}"))).collect::<Vec<_>>())
    }

    fn types(pager: &mut Pager, text: &str) {
        for c in text.chars() {
            let key = if c == '\r' { Key::Enter } else { Key::Char(c) };
            assert_eq!(pager.key(key, 10), Turn::Stay);
        }
    }

    #[test]
    fn it_begins_at_the_bottom_and_follows_until_somebody_scrolls() {
        let mut pager = pager(100, 10);
        assert_eq!(pager.top, 90);
        pager.load(text(105), 10);
        assert_eq!(pager.top, 95);
        types(&mut pager, "kk");
        pager.load(text(110), 10);
        assert_eq!((pager.top, pager.follows), (93, false));
        types(&mut pager, "G");
        pager.load(text(120), 10);
        assert_eq!((pager.top, pager.follows), (110, true));
    }

    #[test]
    fn keys_are_those_of_a_pager() {
        let mut pager = pager(100, 10);
        for (keys, top) in [("g", 0), ("jj", 2), (" ", 12), ("b", 2), ("d", 7), ("u", 2), ("kkkk", 0), ("G", 90)] {
            types(&mut pager, keys);
            assert_eq!(pager.top, top, "{keys}");
        }
        assert_eq!(pager.key(Key::Right, 10), Turn::Stay);
        assert_eq!(pager.left, SIDE);
        assert_eq!(pager.key(Key::Char('q'), 10), Turn::Close);
        assert_eq!(pager.key(Key::Char('l'), 10), Turn::Read(Page::Log));
    }

    #[test]
    fn a_search_goes_on_and_round_and_says_when_there_is_nothing() {
        let mut pager = pager(100, 10);
        // From the bottom: the last match first.
        types(&mut pager, "/line 1\r");
        assert_eq!(pager.top, 19);
        types(&mut pager, "N");
        assert_eq!(pager.top, 18);
        types(&mut pager, "nn");
        assert_eq!(pager.top, 1);
        types(&mut pager, "/LINE\r");
        assert_eq!((pager.top, pager.note), (1, "not found"));
        types(&mut pager, "/Line 99\r");
        assert_eq!((pager.top, pager.found_in(&Line::from("a Line 99")).len()), (90, 1));
    }
}
