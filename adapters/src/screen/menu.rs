//! What a dialog asks, with the rows that can be chosen, for a person who answers it.

use super::cells::Line;
use super::{DialogView, Phase, composer_end, is_shown, phase, region};
use crate::agent::{Dialog, Profile};
use crate::runtime::Key;

/// What agents draw beside a text.
const BARS: &str = "┃│▎";

/// A dialog as a person sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Menu {
    /// What is known of it by its rule.
    pub dialog: DialogView,
    /// What it says above its first row: what it asks, and about what.
    pub text: Vec<String>,
    /// The labels of its rows, from the first one on; none where the profile has no rule for them.
    pub rows: Vec<String>,
    /// The index of the row with the cursor, where exactly one is seen to have it.
    pub cursor: Option<usize>,
}

impl Menu {
    /// Whether it asks the same as it was seen to before, and offers the same: the cursor may be elsewhere, and a row that is
    /// typed into may read otherwise.
    pub fn is_same(&self, before: &Self, row: usize) -> bool {
        let asked = |menu: &Self| (menu.dialog.id.clone(), menu.dialog.question.clone(), menu.text.clone());
        asked(self) == asked(before)
            && self.rows.len() == before.rows.len()
            && self.rows.get(row) == before.rows.get(row)
    }

    /// The one key that brings the cursor nearer to a row; press it, look again, ask again. Enter only when that row is seen to
    /// have the cursor. `None`: no row is.
    pub fn next_key(&self, row: usize) -> Option<Key> {
        Some(match row.cmp(&self.cursor?) {
            std::cmp::Ordering::Less => Key::Up,
            std::cmp::Ordering::Equal => Key::Enter,
            std::cmp::Ordering::Greater => Key::Down,
        })
    }
}

/// The dialog that a screen shows, if it shows one.
pub fn menu(profile: &Profile, text: &str) -> Option<Menu> {
    let lines: Vec<Line> = text.lines().map(Line::parse).collect();
    let plain = lines.iter().map(|line| line.plain.as_str()).collect::<Vec<_>>().join("\n");
    let place = profile.composer.as_ref().and_then(|rule| region(rule, &lines, &plain));
    let composer = place.as_ref().map(composer_end);
    let Phase::Dialog(dialog) = phase(profile, text, &plain, composer) else { return None };
    let rule = profile.dialog.iter().find(|rule| rule.id == dialog.id && !rule.over);
    let seen = rule.and_then(|rule| Some((rule, first_row_of(rule, &plain, composer)?)));
    let Some((rule, start)) = seen else {
        return Some(Menu { text: vec![dialog.question.clone()], dialog, rows: Vec::new(), cursor: None });
    };
    let lines: Vec<&str> = plain.lines().collect();
    let rows = rows(rule, &lines, start);
    let first = rows.first().map_or(lines.len(), |row| row.line);
    let text = lines.get(top(rule, &lines, start)..first).unwrap_or_default();
    let trimmed = |line: &&str| line.trim_matches(|c: char| c.is_whitespace() || BARS.contains(c)).to_owned();
    let mut with_cursor = rows.iter().enumerate().filter(|(_, row)| row.has_cursor).map(|(index, _)| index);
    let cursor = with_cursor.next().filter(|_| with_cursor.next().is_none());
    Some(Menu {
        text: text.iter().map(trimmed).filter(|line| line.chars().any(char::is_alphanumeric)).collect(),
        cursor,
        rows: rows.into_iter().map(|row| row.label).collect(),
        dialog,
    })
}

/// The line in which the dialog's own pattern matches.
fn first_row_of(rule: &Dialog, plain: &str, composer: Option<usize>) -> Option<usize> {
    let found = rule.screen.regex().find_iter(plain).find(|found| is_shown(found, plain, composer))?;
    Some(plain.get(..found.start())?.matches('\n').count())
}

/// The line with which the dialog begins: what it is about stands above what it asks.
fn top(rule: &Dialog, lines: &[&str], start: usize) -> usize {
    let Some(above) = &rule.above else { return start };
    let edge = lines.get(..start).unwrap_or_default().iter().rposition(|line| above.is_match(line));
    edge.map_or(start, |edge| edge + 1)
}

struct Row {
    line: usize,
    number: Option<usize>,
    label: String,
    has_cursor: bool,
}

/// The rows that can be chosen. What is asked about may hold lines that read like rows: of those with numbers the last ones
/// count, from 1 on; and where the numbers leave one out, none is known.
fn rows(rule: &Dialog, lines: &[&str], start: usize) -> Vec<Row> {
    let Some(pattern) = &rule.rows else { return Vec::new() };
    let row = |(line, text): (usize, &&str)| {
        let found = pattern.regex().captures(text)?;
        Some(Row {
            line,
            number: found.name("number").and_then(|number| number.as_str().parse().ok()),
            label: found.name("label")?.as_str().split_whitespace().collect::<Vec<_>>().join(" "),
            has_cursor: rule.cursor.as_ref().is_some_and(|cursor| cursor.is_match(text)),
        })
    };
    let mut rows: Vec<Row> = lines.iter().enumerate().skip(start).filter_map(row).collect();
    if rows.iter().any(|row| row.number.is_some()) {
        rows.retain(|row| row.number.is_some());
        let first = rows.iter().rposition(|row| row.number == Some(1)).unwrap_or(rows.len());
        rows.drain(..first);
        if rows.iter().enumerate().any(|(index, row)| row.number != Some(index + 1)) {
            return Vec::new();
        }
    }
    rows
}
