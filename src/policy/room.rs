//! Decides whether a pane is large enough to type a message into it and observe the result.
//!
//! A pane has the size of the last attached terminal, and keeps it after the user detaches. In a pane of a few columns
//! no agent can show its composer, so text would be typed blind.

/// Columns and rows.
pub type Size = (u16, u16);

/// The size that every agent supports. A smaller pane without an attached user is enlarged before a message is typed.
pub const FULL_SIZE: Size = (80, 24);

/// The smallest size in which a composer and its borders can be told apart from the rest of the screen. The observed
/// agents draw their composer over 3 to 6 rows, and their hints over some 30 columns.
pub const MIN_SIZE: Size = (40, 10);

/// The number of rows that an agent draws around the text in its composer, including one row of its answer.
const COMPOSER_ROWS: usize = 6;

/// The number of columns used beside the text, for borders and the prompt.
const COMPOSER_COLUMNS: u16 = 4;

/// The number of characters above which an agent that abbreviates long pastes is assumed to show a placeholder (Claude
/// Code 2.1: 800, Codex 0.121: 1,000, opencode 1.1: 150).
const LONG_PASTE: usize = 1_000;

/// The facts about a pane before a message is typed into it.
#[derive(Clone, Copy, Debug)]
pub struct RoomFacts<'a> {
    /// The current size of the pane.
    pub size: Size,
    /// Whether a user is attached.
    pub attached: bool,
    /// The text to type.
    pub text: &'a str,
    /// Whether the agent shows a short placeholder for a long paste.
    pub abbreviates_pastes: bool,
}

/// What must happen before typing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Nothing: the pane is large enough.
    Enough,
    /// The pane must be enlarged. No user is attached.
    Stretch,
    /// The attached terminal is too small, so nothing is typed.
    TooSmall,
}

/// Decides by the size, then by whether a user is attached, then by the text.
pub fn decide(facts: &RoomFacts<'_>) -> Room {
    if holds(facts.size, FULL_SIZE) {
        Room::Enough
    } else if !facts.attached {
        Room::Stretch
    } else if holds(facts.size, MIN_SIZE) && rows(facts) + COMPOSER_ROWS <= usize::from(facts.size.1) {
        Room::Enough
    } else {
        Room::TooSmall
    }
}

/// Returns `true` if a pane is smaller than [`FULL_SIZE`].
pub fn is_cramped(size: Size) -> bool {
    !holds(size, FULL_SIZE)
}

fn holds(size: Size, other: Size) -> bool {
    size.0 >= other.0 && size.1 >= other.1
}

/// Returns the number of rows that the text takes in the composer.
fn rows(facts: &RoomFacts<'_>) -> usize {
    if facts.abbreviates_pastes && facts.text.chars().count() > LONG_PASTE {
        return 1;
    }
    let width = usize::from(facts.size.0.saturating_sub(COMPOSER_COLUMNS).max(1));
    facts.text.lines().map(|line| line.chars().count().div_ceil(width).max(1)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(size: Size, attached: bool, text: &str) -> Room {
        decide(&RoomFacts { size, attached, text, abbreviates_pastes: false })
    }

    #[test]
    fn a_pane_of_the_size_that_agents_are_made_for_is_enough_whoever_looks() {
        for attached in [false, true] {
            assert_eq!(room((80, 24), attached, &"x\n".repeat(1_000)), Room::Enough);
            assert_eq!(room((250, 70), attached, "x"), Room::Enough);
        }
    }

    #[test]
    fn a_smaller_one_that_nobody_looks_at_is_stretched() {
        for size in [(8, 1), (79, 24), (200, 23), (0, 0)] {
            assert_eq!(room(size, false, "x"), Room::Stretch, "{size:?}");
        }
    }

    #[test]
    fn under_somebodys_eyes_the_text_must_fit() {
        assert_eq!(room((60, 24), true, "hello"), Room::Enough);
        assert_eq!(room((40, 10), true, "hello"), Room::Enough);
        for size in [(8, 1), (39, 50), (200, 9), (20, 6)] {
            assert_eq!(room(size, true, "hello"), Room::TooSmall, "{size:?}");
        }
        assert_eq!(room((44, 12), true, &"x".repeat(240)), Room::Enough, "six rows");
        assert_eq!(room((44, 12), true, &"x".repeat(241)), Room::TooSmall, "seven");
        assert_eq!(room((44, 12), true, "1\n2\n\n4\n5\n6\n7"), Room::TooSmall);
    }

    #[test]
    fn a_long_paste_of_which_the_agent_shows_a_few_words_fits() {
        let facts = |length: usize, abbreviates_pastes| {
            decide(&RoomFacts { size: (44, 12), attached: true, text: &"x".repeat(length), abbreviates_pastes })
        };
        assert_eq!(facts(100_000, true), Room::Enough);
        assert_eq!(facts(100_000, false), Room::TooSmall);
        assert_eq!(facts(1_000, true), Room::TooSmall, "it may show all of it");
    }
}
