//! Kernel facts about processes: identity, groups, memory, boot id.
//!
//! A pid alone means nothing after its process has ended, because numbers are reused. A [`ProcessId`] is a pid *and*
//! the start time that the kernel recorded for it. Every probe and signal here checks both.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

mod child;
mod host;
mod signal;

pub use child::{ChildChange, Reaped, next_child_change};
pub use host::{Host, boot_id, host};
pub use kernel::cpu_time;
pub use signal::{ignores, signal, signal_group};

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as kernel;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
use macos as kernel;

/// The identity of one process, valid until the next boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessId {
    /// The pid.
    pub pid: u32,
    /// When the kernel started it: clock ticks since boot on Linux (`/proc/PID/stat`, field 22), microseconds since
    /// the epoch on macOS (`proc_bsdinfo`).
    pub start: u64,
}

/// What the kernel reports about a process that exists and has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The process's identity.
    pub id: ProcessId,
    /// The parent's pid.
    pub parent: u32,
    /// The process group.
    pub group: u32,
    /// The session: the pid of the session leader.
    pub session: u32,
    /// Whether the process is stopped by job control or a debugger.
    pub stopped: bool,
    /// Whether the process has a terminal that has not been hung up. The kernel takes the terminal from the whole
    /// session when its other end is closed, or when the session leader ends (on macOS only then).
    pub has_terminal: bool,
    /// Whether the first thread is running or runnable, and not waiting for anything; `false` if the kernel does not
    /// report it (macOS).
    pub computes: bool,
}

/// The kinds of process sets for [`members`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// All processes of one process group.
    Group(u32),
    /// All processes of one session.
    Session(u32),
}

/// Looks up a process by number. Returns `Ok(None)` if there is none, or if it has ended and is waiting to be reaped (a
/// zombie).
///
/// # Errors
/// The kernel could not be queried (`/proc` hidden or unreadable): nothing is known.
pub fn status(pid: u32) -> io::Result<Option<Status>> {
    kernel::status(pid)
}

/// Looks up a process by identity. Returns `Ok(None)` if it has ended, even if its number has been reused.
///
/// # Errors
/// As [`status`].
pub fn find(id: ProcessId) -> io::Result<Option<Status>> {
    Ok(status(id.pid)?.filter(|status| status.id == id))
}

/// Returns the live processes of a group or session, without zombies.
///
/// # Errors
/// The process table could not be read.
pub fn members(family: Family) -> io::Result<Vec<Status>> {
    let mut found = kernel::all()?;
    found.retain(|status| match family {
        Family::Group(group) => status.group == group,
        Family::Session(session) => status.session == session,
    });
    Ok(found)
}

/// Returns the process and its live descendants.
///
/// # Errors
/// The process table could not be read.
pub fn tree(root: u32) -> io::Result<Vec<Status>> {
    Ok(descend(&kernel::all()?, root))
}

/// Returns the pids of a process and its live descendants, parents before their children, as far as they can be read.
/// Takes tens of microseconds per process, where [`tree`] walks over all processes of the machine.
pub fn pids_of_tree(root: u32) -> Vec<u32> {
    let (mut tree, mut next) = (vec![root], 0);
    while next < tree.len() {
        // A process that ends during the walk has no children.
        let below = children(tree[next]).unwrap_or_default();
        tree.extend(below.iter().map(|status| status.id.pid));
        next += 1;
    }
    tree
}

/// Returns `root` and its descendants from an already read process table.
fn descend(all: &[Status], root: u32) -> Vec<Status> {
    let mut tree: Vec<Status> = all.iter().filter(|status| status.id.pid == root).copied().collect();
    let mut next = 0;
    while next < tree.len() {
        let parent = tree[next].id.pid;
        tree.extend(all.iter().filter(|status| status.parent == parent && status.id.pid != parent));
        next += 1;
    }
    tree
}

/// Returns the live children of a process, without zombies. Empty if it has none or is gone.
///
/// # Errors
/// The process table could not be read.
pub fn children(parent: u32) -> io::Result<Vec<Status>> {
    kernel::children(parent, &|_| true)
}

