//! Progress of a verb that waits, shown on a terminal after a second and cleared when the wait is over.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::Duration;

use crate::cli::render::output::{self, before_stderr, printable};
use crate::engine::Progress;

/// Shorter waits are not shown.
const QUIET: Duration = Duration::from_secs(1);

/// Shows progress on stderr if that is a terminal.
pub(crate) struct Terminal {
    shown: Option<Mutex<String>>,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        Self { shown: io::stderr().is_terminal().then(Mutex::default) }
    }

    fn show(&self, text: String) {
        let Some(shown) = &self.shown else { return };
        let mut shown = shown.lock().expect("no holder of this lock panics");
        if *shown != text {
            before_stderr();
            // Return to the beginning of the line and erase it. A terminal that is gone is not a reason to fail.
            let _ = write!(io::stderr(), "\r\x1b[K{text}");
            *shown = text;
        }
    }
}

impl Progress for Terminal {
    fn waiting(&self, what: &str, elapsed: Duration, limit: Duration) {
        if elapsed >= QUIET {
            let what = printable(what);
            self.show(format!("waiting for {what}: {} s of {} s", elapsed.as_secs(), limit.as_secs()));
        }
    }

    fn notice(&self, text: &str) {
        self.show(String::new());
        output::note(text);
    }

    fn settled(&self) {
        self.show(String::new());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.settled();
    }
}
