//! Queued messages, one file each: `inbox/NAME/N.message`; `N.taken` while an ephemeral worker has it.
//!
//! A sender must not wait for a process that holds the peer's lock, so a message is added under a separate lock of the
//! inbox. It is changed and removed only under the peer's lock.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::atomic::{self, Durability};
use super::records::Unseen;
use super::{Locked, PeerFiles, Result, StateDir, StoreError, Stored};
use crate::policy::ending::Incarnation;
use crate::policy::inbox::Afterwards;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;

mod senders;

pub(super) const DIR: &str = "inbox";
const WAITS: &str = "message";
const DEAD: &str = "dead";
const TAKEN: &str = "taken";

/// A queued message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// Its number in this inbox. A number is never assigned twice.
    pub id: u64,
    /// When it was queued.
    pub at_ms: Timestamp,
    /// The peer whose agent sent it; `None` for the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<PeerName>,
    /// The number of agents' messages in the chain that led to it, including itself; 0 for a person's message.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hops: u32,
    /// Its topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// The earliest time of its delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before_ms: Option<Timestamp>,
    /// The text of the message.
    pub text: String,
    /// How many times it was typed but not confirmed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub tries: u32,
    /// The ephemeral worker that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<Incarnation>,
    /// How often a worker died with it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub returned: u32,
    /// The delivery that was begun and is not known to have finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<StartedDelivery>,
    /// Why the last delivery attempt failed, or why the message will not be delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A delivery that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedDelivery {
    /// The incarnation that it was begun to.
    pub incarnation: Incarnation,
    /// When it was begun.
    pub at_ms: Timestamp,
    /// The text that was typed: the message and what precedes it.
    pub said: String,
    /// Where to look for it; `None` if the agent keeps no transcript.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<Unseen>,
}

/// The content of an inbox.
#[derive(Clone, Debug, Default)]
pub struct Inbox {
    /// Messages that wait for delivery, ordered by number.
    pub waiting: Vec<Queued>,
    /// Messages that ephemeral workers have and have not reported as done.
    pub taken: Vec<Queued>,
    /// Messages that will not be delivered.
    pub dead: Vec<Queued>,
    /// Files that do not parse, with the reason. They do not hold up other messages.
    pub unreadable: Vec<(PathBuf, String)>,
}

impl StateDir {
    /// Sweeps each inbox, and returns how many files were removed.
    pub(super) fn sweep_inboxes(&self, sweep: impl Fn(&Path) -> io::Result<usize>) -> Result<usize> {
        let dirs = listed(&self.root().join(DIR))?;
        let dirs =
            dirs.iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(fs::DirEntry::path);
        dirs.map(|dir| sweep(&dir).map_err(StoreError::new("list", &dir))).sum()
    }

    /// Creates the directory of a peer's inbox if it is missing.
    pub(super) fn make_inbox(&self, name: &PeerName) -> Result<()> {
        let dir = self.root().join(DIR);
        private_dir(&dir)?;
        private_dir(&dir.join(name.as_str()))
    }

    /// Returns the number of waiting messages of each peer that has any, or why its inbox cannot be listed. Lists every
    /// non-empty inbox.
    ///
    /// # Errors
    /// If the directory of the inboxes cannot be listed.
    pub fn mail(&self) -> Result<BTreeMap<PeerName, Result<usize>>> {
        let mut mail = BTreeMap::new();
        for entry in listed(&self.root().join(DIR))? {
            let Some(name) = entry.file_name().to_str().and_then(|name| name.parse::<PeerName>().ok()) else {
                continue;
            };
            let waiting = numbers(&entry.path()).map(|all| all.iter().filter(|(_, kind)| *kind == WAITS).count());
            if !matches!(waiting, Ok(0)) {
                mail.insert(name, waiting);
            }
        }
        Ok(mail)
    }
}

/// Whether a file has the name of one of an inbox.
pub(super) fn is_message(file: &str) -> bool {
    number(file).is_some()
}

impl PeerFiles {
    /// Returns the whole inbox.
    ///
    /// # Errors
    /// If it cannot be listed, or a file cannot be read.
    pub fn inbox(&self) -> Result<Inbox> {
        let mut inbox = Inbox::default();
        for (id, kind) in self.numbered()? {
            let path = self.message_path(id, kind);
            match read(&path)? {
                Stored::Present(message) if kind == WAITS => inbox.waiting.push(message),
                Stored::Present(message) if kind == TAKEN => inbox.taken.push(message),
                Stored::Present(message) => inbox.dead.push(message),
                Stored::Corrupt(why) => inbox.unreadable.push((path, why)),
                Stored::Absent => {}
            }
        }
        Ok(inbox)
    }

