//! The changes to a peer's files, made by the holder of its lock.

use std::path::Path;

use serde::Serialize;

use super::atomic::{self, Durability};
use super::{ClearedBy, Locked, Marker, PeerFiles, Result, SessionRecord, StoreError, Stored};
use crate::policy::health::Deaths;
use crate::policy::time::Timestamp;
use crate::policy::wake::topic_line;

/// The number of topics kept per conversation.
const MAX_TOPICS: usize = 16;

impl Locked {
    /// Returns the peer's files for reading.
    pub fn files(&self) -> &PeerFiles {
        &self.files
    }

    /// Replaces the session record.
    ///
    /// # Errors
    /// If the disk is full or the directory is read-only. The old record remains.
    pub fn write_session(&self, record: &SessionRecord) -> Result<()> {
        self.write_json("session", record)
    }

    /// Replaces the ring of counted deaths. An empty ring removes the file.
    ///
    /// # Errors
    /// As [`Locked::write_session`].
    pub fn write_deaths(&self, deaths: &Deaths) -> Result<()> {
        if deaths.is_empty() { self.remove("deaths") } else { self.write_json("deaths", deaths) }
    }

    /// Sets a marker whose only line is `now`.
    ///
    /// # Errors
    /// As [`Locked::write_session`]. A caller that wanted to send a signal next must not send it.
    pub fn mark(&self, marker: Marker, now: Timestamp) -> Result<()> {
        atomic::write(&self.files.path(marker.suffix()), format!("{now}\n").as_bytes(), Durability::Cached)
    }

    /// Removes a marker. A missing marker counts as removed.
    ///
    /// # Errors
    /// If the directory is read-only.
    pub fn unmark(&self, marker: Marker) -> Result<()> {
        self.remove(marker.suffix())
    }

    /// Removes every marker that this step clears.
    ///
    /// # Errors
    /// As [`Locked::unmark`].
    pub fn clear_markers(&self, step: ClearedBy) -> Result<()> {
        Marker::ALL.into_iter().filter(|marker| marker.cleared_by() == step).try_for_each(|marker| self.unmark(marker))
    }

    /// Removes the markers that the readiness of an incarnation consumes, if its record says that this is due. A process
    /// may be killed between the two, and a marker must not hold twice.
    ///
    /// # Errors
    /// As [`Locked::write_session`].
    pub fn consume_markers(&self, record: &mut SessionRecord) -> Result<()> {
        if record.consumes_markers {
            self.clear_markers(ClearedBy::Ready)?;
            record.consumes_markers = false;
            self.write_session(record)?;
        }
        Ok(())
    }

    /// Whether there are markers that this step clears.
    ///
    /// # Errors
    /// A file exists and cannot be read.
    pub fn has_markers(&self, step: ClearedBy) -> Result<bool> {
        let mut markers = Marker::ALL.into_iter().filter(|marker| marker.cleared_by() == step);
        markers.try_fold(false, |found, marker| Ok(found || self.files.has(marker)?))
    }

    /// Starts the topic list of a new conversation, with the given topic if there is one.
    ///
    /// # Errors
    /// As [`Locked::write_session`].
    pub fn replace_topics(&self, topic: Option<&str>) -> Result<()> {
        self.write_topics(topic.map(topic_line).into_iter().collect())
    }

    /// Adds a topic to the current conversation. A known topic moves to the end.
    ///
    /// # Errors
    /// As [`Locked::write_session`].
    pub fn add_topic(&self, topic: &str) -> Result<()> {
        let topic = topic_line(topic);
        let mut topics = self.files.topics()?;
        topics.retain(|known| *known != topic);
        topics.push(topic);
        self.write_topics(topics)
    }

    fn write_topics(&self, mut topics: Vec<String>) -> Result<()> {
        topics.retain(|topic| !topic.is_empty());
        if topics.is_empty() {
            return self.remove("topic");
        }
        let newest = topics.split_off(topics.len().saturating_sub(MAX_TOPICS));
        let text: String = newest.iter().flat_map(|topic| [topic.as_str(), "\n"]).collect();
        atomic::write(&self.files.path("topic"), text.as_bytes(), Durability::Cached)
    }

    /// Stores the last screen of an incarnation that is about to end.
    ///
    /// # Errors
    /// As [`Locked::write_session`].
    pub fn keep_screen(&self, text: &str) -> Result<()> {
        atomic::write(&self.files.path("screen"), text.as_bytes(), Durability::Cached)
    }

    /// Stores the text of the `env_file` that `peer` manages. It survives a power cut, and other users can never read
    /// it.
    ///
    /// # Errors
    /// As [`Locked::write_session`].
    pub fn keep_env(&self, text: &str) -> Result<()> {
        atomic::write(&self.files.env_file(), text.as_bytes(), Durability::Synced)
    }

    /// Removes the `env_file` that `peer` manages.
    ///
    /// # Errors
    /// If the directory is read-only.
    pub fn forget_env(&self) -> Result<()> {
        atomic::remove(&self.files.env_file())
    }

    /// Moves every file that does not parse, and corrupt content of the lock file, to `NAME.x.corrupt-TIME`. Returns
    /// the new paths and the reasons, for one report.
    ///
    /// # Errors
    /// If a file cannot be read or moved.
    pub fn set_aside_corrupt(&self, now: Timestamp) -> Result<Vec<(String, String)>> {
        let mut moved = Vec::new();
        let checks = [
            ("session", corrupt(self.files.session()?)),
            ("end", corrupt(self.files.end()?)),
            ("deaths", corrupt(self.files.deaths()?)),
        ];
        moved.extend(self.set_aside_in_lock_file(now)?);
        for (suffix, why) in checks {
            let Some(why) = why else { continue };
            if suffix == "session" {
                self.keep_above_all(now)?;
            }
            let path = self.files.path(suffix);
            let aside = self.files.path(&format!("{suffix}.corrupt-{}", now.as_ms()));
            std::fs::rename(&path, &aside).map_err(StoreError::new("set aside", &path))?;
            moved.push((aside.display().to_string(), why));
        }
        Ok(moved)
    }

    pub(super) fn write_json<T: Serialize>(&self, suffix: &str, value: &T) -> Result<()> {
        write_json(&self.files.path(suffix), value)
    }

    pub(super) fn remove(&self, suffix: &str) -> Result<()> {
        atomic::remove(&self.files.path(suffix))
    }
}

fn corrupt<T>(stored: Stored<T>) -> Option<String> {
    match stored {
        Stored::Corrupt(why) => Some(why),
        Stored::Absent | Stored::Present(_) => None,
    }
}

/// Writes JSON with one field per line, because people read these files.
pub(super) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value).expect("our records have string keys and no failing serializer");
    text.push(b'\n');
    atomic::write(path, &text, Durability::Cached)
}
