//! Draws the question of an agent over the rest, on any size of terminal.

use std::ops::Range;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Paragraph};

use super::{folded, foot, style};
use crate::cli::render::terminal::{Hue, cut, width};
use crate::cli::verbs::answer::indent;
use crate::cli::verbs::top::app::App;
use crate::cli::verbs::top::asked::Asked;
use crate::engine::verbs::answer::Question;

const WIDEST: u16 = 104;
/// The borders on both sides.
const BORDERS: u16 = 2;
/// With fewer columns beside it, nothing there can be read.
const LEAST_BESIDE: u16 = 16;

const CUT: &str = "Its beginning is above the screen: a attaches, in a higher terminal.";
const NO_ROWS: &str = "It cannot be answered from here: a attaches.";

pub(super) fn draw(frame: &mut Frame<'_>, app: &App, asked: &Asked, plain: bool) {
    let (above, below) = areas(app, frame.area());
    frame.render_widget(Clear, below);
    foot::draw(frame, app, below);
    let sheet = Sheet::of(asked, room(above));
    let title = asked.question.as_ref().map(|question| format!(" ({})", question.kind)).unwrap_or_default();
    let title = format!("{} asks{title}", asked.whom.name);
    let widest = sheet.lines.iter().map(|(line, _)| width(line)).max().unwrap_or(0).max(width(&title));
    let wide = u16::try_from(widest).unwrap_or(WIDEST).saturating_add(BORDERS).min(above.width);
    let wide = if above.width - wide < LEAST_BESIDE { above.width } else { wide };
    let high = u16::try_from(sheet.lines.len()).unwrap_or(u16::MAX).saturating_add(BORDERS).min(above.height);
    let middle = Rect::new(above.x + (above.width - wide) / 2, above.y + (above.height - high) / 2, wide, high);
    let rows = usize::from(high.saturating_sub(BORDERS));
    let first = sheet.first(rows).saturating_sub(asked.up);
    let mut block = Block::bordered().title(cut(&title, rows_room(wide)).into_owned());
    if sheet.lines.len() > rows {
        let (last, count) = ((first + rows).min(sheet.lines.len()), sheet.lines.len());
        let place = format!("{}–{last} of {count}: PgUp PgDn", first + 1);
        block = block.title_bottom(cut(&place, rows_room(wide)).into_owned());
    }
    let shown = sheet.lines.into_iter().skip(first).take(rows);
    let lines: Vec<Line<'_>> = shown
        .map(|(line, strong)| if strong { Line::styled(line, style(Hue::Strong, plain)) } else { Line::raw(line) })
        .collect();
    frame.render_widget(Clear, middle);
    frame.render_widget(Paragraph::new(lines).block(block), middle);
}

fn rows_room(wide: u16) -> usize {
    usize::from(wide.saturating_sub(BORDERS))
}

/// The area of the question, and that of the foot.
fn areas(app: &App, area: Rect) -> (Rect, Rect) {
    let [above, below] =
        Layout::vertical([Constraint::Min(1), Constraint::Length(foot::height(app, area))]).areas(area);
    (above, below)
}

fn room(area: Rect) -> usize {
    usize::from(area.width.min(WIDEST).saturating_sub(BORDERS)).max(1)
}

fn whole(app: &App) -> Rect {
    areas(app, Rect::new(0, 0, app.size.0, app.size.1)).0
}

/// The number of lines that are shown at once.
pub(in crate::cli::verbs::top) fn page(app: &App) -> usize {
    rows_room(whole(app).height).max(1)
}

/// By how many lines can be scrolled up at most.
pub(in crate::cli::verbs::top) fn top(app: &App, asked: &Asked) -> usize {
    Sheet::of(asked, room(whole(app))).first(page(app))
}

/// All lines of a question; the strong ones are the question and the row that Enter chooses.
struct Sheet {
    lines: Vec<(String, bool)>,
    /// The lines of the row that Enter chooses.
    chosen: Option<Range<usize>>,
}

impl Sheet {
    fn of(asked: &Asked, room: usize) -> Self {
        let mut sheet = Self { lines: Vec::new(), chosen: None };
        let Some(question) = &asked.question else {
            sheet.add("reading what it asks", 0, room, false);
            return sheet;
        };
        sheet.add_text(question, room);
        if !question.rows.is_empty() {
            sheet.lines.push((String::new(), false));
        }
        for (index, row) in question.rows.iter().enumerate() {
            let (is_chosen, start) = (asked.has_choice() && index == asked.at, sheet.lines.len());
            let mark = if is_chosen { '>' } else { ' ' };
            sheet.add(&format!("{mark} {}{row}", indent(row)), 5, room, is_chosen);
            for line in &row.about {
                sheet.add(&format!("       {line}"), 7, room, false);
            }
            if is_chosen {
                sheet.chosen = Some(start..sheet.lines.len());
            }
        }
        for (holds, note) in [(question.is_cut, CUT), (!asked.has_choice(), NO_ROWS)] {
            if holds {
                sheet.lines.push((String::new(), false));
                sheet.add(note, 0, room, false);
            }
        }
        sheet
    }

