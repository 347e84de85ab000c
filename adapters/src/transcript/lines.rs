//! Files with one JSON object per line, read from a position on or from the end.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

use super::{Entry, Glance, TranscriptError, entries};
use crate::file;

/// The first window read from the end of a file. A record normally has a few KiB. Each further window is four times as
/// large, so that one huge record (a pasted file, an image) is found too.
const FIRST_WINDOW: u64 = 64 << 10;

/// The last window: four steps from the first. What matters is at the end; reading further would take longer than a
/// user waits for a list.
pub(super) const MAX_WINDOW: u64 = file::MOST;

/// The longest first record that is read: Codex writes its instructions into it, some 20 KiB.
const FIRST_RECORD: u64 = 4 << 20;

/// How much of a file's beginning is read for its first words: Claude Code and Codex write some 100 KiB of instructions
/// before them.
const BEGINNING: u64 = 1 << 20;

/// Returns the length of a file; 0 if it does not exist.
pub(super) fn length(path: &Path) -> Result<u64, TranscriptError> {
    file::length(path).map(Option::unwrap_or_default).map_err(TranscriptError::io(path))
}

/// Returns `true` if the file exists.
pub(super) fn exists(path: &Path) -> Result<bool, TranscriptError> {
    file::exists(path).map_err(TranscriptError::io(path))
}

/// Returns the complete records after byte `position`, oldest first; of a long rest, the last 16 MiB. A file that has
/// become shorter was rewritten: everything in it is new.
pub(super) fn after(path: &Path, position: u64) -> Result<Vec<Value>, TranscriptError> {
    each_after(path, position, |record| Some(record.clone()))
}

/// Applies `pick` to the complete records after byte `position`, as for [`after`], holding only one record at a time.
pub(super) fn each_after<T>(
    path: &Path,
    position: u64,
    mut pick: impl FnMut(&Value) -> Option<T>,
) -> Result<Vec<T>, TranscriptError> {
    let read = || -> io::Result<String> {
        let file = file::open(path)?;
        let length = file.metadata()?.len();
        let from = if length < position { 0 } else { position };
        let bytes = file::part(&file, from.max(length.saturating_sub(MAX_WINDOW)), MAX_WINDOW)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) => Ok(text.lines().filter_map(|line| pick(&serde_json::from_str(line).ok()?)).collect()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(TranscriptError::io(path)(error)),
    }
}

/// Returns the times and the first words of a conversation from its beginning and its end; `entry` parses a record.
pub(super) fn glance(path: PathBuf, entry: impl Fn(&Value) -> Option<Entry>) -> Result<Glance, TranscriptError> {
    let read = || file::part(&file::open(&path)?, 0, BEGINNING);
    let beginning = read().map_err(TranscriptError::io(&path))?;
    let beginning = String::from_utf8_lossy(&beginning);
    let records = || beginning.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let first_at = records().find_map(|record| time(&record));
    let first_words = entries::first_words(records().filter_map(|record| entry(&record)));
    Ok(Glance { first_at, first_words, last_at: last_time(&path)?, path })
}

/// Returns the complete records from `since` on, oldest first; a record without a time counts as new. Of a long file,
/// the last 16 MiB.
pub(super) fn since(path: &Path, since: SystemTime) -> Result<Vec<Value>, TranscriptError> {
    let mut records = after(path, 0)?;
    records.retain(|record| time(record).is_none_or(|at| at >= since));
    Ok(records)
}

/// Returns the first record.
pub(super) fn first(path: &Path) -> Result<Option<Value>, TranscriptError> {
    use io::{BufRead, Read};
    let read = || -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        io::BufReader::new(file::open(path)?.take(FIRST_RECORD)).read_until(b'\n', &mut line)?;
        Ok(line)
    };
    match read() {
        Ok(line) => Ok(serde_json::from_slice(&line).ok()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(TranscriptError::io(path)(error)),
    }
}

/// Returns `pick`'s result for the newest record that has one, searching from the end.
pub(super) fn last<T>(path: &Path, pick: impl Fn(&Value) -> Option<T>) -> Result<Option<T>, TranscriptError> {
    last_line(path, |line| pick(&serde_json::from_str(line).ok()?))
}

/// Returns `pick`'s result for the newest line that has one, searching from the end in growing windows.
pub(super) fn last_line<T>(path: &Path, pick: impl Fn(&str) -> Option<T>) -> Result<Option<T>, TranscriptError> {
    let mut window = FIRST_WINDOW;
    loop {
        let (text, whole) = match tail(path, window) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(TranscriptError::io(path)(error)),
        };
        // The window cuts off its first line.
        let lines = if whole { &text[..] } else { text.split_once('\n').map_or("", |(_, rest)| rest) };
        match lines.lines().rev().find_map(&pick) {
            Some(found) => return Ok(Some(found)),
            None if whole => return Ok(None),
            // What was wanted may be further up: nothing is known.
            None if window >= MAX_WINDOW => {
                let what = format!("its last {} MiB hold no record that tells", MAX_WINDOW >> 20);
                return Err(TranscriptError::io(path)(io::Error::new(ErrorKind::InvalidData, what)));
            }
            None => window = window.saturating_mul(4),
        }
    }
}

/// Returns the last `window` bytes as text, and whether that is the whole file.
fn tail(path: &Path, window: u64) -> io::Result<(String, bool)> {
    let file = file::open(path)?;
    let length = file.metadata()?.len();
    let bytes = file::part(&file, length.saturating_sub(window), window)?;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), length <= window))
}

/// Returns the time of the newest record that has one.
pub(super) fn last_time(path: &Path) -> Result<Option<SystemTime>, TranscriptError> {
    last(path, time)
}

/// Returns the time of a record.
pub(super) fn time(record: &Value) -> Option<SystemTime> {
    humantime::parse_rfc3339(record.get("timestamp")?.as_str()?).ok()
}

/// Returns the texts of a message's content: a string, or parts that have a `text`. Any of them may be what was said;
/// the agent adds others.
pub(super) fn content_texts(content: &Value) -> Vec<String> {
    match content {
        Value::String(text) => vec![text.clone()],
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text")?.as_str()).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}
