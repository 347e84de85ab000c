//! A dialog's question and the rows that can be chosen, for a user who answers it.

use std::fmt;

use serde::Serialize;

use super::cells::Line;
use super::{DialogView, Phase, composer_end, is_shown, phase, region, row_of};
use crate::agent::{Dialog, Profile};
use crate::runtime::Key;

/// Vertical bars that agents draw beside a text.
const BARS: &str = "┃│▎";

/// How many columns agents leave free at the right edge when they wrap a row, at most.
const MARGIN: usize = 2;

/// A dialog as the user sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Menu {
    /// What the rule of the profile knows about it.
    pub dialog: DialogView,
    /// The text above the first row: the question and its subject.
    pub text: Vec<String>,
    /// Whether `text` lacks its beginning, which is above the screen.
    pub is_cut: bool,
    /// Its rows, from the first one on; empty if the profile has no rule for them.
    pub rows: Vec<MenuRow>,
    /// The index of the row with the cursor, if exactly one row has it.
    pub cursor: Option<usize>,
}

/// A row that can be chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MenuRow {
    /// Its number on the screen, or its place if no row has a number. `None` for a row without a number among rows that
    /// have one.
    pub number: Option<usize>,
    /// Its label, without a checkbox, and whole where the screen wraps it.
    pub label: String,
    /// What the agent says about it, below the label.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub about: Vec<String>,
    /// Whether its checkbox is ticked, if it has one. Enter then changes that, and the question stays open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticked: Option<bool>,
    /// Whether it is chosen by typing an answer into it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub typed: bool,
    /// Whether choosing it ends the agent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ends: bool,
}

impl fmt::Display for MenuRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(number) = self.number {
            write!(f, "{number}. ")?;
        }
        match self.ticked {
            Some(true) => f.write_str("[x] ")?,
            Some(false) => f.write_str("[ ] ")?,
            None => {}
        }
        f.write_str(&self.label)
    }
}

impl Menu {
    /// Returns whether the checkbox of a row is ticked now, if it was changed since `before`, and the same is asked.
    pub fn ticked_since(&self, before: &Self, row: usize) -> Option<bool> {
        let (was, now) = (before.rows.get(row)?, self.rows.get(row)?);
        // What is above the rows may tell how many questions are answered.
        let same = (&self.dialog.id, &self.dialog.question) == (&before.dialog.id, &before.dialog.question)
            && self.rows.len() == before.rows.len()
            && (was.number, &was.label) == (now.number, &now.label);
        now.ticked.filter(|_| same && was.ticked.is_some() && was.ticked != now.ticked)
    }

    /// Returns `true` if it asks and offers the same as `before`. The cursor may be elsewhere, and a row that is typed
    /// into may have changed, unless it is `row`.
    pub fn is_same(&self, before: &Self, row: usize) -> bool {
        let asked = |menu: &Self| (menu.dialog.id.clone(), menu.dialog.question.clone(), menu.text.clone());
        asked(self) == asked(before)
            && self.rows.len() == before.rows.len()
            && self.rows.get(row) == before.rows.get(row)
    }

    /// Returns the key that brings the cursor one step closer to a row. Press it, capture again, and call this again.
    /// Enter only if that row visibly has the cursor. `None` if no row has it.
    pub fn next_key(&self, row: usize) -> Option<Key> {
        Some(match row.cmp(&self.cursor?) {
            std::cmp::Ordering::Less => Key::Up,
            std::cmp::Ordering::Equal => Key::Enter,
            std::cmp::Ordering::Greater => Key::Down,
        })
    }
}

/// Returns the dialog on a screen, if there is one.
pub fn menu(profile: &Profile, text: &str) -> Option<Menu> {
    let lines: Vec<Line> = text.lines().map(Line::parse).collect();
    let plain = lines.iter().map(|line| line.plain.as_str()).collect::<Vec<_>>().join("\n");
    let place = profile.composer.as_ref().and_then(|rule| region(rule, &lines, &plain));
    let composer = place.as_ref().map(composer_end);
    let Phase::Dialog(dialog) = phase(profile, text, &plain, place.as_ref()) else { return None };
    let rule = profile.dialog.iter().find(|rule| rule.id == dialog.id && !rule.over && !rule.inside);
    let seen = rule.and_then(|rule| Some((rule, line_of_match(rule, &plain, composer)?)));
    let Some((rule, start)) = seen else {
        let text = vec![dialog.question.clone()];
        return Some(Menu { text, is_cut: false, dialog, rows: Vec::new(), cursor: None });
    };
    let lines: Vec<&str> = plain.lines().collect();
    let rows = rows(rule, &lines, start);
    let first = rows.first().map_or(lines.len(), |row| row.line);
    let top = top(rule, &lines, start);
    let text = lines.get(top.unwrap_or(0)..first).unwrap_or_default();
    let mut with_cursor = rows.iter().enumerate().filter(|(_, row)| row.has_cursor).map(|(index, _)| index);
    let cursor = with_cursor.next().filter(|_| with_cursor.next().is_none());
    Some(Menu {
        text: text.iter().map(|line| trimmed(line)).filter(|line| line.chars().any(char::is_alphanumeric)).collect(),
        is_cut: top.is_none(),
        cursor,
        rows: rows.into_iter().map(|row| row.shown).collect(),
        dialog,
    })
}

