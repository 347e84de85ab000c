//! A turn that takes time.

use std::path::Path;
use std::time::{Duration, Instant};

/// A turn that goes on.
pub(super) struct Turn {
    pub(super) text: String,
    pub(super) ends: Ends,
}

/// When a turn is over.
pub(super) enum Ends {
    At(Instant),
    /// Once this file exists.
    With(String),
}

impl Ends {
    /// What `SLOW <seconds>` or `UNTIL <file>` in a message says; `None` if the turn takes no time.
    pub(super) fn of(text: &str) -> Option<Self> {
        let word_after = |mark: &str| text.split_whitespace().skip_while(|word| *word != mark).nth(1);
        if let Some(file) = word_after("UNTIL") {
            return Some(Self::With(file.to_owned()));
        }
        let seconds = word_after("SLOW")?.parse().ok().filter(|seconds: &f64| (0.0..=3600.0).contains(seconds))?;
        Some(Self::At(Instant::now() + Duration::from_secs_f64(seconds)))
    }

    pub(super) fn have_come(&self) -> bool {
        match self {
            Self::At(time) => Instant::now() >= *time,
            Self::With(file) => Path::new(file).exists(),
        }
    }
}
