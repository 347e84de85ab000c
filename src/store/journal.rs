//! `lifecycle.log`: one decision an event, JSON Lines, rotated at 5 MiB with 5 old files kept.

use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs2::FileExt;
use peer_adapters::file;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Result, StoreError};
use crate::policy::ending::Incarnation;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;

/// A log of a fleet of 50 for about a month; larger is slow to read whole, smaller forgets last week.
const ROTATE_AT_BYTES: u64 = 5 * 1024 * 1024;
/// `lifecycle.log.1` (newest) to `.5`.
const KEPT: u32 = 5;
/// No file of the log grows longer by our hand, one line of any length included; of one that did, the end is read.
const MOST_READ: u64 = 4 * ROTATE_AT_BYTES;

/// The name of every event there is.
pub const EVENTS: [&str; 45] = [
    "agent.answered",
    "agent.waiting",
    "clients.ended",
    "conversation.changed",
    "conversation.learned",
    "hook.failed",
    "keys.pressed",
    "memory.alert",
    "memory.high",
    "message.delivered",
    "message.expired",
    "message.queued",
    "message.refused",
    "message.returned",
    "message.unconfirmed",
    "peer.added",
    "peer.edited",
    "peer.moved",
    "peer.refreshed",
    "peer.removed",
    "peer.renamed",
    "peer.reset",
    "peer.restored",
    "peer.stable",
    "peer.started",
    "peer.stopped",
    "probe.failed",
    "probe.timed-out",
    "runtime.lost",
    "self-fresh.failed",
    "self-fresh.requested",
    "server.reached",
    "session.ended",
    "session.orphan-ended",
    "session.reaped",
    "session.recovered",
    "session.released",
    "store.corrupt",
    "tick.finished",
    "turn.finished",
    "turn.started",
    "wake.decided",
    "wake.failed",
    "wake.ready",
    "wake.refused",
];

/// One event. Readers ignore names and fields that they do not know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, RFC 3339 in UTC.
    pub ts: String,
    /// What: `wake.decided`, `session.ended` …
    pub event: String,
    /// Of whom; none for an event of the whole fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<PeerName>,
    /// Of which incarnation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<Incarnation>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What else this event needs. Never pane text, never a value from an environment.
    #[serde(flatten)]
    pub details: Map<String, Value>,
    /// What a person's hooks are told beside it, and the log is not.
    #[serde(skip)]
    pub told: Map<String, Value>,
}

impl Event {
    /// An event that happened at `now`.
    pub fn new(now: Timestamp, event: &str) -> Self {
        Self {
            ts: now.to_string(),
            event: event.to_owned(),
            peer: None,
            incarnation: None,
            cause: None,
            details: Map::new(),
            told: Map::new(),
        }
    }

    /// Names the peer.
    #[must_use]
    pub fn peer(mut self, peer: &PeerName) -> Self {
        self.peer = Some(peer.clone());
        self
    }

    /// Names the incarnation.
    #[must_use]
    pub fn incarnation(mut self, incarnation: Incarnation) -> Self {
        self.incarnation = Some(incarnation);
        self
    }

    /// Gives the cause.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Adds a field; `null` values are left out.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        if !value.is_null() {
            self.details.insert(key.to_owned(), value);
        }
        self
    }

    /// Adds what only hooks are told: text from a pane, which is not for the log.
    #[must_use]
    pub fn tell(mut self, key: &str, value: Option<String>) -> Self {
        self.told.extend(value.map(|value| (key.to_owned(), Value::String(value))));
        self
    }

    /// The event as hooks are told it.
    #[must_use]
    pub fn as_told(&self) -> Self {
        let mut event = self.clone();
        event.details.extend(std::mem::take(&mut event.told));
        event
    }
}

/// The log file and its rotated predecessors.
#[derive(Clone, Debug)]
pub struct Journal {
    path: PathBuf,
    listener: Option<Listener>,
}

/// Who hears of each event.
#[derive(Clone)]
pub(super) struct Listener(Arc<dyn Fn(&Event) + Send + Sync>);

impl Listener {
    pub(super) fn new(hears: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hears))
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

impl Journal {
    pub(super) fn new(path: PathBuf, listener: Option<Listener>) -> Self {
        Self { path, listener }
    }

    /// Where the newest events are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one event as one line. Blocks only while another `peer` writes its own line or rotates.
    ///
    /// # Errors
    /// The disk is full or the directory read-only.
    pub fn append(&self, event: &Event) -> Result<()> {
        debug_assert!(EVENTS.contains(&event.event.as_str()), "{} is in no list", event.event);
        let mut line = serde_json::to_vec(event).expect("an event is plain data");
        line.push(b'\n');
        let mut file = self.open_locked()?;
        file.write_all(&line).map_err(StoreError::new("append to", &self.path))?;
        // Closed first: nobody else's line waits for whoever listens.
        drop(file);
        if let Some(listener) = &self.listener {
            (listener.0)(event);
        }
        Ok(())
    }