    /// Returns the first message that may be delivered at `now`. Reads no more files than necessary.
    ///
    /// # Errors
    /// As [`PeerFiles::inbox`].
    pub fn first_due(&self, now: Timestamp) -> Result<Option<Queued>> {
        for (id, _) in self.numbered()?.into_iter().filter(|(_, kind)| *kind == WAITS) {
            if let Stored::Present(message) = read(&self.message_path(id, WAITS))?
                && message.not_before_ms.is_none_or(|at| at <= now)
            {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// Returns the messages that ephemeral workers have. If there are none, no file is read.
    ///
    /// # Errors
    /// As [`PeerFiles::inbox`].
    pub fn taken(&self) -> Result<Vec<Queued>> {
        let taken = self.numbered()?.into_iter().filter(|(_, kind)| *kind == TAKEN);
        let read = taken.map(|(id, kind)| Ok(read(&self.message_path(id, kind))?.present()));
        read.filter_map(Result::transpose).collect()
    }

    /// Whether this message is still waiting.
    pub fn waits(&self, id: u64) -> bool {
        self.message_path(id, WAITS).exists()
    }

    /// Returns the paths of the inbox's files.
    pub(super) fn of_inbox(&self) -> Result<Vec<PathBuf>> {
        Ok(self.numbered()?.into_iter().map(|(id, kind)| self.message_path(id, kind)).collect())
    }

    fn numbered(&self) -> Result<Vec<(u64, &'static str)>> {
        let mut found = numbers(&self.inbox_dir())?;
        found.sort_unstable();
        Ok(found)
    }

    pub(super) fn inbox_dir(&self) -> PathBuf {
        self.root.join(DIR).join(self.name.as_str())
    }

    fn message_path(&self, id: u64, kind: &str) -> PathBuf {
        self.inbox_dir().join(format!("{id}.{kind}"))
    }
}

impl Locked {
    /// Replaces a waiting message.
    ///
    /// # Errors
    /// As [`StateDir::queue`]. The caller must not go on with the action that it wanted to record.
    pub fn keep_message(&self, message: &Queued) -> Result<()> {
        write(&self.files().message_path(message.id, WAITS), message)
    }

    /// Removes a message. A missing message counts as removed.
    ///
    /// # Errors
    /// If the directory is read-only.
    pub fn drop_message(&self, id: u64) -> Result<()> {
        let path = self.files().message_path(id, WAITS);
        atomic::remove(&path)?;
        self.tidy_inbox(&path)
    }

    /// Gives a queued message to the ephemeral worker `by`, and removes it from the queue.
    ///
    /// # Errors
    /// As [`Locked::keep_message`].
    pub fn take_message(&self, message: &Queued, by: Incarnation) -> Result<()> {
        let taken = Queued { taken: Some(by), begun: None, why: None, ..message.clone() };
        write(&self.files().message_path(message.id, TAKEN), &taken)?;
        self.drop_message(message.id)
    }

    /// Settles a message whose worker has ended: done, queued again, or put aside. Repeating it after a kill is safe.
    ///
    /// # Errors
    /// As [`Locked::keep_message`].
    pub fn settle_taken(&self, message: &Queued, becomes: Afterwards) -> Result<()> {
        let [waits, dead, taken] = [WAITS, DEAD, TAKEN].map(|kind| self.files().message_path(message.id, kind));
        match becomes {
            Afterwards::Done => atomic::remove(&waits)?,
            // A queued message without a begun delivery has been given back already.
            Afterwards::Again { .. } => match read(&waits)?.present() {
                Some(given_back) if given_back.begun.is_none() => {}
                _ => write(&waits, message)?,
            },
            Afterwards::PutAside => {
                write(&dead, message)?;
                atomic::remove(&waits)?;
            }
        }
        atomic::remove(&taken)?;
        self.tidy_inbox(&taken)
    }

    /// Puts aside a message that will not be delivered. Its `why` must hold the reason.
    ///
    /// # Errors
    /// As [`Locked::keep_message`].
    pub fn expire_message(&self, message: &Queued) -> Result<()> {
        write(&self.files().message_path(message.id, DEAD), message)?;
        self.drop_message(message.id)
    }

    /// Removes the directory if it is empty.
    pub(super) fn clear_inbox(&self) {
        let _ = fs::remove_dir(self.files().inbox_dir());
    }

    /// Syncs the directory so that a power cut does not bring a message back, and removes it if it is empty, so that no
    /// tick lists an empty inbox.
    fn tidy_inbox(&self, path: &Path) -> Result<()> {
        match atomic::sync_directory_of(path) {
            Ok(()) => {}
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        self.clear_inbox();
        Ok(())
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(tries: &u32) -> bool {
    *tries == 0
}

fn private_dir(path: &Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(StoreError::new("create", path)(error)),
        _ => Ok(()),
    }
}

fn listed(dir: &Path) -> Result<Vec<fs::DirEntry>> {
    match fs::read_dir(dir) {
        Ok(entries) => entries.collect::<io::Result<_>>().map_err(StoreError::new("list", dir)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(StoreError::new("list", dir)(error)),
    }
}

fn numbers(dir: &Path) -> Result<Vec<(u64, &'static str)>> {
    Ok(listed(dir)?.into_iter().filter_map(|entry| number(entry.file_name().to_str()?)).collect())
}

/// Returns the number and the kind of a message's file, by its name.
fn number(file: &str) -> Option<(u64, &'static str)> {
    let (id, kind) = file.split_once('.')?;
    let kind = [WAITS, DEAD, TAKEN].into_iter().find(|known| *known == kind)?;
    Some((id.parse().ok()?, kind))
}

fn read(path: &Path) -> Result<Stored<Queued>> {
    Ok(super::read_text(path)?.parse())
}

fn write(path: &Path, message: &Queued) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(message).expect("a message is plain data");
    text.push(b'\n');
    atomic::write(path, &text, Durability::Synced)
}
