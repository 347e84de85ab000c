//! What a key does: changes the state of the view and returns the effects for the loop.
//!
//! Keys typed ahead are not commands. A paste is text, even if the terminal does not mark it and each of its lines
//! seems to end with Enter. A question is answered only by keys that came after it was shown. And while an operation is
//! running, a letter that immediately follows another belongs to a text that the user types without looking.

mod asked;
mod mouse;

use super::app::{About, App, Effect, Mode, Question};
use super::editor::Editor;
use super::input::{Input, Key};
use super::operation::Operation;
use super::pager::{Page, Turn};

/// Input that was read at once.
#[derive(Debug)]
pub(super) struct Typed {
    pub(super) inputs: Vec<Input>,
    /// Whether the keyboard had rested before, long enough for the user to have looked.
    pub(super) rested: bool,
    /// Whether the question of an agent had been shown as long before.
    pub(super) looked: bool,
}

/// What came together with a key.
#[derive(Clone, Copy)]
struct Around {
    /// Whether the keyboard had rested before it.
    rested: bool,
    /// Whether more input follows it at once.
    goes_on: bool,
    /// Whether the question of an agent had been shown long enough.
    looked: bool,
}

impl App {
    /// Applies all of the input and returns its effects.
    pub(super) fn typed(&mut self, typed: Typed) -> Vec<Effect> {
        let Typed { inputs, rested, looked } = typed;
        if !self.has_looked() {
            // No peer is shown yet that the input could be for.
            let leaves = |input: &Input| matches!(input, Input::Key(Key::Char('q') | Key::Ctrl('c')));
            return if inputs.iter().any(leaves) { vec![Effect::Quit] } else { Vec::new() };
        }
        self.types_ahead &= !rested;
        let (mut effects, count) = (Vec::new(), inputs.len());
        for (at, input) in inputs.into_iter().enumerate() {
            let around = Around { rested: rested && at == 0, goes_on: at + 1 < count, looked };
            let (asked, asks) = (matches!(self.mode, Mode::Confirm(_)), matches!(self.mode, Mode::Asks(_)));
            let effect = match input {
                Input::Key(key) => self.key(key, around),
                Input::Paste(text) => {
                    self.paste(&text);
                    None
                }
                Input::Click(column, row) => {
                    self.click(column, row);
                    None
                }
                Input::Wheel(column, row, lines) => self.wheel(column, row, lines),
            };
            let begins =
                matches!(effect, Some(Effect::Do(..) | Effect::Answer(..) | Effect::Attach(..) | Effect::Quit))
                    || (asks && !matches!(self.mode, Mode::Asks(_)));
            effects.extend(effect);
            // The user typed the rest before seeing the question or the operation that has begun, or for a question that
            // is gone.
            if begins || (!asked && matches!(self.mode, Mode::Confirm(_))) {
                self.types_ahead |= around.goes_on && begins;
                break;
            }
        }
        self.keep_choice();
        effects
    }

    fn paste(&mut self, text: &str) {
        match (&mut self.mode, &mut self.pager) {
            (Mode::Write(prompt), _) => prompt.text.insert(text),
            (Mode::Browse, Some(pager)) if pager.searching => pager.search.insert_in_line(text),
            (Mode::Filter, _) => self.filter.insert_in_line(text),
            (Mode::Browse | Mode::Confirm(_) | Mode::Asks(_) | Mode::Help(_), _) => {
                self.message.pass("what was pasted is not a command; s, and paste it again, sends it");
            }
        }
    }

    /// Whether the user types a line: a message, a filter or a search.
    pub(super) fn types_text(&self) -> bool {
        let searches = self.pager.as_ref().is_some_and(|pager| pager.searching);
        matches!(self.mode, Mode::Write(_) | Mode::Filter) || (matches!(self.mode, Mode::Browse) && searches)
    }

