//! The decision log (`lifecycle.log`): one event per line as JSON Lines, rotated at 5 MiB with 5 old files kept.

use std::fmt;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fs2::FileExt;
use peer_adapters::file;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Result, StoreError};
use crate::policy::ending::Incarnation;
use crate::policy::event::EventName;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;

mod tail;

#[cfg(feature = "top")]
pub use tail::Tail;

/// A fleet of 50 fills this in about a month. A larger file is slow to read as a whole; a smaller one loses last week.
const ROTATE_AT_BYTES: u64 = 5 * 1024 * 1024;
/// `lifecycle.log.1` (newest) to `.5`.
const KEPT: u32 = 5;

/// One event. Readers ignore names and fields that they do not know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When it happened, as RFC 3339 in UTC.
    pub ts: String,
    /// The name of the event: `wake.decided`, `session.ended` …
    pub event: String,
    /// The peer concerned; `None` for an event of the whole fleet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<PeerName>,
    /// The incarnation concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<Incarnation>,
    /// The cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Further fields. Never pane text, and never a value from an environment.
    #[serde(flatten)]
    pub details: Map<String, Value>,
    /// Fields that only the user's hooks receive, and the log does not.
    #[serde(skip)]
    pub hook_details: Map<String, Value>,
}

impl Event {
    /// Whether this is an event of that name.
    pub fn is(&self, name: EventName) -> bool {
        self.event == name.as_str()
    }

    /// Creates an event that happened at `now`.
    pub fn new(now: Timestamp, event: EventName) -> Self {
        Self {
            ts: now.to_string(),
            event: event.as_str().to_owned(),
            peer: None,
            incarnation: None,
            cause: None,
            details: Map::new(),
            hook_details: Map::new(),
        }
    }

    /// Sets the peer.
    #[must_use]
    pub fn peer(mut self, peer: &PeerName) -> Self {
        self.peer = Some(peer.clone());
        self
    }

    /// Sets the incarnation.
    #[must_use]
    pub fn incarnation(mut self, incarnation: Incarnation) -> Self {
        self.incarnation = Some(incarnation);
        self
    }

    /// Sets the cause.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Adds a field. A `null` value is left out.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        if !value.is_null() {
            self.details.insert(key.to_owned(), value);
        }
        self
    }

    /// Adds a field that only hooks receive: text from a pane, which must not be logged.
    #[must_use]
    pub fn with_for_hooks(mut self, key: &str, value: Option<String>) -> Self {
        self.hook_details.extend(value.map(|value| (key.to_owned(), Value::String(value))));
        self
    }

    /// Returns the event with the fields for hooks.
    #[must_use]
    pub fn for_hooks(&self) -> Self {
        let mut event = self.clone();
        event.details.extend(std::mem::take(&mut event.hook_details));
        event
    }
}

/// The log file and its rotated predecessors.
#[derive(Clone, Debug)]
pub struct Journal {
    path: PathBuf,
    listener: Option<Listener>,
}

/// A callback that receives each event.
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

    /// Returns the path of the current log file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends one event as one line. Blocks only while another `peer` writes its own line or rotates the log.
    ///
    /// # Errors
    /// If the disk is full or the directory is read-only.
    pub fn append(&self, event: &Event) -> Result<()> {
        let mut line = serde_json::to_vec(event).expect("an event is plain data");
        line.push(b'\n');
        let mut file = self.open_locked()?;
        file.write_all(&line).map_err(StoreError::new("append to", &self.path))?;
        // Closed first, so that no other process's line waits for the listener.
        drop(file);
        if let Some(listener) = &self.listener {
            (listener.0)(event);
        }
        Ok(())
    }

    /// Opens the current log and locks it, rotating it first if it is too large.
    fn open_locked(&self) -> Result<File> {
        loop {
            let file = file::append(&self.path).map_err(StoreError::new("open", &self.path))?;
            FileExt::lock_exclusive(&file).map_err(StoreError::new("lock", &self.path))?;
            let ours = file.metadata().map_err(StoreError::new("read", &self.path))?;
            // Another process may have rotated the file between open and lock.
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

    /// Returns all kept events, oldest first. Lines that do not parse are skipped.
    ///
    /// # Errors
    /// If a file exists and cannot be read.
    pub fn read_all(&self) -> Result<Vec<Event>> {
        self.tail().next_events()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_five_old_files_and_every_line_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let journal = Journal::new(dir.path().join("lifecycle.log"), None);
        let filler = "x".repeat(64 * 1024);
        let event = Event::new(Timestamp::from_ms(0), EventName::TickFinished).with("filler", filler);
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
                        let event = Event::new(Timestamp::from_ms(n), EventName::TickFinished).with("writer", writer);
                        journal.append(&event).expect("append");
                    }
                });
            }
        });
        assert_eq!(journal.read_all().expect("read").len(), 800);
    }
}
