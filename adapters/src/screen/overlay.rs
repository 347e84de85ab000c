//! Boxes that an agent draws over its screen: they receive the input, and the composer below is inactive.
//!
//! A box is recognised by something that no text can imitate: a rectangle with its own background.

use super::cells::{Piece, pieces};

/// The minimum size of a box and its distance from the left edge, where the background of a message begins.
const ROWS: usize = 3;
const COLUMNS: usize = 24;
const LEFT: usize = 4;

/// A character and the parameters of its background; empty for the default background.
type Cell = (char, String);

/// Returns the text of each box, without colours, top first. The text begins with an empty row.
pub(super) fn boxes(text: &str) -> Vec<String> {
    let rows = rows(text);
    let tops = (0..rows.len()).flat_map(|row| blank_runs(&rows[row]).into_iter().map(move |run| (row, run)));
    let of = |(top, (from, to)): (usize, (usize, usize))| {
        let own = &rows[top][from].1;
        let is_top = top.checked_sub(1).is_none_or(|above| !spans(&rows[above], from, to, own));
        let held: Vec<_> = rows[top..].iter().take_while(|row| spans(row, from, to, own)).collect();
        let line = |row: &&Vec<Cell>| row[from..to].iter().map(|(c, _)| *c).collect::<String>().trim_end().to_owned();
        (is_top && held.len() >= ROWS).then(|| held.iter().map(line).collect::<Vec<_>>().join("\n"))
    };
    tops.filter_map(of).collect()
}

/// Returns `true` if a row has this background between the two columns, at least at both ends, and a different one
/// outside.
fn spans(row: &[Cell], from: usize, to: usize, own: &str) -> bool {
    let is_own = |at: usize| row.get(at).is_some_and(|(_, background)| background == own);
    is_own(from) && is_own(to - 1) && !is_own(from - 1) && !is_own(to)
}

/// Returns the column ranges where a row is blank on a non-default background.
fn blank_runs(row: &[Cell]) -> Vec<(usize, usize)> {
    let mut runs = Vec::new();
    let mut from = 0;
    for at in 1..=row.len() {
        if at < row.len() && row[at].1 == row[from].1 {
            continue;
        }
        let is_blank = row[from..at].iter().all(|(c, _)| *c == ' ');
        if from >= LEFT && at - from >= COLUMNS && is_blank && !row[from].1.is_empty() {
            runs.push((from, at));
        }
        from = at;
    }
    runs
}

/// Splits the text into rows of cells. tmux carries attributes over from one row to the next.
fn rows(text: &str) -> Vec<Vec<Cell>> {
    let (mut rows, mut background) = (vec![Vec::new()], String::new());
    for piece in pieces(text) {
        match piece {
            Piece::Char('\n') => rows.push(Vec::new()),
            Piece::Char(c) => rows.last_mut().expect("there is always one").push((c, background.clone())),
            Piece::Attributes(codes) => set_background(codes, &mut background),
        }
    }
    rows
}

fn set_background(codes: &str, background: &mut String) {
    let mut codes = codes.split([';', ':']);
    while let Some(code) = codes.next() {
        match code {
            "" | "0" | "49" => background.clear(),
            "38" | "48" | "58" => {
                let numbers = if codes.next() == Some("2") { 3 } else { 1 };
                let colour: Vec<&str> = codes.by_ref().take(numbers).collect();
                if code == "48" {
                    *background = colour.join(";");
                }
            }
            "40" | "41" | "42" | "43" | "44" | "45" | "46" | "47" => code.clone_into(background),
            "100" | "101" | "102" | "103" | "104" | "105" | "106" | "107" => code.clone_into(background),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A screen of 40 columns with a box of 26 by 4 in the middle.
    fn with_box(colour: &str) -> String {
        let row = |text: &str| format!("hidden \u{1b}[{colour}m{text:<26}\u{1b}[49m behind\n");
        format!("above\n{}{}{}{}below", row(""), row("  Sessions         esc"), row(""), row("  Search"))
    }

    #[test]
    fn a_rectangle_with_a_background_of_its_own_is_a_box() {
        for colour in ["48;5;233", "48;2;20;20;20", "44", "1;38;5;48;104"] {
            assert_eq!(boxes(&with_box(colour)), ["\n  Sessions         esc\n\n  Search"], "{colour}");
        }
    }

    #[test]
    fn text_alone_draws_no_box() {
        assert_eq!(boxes(&with_box("1;38;5;233")), Vec::<String>::new());
        assert_eq!(boxes(&super::super::plain(&with_box("44"))), Vec::<String>::new());
    }

    #[test]
    fn a_background_that_begins_at_the_left_edge_is_a_messages_own() {
        let row = |text: &str| format!("┃\u{1b}[44m{text:<30}\u{1b}[49m\n");
        assert_eq!(boxes(&format!("{}{}{}", row(""), row("  Sessions   esc"), row(""))), Vec::<String>::new());
    }
}
