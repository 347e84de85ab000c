//! Fingerprints of texts, for records that must not contain the text itself.

use peer_adapters::agent::letters;

use crate::engine::observe::fnv1a;

/// Returns the fingerprint of a text. Only letters count, because a composer breaks lines where it likes.
pub(super) fn fingerprint(text: &str) -> String {
    format!("{:016x}", fnv1a(letters(text).as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_known_again_however_its_lines_are_broken() {
        assert_eq!(fingerprint("one two\nthree"), fingerprint("  one\n  twothree "));
        assert_ne!(fingerprint("one two"), fingerprint("one two, and what a person added"));
    }
}
