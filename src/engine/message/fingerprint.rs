//! Fingerprints of texts, for records that must not contain the text itself.

use peer_adapters::agent::{letters, without_marks};

use crate::engine::observe::fnv1a;

/// Returns the fingerprint of a text. Only letters count, because a composer breaks lines where it likes.
pub(super) fn fingerprint(text: &str) -> String {
    format!("{:016x}", fnv1a(letters(text).as_bytes()))
}

/// Returns the fingerprint of what zellij 0.45.1 draws of a text: it drops the characters that take no column. `None` if the
/// text has none, because then a text that differs only in an accent is a different text.
pub(super) fn unmarked(text: &str) -> Option<String> {
    let drawn = without_marks(text);
    (letters(&drawn) != letters(text)).then(|| fingerprint(&drawn))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_known_again_however_its_lines_are_broken() {
        assert_eq!(fingerprint("one two\nthree"), fingerprint("  one\n  twothree "));
        assert_ne!(fingerprint("one two"), fingerprint("one two, and what a person added"));
    }

    #[test]
    fn a_text_whose_accents_are_not_drawn_is_known_again() {
        assert_eq!(unmarked("cafe\u{301} au\nlait"), Some(fingerprint("cafe au lait")));
        assert_ne!(unmarked("cafe\u{301} au lait"), Some(fingerprint("cafe au lait, please")));
        for text in ["cafe au lait", "caf\u{e9}", "zero\u{200b}width", "日本語"] {
            assert_eq!(unmarked(text), None, "{text}");
        }
    }
}
