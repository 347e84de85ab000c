//! Files of one JSON object a line, read from a position on or from the end.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::SystemTime;

use serde_json::Value;

use super::TranscriptError;

/// The first window read from the end of a file. A record is a few KiB as a rule; each further window is four times as
/// large, so that one huge record (a pasted file, an image) is found too.
const FIRST_WINDOW: u64 = 64 << 10;

/// The length of a file; 0 where there is none.
pub(super) fn length(path: &Path) -> Result<u64, TranscriptError> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(TranscriptError::io(path)(error)),
    }
}

/// The whole records after byte `position`, oldest first. A file that has become shorter was rewritten: all is new.
pub(super) fn after(path: &Path, position: u64) -> Result<Vec<Value>, TranscriptError> {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let from = if file.metadata()?.len() < position { 0 } else { position };
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) => Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(TranscriptError::io(path)(error)),
    }
}

/// The first record.
pub(super) fn first(path: &Path) -> Result<Option<Value>, TranscriptError> {
    use io::BufRead;
    let read = || -> io::Result<String> {
        let mut line = String::new();
        io::BufReader::new(File::open(path)?).read_line(&mut line)?;
        Ok(line)
    };
    match read() {
        Ok(line) => Ok(serde_json::from_str(&line).ok()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(TranscriptError::io(path)(error)),
    }
}

/// The newest record of which `pick` makes something, searched from the end.
pub(super) fn last<T>(path: &Path, pick: impl Fn(&Value) -> Option<T>) -> Result<Option<T>, TranscriptError> {
    last_line(path, |line| pick(&serde_json::from_str(line).ok()?))
}

/// The newest line of which `pick` makes something, searched from the end in growing windows.
pub(super) fn last_line<T>(path: &Path, pick: impl Fn(&str) -> Option<T>) -> Result<Option<T>, TranscriptError> {
    let mut window = FIRST_WINDOW;
    loop {
        let (text, whole) = match tail(path, window) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(TranscriptError::io(path)(error)),
        };
        // What the window cuts off at its beginning is no whole line.
        let lines = if whole { &text[..] } else { text.split_once('\n').map_or("", |(_, rest)| rest) };
        match lines.lines().rev().find_map(&pick) {
            Some(found) => return Ok(Some(found)),
            None if whole => return Ok(None),
            None => window = window.saturating_mul(4),
        }
    }
}

/// The last `window` bytes as text, and whether that is the whole file.
fn tail(path: &Path, window: u64) -> io::Result<(String, bool)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(window)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), length <= window))
}

/// The time in the newest record that has one.
pub(super) fn last_time(path: &Path) -> Result<Option<SystemTime>, TranscriptError> {
    last(path, time)
}

/// The time of a record.
pub(super) fn time(record: &Value) -> Option<SystemTime> {
    humantime::parse_rfc3339(record.get("timestamp")?.as_str()?).ok()
}

/// The text of a message's content: a string, or parts that have a `text`.
pub(super) fn content_text(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => {
            let texts: Vec<&str> = parts.iter().filter_map(|part| part.get("text")?.as_str()).collect();
            (!texts.is_empty()).then(|| texts.join("\n"))
        }
        _ => None,
    }
}
