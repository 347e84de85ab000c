//! Interprets the text of a pane by the rules of the agent's profile.
//!
//! These are pure functions: the caller has just captured the visible screen, with its colours (SGR sequences). They
//! report what the screen shows and press nothing.

use crate::agent::{ComposerRule, Dialog, DialogKind, Pattern, Profile, letters};
use crate::runtime::Key;

mod cells;
mod menu;
mod overlay;

use cells::Line;
pub use cells::{coloured, misleads, plain, printable};
pub use menu::{Menu, MenuRow, menu};

/// The interpretation of a screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// What the agent is doing.
    pub phase: Phase,
    /// The content of the input field.
    pub composer: Composer,
    /// Whether a message that was sent waits for the current turn to end.
    pub queued: bool,
    /// Whether a list of completions is open, from which Enter would choose.
    pub popup: bool,
    /// A usage limit has stopped it, and this is what it says of its end.
    pub limited: Option<String>,
}

/// What the agent is doing, according to its screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing that the profile recognises: the agent is starting, or shows something unknown.
    Starting,
    /// A turn is in progress.
    Busy,
    /// It is waiting for a message.
    Ready,
    /// It asks a question first.
    Dialog(DialogView),
}

/// A question on the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialogView {
    /// The id of the profile's rule that recognised it; a peer's spec accepts it by this id.
    pub id: String,
    /// What it needs from the user.
    pub kind: DialogKind,
    /// The question, on one line.
    pub question: String,
    /// Whether only a person may answer it.
    pub needs_person: bool,
    /// The row that the profile would choose, if it names one.
    pub answer: Option<String>,
    /// The screen line of that row.
    pub answer_line: Option<usize>,
    /// The screen line of the cursor.
    pub selected_line: Option<usize>,
    /// Its rows, as the user sees them; empty if the profile has no rule for them.
    pub rows: Vec<String>,
    /// Whether the screen shows its rows and which one has the cursor, so that a program can choose the row that the user
    /// names.
    pub answerable: bool,
}

/// The content of the input field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Composer {
    /// There is no input field on the screen, or the profile has no rule for one.
    Hidden,
    /// Nothing, or a suggestion by the agent.
    Empty,
    /// Text that was typed or pasted; a long paste may show as the agent's placeholder.
    Holds(String),
}

/// Interprets a screen. `text` is the visible screen, one row per line, with or without SGR sequences.
pub fn read(profile: &Profile, text: &str) -> View {
    let lines: Vec<Line> = text.lines().map(Line::parse).collect();
    let plain = lines.iter().map(|line| line.plain.as_str()).collect::<Vec<_>>().join("\n");
    let place = profile.composer.as_ref().and_then(|rule| Some((rule, region(rule, &lines, &plain)?)));
    let phase = phase(profile, text, &plain, place.as_ref().map(|(_, region)| region));
    // The rows of a menu may look like a composer that holds text.
    let place = place.filter(|_| !matches!(phase, Phase::Dialog(_)));
    let composer = place.map_or(Composer::Hidden, |(rule, region)| composer(rule, &region));
    let queued = profile.message.queued.as_ref().is_some_and(|queued| queued.is_match(&plain));
    let popup = profile.message.popup.as_ref().is_some_and(|popup| popup.is_match(&plain));
    View { phase, composer, queued, popup, limited: limited(profile, &plain) }
}

