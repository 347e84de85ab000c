//! Progress of a verb that waits, shown on a terminal after a second and cleared before anything else is printed.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::Duration;

use crate::cli::render::output::{self, before_stderr, printable};
use crate::engine::Progress;

/// Shorter waits are not shown.
const QUIET: Duration = Duration::from_secs(1);

/// The line that is on the terminal now. There is one terminal, whoever shows progress there.
static SHOWN: Mutex<String> = Mutex::new(String::new());

/// Erases the line, if there is one. Whatever prints calls this first.
pub(crate) fn clear() {
    show(String::new());
}

fn show(text: String) {
    let mut shown = SHOWN.lock().expect("no holder of this lock panics");
    if *shown != text {
        before_stderr();
        // Return to the beginning of the line and erase it. A terminal that is gone is not a reason to fail.
        let _ = write!(io::stderr(), "\r\x1b[K{text}");
        *shown = text;
    }
}

/// Shows progress on stderr if that is a terminal.
pub(crate) struct Terminal {
    is_one: bool,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        Self { is_one: io::stderr().is_terminal() }
    }
}

impl Progress for Terminal {
    fn waiting(&self, what: &str, elapsed: Duration, limit: Duration) {
        if self.is_one && elapsed >= QUIET {
            let what = printable(what);
            show(format!("waiting for {what}: {} s of {} s", elapsed.as_secs(), limit.as_secs()));
        }
    }

    fn notice(&self, text: &str) {
        output::note(text);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        clear();
    }
}
