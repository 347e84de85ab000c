//! Proof, from the agent's own record, that it has a message.

use std::time::SystemTime;

use peer_adapters::transcript::{Mark, TranscriptError};

use super::fingerprint::fingerprint;
use crate::engine::error::Undelivered;
use crate::engine::observe::launched::{self, Launched};
use crate::engine::{EngineError, Peer, Result};
use crate::policy::time::Timestamp;
use crate::store::{Locked, SessionRecord, Unseen};

/// A position in the agent's transcript from before the message was typed.
pub(super) struct Proof {
    launched: Launched,
    mark: Mark,
    taken_at: SystemTime,
}

impl Proof {
    /// Returns the position from which to look for a message that was sent earlier.
    pub(super) fn behind(peer: &Peer, locked: &Locked, record: &SessionRecord, unseen: &Unseen) -> Result<Self> {
        let mark = Mark { conversation: unseen.conversation.clone(), position: unseen.position };
        tracing::debug!(peer = %peer.name, "a message that was not seen to arrive is looked for");
        Ok(Self {
            mark,
            launched: Launched::of(locked.files(), record, &peer.spec.cwd)?,
            taken_at: unseen.at_ms.into(),
        })
    }

    /// Returns the position for the message that was sent last and not seen to arrive.
    pub(super) fn of_unseen(record: &SessionRecord) -> Option<(Mark, Timestamp)> {
        let unseen = record.unseen.as_ref()?;
        Some((Mark { conversation: unseen.conversation.clone(), position: unseen.position }, unseen.at_ms))
    }

    /// Returns the position and the time at which it was taken.
    pub(super) fn into_place(self) -> (Mark, Timestamp) {
        (self.mark, self.taken_at.into())
    }

    pub(super) fn unseen(&self, text: &str) -> Unseen {
        let Mark { conversation, position } = self.mark.clone();
        Unseen { text: fingerprint(text), conversation, position, at_ms: self.taken_at.into() }
    }

    pub(super) fn taken_before(peer: &Peer, locked: &Locked, record: &SessionRecord) -> Result<Self> {
        let launched = Launched::of(locked.files(), record, &peer.spec.cwd)?;
        // In whole milliseconds, like the times that agents write.
        let taken_at = Timestamp::from(SystemTime::now()).into();
        let mark = launched.look(&peer.profile, |files| files.mark(record.conversation.as_deref()));
        Ok(Self { mark: mark.map_err(|error| unreadable(peer, Undelivered::NotTyped, &error))?, launched, taken_at })
    }

    /// Whether the agent has written nothing yet in its current conversation.
    pub(super) fn is_unwritten(&self, peer: &Peer, record: &SessionRecord) -> bool {
        let Some(id) = record.conversation.as_deref() else { return true };
        matches!(self.launched.look(&peer.profile, |files| files.exists(id)), Ok(None))
    }

    /// Whether the message was said in this conversation since the position was taken.
    pub(super) fn given_in(&self, peer: &Peer, conversation: &str, text: &str) -> Result<bool> {
        let given = self.launched.look(&peer.profile, |files| files.said_since(conversation, self.taken_at, text));
        given.map_err(|error| unreadable(peer, Undelivered::NotSeen, &error))
    }

    /// Whether the message follows that position, or, if the agent has moved to another conversation, was said in that
    /// one since.
    pub(super) fn given(&self, peer: &Peer, record: &SessionRecord, text: &str) -> Result<bool> {
        let current = record.conversation.as_deref();
        let given = self.launched.look(&peer.profile, |files| {
            let moved = current.filter(|id| self.mark.conversation.as_deref().is_some_and(|before| before != *id));
            Ok(files.accepted(&self.mark, current, text)?
                || moved.map_or(Ok(false), |id| files.said_since(id, self.taken_at, text))?)
        });
        // The message has been sent by now.
        given.map_err(|error| unreadable(peer, Undelivered::NotSeen, &error))
    }
}

fn unreadable(peer: &Peer, how: Undelivered, error: &TranscriptError) -> EngineError {
    EngineError::NotAccepted { peer: peer.name.clone(), how, why: launched::unreadable(error), asks: None }
}
