//! What a terminal answers when nobody asks any more.

use std::io::{self, IsTerminal};
use std::time::Duration;

use nix::sys::termios::{self, LocalFlags, SetArg};

/// How long answers of a terminal may be on their way: over ssh some ten milliseconds.
const ON_THE_WAY: Duration = Duration::from_millis(100);

/// Throws away what arrives at our own terminal for 100 ms, unseen: a client that ended has asked the terminal what it is, and a
/// shell would run the answer (`ESC[?1;2c`) as a command. Blocks for that long; does nothing where stdin is no terminal.
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
        // Back, with all that has arrived thrown away.
        let _ = termios::tcsetattr(&stdin, SetArg::TCSAFLUSH, &before);
    }
}
