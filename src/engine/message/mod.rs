//! Typing a message into a living agent, and confirming that it was accepted.

mod composer;
mod computing;
mod fingerprint;
mod held;
mod interrupted_send;
pub mod interruption;
mod proof;
pub(crate) mod room;
mod sender;
pub(in crate::engine) mod terminal;
mod typing;
mod view;

use std::path::Path;
use std::time::Duration;

use peer_adapters::agent::{Accepted, ConversationId};
use peer_adapters::file;
use peer_adapters::transcript::Mark;
use tokio::time::Instant;

use super::error::Undelivered;
use super::observe::conversation::{self, ConversationFinder};
use super::{Engine, EngineError, POLL, Peer, Result};
use crate::policy::event::EventName;
use crate::policy::inbox::signed;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::store::{Event, Locked, SessionRecord, Unseen};
use composer::PASTE_PATIENCE;
use fingerprint::fingerprint;
use interrupted_send::Finished;
use interruption::interrupted;
use proof::Proof;
use typing::Typing;

/// How long to wait for another conversation to show after the command that begins it. Some agents show it only after
/// the first message in it; for those the whole time passes.
const MOVE_PATIENCE: Duration = Duration::from_secs(1);

/// A message and its topic.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// The text, any number of lines.
    pub text: Option<String>,
    /// Its topic.
    pub topic: Option<String>,
    /// Whether it is a command for the agent (`/compact`) and not a message.
    pub command: bool,
    /// The peer whose agent sends it; `None` for a person.
    pub from: Option<PeerName>,
    /// How many messages of agents led to it, including this one; 0 for a person's message.
    pub hops: u32,
    /// Its number, if it comes from the peer's inbox.
    pub queued: Option<u64>,
    /// Whether its answer will be awaited, so that the position in the transcript before it must be recorded.
    pub asks: bool,
}

/// A message that was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// What was typed, including the initial prompt if that was due.
    pub text: String,
    /// The position in the transcript before the message, if it was to be recorded.
    pub mark: Mark,
    /// When that position was taken.
    pub at: Timestamp,
}

impl Message {
    /// Returns the text, or `None` if it is empty.
    fn said(&self) -> Option<&str> {
        self.text.as_deref().filter(|text| !text.is_empty())
    }
}

impl Engine {
    /// Types the message (after the initial prompt if that is still due) and returns once it was seen to be accepted.
    /// `None` if there was nothing to type.
    ///
    /// # Errors
    /// [`EngineError::NotAccepted`]: the text may be in the composer, and may have been accepted unseen.
    /// [`EngineError::Unsendable`], [`EngineError::NoRoom`]: nothing was typed.
    pub async fn deliver(
        &self,
        peer: &Peer,
        locked: &Locked,
        record: &mut SessionRecord,
        message: &Message,
    ) -> Result<Option<Delivery>> {
        if record.prompt_due {
            // The prompt comes from the spec.
            self.check_declared(peer)?;
        }
        self.look_for_prompt(peer, locked, record)?;
        let text = compose(peer, record, message);
        if record.typing.is_none() && text.is_none() {
            return Ok(None);
        }
        check(peer, text.as_deref(), message)?;
        let clear = self.clear_view(peer, record, text.as_deref().unwrap_or_default());
        let cleared = self.interruption.before(clear).await;
        cleared.map_err(|signal| interrupted(peer, Undelivered::NotTyped, signal))??;
        let runtime = self.runtime_of(&record.place)?;
        // The transcript position must be taken in the conversation that the agent is in now.
        ConversationFinder::of(peer).find(&self.state, locked, record)?;
        let before = record.conversation.clone();
        let place = place(peer, locked, record, message)?;
        if message.said().is_some() && record.hops != message.hops {
            // Before it can act on it.
            record.hops = message.hops;
            locked.write_session(record)?;
        }
        let mut typing = Typing::new(self, peer, locked, runtime.as_ref(), record);
        if typing.has_arrived(text.as_deref())? {
            let place = Proof::of_unseen(typing.record).unwrap_or(place);
            self.note_delivery(peer, locked, record, message, None).await?;
            return Ok(text.map(|text| Delivery { text, mark: place.0, at: place.1 }));
        }
        let finished = typing.finish_interrupted_send(text.as_deref()).await?;
        // The prompt may have been part of the text that was finished.
        let Some(text) = compose(peer, typing.record, message) else { return Ok(None) };
        if finished != Finished::This {
            typing.type_in(&text, message.command).await?;
        }
        if message.command && peer.profile.begins_without_trace(&text) {
            conversation::begin_without_trace(&self.state, locked, typing.record, self.now())?;
        }
        let moved_from = before.filter(|_| message.command && peer.profile.moves_conversation(&text));
        self.note_delivery(peer, locked, record, message, moved_from).await?;
        Ok(Some(Delivery { text, mark: place.0, at: place.1 }))
    }