fn limited(profile: &Profile, plain: &str) -> Option<String> {
    let found = profile.limited.iter().find_map(|pattern| pattern.regex().captures(plain))?;
    let told = found.name("until").or_else(|| found.get(0))?;
    Some(told.as_str().split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Returns the row after the composer's last one.
fn composer_end(region: &Region<'_>) -> usize {
    region.top + region.lines.len()
}

fn phase(profile: &Profile, text: &str, plain: &str, region: Option<&Region<'_>>) -> Phase {
    let over = if profile.dialog.iter().any(|dialog| dialog.over) { overlay::boxes(text) } else { Vec::new() };
    let shown = |dialog: &Dialog| match (dialog.over, dialog.inside) {
        (true, _) => over.iter().find_map(|text| seen(dialog, text, None)),
        (false, true) => seen(dialog, &region.and_then(drawn_inside)?, None),
        (false, false) => seen(dialog, plain, region.map(composer_end)),
    };
    if let Some(dialog) = profile.dialog.iter().find_map(shown) {
        return Phase::Dialog(dialog);
    }
    if profile.busy.iter().any(|pattern| pattern.is_match(plain)) {
        return Phase::Busy;
    }
    // A program without patterns is ready as soon as it runs.
    if profile.ready.screen.iter().all(|pattern| pattern.is_match(plain)) { Phase::Ready } else { Phase::Starting }
}

/// Returns the text between the edges of a composer, if the agent has drawn something of its own there.
fn drawn_inside(region: &Region<'_>) -> Option<String> {
    let text = || region.lines.iter().map(|line| line.plain.as_str()).collect::<Vec<_>>().join("\n");
    region.lines.iter().any(|line| line.is_coloured).then(text)
}

/// Matches a dialog, which takes the place of the composer. Text that only looks like a dialog, in an answer, a
/// quotation or a message, has the composer below it or is inside it (`composer` is the row after its last one). A
/// match that reaches the end of the screen always counts, because such text never does.
fn seen(dialog: &Dialog, plain: &str, composer: Option<usize>) -> Option<DialogView> {
    let shown = |found: &regex::Captures<'_>| found.get(0).is_some_and(|whole| is_shown(&whole, plain, composer));
    let found = dialog.screen.regex().captures_iter(plain).find(shown)?;
    // What is above it may look like its rows: the user's earlier messages begin like the one with the cursor.
    let start = found.get(0).map_or(0, |whole| row_of(&whole, plain));
    let question = match (&dialog.question, found.get(1), found.get(0)) {
        (Some(question), ..) => question.clone(),
        (None, Some(part), _) | (None, None, Some(part)) => part.as_str().to_owned(),
        (None, None, None) => String::new(),
    };
    // An agent may draw a bar beside each line of a long one.
    let question = question.lines().map(menu::trimmed).collect::<Vec<_>>().join(" ");
    let (rows, answerable) = menu::rows_and_cursor(dialog, plain, composer);
    let line_of = |is: &dyn Fn(&str) -> bool| plain.lines().skip(start).position(is).map(|line| start + line);
    Some(DialogView {
        id: dialog.id.clone(),
        kind: dialog.kind(),
        question: question.split_whitespace().collect::<Vec<_>>().join(" "),
        needs_person: dialog.needs_person,
        answer: dialog.answer.clone(),
        answer_line: dialog.answer.as_ref().and_then(|answer| line_of(&|line| row(dialog, line).starts_with(answer))),
        selected_line: dialog.cursor.as_ref().and_then(|cursor| line_of(&|line| cursor.is_match(line))),
        rows,
        answerable,
    })
}

fn is_shown(whole: &regex::Match<'_>, plain: &str, composer: Option<usize>) -> bool {
    whole.end() >= plain.trim_end().len() || composer.is_none_or(|composer| composer <= row_of(whole, plain))
}

/// Returns the line on which a match begins.
fn row_of(whole: &regex::Match<'_>, plain: &str) -> usize {
    plain.get(..whole.start()).unwrap_or_default().matches('\n').count()
}

/// Returns the label of a row, with or without the cursor.
fn row<'a>(dialog: &Dialog, line: &'a str) -> &'a str {
    let cursor = dialog.cursor.as_ref().and_then(|cursor| cursor.regex().find(line));
    line.get(cursor.map_or(0, |cursor| cursor.end())..).unwrap_or(line).trim()
}

/// Returns the key that brings a dialog one step closer to the profile's answer. Press it, capture again, and call this
/// again.
///
/// Enter only if the wanted row visibly has the cursor: a dialog's default differs between versions of an agent, and a
/// wrong Enter ends the agent or grants an unwanted permission. `None` if only a person may answer, or if the row or
/// the cursor is not on the screen (yet).
pub fn next_key(dialog: &DialogView) -> Option<Key> {
    if dialog.needs_person {
        return None;
    }
    Some(match dialog.answer_line?.cmp(&dialog.selected_line?) {
        std::cmp::Ordering::Less => Key::Up,
        std::cmp::Ordering::Equal => Key::Enter,
        std::cmp::Ordering::Greater => Key::Down,
    })
}

