//! The Linux implementation, which reads everything from `/proc` (proc(5)) and starts no process.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use super::{ProcessId, Status};

/// Room for a line of `/proc/PID/stat`: a name of 64 bytes and 51 numbers of 20 digits at most.
const STAT_BYTES: usize = 2048;

/// Reads the line in one call: the kernel generates the whole line for each read, and a fleet has a thousand of them.
fn read_stat(pid: u32) -> io::Result<Vec<u8>> {
    let mut text = vec![0; STAT_BYTES];
    let length = File::open(format!("/proc/{pid}/stat"))?.read(&mut text)?;
    text.truncate(length);
    Ok(text)
}

pub(super) fn status(pid: u32) -> io::Result<Option<Status>> {
    let Some(text) = unless_ended(read_stat(pid))? else { return Ok(None) };
    match parse_stat(&text) {
        Ok(status) => Ok(Some(status)),
        Err(StatError::Zombie) => Ok(None),
        Err(StatError::Malformed) => Err(io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat"))),
    }
}

/// Returns what a file of a process said, or `None` if the process has ended.
fn unless_ended<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        // With hidepid=2 a foreign process looks absent; ours never do. A missing /proc must not read as "all dead".
        Err(error) if is_gone(&error) && std::path::Path::new("/proc/self/stat").exists() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns what a walk read of a process that it came across, or `None` if that process is not ours.
fn unless_foreign<T>(read: io::Result<Option<T>>) -> io::Result<Option<T>> {
    match read {
        Err(error) if is_foreign(&error) => Ok(None),
        read => read,
    }
}

/// Whether this error is about a process that is not ours: we may not read it, or its line is strange. Any other error says
/// nothing about the process, and everything that the walk has not read is unknown.
fn is_foreign(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidData)
}

/// Whether an error in the files of a process means that it has ended.
fn is_gone(error: &io::Error) -> bool {
    // ESRCH: the process ended between open and read.
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(nix::libc::ESRCH)
}

pub(super) fn is_gone_or_foreign(error: &io::Error) -> bool {
    is_gone(error) || is_foreign(error)
}

/// Walks over all processes. One that has ended meanwhile, or is not ours, is passed over.
fn walk<T>(read: impl Fn(u32) -> io::Result<Option<T>>) -> io::Result<Vec<T>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        found.extend(unless_foreign(read(pid))?);
    }
    Ok(found)
}

pub(super) fn all() -> io::Result<Vec<Status>> {
    walk(status)
}

/// Reads `/proc/PID/task/TID/children`, one small file per thread, if the kernel has it (`CONFIG_PROC_CHILDREN`). This
/// takes tens of microseconds, while a walk over all of `/proc` takes milliseconds.
pub(super) fn children(parent: u32, wanted: &dyn Fn(u32) -> bool) -> io::Result<Vec<Status>> {
    let tasks = match std::fs::read_dir(format!("/proc/{parent}/task")) {
        Err(error) if is_gone_or_foreign(&error) => return Ok(Vec::new()),
        tasks => tasks?,
    };
    let mut found = Vec::new();
    for task in tasks.flatten() {
        match std::fs::read_to_string(task.path().join("children")) {
            Ok(pids) => {
                let pids = pids.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).filter(|pid| wanted(*pid));
                // The list is read before the processes, and a pid may have been reused in between.
                for pid in pids {
                    found.extend(unless_foreign(status(pid))?.filter(|child| child.parent == parent));
                }
            }
            // The thread ended during the walk. On a kernel without this file, the open fails although the thread
            // exists.
            Err(_) if !task.path().exists() => {}
            Err(_) => {
                let is_child = |status: &Status| status.parent == parent && wanted(status.id.pid);
                return Ok(all()?.into_iter().filter(is_child).collect());
            }
        }
    }
    Ok(found)
}

pub(super) fn with_arguments(arguments: &[&OsStr]) -> io::Result<Vec<Status>> {
    let wanted: Vec<u8> = arguments.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
    walk(|pid| {
        let Some(line) = unless_ended(std::fs::read(format!("/proc/{pid}/cmdline")))? else { return Ok(None) };
        let after_program = line.iter().position(|byte| *byte == 0).map_or(line.len(), |end| end + 1);
        if line[after_program..] == wanted { status(pid) } else { Ok(None) }
    })
}

