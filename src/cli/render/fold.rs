//! Lines that are wider than the terminal go on below themselves, between words, and not inside a command: a terminal
//! joins what it wraps itself when that is copied, and not the lines that are broken here.

use crate::cli::render::terminal::width;

/// The columns that a text needs beside its indentation; less would break most words, so the indentation gives way.
const LEAST: usize = 24;

/// Breaks a line between words, so that no part is wider than `room` unless one word or command is. What goes on begins at column
/// `hang`. Without a terminal, which has no width, the line stays as it is.
pub(crate) fn fold(line: &str, hang: usize, room: Option<usize>) -> Vec<String> {
    let Some(room) = room.filter(|room| columns_of(line) > *room) else { return vec![line.to_owned()] };
    let hang = if hang + LEAST <= room { hang } else { 2 };
    let (mut lines, mut last, mut wide, mut is_blank) = (Vec::new(), String::new(), 0, true);
    for (gap, word) in unbroken(line) {
        let needed = columns_of(word);
        // A command that is wider than the terminal anyway begins behind its label.
        let is_too_wide = word.contains(' ') && hang + needed > room && wide + gap.len() <= hang;
        if !is_blank && wide + gap.len() + needed > room && !is_too_wide {
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

/// The parts of a line that stay whole: words, and commands as far as their own words tell where they end.
fn unbroken(line: &str) -> Vec<(&str, &str)> {
    let mut parts: Vec<(&str, &str)> = Vec::new();
    let (mut at, mut begun) = (0, 0);
    let (mut before, mut verb) = ("", "");
    for (gap, word) in words(line) {
        let is_in_quotes = parts.last().is_some_and(|(_, part)| is_open(part));
        if before.is_empty() || !(is_in_quotes || belongs(verb, before, word)) {
            begun = at + gap.len();
            parts.push((gap, word));
        } else if let Some((_, part)) = parts.last_mut() {
            *part = &line[begun..at + gap.len() + word.len()];
        }
        at += gap.len() + word.len();
        (verb, before) = (before, word);
    }
    parts
}

/// Whether a word goes on a command, or an assignment, that the two before it are part of.
fn belongs(verb: &str, before: &str, word: &str) -> bool {
    let is_peer = |word: &str| word.trim_start_matches(['`', '(']) == "peer";
    // What ends a clause ends the command.
    if before.ends_with([',', ';', ':', ')', '`', '.']) {
        return false;
    }
    let is_name = is_peer(verb) && before != "--help";
    let joins = |word: &str| matches!(word, "&&" | "|" | "=" | "--") || word.starts_with('\'');
    let is_flag = |word: &str| word.len() > 1 && word.starts_with('-') && word != "->";
    let is_meant =
        word.len() > 1 && word.trim_end_matches([',', ';', '`', '.']).chars().all(|c| c.is_ascii_uppercase());
    is_peer(before)
        || is_name
        || matches!(before, "&&" | "|" | "=" | "--")
        || joins(word)
        || is_flag(before)
        || is_flag(word)
        || is_meant
}

/// Whether a quotation that begins in this text does not end in it.
fn is_open(part: &str) -> bool {
    let quoted = part.match_indices('\'').filter(|(at, _)| {
        let is_between = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        // An apostrophe.
        !(is_between(part[..*at].chars().next_back()) && is_between(part[at + 1..].chars().next()))
    });
    part.matches('`').count() % 2 == 1 || quoted.count() % 2 == 1
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
        assert_eq!(fold("hint: peer edit api", 6, Some(12)), ["hint:", "  peer edit api"]);
        // A word that is wider than the terminal stays whole, on a line of its own.
        assert_eq!(
            fold("see /a/path/that/is/very/long/and/wide now", 0, Some(24)),
            ["see", "/a/path/that/is/very/long/and/wide", "now"]
        );
        assert_eq!(fold("\x1b[1mbold and\x1b[0m plain", 0, Some(14)), ["\x1b[1mbold and\x1b[0m plain"]);
    }

    #[test]
    fn a_command_is_not_broken() {
        let folded = |line, room| fold(line, 6, Some(room));
        assert_eq!(
            folded("hint: peer stop api && peer start api && peer wake api --conversation 86dc", 40),
            ["hint: peer stop api && peer start api && peer wake api --conversation 86dc"]
        );
        assert_eq!(
            folded("hint: peer add api --keep-env ANTHROPIC_API_KEY,ANTHROPIC_BASE_URL", 50),
            ["hint: peer add api --keep-env ANTHROPIC_API_KEY,ANTHROPIC_BASE_URL"]
        );
        assert_eq!(
            folded("hint: peer answer api, or allow it in `peer edit api`: accept = [\"trust-folder\"]", 60),
            ["hint: peer answer api, or allow it in `peer edit api`:", "      accept = [\"trust-folder\"]"]
        );
        assert_eq!(
            folded("hint: it's quoted: peer send api 'please run the tests', and no more", 50),
            ["hint: it's quoted:", "      peer send api 'please run the tests', and no", "      more"]
        );
        assert_eq!(
            folded("hint: peer send NAME TEXT sends it a message; peer key NAME Enter presses a key", 50),
            ["hint: peer send NAME TEXT sends it a message;", "      peer key NAME Enter presses a key"]
        );
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
