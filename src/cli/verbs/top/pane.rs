//! The text of a pane for ratatui: with the agent's own colours, or without any.

use std::ops::Range;

use ansi_to_tui::IntoText;
use peer_adapters::screen::{coloured, plain};
use ratatui::style::Modifier;
use ratatui::text::{Line, Span, Text};

use crate::cli::render::output::printable;
use crate::cli::render::terminal::{cut, width};

/// Converts a captured screen, without the empty lines at its end.
pub(super) fn text(captured: &str, without_colours: bool) -> Text<'static> {
    let read = if without_colours { None } else { coloured(captured).into_text().ok() };
    let mut text = read.unwrap_or_else(|| Text::from(plain(captured)));
    let says_nothing = |line: &Line<'_>| line.spans.iter().all(|span| span.content.trim().is_empty());
    while text.lines.last().is_some_and(says_nothing) {
        text.lines.pop();
    }
    text
}

/// Returns a line in at most `room` columns after `lead` spaces, with an ellipsis if something is missing.
pub(super) fn fitted(line: &Line<'static>, room: usize, lead: usize) -> Line<'static> {
    let mut fitted = Line::from(" ".repeat(lead));
    let whole = line.width() <= room;
    let mut left = room;
    for span in &line.spans {
        let content = printable(&span.content);
        let wide = width(&content);
        if whole || wide < left {
            left = left.saturating_sub(wide);
            fitted.spans.push(Span::styled(content, span.style));
            continue;
        }
        // A shorter rule says as much as the whole one.
        if content.chars().all(|c| matches!(c, '\u{2500}'..='\u{257f}')) {
            fitted.spans.push(Span::styled(content.chars().take(left).collect::<String>(), span.style));
            break;
        }
        // An ellipsis more than fits, so that a span that would just fit shows that others are missing after it.
        fitted.spans.push(Span::styled(cut(&format!("{content}…"), left).into_owned(), span.style));
        break;
    }
    fitted
}

/// Returns `room` columns of a line after its first `left` ones; the byte ranges in `found` are shown reversed.
pub(super) fn window(line: &Line<'_>, found: &[Range<usize>], left: usize, room: usize) -> Line<'static> {
    let mut shown = Line::default();
    let (mut at, mut column) = (0, 0);
    for span in &line.spans {
        let (mut run, mut run_style) = (String::new(), span.style);
        for c in span.content.chars() {
            let is_found = found.iter().any(|range| range.contains(&at));
            let style = if is_found { span.style.add_modifier(Modifier::REVERSED) } else { span.style };
            let text = printable(c.encode_utf8(&mut [0; 4]));
            let (from, to) = (column, column + width(&text));
            (at, column) = (at + c.len_utf8(), to);
            if from < left || to > left + room {
                continue;
            }
            if style != run_style && !run.is_empty() {
                shown.spans.push(Span::styled(std::mem::take(&mut run), run_style));
            }
            run_style = style;
            run += &text;
        }
        if !run.is_empty() {
            shown.spans.push(Span::styled(run, run_style));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use ratatui::style::Color;

    use super::*;

    const SCREEN: &str = "\u{1b}[1;32m● ack\u{1b}[0m plain \u{1b}[38;2;1;2;3mrgb\u{1b}[0m\n\u{1b}]8;;url\u{1b}\\link\u{1b}]8;;\u{1b}\\ end\n\n";

    #[test]
    fn colours_come_over_and_nothing_else_does() {
        let text = text(SCREEN, false);
        assert_eq!(text.to_string(), "● ack plain rgb\nlink end");
        let styles: Vec<_> = text.lines[0].spans.iter().map(|span| span.style).collect();
        assert_eq!(styles[0].fg, Some(Color::Green));
        assert!(styles[0].add_modifier.contains(Modifier::BOLD));
        assert_eq!(styles.last().and_then(|style| style.fg), Some(Color::Rgb(1, 2, 3)));
    }

    #[test]
    fn whoever_wants_no_colours_gets_none() {
        let text = text(SCREEN, true);
        assert_eq!(text.to_string(), "● ack plain rgb\nlink end");
        assert!(text.lines.iter().flat_map(|line| &line.spans).all(|span| span.style == ratatui::style::Style::new()));
    }

    #[test]
    fn what_does_not_fit_says_so_whatever_its_colour() {
        let line = &text(SCREEN, false).lines[0];
        let shown = |room| fitted(line, room, 1).to_string();
        assert_eq!(
            [shown(15), shown(14), shown(6), shown(5)],
            [" ● ack plain rgb", " ● ack plain r…", " ● ack…", " ● ac…"]
        );
        assert_eq!(fitted(&Line::from("──────"), 4, 1).to_string(), " ────");
        for room in 1..20 {
            assert!(fitted(line, room, 1).width() <= room + 1, "{room}");
        }
    }

    #[test]
    fn a_window_is_moved_to_the_side_and_shows_what_was_found() {
        let line = &text(SCREEN, false).lines[0];
        let shown = |left, room| window(line, &[], left, room).to_string();
        assert_eq!([shown(0, 6), shown(2, 8), shown(12, 10), shown(40, 10)], ["● ack ", "ack plai", "rgb", ""]);
        let found = vec![Range { start: 4, end: 7 }];
        let found = window(line, &found, 0, 80);
        let reversed = found.spans.iter().filter(|span| span.style.add_modifier.contains(Modifier::REVERSED));
        assert_eq!(reversed.map(|span| span.content.as_ref()).collect::<Vec<_>>(), ["ack"]);
    }
}
