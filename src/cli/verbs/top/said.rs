//! The message in the last lines: what is being done, or what became of it.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::UiEvent;
use crate::engine::Progress;

/// How long a message is shown that needs no attention; one about a failure stays until a key is pressed.
pub(super) const PASSES: Duration = Duration::from_secs(10);
/// How long a message must have been readable before a key takes it away: that key may have been on its way already.
pub(super) const READ: Duration = Duration::from_secs(1);

/// The last message; empty if there is none.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    text: String,
    passes: bool,
    /// Counts the messages, so that the same one again is a new one.
    number: u64,
}

impl Said {
    /// Says what went well, or what a key did. It goes by itself.
    pub(super) fn pass(&mut self, text: impl Into<String>) {
        *self = Self { text: text.into(), passes: true, number: self.number + 1 };
    }

    /// Says what went wrong, or what is under way.
    pub(super) fn stay(&mut self, text: impl Into<String>) {
        *self = Self { text: text.into(), passes: false, number: self.number + 1 };
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
    }

    /// Takes the text away, to say it elsewhere.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(super) const fn passes(&self) -> bool {
        self.passes && !self.is_empty()
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }
}

/// What is shown at one place, by its number, and since when.
pub(super) struct Shown {
    number: Option<u64>,
    since: Instant,
}

impl Shown {
    pub(super) const fn nothing(now: Instant) -> Self {
        Self { number: None, since: now }
    }

    /// Takes what was drawn.
    pub(super) fn see(&mut self, number: Option<u64>, now: Instant) {
        if self.number != number {
            *self = Self { number, since: now };
        }
    }

    /// Whether it has been there for this time.
    pub(super) fn lasts(&self, time: Duration, now: Instant) -> bool {
        self.number.is_some() && now.duration_since(self.since) >= time
    }

    /// When it will have been there for this time.
    pub(super) fn until(&self, time: Duration) -> Option<Instant> {
        self.number.map(|_| self.since + time)
    }
}

/// Shows progress in the last line of the screen, each text once.
pub(super) struct StatusLine {
    tell: mpsc::UnboundedSender<UiEvent>,
    last: Mutex<String>,
}

impl StatusLine {
    pub(super) fn new(tell: mpsc::UnboundedSender<UiEvent>) -> Self {
        Self { tell, last: Mutex::default() }
    }

    fn say(&self, text: String) {
        let mut last = self.last.lock().expect("no holder of this lock panics");
        if *last != text {
            last.clone_from(&text);
            // If the receiver is closed, the view is gone.
            let _ = self.tell.send(UiEvent::Progress(text));
        }
    }
}

impl Progress for StatusLine {
    fn waiting(&self, what: &str, elapsed: Duration, limit: Duration) {
        if elapsed >= Duration::from_secs(1) {
            self.say(format!("waiting for {what}: {} s of {} s", elapsed.as_secs(), limit.as_secs()));
        }
    }

    fn notice(&self, text: &str) {
        self.say(text.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_has_its_time_from_when_it_came() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut shown = Shown::nothing(start);
        assert!(!shown.lasts(Duration::ZERO, after(5)) && shown.until(PASSES).is_none());
        shown.see(Some(1), after(5));
        shown.see(Some(1), after(6));
        assert!(shown.lasts(READ, after(6)) && !shown.lasts(READ, after(5)));
        assert_eq!(shown.until(PASSES), Some(after(15)));
        // The same words again, said by another operation.
        shown.see(Some(2), after(7));
        assert_eq!(shown.until(PASSES), Some(after(17)));
        // Nobody reads what a question covers.
        shown.see(None, after(8));
        shown.see(Some(2), after(9));
        assert_eq!(shown.until(PASSES), Some(after(19)));
    }

    #[test]
    fn only_what_went_well_goes_by_itself() {
        let mut said = Said::default();
        assert!(said.is_empty() && !said.passes());
        said.pass("api: stopped");
        assert!(said.passes());
        said.stay("cannot stop api");
        assert!(!said.passes() && said.number() == 2);
        assert_eq!(said.take(), "cannot stop api");
        assert!(said.is_empty());
    }
}
