//! `peer conversations` and `wake --conversation`: lists every conversation that a peer ever had, and selects the one
//! that it continues.

use peer_adapters::screen::printable;
use peer_adapters::transcript::Glance;
use serde::Serialize;

use crate::engine::error::Unusable;
use crate::engine::observe::launched;
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::event::EventName;
use crate::policy::name::PeerName;
use crate::policy::time::{Timestamp, rfc3339};
use crate::policy::wake::WakeRequest;
use crate::store::{ConversationEntry, Event, Origin};

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

pub(super) fn check_resumes(peer: &Peer, id: &str) -> Result<()> {
    if peer.profile.capabilities().resume {
        return Ok(());
    }
    Err(unusable(&peer.name, id, Unusable::NoResume { agent: peer.profile.name.clone() }))
}

pub(super) fn unusable(peer: &PeerName, conversation: &str, why: Unusable) -> EngineError {
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
