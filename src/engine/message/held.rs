//! How much of a text a composer holds, judged by its screen.

use std::time::Duration;

use peer_adapters::agent::{Pattern, decomposed, letters};
use peer_adapters::screen::{Composer, View};
use tokio::time::Instant;

use crate::engine::Peer;

/// How long a composer must show the same part of a text, if it cannot show the whole text.
const PART_STANDS: Duration = Duration::from_millis(300);

/// A pasted text, and since when the composer has shown the same part of it.
pub(super) struct Waits<'a> {
    pub(super) text: &'a str,
    command: bool,
    placeholder: Option<&'a Pattern>,
    part: Option<(String, Instant)>,
}

impl<'a> Waits<'a> {
    pub(super) fn for_text(text: &'a str, command: bool, peer: &'a Peer) -> Self {
        Self { text, command, placeholder: placeholder_of(peer), part: None }
    }

    /// Whether Enter would send exactly this text, judged by the screen.
    pub(super) fn is_over(&mut self, view: &View) -> bool {
        let Composer::Holds(shown) = &view.composer else { return false };
        if view.popup && !self.command {
            return false;
        }
        match Held::of(shown, self.text, self.placeholder) {
            Held::All => true,
            Held::Other => false,
            Held::Part => match &self.part {
                Some((seen, since)) if seen == shown => since.elapsed() >= PART_STANDS,
                _ => {
                    self.part = Some((shown.clone(), Instant::now()));
                    false
                }
            },
        }
    }
}

/// Returns the pattern of the agent's placeholder for a long paste, if it has one.
pub(super) fn placeholder_of(peer: &Peer) -> Option<&Pattern> {
    peer.profile.composer.as_ref().and_then(|rule| rule.placeholder.as_ref())
}

/// Returns what the composer shows before and after the placeholder, if it shows one.
pub(super) fn beside<'a>(placeholder: &Pattern, shown: &'a str) -> Option<(&'a str, &'a str)> {
    let found = placeholder.regex().find(shown)?;
    let behind = &shown[found.end()..];
    // The pattern may match only the beginning of the placeholder.
    let tail = if found.as_str().contains(']') { behind } else { behind.split_once(']').unwrap_or_default().1 };
    Some((&shown[..found.start()], tail))
}

/// How much of a text a composer shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// The whole text, or the agent's placeholder for it.
    All,
    /// Some lines of it.
    Part,
    /// Something else, or something in addition.
    Other,
}

impl Held {
    pub(super) fn of(shown: &str, text: &str, placeholder: Option<&Pattern>) -> Self {
        let (all, text) = (letters(shown), letters(text));
        if all == text {
            return Self::All;
        }
        if let Some((head, tail)) = placeholder.and_then(|pattern| beside(pattern, shown)) {
            let (head, tail) = (letters(head), letters(tail));
            let fits = head.len() + tail.len() <= text.len() && text.starts_with(&head) && text.ends_with(&tail);
            return if fits { Self::All } else { Self::Other };
        }
        let is_part = |all: &str, text: &str| drawn(text).contains(&drawn(all)) && is_drawn_of(all, text);
        // zellij 0.45.1 drops a combining accent and keeps its letter.
        let is_part = text.contains(&all) || is_part(&all, &text) || is_part(&decomposed(&all), &decomposed(&text));
        if is_part { Self::Part } else { Self::Other }
    }
}

/// Whether everything that is shown occurs in the text, in this order. Terminals drop or replace characters that they
/// cannot draw.
fn is_drawn_of(shown: &str, text: &str) -> bool {
    let mut text = text.chars();
    shown.chars().filter(|c| *c != char::REPLACEMENT_CHARACTER).all(|c| text.any(|other| other == c))
}

/// Returns the characters that every terminal draws unchanged.
fn drawn(text: &str) -> String {
    text.chars().filter(char::is_ascii).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_known_whose_accents_a_terminal_does_not_draw() {
        let text = "cafe\u{301} de\u{301}compose\u{301}";
        for shown in ["cafe decompose", "caf\u{e9} de\u{301}compos\u{e9}", "caf\u{fffd} d\u{fffd}compos\u{fffd}"] {
            assert_ne!(Held::of(shown, text, None), Held::Other, "{shown}");
        }
        for shown in ["cafe decompose and more", "care decompose", "decompose cafe", "mine\ncafe decompose"] {
            assert_eq!(Held::of(shown, text, None), Held::Other, "{shown}");
        }
        assert_eq!(Held::of("caf\u{e9} decompos", "cafe decompose", None), Held::Other);
    }
}