/// Returns the live processes whose parents have ended and whose pid is `wanted`. They are the children of the process
/// that adopts orphans: the first process and, if it is one of our ancestors, this user's service manager. This is far
/// cheaper than a walk over all processes: the others, which may be hundreds, are not read.
///
/// # Errors
/// The process table could not be read.
pub fn orphans_where(wanted: impl Fn(u32) -> bool) -> io::Result<Vec<Status>> {
    let mut found = kernel::children(1, &wanted)?;
    let mut above = std::process::id();
    while let Some(parent) = status(above)?.map(|status| status.parent).filter(|parent| *parent > 1) {
        if kernel::is_service_manager(parent) {
            found.extend(kernel::children(parent, &wanted)?);
        }
        above = parent;
    }
    Ok(found)
}

/// Whether an error in reading what a process has means that the process has ended or is not ours. Any other error,
/// such as that this process has no descriptor left, says nothing about that process.
pub fn is_gone_or_foreign(error: &io::Error) -> bool {
    kernel::is_gone_or_foreign(error)
}

/// Returns the arguments of a process, starting with the program name. Empty if they cannot be read.
pub fn arguments(pid: u32) -> Vec<Vec<u8>> {
    kernel::arguments(pid)
}

/// Returns the live processes whose arguments, without the program name, are exactly `arguments`.
///
/// # Errors
/// The process table could not be read.
pub fn with_arguments(arguments: &[&OsStr]) -> io::Result<Vec<Status>> {
    kernel::with_arguments(arguments)
}

/// Returns the live processes whose arguments, without the program name, begin with `first`, each with all its
/// arguments.
///
/// # Errors
/// The process table could not be read.
pub fn with_first_arguments(first: &[&OsStr]) -> io::Result<Vec<(Status, Vec<OsString>)>> {
    let mut found = kernel::all_arguments()?;
    found.retain(|(_, arguments)| arguments.len() > first.len() && arguments[1..=first.len()].iter().eq(first));
    let mut living = Vec::new();
    for (pid, mut arguments) in found {
        arguments.remove(0);
        living.extend(status(pid)?.map(|status| (status, arguments)));
    }
    Ok(living)
}

/// Returns the files that a process has open, each with its descriptor, under the names that the kernel has for them.
/// Empty for a process that has ended or is not ours, and where the kernel does not show them (macOS).
pub fn open_files(pid: u32) -> Vec<(u32, PathBuf)> {
    kernel::open_files(pid)
}

/// Returns the arguments of a process as they were at exec, starting with the program name.
///
/// # Errors
/// The process is gone, or we may not read it.
pub fn command_line(pid: u32) -> io::Result<Vec<OsString>> {
    kernel::arguments_of(pid)
}

/// Returns the environment of a process as it was at exec.
///
/// # Errors
/// As [`command_line`].
pub fn environment(pid: u32) -> io::Result<Vec<(OsString, OsString)>> {
    kernel::environment_of(pid)
}

/// Returns the memory that each process tree holds exclusively, in KiB: private and shared anonymous pages, which are
/// freed when it exits. Walks the process table once for all roots. `None` if the kernel does not report it (not Linux,
/// or no such process).
///
/// # Errors
/// The process table could not be read.
///
/// # Source
/// proc(5): `RssAnon` and `RssShmem` in `/proc/PID/status` since Linux 4.5. Resident file pages are left out: they are
/// shared by every copy of the same agent.
pub fn tree_memory_kib(roots: &[u32]) -> io::Result<Vec<Option<u64>>> {
    let all = kernel::all()?;
    Ok(roots.iter().map(|root| memory_of(&descend(&all, *root))).collect())
}

/// Sums over the processes that have a value. A process that ends during the walk no longer holds memory.
fn memory_of(tree: &[Status]) -> Option<u64> {
    let told: Vec<u64> = tree.iter().filter_map(|status| kernel::own_memory_kib(status.id.pid)).collect();
    (!told.is_empty()).then(|| told.iter().sum())
}