/// Returns the rows of a dialog as the user sees them, and whether exactly one is seen to have the cursor.
pub(super) fn rows_and_cursor(rule: &Dialog, plain: &str, composer: Option<usize>) -> (Vec<String>, bool) {
    let start = line_of_match(rule, plain, composer).filter(|_| !rule.over && !rule.inside);
    let rows = start.map(|start| rows(rule, &plain.lines().collect::<Vec<_>>(), start)).unwrap_or_default();
    let cursors = rows.iter().filter(|row| row.has_cursor).count();
    (rows.iter().map(|row| row.shown.to_string()).collect(), cursors == 1)
}

/// Returns the line where the dialog's pattern matches.
fn line_of_match(rule: &Dialog, plain: &str, composer: Option<usize>) -> Option<usize> {
    let found = rule.screen.regex().find_iter(plain).find(|found| is_shown(found, plain, composer))?;
    Some(row_of(&found, plain))
}

/// Returns the line where the dialog begins: its subject is above the question. `None` if that is above the screen.
fn top(rule: &Dialog, lines: &[&str], start: usize) -> Option<usize> {
    let Some(above) = &rule.above else { return Some(start) };
    let edge = lines.get(..=start).unwrap_or_default().iter().rposition(|line| above.is_match(line));
    edge.map(|edge| edge + 1)
}

fn is_beside_text(c: char) -> bool {
    c.is_whitespace() || BARS.contains(c)
}

pub(super) fn trimmed(line: &str) -> String {
    line.trim_matches(is_beside_text).to_owned()
}

/// Adds what is below a row up to `next`, the line of the next one: the rest of its label where the screen wraps it, then
/// what the agent says about it, which begins where the label does. What is further to the right is beside the dialog.
fn add_below(row: &mut Row, lines: &[&str], next: usize) {
    let columns = |line: &str| line.trim_end_matches(is_beside_text).chars().count();
    let width = lines.iter().map(|line| columns(line)).max().unwrap_or_default().saturating_sub(MARGIN);
    let mut room = width.saturating_sub(columns(lines[row.line]));
    let mut is_label = true;
    for line in lines.get(row.line + 1..next).unwrap_or_default() {
        let indent = line.chars().take_while(|c| is_beside_text(*c)).count();
        let text = trimmed(line);
        if text.is_empty() || indent < row.column {
            return;
        }
        // It was wrapped if its next word had no room on the line above.
        is_label &= text.split(' ').next().is_some_and(|word| word.chars().count() >= room);
        if is_label {
            row.shown.label = format!("{} {text}", row.shown.label);
            room = width.saturating_sub(columns(line));
        } else if indent == row.column {
            row.shown.about.push(text);
        } else {
            return;
        }
    }
}

struct Row {
    line: usize,
    /// Where its label begins, in characters from the left.
    column: usize,
    shown: MenuRow,
    has_cursor: bool,
}

/// Returns the rows that can be chosen, with what is below each of them.
fn rows(rule: &Dialog, lines: &[&str], start: usize) -> Vec<Row> {
    let mut rows = bare_rows(rule, lines, start);
    let next: Vec<usize> = rows.iter().skip(1).map(|row| row.line).chain([lines.len()]).collect();
    for (row, next) in rows.iter_mut().zip(next) {
        add_below(row, lines, next);
    }
    rows
}

/// Returns the rows that can be chosen, each with its own line alone. The subject may contain lines that look like rows: of numbered ones, the last
/// sequence starting from 1 counts, and if a number is missing, there are no rows.
fn bare_rows(rule: &Dialog, lines: &[&str], start: usize) -> Vec<Row> {
    let Some(pattern) = &rule.rows else { return Vec::new() };
    let row = |(line, text): (usize, &&str)| {
        let found = pattern.regex().captures(text)?;
        let label = found.name("label").or_else(|| found.name("button"))?;
        let column = text[..label.start()].chars().count();
        let label = label.as_str();
        let shown = MenuRow {
            number: found.name("number").and_then(|number| number.as_str().parse().ok()),
            label: label.split_whitespace().collect::<Vec<_>>().join(" "),
            about: Vec::new(),
            ticked: found.name("tick").map(|tick| !tick.as_str().trim().is_empty()),
            ends: rule.ends.as_ref().is_some_and(|ends| ends.is_match(label)),
            typed: rule.typed.as_ref().is_some_and(|typed| typed.is_match(label)),
        };
        let has_cursor = rule.cursor.as_ref().is_some_and(|cursor| cursor.is_match(text));
        Some((Row { line, column, shown, has_cursor }, found.name("button").is_some()))
    };
    let found: Vec<(Row, bool)> = lines.iter().enumerate().skip(start).filter_map(row).collect();
    if found.iter().all(|(row, _)| row.shown.number.is_none()) {
        let mut rows: Vec<Row> = found.into_iter().map(|(row, _)| row).collect();
        rows.iter_mut().enumerate().for_each(|(index, row)| row.shown.number = Some(index + 1));
        return rows;
    }
    let first = found.iter().rposition(|(row, _)| row.shown.number == Some(1)).unwrap_or(found.len());
    let last = found.iter().rposition(|(row, _)| row.shown.number.is_some()).unwrap_or_default();
    let (mut rows, mut numbers) = (Vec::<Row>::new(), 0);
    for (index, (row, is_button)) in found.into_iter().enumerate().skip(first) {
        if row.shown.number.is_some() {
            numbers += 1;
            if row.shown.number != Some(numbers) {
                return Vec::new();
            }
            rows.push(row);
        // The description of a row may be the same word: it is never behind a checkbox, nor behind the last number.
        } else if is_button && (index > last || rows.last().is_some_and(|row| row.shown.ticked.is_some())) {
            rows.push(row);
        }
    }
    rows
}
