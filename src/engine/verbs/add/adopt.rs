//! `peer add --conversation`: gives a peer a conversation that was begun outside of `peer`.

use std::path::{Path, PathBuf};

use peer_adapters::agent::BUILTIN;
use peer_adapters::transcript::{Files, TranscriptError};

use super::{Declaration, absolute_directory};
use crate::config::PeerSpec;
use crate::engine::error::Unusable;
use crate::engine::observe::launched::{unreadable, with_files};
use crate::engine::verbs::conversations::{check_resumes, unusable};
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::event::EventName;
use crate::policy::name::PeerName;
use crate::store::{ConversationEntry, Event, Marker, Origin};

impl Engine {
    /// Whether the next wake of a peer resumes a conversation that it was given.
    ///
    /// # Errors
    /// If the state directory cannot be read.
    pub fn is_adoption_due(&self, name: &PeerName) -> Result<bool> {
        Ok(self.state.peer(name).has(Marker::Adopted)?)
    }

    /// Gives a peer a conversation that was begun outside of `peer`: its next wake resumes that one. Has no effect for
    /// a conversation that the peer was given before, which `wake --conversation` resumes.
    ///
    /// # Errors
    /// [`EngineError::ConversationUnusable`], [`EngineError::ConversationOfAnother`].
    pub async fn adopt(&self, name: &PeerName, id: &str) -> Result<()> {
        let peer = self.peer(name)?;
        let locked = self.lock(name).await?;
        if self.has_adopted(name, id)? {
            return Ok(());
        }
        self.check_adoptable(&peer, id)?;
        let now = self.now();
        let last = peer.files.end()?.present();
        let before = last.as_ref().and_then(|last| last.conversation.clone());
        let incarnation = last.map(|last| last.end.incarnation).unwrap_or_default();
        let (conversation, agent) = (id.to_owned(), peer.profile.name.clone());
        let how = Some(Origin::Adopted);
        locked.unmark(Marker::FreshNext)?;
        locked.append_conversation(&ConversationEntry { at_ms: now, conversation, agent, incarnation, how })?;
        locked.mark(Marker::Adopted, now)?;
        self.log(
            &Event::new(now, EventName::ConversationAdopted)
                .peer(name)
                .with("conversation", id)
                .with("previous", before),
        )
    }

    /// The one built-in agent in whose files a conversation is that was begun in this directory.
    pub(super) fn agent_with(&self, name: &PeerName, typed: &Declaration, conversation: &str) -> Result<String> {
        let cwd = absolute_directory(typed.cwd.as_deref().unwrap_or(Path::new(".")))?;
        let mut found = Vec::new();
        for (agent, _) in BUILTIN {
            let (agent, env) = ((*agent).to_owned(), typed.env.clone());
            let spec = PeerSpec { agent: agent.clone(), cwd: cwd.clone(), env, ..PeerSpec::default() };
            let peer = self.as_declared(name, spec)?;
            let env = self.agent_environment(&peer);
            let look = |files: &Files<'_>| files.is_of_here(conversation);
            // An agent whose files cannot be read does not keep another one from being found.
            found.extend(with_files(&peer.profile, &cwd, &env, look).is_ok_and(|is| is).then_some(agent));
        }
        match &found[..] {
            [agent] => Ok(agent.clone()),
            _ => Err(EngineError::Declaration {
                what: format!("add {name}"),
                problem: format!("no agent has a conversation {conversation} that was begun in {}", cwd.display()),
                hint: Some(format!("peer add {name} --conversation {conversation} --agent claude --cwd DIR")),
            }),
        }
    }

    /// Checks whether a peer with this declaration can be given a conversation that was begun outside of `peer`.
    ///
    /// # Errors
    /// If the agent has no such conversation in that directory or cannot resume one, the peer is awake, another peer
    /// owns the conversation, or a process has it open.
    pub(super) fn check_adoptable(&self, peer: &Peer, id: &str) -> Result<()> {
        check_resumes(peer, id)?;
        if peer.files.session()?.present().is_some() {
            return Err(unusable(&peer.name, id, Unusable::Awake));
        }
        if let Some(owner) = self.state.conversation_owners()?.other_than(&peer.name, id) {
            let (peer, conversation) = (peer.name.clone(), id.to_owned());
            return Err(EngineError::ConversationOfAnother { peer, conversation, owner });
        }
        let env = self.agent_environment(peer);
        let look = with_files(&peer.profile, &peer.spec.cwd, &env, |files| {
            Ok::<_, TranscriptError>((
                files.is_of_here(id)?,
                files.open_in(id)?,
                files.activity_files(Some(id), 0)?.pop(),
            ))
        });
        let (is_here, open_in, place): (bool, _, Option<PathBuf>) = look.map_err(|error| {
            let why = unreadable(&error);
            EngineError::NoTranscript { peer: peer.name.clone(), why }
        })?;
        match open_in {
            _ if !is_here => {
                let (agent, cwd) = (peer.profile.name.clone(), peer.spec.cwd.clone());
                let place = place.filter(|place| !place.exists());
                Err(unusable(&peer.name, id, Unusable::NotFound { agent, cwd, place }))
            }
            Some(pid) => Err(unusable(&peer.name, id, Unusable::Open { pid })),
            None => Ok(()),
        }
    }

    /// Whether the peer was given this conversation before. If so, the same declaration changes nothing. An adoption that
    /// was killed before it set its marker is not complete.
    pub(super) fn has_adopted(&self, name: &PeerName, id: &str) -> Result<bool> {
        let adopted = |entry: &ConversationEntry| entry.conversation == id && entry.how == Some(Origin::Adopted);
        let files = self.state.peer(name);
        let entries = files.conversations()?;
        if !entries.iter().any(adopted) || files.has(Marker::Adopted)? || files.has(Marker::FreshNext)? {
            return Ok(entries.iter().any(adopted));
        }
        // The marker is removed by an incarnation or by `refresh`, whose own marker excludes that.
        let last = files.end()?.present().map(|last| last.end.incarnation).unwrap_or_default();
        let ran = files.session()?.present().is_some()
            || entries.last().is_none_or(|entry| !adopted(entry) || entry.incarnation != last);
        Ok(ran)
    }
}
