//! Identifies who sends a message: a person, or the agent of a peer, whose messages have hops.

use super::Message;
use crate::engine::{Engine, EngineError, Result};
use crate::policy::event::EventName;
use crate::policy::hops;
use crate::policy::name::PeerName;
use crate::store::Event;

impl Engine {
    /// Returns the peer in whose pane this command runs, if it runs in one.
    pub fn sender(&self) -> Option<PeerName> {
        self.var("PEER_NAME")?.to_str()?.parse().ok()
    }

    /// Returns the message with its sender, if that is the agent of a peer, and its hops: one more than the message
    /// that this agent received last.
    ///
    /// # Errors
    /// If the sender's session record cannot be read.
    pub fn signed(&self, message: Message) -> Result<Message> {
        let Some(from) = self.sender() else { return Ok(message) };
        let received = self.state.peer(&from).session()?.present().map_or(0, |record| record.hops);
        Ok(Message { from: Some(from), hops: hops::next(received), ..message })
    }

    /// Refuses a message that has too many hops, and logs the refusal. Call this before anything is started, typed or
    /// queued.
    ///
    /// # Errors
    /// [`EngineError::TooManyHops`].
    pub(crate) fn check_hops(&self, to: &PeerName, message: &Message) -> Result<()> {
        let limit = self.settings.max_hops;
        if hops::is_within(message.hops, limit) {
            return Ok(());
        }
        let event = Event::new(self.now(), EventName::MessageRefused).peer(to).cause("too-many-hops");
        let event = event.with("from", message.from.as_ref().map(PeerName::as_str));
        self.log(&event.with("hops", message.hops).with("topic", message.topic.clone()))?;
        Err(EngineError::TooManyHops { peer: to.clone(), from: message.from.clone(), hops: message.hops, limit })
    }
}
