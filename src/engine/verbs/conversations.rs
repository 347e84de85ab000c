//! `peer conversations`, `wake --conversation`, `add --conversation`: lists every conversation that a peer ever had,
//! and selects the one that it continues.

use peer_adapters::screen::printable;
use peer_adapters::transcript::{Glance, TranscriptError};
use serde::Serialize;

use crate::engine::error::Unusable;
use crate::engine::observe::{conversation, launched};
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::event::EventName;
use crate::policy::name::PeerName;
use crate::policy::time::{Timestamp, rfc3339};
use crate::policy::wake::WakeRequest;
use crate::store::{ConversationEntry, Event, Marker, Origin, SessionRecord};

/// The most characters shown of the first message: a line or two, enough for a person to recognize the conversation.
const FIRST_WORDS: usize = 160;

/// A conversation that a peer has or had.
#[derive(Clone, Debug, Serialize)]
pub struct KnownConversation {
    /// The agent's own id of the conversation.
    pub conversation: String,
    /// The profile of the agent that the conversation belongs to.
    pub agent: String,
    /// How it became the peer's.
    pub how: Origin,
    /// When it became the peer's, if that was recorded.
    #[serde(serialize_with = "rfc3339")]
    pub since: Option<Timestamp>,
    /// The number of starts that resumed it, as far as the log goes back.
    pub resumed: usize,
    /// Whether the peer is in it, or was in it last: a resume continues this one.
    pub current: bool,
    /// Whether the agent's files of it exist. `None` if that cannot be determined.
    pub files: Option<bool>,
    /// When its first record was written.
    #[serde(serialize_with = "rfc3339")]
    pub first_at: Option<Timestamp>,
    /// When its last record was written.
    #[serde(serialize_with = "rfc3339")]
    pub last_at: Option<Timestamp>,
    /// The first message in it, without control characters and cut to 160 characters.
    pub first_words: Option<String>,
}

impl Engine {
    /// Returns every conversation that a peer ever had, whether it is asleep or awake, with the most recently entered
    /// one last. Reads only files, and only both ends of each transcript.
    ///
    /// # Errors
    /// If the peer is not declared, or a file of `peer` cannot be read.
    pub fn conversations(&self, name: &PeerName) -> Result<Vec<KnownConversation>> {
        let peer = self.known(name)?;
        let current = self.current_conversation(&peer)?;
        let events: Vec<Event> = self.state.journal().read_all()?;
        let events: Vec<&Event> = events.iter().filter(|event| event.peer.as_ref() == Some(name)).collect();
        let mut known: Vec<KnownConversation> = Vec::new();
        for entry in peer.files.conversations()? {
            // The first entry says how the conversation came about. The position of the last entry decides its place.
            let before = known.iter().position(|one| one.conversation == entry.conversation).map(|at| known.remove(at));
            known.push(before.unwrap_or_else(|| of_entry(entry, &events)));
        }
        if let Some(current) = &current
            && !known.iter().any(|one| one.conversation == *current)
        {
            let how = if known.is_empty() { Origin::Started } else { Origin::Switched };
            known.push(named(current.clone(), peer.spec.agent.clone(), how, None));
        }
        for one in &mut known {
            one.current = current.as_ref() == Some(&one.conversation);
            one.resumed = events.iter().filter(|event| resumes(event, &one.conversation)).count();
            self.look_into(&peer, one)?;
        }
        Ok(known)
    }

    /// Adds what the agent's own files say about the conversation.
    fn look_into(&self, peer: &Peer, known: &mut KnownConversation) -> Result<()> {
        // The profile may have been removed since. Then nothing is known.
        let Ok(profile) = self.profile_of(peer, &known.conversation) else { return Ok(()) };
        if !profile.capabilities().transcript {
            return Ok(());
        }
        match self.in_own_files(peer, &profile, |files| files.glance(&known.conversation))? {
            Ok(None) => known.files = Some(false),
            Ok(Some(Glance { first_at, last_at, first_words, .. })) => {
                known.files = Some(true);
                known.first_at = first_at.map(Into::into);
                known.last_at = last_at.map(Into::into);
                known.first_words = first_words.as_deref().map(words).filter(|words| !words.is_empty());
            }
            Err(error) => self.progress.notice(&format!("{}: {}", peer.name, launched::unreadable(&error))),
        }
        Ok(())
    }

    /// Returns the request with its conversation expanded to the whole id.
    ///
    /// # Errors
    /// If the conversation is not one of the peer's, its agent cannot continue it, or another peer continues it.
    pub(crate) fn with_conversation(&self, peer: &Peer, request: &WakeRequest) -> Result<WakeRequest> {
        let Some(typed) = &request.conversation else { return Ok(request.clone()) };
        let conversation = self.conversation_meant(peer, typed)?;
        let profile =
            self.profile_of(peer, &conversation).map_or_else(|_| "another".to_owned(), |one| one.name.clone());
        if profile != peer.profile.name {
            let why = Unusable::OfAgent { agent: profile, own: peer.profile.name.clone() };
            return Err(unusable(&peer.name, &conversation, why));
        }
        check_resumes(peer, &conversation)?;
        if let Some(owner) = self.goes_on_in(&conversation, &peer.name)? {
            return Err(EngineError::ConversationOfAnother { peer: peer.name.clone(), conversation, owner });
        }
        Ok(WakeRequest { conversation: Some(conversation), ..request.clone() })
    }

