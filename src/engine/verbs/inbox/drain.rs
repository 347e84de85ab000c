//! Delivers what waits in an inbox, in order, each message once.
//!
//! A delivery is recorded before its first key, with the position in the transcript after which the message will
//! appear. The next process looks there, and types the message again only if it is known not to have arrived.

use std::time::Duration;

use tokio::time::Instant;

use super::has_its_message;
use crate::engine::error::Undelivered;
use crate::engine::message::interruption::interrupted;
use crate::engine::message::terminal::has_read_all;
use crate::engine::message::{Message, note_said};
use crate::engine::observe::conversation::ConversationFinder;
use crate::engine::{Engine, EngineError, POLL, Peer, Result};
use crate::policy::ending::Incarnation;
use crate::policy::event::EventName;
use crate::policy::inbox::{MAX_TRIES, RETURNS, Recovery, RecoveryFacts, recover};
use crate::policy::name::PeerName;
use crate::policy::wake::ContextPolicy;
use crate::store::{Event, Locked, Phase, Queued, SessionRecord, StartedDelivery};

/// How long to wait for another process that works on the peer. A delivery of another message takes half a second; a
/// process that holds the lock longer checks the inbox itself, or the next tick does.
const LOCK_SOON: Duration = Duration::from_secs(2);

/// How long an agent may take for the current turn, if there are more messages for it.
const FREE_SOON: Duration = Duration::from_secs(1);

/// For how long queued messages are delivered before one that is sent directly. Other commands wait for the peer's lock
/// meanwhile, and give up after 120 s.
const BEFORE: Duration = Duration::from_secs(30);

/// How long to look for a message that may be in transit.
const RECOVERY: Duration = Duration::from_secs(20);

/// The outcome of one message.
enum Step {
    /// It was delivered.
    Delivered,
    /// It was not delivered, and was moved out of the inbox.
    PutAside,
    /// It waits, for this reason.
    Waits(String),
}

impl Engine {
    /// Delivers what waits for a peer that is awake, for as long as it is free. Returns the number of messages. A
    /// failure is reported, and the message waits.
    pub(crate) async fn drain_if_possible(&self, peer: &Peer) -> usize {
        let drained = self.drain(peer).await;
        self.reported(peer, drained)
    }

    /// Delivers what is due before a message that is sent directly, so that it does not overtake what was said earlier.
    /// Returns the number of messages. They are typed one after the other, as direct messages are. Nothing is delivered
    /// to an agent that is not free: a direct message may be meant for the turn in progress, and queued ones are not.
    ///
    /// # Errors
    /// A signal came, and nothing of the direct message was typed. Any other failure is reported, and what is left waits.
    pub(crate) async fn drain_before(
        &self,
        peer: &Peer,
        locked: &Locked,
        record: &mut SessionRecord,
        message: &Message,
    ) -> Result<usize> {
        let (files, started, mut delivered) = (self.state.peer(&peer.name), Instant::now(), 0);
        // What an earlier sender left may be this very message. It is looked for, and then said once.
        let is_outstanding = record.typing.is_some() || record.unseen.is_some();
        if message.text.is_none() || message.command || is_outstanding || is_for_one(peer) {
            return Ok(0);
        }
        while let Some(queued) = files.first_due(self.now())?.filter(|_| started.elapsed() < BEFORE) {
            if delivered == 0 && self.not_free(peer, record).await?.is_some() {
                break;
            }
            match self.deliver_queued(peer, locked, record, queued, None).await {
                Ok(Step::Delivered) => delivered += 1,
                Ok(Step::PutAside) => {}
                Ok(Step::Waits(_)) => break,
                Err(error) => {
                    if let EngineError::Interrupted { signal, .. } = error.itself() {
                        return Err(interrupted(peer, Undelivered::NotTyped, *signal));
                    }
                    self.progress.notice(&format!("{}: its inbox waits: {error}", peer.name));
                    break;
                }
            }
        }
        Ok(delivered)
    }

    /// As `drain_if_possible`, after a message that was sent directly. Reports what still waits, because this message has
    /// overtaken it.
    pub(crate) async fn drain_behind(&self, peer: &Peer, message: &Message) -> usize {
        let drained = self.drain(peer).await;
        if let (Ok(_), Some(_)) = (&drained, &message.text)
            && let Ok(Some((number, why))) = self.due_behind(peer).await
        {
            let waits = if number == 1 {
                "a queued message waits".to_owned()
            } else {
                format!("{number} queued messages wait")
            };
            self.progress.notice(&format!("{}: {waits}: {why}", peer.name));
        }
        self.reported(peer, drained)
    }

