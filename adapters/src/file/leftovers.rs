//! Temporary files of writers that were killed before they renamed them: `FILE.tmp`, or `FILE.tmpPID`.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A write takes milliseconds. A writer that is not there has not been for this long, unless it is in another pid namespace.
const DEAD_FOR: Duration = Duration::from_secs(10);

/// The same where it cannot be told who writes: only one that was stopped in the middle is that slow.
const OLD: Duration = Duration::from_secs(600);

/// Removes the temporary files in one directory whose names, without what makes them temporary, are `ours`, and whose writers
/// are gone; how many. `lives` tells whether there is a process of this number.
///
/// # Errors
/// The directory is there and cannot be listed. What cannot be removed is left for the next time.
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
        // Of the entry itself, a link not followed; one that is gone was renamed.
        let Ok(found) = entry.metadata() else { continue };
        let age = found.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok()).unwrap_or_default();
        let left = age > OLD || (age > DEAD_FOR && writer.is_some_and(|writer| !lives(writer)));
        if left && found.is_file() && std::fs::remove_file(entry.path()).is_ok() {
            swept += 1;
        }
    }
    Ok(swept)
}

/// The file that a temporary one was to become, and the process that writes it where its name tells.
pub fn temporary(name: &str) -> Option<(&str, Option<u32>)> {
    // From its end: a tick asks this of every file there is.
    let before = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let (file, writer) = (before.strip_suffix(".tmp")?, &name[before.len()..]);
    if writer.is_empty() { Some((file, None)) } else { Some((file, Some(writer.parse().ok()?))) }
}
