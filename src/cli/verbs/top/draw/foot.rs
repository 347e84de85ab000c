//! Draws the last lines: the text that is being typed, the question, the outcome of the last operation, else the keys.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::folded;
use crate::cli::render::output::printable;
use crate::cli::render::terminal::width;
use crate::cli::verbs::top::app::{About, App, Mode, Question};
use crate::cli::verbs::top::editor::Editor;
use crate::cli::verbs::top::operation::names;

/// The keys in display order, and the order in which they are left out when there is no room: the highest number first.
const KEYS: &[(u8, &str)] = &[
    (2, "w wake"),
    (5, "x stop"),
    (9, "n new"),
    (1, "a attach"),
    (2, "s send"),
    (4, "v view"),
    (7, "l log"),
    (8, "i interrupt"),
    (11, "S start"),
    (6, "/ filter"),
    (10, "o order"),
    (12, "Space mark"),
];

/// The same while the chosen peer asks something that can be answered from here.
const ANSWER: (u8, &str) = (0, "A answer");

/// The keys of a question, as far as it can be answered from here.
const CHOOSE: &[(u8, &str)] =
    &[(2, "↑ ↓ move"), (0, "Enter or 1-9 choose"), (1, "a attach"), (3, "PgUp PgDn scroll"), (4, "F5 read again")];
const READ: &[(u8, &str)] = &[(0, "a attach"), (1, "PgUp PgDn scroll"), (2, "F5 read again")];

/// Joins as many of the keys as there is room for, and always the last ones.
pub(super) fn fitting(keys: &[(u8, &str)], last: &str, room: usize) -> String {
    let line = |most: u8| {
        let kept = keys.iter().filter(|(rank, _)| *rank <= most).map(|(_, key)| *key);
        kept.chain([last]).collect::<Vec<_>>().join("  ")
    };
    let ranks = (0..=keys.iter().map(|(rank, _)| *rank).max().unwrap_or(0)).rev();
    ranks.map(line).find(|line| width(line) <= room).unwrap_or_else(|| last.to_owned())
}

/// Returns how many rows the foot needs: a long message grows to a third of the screen.
pub(super) fn height(app: &App, area: Rect) -> u16 {
    let most = usize::from(area.height / 3).max(2);
    u16::try_from(lines(app, usize::from(area.width)).len().min(most)).unwrap_or(1)
}

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let mut lines = lines(app, usize::from(area.width));
    // The end of a long text is where the user types.
    let above = lines.len().saturating_sub(usize::from(area.height));
    lines.drain(..above);
    frame.render_widget(Paragraph::new(lines), area);
}

fn lines(app: &App, room: usize) -> Vec<Line<'static>> {
    match &app.mode {
        Mode::Filter => typed("filter: ", &app.filter, "   (Enter keeps it, Esc clears it)", room),
        Mode::Write(prompt) => {
            let label = format!("to {}: ", names(&prompt.to));
            let mut lines = said(app, room);
            lines.extend(typed(&label, &prompt.text, "   (Enter sends, Esc puts it aside)", room));
            lines
        }
        Mode::Confirm(question) => wrapped(&[(asked(app, question), Style::new())], room),
        Mode::Asks(asked) => {
            let mut lines = said(app, room);
            lines.push(Line::raw(fitting(if asked.has_choice() { CHOOSE } else { READ }, "Esc back", room)));
            lines
        }
        Mode::Browse | Mode::Help(_) => {
            let mut lines = said(app, room);
            let asks = app.chosen_row().is_some_and(|row| row.waiting_for.is_some() && row.answerable);
            let keys = [&[ANSWER][..usize::from(asks)], KEYS].concat();
            lines.push(Line::raw(fitting(&keys, "? help  q quit", room)));
            lines
        }
    }
}

/// The outcome of the last operation.
fn said(app: &App, room: usize) -> Vec<Line<'static>> {
    let text = app.message.text();
    if text.is_empty() { Vec::new() } else { folded(text, 0, room).into_iter().map(Line::raw).collect() }
}

