//! Cleanup of temporary files (`FILE.tmp` or `FILE.tmpPID`) whose writers were killed before the rename.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// How old a temporary file must be if its writer is not found. A write takes milliseconds, so after this time a
/// missing writer has ended, unless it is in another pid namespace.
const DEAD_FOR: Duration = Duration::from_secs(10);

/// How old it must be if its writer is unknown: only a writer that was stopped in the middle is that slow.
const OLD: Duration = Duration::from_secs(600);

/// Removes the temporary files in one directory whose final names match `ours` and whose writers are gone. Returns how
/// many. `lives` returns whether a process with this pid exists.
///
/// # Errors
/// The directory exists and cannot be listed. A file that cannot be removed is left for the next time.
pub fn sweep(dir: &Path, ours: impl Fn(&str) -> bool, lives: impl Fn(u32) -> bool) -> io::Result<usize> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        other => other?,
    };
    let mut swept = 0;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some((_, writer)) = name.to_str().and_then(temporary).filter(|(file, _)| ours(file)) else { continue };
        // The metadata of the entry itself, without following links. An entry that is gone was renamed.
        let Ok(found) = entry.metadata() else { continue };
        let age = found.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok()).unwrap_or_default();
        let left = age > OLD || (age > DEAD_FOR && writer.is_some_and(|writer| !lives(writer)));
        if left && found.is_file() && std::fs::remove_file(entry.path()).is_ok() {
            swept += 1;
        }
    }
    Ok(swept)
}

/// Returns the final name of a temporary file, and the pid of its writer if the name contains it.
pub fn temporary(name: &str) -> Option<(&str, Option<u32>)> {
    // Matched from the end, because a tick runs this for every file in the state directory.
    let before = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let (file, writer) = (before.strip_suffix(".tmp")?, &name[before.len()..]);
    if writer.is_empty() { Some((file, None)) } else { Some((file, Some(writer.parse().ok()?))) }
}