    fn key(&mut self, key: Key, around: Around) -> Option<Effect> {
        let key = match key {
            // As in a shell: cancel the line, or quit if there is none.
            Key::Ctrl('c') if self.types_text() || matches!(self.mode, Mode::Asks(_)) => Key::Esc,
            Key::Ctrl('c') => return self.quit(),
            key => key,
        };
        match &self.mode {
            Mode::Browse if self.pager.is_some() => self.page_key(key, around),
            Mode::Browse => self.browse(key, around),
            Mode::Filter => self.filter_key(key),
            Mode::Write(_) => self.write(key, around),
            Mode::Confirm(_) => self.answer(key, around),
            Mode::Asks(_) => self.asked_key(key, around),
            Mode::Help(first) => {
                self.mode = help_key(key, *first);
                None
            }
        }
    }

    fn browse(&mut self, key: Key, around: Around) -> Option<Effect> {
        match key {
            Key::Down => self.step(1),
            Key::Up => self.step(-1),
            Key::PageDown => self.step(10),
            Key::PageUp => self.step(-10),
            Key::Home => self.step(isize::MIN / 2),
            Key::End => self.step(isize::MAX / 2),
            Key::Tab => self.step_to_waiting(),
            Key::F5 | Key::Ctrl('r' | 'l') => return Some(Effect::Look),
            Key::Esc => self.clear(),
            Key::Alt(c) => {
                self.clear();
                return self.letter(c, around);
            }
            Key::Enter => return self.letter('a', around),
            Key::Char(c) => return self.letter(c, around),
            _ => {}
        }
        None
    }

    fn letter(&mut self, c: char, around: Around) -> Option<Effect> {
        if self.types_ahead {
            // There is always a way out.
            self.mode = if c == 'q' { Mode::Confirm(Question::of(About::Quit)) } else { Mode::Browse };
            return None;
        }
        match c {
            'q' => return self.quit(),
            'w' => return self.now(Operation::Wake, around),
            'a' => return self.attach(around),
            'A' => {
                let whom = self.chosen_row().map(super::app::target)?;
                return Some(self.show_question(whom));
            }
            's' => self.begin_writing(around),
            'x' => self.ask(Operation::Stop),
            'n' => self.ask(Operation::New),
            'r' => self.ask(Operation::Refresh),
            'S' => return self.now(Operation::Start, around),
            'i' => return self.now(Operation::Interrupt, around),
            'v' => return self.read(Page::Screen),
            'l' => return self.read(Page::Log),
            'm' => {
                self.mouse = !self.mouse;
                let whose = if self.mouse {
                    "the mouse is for the list again"
                } else {
                    "the mouse is the terminal's: m takes it back"
                };
                self.message.pass(whose);
                return Some(Effect::Mouse(self.mouse));
            }
            ' ' => self.mark(),
            '*' => self.mark_shown(),
            'u' => self.marked.clear(),
            '/' => self.mode = Mode::Filter,
            'o' => self.order = self.order.next(),
            'O' => self.reversed = !self.reversed,
            '?' | 'h' => self.mode = Mode::Help(0),
            'j' => self.step(1),
            'k' => self.step(-1),
            'g' => self.step(isize::MIN / 2),
            'G' => self.step(isize::MAX / 2),
            _ => {}
        }
        None
    }

    fn read(&mut self, page: Page) -> Option<Effect> {
        let name = self.chosen.clone().filter(|_| self.chosen_row().is_some())?;
        Some(self.open(name, page))
    }

    fn page_key(&mut self, key: Key, around: Around) -> Option<Effect> {
        let rows = self.page_rows();
        let pager = self.pager.as_mut()?;
        let name = pager.name.clone();
        self.message.clear();
        let turn = pager.key(key, rows);
        match turn {
            Turn::Stay => None,
            Turn::Close => {
                self.pager = None;
                None
            }
            Turn::Read(page) if page == pager.page => Some(Effect::Read(page, name)),
            Turn::Read(page) => Some(self.open(name, page)),
            Turn::Attach | Turn::Answer => {
                let row = self.view.fleet.rows.iter().find(|row| row.peer == name)?;
                let target = super::app::target(row);
                if turn == Turn::Answer {
                    return Some(self.show_question(target));
                }
                self.is_meant(around).then(|| self.begin_attach(target))
            }
        }
    }

    /// Whether a letter is a command. It is not if it may have been typed ahead of a running operation.
    fn is_meant(&mut self, around: Around) -> bool {
        let meant = self.running.is_empty() || around.rested;
        if !meant {
            self.types_ahead = true;
            let names = self.running.iter().map(|running| super::operation::names(&running.targets));
            let names = names.collect::<Vec<_>>().join(", ");
            self.message.stay(format!("{names}: not done yet; keys typed ahead do nothing"));
        }
        meant
    }

