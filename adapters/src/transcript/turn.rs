//! Whether a turn is in progress: a record counts only for the process that is alive.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::TranscriptError;

/// Returns whether a turn is in progress, by the newest record about turns: `(it continues, its time)`.
///
/// A record from before the process started belongs to an earlier process, which was killed in the middle of its turn.
pub(super) fn turn_of(pid: u32, newest: Option<(bool, SystemTime)>) -> Result<Option<bool>, TranscriptError> {
    let Some((goes_on, time)) = newest else { return Ok(None) };
    if !goes_on {
        return Ok(Some(false));
    }
    let started = started(pid).map_err(TranscriptError::io(Path::new("/proc/stat")))?;
    Ok(started.map(|started| time >= started))
}

/// Returns when a live process started, by the wall clock; up to 2 s early.
#[cfg(target_os = "linux")]
fn started(pid: u32) -> io::Result<Option<SystemTime>> {
    // USER_HZ is 100 on every Linux that Rust runs on, whatever the kernel's own rate (proc(5)).
    const TICKS: u64 = 100;
    // `btime` is in whole seconds and moves with the clock. Better to take an old turn for a new one than the reverse.
    const SLACK: u64 = 2;
    let Some(process) = crate::process::status(pid)? else { return Ok(None) };
    let text = crate::file::read_to_string(Path::new("/proc/stat"), crate::file::MOST)?;
    let boot = text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<u64>().ok());
    let since = boot.map(|boot| (boot + process.id.start / TICKS).saturating_sub(SLACK));
    Ok(since.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)))
}

/// Returns when a live process started: its identity is that time, in microseconds.
#[cfg(not(target_os = "linux"))]
fn started(pid: u32) -> io::Result<Option<SystemTime>> {
    let process = crate::process::status(pid)?;
    Ok(process.map(|process| SystemTime::UNIX_EPOCH + Duration::from_micros(process.id.start)))
}