    /// Returns how many messages are due, and why they wait; `None` if none is.
    async fn due_behind(&self, peer: &Peer) -> Result<Option<(usize, String)>> {
        let (files, now) = (self.state.peer(&peer.name), self.now());
        if files.first_due(now)?.is_none() {
            return Ok(None);
        }
        let due = files.inbox()?.waiting.iter().filter(|one| one.not_before_ms.is_none_or(|at| at <= now)).count();
        Ok(Some((due, self.held_up(peer).await?)))
    }

    fn reported(&self, peer: &Peer, drained: Result<usize>) -> usize {
        drained.unwrap_or_else(|error| {
            self.progress.notice(&format!("{}: its inbox waits: {error}", peer.name));
            0
        })
    }

    /// As `drain_if_possible`, but returns the error that kept the first remaining message from being delivered.
    pub(crate) async fn drain(&self, peer: &Peer) -> Result<usize> {
        let files = self.state.peer(&peer.name);
        let mut delivered = 0;
        while files.first_due(self.now())?.is_some() {
            let Some(locked) = self.lock_within(&peer.name, LOCK_SOON).await? else { break };
            // The previous holder of the lock may have delivered it.
            let Some(message) = files.first_due(self.now())? else { break };
            let mut record = match self.awake(peer).await {
                Ok(record) if matches!(record.phase, Phase::Ready { .. }) && record.intent.is_none() => record,
                Ok(_) | Err(EngineError::NotAwake { .. }) => break,
                Err(error) => return Err(error),
            };
            if has_its_message(peer, &record) {
                break;
            }
            let patience = if delivered > 0 { FREE_SOON } else { Duration::ZERO };
            match self.deliver_queued(peer, &locked, &mut record, message, Some(patience)).await? {
                Step::Delivered => delivered += 1,
                Step::PutAside => {}
                Step::Waits(why) => {
                    tracing::debug!(peer = %peer.name, %why, "its inbox waits");
                    break;
                }
            }
        }
        Ok(delivered)
    }

    /// Delivers one message, to an agent that becomes free within `patience`, or with `None` to any.
    async fn deliver_queued(
        &self,
        peer: &Peer,
        locked: &Locked,
        record: &mut SessionRecord,
        mut queued: Queued,
        patience: Option<Duration>,
    ) -> Result<Step> {
        if let Some(begun) = queued.begun.clone()
            && let Some(step) = self.continue_delivery(peer, locked, record, &mut queued, &begun).await?
        {
            return Ok(step);
        }
        if let Some(patience) = patience
            && let Some(why) = self.free_within(peer, record, patience).await?
        {
            return Ok(Step::Waits(why));
        }
        let message = Message {
            text: Some(queued.text.clone()),
            topic: queued.topic.clone(),
            command: false,
            from: queued.from.clone(),
            hops: queued.hops,
            queued: Some(queued.id),
            asks: false,
        };
        let (said, unseen) = self.before_delivery(peer, locked, record, &message)?;
        let (incarnation, at_ms) = (record.incarnation, self.now());
        queued.begun = Some(StartedDelivery { incarnation, at_ms, said, unseen });
        locked.keep_message(&queued)?;
        match self.deliver(peer, locked, record, &message).await {
            Ok(_) => {
                self.said(peer, locked, &queued, incarnation)?;
                Ok(Step::Delivered)
            }
            Err(EngineError::Unsendable { why, .. }) => self.put_aside(locked, &queued, "unsendable", &why.to_string()),
            Err(error) => {
                if was_not_typed(&error) {
                    queued.begun = None;
                } else if matches!(error.itself(), EngineError::NotAccepted { .. }) {
                    queued.tries += 1;
                }
                if queued.tries >= MAX_TRIES {
                    return self.put_aside(locked, &queued, "not-seen", &error.to_string());
                }
                queued.why = Some(error.to_string());
                locked.keep_message(&queued)?;
                Err(error)
            }
        }
    }