    /// Undoes what narrows the view, one thing per key press.
    fn clear(&mut self) {
        self.message.clear();
        if self.filter.text().is_empty() {
            self.marked.clear();
        }
        self.filter = Editor::default();
    }

    /// Starts an operation that needs no question, except for several peers.
    fn now(&mut self, operation: Operation, around: Around) -> Option<Effect> {
        let targets = self.targets();
        if targets.len() > 1 {
            self.ask(operation);
            return None;
        }
        (!targets.is_empty() && self.is_meant(around)).then(|| self.begin(operation, targets))
    }

    fn attach(&mut self, around: Around) -> Option<Effect> {
        let target = self.chosen_row().map(super::app::target)?;
        self.is_meant(around).then(|| self.begin_attach(target))
    }

    fn begin_writing(&mut self, around: Around) {
        let to = self.targets();
        if !to.is_empty() && self.is_meant(around) {
            self.message.clear();
            self.mode = Mode::Write(self.prompt(to));
        }
    }

    fn ask(&mut self, operation: Operation) {
        let targets = self.targets();
        if !targets.is_empty() {
            self.message.clear();
            self.mode = Mode::Confirm(Question::of(About::Operation(operation, targets)));
        }
    }

    fn answer(&mut self, key: Key, around: Around) -> Option<Effect> {
        let mode = std::mem::replace(&mut self.mode, Mode::Browse);
        let Mode::Confirm(mut question) = mode else { return None };
        self.message.clear();
        if key != Key::Char('y') {
            return None;
        }
        if self.types_ahead || !self.is_meant(around) {
            // It may have been typed ahead of a running operation: ask again.
            question.since = Some(self.message.take()).filter(|why| !why.is_empty());
            self.types_ahead = false;
            self.mode = Mode::Confirm(question);
            return None;
        }
        Some(match question.about {
            About::Quit => Effect::Quit,
            About::Operation(operation, targets) => self.begin(operation, targets),
        })
    }

    fn quit(&mut self) -> Option<Effect> {
        let asked = matches!(&self.mode, Mode::Confirm(Question { about: About::Quit, .. }));
        if self.running.is_empty() || asked {
            return Some(Effect::Quit);
        }
        // Nothing may cover the question.
        self.pager = None;
        self.mode = Mode::Confirm(Question::of(About::Quit));
        None
    }

    /// Edits the filter, which applies at once.
    fn filter_key(&mut self, key: Key) -> Option<Effect> {
        match key {
            Key::Enter | Key::NewLine => self.mode = Mode::Browse,
            Key::Esc => {
                self.filter = Editor::default();
                self.mode = Mode::Browse;
            }
            key => {
                self.filter.key(key);
            }
        }
        None
    }

    /// Edits the message, which Enter sends. An Enter with more input right after it was not pressed: it ends a line of
    /// a paste.
    fn write(&mut self, key: Key, around: Around) -> Option<Effect> {
        let Mode::Write(prompt) = &mut self.mode else { return None };
        match key {
            Key::NewLine => prompt.text.insert("\n"),
            Key::Enter if around.goes_on => prompt.text.insert("\n"),
            Key::Enter | Key::Esc => {
                let Mode::Write(prompt) = std::mem::replace(&mut self.mode, Mode::Browse) else { return None };
                if key == Key::Esc {
                    self.put_aside(prompt);
                } else if !prompt.text.text().trim().is_empty() {
                    return Some(self.begin(Operation::Send(prompt.text.text().to_owned()), prompt.to));
                }
            }
            key => {
                prompt.text.key(key);
            }
        }
        None
    }
}

/// Returns the mode after a key in the help: keys that do not scroll close it.
fn help_key(key: Key, first: usize) -> Mode {
    match key {
        Key::Down | Key::Char('j' | ' ') | Key::PageDown => Mode::Help(first + 1),
        Key::Up | Key::Char('k') | Key::PageUp => Mode::Help(first.saturating_sub(1)),
        _ => Mode::Browse,
    }
}

#[cfg(test)]
mod tests;