    /// Adds what is above the rows, as on the screen of the agent.
    fn add_text(&mut self, question: &Question, room: usize) {
        let asked = question.question.as_deref().unwrap_or("something");
        let is_there = question.text.join(" ").contains(asked);
        if !is_there {
            self.add(asked, 0, room, true);
        }
        for line in &question.text {
            let is_asked = is_there && (line.contains(asked) || (!line.is_empty() && asked.contains(line.as_str())));
            self.add(line, 0, room, is_asked);
        }
    }

    fn add(&mut self, line: &str, hang: usize, room: usize, strong: bool) {
        self.lines.extend(folded(line, hang, room).into_iter().map(|line| (line, strong)));
    }

    /// The first line that is shown of `rows` lines: the end, and the row that Enter chooses from its beginning.
    fn first(&self, rows: usize) -> usize {
        let end = self.lines.len().saturating_sub(rows);
        self.chosen.as_ref().map_or(end, |chosen| end.min(chosen.start))
    }
}

#[cfg(test)]
mod tests {
    use peer_adapters::screen::MenuRow;

    use super::*;
    use crate::policy::turn::AskKind;

    fn row(number: Option<usize>, label: &str, about: &[&str], ticked: Option<bool>) -> MenuRow {
        let about = about.iter().map(|line| (*line).to_owned()).collect();
        MenuRow { number, label: label.to_owned(), about, ticked, typed: false, ends: false }
    }

    fn question() -> Question {
        Question {
            kind: AskKind::Question,
            question: Some("Which of these features should be there from the first day on?".to_owned()),
            text: vec!["Which of these features should be there from the first day on?".to_owned()],
            is_cut: false,
            rows: vec![
                row(Some(1), "Auth", &["login with a password"], Some(true)),
                row(Some(2), "Search for anything that anybody has ever written", &[], Some(false)),
                row(None, "Submit", &[], None),
            ],
            cursor: Some(2),
        }
    }

    fn lines(question: &Question, room: usize) -> Vec<String> {
        let sheet = Sheet::of(&Asked::of(question.clone()), room);
        sheet.lines.into_iter().map(|(line, _)| line).collect()
    }

    #[test]
    fn it_is_shown_as_by_the_command_and_folds_between_words() {
        let whole = [
            "Which of these features should be there from the first day on?",
            "",
            "  1. [x] Auth",
            "       login with a password",
            "> 2. [ ] Search for anything that anybody has ever written",
            "     Submit",
        ];
        assert_eq!(lines(&question(), 102), whole);
        let narrow = [
            "Which of these features should be",
            "there from the first day on?",
            "",
            "  1. [x] Auth",
            "       login with a password",
            "> 2. [ ] Search for anything that",
            "     anybody has ever written",
            "     Submit",
        ];
        assert_eq!(lines(&question(), 38), narrow);
        let mut long = question();
        long.text.push(format!("rm -rf /{}", "a/long/path/".repeat(9)));
        for room in [5, 38, 102] {
            let lines = lines(&long, room);
            assert!(lines.iter().all(|line| width(line) <= room), "{room}: {lines:?}");
            assert!(lines.concat().contains(&"a/long/path/".repeat(9)), "{room}: {lines:?}");
        }
    }

    #[test]
    fn a_question_that_the_agent_wraps_is_not_repeated() {
        let text = ["☐ Layout", "Which layout do you want", "for the page? (Or none.)"];
        let asked = Some("Which layout do you want for the page?".to_owned());
        let wrapped =
            Question { question: asked, text: text.map(str::to_owned).to_vec(), rows: Vec::new(), ..question() };
        let sheet = Sheet::of(&Asked::of(wrapped), 102);
        let shown: Vec<_> = sheet.lines.iter().map(|(line, strong)| (line.as_str(), *strong)).collect();
        assert_eq!(shown[..3], [(text[0], false), (text[1], true), (text[2], false)]);
    }

    #[test]
    fn the_end_is_shown_and_the_row_that_is_chosen_from_its_beginning() {
        let mut asked = Asked::of(question());
        let first = |asked: &Asked, rows| Sheet::of(asked, 38).first(rows);
        assert_eq!((first(&asked, 20), first(&asked, 6), first(&asked, 2)), (0, 2, 5));
        asked.step(-1);
        assert_eq!((first(&asked, 6), first(&asked, 2)), (2, 3));
        asked.step(9);
        assert_eq!(first(&asked, 2), 6);
    }

    #[test]
    fn what_cannot_be_answered_from_here_says_what_to_do() {
        let cut = Question { is_cut: true, ..question() };
        assert_eq!(lines(&cut, 102).last().map(String::as_str), Some(CUT));
        let (text, rows) = (vec!["Say why".to_owned()], Vec::new());
        let free = Question { question: Some("Say why".to_owned()), text, rows, cursor: None, ..question() };
        assert_eq!(lines(&free, 102), ["Say why", "", NO_ROWS]);
        let unseen = Question { question: Some("permission".to_owned()), text: Vec::new(), ..free };
        assert_eq!(lines(&unseen, 102), ["permission", "", NO_ROWS]);
    }
}
