//! The text of an input line: a message of several lines, a filter, a search.

use super::input::Key;

/// The text and the position of the cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Editor {
    text: String,
    /// In bytes, on a character boundary.
    at: usize,
}

impl Editor {
    /// Starts with a text, the cursor at its end.
    pub(super) fn with(text: String) -> Self {
        Self { at: text.len(), text }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Returns the text before and after the cursor.
    pub(super) fn split(&self) -> (&str, &str) {
        self.text.split_at(self.at)
    }

    /// Inserts a text, with its line ends.
    pub(super) fn insert(&mut self, text: &str) {
        self.text.insert_str(self.at, text);
        self.at += text.len();
    }

    /// Inserts a text as one line.
    pub(super) fn insert_in_line(&mut self, text: &str) {
        self.insert(&text.replace('\n', " "));
    }

    /// Applies an editing key, as in a shell. Returns whether the key was one.
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

/// The start of the word that ends at the end of `text`, ignoring blanks after it.
fn word_before(text: &str) -> usize {
    let word = text.trim_end();
    word.rfind(char::is_whitespace).map_or(0, |at| at + word[at..].chars().next().map_or(0, char::len_utf8))
}

/// The distance to the end of the next word.
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
