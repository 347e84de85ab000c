//! What the terminal can show: its width, whether to use colours, and the width of a text.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::policy::state::State;
use crate::policy::time::Timestamp;

/// The meaning of a colour; the same meaning has the same colour everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hue {
    /// Running, or ended as it should.
    Good,
    /// At work.
    Busy,
    /// Waiting for something.
    Waiting,
    /// Nothing needs to be done.
    Quiet,
    /// Something went wrong.
    Bad,
    /// Unknown.
    Odd,
    /// A heading, or the row that decides.
    Strong,
}

impl Hue {
    /// Returns the colour of a state.
    pub(crate) const fn of(state: State) -> Self {
        match state {
            State::Awake => Self::Good,
            State::Busy => Self::Busy,
            State::Waiting | State::Limited | State::Stalled | State::Starting | State::Held => Self::Waiting,
            State::Asleep | State::Stopped | State::Completed | State::NeverStarted => Self::Quiet,
            State::Crashed | State::Failed => Self::Bad,
            State::Lost | State::Unknown => Self::Odd,
        }
    }

    /// Uses only the eight colours that every terminal has, so that the user's own colour scheme applies.
    const fn style(self) -> Style {
        match self {
            Self::Good => AnsiColor::Green.on_default(),
            Self::Busy => AnsiColor::Cyan.on_default(),
            Self::Waiting => AnsiColor::Yellow.on_default(),
            Self::Quiet => Style::new().dimmed(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Odd => AnsiColor::Magenta.on_default(),
            Self::Strong => Style::new().bold(),
        }
    }
}

/// Applies `--color` to everything that this process prints from now on.
pub(crate) fn choose_colors(choice: clap::ColorChoice) {
    match choice {
        clap::ColorChoice::Auto => ColorChoice::Auto,
        clap::ColorChoice::Always => ColorChoice::Always,
        clap::ColorChoice::Never => ColorChoice::Never,
    }
    .write_global();
}

/// Whether to use colours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint(bool);

impl Paint {
    /// Colours if stdout is a terminal that supports them, unless `--color` or `NO_COLOR` (<https://no-color.org>) says
    /// otherwise.
    pub(crate) fn of_stdout() -> Self {
        Self(AutoStream::choice(&io::stdout()) != ColorChoice::Never)
    }

    /// Whether to use colours.
    #[cfg(feature = "top")]
    pub(crate) const fn is_on(self) -> bool {
        self.0
    }

    #[cfg(test)]
    pub(crate) const fn never() -> Self {
        Self(false)
    }

    pub(crate) fn paint(self, hue: Hue, text: &str) -> String {
        let style = hue.style();
        if self.0 && !text.is_empty() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// Returns the columns of the terminal on stdout; `None` if it is not a terminal, and then nothing is cut.
pub(crate) fn columns() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0)).filter(|width| *width > 0)
}

/// Returns the rows of the terminal on stdout; `None` if it is not a terminal.
pub(crate) fn rows() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(_, height)| usize::from(height.0)).filter(|rows| *rows > 0)
}

/// Breaks a text between words into lines of at most `room` columns; returns at least one line.
pub(crate) fn wrap(text: &str, room: Option<usize>) -> Vec<String> {
    let Some(room) = room else { return vec![text.to_owned()] };
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("it begins with one line");
        if !last.is_empty() && width(last) + 1 + width(word) > room {
            lines.push(word.to_owned());
            continue;
        }
        if !last.is_empty() {
            last.push(' ');
        }
        last.push_str(word);
    }
    lines
}

/// Returns the columns that a text takes; it must not contain control characters.
pub(crate) fn width(text: &str) -> usize {
    // Most texts are ASCII, and a table measures ten thousand of them.
    if text.is_ascii() { text.len() } else { UnicodeWidthStr::width(text) }
}

/// Returns the beginning of a text in at most `most` columns, with an ellipsis if something is missing.
pub(crate) fn cut(text: &str, most: usize) -> Cow<'_, str> {
    if width(text) <= most {
        return Cow::Borrowed(text);
    }
    let mut kept = fitting(text.chars(), most.saturating_sub(1));
    kept.extend((most > 0).then_some('…'));
    Cow::Owned(kept)
}

/// Returns the end of a text in at most `most` columns: the end of a path says more than its beginning.
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

/// Formats a duration in one rounded-down unit: `12s`, `5m`, `3h`, `4d`.
pub(crate) fn rough(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        // Hours up to two days, to distinguish "yesterday evening" from "yesterday morning".
        3600..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Formats a time relative to now: `5m ago`, `in 30s`.
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
