//! What is on the screen and what a key does to it; nothing here draws or looks at anything.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::text::Text;

use crate::cli::order::Order;
use crate::engine::list::Row;
use crate::engine::top::View;
use crate::policy::name::PeerName;

/// What the keys mean at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Browse,
    /// A filter is being typed.
    Filter,
    /// A message is being typed.
    Send,
    /// Whether that is really meant.
    Confirm(Deed),
    Help,
}

/// What can be done to the chosen peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Wake,
    Stop,
    New,
}

/// What a key asks of whoever runs the loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Nothing,
    Do(Deed, PeerName),
    Send(PeerName, String),
    Attach(PeerName),
    Quit,
}

pub(super) struct App {
    pub(super) view: View,
    pub(super) mode: Mode,
    pub(super) order: Order,
    pub(super) filter: String,
    /// What is being typed.
    pub(super) input: String,
    pub(super) chosen: Option<PeerName>,
    /// The chosen one's screen, and whose it is.
    pub(super) screen: Option<(PeerName, Text<'static>)>,
    /// What was done last, or failed.
    pub(super) message: String,
}

impl App {
    pub(super) fn new() -> Self {
        Self {
            view: View::default(),
            mode: Mode::Browse,
            order: Order::Name,
            filter: String::new(),
            input: String::new(),
            chosen: None,
            screen: None,
            message: String::new(),
        }
    }

    /// Those who are shown, in order.
    pub(super) fn rows(&self) -> Vec<&Row> {
        let wanted = |row: &&Row| {
            let words =
                format!("{} {} {} {}", row.peer, row.state, row.agent, row.topic.as_deref().unwrap_or_default());
            self.filter.split_whitespace().all(|word| words.contains(word))
        };
        let mut rows: Vec<&Row> = self.view.fleet.rows.iter().filter(wanted).collect();
        self.order.sort(&mut rows, |row| row);
        rows
    }

    pub(super) fn chosen_row(&self) -> Option<&Row> {
        self.rows().into_iter().find(|row| Some(&row.peer) == self.chosen.as_ref())
    }

    /// Takes a new look. Whoever is chosen stays chosen, wherever the row has moved to.
    pub(super) fn see(&mut self, view: View) {
        self.view = view;
        self.keep_choice();
    }

    fn keep_choice(&mut self) {
        if self.chosen_row().is_none() {
            self.chosen = self.rows().first().map(|row| row.peer.clone());
        }
    }

    /// What a key does.
    pub(super) fn key(&mut self, key: KeyEvent) -> Ask {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Ask::Quit;
        }
        match self.mode {
            Mode::Browse => self.browse(key.code),
            Mode::Filter | Mode::Send => self.typed(key.code),
            Mode::Confirm(deed) => {
                self.mode = Mode::Browse;
                self.message.clear();
                if key.code == KeyCode::Char('y') { self.of_chosen(|name| Ask::Do(deed, name)) } else { Ask::Nothing }
            }
            Mode::Help => {
                self.mode = Mode::Browse;
                Ask::Nothing
            }
        }
    }

    fn browse(&mut self, code: KeyCode) -> Ask {
        match code {
            KeyCode::Char('q') => return Ask::Quit,
            KeyCode::Char('w') => return self.of_chosen(|name| Ask::Do(Deed::Wake, name)),
            KeyCode::Char('a') | KeyCode::Enter => return self.of_chosen(Ask::Attach),
            KeyCode::Char('x') if self.chosen.is_some() => self.mode = Mode::Confirm(Deed::Stop),
            KeyCode::Char('n') if self.chosen.is_some() => self.mode = Mode::Confirm(Deed::New),
            KeyCode::Char('s') if self.chosen.is_some() => self.mode = Mode::Send,
            KeyCode::Char('/') => self.mode = Mode::Filter,
            KeyCode::Char('o') => self.order = self.order.next(),
            KeyCode::Char('?' | 'h') => self.mode = Mode::Help,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Down | KeyCode::Char('j') => self.step(1),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1),
            KeyCode::PageDown => self.step(10),
            KeyCode::PageUp => self.step(-10),
            KeyCode::Home | KeyCode::Char('g') => self.step(isize::MIN / 2),
            KeyCode::End | KeyCode::Char('G') => self.step(isize::MAX / 2),
            _ => {}
        }
        self.keep_choice();
        Ask::Nothing
    }

    /// A line that is being typed: the filter holds at once, the message with Enter.
    fn typed(&mut self, code: KeyCode) -> Ask {
        let text = if self.mode == Mode::Filter { &mut self.filter } else { &mut self.input };
        match code {
            KeyCode::Char(c) => text.push(c),
            KeyCode::Backspace => drop(text.pop()),
            KeyCode::Esc => {
                text.clear();
                self.mode = Mode::Browse;
            }
            KeyCode::Enter => {
                let sent = (self.mode == Mode::Send).then(|| std::mem::take(&mut self.input));
                self.mode = Mode::Browse;
                if let Some(message) = sent.filter(|message| !message.is_empty()) {
                    return self.of_chosen(|name| Ask::Send(name, message));
                }
            }
            _ => {}
        }
        self.keep_choice();
        Ask::Nothing
    }

    fn of_chosen(&self, ask: impl FnOnce(PeerName) -> Ask) -> Ask {
        self.chosen.clone().map_or(Ask::Nothing, ask)
    }

    fn step(&mut self, by: isize) {
        let rows = self.rows();
        let at = rows.iter().position(|row| Some(&row.peer) == self.chosen.as_ref()).unwrap_or(0);
        let last = rows.len().saturating_sub(1);
        let chosen = rows.get(at.saturating_add_signed(by).min(last)).map(|row| row.peer.clone());
        self.chosen = chosen;
    }
}
