//! The terminal: raw mode, and a live area at the bottom of the printed lines.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::process::{Command, Stdio};

use nix::sys::termios::{self, SetArg, Termios};

/// A terminal in raw mode with bracketed paste; dropping this restores it.
pub(crate) struct Screen {
    before: Termios,
    columns: usize,
    /// Rows of the live area above the cursor: how far to go up to redraw it.
    above: usize,
}

/// The position of the cursor in the live area.
pub(crate) struct Cursor {
    pub(crate) row: usize,
    pub(crate) column: usize,
}

impl Screen {
    /// Takes over the terminal.
    pub(crate) fn open() -> io::Result<Self> {
        let stdin = io::stdin();
        if !stdin.is_terminal() || !io::stdout().is_terminal() {
            return Err(io::Error::other("stdin and stdout must be a terminal"));
        }
        let before = termios::tcgetattr(&stdin)?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        termios::tcsetattr(&stdin, SetArg::TCSADRAIN, &raw)?;
        // Made before anything else can fail, because its drop restores the terminal.
        let screen = Self { before, columns: columns(), above: 0 };
        write("\x1b[?2004h")?;
        Ok(screen)
    }

    /// Columns of the terminal.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// Reads the terminal's size after a change.
    pub(crate) fn measure(&mut self) {
        self.columns = columns();
    }

    /// Prints `lines` permanently above the live area, and redraws that. In one write, so that it is never seen half
    /// drawn.
    pub(crate) fn draw(&mut self, lines: &[String], live: &[String], cursor: &Cursor) -> io::Result<()> {
        let mut text = self.to_top();
        for line in lines {
            let _ = write!(text, "{line}\r\n");
        }
        text.push_str(&live.join("\r\n"));
        let back = live.len().saturating_sub(1 + cursor.row);
        if back > 0 {
            let _ = write!(text, "\x1b[{back}A");
        }
        let _ = write!(text, "\r\x1b[{}G", cursor.column + 1);
        self.above = cursor.row;
        write(&text)
    }

    /// Removes the live area and leaves `line` in its place.
    pub(crate) fn finish(&mut self, line: &str) -> io::Result<()> {
        let mut text = self.to_top();
        if !line.is_empty() {
            let _ = write!(text, "{line}\r\n");
        }
        self.above = 0;
        write(&text)
    }

    /// Moves to the first row of the live area, and erases everything from there on.
    fn to_top(&self) -> String {
        let up = if self.above > 0 { format!("\x1b[{}A", self.above) } else { String::new() };
        format!("\r{up}\x1b[J")
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The terminal may be gone; then there is nothing to restore.
        let _ = write("\x1b[?2004l");
        let _ = termios::tcsetattr(io::stdin(), SetArg::TCSANOW, &self.before);
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Runs `stty`, because the ioctl behind it takes `unsafe`, which an example should not need.
fn columns() -> usize {
    let output = Command::new("stty").arg("size").stdin(Stdio::inherit()).stderr(Stdio::null()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|columns| columns.parse().ok()).filter(|columns| *columns > 0).unwrap_or(80)
}
