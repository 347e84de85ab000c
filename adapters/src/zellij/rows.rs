//! Rows of text as a terminal of a given width shows them.

use unicode_width::UnicodeWidthChar;

/// Appends a row as one line without trailing blanks. The content of a cell must not start a second line.
pub(super) fn push(text: &mut String, row: &str) {
    if row.contains(['\n', '\r']) {
        text.push_str(row.replace(['\n', '\r'], " ").trim_end());
    } else {
        text.push_str(row.trim_end());
    }
    text.push('\n');
}

/// Returns the part of a row in its first `columns`. Attributes need no reset, because none carries over to the next
/// row.
pub(super) fn cut(row: &str, columns: usize) -> &str {
    let (mut used, mut at) = (0, 0);
    while let Some(c) = row[at..].chars().next() {
        if let Some(sequence) = sgr(&row[at..]) {
            at += sequence.len();
            continue;
        }
        used += c.width().unwrap_or(0);
        if used > columns {
            return &row[..at];
        }
        at += c.len_utf8();
    }
    row
}

/// Returns the last `most` rows of lines that are shown in `columns`. zellij's history has lines as they were printed,
/// however many rows each took.
pub(super) fn wrapped(lines: &[String], columns: Option<usize>, most: usize) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    // From the newest on, to wrap only what is wanted.
    for line in lines.iter().rev() {
        if rows.len() >= most {
            break;
        }
        let mut of_line =
            columns.map_or_else(|| vec![line.trim_end().to_owned()], |width| wrap(line.trim_end(), width));
        of_line.reverse();
        rows.append(&mut of_line);
    }
    rows.truncate(most);
    rows.reverse();
    rows
}

/// Splits one line into rows of at most `columns`, each starting with the attributes in force there.
fn wrap(line: &str, columns: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    let (mut used, mut attributes) = (0, String::new());
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        if let Some(sequence) = sgr(rest) {
            if matches!(sequence, "\u{1b}[m" | "\u{1b}[0m") {
                attributes.clear();
            } else {
                attributes.push_str(sequence);
            }
            rows.last_mut().expect("one at least").push_str(sequence);
            rest = &rest[sequence.len()..];
            continue;
        }
        let width = c.width().unwrap_or(0);
        if used > 0 && used + width > columns {
            if !attributes.is_empty() {
                rows.last_mut().expect("one at least").push_str("\u{1b}[m");
            }
            rows.push(attributes.clone());
            used = 0;
        }
        used += width;
        rows.last_mut().expect("one at least").push(c);
        rest = &rest[c.len_utf8()..];
    }
    rows
}

/// Returns the attribute sequence that the text begins with.
fn sgr(text: &str) -> Option<&str> {
    let codes = text.strip_prefix("\u{1b}[")?;
    let end = codes.find(|c: char| !matches!(c, '0'..='9' | ';' | ':'))?;
    codes[end..].starts_with('m').then(|| &text[..end + 3])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[&str]) -> Vec<String> {
        text.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn the_newest_rows_are_kept_and_a_line_takes_as_many_as_it_is_wide() {
        let history = lines(&["first", "0123456789", "", "ab   "]);
        assert_eq!(wrapped(&history, Some(4), 9), ["firs", "t", "0123", "4567", "89", "", "ab"]);
        assert_eq!(wrapped(&history, Some(4), 4), ["4567", "89", "", "ab"][..].to_vec());
        assert_eq!(wrapped(&history, None, 2), ["", "ab"]);
        assert!(wrapped(&history, Some(4), 0).is_empty());
    }

    #[test]
    fn wide_characters_are_not_cut_and_those_wider_than_the_terminal_end_somewhere() {
        assert_eq!(wrap("漢字漢", 5), ["漢字", "漢"]);
        assert_eq!(wrap("漢字", 1), ["漢", "字"]);
        assert_eq!(wrap("e\u{301}e\u{301}", 1), ["e\u{301}", "e\u{301}"]);
    }

    #[test]
    fn attributes_go_on_in_the_next_row() {
        assert_eq!(wrap("\u{1b}[31mabcd\u{1b}[me", 2), ["\u{1b}[31mab\u{1b}[m", "\u{1b}[31mcd\u{1b}[m", "e"]);
        assert_eq!(wrap("\u{1b}[1mab\u{1b}[0mcd", 2), ["\u{1b}[1mab\u{1b}[0m", "cd"]);
    }

    #[test]
    fn what_is_outside_of_the_pane_is_cut_off() {
        assert_eq!(cut("abcd", 4), "abcd");
        assert_eq!(cut("\u{1b}[31mabcd\u{1b}[m", 2), "\u{1b}[31mab");
        assert_eq!(cut("a漢b", 2), "a");
        assert_eq!(cut("e\u{301}x", 1), "e\u{301}");
        assert_eq!(cut("", 0), "");
    }

    #[test]
    fn a_cell_makes_no_line() {
        let mut text = String::new();
        push(&mut text, "a\nb\r  ");
        assert_eq!(text, "a b\n");
    }
}
