//! Messages that wait for their peer: `inbox/NAME/N.message`, a file each; `N.taken` while a worker of one message has it.
//!
//! A sender must not wait for whoever works on the peer, so a message comes in under a lock of the inbox's own; it is changed and
//! goes away under the peer's lock alone.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt as _};
use std::path::{Path, PathBuf};

use fs2::FileExt;
use peer_adapters::file;
use serde::{Deserialize, Serialize};

use super::atomic::{self, Durability};
use super::records::Unseen;
use super::{Locked, PeerFiles, Result, StateDir, StoreError, Stored};
use crate::policy::ending::Incarnation;
use crate::policy::inbox::Afterwards;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;

const DIR: &str = "inbox";
const WAITS: &str = "message";
const DEAD: &str = "dead";
const TAKEN: &str = "taken";

/// A message that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// Its number in this inbox; none is given twice.
    pub id: u64,
    /// When it came.
    pub at_ms: Timestamp,
    /// The peer whose agent sent it; none for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<PeerName>,
    /// How many messages of agents led to it, this one with them; 0 for a person's.
    #[serde(default, skip_serializing_if = "is_none")]
    pub hops: u32,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// It is not delivered before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before_ms: Option<Timestamp>,
    /// What is to be said.
    pub text: String,
    /// How often it was typed and not seen to arrive.
    #[serde(default, skip_serializing_if = "is_none")]
    pub tries: u32,
    /// Which worker of one message has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<Incarnation>,
    /// How often a worker died with it.
    #[serde(default, skip_serializing_if = "is_none")]
    pub returned: u32,
    /// Its delivery was begun, and is not known to have come to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<Begun>,
    /// Why it was not delivered when that was tried last, or will not be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A delivery that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// To which incarnation.
    pub incarnation: Incarnation,
    /// When.
    pub at_ms: Timestamp,
    /// What was typed: the message with what stands in front of it.
    pub said: String,
    /// Where it is looked for; none for an agent that writes down nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<Unseen>,
}

/// What is in an inbox.
#[derive(Clone, Debug, Default)]
pub struct Inbox {
    /// What waits, in the order of its numbers.
    pub waiting: Vec<Queued>,
    /// What a worker of one message has, and has not said that it is done with.
    pub taken: Vec<Queued>,
    /// What will not be delivered.
    pub dead: Vec<Queued>,
    /// Files that do not parse, and why. They hold up nobody else.
    pub unreadable: Vec<(PathBuf, String)>,
}

impl StateDir {
    /// Puts a message into an inbox under the next number, which it returns once it is on disk. Waits for nobody but another sender.
    ///
    /// # Errors
    /// The disk is full or the directory read-only: the message is not queued.
    pub fn queue(&self, name: &PeerName, message: &Queued) -> Result<u64> {
        let dir = self.root().join(DIR);
        private_dir(&dir)?;
        let path = dir.join(format!("{name}.lock"));
        let counter = file::open_or_create(&path).map_err(StoreError::new("open", &path))?;
        FileExt::lock_exclusive(&counter).map_err(StoreError::new("lock", &path))?;
        let messages = dir.join(name.as_str());
        let last = file::read_to_string(&path, file::MOST).ok().and_then(|text| text.trim().parse::<u64>().ok());
        let highest = numbers(&messages)?.into_iter().map(|(id, _)| id).max();
        let id = last.max(highest).unwrap_or(0) + 1;
        // Before the message: a number that is given to nobody harms nobody.
        let text = format!("{id}\n");
        let written = counter.write_all_at(text.as_bytes(), 0).and_then(|()| counter.sync_all());
        written.map_err(StoreError::new("write", &path))?;
        let message = Queued { id, ..message.clone() };
        loop {
            private_dir(&messages)?;
            match write(&messages.join(format!("{id}.{WAITS}")), &message) {
                // Whoever delivered the last one took the empty directory away this moment.
                Err(error) if error.source.kind() == io::ErrorKind::NotFound => {}
                written => break written?,
            }
        }
        atomic::sync_directory_of(&messages)?;
        Ok(id)
    }

    /// Sweeps each inbox; how many files went.
    pub(super) fn sweep_inboxes(&self, sweep: impl Fn(&Path) -> io::Result<usize>) -> Result<usize> {
        let dirs = listed(&self.root().join(DIR))?;
        let dirs =
            dirs.iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(fs::DirEntry::path);
        dirs.map(|dir| sweep(&dir).map_err(StoreError::new("list", &dir))).sum()
    }

