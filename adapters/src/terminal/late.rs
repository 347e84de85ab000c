//! Answers of the terminal that arrive after their reader has exited.

use std::io::{self, IsTerminal};
use std::time::Duration;

use nix::sys::termios::{self, LocalFlags, SetArg};

/// How long an answer of the terminal may take to arrive: over ssh some ten milliseconds.
const ON_THE_WAY: Duration = Duration::from_millis(100);

/// Discards whatever arrives at our own terminal for 100 ms, without echo. A client that has ended may have queried the
/// terminal's type, and a shell would run the answer (`ESC[?1;2c`) as a command. Blocks for that long; does nothing if
/// stdin is not a terminal.
pub fn drop_late_answers() {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return;
    }
    let Ok(before) = termios::tcgetattr(&stdin) else { return };
    let mut silent = before.clone();
    silent.local_flags.remove(LocalFlags::ECHO | LocalFlags::ICANON);
    if termios::tcsetattr(&stdin, SetArg::TCSANOW, &silent).is_ok() {
        std::thread::sleep(ON_THE_WAY);
        // Restores the settings and discards all that has arrived.
        let _ = termios::tcsetattr(&stdin, SetArg::TCSAFLUSH, &before);
    }
}
