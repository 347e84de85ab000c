//! `peer transcript` and `peer last`: what was said to an agent and what it answered, from its own transcript.

use std::path::PathBuf;
use std::sync::Arc;

use peer_adapters::agent::Profile;
use peer_adapters::transcript::TranscriptError;
use serde::Serialize;

use crate::engine::observe::launched;
use crate::engine::observe::own_files::policy_entries;
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::answer::{Answer, Entry, Unanswered, answers, newest_unanswered};
use crate::policy::name::PeerName;

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

/// What a peer answered last.
#[derive(Clone, Debug, Serialize)]
pub struct LastAnswers {
    /// The id of the conversation.
    pub conversation: String,
    /// The answers, oldest first.
    pub answers: Vec<Answer>,
    /// Why the newest message has none, if it has none.
    pub unanswered: Option<Unanswered>,
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
                let why = if peer.profile.capabilities().transcript {
                    "it has no conversation yet"
                } else {
                    "its agent keeps none"
                };
                none(why.to_owned())
            })?,
        };
        let profile = self.profile_of(&peer, &id)?;
        if !profile.capabilities().transcript {
            return Err(none("its agent keeps none".to_owned()));
        }
        let read = self.in_own_files(&peer, &profile, |files| Ok((files.exists(&id)?, files.entries(&id, 0)?)))?;
        match read.map_err(|error: TranscriptError| none(launched::unreadable(&error)))? {
            (Some(path), Some(entries)) => Ok(Conversation { id, path, entries: policy_entries(entries) }),
            _ => Err(none(format!("the conversation {id} is not among its agent's files, or nothing was said in it"))),
        }
    }

    /// Returns the last `number` answers of a peer in its current or last conversation, one a turn, oldest first.
    ///
    /// # Errors
    /// As [`Engine::transcript`].
    pub fn last_answers(&self, name: &PeerName, number: usize) -> Result<LastAnswers> {
        let Conversation { id, entries, .. } = self.transcript(name, None)?;
        let mut answers = answers(&entries);
        answers.drain(..answers.len().saturating_sub(number));
        let in_turn = self.has_turn(&self.known(name)?);
        Ok(LastAnswers { conversation: id, answers, unanswered: newest_unanswered(&entries, in_turn) })
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
}
