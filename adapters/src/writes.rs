//! The number of bytes a program has written. While it does not change, neither its screen nor its files show anything
//! new from it.

use std::time::{Duration, Instant};

/// How long a list of a program's processes is reused. Building it costs some microseconds per thread; a process that
/// starts meanwhile counts from the next list on.
const LISTED_FOR: Duration = Duration::from_millis(50);

/// The write counter of a program and its children, from the kernel.
#[derive(Debug)]
pub struct Writes {
    root: u32,
    processes: Vec<u32>,
    listed: Option<Instant>,
}

impl Writes {
    /// Creates the counter of `root` and its descendants.
    pub const fn of(root: u32) -> Self {
        Self { root, processes: Vec::new(), listed: None }
    }

    /// Returns the bytes that the live processes have written so far, to anywhere. Only compare it for equality with an
    /// earlier value: a process that starts or ends changes it too. Takes microseconds, and does not block.
    ///
    /// `None` if the kernel does not report it: another user's process, and on macOS.
    pub fn count(&mut self) -> Option<u64> {
        if self.listed.is_none_or(|at| at.elapsed() >= LISTED_FOR) {
            self.processes = crate::process::pids_of_tree(self.root);
            self.listed = Some(Instant::now());
        }
        let told: Vec<u64> = self.processes.iter().filter_map(|pid| written_by(*pid)).collect();
        (!told.is_empty()).then(|| told.iter().sum())
    }
}

/// # Source
/// proc(5): `wchar` counts the bytes passed to write(2) and similar calls, terminals and pipes included.
#[cfg(target_os = "linux")]
fn written_by(pid: u32) -> Option<u64> {
    let io = crate::file::read_to_string(std::path::Path::new(&format!("/proc/{pid}/io")), crate::file::MOST).ok()?;
    io.lines().find_map(|line| line.strip_prefix("wchar: ")?.parse().ok())
}

#[cfg(not(target_os = "linux"))]
fn written_by(_pid: u32) -> Option<u64> {
    None
}
