//! Draws the chosen peer: its story, and what its pane shows.

use ratatui::Frame;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Wrap};

use super::layout::Chosen;
use super::style;
use crate::cli::render::output::{home_as_tilde, printable};
use crate::cli::render::terminal::{Hue, cut, cut_front, relative, rough};
use crate::cli::verbs::top::app::App;
use crate::cli::verbs::top::pane;
use crate::engine::verbs::list::Row;
use crate::policy::time::Timestamp;

/// The lines of the story below the fleet; the screen gets the rest, so that the end of a page is seen whole.
const STORY_BELOW: usize = 2;

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, chosen: Chosen, now: Timestamp, plain: bool) {
    let (area, borders, lead) = match chosen {
        Chosen::Beside(area) => (area, Borders::LEFT, 1),
        Chosen::Below(area) => (area, Borders::TOP, 0),
        Chosen::Nowhere => return,
    };
    let block = Block::new().borders(borders);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let lead_text = " ".repeat(lead);
    let Some(row) = app.chosen_row() else {
        let why = if app.view.fleet.rows.is_empty() {
            "no peer is declared: peer add NAME -- COMMAND"
        } else {
            "no peer matches"
        };
        frame.render_widget(Paragraph::new(lead_text + why).wrap(Wrap { trim: false }), inner);
        return;
    };
    let room = usize::from(inner.width).saturating_sub(lead);
    let mut lines = story(row, now, room, plain);
    if lead == 0 {
        lines.truncate(STORY_BELOW);
    }
    lines.push(Line::raw("─".repeat(room)));
    for line in &mut lines {
        line.spans.insert(0, Span::raw(lead_text.clone()));
    }
    let height = usize::from(inner.height).saturating_sub(lines.len());
    lines.extend(shown(app, row, height).iter().map(|line| pane::fitted(line, room, lead)));
    frame.render_widget(Paragraph::new(lines), inner);
}

/// Returns the last `height` lines: the newest are at the bottom, as in the pane itself.
fn shown<'a>(app: &'a App, row: &Row, height: usize) -> &'a [Line<'static>] {
    let text = app.screen.as_ref().filter(|(of, _)| *of == row.peer).map(|(_, text)| text);
    text.map_or(&[], |text| &text.lines[text.lines.len().saturating_sub(height)..])
}

fn story(row: &Row, now: Timestamp, room: usize, plain: bool) -> Vec<Line<'static>> {
    let since = row.since_ms.map(|at| format!(" for {}", rough(now.since(at)))).unwrap_or_default();
    let detail = row.detail.as_deref().map(|detail| format!(": {}", printable(detail))).unwrap_or_default();
    let mut lines = vec![Line::from(vec![
        Span::styled(format!("{} ", row.peer), style(Hue::Strong, plain)),
        Span::styled(row.state.as_str(), style(Hue::of(row.state), plain)),
        Span::raw(cut(&format!("{detail}{since}"), room).into_owned()),
    ])];
    let mut fact = |label: &str, value: Option<String>| {
        if let Some(value) = value {
            lines.push(Line::raw(cut(&format!("{label}: {}", printable(&value)), room).into_owned()));
        }
    };
    let asks = if row.answerable { "A shows its rows, a attaches" } else { "a attaches" };
    fact("answer", row.waiting_for.map(|_| asks.to_owned()));
    fact("agent", Some(format!("{} in {}, {}", row.agent, row.runtime, cut_front(&home_as_tilde(&row.cwd), 40))));
    fact("topic", row.topic.clone());
    fact("conversation", row.conversation.clone());
    fact("held", row.held_until_ms.map(|until| relative(until, now)));
    fact("last end", crate::cli::render::row::last_end(row, now));
    fact("deaths", (row.restarts > 0).then(|| format!("{} in a row", row.restarts)));
    lines
}