    /// Continues a delivery that another process began. `None` if the message is to be typed now.
    async fn continue_delivery(
        &self,
        peer: &Peer,
        locked: &Locked,
        record: &mut SessionRecord,
        queued: &mut Queued,
        begun: &StartedDelivery,
    ) -> Result<Option<Step>> {
        match self.recovered(peer, locked, record, begun).await? {
            // Said to a worker that is over.
            Recovery::Said if is_for_one(peer) && begun.incarnation != record.incarnation => {
                if queued.returned >= RETURNS {
                    return self.put_aside(locked, queued, "not-done", "two workers ended with it").map(Some);
                }
                queued.returned += 1;
                Ok(None)
            }
            Recovery::Said => {
                if begun.incarnation == record.incarnation {
                    note_said(locked, record, begun.at_ms, true)?;
                    if let Some(topic) = &queued.topic {
                        locked.add_topic(topic)?;
                    }
                }
                let event = Event::new(self.now(), EventName::MessageDelivered).peer(&peer.name);
                let event = event.incarnation(begun.incarnation).cause("found").with("message", queued.id);
                let event = event.with("from", queued.from.as_ref().map(PeerName::as_str));
                self.log(&event.with("topic", queued.topic.clone()))?;
                self.said(peer, locked, queued, begun.incarnation)?;
                Ok(Some(Step::Delivered))
            }
            Recovery::PutAside => {
                self.put_aside(locked, queued, "not-known", "whether it was said is not known").map(Some)
            }
            Recovery::Look => Ok(Some(Step::Waits("what was typed last may be on its way".to_owned()))),
            Recovery::Deliver => Ok(None),
        }
    }

    /// Removes a message that was said. Where each message has a worker of its own, which may die with it, the message is
    /// kept until its worker is done.
    fn said(&self, peer: &Peer, locked: &Locked, queued: &Queued, to: Incarnation) -> Result<()> {
        if is_for_one(peer) {
            return Ok(locked.take_message(queued, to)?);
        }
        Ok(locked.drop_message(queued.id)?)
    }

    fn put_aside(&self, locked: &Locked, queued: &Queued, cause: &str, why: &str) -> Result<Step> {
        let queued = Queued { why: Some(why.to_owned()), ..queued.clone() };
        let event = Event::new(self.now(), EventName::MessageExpired).peer(locked.files().name()).cause(cause);
        self.log(&event.with("message", queued.id))?;
        locked.expire_message(&queued)?;
        Ok(Step::PutAside)
    }

    /// Determines what became of a delivery that another process began and did not live to complete.
    async fn recovered(
        &self,
        peer: &Peer,
        locked: &Locked,
        record: &mut SessionRecord,
        begun: &StartedDelivery,
    ) -> Result<Recovery> {
        let (started, mut rests_since) = (Instant::now(), None::<Instant>);
        let same_incarnation = begun.incarnation == record.incarnation;
        loop {
            ConversationFinder::of(peer).find(&self.state, locked, record)?;
            let found = match &begun.unseen {
                Some(unseen) => self.was_said(peer, locked, record, unseen, &begun.said)?,
                None => false,
            };
            let rests = !found && has_read_all(record) && self.not_free(peer, record).await?.is_none();
            rests_since = if rests { rests_since.or_else(|| Some(Instant::now())) } else { None };
            let facts = RecoveryFacts {
                found,
                keeps_transcript: begun.unseen.is_some(),
                same_incarnation,
                at_rest: rests_since.map_or(Duration::ZERO, |since| since.elapsed()),
            };
            match recover(&facts) {
                Recovery::Look if started.elapsed() < RECOVERY => tokio::time::sleep(POLL * 5).await,
                recovery => return Ok(recovery),
            }
        }
    }

    /// Returns why the agent is not free, unless it becomes free within `patience`.
    async fn free_within(&self, peer: &Peer, record: &SessionRecord, patience: Duration) -> Result<Option<String>> {
        let started = Instant::now();
        loop {
            match self.not_free(peer, record).await? {
                Some(_) if started.elapsed() < patience => tokio::time::sleep(POLL * 2).await,
                why => return Ok(why),
            }
        }
    }
}

/// Whether each incarnation of it is for one message.
pub(super) fn is_for_one(peer: &Peer) -> bool {
    peer.effective.policy.value == ContextPolicy::Ephemeral
}

/// Whether nothing of the message is in the agent or its composer.
fn was_not_typed(error: &EngineError) -> bool {
    match error.itself() {
        EngineError::NotAccepted { how, .. } | EngineError::Interrupted { how, .. } => *how == Undelivered::NotTyped,
        EngineError::NoRoom { .. } => true,
        _ => false,
    }
}
