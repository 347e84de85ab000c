//! What a key does: from the state of the view and what was typed to what is to be done.
//!
//! What is typed ahead is no command. A paste is text, also where the terminal does not mark it as one and its lines come as if
//! each were ended by Enter; a question is answered by keys that came after it was shown; and while something is under way, a
//! letter that follows another at once belongs to a text that somebody types without looking.

use super::app::{About, App, Effect, Mode, Question};
use super::deed::Deed;
use super::editor::Editor;
use super::input::{Input, Key};

/// What was typed at once.
#[derive(Debug)]
pub(super) struct Typed {
    pub(super) inputs: Vec<Input>,
    /// The keyboard had rested before, long enough for a person to have looked.
    pub(super) rested: bool,
}

/// What came together with a key.
#[derive(Clone, Copy)]
struct Around {
    /// The keyboard had rested before it.
    rested: bool,
    /// More came at once behind it.
    goes_on: bool,
}

impl App {
    /// What all of it does.
    pub(super) fn typed(&mut self, typed: Typed) -> Vec<Effect> {
        let Typed { inputs, rested } = typed;
        self.types_ahead &= !rested;
        let (mut effects, count) = (Vec::new(), inputs.len());
        for (at, input) in inputs.into_iter().enumerate() {
            let around = Around { rested: rested && at == 0, goes_on: at + 1 < count };
            let asked = matches!(self.mode, Mode::Confirm(_));
            let effect = match input {
                Input::Key(key) => self.key(key, around),
                Input::Paste(text) => {
                    self.paste(&text);
                    None
                }
                Input::Click(..) | Input::Wheel(..) => None,
            };
            let begins = effect.is_some();
            effects.extend(effect);
            // Whoever typed the rest has not seen yet what it would answer, or what has begun.
            if begins || (!asked && matches!(self.mode, Mode::Confirm(_))) {
                self.types_ahead |= around.goes_on && begins;
                break;
            }
        }
        self.keep_choice();
        effects
    }

    fn paste(&mut self, text: &str) {
        match &mut self.mode {
            Mode::Write(prompt) => prompt.text.insert(text),
            Mode::Filter => self.filter.insert_in_line(text),
            Mode::Browse | Mode::Confirm(_) | Mode::Help => {
                "what was pasted is no command; s, and paste it again, sends it".clone_into(&mut self.message);
            }
        }
    }

    fn key(&mut self, key: Key, around: Around) -> Option<Effect> {
        if key == Key::Ctrl('c') {
            return self.quit();
        }
        match &self.mode {
            Mode::Browse => self.browse(key, around),
            Mode::Filter => self.filter_key(key),
            Mode::Write(_) => self.write(key, around),
            Mode::Confirm(_) => self.answer(key, around),
            Mode::Help => {
                self.mode = Mode::Browse;
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
            Key::Esc => self.filter = Editor::default(),
            Key::Alt(c) => {
                self.filter = Editor::default();
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
            'w' => return self.now(Deed::Wake, around),
            'a' => return self.attach(around),
            's' => self.begin_writing(around),
            'x' => self.ask(Deed::Stop),
            'n' => self.ask(Deed::New),
            '/' => self.mode = Mode::Filter,
            'o' => self.order = self.order.next(),
            '?' | 'h' => self.mode = Mode::Help,
            'j' => self.step(1),
            'k' => self.step(-1),
            'g' => self.step(isize::MIN / 2),
            'G' => self.step(isize::MAX / 2),
            _ => {}
        }
        None
    }

    /// Whether a letter is a command: it is none where something is under way that it may have been typed behind.
    fn is_meant(&mut self, around: Around) -> bool {
        let meant = self.running.is_empty() || around.rested;
        if !meant {
            self.types_ahead = true;
            let names = self.running.iter().map(|running| super::deed::names(&running.targets));
            self.message =
                format!("{}: not done yet; keys typed ahead do nothing", names.collect::<Vec<_>>().join(", "));
        }
        meant
    }

    fn now(&mut self, deed: Deed, around: Around) -> Option<Effect> {
        let targets = self.targets();
        (!targets.is_empty() && self.is_meant(around)).then(|| self.begin(deed, targets))
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

    fn ask(&mut self, deed: Deed) {
        let targets = self.targets();
        if !targets.is_empty() {
            self.mode = Mode::Confirm(Question::of(About::Deed(deed, targets)));
        }
    }

    fn answer(&mut self, key: Key, around: Around) -> Option<Effect> {
        let mode = std::mem::replace(&mut self.mode, Mode::Browse);
        let Mode::Confirm(mut question) = mode else { return None };
        self.message.clear();
        match (key, question.about) {
            (Key::Char('y'), About::Quit) => Some(Effect::Quit),
            (Key::Char('y'), About::Deed(deed, targets)) if self.is_meant(around) => Some(self.begin(deed, targets)),
            // It may have been typed behind what is under way: ask again.
            (Key::Char('y'), about) => {
                (question.about, question.since) = (about, Some(std::mem::take(&mut self.message)));
                self.types_ahead = false;
                self.mode = Mode::Confirm(question);
                None
            }
            _ => None,
        }
    }

    fn quit(&mut self) -> Option<Effect> {
        let asked = matches!(&self.mode, Mode::Confirm(Question { about: About::Quit, .. }));
        if self.running.is_empty() || asked {
            return Some(Effect::Quit);
        }
        if let Mode::Write(prompt) = std::mem::replace(&mut self.mode, Mode::Browse) {
            self.put_aside(prompt);
        }
        self.mode = Mode::Confirm(Question::of(About::Quit));
        None
    }

    /// The filter holds at once.
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

    /// The message goes with Enter. One that more follows at once was not pressed: it ends a line of a paste.
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
                    return Some(self.begin(Deed::Send(prompt.text.text().to_owned()), prompt.to));
                }
            }
            key => {
                prompt.text.key(key);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
