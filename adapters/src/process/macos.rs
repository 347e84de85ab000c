//! The macOS implementation, with `proc_pidinfo` (libproc) and sysctl(3). It starts no process.

use std::ffi::{CStr, OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;

use super::{ProcessId, Status};

/// `proc_pidinfo` reports `ESRCH` both for a zombie and for a missing process, as the caller wants.
#[allow(unsafe_code, reason = "libproc has no safe binding among our dependencies; see SAFETY")]
pub(super) fn status(pid: u32) -> io::Result<Option<Status>> {
    let Ok(number) = i32::try_from(pid) else { return Ok(None) };
    let mut info = std::mem::MaybeUninit::<libc::proc_bsdinfo>::zeroed();
    let size = i32::try_from(size_of::<libc::proc_bsdinfo>()).expect("a few hundred bytes");
    // SAFETY: the buffer is writable for `size` bytes; an all-zero proc_bsdinfo is a valid value.
    let (written, info) = unsafe {
        let written = libc::proc_pidinfo(number, libc::PROC_PIDTBSDINFO, 0, info.as_mut_ptr().cast(), size);
        (written, info.assume_init())
    };
    if written != size {
        return match Errno::last() {
            Errno::ESRCH => Ok(None),
            errno => Err(errno.into()),
        };
    }
    if info.pbi_status == libc::SZOMB {
        return Ok(None);
    }
    let session = match nix::unistd::getsid(Some(Pid::from_raw(number))) {
        Ok(session) => u32::try_from(session.as_raw()).unwrap_or(0),
        Err(Errno::ESRCH) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    Ok(Some(Status {
        id: ProcessId { pid, start: info.pbi_start_tvsec * 1_000_000 + info.pbi_start_tvusec },
        parent: info.pbi_ppid,
        group: info.pbi_pgid,
        session,
        stopped: info.pbi_status == libc::SSTOP,
        // NODEV
        has_terminal: info.e_tdev != u32::MAX,
        computes: false,
    }))
}

pub(super) fn all() -> io::Result<Vec<Status>> {
    // A process that ends during the walk is simply not there; one that we may not read is not ours.
    Ok(pids()?.into_iter().filter_map(|pid| status(pid).ok().flatten()).collect())
}

/// What a process has is read without a descriptor, so that each error is about that process.
pub(super) fn is_gone_or_foreign(_error: &io::Error) -> bool {
    true
}

pub(super) fn children(parent: u32, wanted: &dyn Fn(u32) -> bool) -> io::Result<Vec<Status>> {
    Ok(all()?.into_iter().filter(|status| status.parent == parent && wanted(status.id.pid)).collect())
}

pub(super) fn with_arguments(wanted: &[&OsStr]) -> io::Result<Vec<Status>> {
    let mut found = all()?;
    found.retain(|status| {
        // A process that ended during the walk, or that we may not read, is not one that the caller looks for.
        let Ok(bytes) = start_of(status.id.pid) else { return false };
        let (count, words) = words(&bytes);
        count == wanted.len() + 1 && words.take(count).skip(1).eq(wanted.iter().map(|word| word.as_bytes()))
    });
    Ok(found)
}

#[allow(unsafe_code, reason = "libproc has no safe binding among our dependencies; see SAFETY")]
fn pids() -> io::Result<Vec<u32>> {
    // SAFETY: without a buffer the call only counts.
    let count = unsafe { libc::proc_listallpids(std::ptr::null_mut(), 0) };
    // Leaves room for processes that start between the two calls.
    let mut pids = vec![0_i32; usize::try_from(count).map_err(|_| io::Error::last_os_error())? + 256];
    let size = i32::try_from(size_of_val(pids.as_slice())).map_err(io::Error::other)?;
    // SAFETY: the buffer is writable for `size` bytes.
    let count = unsafe { libc::proc_listallpids(pids.as_mut_ptr().cast(), size) };
    pids.truncate(usize::try_from(count).map_err(|_| io::Error::last_os_error())?);
    Ok(pids.into_iter().filter_map(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0).collect())
}

/// The kernel creates a new id at each boot.
#[allow(unsafe_code, reason = "sysctl has no safe binding among our dependencies; see SAFETY")]
pub(super) fn boot_id() -> io::Result<String> {
    let name = c"kern.bootsessionuuid";
    let mut text = [0_u8; 64];
    let mut size = text.len();
    // SAFETY: the name ends in NUL; the buffer is writable for `size` bytes, and `size` is updated to what was written.
    let result =
        unsafe { libc::sysctlbyname(name.as_ptr(), text.as_mut_ptr().cast(), &raw mut size, std::ptr::null_mut(), 0) };
    Errno::result(result)?;
    let text = CStr::from_bytes_until_nul(&text).map_err(io::Error::other)?;
    Ok(text.to_string_lossy().into_owned())
}

pub(super) fn all_arguments() -> io::Result<Vec<(u32, Vec<OsString>)>> {
    // A process that ended during the walk, or that we may not read, is not one that the caller looks for.
    Ok(pids()?.into_iter().filter_map(|pid| Some((pid, arguments_of(pid).ok()?))).collect())
}

pub(super) fn arguments_of(pid: u32) -> io::Result<Vec<OsString>> {
    let bytes = start_of(pid)?;
    let (count, words) = words(&bytes);
    Ok(words.take(count).map(|word| OsString::from_vec(word.to_vec())).collect())
}

pub(super) fn environment_of(pid: u32) -> io::Result<Vec<(OsString, OsString)>> {
    let bytes = start_of(pid)?;
    let variables = environment(&bytes).filter_map(|entry| {
        let equals = entry.iter().position(|byte| *byte == b'=')?;
        let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        Some((text(&entry[..equals]), text(&entry[equals + 1..])))
    });
    Ok(variables.collect())
}

/// `gethostuuid` identifies the hardware, and macOS changes its host name with the network it is on.
pub(super) const MACHINE_IDS_ARE_FILES: bool = false;

#[allow(unsafe_code, reason = "gethostuuid has no safe binding among our dependencies; see SAFETY")]
pub(super) fn machine_id() -> io::Result<Option<String>> {
    let mut id = [0_u8; 16];
    let patience = libc::timespec { tv_sec: 1, tv_nsec: 0 };
    // SAFETY: the buffer has the 16 bytes of a uuid_t, and the timeout is valid for the length of the call.
    Errno::result(unsafe { libc::gethostuuid(id.as_mut_ptr(), &raw const patience) })?;
    Ok(Some(id.iter().map(|byte| format!("{byte:02x}")).collect()))
}

/// macOS has no pid namespaces.
pub(super) fn pid_namespace() -> io::Result<Option<u64>> {
    Ok(None)
}

pub(super) fn age(id: ProcessId) -> io::Result<Duration> {
    let started = UNIX_EPOCH + Duration::from_micros(id.start);
    Ok(started.elapsed().unwrap_or_default())
}

pub(super) fn environment_variable(pid: u32, name: &str) -> io::Result<Option<OsString>> {
    Ok(environment(&start_of(pid)?)
        .find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        .map(|value| OsString::from_vec(value.to_vec())))
}

pub(super) fn arguments(pid: u32) -> Vec<Vec<u8>> {
    let Ok(bytes) = start_of(pid) else { return Vec::new() };
    let (count, words) = words(&bytes);
    words.take(count).map(<[u8]>::to_vec).collect()
}

/// What `proc_pidinfo` would tell is not read here.
pub(super) fn open_files(_pid: u32) -> Vec<(u32, PathBuf)> {
    Vec::new()
}

/// Not available without reading another process's kernel structures.
pub(super) fn ignored_signals(_pid: u32) -> Option<u64> {
    None
}

/// launchd starts services on demand, cron among them.
pub(super) fn is_running(_names: &[&str]) -> std::io::Result<bool> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Orphans go to launchd, which is the first process.
pub(super) fn is_service_manager(_pid: u32) -> bool {
    false
}

/// Returns what the kernel keeps of a process's exec: the number of arguments, the executable's path, NULs up to a word
/// boundary, the arguments and then the environment, each terminated by a NUL.
#[allow(unsafe_code, reason = "sysctl has no safe binding among our dependencies; see SAFETY")]
fn start_of(pid: u32) -> io::Result<Vec<u8>> {
    let pid = i32::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut mib = [libc::CTL_KERN, libc::KERN_PROCARGS2, pid];
    // macOS's ARG_MAX: all arguments and variables together never take more.
    let mut bytes = vec![0_u8; 1024 * 1024];
    let mut size = bytes.len();
    // SAFETY: `mib` has the three words announced; the buffer is writable for `size` bytes, which is updated.
    let result =
        unsafe { libc::sysctl(mib.as_mut_ptr(), 3, bytes.as_mut_ptr().cast(), &raw mut size, std::ptr::null_mut(), 0) };
    Errno::result(result)?;
    bytes.truncate(size);
    Ok(bytes)
}

fn environment(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (count, words) = words(bytes);
    words.skip(count).take_while(|e| !e.is_empty())
}

/// Returns the number of arguments, including the program name, and all words after the executable's path: arguments
/// first.
fn words(bytes: &[u8]) -> (usize, impl Iterator<Item = &[u8]>) {
    let (count, rest) = bytes.split_first_chunk::<4>().map_or((0, bytes), |(n, rest)| (i32::from_ne_bytes(*n), rest));
    let path = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
    let padding = rest[path..].iter().take_while(|byte| **byte == 0).count();
    (usize::try_from(count).unwrap_or(0), rest[path + padding..].split(|byte| *byte == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_begins_behind_the_arguments() {
        let mut bytes = 2_i32.to_ne_bytes().to_vec();
        bytes.extend_from_slice(b"/bin/x\0\0\0\0x\0A=not\0A=1\0B=\0\0trailer");
        assert_eq!(environment(&bytes).collect::<Vec<_>>(), [&b"A=1"[..], b"B="]);
    }
}

/// The kernel keeps code shared and does not count it towards any process.
pub(super) fn release_code_pages() {}

/// macOS has no count of a process's own pages that is cheap to read.
pub(super) fn own_memory_kib(_pid: u32) -> Option<u64> {
    None
}

/// What `proc_pid_rusage` would tell is not read here.
pub fn cpu_time(_pid: u32) -> Option<Duration> {
    None
}
