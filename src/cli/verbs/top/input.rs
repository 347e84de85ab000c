//! Decodes the bytes that the terminal sends into keys, pastes and mouse events.
//!
//! A paste is text and never keys, even if it comes in several pieces. So pastes are recognised here, byte by byte, and
//! not by the time at which bytes arrive. What the terminal itself sends (late answers to queries) is not a key and is
//! dropped.

use anstyle_parse::{Params, Parser, Perform};

/// A key, by its name and not by the bytes that it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    /// With Ctrl held; always a small letter.
    Ctrl(char),
    /// With Alt held, or after an Escape that was read together with it.
    Alt(char),
    Enter,
    /// A line end that does not send: Alt-Enter, Ctrl-J.
    NewLine,
    Esc,
    Tab,
    Backspace,
    Delete,
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    PageUp,
    PageDown,
    F5,
}

/// One action of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Key(Key),
    /// Pasted text, whole; its lines end with `\n`.
    Paste(String),
    /// The left button, by column and row from 0.
    Click(u16, u16),
    /// The wheel over a column and a row, by this many lines down.
    Wheel(u16, u16, i8),
}

/// Lines per notch of the wheel.
const NOTCH: i8 = 3;

/// Second bytes of sequences that continue: CSI, SS3, DCS, OSC, SOS, PM, APC.
const GOES_ON: &[u8] = b"[OP]X^_";

/// Decodes the bytes of one terminal.
#[derive(Default)]
pub(super) struct Decoder {
    parser: Parser,
    found: Found,
    /// The beginning of a sequence at the end of the bytes: an Escape, or that and the second byte of a sequence that
    /// continues.
    begun: Vec<u8>,
}

impl Decoder {
    /// Takes bytes that were read.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if !self.begin(*byte) {
                self.parser.advance(&mut self.found, *byte);
            }
        }
    }

    /// Tracks the beginning of a sequence, and ends what only looked like one: the parser would take the next key for
    /// its rest. Returns `true` if the byte needs no more handling.
    fn begin(&mut self, byte: u8) -> bool {
        let in_paste = self.found.paste.is_some();
        match (self.begun.as_slice(), byte) {
            ([0x1b], 0x7f) if !in_paste => {
                self.begun.clear();
                self.parser = Parser::default();
                self.found.key(Key::Alt('\x7f'));
                return true;
            }
            ([], 0x1b) => self.begun.push(byte),
            ([0x1b], byte) if GOES_ON.contains(&byte) => self.begun.push(byte),
            ([0x1b], 0..0x20) if !in_paste => {
                self.begun.retain(|_| byte == 0x1b);
                self.parser = Parser::default();
                if matches!(byte, b'\r' | b'\n') { self.found.breaks_line = true } else { self.found.key(Key::Esc) }
            }
            _ if byte == 0x1b => self.begun = vec![byte],
            _ => self.begun.clear(),
        }
        false
    }

    /// Whether more bytes must be awaited to know what the last ones mean.
    pub(super) fn has_begun(&self) -> bool {
        !self.begun.is_empty()
    }

    /// Returns what was typed since the last call. The caller has waited for the rest of an unfinished sequence, so
    /// that was a key.
    pub(super) fn take(&mut self) -> Vec<Input> {
        let begun = std::mem::take(&mut self.begun);
        if let (Some(last), true) = (begun.last(), self.found.paste.is_none()) {
            self.parser = Parser::default();
            self.found.of_keypad = false;
            self.found.key(if *last == 0x1b { Key::Esc } else { Key::Alt(char::from(*last)) });
        }
        std::mem::take(&mut self.found.inputs)
    }
}

#[derive(Default)]
struct Found {
    inputs: Vec<Input>,
    /// The text so far of a paste whose end has not come.
    paste: Option<String>,
    /// Whether the paste's last character was a return.
    returned: bool,
    /// Whether `ESC O` came: the next character names a key of the keypad.
    of_keypad: bool,
    /// Whether an Escape came before a return, which then ends a line and sends nothing.
    breaks_line: bool,
    /// The number of bytes to come of an old mouse report; they look like keys.
    report: u8,
}

impl Found {
    fn key(&mut self, key: Key) {
        self.inputs.push(Input::Key(key));
    }

