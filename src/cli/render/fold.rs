//! Lines that are wider than the terminal go on below themselves, between words.

use crate::cli::render::terminal::width;

/// The columns that a text needs beside its indentation; less would break most words, so the indentation gives way.
const LEAST: usize = 24;

/// Breaks a line between words, so that no part is wider than `room` unless one word is. What goes on begins at column
/// `hang`. Without a terminal, which has no width, the line stays as it is.
pub(crate) fn fold(line: &str, hang: usize, room: Option<usize>) -> Vec<String> {
    let Some(room) = room.filter(|room| columns_of(line) > *room) else { return vec![line.to_owned()] };
    let hang = if hang + LEAST <= room { hang } else { 2 };
    let (mut lines, mut last, mut wide, mut is_blank) = (Vec::new(), String::new(), 0, true);
    for (gap, word) in words(line) {
        let needed = columns_of(word);
        if !is_blank && wide + gap.len() + needed > room {
            lines.push(std::mem::replace(&mut last, " ".repeat(hang)));
            wide = hang;
        } else {
            last.push_str(gap);
            wide += gap.len();
        }
        last.push_str(word);
        wide += needed;
        is_blank = false;
    }
    lines.push(last);
    lines
}

/// Where the last column of a line of a table begins, after two spaces or more; else where its text begins.
pub(crate) fn last_column(line: &str) -> usize {
    let mut at = 0;
    let mut last = 0;
    for (gap, word) in words(line) {
        at += gap.len();
        if at == gap.len() || gap.len() > 1 {
            last = at;
        }
        at += columns_of(word);
    }
    last
}

/// The words of a line, each with the spaces before it.
fn words(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let (gap, after) = rest.split_at(rest.len() - rest.trim_start_matches(' ').len());
        let (word, after) = after.split_at(after.find(' ').unwrap_or(after.len()));
        rest = after;
        (!word.is_empty()).then_some((gap, word))
    })
}

/// Returns the columns that a text takes, without the colours in it.
fn columns_of(text: &str) -> usize {
    let mut parts = text.split('\x1b');
    let plain = parts.next().map_or(0, width);
    plain + parts.map(|part| width(part.split_once('m').map_or(part, |(_, after)| after))).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_is_broken_between_words_and_goes_on_below_its_text() {
        let line = "hint: peer edit api, or remove it from the spec";
        assert_eq!(fold(line, 6, None), [line]);
        assert_eq!(fold(line, 6, Some(47)), [line]);
        assert_eq!(fold(line, 6, Some(46)), ["hint: peer edit api, or remove it from the", "      spec"]);
        assert_eq!(fold("a  table  of three columns that is wide", 10, Some(34))[1], "          wide");
        // The indentation leaves too little room.
        assert_eq!(fold("hint: peer edit api", 6, Some(12)), ["hint: peer", "  edit api"]);
        // A word that is wider than the terminal stays whole, on a line of its own.
        assert_eq!(
            fold("see /a/path/that/is/very/long/and/wide now", 0, Some(24)),
            ["see", "/a/path/that/is/very/long/and/wide", "now"]
        );
        assert_eq!(fold("\x1b[1mbold and\x1b[0m plain", 0, Some(14)), ["\x1b[1mbold and\x1b[0m plain"]);
    }

    #[test]
    fn the_last_column_is_after_the_last_gap() {
        assert_eq!(last_column("  waiting        the agent needs a person"), 17);
        assert_eq!(last_column("  9  timed out"), 5);
        assert_eq!(last_column("plain text"), 0);
        assert_eq!(last_column("    -> a cure"), 4);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_only_a_word_is_too_wide(line in "[a-c日 ]{0,60}", hang in 0usize..30, room in 1usize..60) {
            let folded = fold(&line, hang, Some(room));
            let all = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            prop_assert_eq!(all(&folded.join(" ")), all(&line));
            for part in folded.iter().filter(|part| columns_of(part) > room) {
                prop_assert!(part.split_whitespace().count() == 1, "{:?}", part);
            }
        }
    }
}
