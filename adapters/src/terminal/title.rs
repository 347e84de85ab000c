//! The title of the user's own terminal.

use std::io::{self, IsTerminal, Write};

/// Keeps the title of the terminal on stdout: it is as it was again when this is dropped.
#[derive(Debug)]
#[must_use = "it keeps the title until it is dropped"]
pub struct KeptTitle(());

impl KeptTitle {
    /// Lets the terminal remember its title (XTWINOPS 22; terminals that have no such thing ignore it). `None` if stdout is
    /// not a terminal.
    ///
    /// # Source
    /// zellij 0.45.1 sets the title for as long as a client is attached, and leaves it so. tmux 3.3a and xterm keep a stack
    /// of titles.
    pub fn of_stdout() -> Option<Self> {
        say(b"\x1b[22;0t").then_some(Self(()))
    }
}

impl Drop for KeptTitle {
    fn drop(&mut self) {
        say(b"\x1b[23;0t");
    }
}

/// Writes to the terminal on stdout, if there is one, and returns whether there is.
fn say(sequence: &[u8]) -> bool {
    let mut out = io::stdout();
    // A terminal that is gone has no title to keep.
    out.is_terminal() && out.write_all(sequence).and_then(|()| out.flush()).is_ok()
}
