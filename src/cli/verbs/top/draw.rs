//! Draws the view: the fleet, the chosen peer's story and screen beside or below it, the question and the keys.

pub(super) mod asked;
mod chosen;
mod fleet;
mod foot;
mod help;
pub(super) mod layout;
mod pager;

use ratatui::Frame;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::app::{App, Mode, waits};
use crate::cli::render::fold::fold;
use crate::cli::render::output::printable;
use crate::cli::render::terminal::{Hue, width};
use crate::policy::time::Timestamp;
use layout::Plan;

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, now: Timestamp, plain: bool) {
    if !app.has_looked() {
        return frame.render_widget(Paragraph::new("listing the fleet"), frame.area());
    }
    match &app.pager {
        Some(pager) => pager::draw(frame, app, pager, plain),
        None => fleet(frame, app, now, plain),
    }
    match &app.mode {
        Mode::Asks(asked) => asked::draw(frame, app, asked, plain),
        Mode::Help(scrolled) => help::draw(frame, *scrolled),
        Mode::Browse | Mode::Filter | Mode::Write(_) | Mode::Confirm(_) => {}
    }
}

fn fleet(frame: &mut Frame<'_>, app: &App, now: Timestamp, plain: bool) {
    let plan = Plan::of(app, frame.area());
    frame.render_widget(Paragraph::new(heading(app, plan.head.width, plain)), plan.head);
    fleet::draw(frame, app, &plan, now, plain);
    chosen::draw(frame, app, plan.chosen, now, plain);
    foot::draw(frame, app, plan.foot);
}

/// Folds a line between words, and breaks a word that is wider than the room. What goes on begins at column `hang`.
fn folded(line: &str, hang: usize, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for part in fold(&printable(line), hang, Some(room)) {
        let mut rest = String::new();
        for c in part.chars() {
            if width(&rest) + width(c.encode_utf8(&mut [0; 4])) > room {
                lines.push(std::mem::take(&mut rest));
            }
            rest.push(c);
        }
        lines.push(rest);
    }
    lines
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

/// The number of peers in each state, those that wait for a person first. Without room for all, the last states are
/// left out.
fn heading(app: &App, room: u16, plain: bool) -> Line<'static> {
    let mut states: Vec<_> = app.view.fleet.rows.iter().map(|row| (!waits(row), row.state)).collect();
    states.sort_unstable();
    let mut groups: Vec<(String, Hue)> = states
        .chunk_by(|a, b| a == b)
        .map(|group| (format!("  {} {}", group.len(), group[0].1), Hue::of(group[0].1)))
        .collect();
    if !app.view.fleet.broken.is_empty() {
        groups.push((format!("  {} broken (peer list)", app.view.fleet.broken.len()), Hue::Bad));
    }
    let peers = app.view.fleet.rows.len();
    let first = format!("peer top  {peers} peer{}", if peers == 1 { "" } else { "s" });
    let last = how_shown(app);
    let mut left = usize::from(room).saturating_sub(width(&first) + width(&last));
    let mut spans = vec![Span::styled(first, style(Hue::Strong, plain))];
    for (text, hue) in groups {
        left = left.saturating_sub(width(&text));
        if left == 0 {
            break;
        }
        spans.push(Span::styled(text, style(hue, plain)));
    }
    spans.push(Span::raw(last));
    Line::from(spans)
}

fn how_shown(app: &App) -> String {
    let reversed = if app.reversed { " reversed" } else { "" };
    let marked = if app.marked.is_empty() { String::new() } else { format!("  {} marked", app.marked.len()) };
    let filter =
        if app.filter.text().is_empty() { String::new() } else { format!("  /{}", printable(app.filter.text())) };
    format!("  by {}{reversed}{marked}{filter}", app.order.as_str())
}
