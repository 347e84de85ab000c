//! The terminal of another process: its size, and whether the program has read its input. Everything comes from the
//! kernel, and no process is started. [`variables`] knows which environment variables belong to a terminal.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use nix::libc;
use serde::{Deserialize, Serialize};

mod late;
mod title;
pub mod variables;

pub use late::drop_late_answers;
pub use title::KeptTitle;

nix::ioctl_read_bad!(
    /// Unread bytes in a terminal's input queue: `FIONREAD`, tty_ioctl(4).
    fionread, libc::FIONREAD, libc::c_int);
nix::ioctl_read_bad!(
    /// Rows and columns of a terminal: `TIOCGWINSZ`, tty_ioctl(4).
    window_size, libc::TIOCGWINSZ, libc::winsize);
nix::ioctl_write_ptr_bad!(
    /// Sets rows and columns of a terminal and notifies its programs: `TIOCSWINSZ`, tty_ioctl(4).
    set_window_size, libc::TIOCSWINSZ, libc::winsize);

/// How much input a program has yet to read, and how much it has read in total.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    /// Bytes waiting in the terminal's input queue; in line mode, those of finished lines.
    pub unread: u64,
    /// Bytes read so far, from anywhere, by the program and its children, if the kernel reports it (Linux).
    pub read: Option<u64>,
    /// Whether it reads key by key and not line by line (termios(3), `ICANON` is off).
    pub by_key: bool,
}

impl Input {
    /// Returns how many bytes were read since `before`.
    pub fn bytes_read_since(self, before: Self) -> Option<u64> {
        self.read.zip(before.read).map(|(now, before)| now.saturating_sub(before))
    }

    /// Returns `true` if the program has switched its terminal to reading key by key since `before`. Earlier input may
    /// have been discarded then (`TCSAFLUSH`), and an empty queue proves nothing.
    pub const fn switched_to_keys_since(self, before: Self) -> bool {
        self.by_key && !before.by_key
    }
}

/// A terminal whose reads are detected by its access time.
#[derive(Debug)]
pub struct Reads {
    terminal: std::fs::File,
    before: std::time::SystemTime,
}

/// How far the access time is set back: twice the 8 s by which it must differ before the kernel notes a read.
///
/// # Source
/// Linux `tty_update_time` in `drivers/tty/tty_io.c`, 2.6 to 6.18; seen with 6.18. A queue that is discarded
/// (`tcflush`) leaves that time as it is.
const READ_NOTED: std::time::Duration = std::time::Duration::from_secs(16);

impl Reads {
    /// Starts to observe the terminal on the stdin of process `pid`. Sets its access time back by some seconds, so that
    /// the next read updates it.
    ///
    /// # Errors
    /// As [`input`]; or the terminal belongs to another user.
    pub fn of(pid: u32) -> io::Result<Self> {
        let terminal = open(pid)?;
        let earlier = std::time::SystemTime::now() - READ_NOTED;
        if terminal.metadata()?.accessed()? > earlier {
            terminal.set_times(std::fs::FileTimes::new().set_accessed(earlier))?;
        }
        let before = terminal.metadata()?.accessed()?;
        Ok(Self { terminal, before })
    }

    /// Returns `true` if anything was read since.
    ///
    /// # Errors
    /// The terminal was hung up.
    pub fn happened(&self) -> io::Result<bool> {
        Ok(self.terminal.metadata()?.accessed()? != self.before)
    }
}

/// Whether a program and its children are asleep, and what they had done by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// Whether none of them is running.
    pub sleeps: bool,
    /// As [`Input::read`].
    pub read: Option<u64>,
    /// As [`Input::by_key`].
    pub by_key: bool,
}

/// Checks whether a program is at rest. Does not block.
///
/// # Errors
/// As [`input`].
pub fn rest(pid: u32) -> io::Result<Rest> {
    let tree = crate::process::tree(pid)?;
    let terminal = open(pid)?;
    Ok(Rest {
        sleeps: !tree.iter().any(|status| status.computes),
        read: bytes_read(pid),
        by_key: reads_by_key(&terminal)?,
    })
}

