//! What a message may contain, and when a recorded message equals the one sent.

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use unicode_width::UnicodeWidthChar;

use super::{Pattern, Profile};

/// Why a text would not arrive unchanged. No part of it may be typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// The agent would treat it as one of its own commands and run it.
    #[error("it would be taken for a command of the agent's own, and run without being said")]
    Command,
    /// It contains a control character, which agents drop or take as a key.
    #[error("line {line} holds the control character U+{:04X}, which would not arrive", u32::from(*character))]
    Control {
        /// The character.
        character: char,
        /// Its line, from 1.
        line: usize,
    },
    /// It contains only white space, and characters that show only on others: accents, format characters.
    #[error("it holds nothing that would be said")]
    Nothing,
    /// The composer would show something else, and it could not be checked before Enter.
    #[error("a line of it begins with an accent or a format character, which the agent may draw wrongly")]
    Misdrawn,
}

impl Profile {
    /// Checks that `text` would reach the agent unchanged. `command` means that it is intended as one of the agent's
    /// own commands.
    ///
    /// # Errors
    /// The reason why it would not.
    ///
    /// # Source
    /// Claude Code 2.1.332, Codex 0.169.0, pi 0.73.1 and opencode 1.18.33 drop control characters out of a paste: a
    /// bare carriage return joins two words, `ESC[31m` leaves `[31m`. Line feeds and tabs arrive.
    pub fn check_message(&self, text: &str, command: bool) -> Result<(), Unsendable> {
        if !command && self.is_command(text) {
            return Err(Unsendable::Command);
        }
        // Marks without a letter to be drawn on may not show, so nobody could tell whether they were typed.
        if letters(&without_marks(text)).is_empty() {
            return Err(Unsendable::Nothing);
        }
        if self.message.misdrawn.as_ref().is_some_and(|pattern| pattern.is_match(&text.replace("\r\n", "\n"))) {
            return Err(Unsendable::Misdrawn);
        }
        for (number, line) in text.split('\n').enumerate() {
            // A Windows line ending is allowed.
            let line = line.strip_suffix('\r').unwrap_or(line);
            if let Some(character) = line.chars().find(|c| c.is_control() && *c != '\t') {
                return Err(Unsendable::Control { character, line: number + 1 });
            }
        }
        Ok(())
    }

    /// Returns the text as it is pasted: followed by a space if its last word would otherwise open a list of
    /// completions, or turn Enter into a line break ([`super::MessageRule::space_after`]), and after a space if its first
    /// character would otherwise show as another one ([`super::MessageRule::space_before`]).
    pub fn pasted(&self, text: &str) -> String {
        let text = text.replace("\r\n", "\n");
        let needs = |rule: &Option<Pattern>| rule.as_ref().is_some_and(|pattern| pattern.is_match(&text));
        let space = |rule| if needs(rule) { " " } else { "" };
        format!("{}{text}{}", space(&self.message.space_before), space(&self.message.space_after))
    }
}

/// What an agent changes in a message before recording it. These changes are ignored in comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alteration {
    /// White space and byte order marks at the beginning and the end are removed.
    Ends,
    /// A tab becomes four spaces.
    Tabs,
    /// Unicode's composition: characters are composed where possible (NFC).
    Composition,
    /// Invisible characters are dropped, except where they hold an emoji or a syllable together.
    Format,
    /// U+2028 and U+2029 become line ends.
    Separators,
}

impl Profile {
    /// Returns `true` if the agent's record is this message, apart from the changes that its profile lists
    /// ([`super::MessageRule::alters`]).
    pub fn matches_record(&self, record: &str, text: &str) -> bool {
        let text = self.written(text);
        !text.is_empty() && self.written(record) == text
    }

    /// Returns the form of a text that is compared.
    fn written(&self, text: &str) -> String {
        let alters = |what| self.message.alters.contains(&what);
        // As in [`Self::pasted`].
        let mut text = text.replace("\r\n", "\n");
        if alters(Alteration::Separators) {
            text = text.replace(['\u{2028}', '\u{2029}'], "\n");
        }
        if alters(Alteration::Tabs) {
            text = text.replace('\t', "    ");
        }
        if alters(Alteration::Composition) {
            text = text.nfc().collect();
        }
        if alters(Alteration::Format) {
            text = without_format(&text);
        }
        if alters(Alteration::Ends) {
            text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}').to_owned();
        }
        text
    }
}

/// Removes invisible characters. Joiners and variation selectors after a non-letter are part of an emoji or a syllable
/// and stay.
fn without_format(text: &str) -> String {
    let mut before = ' ';
    let mut is_kept = |c: char| {
        let joins = matches!(c, '\u{200d}' | '\u{fe00}'..='\u{fe0f}') && !before.is_alphabetic() && before != ' ';
        before = c;
        joins || !draws_nothing(c)
    };
    text.chars().filter(|c| is_kept(*c)).collect()
}

/// Returns the visible characters of a text, without those on which screens differ: a screen breaks lines anywhere and
/// does not draw some characters.
pub fn letters(text: &str) -> String {
    text.nfc().filter(|c| !c.is_whitespace() && !c.is_control() && !is_format(*c)).collect()
}

