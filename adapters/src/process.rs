//! Kernel facts about processes: identity, groups, memory, boot id.
//!
//! A pid alone means nothing after its process has ended: numbers are reused. A [`ProcessId`] is a pid *and* the start
//! time the kernel gave it, and every probe and signal here checks both.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as kernel;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
use macos as kernel;

/// One process, for as long as this machine is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessId {
    /// The process number.
    pub pid: u32,
    /// When the kernel started it: clock ticks since boot on Linux (`/proc/PID/stat`, field 22), microseconds since
    /// the epoch on macOS (`proc_bsdinfo`).
    pub start: u64,
}

/// What the kernel says of a process that exists and has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Who it is.
    pub id: ProcessId,
    /// Its parent's pid.
    pub parent: u32,
    /// Its process group.
    pub group: u32,
    /// Its session: the pid of the session's leader.
    pub session: u32,
    /// It is stopped by job control or a debugger.
    pub stopped: bool,
    /// It has a terminal that nobody has hung up: the kernel takes it from the whole session when the other end is closed, or
    /// when the session's leader ends. macOS keeps it until then.
    pub has_terminal: bool,
    /// Its first thread computes or is about to, and waits for nothing; false where the kernel does not tell (macOS).
    pub computes: bool,
}

/// How processes relate, for [`members`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// All of one process group.
    Group(u32),
    /// All of one session.
    Session(u32),
}

/// Looks a process up by number. `Ok(None)`: there is none, or it has ended and waits to be reaped (a zombie).
///
/// # Errors
/// The kernel could not be asked (`/proc` hidden or unreadable): nothing is known.
pub fn status(pid: u32) -> io::Result<Option<Status>> {
    kernel::status(pid)
}

/// Looks a process up by identity. `Ok(None)`: it has ended, whoever has its number now.
///
/// # Errors
/// As [`status`].
pub fn find(id: ProcessId) -> io::Result<Option<Status>> {
    Ok(status(id.pid)?.filter(|status| status.id == id))
}

/// The living processes of a group or session, zombies left out.
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

/// The process and its living descendants.
///
/// # Errors
/// The process table could not be read.
pub fn tree(root: u32) -> io::Result<Vec<Status>> {
    Ok(descend(&kernel::all()?, root))
}

/// `root` and everything below it, in a table that was read once.
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

/// The living children of a process, zombies left out; empty when it has none or is gone.
///
/// # Errors
/// The process table could not be read.
pub fn children(parent: u32) -> io::Result<Vec<Status>> {
    kernel::children(parent, &|_| true)
}

/// The living processes whose parents have ended: the children of whoever takes in orphans, which is the first process and,
/// where it is above us, this user's service manager. Far less than a walk over all processes.
///
/// # Errors
/// The process table could not be read.
pub fn orphans() -> io::Result<Vec<Status>> {
    orphans_where(|_| true)
}

/// Those of them whose number is wanted; the others, of which a machine may have hundreds, are not looked at.
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

/// The arguments of a process, the program's name first; empty where they cannot be read.
pub fn arguments(pid: u32) -> Vec<Vec<u8>> {
    kernel::arguments(pid)
}

/// The living processes whose arguments, the program's name left out, are exactly these.
///
/// # Errors
/// The process table could not be read.
pub fn with_arguments(arguments: &[&OsStr]) -> io::Result<Vec<Status>> {
    kernel::with_arguments(arguments)
}

/// The living processes whose arguments, the program's name left out, begin with these; each with all of them.
///
/// # Errors
/// The process table could not be read.
pub fn with_first_arguments(first: &[&OsStr]) -> io::Result<Vec<(Status, Vec<OsString>)>> {
    let mut found = kernel::all_arguments()?;
    found.retain(|(_, arguments)| arguments.len() > first.len() && arguments[1..=first.len()].iter().eq(first));
    let living = found.into_iter().filter_map(|(pid, mut arguments)| {
        arguments.remove(0);
        Some((status(pid).ok().flatten()?, arguments))
    });
    Ok(living.collect())
}

/// The arguments of a process, the program's name first, as they were when it executed.
///
/// # Errors
/// The process is gone or not ours to look at.
pub fn command_line(pid: u32) -> io::Result<Vec<OsString>> {
    kernel::arguments_of(pid)
}

/// The environment of a process as it was when it executed.
///
/// # Errors
/// As [`command_line`].
pub fn environment(pid: u32) -> io::Result<Vec<(OsString, OsString)>> {
    kernel::environment_of(pid)
}

/// Memory that each process tree holds by itself, in KiB: private and shared anonymous pages, which go when it goes. One
/// walk over the process table for all. `None` where the kernel does not tell (not Linux, or no such process).
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

