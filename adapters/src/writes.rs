//! How much a program has written: as long as that stands still, neither its screen nor its files show anything new of its own.

use std::time::{Duration, Instant};

/// How long a list of a program's processes is believed. To make it costs some microseconds a thread; one that starts
/// meanwhile counts from then on.
const LISTED_FOR: Duration = Duration::from_millis(50);

/// A program and its children, as counted by the kernel.
#[derive(Debug)]
pub struct Writes {
    root: u32,
    processes: Vec<u32>,
    listed: Option<Instant>,
}

impl Writes {
    /// Those of `root` and of whatever it starts.
    pub const fn of(root: u32) -> Self {
        Self { root, processes: Vec::new(), listed: None }
    }

    /// Bytes that its living processes have written so far, to anywhere; to be compared with what was said before, for a
    /// process that starts or ends changes it too. Takes microseconds, and does not block.
    ///
    /// `None` where the kernel does not tell: another user's process, and on macOS.
    pub fn count(&mut self) -> Option<u64> {
        if self.listed.is_none_or(|at| at.elapsed() >= LISTED_FOR) {
            self.processes = tree(self.root);
            self.listed = Some(Instant::now());
        }
        let told: Vec<u64> = self.processes.iter().filter_map(|pid| written_by(*pid)).collect();
        (!told.is_empty()).then(|| told.iter().sum())
    }
}

fn tree(root: u32) -> Vec<u32> {
    let (mut tree, mut next) = (vec![root], 0);
    while next < tree.len() {
        // One that ends while it is looked at has no children.
        let children = crate::process::children(tree[next]).unwrap_or_default();
        tree.extend(children.iter().map(|status| status.id.pid));
        next += 1;
    }
    tree
}

/// # Source
/// proc(5): `wchar` counts what write(2) and the like were given, terminals and pipes included.
#[cfg(target_os = "linux")]
fn written_by(pid: u32) -> Option<u64> {
    let io = crate::file::read_to_string(std::path::Path::new(&format!("/proc/{pid}/io")), crate::file::MOST).ok()?;
    io.lines().find_map(|line| line.strip_prefix("wchar: ")?.parse().ok())
}

#[cfg(not(target_os = "linux"))]
fn written_by(_pid: u32) -> Option<u64> {
    None
}
