//! `peer transcript` and `peer last`: what was said to an agent and what it answered, from its own transcript.

use std::path::PathBuf;
use std::sync::Arc;

use peer_adapters::agent::Profile;
use peer_adapters::transcript::{self, Files, TranscriptError};

use crate::engine::observe::conversation::ConversationFinder;
use crate::engine::observe::launched::{self, Launched};
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::answer::{Answer, Entry, EntryKind, Tokens, answers};
use crate::policy::name::PeerName;
use crate::store::{Marker, SessionRecord};

/// A conversation, as far as it was read.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// Its id.
    pub id: String,
    /// Where it is kept: a file, or for some agents the database of all conversations.
    pub path: PathBuf,
    /// Its entries, oldest first.
    pub entries: Vec<Entry>,
}

impl Engine {
    /// Reads a conversation of a peer, asleep or awake: the one whose id begins with `wanted`, else the current or last
    /// one. Only reads files, at most 16 MiB of each.
    ///
    /// # Errors
    /// [`EngineError::NoTranscript`], [`EngineError::NoSuchConversation`], [`EngineError::ConversationOfAnother`].
    pub fn transcript(&self, name: &PeerName, wanted: Option<&str>) -> Result<Conversation> {
        let peer = self.known(name)?;
        let none = |why: String| EngineError::NoTranscript { peer: name.clone(), why };
        let id = match wanted {
            Some(wanted) => self.conversation_meant(&peer, wanted)?,
            None => self.current_conversation(&peer)?.ok_or_else(|| {
                let why = if tells(&peer.profile) { "it has no conversation yet" } else { "its agent keeps none" };
                none(why.to_owned())
            })?,
        };
        let profile = self.profile_of(&peer, &id)?;
        if !tells(&profile) {
            return Err(none("its agent keeps none".to_owned()));
        }
        let read = self.in_own_files(&peer, &profile, |files| Ok((files.exists(&id)?, files.entries(&id, 0)?)))?;
        match read.map_err(|error: TranscriptError| none(launched::unreadable(&error)))? {
            (Some(path), Some(entries)) => Ok(Conversation { id, path, entries: of_files(entries) }),
            _ => Err(none(format!("the conversation {id} is not among its agent's files, or nothing was said in it"))),
        }
    }

    /// Returns what a peer answered in its current or last conversation, turn by turn, oldest first, with that
    /// conversation.
    ///
    /// # Errors
    /// As [`Engine::transcript`].
    pub fn last_answers(&self, name: &PeerName) -> Result<(Conversation, Vec<Answer>)> {
        let conversation = self.transcript(name, None)?;
        let answers = answers(&conversation.entries);
        Ok((conversation, answers))
    }

    /// Returns the conversation that a peer is in, or was in last. Writes nothing.
    ///
    /// # Errors
    /// A file of `peer` cannot be read.
    pub(crate) fn current_conversation(&self, peer: &Peer) -> Result<Option<String>> {
        if let Some(mut record) = peer.files.session()?.present() {
            ConversationFinder::of(peer).preview(&self.state, &peer.files, &mut record)?;
            if record.conversation.is_some() {
                return Ok(record.conversation);
            }
        }
        if peer.files.has(Marker::Adopted)?
            && let Some(adopted) = peer.files.adopted()?
        {
            return Ok(Some(adopted));
        }
        let last = peer.files.end()?.present().and_then(|last| last.conversation);
        Ok(last.or_else(|| Some(peer.files.conversations().ok()?.pop()?.conversation)))
    }

    /// Returns the one conversation of a peer whose id has this prefix.
    ///
    /// # Errors
    /// [`EngineError::NoSuchConversation`], [`EngineError::ConversationOfAnother`].
    pub(crate) fn conversation_meant(&self, peer: &Peer, typed: &str) -> Result<String> {
        let mut known: Vec<String> = Vec::new();
        for entry in peer.files.conversations()? {
            known.retain(|id| *id != entry.conversation);
            known.push(entry.conversation);
        }
        if known.iter().any(|id| id == typed) {
            return Ok(typed.to_owned());
        }
        let begins = |id: &&String| !typed.is_empty() && id.starts_with(typed);
        let meant: Vec<String> = known.iter().filter(begins).cloned().collect();
        if let [one] = &meant[..] {
            return Ok(one.clone());
        }
        let owners = self.state.conversation_owners()?;
        Err(match owners.begins(typed, &peer.name).filter(|_| meant.is_empty()) {
            Some((conversation, owner)) => EngineError::ConversationOfAnother {
                peer: peer.name.clone(),
                conversation: conversation.to_owned(),
                owner: owner.clone(),
            },
            None => EngineError::NoSuchConversation { peer: peer.name.clone(), typed: typed.to_owned(), meant, known },
        })
    }

    /// Returns the profile of the agent that had a conversation; the peer may have had another profile then.
    pub(crate) fn profile_of(&self, peer: &Peer, id: &str) -> Result<Arc<Profile>> {
        let known = peer.files.conversations()?;
        match known.iter().rev().find(|entry| entry.conversation == id) {
            Some(entry) if entry.agent != peer.profile.name => self.profile(&entry.agent),
            _ => Ok(Arc::clone(&peer.profile)),
        }
    }

    /// Runs `look` on the files of a peer's agent, where the recorded agent keeps them, or where one started now would.
    ///
    /// # Errors
    /// The launch file exists and cannot be read.
    pub(crate) fn in_own_files<T>(
        &self,
        peer: &Peer,
        profile: &Profile,
        look: impl FnOnce(&Files<'_>) -> T,
    ) -> Result<T> {
        let record = peer.files.session()?.present();
        let launched = record.map(|record| launched(peer, &record)).transpose()?;
        Ok(match launched.filter(Launched::is_known) {
            Some(launched) => launched.look(profile, look),
            None => launched::with_files(profile, &peer.spec.cwd, &self.agent_environment(peer), look),
        })
    }
}

fn launched(peer: &Peer, record: &SessionRecord) -> Result<Launched> {
    Launched::of(&peer.files, record, &peer.spec.cwd)
}

/// Whether the conversations of an agent with this profile can be read.
pub(crate) const fn tells(profile: &Profile) -> bool {
    profile.conversation.transcript.is_some()
}

/// Converts the entries of an agent's files to the policy's form.
pub(crate) fn of_files(entries: Vec<transcript::Entry>) -> Vec<Entry> {
    entries.into_iter().map(of_file).collect()
}

fn of_file(entry: transcript::Entry) -> Entry {
    let kind = match entry.kind {
        transcript::EntryKind::UserMessage(text) => EntryKind::UserMessage(text),
        transcript::EntryKind::QueuedMessage(text) => EntryKind::QueuedMessage(text),
        transcript::EntryKind::AgentText { text, part_of, tokens } => EntryKind::AgentText {
            text,
            part_of,
            tokens: tokens.map(|tokens| Tokens { input: tokens.input, output: tokens.output }),
        },
        transcript::EntryKind::TurnEnd { aborted } => EntryKind::TurnEnd { aborted },
    };
    Entry { at: entry.at.map(Into::into), of: entry.of, kind }
}