    /// Adds a character or a control byte to the current paste. Returns `false` if there is none.
    fn pasted(&mut self, c: char) -> bool {
        let Some(paste) = &mut self.paste else { return false };
        // Terminals send a return for a line end; one that sends both characters means one end.
        let ends_twice = c == '\n' && self.returned;
        self.returned = c == '\r';
        match c {
            '\r' => paste.push('\n'),
            '\n' if ends_twice => {}
            '\n' | '\t' => paste.push(c),
            c if c.is_control() => {}
            c => paste.push(c),
        }
        true
    }

    fn is_reported(&mut self) -> bool {
        let reported = self.report > 0;
        self.report = self.report.saturating_sub(1);
        reported
    }

    fn mouse(&mut self, params: &[u16], pressed: bool) {
        let &[button, column, row] = params else { return };
        let (column, row) = (column.saturating_sub(1), row.saturating_sub(1));
        match button {
            0 if pressed => self.inputs.push(Input::Click(column, row)),
            64 => self.inputs.push(Input::Wheel(column, row, -NOTCH)),
            65 => self.inputs.push(Input::Wheel(column, row, NOTCH)),
            _ => {}
        }
    }
}

/// # Source
/// xterm's ctlseqs: keys of the cursor and the keypad, `CSI < … M` for the mouse (mode 1006) and `CSI M` with three bytes where a
/// terminal does not know that mode, `CSI 200 ~` around a paste.
impl Perform for Found {
    fn print(&mut self, c: char) {
        if self.pasted(c) || self.is_reported() {
            return;
        }
        if std::mem::take(&mut self.of_keypad) {
            if let Some(key) = if c == 'M' { Some(Key::Enter) } else { cursor_key(c) } {
                self.key(key);
            }
        } else {
            self.key(if c == '\x7f' { Key::Backspace } else { Key::Char(c) });
        }
    }

    fn execute(&mut self, byte: u8) {
        if self.pasted(char::from(byte)) || self.is_reported() {
            return;
        }
        let breaks_line = std::mem::take(&mut self.breaks_line);
        let key = match byte {
            b'\r' if !breaks_line => Key::Enter,
            b'\r' | b'\n' => Key::NewLine,
            b'\t' => Key::Tab,
            0x08 => Key::Backspace,
            0x01..=0x1a => Key::Ctrl(char::from(byte - 1 + b'a')),
            _ => return,
        };
        self.key(key);
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], _ignore: bool, action: u8) {
        let numbers: Vec<u16> = params.iter().filter_map(|param| param.first().copied()).collect();
        let first = numbers.first().copied().unwrap_or(0);
        match (intermediates, action) {
            ([], b'~') if first == 200 => (self.paste, self.returned) = (Some(String::new()), false),
            ([], b'~') if first == 201 => self.inputs.extend(self.paste.take().map(Input::Paste)),
            _ if self.paste.is_some() => {}
            (b"<", b'M' | b'm') => self.mouse(&numbers, action == b'M'),
            ([], b'M') => self.report = 3,
            ([], b'~') => self.inputs.extend(numbered_key(first).map(Input::Key)),
            ([], _) => self.inputs.extend(cursor_key(char::from(action)).map(Input::Key)),
            _ => {}
        }
    }

    fn esc_dispatch(&mut self, _intermediates: &[u8], _ignore: bool, byte: u8) {
        match byte {
            _ if self.paste.is_some() => {}
            b'O' => self.of_keypad = true,
            // The end of a string that the terminal sent.
            b'\\' => {}
            byte if byte.is_ascii_graphic() => self.key(Key::Alt(char::from(byte))),
            _ => {}
        }
    }
}

fn cursor_key(c: char) -> Option<Key> {
    Some(match c {
        'A' => Key::Up,
        'B' => Key::Down,
        'C' => Key::Right,
        'D' => Key::Left,
        'F' => Key::End,
        'H' => Key::Home,
        _ => return None,
    })
}

