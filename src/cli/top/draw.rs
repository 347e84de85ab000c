//! What it looks like: the fleet on the left, the chosen peer's story and screen on the right, the keys below.

mod foot;

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Paragraph, Wrap};

use super::app::{App, Mode};
use super::pane;
use crate::cli::output::{home_as_tilde, printable};
use crate::cli::terminal::{Hue, cut, cut_front, relative, rough, width};
use crate::engine::list::Row;
use crate::engine::top::SPANS;
use crate::policy::time::Timestamp;

/// Below this width there is room for the fleet alone.
const BOTH: u16 = 80;
/// Columns of the bar that fills as an agent idles towards its park.
const BAR: usize = 6;
/// Cells of a memory sparkline, and columns of the number behind it.
const MEMORY: usize = 6;
const SIZE: usize = 5;
/// A longer name is cut.
const LONGEST_NAME: usize = 16;
/// Eight heights of one cell.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

const HELP: &str = "\
w        wake the chosen peer, as the table says (peer why)
x        stop it: park it and refuse wakes
n        new: start it fresh now, whatever state it is in
a Enter  attach to it, waking it first; detach to come back
s        send it a message, waking it first: Enter sends, Alt-Enter
         or Ctrl-J begins a new line, Esc puts it aside until the
         next s; a paste is text, however many lines it has
/        filter by name, state, agent and topic; Esc clears it
o        order by name, state, idle time, last end, restarts
j k ↑ ↓  choose; PageUp, PageDown, g, G
q        quit

IDLE fills up to the time at which it is parked.
MEM is the memory of its processes, STARTS how often it was
started, five minutes a bar.";

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, now: Timestamp, plain: bool) {
    let [head, body, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(foot::height(app, frame.area())),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(heading(app, plain)), head);
    if body.width >= BOTH {
        let [left, right] =
            Layout::horizontal([Constraint::Length(Columns::of(app).width()), Constraint::Min(1)]).areas(body);
        fleet(frame, app, left, plain);
        chosen(frame, app, right, now, plain);
    } else {
        fleet(frame, app, body, plain);
    }
    foot::draw(frame, app, foot);
    if app.mode == Mode::Help {
        help(frame);
    }
}

/// How wide the columns are that depend on who is shown: what they do not need is left to the pane beside them.
#[derive(Clone, Copy)]
struct Columns {
    name: usize,
    state: usize,
}

impl Columns {
    fn of(app: &App) -> Self {
        let rows = &app.view.fleet.rows;
        let name = rows.iter().map(|row| width(row.peer.as_str())).max().unwrap_or(0);
        let word = |row: &Row| app.doing_to(&row.peer).map_or(0, str::len).max(row.state.as_str().len());
        let state = rows.iter().map(word).max().unwrap_or(0);
        Self { name: name.clamp("NAME".len(), LONGEST_NAME), state: state.max("STATE".len()) }
    }

    fn width(self) -> u16 {
        let wide = 2 + self.name + 2 + self.state + 2 + (BAR + 5) + 2 + (MEMORY + SIZE) + 2 + SPANS + 1;
        u16::try_from(wide).unwrap_or(BOTH)
    }
}

fn style(hue: Hue, plain: bool) -> Style {
    let style = Style::new();
    match hue {
        Hue::Quiet => style.add_modifier(Modifier::DIM),
        Hue::Strong => style.add_modifier(Modifier::BOLD),
        _ if plain => style,
        Hue::Good => style.fg(Color::Green),
        Hue::Busy => style.fg(Color::Cyan),
        Hue::Waiting => style.fg(Color::Yellow),
        Hue::Bad => style.fg(Color::Red).add_modifier(Modifier::BOLD),
        Hue::Odd => style.fg(Color::Magenta),
    }
}

fn heading(app: &App, plain: bool) -> Line<'static> {
    let rows = &app.view.fleet.rows;
    let mut spans = vec![Span::styled(format!("peer top  {} peers", rows.len()), style(Hue::Strong, plain))];
    let mut states: Vec<_> = rows.iter().map(|row| row.state).collect();
    states.sort_unstable();
    for group in states.chunk_by(|a, b| a == b) {
        let text = format!("  {} {}", group.len(), group[0]);
        spans.push(Span::styled(text, style(Hue::of(group[0]), plain)));
    }
    if !app.view.fleet.broken.is_empty() {
        let text = format!("  {} broken (peer list)", app.view.fleet.broken.len());
        spans.push(Span::styled(text, style(Hue::Bad, plain)));
    }
    spans.push(Span::raw(format!("  by {}", app.order.as_str())));
    if !app.filter.text().is_empty() {
        spans.push(Span::raw(format!("  /{}", printable(app.filter.text()))));
    }
    Line::from(spans)
}

fn fleet(frame: &mut Frame<'_>, app: &App, area: Rect, plain: bool) {
    let columns = Columns::of(app);
    let title = format!(
        "  {:<name$}  {:<state$}  {:<idle$}  {:<memory$}  STARTS",
        "NAME",
        "STATE",
        "IDLE",
        "MEM",
        name = columns.name,
        state = columns.state,
        idle = BAR + 5,
        memory = MEMORY + SIZE
    );
    let mut lines = vec![Line::styled(title, style(Hue::Strong, plain))];
    let rows = app.rows();
    let room = usize::from(area.height).saturating_sub(1).max(1);
    let at = rows.iter().position(|row| Some(&row.peer) == app.chosen.as_ref()).unwrap_or(0);
    // The chosen row stays in sight.
    let first = at.saturating_sub(room - 1);
    lines.extend(rows.iter().skip(first).take(room).map(|row| line(app, row, columns, plain)));
    frame.render_widget(Paragraph::new(lines), area);
}