/// Returns a text without the characters that take no column of a terminal, as accents that are not composed with their
/// letter.
pub fn without_marks(text: &str) -> String {
    text.chars().filter(|c| c.width() != Some(0)).collect()
}

/// Returns a text with each accent behind its letter.
pub fn decomposed(text: &str) -> String {
    text.nfd().collect()
}

/// Returns `true` for characters that a terminal does not draw, or draws around other characters.
fn is_format(c: char) -> bool {
    draws_nothing(c) || matches!(c, '\u{600}'..='\u{605}' | '\u{6dd}' | '\u{70f}' | '\u{110bd}')
}

/// Returns `true` for invisible characters (Unicode 17, `Default_Ignorable_Code_Point`, and the annotations U+FFF9 to
/// U+FFFB).
fn draws_nothing(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(name: &str) -> Profile {
        Profile::builtin(name).expect("built in")
    }

    /// Each case was seen with the real program.
    #[test]
    fn what_an_agent_normalises_is_the_same_message() {
        for (agent, record, text) in [
            ("claude", "caf\u{e9}", "cafe\u{301}"),
            ("claude", "\u{c5}ngstr\u{f6}m", "\u{212b}ngstr\u{f6}m"),
            ("claude", "bom", "\u{feff}bom"),
            ("claude", "zerowidth", "zero\u{200b}width"),
            ("claude", "AB", "A\u{200d}B"),
            ("claude", "AB", "A\u{fe0f}B"),
            ("claude", "AB", "A\u{3164}B"),
            ("claude", "a    b", "a\tb"),
            ("claude", "first\nsecond", "first\u{2029}second"),
            ("claude", "def f():\n    four\n    x", "def f():\n    four\n\tx\n"),
            ("pi", "a    b", "a\tb"),
            ("pi", "y", "\n\ny  "),
            ("codex", "lead", "\tlead\t\n"),
            ("opencode", "a\n\n\nb ", "a\n\n\nb"),
            ("opencode", "first\nsecond", "first\r\nsecond\r\n"),
        ] {
            assert!(profile(agent).matches_record(record, text), "{agent} {record:?} {text:?}");
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
            ("def f():\nreturn", "def f():\n    return"),
            ("if x:\n    a\n    b", "if x:\n    a\n        b"),
            ("a\nb", "a\n\n\nb"),
            ("a b", "a  b"),
            ("one\nmine\nand two", "mine"),
            ("\u{1f468}\u{1f469}\u{1f467}", "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}"),
            ("\u{2764}", "\u{2764}\u{fe0f}"),
        ] {
            for agent in ["claude", "codex", "pi", "opencode"] {
                assert!(!profile(agent).matches_record(record, text), "{agent} {record:?} {text:?}");
            }
        }
    }

    /// A change that one agent makes does not count for another.
    #[test]
    fn what_an_agent_was_not_seen_to_change_is_compared() {
        for (agent, record, text) in [
            ("codex", "a    b", "a\tb"),
            ("opencode", "a    b", "a\tb"),
            ("codex", "zerowidth", "zero\u{200b}width"),
            ("pi", "zerowidth", "zero\u{200b}width"),
            ("opencode", "zerowidth", "zero\u{200b}width"),
            ("codex", "caf\u{e9}", "cafe\u{301}"),
            ("pi", "caf\u{e9}", "cafe\u{301}"),
            ("opencode", "caf\u{e9}", "cafe\u{301}"),
            ("pi", "first\nsecond", "first\u{2029}second"),
        ] {
            assert!(!profile(agent).matches_record(record, text), "{agent} {record:?} {text:?}");
        }
    }

    #[test]
    fn a_control_character_is_refused_with_its_place() {
        let profile = Profile::builtin("claude").expect("built in");
        for nothing in [" \u{200b}\n", "\u{301}", " \u{20dd}\u{200d}"] {
            assert_eq!(profile.check_message(nothing, false), Err(Unsendable::Nothing), "{nothing:?}");
        }
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

    /// Seen in zellij 0.45.1: opencode draws a first character without a column of its own over the first cell, where what
    /// was there before stays, and loses the last character.
    #[test]
    fn what_opencode_draws_wrongly_is_typed_behind_a_space_or_refused() {
        let profile = profile("opencode");
        for text in ["\u{301}x", "\u{20dd}x", "\u{200d}x", "\u{feff}x"] {
            assert_eq!(
                (profile.pasted(text), profile.check_message(text, false)),
                (format!(" {text}"), Ok(())),
                "{text:?}"
            );
            assert!(profile.matches_record(&profile.pasted(text), text), "{text:?}");
            for (text, seen) in [
                (format!("ab\n{text}"), Err(Unsendable::Misdrawn)),
                (format!("ab\r\n{text}"), Err(Unsendable::Misdrawn)),
                // From three lines on it shows as a placeholder.
                (format!("ab\n{text}\n"), Ok(())),
                (format!("ab{text}\n x"), Ok(())),
            ] {
                assert_eq!(profile.check_message(&text, false), seen, "{text:?}");
            }
        }
        assert_eq!(profile.pasted("cafe\u{301}"), "cafe\u{301}");
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