    /// Returns what a delivery is about to type, and where to look for it if this process does not see the delivery
    /// complete.
    pub(crate) fn before_delivery(
        &self,
        peer: &Peer,
        locked: &Locked,
        record: &mut SessionRecord,
        message: &Message,
    ) -> Result<(String, Option<Unseen>)> {
        self.look_for_prompt(peer, locked, record)?;
        let said = compose(peer, record, message).unwrap_or_default();
        if peer.profile.message.accepted != Accepted::Transcript {
            return Ok((said, None));
        }
        ConversationFinder::of(peer).find(&self.state, locked, record)?;
        let unseen = Proof::taken_before(peer, locked, record)?.unseen(&said);
        Ok((said, Some(unseen)))
    }

    /// Whether the agent of this peer, in this incarnation or an earlier one, has recorded the text since it was about
    /// to be typed.
    pub(crate) fn was_said(
        &self,
        peer: &Peer,
        locked: &Locked,
        record: &SessionRecord,
        unseen: &Unseen,
        said: &str,
    ) -> Result<bool> {
        let proof = Proof::behind(peer, locked, record, unseen)?;
        if proof.given(peer, record, said)? {
            return Ok(true);
        }
        // Some agents choose their conversation at the first message, so the id may have been learned after the agent
        // ended.
        let since = peer.files.conversations()?.into_iter().filter(|entry| entry.at_ms >= unseen.at_ms);
        for entry in since {
            if proof.given_in(peer, &entry.conversation, said)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Looks for an initial prompt that was sent alone and not seen to arrive. If it has arrived, it is not said again
    /// before the next message.
    fn look_for_prompt(&self, peer: &Peer, locked: &Locked, record: &mut SessionRecord) -> Result<()> {
        let Some(prompt) = peer.spec.initial_prompt.as_deref().filter(|_| record.prompt_due) else { return Ok(()) };
        let Some(unseen) = record.unseen.clone().filter(|unseen| unseen.text == fingerprint(prompt)) else {
            return Ok(());
        };
        ConversationFinder::of(peer).find(&self.state, locked, record)?;
        if !Proof::behind(peer, locked, record, &unseen)?.given(peer, record, prompt)? {
            return Ok(());
        }
        note_said(locked, record, unseen.at_ms, false)?;
        let found = Event::new(self.now(), EventName::MessageDelivered).peer(&peer.name).cause("found");
        self.log(&found.incarnation(record.incarnation))
    }

    async fn note_delivery(
        &self,
        peer: &Peer,
        locked: &Locked,
        record: &mut SessionRecord,
        message: &Message,
        moved_from: Option<String>,
    ) -> Result<()> {
        note_said(locked, record, self.now(), message.said().is_some())?;
        let untold =
            message.text.as_deref().is_some_and(|text| message.command && peer.profile.begins_without_trace(text));
        self.learn_conversation(peer, locked, record, moved_from, untold).await?;
        if let Some(topic) = &message.topic {
            locked.add_topic(topic)?;
        }
        self.log(
            &Event::new(self.now(), EventName::MessageDelivered)
                .peer(&peer.name)
                .incarnation(record.incarnation)
                .with("topic", message.topic.clone())
                .with("from", message.from.as_ref().map(PeerName::as_str))
                .with("hops", (message.hops > 0).then_some(message.hops))
                .with("message", message.queued)
                .with("conversation", record.conversation.clone()),
        )
    }

    /// Logs that a message cannot be confirmed, if that is what `error` means, whatever is typed next.
    pub(crate) fn log_unconfirmed(&self, peer: &Peer, error: &EngineError) -> Result<()> {
        let Some(cause) = error.unconfirmed() else { return Ok(()) };
        let signal = match error.itself() {
            EngineError::Interrupted { signal, .. } => Some(*signal as i32),
            _ => None,
        };
        let mut event =
            Event::new(self.now(), EventName::MessageUnconfirmed).peer(&peer.name).cause(cause).with("signal", signal);
        event.incarnation = peer.files.session()?.present().map(|record| record.incarnation);
        self.log(&event)
    }

    /// Learns the agent's conversation after a message. The first message makes an agent choose its id, and a command
    /// may have begun another conversation in place of `moved_from`; either shows a moment later.
    async fn learn_conversation(
        &self,
        peer: &Peer,
        locked: &Locked,
        record: &mut SessionRecord,
        moved_from: Option<String>,
        untold: bool,
    ) -> Result<()> {
        let finder = ConversationFinder::of(peer);
        let first = record.conversation.is_none() && peer.profile.conversation.id == ConversationId::Found && !untold;
        let patience = match (&moved_from, first) {
            (Some(_), _) => MOVE_PATIENCE,
            (None, true) => PASTE_PATIENCE,
            (None, false) => Duration::ZERO,
        };
        let started = Instant::now();
        loop {
            finder.find(&self.state, locked, record)?;
            let told = match &moved_from {
                Some(before) => record.conversation.as_ref() != Some(before),
                None => record.conversation.is_some(),
            };
            if told || started.elapsed() >= patience {
                return Ok(());
            }
            tokio::time::sleep(POLL * 10).await;
        }
    }
}

/// Records that the agent has what was typed last: the initial prompt, a message (`said`), or both.
pub(crate) fn note_said(locked: &Locked, record: &mut SessionRecord, at: Timestamp, said: bool) -> Result<()> {
    record.prompt_due = false;
    record.unseen = None;
    record.delivered_at_ms = record.delivered_at_ms.max(Some(at));
    record.had_message |= said;
    Ok(locked.write_session(record)?)
}

/// Checks that a message would arrive unchanged. To be called before anything is ended or started for it.
///
/// # Errors
/// [`EngineError::Unsendable`].
pub(crate) fn check_message(peer: &Peer, message: &Message) -> Result<()> {
    check(peer, message.said(), message)
}

fn check(peer: &Peer, text: Option<&str>, message: &Message) -> Result<()> {
    let Some(text) = text else { return Ok(()) };
    let unsendable = |why| EngineError::Unsendable { peer: peer.name.clone(), why };
    peer.profile.check_message(text, message.command).map_err(unsendable)
}

/// Returns the position in the transcript before a message whose answer is awaited.
fn place(peer: &Peer, locked: &Locked, record: &SessionRecord, message: &Message) -> Result<(Mark, Timestamp)> {
    if message.asks {
        return Proof::taken_before(peer, locked, record).map(Proof::into_place);
    }
    Ok((Mark { conversation: None, position: 0 }, Timestamp::default()))
}

/// Returns the text to type: the initial prompt if it is due, a blank line, and the message.
fn compose(peer: &Peer, record: &SessionRecord, message: &Message) -> Option<String> {
    let prompt = peer.spec.initial_prompt.as_deref().filter(|_| record.prompt_due);
    let sender = message.from.as_ref().filter(|_| peer.spec.show_sender && !message.command);
    let text = message.said().map(|text| sender.map_or_else(|| text.to_owned(), |from| signed(from.as_str(), text)));
    match (prompt, text) {
        (None, None) => None,
        (None, text) => text,
        (Some(prompt), None) => Some(prompt.to_owned()),
        (Some(prompt), Some(text)) => Some(format!("{prompt}\n\n{text}")),
    }
}

/// Reads a message from a file, or from stdin for `-`.
///
/// # Errors
/// It cannot be read, or is not UTF-8.
pub fn read_message(source: &Path) -> Result<String> {
    let read = if source.as_os_str() == "-" {
        file::read_stream(std::io::stdin(), file::MOST)
    } else {
        file::read_given(source, file::MOST)
    };
    read.map_err(|error| EngineError::Io { action: "read the message from", path: source.to_owned(), source: error })
}
