//! Draws a page on the whole screen.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::text::{Line, Text};
use ratatui::widgets::Paragraph;

use super::foot::fitting;
use super::style;
use crate::cli::render::terminal::{Hue, cut};
use crate::cli::verbs::top::app::App;
use crate::cli::verbs::top::pager::{Page, Pager};
use crate::cli::verbs::top::pane;

const KEYS: &[(u8, &str)] = &[
    (2, "↑ ↓ PgUp PgDn scroll"),
    (0, "/ search"),
    (1, "n N next"),
    (6, "g G ends"),
    (3, "← → side"),
    (4, "v screen"),
    (5, "l log"),
    (7, "r read again"),
    (8, "a attach"),
    (9, "A answer"),
];

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, pager: &Pager, plain: bool) {
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(1), Constraint::Min(1), Constraint::Length(1)]).areas(frame.area());
    let (count, rows, room) = (pager.lines().len(), usize::from(body.height), usize::from(body.width));
    let last = (pager.top + rows).min(count);
    let place = match pager.text {
        None => "reading".to_owned(),
        Some(_) if count == 0 => "nothing".to_owned(),
        Some(_) => format!("{}–{last} of {count}{}", pager.top + 1, if pager.follows { ", follows" } else { "" }),
    };
    // What the pane shows is all of the page: its agent draws on a screen of its own, or nothing has scrolled yet.
    let is_all = |screen: &Text<'_>| pager.page == Page::Screen && count > 0 && screen.lines.len() >= count;
    let shown = app.screen.as_ref().filter(|(of, _)| *of == pager.name).is_some_and(|(_, screen)| is_all(screen));
    let place = if shown { format!("{place}; nothing has scrolled out of it") } else { place };
    let clock = if pager.page == Page::Log { ", UTC" } else { "" };
    let heading = format!("{}  {}  {place}{clock}", pager.name, pager.page.as_str());
    let heading = cut(&heading, usize::from(head.width)).into_owned();
    frame.render_widget(Paragraph::new(Line::styled(heading, style(Hue::Strong, plain))), head);
    let shown = pager.lines().iter().skip(pager.top).take(rows);
    let lines: Vec<Line<'_>> = shown.map(|line| pane::window(line, &pager.found_in(line), pager.left, room)).collect();
    frame.render_widget(Paragraph::new(lines), body);
    let wide = usize::from(foot.width);
    let line = if pager.searching {
        format!("search: {}_", crate::cli::render::output::printable(pager.search.text()))
    } else if !pager.note.is_empty() {
        pager.note.to_owned()
    } else if !app.message.is_empty() {
        crate::cli::render::output::printable(app.message.text())
    } else {
        fitting(KEYS, "q back", wide)
    };
    frame.render_widget(Paragraph::new(cut(&line, wide).into_owned()), foot);
}