    /// Opens the current log with its lock held, rotating it first where it has grown too large.
    fn open_locked(&self) -> Result<File> {
        loop {
            let file = file::append(&self.path).map_err(StoreError::new("open", &self.path))?;
            FileExt::lock_exclusive(&file).map_err(StoreError::new("lock", &self.path))?;
            let ours = file.metadata().map_err(StoreError::new("read", &self.path))?;
            // Somebody may have rotated the file away between open and lock.
            let current = fs::metadata(&self.path).is_ok_and(|meta| meta.ino() == ours.ino());
            if !current {
                continue;
            }
            if ours.len() < ROTATE_AT_BYTES {
                return Ok(file);
            }
            self.rotate()?;
        }
    }

    fn rotated(&self, number: u32) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        name.into()
    }

    fn rotate(&self) -> Result<()> {
        for number in (1..KEPT).rev() {
            let from = self.rotated(number);
            if from.exists() {
                fs::rename(&from, self.rotated(number + 1)).map_err(StoreError::new("rotate", &from))?;
            }
        }
        fs::rename(&self.path, self.rotated(1)).map_err(StoreError::new("rotate", &self.path))
    }

    /// A reader that first gives every event that is kept, oldest first, and then what comes.
    pub fn tail(&self) -> Tail {
        Tail { journal: self.clone(), open: None }
    }

    /// All events that are kept, oldest first; lines that do not parse are passed over.
    ///
    /// # Errors
    /// A file is there and cannot be read.
    pub fn read_all(&self) -> Result<Vec<Event>> {
        self.tail().next_events()
    }
}

/// Reads the log as it grows, across rotations.
#[derive(Debug)]
pub struct Tail {
    journal: Journal,
    open: Option<(BufReader<File>, Vec<u8>)>,
}

impl Tail {
    /// The events since the last call; all that are kept at the first. Does not block.
    ///
    /// # Errors
    /// A file is there and cannot be read.
    pub fn next_events(&mut self) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        if self.open.is_none() {
            for number in (1..=KEPT).rev() {
                if let Some(mut old) = open(&self.journal.rotated(number))? {
                    drain(&mut old, &mut Vec::new(), &mut events)
                        .map_err(StoreError::new("read", &self.journal.path))?;
                }
            }
        }
        loop {
            let Some((reader, partial)) = &mut self.open else {
                match open(&self.journal.path)? {
                    Some(reader) => self.open = Some((reader, Vec::new())),
                    None => return Ok(events),
                }
                continue;
            };
            let read = || StoreError::new("read", &self.journal.path);
            // Looked at before reading: what is written after the rotation stands in the new file.
            let ours = reader.get_ref().metadata().map_err(read())?.ino();
            let rotated = fs::metadata(&self.journal.path).is_ok_and(|meta| meta.ino() != ours);
            drain(reader, partial, &mut events).map_err(read())?;
            if !rotated {
                return Ok(events);
            }
            self.open = None;
            if let Some(reader) = open(&self.journal.path)? {
                self.open = Some((reader, Vec::new()));
            }
        }
    }
}

fn open(path: &Path) -> Result<Option<BufReader<File>>> {
    match file::open(path).and_then(newest_part) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some).map_err(StoreError::new("read", path)),
    }
}

/// From the beginning of a file that we wrote; from its last part of one that is longer than we let any grow.
fn newest_part(mut file: File) -> std::io::Result<BufReader<File>> {
    let length = file.metadata()?.len();
    if length <= MOST_READ {
        return Ok(BufReader::new(file));
    }
    // One byte earlier, because what follows a line's end is a whole line.
    file.seek(SeekFrom::Start(length - MOST_READ - 1))?;
    let mut reader = BufReader::new(file);
    reader.skip_until(b'\n')?;
    Ok(reader)
}

/// Reads whole lines into events; `partial` keeps the beginning of a line whose end is not written yet.
fn drain(reader: &mut BufReader<File>, partial: &mut Vec<u8>, events: &mut Vec<Event>) -> std::io::Result<()> {
    while reader.read_until(b'\n', partial)? > 0 {
        if partial.last() == Some(&b'\n') {
            events.extend(serde_json::from_slice(partial).ok());
            partial.clear();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_five_old_files_and_every_line_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let journal = Journal::new(dir.path().join("lifecycle.log"), None);
        let filler = "x".repeat(64 * 1024);
        let event = Event::new(Timestamp::from_ms(0), "tick.finished").with("filler", filler);
        for _ in 0..600 {
            journal.append(&event).expect("append");
        }
        let mut files: Vec<_> = fs::read_dir(dir.path())
            .expect("list")
            .map(|entry| entry.expect("entry").file_name().into_string().expect("text"))
            .collect();
        files.sort();
        let expected: Vec<String> =
            std::iter::once("lifecycle.log".to_owned()).chain((1..=5).map(|n| format!("lifecycle.log.{n}"))).collect();
        assert_eq!(files, expected);
        assert!(journal.read_all().expect("read").iter().all(|read| *read == event));
    }

    #[test]
    fn two_writers_never_tear_a_line() {
        let dir = tempfile::tempdir().expect("a directory");
        let journal = Journal::new(dir.path().join("lifecycle.log"), None);
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let journal = journal.clone();
                scope.spawn(move || {
                    for n in 0..100 {
                        let event = Event::new(Timestamp::from_ms(n), "tick.finished").with("writer", writer);
                        journal.append(&event).expect("append");
                    }
                });
            }
        });
        assert_eq!(journal.read_all().expect("read").len(), 800);
    }
}
