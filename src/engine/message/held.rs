//! How much of a text a composer holds, as far as its screen tells.

use std::time::Duration;

use peer_adapters::agent::{Pattern, letters};
use peer_adapters::screen::{Composer, View};
use tokio::time::Instant;

use crate::engine::Peer;

/// How long a composer must show the same part of a text, where it cannot show the whole of it.
const PART_STANDS: Duration = Duration::from_millis(300);

/// A text that was pasted, and how long the composer has shown the same part of it.
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

    /// Whether Enter would send the text, as far as this screen tells.
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

/// The agent's own words for a long paste, where it has any.
pub(super) fn placeholder_of(peer: &Peer) -> Option<&Pattern> {
    peer.profile.composer.as_ref().and_then(|rule| rule.placeholder.as_ref())
}

/// What stands before and behind the agent's words for a long paste, where they show.
pub(super) fn beside<'a>(placeholder: &Pattern, shown: &'a str) -> Option<(&'a str, &'a str)> {
    let found = placeholder.regex().find(shown)?;
    let behind = &shown[found.end()..];
    // The pattern may end before they do.
    let tail = if found.as_str().contains(']') { behind } else { behind.split_once(']').unwrap_or_default().1 };
    Some((&shown[..found.start()], tail))
}

/// How much of a text a composer shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// The whole, or the agent's placeholder for it.
    All,
    /// Some rows of it.
    Part,
    /// Something else, or something else besides.
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
        let is_part = text.contains(&all) || (drawn(&text).contains(&drawn(&all)) && is_drawn_of(&all, &text));
        if is_part { Self::Part } else { Self::Other }
    }
}

/// Whether everything that is shown stands in the text, in this order; what a terminal cannot draw is left out or replaced.
fn is_drawn_of(shown: &str, text: &str) -> bool {
    let mut text = text.chars();
    shown.chars().filter(|c| *c != char::REPLACEMENT_CHARACTER).all(|c| text.any(|other| other == c))
}

/// What every terminal draws as it is.
fn drawn(text: &str) -> String {
    text.chars().filter(char::is_ascii).collect()
}
