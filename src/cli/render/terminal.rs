//! What the terminal in front of us can show: how wide it is, whether colours mean anything on it, how wide a text is.

use std::borrow::Cow;
use std::io::{self, IsTerminal};
use std::time::Duration;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::policy::state::State;
use crate::policy::time::Timestamp;

/// What a colour says; the same colour for the same meaning everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hue {
    /// It runs, or did what it should.
    Good,
    /// It is at work.
    Busy,
    /// It waits for something.
    Waiting,
    /// Nothing is to be done about it.
    Quiet,
    /// It went wrong.
    Bad,
    /// Nobody knows.
    Odd,
    /// A heading, or what decides.
    Strong,
}

impl Hue {
    /// The colour of a state.
    pub(crate) const fn of(state: State) -> Self {
        match state {
            State::Awake => Self::Good,
            State::Busy => Self::Busy,
            State::Waiting | State::Starting | State::Held => Self::Waiting,
            State::Asleep | State::Stopped | State::Completed | State::NeverStarted => Self::Quiet,
            State::Crashed | State::Failed => Self::Bad,
            State::Lost | State::Unknown => Self::Odd,
        }
    }

    /// Only the eight colours that every terminal has, so that a person's own scheme applies.
    const fn sgr(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Busy => "36",
            Self::Waiting => "33",
            Self::Quiet => "2",
            Self::Bad => "1;31",
            Self::Odd => "35",
            Self::Strong => "1",
        }
    }
}

/// Whether to colour.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint(bool);

impl Paint {
    /// Colours where stdout is a terminal that knows them and nobody forbade them.
    ///
    /// # Source
    /// <https://no-color.org>: `NO_COLOR`, present and not empty, whatever its value.
    pub(crate) fn of_stdout() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self(io::stdout().is_terminal() && !set("NO_COLOR") && !dumb)
    }

    #[cfg(test)]
    pub(crate) const fn never() -> Self {
        Self(false)
    }

    pub(crate) fn paint(self, hue: Hue, text: &str) -> String {
        if self.0 && !text.is_empty() { format!("\x1b[{}m{text}\x1b[0m", hue.sgr()) } else { text.to_owned() }
    }
}

/// Columns of the terminal on stdout; none where it is no terminal, and then nothing is cut.
pub(crate) fn columns() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0)).filter(|width| *width > 0)
}

/// Rows of the terminal on stdout; none where it is no terminal.
pub(crate) fn rows() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(_, height)| usize::from(height.0)).filter(|rows| *rows > 0)
}

/// Columns that a text takes; control characters must be out of it.
pub(crate) fn width(text: &str) -> usize {
    // Most texts are ASCII, and a table asks for the width of ten thousand.
    if text.is_ascii() { text.len() } else { UnicodeWidthStr::width(text) }
}

/// The beginning of a text in at most `most` columns, with an ellipsis where something is missing.
pub(crate) fn cut(text: &str, most: usize) -> Cow<'_, str> {
    if width(text) <= most {
        return Cow::Borrowed(text);
    }
    let mut kept = fitting(text.chars(), most.saturating_sub(1));
    kept.extend((most > 0).then_some('…'));
    Cow::Owned(kept)
}

/// The end of a text in at most `most` columns: of a path, the end says more than the beginning.
pub(crate) fn cut_front(text: &str, most: usize) -> Cow<'_, str> {
    if width(text) <= most {
        return Cow::Borrowed(text);
    }
    let backwards = fitting(text.chars().rev(), most.saturating_sub(1));
    (most > 0).then_some('…').into_iter().chain(backwards.chars().rev()).collect()
}

fn fitting(chars: impl Iterator<Item = char>, most: usize) -> String {
    let mut taken = 0;
    chars
        .take_while(|c| {
            taken += c.width().unwrap_or(0);
            taken <= most
        })
        .collect()
}

/// A length of time in one unit, as a person would say it: `12s`, `5m`, `3h`, `4d`.
pub(crate) fn rough(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        // Up to two days in hours: "yesterday evening" is told apart from "yesterday morning".
        3600..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A time beside now: `5m ago`, `in 30s`.
pub(crate) fn relative(at: Timestamp, now: Timestamp) -> String {
    if at > now { format!("in {}", rough(at.since(now))) } else { format!("{} ago", rough(now.since(at))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_fits_in_columns_and_not_in_characters() {
        assert_eq!(cut("日本語のトピック", 7), "日本語…");
        assert_eq!(cut("日本語のトピック", 6), "日本…");
        assert_eq!(cut_front("/home/me/src/api", 8), "…src/api");
        assert_eq!((&*cut("short", 5), &*cut("x", 0)), ("short", ""));
        for most in 0..20 {
            assert!(width(&cut("a日b本c語d", most)) <= most && width(&cut_front("a日b本c語d", most)) <= most);
        }
    }

    #[test]
    fn spans_have_one_unit_and_both_directions() {
        let spans = [0, 59, 60, 3599, 3600, 172_799, 172_800].map(|s| rough(Duration::from_secs(s)));
        assert_eq!(spans, ["0s", "59s", "1m", "59m", "1h", "47h", "2d"]);
        let now = Timestamp::from_ms(100_000);
        assert_eq!(relative(Timestamp::from_ms(40_000), now), "1m ago");
        assert_eq!(relative(Timestamp::from_ms(130_000), now), "in 30s");
    }
}
