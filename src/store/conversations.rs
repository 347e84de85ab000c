//! The list of every conversation id that a peer ever had: `NAME.conversations`, append-only and fsynced. An id is
//! never lost.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom, Write};

use peer_adapters::file;
use serde::{Deserialize, Serialize};

use super::{Locked, PeerFiles, Result, StateDir, StoreError, atomic};
use crate::policy::ending::Incarnation;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;

/// One line of `NAME.conversations`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationEntry {
    /// When the id was learned.
    pub at_ms: Timestamp,
    /// The agent's own id of the conversation.
    pub conversation: String,
    /// The name of the agent's profile.
    pub agent: String,
    /// The incarnation that opened the conversation; for an adopted conversation, the last one before.
    pub incarnation: Incarnation,
    /// How the conversation became this peer's. `None` if its agent was started with it, or if that was not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<Origin>,
}

/// How a conversation became a peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// The agent was started with it.
    Started,
    /// The agent switched to it in mid-session: `/clear`, `/new`, `/resume`, `/branch`.
    Switched,
    /// The user began it, and gave it to the peer with `peer add --conversation`.
    Adopted,
}

/// Maps each conversation of the fleet to the peer that owns it.
#[derive(Clone, Debug, Default)]
pub struct Owners(HashMap<String, PeerName>);

impl Owners {
    /// Returns the owner of this id.
    pub fn of(&self, conversation: &str) -> Option<&PeerName> {
        self.0.get(conversation)
    }

    /// Returns the owner of this id, if that is a peer other than `name`.
    pub fn other_than(&self, name: &PeerName, conversation: &str) -> Option<PeerName> {
        self.of(conversation).filter(|owner| *owner != name).cloned()
    }

    /// Returns the conversation whose id starts with `beginning`, with its owner, among those of peers other than
    /// `name`. `None` if there is none, or more than one.
    pub fn begins(&self, beginning: &str, name: &PeerName) -> Option<(&str, &PeerName)> {
        let mut found = self.0.iter().filter(|(id, owner)| id.starts_with(beginning) && *owner != name);
        let (id, owner) = found.next().filter(|_| !beginning.is_empty())?;
        found.next().is_none().then_some((id, owner))
    }
}

impl PeerFiles {
    /// Returns all conversations, oldest first. A line that does not parse (a write cut short by a power loss) is
    /// skipped. The file is never rewritten, so skipping it loses nothing.
    ///
    /// # Errors
    /// If the file exists and cannot be read.
    pub fn conversations(&self) -> Result<Vec<ConversationEntry>> {
        let path = self.path("conversations");
        let bytes = match file::read(&path, file::MOST) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(StoreError::new("read", path))?,
        };
        Ok(bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }

    /// Returns the conversation that was adopted last, if any.
    ///
    /// # Errors
    /// As [`PeerFiles::conversations`].
    pub fn adopted(&self) -> Result<Option<String>> {
        let adopted = |entry: &ConversationEntry| entry.how == Some(Origin::Adopted);
        Ok(self.conversations()?.into_iter().rfind(adopted).map(|entry| entry.conversation))
    }
}

impl Locked {
    /// Appends an entry, unless the newest entry records the same, and waits until it is on disk.
    ///
    /// # Errors
    /// If the disk is full. The caller must not launch an agent whose id could not be recorded.
    pub fn append_conversation(&self, entry: &ConversationEntry) -> Result<()> {
        let known = self.files().conversations()?;
        let tells = |last: &ConversationEntry| entry.how.is_none() || last.how == entry.how;
        if known.last().is_some_and(|last| last.conversation == entry.conversation && tells(last)) {
            return Ok(());
        }
        let path = self.files().path("conversations");
        let failed = |action| StoreError::new(action, path.clone());
        let mut file = file::append(&path).map_err(failed("open"))?;
        let mut line = serde_json::to_vec(entry).expect("an entry is plain data");
        line.push(b'\n');
        // If a power cut left the last line unterminated, start a new one.
        if ends_mid_line(&mut file).map_err(failed("read"))? {
            line.insert(0, b'\n');
        }
        file.write_all(&line).map_err(failed("append to"))?;
        file.sync_all().map_err(failed("sync"))?;
        if known.is_empty() {
            atomic::sync_directory_of(&path)?;
        }
        Ok(())
    }
}

fn ends_mid_line(file: &mut std::fs::File) -> std::io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

impl StateDir {
    /// Returns the owner of every conversation. It reads one file per peer, so call it when an id is learned and not on
    /// every tick.
    ///
    /// # Errors
    /// If the directory or a file cannot be read. The caller must not assign an id then.
    pub fn conversation_owners(&self) -> Result<Owners> {
        let mut owners = HashMap::new();
        let entries = std::fs::read_dir(self.root()).map_err(StoreError::new("list", self.root()))?;
        for entry in entries {
            let file = entry.map_err(StoreError::new("list", self.root()))?.file_name();
            let Some(name) = file.to_str().and_then(|file| file.strip_suffix(".conversations")) else { continue };
            let Ok(name) = name.parse::<PeerName>() else { continue };
            for entry in self.peer(&name).conversations()? {
                owners.insert(entry.conversation, name.clone());
            }
        }
        Ok(Owners(owners))
    }
}