    /// Who has messages that wait, and how many. One look at each inbox that is not empty.
    ///
    /// # Errors
    /// A directory cannot be listed.
    pub fn mail(&self) -> Result<BTreeMap<PeerName, usize>> {
        let mut mail = BTreeMap::new();
        for entry in listed(&self.root().join(DIR))? {
            let Some(name) = entry.file_name().to_str().and_then(|name| name.parse::<PeerName>().ok()) else {
                continue;
            };
            let waiting = numbers(&entry.path())?.into_iter().filter(|(_, kind)| *kind == WAITS).count();
            if waiting > 0 {
                mail.insert(name, waiting);
            }
        }
        Ok(mail)
    }
}

impl PeerFiles {
    /// Everything in the inbox.
    ///
    /// # Errors
    /// It cannot be listed, or a file cannot be read.
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

    /// The first message that may be delivered at `now`. Reads no more files than it must.
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

    /// What workers of one message have. No file is read where nobody has one.
    ///
    /// # Errors
    /// As [`PeerFiles::inbox`].
    pub fn taken(&self) -> Result<Vec<Queued>> {
        let taken = self.numbered()?.into_iter().filter(|(_, kind)| *kind == TAKEN);
        let read = taken.map(|(id, kind)| Ok(read(&self.message_path(id, kind))?.present()));
        read.filter_map(Result::transpose).collect()
    }

    /// Whether a message waits.
    pub fn waits(&self, id: u64) -> bool {
        self.message_path(id, WAITS).exists()
    }

    /// Files of the inbox.
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
    /// Replaces a message that waits.
    ///
    /// # Errors
    /// As [`StateDir::queue`]: what was to be done with it must not be.
    pub fn keep_message(&self, message: &Queued) -> Result<()> {
        write(&self.files().message_path(message.id, WAITS), message)
    }

    /// Takes a message away; one that is not there is away already.
    ///
    /// # Errors
    /// The directory is read-only.
    pub fn drop_message(&self, id: u64) -> Result<()> {
        let path = self.files().message_path(id, WAITS);
        atomic::remove(&path)?;
        self.tidy_inbox(&path)
    }

    /// Notes that a worker of one message has it, which from here on waits no more.
    ///
    /// # Errors
    /// As [`Locked::keep_message`].
    pub fn take_message(&self, message: &Queued, by: Incarnation) -> Result<()> {
        let taken = Queued { taken: Some(by), begun: None, why: None, ..message.clone() };
        write(&self.files().message_path(message.id, TAKEN), &taken)?;
        self.drop_message(message.id)
    }

    /// A message whose worker has ended is done with, waits again or is put aside. Whoever was killed in it does it again.
    ///
    /// # Errors
    /// As [`Locked::keep_message`].
    pub fn settle_taken(&self, message: &Queued, becomes: Afterwards) -> Result<()> {
        let [waits, dead, taken] = [WAITS, DEAD, TAKEN].map(|kind| self.files().message_path(message.id, kind));
        match becomes {
            Afterwards::Done => atomic::remove(&waits)?,
            // One that is there and was not begun has been given back already.
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

    /// Puts a message aside that will not be delivered; its `why` says why.
    ///
    /// # Errors
    /// As [`Locked::keep_message`].
    pub fn bury_message(&self, message: &Queued) -> Result<()> {
        write(&self.files().message_path(message.id, DEAD), message)?;
        self.drop_message(message.id)
    }

    /// Takes the directory away, where nothing is left in it.
    pub(super) fn clear_inbox(&self) {
        let _ = fs::remove_dir(self.files().inbox_dir());
    }

    /// So that a power cut does not bring a message back, and that nobody looks into an empty inbox.
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
fn is_none(tries: &u32) -> bool {
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
    let number = |entry: fs::DirEntry| {
        let name = entry.file_name();
        let (id, kind) = name.to_str()?.split_once('.')?;
        let kind = [WAITS, DEAD, TAKEN].into_iter().find(|known| *known == kind)?;
        Some((id.parse().ok()?, kind))
    };
    Ok(listed(dir)?.into_iter().filter_map(number).collect())
}

fn read(path: &Path) -> Result<Stored<Queued>> {
    Ok(match super::read_text(path)? {
        Stored::Absent => Stored::Absent,
        Stored::Corrupt(why) => Stored::Corrupt(why),
        Stored::Present(text) => match serde_json::from_str(&text) {
            Ok(message) => Stored::Present(message),
            Err(error) => Stored::Corrupt(error.to_string()),
        },
    })
}

fn write(path: &Path, message: &Queued) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(message).expect("a message is plain data");
    text.push(b'\n');
    atomic::write(path, &text, Durability::Synced)
}