    /// Returns another peer that is in this conversation, or was in it last. A peer that only had it earlier does not
    /// count: it may have been removed and added again since.
    fn goes_on_in(&self, conversation: &str, name: &PeerName) -> Result<Option<PeerName>> {
        for other in self.state.inventory()?.started().into_iter().filter(|other| other != name) {
            let files = self.state.peer(&other);
            let record = files.session()?.present().and_then(|record| record.conversation);
            let last = || Ok::<_, EngineError>(files.end()?.present().and_then(|last| last.conversation));
            if record.map_or_else(last, |id| Ok(Some(id)))?.as_deref() == Some(conversation) {
                return Ok(Some(other));
            }
        }
        Ok(None)
    }

    /// Checks whether a peer with this declaration can be given a conversation that was begun outside of `peer`.
    ///
    /// # Errors
    /// If the agent has no such conversation in that directory or cannot resume one, the peer is awake, another peer
    /// owns the conversation, or a process has it open.
    pub(crate) fn check_adoptable(&self, peer: &Peer, id: &str) -> Result<()> {
        check_resumes(peer, id)?;
        if peer.files.session()?.present().is_some() {
            return Err(unusable(&peer.name, id, Unusable::Awake));
        }
        if let Some(owner) = self.state.conversation_owners()?.other_than(&peer.name, id) {
            let (peer, conversation) = (peer.name.clone(), id.to_owned());
            return Err(EngineError::ConversationOfAnother { peer, conversation, owner });
        }
        let env = self.agent_environment(peer);
        let look = launched::with_files(&peer.profile, &peer.spec.cwd, &env, |files| {
            Ok::<_, TranscriptError>((
                files.is_of_here(id)?,
                files.open_in(id)?,
                files.activity_files(Some(id), 0)?.pop(),
            ))
        });
        let (is_here, open_in, place): (bool, _, Option<std::path::PathBuf>) = look.map_err(|error| {
            let why = launched::unreadable(&error);
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
    pub(crate) fn has_adopted(&self, name: &PeerName, id: &str) -> Result<bool> {
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
}

fn of_entry(entry: ConversationEntry, events: &[&Event]) -> KnownConversation {
    let ConversationEntry { at_ms, conversation, agent, incarnation, how } = entry;
    // An entry from an older version does not say how. The log may.
    let switched = |event: &&Event| {
        event.is(EventName::ConversationChanged)
            && event.incarnation == Some(incarnation)
            && event.details.get("conversation").and_then(|id| id.as_str()) == Some(&conversation)
    };
    let how = how.unwrap_or_else(|| if events.iter().any(switched) { Origin::Switched } else { Origin::Started });
    named(conversation, agent, how, Some(at_ms))
}

const fn named(conversation: String, agent: String, how: Origin, since: Option<Timestamp>) -> KnownConversation {
    KnownConversation {
        conversation,
        agent,
        how,
        since,
        resumed: 0,
        current: false,
        files: None,
        first_at: None,
        last_at: None,
        first_words: None,
    }
}

/// Whether `event` is the decision to start the agent with `conversation`.
fn resumes(event: &Event, conversation: &str) -> bool {
    let text = |key: &str| event.details.get(key).and_then(|value| value.as_str());
    event.is(EventName::WakeDecided) && text("decision") == Some("resume") && text("conversation") == Some(conversation)
}

/// Formats foreign text as one line of bounded length.
fn words(text: &str) -> String {
    let clean = printable(text);
    let line = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(FIRST_WORDS) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}

fn check_resumes(peer: &Peer, id: &str) -> Result<()> {
    if peer.profile.capabilities().resume {
        return Ok(());
    }
    Err(unusable(&peer.name, id, Unusable::NoResume { agent: peer.profile.name.clone() }))
}

fn unusable(peer: &PeerName, conversation: &str, why: Unusable) -> EngineError {
    EngineError::ConversationUnusable { peer: peer.clone(), conversation: conversation.to_owned(), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_words_are_one_bounded_line_that_a_terminal_shows_as_it_is() {
        assert_eq!(words("fix\n\tthe \u{1b}[31mlogin\u{202e} test"), "fix the [31mlogin test");
        let long = "wort ".repeat(100);
        let shown = words(&long);
        assert!(shown.ends_with("wort…") && shown.chars().count() <= FIRST_WORDS + 1, "{shown}");
        assert_eq!(words("\u{7}"), "");
    }
}