fn line(app: &App, row: &Row, columns: Columns, plain: bool) -> Line<'static> {
    let chosen = Some(&row.peer) == app.chosen.as_ref();
    let mark = if chosen { "> " } else { "  " };
    let idle =
        row.idle_s.map(|idle| format!("{} {:<4}", bar(idle, row.idle_timeout_s), rough(Duration::from_secs(idle))));
    let memory = app.view.memory.get(&row.peer).and_then(|kib| Some((last(&spark(kib), MEMORY), size(*kib.last()?))));
    let memory = memory.map(|(spark, size)| format!("{spark:<MEMORY$}{size:>SIZE$}"));
    let starts = app.view.starts.get(&row.peer).filter(|starts| starts.iter().any(|count| *count > 0));
    let starts = starts.map(|starts| spark(starts)).unwrap_or_default();
    let rest = format!(
        "  {:<idle_wide$}  {:<memory_wide$}  {starts}",
        idle.unwrap_or_default(),
        memory.unwrap_or_default(),
        idle_wide = BAR + 5,
        memory_wide = MEMORY + SIZE
    );
    let (word, hue) = match app.doing_to(&row.peer) {
        Some(doing) => (doing, Hue::Busy),
        None => (row.state.as_str(), Hue::of(row.state)),
    };
    let mut line = Line::from(vec![
        Span::raw(format!("{mark}{}  ", padded(row.peer.as_str(), columns.name))),
        Span::styled(format!("{:<state$}", cut(word, columns.state), state = columns.state), style(hue, plain)),
        Span::raw(rest),
    ]);
    if chosen {
        line = line.patch_style(Style::new().add_modifier(Modifier::BOLD));
    }
    line
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

/// An amount of memory in at most five columns.
fn size(kib: u64) -> String {
    match kib {
        0..1024 => format!("{kib}K"),
        1024..1_048_576 => format!("{}M", kib / 1024),
        _ => format!("{}.{}G", kib / 1_048_576, kib % 1_048_576 * 10 / 1_048_576),
    }
}

/// How much of the idle timeout has passed.
fn bar(idle: u64, timeout: Option<u64>) -> String {
    let cells = u64::try_from(BAR).unwrap_or_default();
    let filled = timeout.filter(|timeout| *timeout > 0).map_or(0, |timeout| (idle * cells / timeout).min(cells));
    (0..cells).map(|cell| if cell < filled { '█' } else { '·' }).collect()
}

/// A height a value, the largest as high as can be.
fn spark(values: &[u64]) -> String {
    let most = values.iter().copied().max().unwrap_or(0).max(1);
    let height = |value: &u64| usize::try_from(value * 7 / most).unwrap_or(0);
    values.iter().map(|value| HEIGHTS[height(value)]).collect()
}

fn chosen(frame: &mut Frame<'_>, app: &App, area: Rect, now: Timestamp, plain: bool) {
    let block = Block::new().borders(Borders::LEFT);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let Some(row) = app.chosen_row() else {
        let text = if app.view.fleet.rows.is_empty() {
            " nobody is declared: peer add NAME -- COMMAND"
        } else {
            " nobody matches"
        };
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: false }), inner);
        return;
    };
    let room = usize::from(inner.width).saturating_sub(1);
    let mut lines = story(row, now, room, plain);
    lines.push(Line::raw(format!(" {}", "─".repeat(room))));
    let height = usize::from(inner.height).saturating_sub(lines.len());
    if let Some((_, text)) = app.screen.as_ref().filter(|(of, _)| *of == row.peer) {
        // What is newest stands below, as in the pane itself.
        let shown = &text.lines[text.lines.len().saturating_sub(height)..];
        lines.extend(shown.iter().map(|line| pane::indented(line, room)));
    }
    frame.render_widget(Paragraph::new(lines), inner);
}

fn story(row: &Row, now: Timestamp, room: usize, plain: bool) -> Vec<Line<'static>> {
    let since = row.since_ms.map(|at| format!(" {}", relative(at, now))).unwrap_or_default();
    let detail = row.detail.as_deref().map(|detail| format!(": {}", printable(detail))).unwrap_or_default();
    let mut lines = vec![Line::from(vec![
        Span::styled(format!(" {} ", row.peer), style(Hue::Strong, plain)),
        Span::styled(row.state.as_str(), style(Hue::of(row.state), plain)),
        Span::raw(cut(&format!("{detail}{since}"), room).into_owned()),
    ])];
    let mut fact = |label: &str, value: Option<String>| {
        if let Some(value) = value {
            lines.push(Line::raw(cut(&format!(" {label}: {}", printable(&value)), room).into_owned()));
        }
    };
    fact("agent", Some(format!("{} in {}, {}", row.agent, row.runtime, cut_front(&home_as_tilde(&row.cwd), 40))));
    fact("topic", row.topic.clone());
    fact("conversation", row.conversation.clone());
    fact("held", row.held_until_ms.map(|until| relative(until, now)));
    fact("last end", crate::cli::list::last_end(row, now));
    fact("deaths", (row.restarts > 0).then(|| format!("{} in a row", row.restarts)));
    lines
}

fn help(frame: &mut Frame<'_>) {
    let area = frame.area();
    let (wide, high) = (66.min(area.width), 21.min(area.height));
    let middle = Rect::new((area.width - wide) / 2, (area.height - high) / 2, wide, high);
    frame.render_widget(Clear, middle);
    frame.render_widget(Paragraph::new(HELP).block(Block::bordered().title("keys (any key closes this)")), middle);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_of_memory_has_one_unit() {
        assert_eq!([900, 1024, 1_047_552, 1_048_576, 1_677_722].map(size), ["900K", "1M", "1023M", "1.0G", "1.6G"]);
    }
}
