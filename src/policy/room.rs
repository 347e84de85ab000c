//! Whether a pane is large enough to type a message into it and see what becomes of that.
//!
//! A pane has the size of whoever looks at it, and keeps it after they have left. In one of a few columns no agent can show
//! its composer: what is typed there is typed blind.

/// Columns and rows.
pub type Size = (u16, u16);

/// The size that every agent is made for. A smaller pane that nobody looks at is stretched before it is typed into.
pub const ROOMY: Size = (80, 24);

/// Below this a composer with its rules is not to be told from the rest of the screen any more: the agents that were seen
/// draw theirs over 3 to 6 rows, and their hints in some 30 columns.
pub const LEAST: Size = (40, 10);

/// Rows that an agent draws around the text in its composer, with one of its answer in between.
const AROUND: usize = 6;

/// Columns that it takes beside the text: borders and the prompt.
const BESIDE: u16 = 4;

/// From how many characters on an agent that shows a placeholder for a long paste does so (Claude Code 2.1: 800, Codex 0.121:
/// 1,000, opencode 1.1: 150).
const LONG_PASTE: usize = 1_000;

/// What is known of a pane before something is typed into it.
#[derive(Clone, Copy, Debug)]
pub struct RoomFacts<'a> {
    /// Its size now.
    pub size: Size,
    /// Somebody looks at it.
    pub attached: bool,
    /// What is to be typed.
    pub text: &'a str,
    /// The agent shows a few words in the place of a long paste.
    pub shortens: bool,
}

/// What is to be done first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Nothing.
    Enough,
    /// Nobody looks at it: it gets its size back.
    Stretch,
    /// Somebody looks at it with so small a terminal that nothing is typed.
    TooSmall,
}

/// Decides by the size, then by who is there, then by the text.
pub fn decide(facts: &RoomFacts<'_>) -> Room {
    if holds(facts.size, ROOMY) {
        Room::Enough
    } else if !facts.attached {
        Room::Stretch
    } else if holds(facts.size, LEAST) && rows(facts) + AROUND <= usize::from(facts.size.1) {
        Room::Enough
    } else {
        Room::TooSmall
    }
}

/// Whether a pane is smaller than what agents are made for.
pub fn is_cramped(size: Size) -> bool {
    !holds(size, ROOMY)
}

fn holds(size: Size, other: Size) -> bool {
    size.0 >= other.0 && size.1 >= other.1
}

/// Rows that the text takes in the composer.
fn rows(facts: &RoomFacts<'_>) -> usize {
    if facts.shortens && facts.text.chars().count() > LONG_PASTE {
        return 1;
    }
    let width = usize::from(facts.size.0.saturating_sub(BESIDE).max(1));
    facts.text.lines().map(|line| line.chars().count().div_ceil(width).max(1)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(size: Size, attached: bool, text: &str) -> Room {
        decide(&RoomFacts { size, attached, text, shortens: false })
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
        let facts = |length: usize, shortens| {
            decide(&RoomFacts { size: (44, 12), attached: true, text: &"x".repeat(length), shortens })
        };
        assert_eq!(facts(100_000, true), Room::Enough);
        assert_eq!(facts(100_000, false), Room::TooSmall);
        assert_eq!(facts(1_000, true), Room::TooSmall, "it may show all of it");
    }
}