/// Reads the command line, in one call unless it is unusually long.
fn command_line(pid: u32) -> io::Result<Vec<u8>> {
    let mut file = File::open(format!("/proc/{pid}/cmdline"))?;
    let mut line = vec![0; COMMAND_LINE_BYTES];
    let length = file.read(&mut line)?;
    line.truncate(length);
    if length == COMMAND_LINE_BYTES {
        file.read_to_end(&mut line)?;
    }
    Ok(line)
}

/// Room for a command line of ours or of a server.
const COMMAND_LINE_BYTES: usize = 2048;

pub(super) fn arguments(pid: u32) -> Vec<Vec<u8>> {
    let line = command_line(pid).unwrap_or_default();
    let line = line.strip_suffix(b"\0").unwrap_or(&line);
    if line.is_empty() { Vec::new() } else { line.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect() }
}

/// # Source
/// proc(5): `SigIgn` in `/proc/PID/status`, a mask in hexadecimal with the first signal in its lowest bit.
pub(super) fn ignored_signals(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let mask = text.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

/// Checks `/proc/PID/comm`, which has the first 15 bytes of a name.
pub(super) fn is_running(names: &[&str]) -> io::Result<bool> {
    let comms = walk(|pid| unless_ended(std::fs::read_to_string(format!("/proc/{pid}/comm"))))?;
    Ok(comms.iter().any(|comm| names.contains(&comm.trim_end())))
}

/// # Source
/// systemd marks itself as a reaper of orphans (`PR_SET_CHILD_SUBREAPER`), which no file in `/proc` reports.
pub(super) fn is_service_manager(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/comm")).is_ok_and(|name| name == b"systemd\n")
}

pub(super) fn boot_id() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// Returns the arguments of every process of ours, by pid. A kernel thread has none.
pub(super) fn all_arguments() -> io::Result<Vec<(u32, Vec<OsString>)>> {
    walk(|pid| Ok(unless_ended(arguments_of(pid))?.map(|arguments| (pid, arguments))))
}

pub(super) fn arguments_of(pid: u32) -> io::Result<Vec<OsString>> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline"))?;
    let line = line.strip_suffix(b"\0").unwrap_or(&line);
    Ok(line.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect())
}

pub(super) fn open_files(pid: u32) -> Vec<(u32, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let file = |entry: std::fs::DirEntry| {
        Some((entry.file_name().to_str()?.parse().ok()?, std::fs::read_link(entry.path()).ok()?))
    };
    entries.flatten().filter_map(file).collect()
}

pub(super) fn environment_of(pid: u32) -> io::Result<Vec<(OsString, OsString)>> {
    let environment = std::fs::read(format!("/proc/{pid}/environ"))?;
    let variables = environment.split(|byte| *byte == 0).filter_map(|entry| {
        let equals = entry.iter().position(|byte| *byte == b'=')?;
        let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        Some((text(&entry[..equals]), text(&entry[equals + 1..])))
    });
    Ok(variables.collect())
}

/// Machine ids are copied with the image of a machine or a container.
pub(super) const MACHINE_IDS_ARE_FILES: bool = true;

/// # Source
/// machine-id(5): 32 hexadecimal digits, or `uninitialized` during the first boot. D-Bus keeps a copy on systems
/// without systemd.
pub(super) fn machine_id() -> io::Result<Option<String>> {
    for path in ["/etc/machine-id", "/var/lib/dbus/machine-id"] {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let id = text.trim();
        if id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Some(id.to_ascii_lowercase()));
        }
    }
    Ok(None)
}

/// # Source
/// namespaces(7): the inode number of the file identifies the namespace. `/proc/self` is our own number in the
/// namespace that `/proc` was mounted for, which need not be ours (`unshare --pid --fork` without `--mount-proc`).
pub(super) fn pid_namespace() -> io::Result<Option<u64>> {
    let me = std::process::id().to_string();
    if std::fs::read_link("/proc/self")?.as_os_str() != me.as_str() {
        return Err(io::Error::other("/proc shows another pid namespace than ours: mount it anew"));
    }
    Ok(std::fs::metadata("/proc/self/ns/pid").ok().map(|found| found.ino()))
}

/// # Source
/// proc(5): the start is counted in clock ticks since boot, and every program sees 100 of them per second (`USER_HZ`).
/// `/proc/uptime` counts the same clock in seconds.
pub(super) fn age(id: ProcessId) -> io::Result<Duration> {
    let text = std::fs::read_to_string("/proc/uptime")?;
    let up = text.split_ascii_whitespace().next().and_then(|seconds| seconds.parse::<f64>().ok());
    let up = up.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let up = up.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/uptime"))?;
    Ok(up.saturating_sub(Duration::from_millis(id.start.saturating_mul(10))))
}