/// The sum over those that tell; a process that ends while it is asked holds nothing any more.
fn memory_of(tree: &[Status]) -> Option<u64> {
    let told: Vec<u64> = tree.iter().filter_map(|status| kernel::own_memory_kib(status.id.pid)).collect();
    (!told.is_empty()).then(|| told.iter().sum())
}

/// Sends a signal to a process group, only while `leader` is still the process that gave the group its number.
///
/// Returns whether anybody was there to get it. Refuses groups 0 and 1 and the caller's own.
///
/// # Errors
/// Permission denied, or a group that must never be signalled.
pub fn signal_group(leader: ProcessId, signal: Signal) -> io::Result<bool> {
    let group = i32::try_from(leader.pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    if group <= 1 || Pid::from_raw(group) == nix::unistd::getpgrp() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("process group {group} is never signalled")));
    }
    // A group outlives its leader; its number cannot be given to a new process while a member is left. So either the
    // leader is still itself, or the number is free of a stranger when every member started no earlier than it did.
    let ours = match status(leader.pid)? {
        Some(status) => status.id == leader,
        None => members(Family::Group(leader.pid))?.iter().all(|member| member.id.start >= leader.start),
    };
    if !ours {
        return Ok(false);
    }
    match killpg(Pid::from_raw(group), signal) {
        Ok(()) => Ok(true),
        Err(Errno::ESRCH) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether a process ignores a signal, as an interactive shell does `SIGTERM`. `false` where the kernel does not tell.
pub fn ignores(pid: u32, signal: Signal) -> bool {
    let bit = u32::try_from(signal as i32 - 1).ok();
    kernel::ignored_signals(pid).zip(bit).is_some_and(|(mask, bit)| mask >> bit & 1 == 1)
}

/// Whether a program of one of these names runs here.
///
/// # Errors
/// The kernel does not tell.
pub fn is_running(names: &[&str]) -> io::Result<bool> {
    kernel::is_running(names)
}

/// Whose process it is. `None`: it has ended, or the kernel does not tell.
pub fn owner(pid: u32) -> Option<u32> {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(format!("/proc/{pid}")).ok()?).into()
}

/// Sends a signal to one process, only while it is still itself. Returns whether it was there.
///
/// # Errors
/// Permission denied.
pub fn signal(id: ProcessId, signal: Signal) -> io::Result<bool> {
    if find(id)?.is_none() {
        return Ok(false);
    }
    let pid = i32::try_from(id.pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    match nix::sys::signal::kill(Pid::from_raw(pid), signal) {
        Ok(()) => Ok(true),
        Err(Errno::ESRCH) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// An id of this boot of the machine: a process record from another boot names nobody.
///
/// # Errors
/// The kernel does not tell.
pub fn boot_id() -> io::Result<String> {
    static BOOT: OnceLock<String> = OnceLock::new();
    once(&BOOT, kernel::boot_id).cloned()
}

/// Where process numbers mean something: one machine, and on it one pid namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The machine's id, the same at each boot; `name:` and its host name where it has none.
    pub machine: String,
    /// Its host name, for people.
    pub name: String,
    /// The pid namespace by the number of its inode, where the kernel has such: a container has one of its own.
    pub pid_namespace: Option<u64>,
}

impl Host {
    /// Whether a process number means the same process here and there. A namespace that is not known separates nobody.
    pub fn shares_processes_with(&self, machine: &str, pid_namespace: Option<u64>) -> bool {
        let apart = matches!((self.pid_namespace, pid_namespace), (Some(here), Some(there)) if here != there);
        self.machine == machine && !apart
    }

    /// Whether what ran under this id and host name ran on another machine. An id is copied with the image that holds it; so
    /// where another boot is, another name means a clone. This machine looks the same where it was renamed before it was
    /// booted again, and nothing tells which of the two it is.
    pub fn is_not_of(&self, machine: &str, name: &str, another_boot: bool) -> bool {
        self.machine != machine || another_boot && kernel::MACHINE_IDS_ARE_FILES && self.name != name
    }
}

/// Where this process runs. Looked up once a process.
///
/// # Errors
/// What is mounted as `/proc` shows another pid namespace, so nothing that it says is about us; or it could not be asked.
pub fn host() -> io::Result<&'static Host> {
    static HOST: OnceLock<Host> = OnceLock::new();
    once(&HOST, || {
        let name = nix::unistd::gethostname()?.to_string_lossy().into_owned();
        let machine = kernel::machine_id()?.unwrap_or_else(|| format!("name:{name}"));
        Ok(Host { machine, name, pid_namespace: kernel::pid_namespace()? })
    })
}

/// Our own program, also when it was replaced while the agent ran: then the new one under the old name, and where there is
/// none, the one that we are.
///
/// # Errors
/// The kernel does not tell.
///
/// # Source
/// proc(5): a link to a file that was unlinked reads as its path with ` (deleted)` behind it, and can still be executed.
pub fn own_executable() -> io::Result<PathBuf> {
    let executable = std::env::current_exe()?;
    let replaced = executable.to_str().and_then(|path| path.strip_suffix(" (deleted)")).map(PathBuf::from);
    Ok(match replaced {
        Some(path) if path.exists() => path,
        Some(_) => PathBuf::from("/proc/self/exe"),
        None => executable,
    })
}

/// A failure is not kept: the next caller asks again.
fn once<T>(cell: &'static OnceLock<T>, ask: impl FnOnce() -> io::Result<T>) -> io::Result<&'static T> {
    match cell.get() {
        Some(known) => Ok(known),
        None => ask().map(|told| cell.get_or_init(|| told)),
    }
}

/// How long ago a process was started.
///
/// # Errors
/// The kernel does not tell how long the machine has been up.
pub fn age(id: ProcessId) -> io::Result<std::time::Duration> {
    kernel::age(id)
}

/// How long ago this system was booted: a service manager is its first process, in a container too. `None`: another program is,
/// and nothing was booted here.
///
/// # Errors
/// As [`age`].
pub fn booted_for() -> io::Result<Option<std::time::Duration>> {
    match status(1)? {
        Some(first) if kernel::is_service_manager(1) => age(first.id).map(Some),
        _ => Ok(None),
    }
}

/// This process.
///
/// # Errors
/// As [`status`].
pub fn me() -> io::Result<ProcessId> {
    status(std::process::id())?
        .map(|status| status.id)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "this process is not in its own process table"))
}

