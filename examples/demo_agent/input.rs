//! Decodes the bytes of a terminal into keys and pastes.

/// One action of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// A character.
    Char(char),
    /// A whole bracketed paste.
    Paste(String),
    Enter,
    Backspace,
    Up,
    Down,
    Escape,
    /// Control and a lower-case letter.
    Control(char),
}

const PASTE_BEGIN: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";

/// Decodes bytes, and keeps a sequence that a read cut off.
#[derive(Default)]
pub(crate) struct Decoder {
    pending: Vec<u8>,
}

impl Decoder {
    /// Takes bytes that were read and returns the keys that they complete.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<Key> {
        self.pending.extend_from_slice(bytes);
        let mut keys = Vec::new();
        let mut at = 0;
        while let Some((length, key)) = next(&self.pending[at..]) {
            at += length;
            keys.extend(key);
        }
        self.pending.drain(..at);
        keys
    }

    /// Ends the wait for more bytes: a pending ESC was the key, not the beginning of a sequence.
    pub(crate) fn flush(&mut self) -> Option<Key> {
        if self.pending != b"\x1b" {
            return None;
        }
        self.pending.clear();
        Some(Key::Escape)
    }
}

/// The first key of `bytes` and its length; `None` until it is whole. An unknown sequence has a length and no key.
fn next(bytes: &[u8]) -> Option<(usize, Option<Key>)> {
    let first = *bytes.first()?;
    if bytes.starts_with(PASTE_BEGIN) {
        let text = &bytes[PASTE_BEGIN.len()..];
        let end = text.windows(PASTE_END.len()).position(|window| window == PASTE_END)?;
        // tmux turns line ends of a paste into carriage returns.
        let text = String::from_utf8_lossy(&text[..end]).replace("\r\n", "\n").replace('\r', "\n");
        return Some((PASTE_BEGIN.len() + end + PASTE_END.len(), Some(Key::Paste(text))));
    }
    let key = match first {
        0x1b => return sequence(bytes),
        b'\r' => Key::Enter,
        0x08 | 0x7f => Key::Backspace,
        b'\n' => Key::Char('\n'),
        b'\t' => Key::Char(' '),
        0x01..=0x1a => Key::Control(char::from(first - 1 + b'a')),
        0x00 | 0x1c..=0x1f => return Some((1, None)),
        _ => return character(bytes),
    };
    Some((1, Some(key)))
}

fn sequence(bytes: &[u8]) -> Option<(usize, Option<Key>)> {
    match bytes.get(1)? {
        b'[' | b'O' => {
            let last = bytes.iter().skip(2).position(|byte| (0x40..=0x7e).contains(byte))? + 2;
            let key = match bytes[last] {
                b'A' => Some(Key::Up),
                b'B' => Some(Key::Down),
                _ => None,
            };
            Some((last + 1, key))
        }
        _ => Some((1, Some(Key::Escape))),
    }
}

fn character(bytes: &[u8]) -> Option<(usize, Option<Key>)> {
    let length = match bytes[0] {
        0x00..=0x7f => 1,
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xff => 4,
        0x80..=0xbf => return Some((1, None)),
    };
    let text = std::str::from_utf8(bytes.get(..length)?).ok();
    Some((length, text.and_then(|text| text.chars().next()).map(Key::Char)))
}

#[cfg(test)]
mod tests {
    use super::{Decoder, Key};

    #[test]
    fn a_paste_that_arrives_in_pieces_is_one_key() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.feed(b"a\x1b[20"), [Key::Char('a')]);
        assert_eq!(decoder.feed(b"0~one\rtw\xc3"), []);
        assert_eq!(decoder.feed(b"\xb6\x1b[201~\r"), [Key::Paste("one\ntwö".to_owned()), Key::Enter]);
    }

    #[test]
    fn an_escape_is_a_key_only_when_nothing_follows() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.feed(b"\x1b"), []);
        assert_eq!(decoder.feed(b"[B\x1b"), [Key::Down]);
        assert_eq!(decoder.flush(), Some(Key::Escape));
        assert_eq!(decoder.flush(), None);
    }
}
