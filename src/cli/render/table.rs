//! Tables as wide as their content, or as narrow as the terminal.
//!
//! If a table does not fit, columns that are empty in every row go first. Then long texts are cut to their least width, and
//! cells that have shorter forms take one: no such cell is ever cut in the middle of a word. Then whole columns go: first
//! those that say the same in every row, where that says little, then those that matter least. A column takes its shortest
//! form only where it would go next. When no column is left that can go, names are cut, and every text to a few characters.

use std::borrow::Cow;

use crate::cli::render::terminal::{Hue, Paint, cut, cut_front, width};

/// Columns of space between two table columns.
const GAP: usize = 2;

/// The width to which any text may be cut when no column is left that can go: enough to recognise a word.
const BARE: usize = 8;

/// Text of a cell that has no value.
pub(crate) const NOTHING: &str = "-";

/// The properties of a column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// The heading.
    pub(crate) title: &'static str,
    /// The width to which texts may be cut; `None`: they are not cut.
    pub(crate) least: Option<usize>,
    /// Whether they are cut only when no other column can go.
    pub(crate) whole: bool,
    /// Whether texts are cut at the front.
    pub(crate) front: bool,
    /// The order in which columns go when there is no room, highest first; 0: never.
    pub(crate) goes: u8,
    /// When it says too little.
    pub(crate) spare: Spare,
}

/// When a column says so little that it is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spare {
    /// Only where there is no room.
    Never,
    /// If it is empty in every row, whatever room there is.
    Empty,
    /// If it says the same in every row, before the others where there is no room.
    Same,
}

/// One cell.
#[derive(Clone, Debug)]
pub(crate) struct Cell<'a> {
    pub(crate) text: Cow<'a, str>,
    pub(crate) hue: Option<Hue>,
    /// What can stand for the text where there is less room, longest first.
    shorter: Vec<String>,
}

impl<'a> Cell<'a> {
    pub(crate) fn plain(text: impl Into<Cow<'a, str>>) -> Self {
        Self { text: text.into(), hue: None, shorter: Vec::new() }
    }

    pub(crate) fn coloured(hue: Hue, text: impl Into<Cow<'a, str>>) -> Self {
        Self { text: text.into(), hue: Some(hue), shorter: Vec::new() }
    }

    /// A text that is never cut, with what can stand for it where there is less room, longest first.
    pub(crate) fn in_forms(text: impl Into<Cow<'a, str>>, shorter: Vec<String>) -> Self {
        Self { shorter, ..Self::plain(text) }
    }

    /// Returns the longest form that fits, or else the shortest.
    fn form(&self, room: usize) -> &str {
        self.form_of(room, self.shorter.len())
    }

    /// As [`Cell::form`], of the text and its first `most` shorter forms.
    fn form_of(&self, room: usize, most: usize) -> &str {
        let shorter = &self.shorter[..most.min(self.shorter.len())];
        let shortest = shorter.last().map_or(&*self.text, String::as_str);
        let mut forms = std::iter::once(&*self.text).chain(shorter.iter().map(String::as_str));
        forms.find(|form| width(form) <= room).unwrap_or(shortest)
    }
}