pub(super) fn environment_variable(pid: u32, name: &str) -> io::Result<Option<OsString>> {
    let environment = std::fs::read(format!("/proc/{pid}/environ"))?;
    Ok(environment
        .split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        .map(|value| OsString::from_vec(value.to_vec())))
}

/// # Source
/// proc(5): `utime`, `stime`, `cutime` and `cstime`, fields 14 to 17 of `/proc/PID/stat`, in clock ticks; `USER_HZ`
/// is 100 on every Linux that Rust runs on, whatever the kernel's own rate.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    const TICK: Duration = Duration::from_millis(10);
    let text = read_stat(pid).ok()?;
    let end_of_name = text.iter().rposition(|byte| *byte == b')')?;
    let fields = std::str::from_utf8(&text[end_of_name + 1..]).ok()?;
    let ticks = fields.split_ascii_whitespace().skip(11).take(4).map(|field| field.parse::<u32>().ok());
    ticks.sum::<Option<u32>>().map(|ticks| TICK * ticks)
}

pub(super) fn own_memory_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    };
    // A field that is present and 0 is an answer; a missing field is not.
    Some(field("RssAnon:")? + field("RssShmem:").unwrap_or(0))
}

/// Code is mapped from files, privately, and never written, so dropping a page loses nothing. Other mappings are left
/// alone: relocated data looks like read-only file pages, but is not.
#[allow(unsafe_code, reason = "madvise has no safe wrapper")]
pub(super) fn release_code_pages() {
    use nix::sys::mman::{MmapAdvise, madvise};
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    for line in maps.lines().filter(|line| line.contains(" r-xp ") && line.contains('/')) {
        let Some((from, to)) = line.split_once(' ').and_then(|(range, _)| range.split_once('-')) else { continue };
        let (Ok(from), Ok(to)) = (usize::from_str_radix(from, 16), usize::from_str_radix(to, 16)) else { continue };
        let Some(start) = std::ptr::NonNull::new(std::ptr::without_provenance_mut(from)) else { continue };
        // SAFETY: the range is one whole mapping that the kernel just named: file-backed, private and executable. A
        // dropped page, this code's included, comes back unchanged with the next fault.
        let _ = unsafe { madvise(start, to - from, MmapAdvise::MADV_DONTNEED) };
    }
}

enum StatError {
    Zombie,
    Malformed,
}

/// The highest field number that is read. There are thirty more fields, and a fleet has a thousand such lines.
const LAST_FIELD: usize = 22;

/// Parses the fields of proc(5) by number: 3 state, 4 parent, 5 group, 6 session, 7 terminal, 22 start time. The name
/// in field 2 may contain spaces and parentheses, so fields are counted from the last `)`.
fn parse_stat(text: &[u8]) -> Result<Status, StatError> {
    let end_of_name = text.iter().rposition(|byte| *byte == b')').ok_or(StatError::Malformed)?;
    let text_of = |bytes| std::str::from_utf8(bytes).map_err(|_| StatError::Malformed);
    let rest = text_of(&text[end_of_name + 1..])?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().take(LAST_FIELD - 2).collect();
    let number = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<u64>().ok());
    let narrow = |field: usize| number(field).and_then(|value| u32::try_from(value).ok()).ok_or(StatError::Malformed);
    let end_of_pid = text.iter().position(|byte| *byte == b' ').ok_or(StatError::Malformed)?;
    let pid = text_of(&text[..end_of_pid])?.parse().map_err(|_| StatError::Malformed)?;
    let state = *fields.first().ok_or(StatError::Malformed)?;
    // The first thread can end before the others; the process has ended only if no other thread is left.
    if matches!(state, "X" | "x") || (state == "Z" && number(20).is_none_or(|threads| threads <= 1)) {
        return Err(StatError::Zombie);
    }
    Ok(Status {
        id: ProcessId { pid, start: number(22).ok_or(StatError::Malformed)? },
        parent: narrow(4)?,
        group: narrow(5)?,
        session: narrow(6)?,
        stopped: matches!(state, "T" | "t"),
        has_terminal: fields.get(4).is_some_and(|terminal| *terminal != "0"),
        computes: state == "R",
    })
}

#[cfg(test)]
mod tests;
