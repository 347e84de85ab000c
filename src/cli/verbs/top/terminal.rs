//! The terminal while it is ours: alternate screen, single keys, bracketed paste, no cursor.

use std::io::{self, stdin, stdout};
use std::os::fd::AsFd;
use std::sync::Once;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::read;
use ratatui::Frame;
use ratatui::crossterm::cursor::Hide;
use ratatui::crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use ratatui::crossterm::execute;
use ratatui::crossterm::style::Print;
use ratatui::crossterm::terminal::{EnterAlternateScreen, enable_raw_mode};
use tokio::sync::mpsc;

use super::input::{Decoder, Input};
use crate::cli::render::terminal::Paint;

/// How long to wait for the rest of a sequence after its Escape, and for the rest of a paste that the terminal sends as
/// if it were typed. The user types more slowly, and does not notice the delay.
const REST: Duration = Duration::from_millis(30);

/// More bytes than this at once were not typed.
const BY_HAND: usize = 64;

/// How long to wait for the terminal's answers before it is given back; a slow line takes that long.
const ANSWERS: Duration = Duration::from_millis(500);

/// A status query and its answer. Once the answer is there, the terminal has answered all earlier queries.
const ASK: &str = "\x1b[5n";
const WELL: &[u8] = b"\x1b[0n";

/// Reports of buttons and the wheel, with positions as numbers (xterm's modes 1000 and 1006). crossterm would also
/// request each move, which would wake us for nothing.
const MOUSE: &str = "\x1b[?1000h\x1b[?1006h";
const NO_MOUSE: &str = "\x1b[?1006l\x1b[?1000l";

/// The terminal while it is ours. Dropping this gives it back.
pub struct FullScreen {
    terminal: ratatui::DefaultTerminal,
    /// Whether to draw without colours.
    pub(super) plain: bool,
    /// Whether clicks are reported to us instead of handled by the terminal.
    mouse: bool,
}

impl FullScreen {
    /// Takes the terminal on stdout. A panic hook gives it back before the panic is reported, even if the panic aborts.
    ///
    /// # Errors
    /// Stdout is not a terminal.
    pub fn enter() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let hook = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                let _ = stop_reports();
                hook(info);
            }));
        });
        let plain = !Paint::of_stdout().is_on();
        let screen = Self { terminal: ratatui::try_init()?, plain, mouse: true };
        start_reports(screen.mouse)?;
        Ok(screen)
    }

    pub(super) fn draw(&mut self, draws: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draws).map(drop)
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> io::Result<(u16, u16)> {
        self.terminal.size().map(|size| (size.width, size.height))
    }

    /// Takes the mouse, or leaves it to the terminal.
    pub(super) fn report_mouse(&mut self, ours: bool) {
        self.mouse = ours;
        // A terminal that is gone is noticed at the next read.
        let _ = if ours { start_reports(true) } else { execute!(stdout(), Print(NO_MOUSE)) };
    }

    /// Gives the terminal to another program.
    pub(super) fn lend(&mut self) -> io::Result<()> {
        stop_reports()?;
        drain();
        ratatui::try_restore()?;
        self.terminal.show_cursor()
    }

    /// Takes the terminal back. Answers to that program's queries that it did not wait for are not keys.
    pub(super) fn take_back(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        execute!(stdout(), EnterAlternateScreen, Hide)?;
        drain();
        start_reports(self.mouse)?;
        self.terminal.clear()
    }
}

impl Drop for FullScreen {
    fn drop(&mut self) {
        // After a panic the hooks have done this, and a second time would put the cursor back over the panic's report.
        if !std::thread::panicking() {
            // A terminal that is gone cannot be given back.
            let _ = stop_reports();
            drain();
            let _ = ratatui::try_restore();
        }
    }
}

/// Turns on bracketed paste, and reports of clicks if `mouse`.
fn start_reports(mouse: bool) -> io::Result<()> {
    execute!(stdout(), EnableBracketedPaste, Print(if mouse { MOUSE } else { "" }))
}

fn stop_reports() -> io::Result<()> {
    execute!(stdout(), Print(NO_MOUSE), DisableBracketedPaste)
}

/// Discards what the terminal has sent and still sends, including answers to earlier queries: the shell would take them
/// for a command.
fn drain() {
    let end = Instant::now() + ANSWERS;
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    if execute!(stdout(), Print(ASK)).is_err() {
        return;
    }
    while !seen.windows(WELL.len()).any(|bytes| bytes == WELL) {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || !is_readable(Some(left)).unwrap_or(false) {
            return;
        }
        match read(stdin().as_fd(), &mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(count) => seen.extend_from_slice(&buffer[..count]),
        }
    }
}

/// Waits until there is something to read, or the terminal is gone.
fn is_readable(within: Option<Duration>) -> io::Result<bool> {
    let stdin = stdin();
    let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    let within = within.map_or(PollTimeout::NONE, |within| PollTimeout::try_from(within).unwrap_or(PollTimeout::ZERO));
    loop {
        match poll(&mut fds, within) {
            Err(Errno::EINTR) => {}
            polled => return Ok(polled? > 0),
        }
    }
}

/// Reads what the user types, without polling while nothing is typed.
pub(super) struct Keyboard {
    readable: mpsc::UnboundedReceiver<()>,
    /// Lets the thread wait again after everything was read.
    read: SyncSender<()>,
    decoder: Decoder,
}

impl Keyboard {
    /// Starts a thread that waits for input and reads none of it, so that the terminal can be lent meanwhile.
    pub(super) fn new() -> Self {
        let (typed, readable) = mpsc::unbounded_channel();
        let (read, was_read) = sync_channel(1);
        std::thread::spawn(
            move || {
                while is_readable(None).is_ok() && typed.send(()).is_ok() && was_read.recv().is_ok() {}
            },
        );
        Self { readable, read, decoder: Decoder::default() }
    }

    /// Waits until something is typed, and returns everything typed by then. Returns `None` if the terminal is gone.
    /// Cancel safe: nothing is lost if the future is dropped.
    pub(super) async fn typed(&mut self) -> io::Result<Option<Vec<Input>>> {
        if self.readable.recv().await.is_none() {
            return Ok(None);
        }
        let mut buffer = [0; 4096];
        let mut total = 0;
        loop {
            let waits = self.decoder.has_begun() || total > BY_HAND;
            if !is_readable(Some(if waits { REST } else { Duration::ZERO }))? {
                break;
            }
            match read(stdin().as_fd(), &mut buffer) {
                Ok(0) | Err(Errno::EIO) => return Ok(None),
                Ok(count) => {
                    self.decoder.feed(&buffer[..count]);
                    total += count;
                }
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // If the thread is gone, so is its terminal, which the next read notices.
        let _ = self.read.try_send(());
        Ok(Some(self.decoder.take()))
    }
}
