//! Draws the fleet, one row per peer.

use std::time::Duration;

use ratatui::Frame;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::layout::{BAR, Columns, MEMORY, Plan, SIZE, about};
use super::style;
use crate::cli::render::output::printable;
use crate::cli::render::terminal::{Hue, cut, rough, width};
use crate::cli::verbs::top::app::App;
use crate::engine::verbs::list::Row;
use crate::policy::time::Timestamp;

/// Eight heights of one cell.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, plan: &Plan, now: Timestamp, plain: bool) {
    let mut lines = vec![Line::styled(titles(plan.columns), style(Hue::Strong, plain))];
    let room = usize::from(plan.fleet.height).saturating_sub(1).max(1);
    let rows = app.rows();
    lines.extend(rows.iter().skip(plan.first).take(room).map(|row| line(app, row, plan.columns, now, plain)));
    frame.render_widget(Paragraph::new(lines), plan.fleet);
}

fn titles(columns: Columns) -> String {
    let first = format!("  {}  {}", padded("NAME", columns.name), padded("STATE", columns.state));
    let more = [("IDLE", columns.idle), ("MEM", columns.memory), ("STARTS", columns.starts), ("ABOUT", columns.topic)];
    first + &cells(more.map(|(title, room)| (title.to_owned(), room)))
}

/// Joins the cells for which there is room.
fn cells<const N: usize>(cells: [(String, usize); N]) -> String {
    let shown = cells.into_iter().filter(|(_, room)| *room > 0);
    shown.map(|(text, room)| "  ".to_owned() + &padded(&text, room)).collect()
}

fn line(app: &App, row: &Row, columns: Columns, now: Timestamp, plain: bool) -> Line<'static> {
    let chosen = Some(&row.peer) == app.chosen.as_ref();
    let marks = [if chosen { '>' } else { ' ' }, if app.marked.contains(&row.peer) { '*' } else { ' ' }];
    let (word, hue) = match app.doing_to(&row.peer) {
        Some(doing) => (doing, Hue::Busy),
        None => (row.state.as_str(), Hue::of(row.state)),
    };
    let name = format!("{}{}  ", String::from_iter(marks), padded(row.peer.as_str(), columns.name));
    let mut line = Line::from(vec![
        Span::raw(name),
        Span::styled(padded(word, columns.state), style(hue, plain)),
        Span::raw(numbers(app, row, columns, now)),
    ]);
    if chosen {
        line = line.patch_style(Style::new().add_modifier(Modifier::BOLD));
    }
    line
}

fn numbers(app: &App, row: &Row, columns: Columns, now: Timestamp) -> String {
    let since = now.since(app.view.at).as_secs();
    let idle = row.idle_s.map(|idle| idle + since).map(|idle| {
        let time = rough(Duration::from_secs(idle));
        if columns.has_bar() { format!("{} {time}", bar(idle, row.idle_timeout_s)) } else { time }
    });
    let memory = app.view.memory.get(&row.peer).and_then(|kib| {
        let spark = if columns.has_spark() { format!("{:<MEMORY$}", last(&spark(kib), MEMORY)) } else { String::new() };
        Some(format!("{spark}{:>SIZE$}", size(*kib.last()?)))
    });
    let starts = app.view.starts.get(&row.peer).filter(|starts| starts.iter().any(|count| *count > 0));
    cells([
        (idle.unwrap_or_default(), columns.idle),
        (memory.unwrap_or_default(), columns.memory),
        (starts.map(|starts| spark(starts)).unwrap_or_default(), columns.starts),
        (about(row).map(printable).unwrap_or_default(), columns.topic),
    ])
}

fn padded(text: &str, room: usize) -> String {
    let text = cut(text, room);
    let gap = room.saturating_sub(width(&text));
    text.into_owned() + &" ".repeat(gap)
}

fn last(text: &str, most: usize) -> String {
    let all: Vec<char> = text.chars().collect();
    all[all.len().saturating_sub(most)..].iter().collect()
}

/// Formats an amount of memory in at most five columns.
fn size(kib: u64) -> String {
    match kib {
        0..1024 => format!("{kib}K"),
        1024..1_048_576 => format!("{}M", kib / 1024),
        _ => format!("{}.{}G", kib / 1_048_576, kib % 1_048_576 * 10 / 1_048_576),
    }
}

/// Draws how much of the idle timeout has passed.
fn bar(idle: u64, timeout: Option<u64>) -> String {
    let cells = u64::try_from(BAR).unwrap_or_default();
    let filled = timeout.filter(|timeout| *timeout > 0).map_or(0, |timeout| (idle * cells / timeout).min(cells));
    (0..cells).map(|cell| if cell < filled { '█' } else { '·' }).collect()
}

/// Draws one bar per value, scaled to the largest.
fn spark(values: &[u64]) -> String {
    let most = values.iter().copied().max().unwrap_or(0).max(1);
    let height = |value: &u64| usize::try_from(value * 7 / most).unwrap_or(0);
    values.iter().map(|value| HEIGHTS[height(value)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_of_memory_has_one_unit() {
        assert_eq!([900, 1024, 1_047_552, 1_048_576, 1_677_722].map(size), ["900K", "1M", "1023M", "1.0G", "1.6G"]);
    }
}
