//! What a message may hold, and when it is the same that was said.

use unicode_normalization::UnicodeNormalization;

use super::Profile;

/// Why a text would not arrive as it is. Nothing of it may be typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// The agent would take it for a command of its own and run it.
    #[error("it would be taken for a command of the agent's own, and run without being said")]
    Command,
    /// It holds a control character, which agents drop, or take for a key.
    #[error("line {line} holds the control character U+{:04X}, which would not arrive", u32::from(*character))]
    Control {
        /// Which.
        character: char,
        /// The line that it is in, from 1.
        line: usize,
    },
    /// It holds nothing but white space and characters that only format.
    #[error("it holds nothing that would be said")]
    Nothing,
}

impl Profile {
    /// Whether `text` would reach the agent as it is. `command` says that it is meant as a command of the agent's own.
    ///
    /// # Errors
    /// Why not.
    ///
    /// # Source
    /// Claude Code 2.1.332, Codex 0.169.0, pi 0.73.1 and opencode 1.18.33 drop control characters out of a paste: a bare
    /// carriage return joins two words, `ESC[31m` leaves `[31m`. Line feeds and tabs arrive.
    pub fn check_message(&self, text: &str, command: bool) -> Result<(), Unsendable> {
        if !command && self.takes_for_command(text) {
            return Err(Unsendable::Command);
        }
        if lines(text).is_empty() {
            return Err(Unsendable::Nothing);
        }
        for (number, line) in text.split('\n').enumerate() {
            // A line that ends as on Windows is a line.
            let line = line.strip_suffix('\r').unwrap_or(line);
            if let Some(character) = line.chars().find(|c| c.is_control() && *c != '\t') {
                return Err(Unsendable::Control { character, line: number + 1 });
            }
        }
        Ok(())
    }

    /// The text as it is pasted: with a space behind it where its last word would otherwise open a list of completions, or
    /// make a line break of Enter ([`super::MessageRule::space_after`]).
    pub fn pasted(&self, text: &str) -> String {
        let text = text.replace("\r\n", "\n");
        let spaced = self.message.space_after.as_ref().is_some_and(|pattern| pattern.is_match(&text));
        if spaced { text + " " } else { text }
    }
}

/// Whether what an agent wrote down is this message. Letters, their order and their lines must be the same; what agents
/// normalise is not compared: Unicode's composition (NFC), characters that only format (U+200B, U+FEFF, U+00AD, marks of
/// direction), and how white space is written, its beginning and end included.
///
/// A record may hold several messages, line after line, where an agent sends at once what waited behind a turn.
pub(crate) fn is_said(record: &str, text: &str) -> bool {
    let (record, text) = (lines(record), lines(text));
    !text.is_empty() && record.windows(text.len()).any(|window| window == text)
}

fn lines(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let composed: String = line.nfc().filter(|c| !is_format(*c)).collect();
        composed.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    // Words that only format on a line are no line. Some agents write U+2028 and U+2029 down as the line ends that they are.
    text.split(['\n', '\u{2028}', '\u{2029}']).map(line).filter(|line| !line.is_empty()).collect()
}

/// The same for a screen, which breaks lines where it likes and draws nothing of some characters.
pub fn letters(text: &str) -> String {
    text.nfc().filter(|c| !c.is_whitespace() && !c.is_control() && !is_format(*c)).collect()
}

/// Characters of the general category `Cf` and others that draw nothing (Unicode 17, `Default_Ignorable_Code_Point`).
fn is_format(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{110bd}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_agents_normalise_is_the_same_message() {
        for (record, text) in [
            ("café", "cafe\u{301}"),
            ("\u{c5}ngström", "\u{212b}ngström"),
            ("bom", "\u{feff}bom"),
            ("zerowidth", "zero\u{200b}width"),
            ("a    b", "a\tb"),
            ("first\n  second", "  first\n\tsecond  \n"),
            ("first\nsecond", "first\r\nsecond\r\n"),
            ("first\nsecond", "first\u{2029}second"),
            ("one message\nanother\nand its second line", "another\nand its second line"),
        ] {
            assert!(is_said(record, text), "{record:?} {text:?}");
        }
    }

    #[test]
    fn what_was_altered_is_another_message() {
        for (record, text) in [
            ("please read $imagegen", "please read @ma"),
            ("the sign is $imagegen", "the sign is $"),
            ("the sign is", "the sign is $"),
            ("onetwo", "one\ntwo"),
            ("one two", "onetwo"),
            ("C:\\work", "C:\\work\\"),
            ("yes, and more", "yes"),
            ("a\nb", "b\na"),
            ("anything", ""),
            ("Exit", "exit"),
        ] {
            assert!(!is_said(record, text), "{record:?} {text:?}");
        }
    }

    #[test]
    fn a_control_character_is_refused_with_its_place() {
        let profile = Profile::builtin("claude").expect("built in");
        assert_eq!(profile.check_message(" \u{200b}\n", false), Err(Unsendable::Nothing));
        assert_eq!(profile.check_message("tab\there, umlaut ü\r\nand CRLF\r\n", false), Ok(()));
        for (text, character, line) in [
            ("one\rtwo", '\r', 1),
            ("a\n\u{1b}[31mred", '\u{1b}', 2),
            ("x\u{85}y", '\u{85}', 1),
            ("a\n\nb\u{7}", '\u{7}', 3),
        ] {
            assert_eq!(profile.check_message(text, true), Err(Unsendable::Control { character, line }), "{text:?}");
        }
    }

    #[test]
    fn nothing_is_completed_and_no_line_broken_behind_the_last_word() {
        for agent in ["claude", "codex", "pi", "opencode"] {
            let profile = Profile::builtin(agent).expect(agent);
            for text in ["read @ma", "C:\\work\\", "\\", "look at @", "a\nb /tm"] {
                assert_eq!(profile.pasted(text), format!("{text} "), "{agent}");
            }
            assert_eq!(profile.pasted("a\r\nb "), "a\nb ", "{agent}");
        }
        assert_eq!(Profile::builtin("command").expect("built in").pasted("echo \\"), "echo \\");
    }
}
