//! One line of a captured pane, with its text and dim cells, and the removal of escape sequences.

use crate::agent::Pattern;

/// A line without its escape sequences.
pub(super) struct Line {
    /// The whole text.
    pub(super) plain: String,
    /// For each character of `plain`, whether it is drawn dim: then it is a suggestion by the agent, not the user's
    /// text.
    dim: Vec<bool>,
    /// Whether part of the text has a colour of its own.
    pub(super) is_coloured: bool,
}

impl Line {
    /// Parses one line. Attributes do not carry over from the previous line: an agent that draws dim text over two
    /// lines sets it on both, and tmux 3.3a repeats it.
    pub(super) fn parse(text: &str) -> Self {
        let mut line = Self { plain: String::new(), dim: Vec::new(), is_coloured: false };
        let mut inverse = Vec::new();
        let (mut is_dim, mut is_inverse, mut is_coloured) = (false, false, false);
        for piece in pieces(text) {
            match piece {
                Piece::Char(c) => {
                    line.plain.push(c);
                    line.dim.push(is_dim);
                    line.is_coloured |= is_coloured && c != ' ';
                    inverse.push(is_inverse);
                }
                Piece::Attributes(codes) => attributes(codes, &mut is_dim, &mut is_inverse, &mut is_coloured),
            }
        }
        // The cursor is an inverse cell drawn over the first character of a suggestion: it counts as dim if the next
        // character is.
        for at in (0..line.dim.len().saturating_sub(1)).rev() {
            if inverse[at] {
                line.dim[at] |= line.dim[at + 1];
            }
        }
        while line.plain.ends_with(' ') {
            line.plain.pop();
            line.dim.pop();
        }
        line
    }

    /// Returns the text after `prompt` at the beginning of the line, within the first `width` columns and without dim
    /// characters.
    pub(super) fn after(&self, prompt: Option<&Pattern>, width: Option<usize>) -> String {
        let skipped = prompt
            .and_then(|prompt| prompt.regex().find(&self.plain))
            .filter(|found| found.start() == 0)
            .map_or(0, |found| found.as_str().chars().count());
        let cells = self.plain.chars().zip(&self.dim).take(width.unwrap_or(usize::MAX)).skip(skipped);
        cells.filter(|(_, dim)| !**dim).map(|(c, _)| c).collect::<String>().trim_end().to_owned()
    }
}

/// Returns the text without escape sequences and other characters that mislead a terminal; line ends and tabs stay.
pub fn plain(text: &str) -> String {
    let shown = |piece| match piece {
        Piece::Char(c) if stays(c) => Some(c),
        Piece::Char(_) | Piece::Attributes(_) => None,
    };
    pieces(text).filter_map(shown).collect()
}

/// Returns `true` if a terminal does not simply show the character: control characters (C0, DEL, C1), and those that
/// change the direction of what follows or end the line (U+202A to U+202E, U+2066 to U+2069, U+2028, U+2029).
pub fn misleads(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Converts text from any source to one line that a terminal shows unchanged: whatever [`misleads`] becomes a space.
pub fn printable(text: &str) -> String {
    text.replace(misleads, " ")
}

fn stays(c: char) -> bool {
    !misleads(c) || matches!(c, '\n' | '\t')
}

/// Returns the text with its colours and attributes (SGR sequences) but without other escape sequences and whatever
/// else [`misleads`]. It is safe for a terminal, whatever the agent drew. Line ends and tabs stay.
///
/// # Source
/// tmux 3.4 and later capture hyperlinks (OSC 8) with `-e`, and zellij 0.45.1 dumps what the program sent.
pub fn coloured(text: &str) -> String {
    pieces(text).fold(String::with_capacity(text.len()), |mut kept, piece| {
        match piece {
            Piece::Char(c) => kept.extend(Some(c).filter(|c| stays(*c))),
            Piece::Attributes(codes) => kept.extend(["\u{1b}[", codes, "m"]),
        }
        kept
    })
}

pub(super) enum Piece<'a> {
    Char(char),
    /// The parameters of an SGR sequence.
    Attributes(&'a str),
}

pub(super) fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let c = rest.chars().next()?;
            rest = &rest[c.len_utf8()..];
            if c == '\u{1b}' {
                let (attributes, after) = escape(rest);
                rest = after;
                if let Some(codes) = attributes {
                    return Some(Piece::Attributes(codes));
                }
            } else if !c.is_control() || matches!(c, '\n' | '\t') {
                return Some(Piece::Char(c));
            }
        }
    })
}