/// Returns the last `n` lines with content, as plain text, oldest first, for messages to the user.
pub fn last_lines(text: &str, n: usize) -> Vec<String> {
    // A rule across the screen says nothing, and could be all that a message shows of a full-screen program.
    let shows = |line: &String| line.chars().any(char::is_alphanumeric);
    let lines: Vec<String> = text.lines().map(|line| plain(line).trim().to_owned()).filter(shows).collect();
    lines[lines.len().saturating_sub(n)..].to_vec()
}

fn composer(rule: &ComposerRule, region: &Region<'_>) -> Composer {
    let content = |(row, line): (usize, &Line)| {
        let prompt = if row == 0 && rule.first.is_some() { rule.first.as_ref() } else { rule.rest.as_ref() };
        line.after(prompt, region.width)
    };
    let text = region.lines.iter().enumerate().map(content).collect::<Vec<_>>().join("\n");
    let text = text.trim();
    // Invisible marks stay in a terminal's cells when an agent draws over them (opencode 1.18.33 in tmux).
    if letters(text).is_empty() || rule.ghost.as_ref().is_some_and(|ghost| starts(ghost, text)) {
        Composer::Empty
    } else {
        Composer::Holds(text.to_owned())
    }
}

/// The position of the composer on a screen.
struct Region<'a> {
    /// Its first row.
    top: usize,
    /// Its rows.
    lines: &'a [Line],
    /// Its width in columns, if its lower edge is drawn and shows one: another part of the screen may be beside it.
    width: Option<usize>,
}

/// Finds the composer. Its lowest occurrence counts, because messages sent earlier are shown above in a similar style.
fn region<'a>(rule: &ComposerRule, lines: &'a [Line], plain: &str) -> Option<Region<'a>> {
    let below = |row: usize| rule.below.regex().find(from_line(plain, row)).filter(|found| found.start() == 0);
    let is = |pattern: &Pattern, row: usize| lines.get(row).is_some_and(|line| starts(pattern, &line.plain));
    let is_drawn = |edge: &&str| edge.trim_start().starts_with(|c| ('\u{2500}'..='\u{259f}').contains(&c));
    let (top, bottom) = match (&rule.first, &rule.above) {
        (Some(first), above) => {
            let follows = |row: usize| match above {
                Some(above) => row.checked_sub(1).is_some_and(|row| is(above, row)),
                None => true,
            };
            let top = (0..lines.len()).rev().find(|&row| is(first, row) && follows(row))?;
            (top, (top + 1..lines.len()).find(|&row| below(row).is_some()).unwrap_or(lines.len()))
        }
        (None, Some(above)) => {
            let bottom = (0..lines.len()).rev().find(|&row| below(row).is_some())?;
            // A line that the user typed is not exactly as long as the composer is wide.
            let edge = below(bottom).map(|edge| edge.as_str()).filter(is_drawn).map(|edge| edge.chars().count());
            let is_upper = |row: usize| {
                let line = lines.get(row).map_or("", |line| line.plain.as_str());
                is(above, row)
                    && (line.is_empty()
                        || line.contains(|c| c != '─')
                        || edge.is_none_or(|edge| edge == line.chars().count()))
            };
            ((0..bottom).rev().find(|&row| is_upper(row))? + 1, bottom)
        }
        (None, None) => return None,
    };
    let edge = below(bottom).and_then(|found| found.as_str().lines().last()).filter(is_drawn);
    Some(Region { top, lines: lines.get(top..bottom)?, width: edge.map(|edge| edge.chars().count()) })
}

/// Returns `true` if `pattern` matches at the beginning of `text`.
fn starts(pattern: &Pattern, text: &str) -> bool {
    pattern.regex().find(text).is_some_and(|found| found.start() == 0)
}

/// Returns the text from line `row` on.
fn from_line(text: &str, row: usize) -> &str {
    let start = text.split_inclusive('\n').take(row).map(str::len).sum();
    text.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests;