/// A variable of a process's environment as it was when the process executed. `Ok(None)`: not set there.
///
/// # Errors
/// The process is gone or not ours to look at.
pub fn environment_variable(pid: u32, name: &str) -> io::Result<Option<OsString>> {
    kernel::environment_variable(pid, name)
}

/// Gives back the pages of program code that are resident, ours and our libraries'; what is needed again is read again
/// from the page cache. For a process that has done its work and now waits for hours: the kernel maps 64 KiB around
/// every fault, so a start leaves megabytes resident that are never used again. Does nothing where it cannot.
pub fn give_back_code() {
    kernel::give_back_code();
}

/// How a child that was waited for ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reaped {
    /// Exit code, where it exited.
    pub code: Option<i32>,
    /// Signal number, where a signal ended it.
    pub signal: Option<i32>,
    /// Peak resident memory of it and of the children it waited for, in KiB.
    pub max_rss_kib: u64,
}

/// A change in a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildChange {
    /// It was stopped by this signal.
    Stopped(i32),
    /// It ended and was reaped.
    Ended(Reaped),
}

/// Asks for a change in any child of ours; `None` when none has changed. Never blocks. To be asked again until `None`,
/// because one `SIGCHLD` may stand for several changes.
///
/// # Errors
/// We have no child.
#[allow(unsafe_code, reason = "nix has no wait4, and only wait4 tells one child's peak memory")]
pub fn next_child_change() -> io::Result<Option<(u32, ChildChange)>> {
    use nix::libc;
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are valid for writes for the length of the call, and an all-zero rusage is a valid value.
    let (reaped, usage) = unsafe {
        let reaped = libc::wait4(-1, &raw mut status, libc::WNOHANG | libc::WUNTRACED, usage.as_mut_ptr());
        (reaped, usage.assume_init())
    };
    if reaped < 0 {
        return Err(io::Error::last_os_error());
    }
    let Some(child) = u32::try_from(reaped).ok().filter(|pid| *pid > 0) else { return Ok(None) };
    if libc::WIFSTOPPED(status) {
        return Ok(Some((child, ChildChange::Stopped(libc::WSTOPSIG(status)))));
    }
    let peak = u64::try_from(usage.ru_maxrss).unwrap_or(0);
    let reaped = Reaped {
        code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
        signal: libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
        // Linux counts in KiB, macOS in bytes (getrusage(2) on each).
        max_rss_kib: if cfg!(target_os = "macos") { peak / 1024 } else { peak },
    };
    Ok(Some((child, ChildChange::Ended(reaped))))
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
    fn a_pid_means_something_on_its_own_machine_and_in_its_own_namespace() {
        let here = host().expect("told");
        assert!(here.shares_processes_with(&here.machine, here.pid_namespace));
        assert!(!here.shares_processes_with("name:elsewhere", here.pid_namespace));
        let inside = here.pid_namespace.map(|inode| inode + 1);
        assert_eq!(here.shares_processes_with(&here.machine, inside), here.pid_namespace.is_none());
        assert!(here.shares_processes_with(&here.machine, None));
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

    #[test]
    fn own_group_and_init_are_never_signalled() {
        let group = u32::try_from(nix::unistd::getpgrp().as_raw()).expect("positive");
        for pid in [0, 1, group] {
            let error = signal_group(ProcessId { pid, start: 0 }, Signal::SIGCONT).expect_err("refused");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }
}