fn asked(app: &App, Question { about, since }: &Question) -> String {
    let question = match about {
        About::Operation(operation, targets) => operation.question(&names(targets)),
        About::Quit => {
            let under_way = app.running.iter().map(|running| format!("{}: {}", names(&running.targets), running.doing));
            let under_way: Vec<String> = under_way.collect();
            if under_way.is_empty() {
                "leave?".to_owned()
            } else {
                format!("leave, and give this up? {}", under_way.join(", "))
            }
        }
    };
    let since = since.as_ref().map(|since| format!("{}; ", printable(since))).unwrap_or_default();
    format!("{since}{question} y/n")
}

/// The text that is being typed, with its cursor, and its keys if there is room behind it.
fn typed(label: &str, text: &Editor, keys: &str, room: usize) -> Vec<Line<'static>> {
    let (before, behind) = text.split();
    let mut rest = behind.chars();
    let under = rest.next().filter(|c| *c != '\n');
    let cursor = match under {
        Some(c) => (c.to_string(), Style::new().add_modifier(Modifier::REVERSED)),
        None => ("_".to_owned(), Style::new()),
    };
    let behind = if under.is_some() { rest.as_str() } else { behind };
    let plain = Style::new();
    let parts = [(label.to_owned(), plain), (before.to_owned(), plain), cursor, (behind.to_owned(), plain)];
    let with_keys = [&parts[..], &[(keys.to_owned(), plain)]].concat();
    let lines = wrapped(&parts, room);
    let longer = wrapped(&with_keys, room);
    if longer.len() == lines.len() { longer } else { lines }
}

/// Wraps parts of a text into lines of at most `room` columns; only its own line ends and the margin break it.
fn wrapped(parts: &[(String, Style)], room: usize) -> Vec<Line<'static>> {
    let mut lines = vec![Line::default()];
    let mut taken = 0;
    for (text, style) in parts {
        let mut run = String::new();
        for c in text.chars() {
            let mut one = [0; 4];
            let shown = if c == '\n' { String::new() } else { printable(c.encode_utf8(&mut one)) };
            let wide = width(&shown);
            if c == '\n' || taken + wide > room {
                push(&mut lines, std::mem::take(&mut run), *style);
                lines.push(Line::default());
                taken = 0;
            }
            run += &shown;
            taken += wide;
        }
        push(&mut lines, run, *style);
    }
    lines
}

fn push(lines: &mut [Line<'static>], run: String, style: Style) {
    if let (Some(line), false) = (lines.last_mut(), run.is_empty()) {
        line.spans.push(Span::styled(run, style));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::verbs::top::input::Key;

    fn shown(text: &str, keys: &[Key], room: usize) -> Vec<String> {
        let mut editor = Editor::with(text.to_owned());
        for key in keys {
            editor.key(*key);
        }
        typed("to api: ", &editor, " (Enter sends)", room).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_way_out_and_the_help_are_named_at_any_width() {
        assert_eq!(fitting(KEYS, "? help  q quit", 40), "w wake  a attach  s send  ? help  q quit");
        assert_eq!(fitting(KEYS, "? help  q quit", 14), "? help  q quit");
        for room in 14..160 {
            let line = fitting(KEYS, "? help  q quit", room);
            assert!(width(&line) <= room && line.ends_with("? help  q quit"), "{line}");
        }
        assert!(fitting(KEYS, "? help  q quit", 140).ends_with("o order  Space mark  ? help  q quit"));
    }

    #[test]
    fn a_long_message_is_seen_whole_and_its_keys_where_there_is_room() {
        assert_eq!(shown("hello", &[], 40), ["to api: hello_ (Enter sends)"]);
        assert_eq!(shown("hello", &[], 14), ["to api: hello_"]);
        assert_eq!(shown("hello", &[], 10), ["to api: he", "llo_"]);
        assert_eq!(shown("one\ntwo", &[], 40), ["to api: one", "two_ (Enter sends)"]);
        assert_eq!(shown("one\ntwo", &[Key::Home, Key::Left], 40), ["to api: one_", "two (Enter sends)"]);
        assert_eq!(shown("日本語", &[], 12), ["to api: 日本", "語_"]);
    }

    #[test]
    fn an_outcome_folds_between_words() {
        let mut app = App::new();
        app.message.stay("that row takes an answer in your own words: a attaches");
        let lines: Vec<String> = said(&app, 40).iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["that row takes an answer in your own", "words: a attaches"]);
    }
}