fn numbered_key(number: u16) -> Option<Key> {
    Some(match number {
        1 | 7 => Key::Home,
        3 => Key::Delete,
        4 | 8 => Key::End,
        5 => Key::PageUp,
        6 => Key::PageDown,
        15 => Key::F5,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(pieces: &[&[u8]]) -> Vec<Input> {
        let mut decoder = Decoder::default();
        let mut inputs = Vec::new();
        for piece in pieces {
            decoder.feed(piece);
            inputs.extend(decoder.take());
        }
        inputs
    }

    fn keys(bytes: &str) -> Vec<Key> {
        let of_key = |input: Input| if let Input::Key(key) = input { key } else { panic!("{input:?}") };
        typed(&[bytes.as_bytes()]).into_iter().map(of_key).collect()
    }

    #[test]
    fn keys_have_their_names() {
        assert_eq!(keys("a\r\n\t\x7f"), [Key::Char('a'), Key::Enter, Key::NewLine, Key::Tab, Key::Backspace]);
        assert_eq!(keys("\x1b[A\x1bOB\x1b[5~\x1b[1;5C"), [Key::Up, Key::Down, Key::PageUp, Key::Right]);
        assert_eq!(keys("\x03é日"), [Key::Ctrl('c'), Key::Char('é'), Key::Char('日')]);
        assert_eq!(
            keys("\x1b\rx\x1bby\x1b\x7f"),
            [Key::NewLine, Key::Char('x'), Key::Alt('b'), Key::Char('y'), Key::Alt('\x7f')]
        );
    }

    #[test]
    fn an_escape_alone_is_a_key_and_takes_no_other_along() {
        assert_eq!(keys("\x1b"), [Key::Esc]);
        assert_eq!(keys("\x1b\x1b"), [Key::Esc, Key::Esc]);
        assert_eq!(typed(&[b"\x1b", b"x"]), [Input::Key(Key::Esc), Input::Key(Key::Char('x'))]);
        for second in ["[", "O", "]", "P"] {
            let alt = Key::Alt(second.chars().next().expect("one"));
            let pieces = [format!("\x1b{second}").into_bytes(), b"A".to_vec()];
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            assert_eq!(typed(&pieces), [Input::Key(alt), Input::Key(Key::Char('A'))]);
        }
        assert_eq!(keys("\x1b\x03x"), [Key::Esc, Key::Ctrl('c'), Key::Char('x')]);
    }

    #[test]
    fn a_paste_is_text_in_however_many_pieces_it_comes() {
        let paste = "\x1b[200~first\rx\ny\r\nq\tw\x1b[201~";
        let text = [Input::Paste("first\nx\ny\nq\tw".to_owned())];
        assert_eq!(typed(&[paste.as_bytes()]), text);
        let bytes = paste.as_bytes();
        for at in 3..bytes.len() {
            assert_eq!(typed(&[&bytes[..at], &bytes[at..]]), text, "{at}");
        }
        let single: Vec<&[u8]> = bytes[6..bytes.len() - 6].chunks(1).collect();
        assert_eq!(typed(&[&[&bytes[..6]], &*single, &[&bytes[bytes.len() - 6..]]].concat()), text);
    }

    #[test]
    fn what_is_pasted_ends_no_paste_and_is_carried_out_by_nobody() {
        let paste = "\x1b[200~a\x1b[31mb\x1b]0;title\x07c\x03\x1b[201~q";
        assert_eq!(typed(&[paste.as_bytes()]), [Input::Paste("abc".to_owned()), Input::Key(Key::Char('q'))]);
    }

    #[test]
    fn the_mouse_has_a_place() {
        let mouse = b"\x1b[<0;3;4M\x1b[<0;3;4m\x1b[<64;1;1M\x1b[<65;10;2M\x1b[<2;1;1M";
        assert_eq!(typed(&[mouse]), [Input::Click(2, 3), Input::Wheel(0, 0, -3), Input::Wheel(9, 1, 3)]);
        assert_eq!(typed(&[b"\x1b[M xyq"]), [Input::Key(Key::Char('q'))]);
    }

    #[test]
    fn what_the_terminal_answers_is_no_key() {
        let answers = "\x1b[?1;2c\x1b[0n\x1b[12;40R\x1bP>|XTerm(390)\x1b\\\x1b]11;rgb:0000/0000/0000\x1b\\\x1b[I";
        assert_eq!(keys(&format!("{answers}q")), [Key::Char('q')]);
    }
}