/// Parses what follows an ESC. Returns the parameters if it is an SGR sequence, and the text after the sequence
/// (ECMA-48).
fn escape(text: &str) -> (Option<&str>, &str) {
    let after = |at: usize| text.get(at..).unwrap_or_default();
    match text.as_bytes().first() {
        Some(b'[') => match text.bytes().skip(1).position(|byte| (0x40..=0x7e).contains(&byte)) {
            Some(length) => {
                let is_sgr = text.as_bytes().get(length + 1) == Some(&b'm');
                // Anything else in between is a private sequence, or a control character that the terminal would
                // execute.
                let plain =
                    |codes: &&str| codes.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':'));
                let codes = text.get(1..=length).filter(|_| is_sgr).filter(plain);
                (codes, after(length + 2))
            }
            None => (None, ""),
        },
        // OSC and similar sequences end with BEL or ST.
        Some(b']' | b'P' | b'X' | b'^' | b'_') => match text.find(['\u{7}', '\u{1b}']) {
            Some(end) if text[end..].starts_with("\u{1b}\\") => (None, after(end + 2)),
            Some(end) if text[end..].starts_with('\u{1b}') => (None, after(end)),
            Some(end) => (None, after(end + 1)),
            None => (None, ""),
        },
        Some(b'(' | b')') => (None, after(text.char_indices().nth(2).map_or(text.len(), |(at, _)| at))),
        Some(_) => (None, after(text.chars().next().map_or(0, char::len_utf8))),
        None => (None, ""),
    }
}

fn attributes(codes: &str, dim: &mut bool, inverse: &mut bool, coloured: &mut bool) {
    let mut codes = codes.split([';', ':']);
    while let Some(code) = codes.next() {
        match code {
            "" | "0" => (*dim, *inverse, *coloured) = (false, false, false),
            "2" => *dim = true,
            "22" => *dim = false,
            "7" => *inverse = true,
            "27" => *inverse = false,
            // A colour's own numbers are not attributes: `38;5;N` and `38;2;R;G;B`.
            "38" | "48" | "58" => {
                *coloured |= code == "38";
                let numbers = if codes.next() == Some("2") { 3 } else { 1 };
                codes.nth(numbers - 1);
            }
            "39" => *coloured = false,
            "30" | "31" | "32" | "33" | "34" | "35" | "36" | "37" => *coloured = true,
            "90" | "91" | "92" | "93" | "94" | "95" | "96" | "97" => *coloured = true,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, coloured, plain};

    #[test]
    fn escape_sequences_and_control_characters_leave_the_text_alone() {
        let text = "\u{1b}[1;38;5;2mred\u{1b}[0m \u{1b}]0;title\u{7}x\u{1b}]8;;url\u{1b}\\y\u{1b}(B\u{8}z\n\u{1b}[";
        assert_eq!(plain(text), "red xyz\n");
        assert_eq!(coloured(text), "\u{1b}[1;38;5;2mred\u{1b}[0m xyz\n");
    }

    #[test]
    fn what_misleads_a_terminal_does_not_pass_in_any_way() {
        let text = "a\u{9b}31mb\u{202e}c\u{2028}d\u{2066}e\u{85}f\u{7f}";
        assert_eq!(plain(text), "a31mbcdef");
        assert_eq!(coloured(text), "a31mbcdef");
        // Inside an SGR sequence, private ones included.
        for inside in ["\u{7}", "\u{9b}2J", "\n", ">4;1", "?25", "\u{202e}1"] {
            let text = format!("\u{1b}[{inside}mx");
            assert!(!coloured(&text).contains(super::misleads), "{text:?}: {:?}", coloured(&text));
        }
        assert_eq!(super::printable("a\u{1b}]52;c;x\u{7}\u{9d}\u{2069}\n"), "a ]52;c;x    ");
    }

    #[test]
    fn dim_text_is_left_out_and_a_colour_number_is_no_attribute() {
        assert_eq!(Line::parse("> \u{1b}[2mghost\u{1b}[22m typed").after(None, None), ">  typed");
        assert_eq!(Line::parse("\u{1b}[38;5;2mtyped\u{1b}[48;2;2;2;2m too").after(None, None), "typed too");
    }

    #[test]
    fn a_colour_of_its_own_is_one_of_the_text_and_not_of_the_space_around_it() {
        for text in ["\u{1b}[38;5;2mx", "a \u{1b}[1;91mx\u{1b}[0m", "\u{1b}[38;2;1;2;3m→\u{1b}[39m x"] {
            assert!(Line::parse(text).is_coloured, "{text:?}");
        }
        for text in
            ["x", "\u{1b}[31m \u{1b}[39mx", "\u{1b}[31m\u{1b}[0mx", "\u{1b}[48;2;38;38;31mx\u{1b}[7m \u{1b}[1mx"]
        {
            assert!(!Line::parse(text).is_coloured, "{text:?}");
        }
    }

    #[test]
    fn the_cursor_over_a_suggestion_is_part_of_it() {
        assert_eq!(Line::parse("\u{1b}[7mO\u{1b}[0;2mnce fixed\u{1b}[0m").after(None, None), "");
        assert_eq!(Line::parse("typed\u{1b}[7m \u{1b}[0m").after(None, None), "typed");
    }
}
