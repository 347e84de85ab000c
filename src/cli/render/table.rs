//! Tables as wide as their content, or as narrow as the terminal.
//!
//! If a table does not fit, long texts are first cut to their least width. Then whole columns go: first those that are
//! empty in every row, then those that matter least.

use std::borrow::Cow;

use crate::cli::render::terminal::{Hue, Paint, cut, cut_front, width};

/// Columns of space between two table columns.
const GAP: usize = 2;

/// Text of a cell that has no value.
pub(crate) const NOTHING: &str = "-";

/// The properties of a column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// The heading.
    pub(crate) title: &'static str,
    /// The width to which texts may be cut; `None`: they are not cut.
    pub(crate) least: Option<usize>,
    /// Whether texts are cut at the front.
    pub(crate) front: bool,
    /// The order in which columns go when there is no room, highest first; 0: never.
    pub(crate) goes: u8,
    /// Whether the column is left out if it is empty in every row.
    pub(crate) optional: bool,
}

/// One cell.
#[derive(Clone, Debug)]
pub(crate) struct Cell<'a> {
    pub(crate) text: Cow<'a, str>,
    pub(crate) hue: Option<Hue>,
}

impl<'a> Cell<'a> {
    pub(crate) fn plain(text: impl Into<Cow<'a, str>>) -> Self {
        Self { text: text.into(), hue: None }
    }

    pub(crate) fn coloured(hue: Hue, text: impl Into<Cow<'a, str>>) -> Self {
        Self { text: text.into(), hue: Some(hue) }
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
            let text = if column.front { cut_front(&cell.text, *wide) } else { cut(&cell.text, *wide) };
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
    let there = (0..columns.len()).filter(|at| !columns[*at].optional || !silent(*at));
    let mut shown: Vec<(usize, usize)> = there.map(|at| (at, wide(at))).collect();
    let Some(room) = room else { return shown };
    loop {
        let mut fitted = shown.clone();
        if squeeze(columns, &mut fitted, room) {
            return fitted;
        }
        // Every empty column goes before any other.
        let first = |(at, _): &(usize, usize)| u16::from(columns[*at].goes) + if silent(*at) { 256 } else { 0 };
        let droppable = shown.iter().enumerate().filter(|(_, (at, _))| columns[*at].goes > 0);
        match droppable.max_by_key(|(_, column)| first(column)).map(|(index, _)| index) {
            Some(index) => shown.remove(index),
            None => return fitted,
        };
    }
}

/// Cuts the widest column that may be cut, again and again, until the table fits. Returns whether it does.
fn squeeze(columns: &[Column], shown: &mut [(usize, usize)], room: usize) -> bool {
    let gaps = GAP * shown.len().saturating_sub(1);
    loop {
        let total = gaps + shown.iter().map(|(_, wide)| wide).sum::<usize>();
        if total <= room {
            return true;
        }
        let spare = |(at, wide): &(usize, usize)| wide.saturating_sub(columns[*at].least.unwrap_or(*wide));
        match shown.iter_mut().filter(|column| spare(column) > 0).max_by_key(|(_, wide)| *wide) {
            Some((_, wide)) => *wide -= 1,
            None => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [
        Column { title: "NAME", least: Some(4), front: false, goes: 0, optional: false },
        Column { title: "TOPIC", least: Some(6), front: false, goes: 1, optional: false },
        Column { title: "HELD", least: None, front: false, goes: 1, optional: false },
        Column { title: "CWD", least: Some(6), front: true, goes: 2, optional: false },
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
    fn texts_are_cut_first_then_silent_columns_go_then_the_least() {
        assert_eq!(
            lines(Some(36)),
            [
                "NAME  TOPIC        HELD  CWD",
                "api   修复登录页…  -     /src/api",
                "docs  -            -     …umentation"
            ]
        );
        assert_eq!(
            lines(Some(22)),
            ["NAME  TOPIC    CWD", "api   修复登…  …rc/api", "docs  -        …tation"].map(str::to_owned).to_vec()
        );
        assert_eq!(lines(Some(12)), ["NAME  TOPIC", "api   修复…", "docs  -"]);
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