fn reads_by_key(terminal: &std::fs::File) -> io::Result<bool> {
    let settings = nix::sys::termios::tcgetattr(terminal)?;
    Ok(!settings.local_flags.contains(nix::sys::termios::LocalFlags::ICANON))
}

/// Columns and rows of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Characters per row.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
}

impl Size {
    /// Returns `true` if both dimensions are at least those of `other`.
    pub const fn holds(self, other: Self) -> bool {
        self.columns >= other.columns && self.rows >= other.rows
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.columns, self.rows)
    }
}

/// Returns the size of the terminal on the stdin of process `pid`. Does not block.
///
/// # Errors
/// As [`input`].
#[allow(unsafe_code, reason = "an ioctl has no safe wrapper in nix")]
pub fn size(pid: u32) -> io::Result<Size> {
    let terminal = open(pid)?;
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one winsize through a pointer that is valid for the length of the call.
    unsafe { window_size(terminal.as_raw_fd(), &raw mut size) }?;
    Ok(Size { columns: size.ws_col, rows: size.ws_row })
}

/// Resizes the terminal on the stdin of process `pid` and notifies its programs (SIGWINCH). The multiplexer is not
/// notified, and keeps showing the pane at the size it knows. Does not block.
///
/// # Errors
/// As [`input`].
#[allow(unsafe_code, reason = "an ioctl has no safe wrapper in nix")]
pub fn resize(pid: u32, size: Size) -> io::Result<()> {
    let terminal = open(pid)?;
    let size = libc::winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads one winsize through a pointer that is valid for the length of the call.
    unsafe { set_window_size(terminal.as_raw_fd(), &raw const size) }?;
    Ok(())
}

/// Opens the terminal without making it ours and without waiting for it.
fn open(pid: u32) -> io::Result<std::fs::File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK).open(terminal_of(pid)?)
}

/// Probes the terminal on the stdin of process `pid`. Does not block.
///
/// # Errors
/// The process is gone, has no terminal, or the terminal was hung up: nothing is known.
pub fn input(pid: u32) -> io::Result<Input> {
    let terminal = open(pid)?;
    // Input is discarded before the settings change, so the queue must be read first.
    let unread = queued(&terminal)?;
    Ok(Input { unread, read: bytes_read(pid), by_key: reads_by_key(&terminal)? })
}

#[allow(unsafe_code, reason = "an ioctl has no safe wrapper in nix")]
fn queued(terminal: &std::fs::File) -> io::Result<u64> {
    let mut count: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int through a pointer that is valid for the length of the call.
    unsafe { fionread(terminal.as_raw_fd(), &raw mut count) }?;
    Ok(u64::try_from(count).unwrap_or(0))
}

#[cfg(target_os = "linux")]
fn terminal_of(pid: u32) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/fd/0"))
}

#[cfg(target_os = "linux")]
fn bytes_read(pid: u32) -> Option<u64> {
    let tree = crate::process::tree(pid).ok()?;
    let read_by = |pid: u32| {
        let io = PathBuf::from(format!("/proc/{pid}/io"));
        let io = crate::file::read_to_string(&io, crate::file::MOST).ok()?;
        io.lines().find_map(|line| line.strip_prefix("rchar: ")?.parse::<u64>().ok())
    };
    Some(tree.iter().filter_map(|status| read_by(status.id.pid)).sum())
}

/// Not implemented on macOS yet: a message to an agent without a composer is never confirmed there, and `peer` reports
/// that.
#[cfg(not(target_os = "linux"))]
fn terminal_of(_pid: u32) -> io::Result<PathBuf> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "the terminal of another process is not known on this system"))
}

#[cfg(not(target_os = "linux"))]
fn bytes_read(_pid: u32) -> Option<u64> {
    None
}
