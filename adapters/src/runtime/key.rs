//! Keys, by tmux's names for them.

use serde::{Deserialize, Serialize};

/// A key, by its tmux name. Text is pasted, never sent as keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Key {
    /// Return.
    Enter,
    /// Escape.
    Escape,
    /// Tab.
    Tab,
    /// Shift and Tab.
    BackTab,
    /// Cursor up.
    Up,
    /// Cursor down.
    Down,
    /// Cursor left.
    Left,
    /// Cursor right.
    Right,
    /// Backspace.
    Backspace,
    /// Space bar.
    Space,
    /// To the beginning of the line.
    Home,
    /// To the end of the line.
    End,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// Insert.
    Insert,
    /// Delete, the character to the right.
    Delete,
    /// A function key, 1 to 12.
    F(u8),
    /// Control and a letter `a`–`z`.
    Ctrl(char),
    /// Alt (Meta) and one printable ASCII character.
    Alt(char),
    /// One printable ASCII character.
    Char(char),
}

/// The named keys with tmux's names for each. `peer` prints the first one.
static NAMED: [(Key, &[&str]); 16] = [
    (Key::Enter, &["Enter"]),
    (Key::Escape, &["Escape", "Esc"]),
    (Key::Tab, &["Tab"]),
    (Key::BackTab, &["BTab", "S-Tab", "BackTab"]),
    (Key::Up, &["Up"]),
    (Key::Down, &["Down"]),
    (Key::Left, &["Left"]),
    (Key::Right, &["Right"]),
    (Key::Backspace, &["BSpace", "Backspace"]),
    (Key::Space, &["Space"]),
    (Key::Home, &["Home"]),
    (Key::End, &["End"]),
    (Key::PageUp, &["PageUp", "PPage", "PgUp"]),
    (Key::PageDown, &["PageDown", "NPage", "PgDn"]),
    (Key::Insert, &["Insert", "IC"]),
    (Key::Delete, &["Delete", "DC"]),
];

impl Key {
    /// Returns the first name of each named key, for help texts and errors.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMED.iter().map(|(_, names)| names[0])
    }
}

impl TryFrom<String> for Key {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_named = |(_, names): &&(Self, &[&str])| names.iter().any(|name| name.eq_ignore_ascii_case(&text));
        if let Some((key, _)) = NAMED.iter().find(is_named) {
            return Ok(key.clone());
        }
        let function = text.strip_prefix(['F', 'f']).filter(|number| number.starts_with(|c: char| c != '0'));
        if let Some(number) = function.and_then(|number| number.parse().ok()).filter(|number| (1..=12).contains(number))
        {
            return Ok(Self::F(number));
        }
        let mut chars = text.chars();
        match (chars.next(), chars.next(), chars.next(), chars.next()) {
            (Some('C'), Some('-'), Some(c), None) if c.is_ascii_alphabetic() => Ok(Self::Ctrl(c.to_ascii_lowercase())),
            (Some('M'), Some('-'), Some(c), None) if c.is_ascii_graphic() => Ok(Self::Alt(c)),
            (Some(c), None, None, None) if c.is_ascii_graphic() => Ok(Self::Char(c)),
            _ => {
                let names = Self::names().collect::<Vec<_>>().join(", ");
                Err(format!(
                    "{text:?} is not a key: use {names}, F1 to F12, C-a to C-z, M- and a character, or one printable character"
                ))
            }
        }
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        match key {
            Key::Ctrl(c) => format!("C-{c}"),
            Key::Alt(c) => format!("M-{c}"),
            Key::F(number) => format!("F{number}"),
            Key::Char(c) => c.to_string(),
            named => {
                let entry = NAMED.iter().find(|(key, _)| *key == named);
                entry.map(|(_, names)| names[0].to_owned()).expect("every other key is in the table")
            }
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&String::from(self.clone()))
    }
}
