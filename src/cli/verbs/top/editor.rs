//! A text that is being typed: a message of several lines, a filter, what is searched for.

use super::input::Key;

/// The text and where the next character goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Editor {
    text: String,
    /// In bytes, at the beginning of a character.
    at: usize,
}

impl Editor {
    /// Begins behind what is there already.
    pub(super) fn with(text: String) -> Self {
        Self { at: text.len(), text }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What stands before and behind the cursor.
    pub(super) fn split(&self) -> (&str, &str) {
        self.text.split_at(self.at)
    }

    /// Types a text, with its line ends.
    pub(super) fn insert(&mut self, text: &str) {
        self.text.insert_str(self.at, text);
        self.at += text.len();
    }

    /// The same into one line.
    pub(super) fn insert_in_line(&mut self, text: &str) {
        self.insert(&text.replace('\n', " "));
    }

    /// Does what a key of an editor does, as in a shell. Returns whether this was one.
    pub(super) fn key(&mut self, key: Key) -> bool {
        let (before, behind) = self.split();
        let back = before.chars().next_back().map_or(0, char::len_utf8);
        let on = behind.chars().next().map_or(0, char::len_utf8);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let line_end = self.at + behind.find('\n').unwrap_or(behind.len());
        match key {
            Key::Char(c) => self.insert(c.encode_utf8(&mut [0; 4])),
            Key::Backspace => self.delete(self.at - back, self.at),
            Key::Delete => self.delete(self.at, self.at + on),
            Key::Ctrl('w') | Key::Alt('\x7f') => self.delete(word_before(before), self.at),
            Key::Ctrl('u') => self.delete(line_start, self.at),
            Key::Ctrl('k') => self.delete(self.at, line_end),
            Key::Left | Key::Ctrl('b') => self.at -= back,
            Key::Right | Key::Ctrl('f') => self.at += on,
            Key::Alt('b') => self.at = word_before(before),
            Key::Alt('f') => self.at += word_behind(behind),
            Key::Home | Key::Ctrl('a') => self.at = line_start,
            Key::End | Key::Ctrl('e') => self.at = line_end,
            _ => return false,
        }
        true
    }

    fn delete(&mut self, from: usize, to: usize) {
        self.text.replace_range(from..to, "");
        self.at = from;
    }
}

/// Where the word begins that ends here, or that blanks lie behind.
fn word_before(text: &str) -> usize {
    let word = text.trim_end();
    word.rfind(char::is_whitespace).map_or(0, |at| at + word[at..].chars().next().map_or(0, char::len_utf8))
}

/// How far it is to the end of the word that comes next.
fn word_behind(text: &str) -> usize {
    let blanks = text.len() - text.trim_start().len();
    blanks + text[blanks..].find(char::is_whitespace).unwrap_or(text.len() - blanks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str, keys: &[Key]) -> String {
        let mut editor = Editor::with(text.to_owned());
        for key in keys {
            assert!(editor.key(*key), "{key:?}");
        }
        let (before, behind) = editor.split();
        format!("{before}|{behind}")
    }

    #[test]
    fn it_is_edited_as_in_a_shell() {
        assert_eq!(after("日本", &[Key::Left, Key::Char('x')]), "日x|本");
        assert_eq!(after("日本", &[Key::Backspace, Key::Home, Key::Delete]), "|");
        assert_eq!(after("one two  ", &[Key::Ctrl('w')]), "one |");
        assert_eq!(after("one two", &[Key::Alt('b'), Key::Alt('\x7f')]), "|two");
        assert_eq!(after("one two", &[Key::Home, Key::Alt('f'), Key::Ctrl('k')]), "one|");
        assert_eq!(after("one\ntwo", &[Key::Left, Key::Ctrl('u')]), "one\n|o");
        assert_eq!(after("one\ntwo", &[Key::Home, Key::Left, Key::Home, Key::End]), "one|\ntwo");
        assert!(!Editor::default().key(Key::Enter) && !Editor::default().key(Key::Esc));
    }

    #[test]
    fn a_line_stays_one() {
        let mut editor = Editor::default();
        editor.insert_in_line("a\nb");
        assert_eq!(editor.text(), "a b");
        editor.insert("\nc");
        assert_eq!(editor.text(), "a b\nc");
    }
}