/// Returns `true` if a program with one of these names is running on this machine.
///
/// # Errors
/// The kernel does not report it.
pub fn is_running(names: &[&str]) -> io::Result<bool> {
    kernel::is_running(names)
}

/// Returns the uid of a process's owner. `None` if the process has ended, or the kernel does not report it.
pub fn owner(pid: u32) -> Option<u32> {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(format!("/proc/{pid}")).ok()?).into()
}

/// Returns the path of our own program. If it was replaced while the agent ran, that is the new program under the old
/// name, or the running one if the old name no longer exists.
///
/// # Errors
/// The kernel does not report it.
///
/// # Source
/// proc(5): a link to a file that was unlinked reads as its path with ` (deleted)` behind it, and can still be
/// executed.
pub fn own_executable() -> io::Result<PathBuf> {
    let executable = std::env::current_exe()?;
    let replaced = executable.to_str().and_then(|path| path.strip_suffix(" (deleted)")).map(PathBuf::from);
    Ok(match replaced {
        Some(path) if path.exists() => path,
        Some(_) => PathBuf::from("/proc/self/exe"),
        None => executable,
    })
}

/// Returns how long ago a process was started.
///
/// # Errors
/// The kernel does not report how long the machine has been up.
pub fn age(id: ProcessId) -> io::Result<std::time::Duration> {
    kernel::age(id)
}

/// Returns how long ago this system was booted, by the age of its first process if that is a service manager (also in a
/// container). `None` if the first process is another program: nothing was booted here.
///
/// # Errors
/// As [`age`].
pub fn booted_for() -> io::Result<Option<std::time::Duration>> {
    match status(1)? {
        Some(first) if kernel::is_service_manager(1) => age(first.id).map(Some),
        _ => Ok(None),
    }
}

/// Returns the identity of this process.
///
/// # Errors
/// As [`status`].
pub fn me() -> io::Result<ProcessId> {
    status(std::process::id())?
        .map(|status| status.id)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "this process is not in its own process table"))
}

/// Returns a variable of a process's environment as it was at exec, or `Ok(None)` if it was not set.
///
/// # Errors
/// The process is gone, or we may not read it.
pub fn environment_variable(pid: u32, name: &str) -> io::Result<Option<OsString>> {
    kernel::environment_variable(pid, name)
}

/// Releases the resident pages of program code, ours and our libraries'. Pages that are needed again are reread from
/// the page cache. For a process that has done its work and now waits for hours: the kernel maps 64 KiB around every
/// fault, so startup leaves megabytes resident that are never used again. Does nothing if it is not possible.
pub fn release_code_pages() {
    kernel::release_code_pages();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_by_identity_and_not_by_number_alone() {
        let me = me().expect("own status");
        assert_eq!(find(me).expect("probe").map(|s| s.id), Some(me));
        let recycled = ProcessId { start: me.start + 1, ..me };
        assert_eq!(find(recycled).expect("probe"), None);
    }

    #[test]
    fn a_process_is_as_old_as_its_start_tells() {
        let (me, before) = (me().expect("own status"), age(me().expect("own status")).expect("told"));
        assert!(age(me).expect("told") >= before);
        assert!(age(ProcessId { start: 0, ..me }).expect("told") > before);
    }

    #[test]
    fn a_process_is_found_by_how_its_arguments_begin() {
        let own: Vec<_> = std::env::args_os().collect();
        assert_eq!(command_line(std::process::id()).expect("ours"), own);
        assert!(environment(std::process::id()).expect("ours").iter().any(|(key, _)| key == "PATH"));
        let first: Vec<&OsStr> = own[1..].iter().map(OsString::as_os_str).collect();
        let found = with_first_arguments(&first).expect("told");
        let me = found.iter().find(|(status, _)| status.id.pid == std::process::id()).expect("among them");
        assert_eq!(me.1, own[1..]);
    }
}