/// Returns the lines of the table, headings first; `room` is the terminal's width if there is a terminal.
pub(crate) fn render(columns: &[Column], rows: &[Vec<Cell<'_>>], room: Option<usize>, paint: Paint) -> Vec<String> {
    let shown = layout(columns, rows, room);
    let heading: Vec<Cell<'_>> = columns.iter().map(|column| Cell::coloured(Hue::Strong, column.title)).collect();
    let line = |cells: &[Cell<'_>]| {
        let mut line = String::new();
        let last = shown.last().map_or(0, |(at, _)| *at);
        for (at, wide) in &shown {
            let (column, cell) = (&columns[*at], &cells[*at]);
            let text = cell.form(*wide);
            let text = if column.front { cut_front(text, *wide) } else { cut(text, *wide) };
            let padding = if *at == last { 0 } else { wide - width(&text) + GAP };
            match cell.hue {
                Some(hue) => line.push_str(&paint.paint(hue, &text)),
                None => line.push_str(&text),
            }
            line.extend(std::iter::repeat_n(' ', padding));
        }
        line
    };
    std::iter::once(&heading).chain(rows).map(|cells| line(cells)).collect()
}

/// Returns the indices of the columns that are shown, and their widths.
fn layout(columns: &[Column], rows: &[Vec<Cell<'_>>], room: Option<usize>) -> Vec<(usize, usize)> {
    let wide = |at: usize| rows.iter().map(|row| width(&row[at].text)).max().unwrap_or(0).max(width(columns[at].title));
    let silent = |at: usize| rows.iter().all(|row| matches!(&*row[at].text, NOTHING | "0"));
    let there = (0..columns.len()).filter(|at| columns[*at].spare != Spare::Empty || !silent(*at));
    let mut shown: Vec<(usize, usize)> = there.map(|at| (at, wide(at))).collect();
    let Some(room) = room else { return shown };
    let same = |at: usize| columns[at].spare == Spare::Same && rows.iter().all(|row| row[at].text == rows[0][at].text);
    while total(&shown) > room {
        let Some(index) = shown.iter().rposition(|(at, _)| columns[*at].goes > 0 && silent(*at)) else { break };
        shown.remove(index);
    }
    loop {
        let first = |(at, _): &(usize, usize)| u16::from(columns[*at].goes) + if same(*at) { 256 } else { 0 };
        let droppable = shown.iter().enumerate().filter(|(_, (at, _))| columns[*at].goes > 0);
        let next = droppable.max_by_key(|(_, column)| first(column)).map(|(index, _)| index);
        let mut fitted = shown.clone();
        if squeeze(columns, rows, &mut fitted, room, next.map(|index| shown[index].0)) {
            spread(columns, rows, &mut fitted, &shown, room);
            return fitted;
        }
        match next {
            Some(index) => shown.remove(index),
            None => return fitted,
        };
    }
}

fn total(shown: &[(usize, usize)]) -> usize {
    GAP * shown.len().saturating_sub(1) + shown.iter().map(|(_, wide)| wide).sum::<usize>()
}

/// Makes the widest column that can be narrower so, again and again, until the table fits. Returns whether it does. `next` is
/// the column that goes if it does not; without one, this is the last resort.
fn squeeze(
    columns: &[Column],
    rows: &[Vec<Cell<'_>>],
    shown: &mut [(usize, usize)],
    room: usize,
    next: Option<usize>,
) -> bool {
    let narrower = |(at, wide): (usize, usize)| {
        let column = &columns[at];
        let narrow = if has_forms(rows, at) {
            let keeps_most = usize::from(next.is_some_and(|next| next != at));
            let fitting = rows.iter().map(|row| {
                let forms = row[at].shorter.len().saturating_sub(keeps_most);
                width(row[at].form_of(wide.saturating_sub(1), forms))
            });
            fitting.max().unwrap_or(0).max(width(column.title))
        } else {
            let least = match column.least {
                Some(least) if next.is_none() => least.min(BARE),
                Some(least) if !column.whole => least,
                _ => wide,
            };
            wide.saturating_sub(1).max(least)
        };
        Some(narrow).filter(|narrow| *narrow < wide)
    };
    while total(shown) > room {
        let able = shown.iter_mut().filter_map(|column| Some((narrower(*column)?, column)));
        let Some((next, (_, wide))) = able.max_by_key(|(_, (_, wide))| *wide) else { return false };
        *wide = next;
    }
    true
}

/// Gives the room that a shorter form has left to texts that were cut, the most important first.
fn spread(
    columns: &[Column],
    rows: &[Vec<Cell<'_>>],
    fitted: &mut [(usize, usize)],
    whole: &[(usize, usize)],
    room: usize,
) {
    let mut spare = room - total(fitted);
    let mut cut: Vec<_> = fitted.iter_mut().zip(whole).filter(|((at, _), _)| !has_forms(rows, *at)).collect();
    cut.sort_by_key(|((at, _), _)| columns[*at].goes);
    for ((_, wide), (_, most)) in cut {
        let more = spare.min(most - *wide);
        (*wide, spare) = (*wide + more, spare - more);
    }
}

fn has_forms(rows: &[Vec<Cell<'_>>], at: usize) -> bool {
    rows.iter().any(|row| !row[at].shorter.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [
        Column { title: "NAME", least: Some(4), whole: true, front: false, goes: 0, spare: Spare::Never },
        Column { title: "TOPIC", least: Some(6), whole: false, front: false, goes: 1, spare: Spare::Never },
        Column { title: "HELD", least: None, whole: false, front: false, goes: 1, spare: Spare::Never },
        Column { title: "CWD", least: Some(6), whole: false, front: true, goes: 2, spare: Spare::Never },
    ];

    fn lines(room: Option<usize>) -> Vec<String> {
        let row = |cells: [&'static str; 4]| cells.map(Cell::plain).to_vec();
        let rows = [row(["api", "修复登录页面", "-", "/src/api"]), row(["docs", "-", "-", "/srv/documentation"])];
        render(&COLUMNS, &rows, room, Paint::never())
    }

    #[test]
    fn columns_align_by_width_and_not_by_characters() {
        assert_eq!(
            lines(None),
            [
                "NAME  TOPIC         HELD  CWD",
                "api   修复登录页面  -     /src/api",
                "docs  -             -     /srv/documentation"
            ]
        );
    }

    #[test]
    fn silent_columns_go_first_then_texts_are_cut_then_the_least_go() {
        assert_eq!(
            lines(Some(36)),
            ["NAME  TOPIC         CWD", "api   修复登录页面  /src/api", "docs  -             …v/documentation"]
        );
        assert_eq!(
            lines(Some(22)),
            ["NAME  TOPIC    CWD", "api   修复登…  …rc/api", "docs  -        …tation"].map(str::to_owned).to_vec()
        );
        assert_eq!(lines(Some(12)), ["NAME  TOPIC", "api   修复…", "docs  -"]);
    }

    #[test]
    fn a_cell_with_shorter_forms_takes_one_and_the_room_goes_to_the_cut_texts() {
        let columns = [COLUMNS[0], COLUMNS[1], Column { title: "LAST", least: None, ..COLUMNS[1] }];
        let ended = |text: &'static str, shorter: [&str; 2]| Cell::in_forms(text, shorter.map(str::to_owned).to_vec());
        let rows = [
            vec![
                Cell::plain("api"),
                Cell::plain("a long topic"),
                ended("crashed (exit 3) 3h ago", ["crashed 3h ago", "3h ago"]),
            ],
            vec![Cell::plain("docs"), Cell::plain("-"), Cell::plain("-")],
        ];
        for (room, expected) in [
            (43, "api   a long topic  crashed (exit 3) 3h ago"),
            (42, "api   a long topic  crashed 3h ago"),
            (34, "api   a long topic  crashed 3h ago"),
            (33, "api   a long topic  3h ago"),
            (25, "api   a long top…  3h ago"),
            (20, "api   a lon…  3h ago"),
        ] {
            let lines = render(&columns, &rows, Some(room), Paint::never());
            assert_eq!(lines[1], expected, "{room}");
        }
    }

    #[test]
    fn a_cause_is_kept_while_another_column_can_go() {
        let columns = [
            COLUMNS[0],
            Column { title: "LAST", least: None, goes: 1, ..COLUMNS[2] },
            Column { title: "ON", spare: Spare::Same, ..COLUMNS[2] },
            Column { title: "TIMES", goes: 2, ..COLUMNS[2] },
        ];
        let ended =
            || Cell::in_forms("crashed (exit 3) 3h ago", vec!["crashed 3h ago".to_owned(), "3h ago".to_owned()]);
        let row = |name, times| vec![Cell::plain(name), ended(), Cell::plain("tmux"), Cell::plain(times)];
        let rows = [row("api", "1"), row("docs", "0")];
        for (room, expected) in [
            (42, "api   crashed (exit 3) 3h ago  tmux  1"),
            (41, "api   crashed 3h ago  tmux  1"),
            (32, "api   crashed 3h ago  1"),
            (26, "api   crashed 3h ago"),
            (19, "api   3h ago"),
        ] {
            let lines = render(&columns, &rows, Some(room), Paint::never());
            assert_eq!(lines[1], expected, "{room}");
        }
    }

    #[test]
    fn a_name_is_cut_when_nothing_else_can_go() {
        let row = vec![Cell::plain("frontend"), Cell::plain("a topic"), Cell::plain("in 5m"), Cell::plain("/srv")];
        let line = |room| render(&COLUMNS, std::slice::from_ref(&row), Some(room), Paint::never()).remove(1);
        assert_eq!(line(30), "frontend  a topic  in 5m  /srv");
        assert_eq!(line(29), "frontend  a top…  in 5m  /srv");
        assert_eq!(line(17), "frontend  a topic");
        assert_eq!((line(8), line(7), line(4)), ("frontend".to_owned(), "fronte…".to_owned(), "fro…".to_owned()));
    }

    #[test]
    fn a_question_is_cut_further_rather_than_wrapped() {
        let columns = [
            COLUMNS[0],
            Column { title: "STATE", least: None, whole: false, front: false, goes: 0, spare: Spare::Never },
            Column { title: "NEEDS", least: Some(20), whole: false, front: false, goes: 0, spare: Spare::Never },
        ];
        let rows = [
            ["frontend", "waiting", "permission: Do you want to proceed?"].map(Cell::plain).to_vec(),
            ["docs", "never-started", "-"].map(Cell::plain).to_vec(),
        ];
        let line = |room| render(&columns, &rows, Some(room), Paint::never()).remove(1);
        assert_eq!(line(47), "frontend  waiting        permission: Do you wa…");
        assert_eq!(line(40), "frontend  waiting        permission: Do…");
        assert_eq!(line(33), "frontend  waiting        permiss…");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_while_anything_can_go() {
        for room in 12..80 {
            for line in lines(Some(room)) {
                assert!(width(&line) <= room, "{room}: {line}");
            }
        }
    }
}
