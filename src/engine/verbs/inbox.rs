//! Messages that wait for their peer, delivered in order, each once.
//!
//! A delivery is recorded before its first key, with the position in the transcript after which the message will
//! appear. The next process looks there, and types the message again only if it is known not to have arrived.

use std::time::Duration;

use peer_adapters::screen::{self, Composer, Phase as Shows};
use peer_adapters::terminal;
use tokio::time::Instant;

use crate::engine::error::Undelivered;
use crate::engine::message::{Message, check_message};
use crate::engine::observe::conversation::{ConversationFinder, Launched};
use crate::engine::verbs::wake::Live;
use crate::engine::{Engine, EngineError, POLL, Peer, Result, pause};
use crate::policy::ending::Incarnation;
use crate::policy::event::EventName;
use crate::policy::health::{Health, HealthPolicy, Restart};
use crate::policy::inbox::{MAX_TRIES, RETURNS, Recovery, RecoveryFacts, recover};
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::policy::turn::Turn;
use crate::policy::wake::{ContextPolicy, WakeDecision, WakeRequest, decide};
use crate::store::{Event, Inbox, Locked, Phase, Queued, SessionRecord, StartedDelivery};

/// How long to wait for another process that works on the peer. A delivery of another message takes half a second; a
/// process that holds the lock longer checks the inbox itself, or the next tick does.
const LOCK_SOON: Duration = Duration::from_secs(2);
/// How long an agent may take for the current turn, if there are more messages for it.
const FREE_SOON: Duration = Duration::from_secs(1);
/// How long to look for a message that may be in transit.
const RECOVERY: Duration = Duration::from_secs(20);

/// A message that was put into an inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posted {
    /// Its number.
    pub id: u64,
    /// Whether it was delivered at once.
    pub delivered: bool,
}

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
    /// Puts a message into a peer's inbox, and delivers what is due if the peer is awake and free. Wakes no peer.
    ///
    /// # Errors
    /// The peer is not declared, the message would not arrive unchanged, or it cannot be written; it is not queued
    /// then.
    pub async fn post(&self, name: &PeerName, message: &Message, not_before: Option<Timestamp>) -> Result<Posted> {
        let peer = self.peer(name)?;
        check_message(&peer, message)?;
        self.check_hops(name, message)?;
        let now = self.now();
        let queued = Queued {
            id: 0,
            at_ms: now,
            from: message.from.clone(),
            hops: message.hops,
            topic: message.topic.clone(),
            not_before_ms: not_before,
            text: message.text.clone().unwrap_or_default(),
            tries: 0,
            taken: None,
            returned: 0,
            begun: None,
            why: None,
        };
        let id = self.state.queue(name, &queued)?;
        let event = Event::new(now, EventName::MessageQueued)
            .peer(name)
            .with("message", id)
            .with("topic", queued.topic.clone());
        let event = event.with("from", queued.from.as_ref().map(PeerName::as_str));
        self.log(&event.with("not_before", not_before.map(|at| at.to_string())))?;
        self.drain_if_possible(&peer).await;
        Ok(Posted { id, delivered: !peer.files.waits(id) })
    }

    /// Returns the contents of a peer's inbox.
    ///
    /// # Errors
    /// The peer is not declared, or its files cannot be read.
    pub fn inbox(&self, name: &PeerName) -> Result<Inbox> {
        Ok(self.peer(name)?.files.inbox()?)
    }

    /// Removes a waiting message from an inbox. Returns whether it was there.
    ///
    /// # Errors
    /// Another process holds the peer's lock for too long, or the directory is read-only.
    pub async fn cancel(&self, name: &PeerName, id: u64) -> Result<bool> {
        let peer = self.peer(name)?;
        let locked = self.lock(name).await?;
        if !peer.files.waits(id) {
            return Ok(false);
        }
        locked.drop_message(id)?;
        self.log(&Event::new(self.now(), EventName::MessageExpired).peer(name).cause("cancelled").with("message", id))?;
        Ok(true)
    }

    /// Returns why waiting messages are not delivered now, in words.
    ///
    /// # Errors
    /// The peer's state cannot be read.
    pub async fn held_up(&self, peer: &Peer) -> Result<String> {
        let live = self.live_in_reach(peer, peer.files.session()?.present()).await?;
        match &live {
            Live::Session(record, _) => match decide(&self.facts(peer, &live)?, &WakeRequest::default(), self.now()) {
                WakeDecision::AlreadyAwake if has_its_message(peer, record) => Ok(ANOTHER.to_owned()),
                WakeDecision::AlreadyAwake => Ok(self.not_free(peer, record).await?.unwrap_or_else(next)),
                WakeDecision::Refuse(refusal) => Ok(refusal.to_string()),
                _ => Ok(next()),
            },
            Live::Starting(_) => Ok("it is starting".to_owned()),
            Live::None => Ok(self.refuses_mail(peer)?.unwrap_or_else(next)),
        }
    }

    /// Returns why a tick does not wake an inactive peer for its inbox: the refusal of the wake table, or the backoff,
    /// which applies here whatever the spec's restart policy.
    pub(crate) fn refuses_mail(&self, peer: &Peer) -> Result<Option<String>> {
        let now = self.now();
        if let WakeDecision::Refuse(refusal) = decide(&self.facts(peer, &Live::None)?, &WakeRequest::default(), now) {
            return Ok(Some(refusal.to_string()));
        }
        let policy = HealthPolicy { restart: Restart::OnFailure, max_restarts: peer.effective.max_restarts.value };
        let last = peer.files.end()?.present();
        let health = Health::assess(&self.deaths(peer)?, last.as_ref().map(|last| &last.end), policy, now);
        let held = health.held_until(now).map(|until| until.since(now));
        Ok(held
            .map(|left| format!("it crashed; its inbox is delivered after its backoff, in {} s", left.as_secs() + 1)))
    }

    /// Delivers what waits for a peer that is awake, for as long as it is free. Returns the number of messages. A
    /// failure is reported, and the message waits.
    pub(crate) async fn drain_if_possible(&self, peer: &Peer) -> usize {
        match self.drain(peer).await {
            Ok(delivered) => delivered,
            Err(error) => {
                self.progress.notice(&format!("{}: its inbox waits: {error}", peer.name));
                0
            }
        }
    }

    /// As `drain_if_possible`, but returns the error that kept the first remaining message from being delivered.
    pub(crate) async fn drain(&self, peer: &Peer) -> Result<usize> {
        let files = self.state.peer(&peer.name);
        let mut delivered = 0;
        while files.first_due(self.now())?.is_some() {
            let Some(locked) = self.lock_soon(&peer.name).await? else { break };
            // The previous holder of the lock may have delivered it.
            let Some(message) = files.first_due(self.now())? else { break };
            let record = match self.awake(peer).await {
                Ok(record) if matches!(record.phase, Phase::Ready { .. }) && record.intent.is_none() => record,
                Ok(_) | Err(EngineError::NotAwake { .. }) => break,
                Err(error) => return Err(error),
            };
            if has_its_message(peer, &record) {
                break;
            }
            let patience = if delivered > 0 { FREE_SOON } else { Duration::ZERO };
            match self.deliver_queued(peer, &locked, record, message, patience).await? {
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

    async fn lock_soon(&self, name: &PeerName) -> Result<Option<Locked>> {
        let started = Instant::now();
        loop {
            match self.state.try_lock(name)? {
                None if started.elapsed() < LOCK_SOON => pause(started).await,
                locked => return Ok(locked),
            }
        }
    }

    async fn deliver_queued(
        &self,
        peer: &Peer,
        locked: &Locked,
        mut record: SessionRecord,
        mut queued: Queued,
        patience: Duration,
    ) -> Result<Step> {
        if let Some(begun) = queued.begun.clone() {
            match self.recovered(peer, locked, &mut record, &begun).await? {
                // Said to a worker that is over.
                Recovery::Said if is_for_one(peer) && begun.incarnation != record.incarnation => {
                    if queued.returned >= RETURNS {
                        return self.put_aside(locked, queued, "not-done", "two workers ended with it");
                    }
                    queued.returned += 1;
                }
                Recovery::Said => {
                    let event = Event::new(self.now(), EventName::MessageDelivered).peer(&peer.name);
                    let event = event.incarnation(begun.incarnation).cause("found").with("message", queued.id);
                    let event = event.with("from", queued.from.as_ref().map(PeerName::as_str));
                    self.log(&event.with("topic", queued.topic.clone()))?;
                    self.said(peer, locked, &queued, begun.incarnation)?;
                    return Ok(Step::Delivered);
                }
                Recovery::PutAside => {
                    return self.put_aside(locked, queued, "not-known", "whether it was said is not known");
                }
                Recovery::Look => return Ok(Step::Waits("what was typed last may be on its way".to_owned())),
                Recovery::Deliver => {}
            }
        }
        if let Some(why) = self.free_within(peer, &record, patience).await? {
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
        let (said, unseen) = self.before_delivery(peer, locked, &mut record, &message)?;
        let (incarnation, at_ms) = (record.incarnation, self.now());
        queued.begun = Some(StartedDelivery { incarnation, at_ms, said, unseen });
        locked.keep_message(&queued)?;
        match self.deliver(peer, locked, &mut record, &message).await {
            Ok(_) => {
                self.said(peer, locked, &queued, incarnation)?;
                Ok(Step::Delivered)
            }
            Err(EngineError::Unsendable { why, .. }) => self.put_aside(locked, queued, "unsendable", &why.to_string()),
            Err(error) => {
                if was_not_typed(&error) {
                    queued.begun = None;
                } else if matches!(error.itself(), EngineError::NotAccepted { .. }) {
                    queued.tries += 1;
                }
                if queued.tries >= MAX_TRIES {
                    return self.put_aside(locked, queued, "not-seen", &error.to_string());
                }
                queued.why = Some(error.to_string());
                locked.keep_message(&queued)?;
                Err(error)
            }
        }
    }

    /// It was said: nobody waits for it any more, but to whom each message has a worker of its own, which may die with it.
    fn said(&self, peer: &Peer, locked: &Locked, queued: &Queued, to: Incarnation) -> Result<()> {
        if is_for_one(peer) {
            return Ok(locked.take_message(queued, to)?);
        }
        Ok(locked.drop_message(queued.id)?)
    }

    fn put_aside(&self, locked: &Locked, queued: Queued, cause: &str, why: &str) -> Result<Step> {
        let queued = Queued { why: Some(why.to_owned()), ..queued };
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
            ConversationFinder::new(&peer.profile, &peer.spec.cwd).find(&self.state, locked, record)?;
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

    /// Returns why an agent that is awake takes no message now; `None` if it takes one.
    async fn not_free(&self, peer: &Peer, record: &SessionRecord) -> Result<Option<String>> {
        if let (Some(agent), Ok(launched)) = (record.process, Launched::of(&peer.files, record, &peer.spec.cwd)) {
            let of = record.conversation.as_deref();
            let look = |files: &peer_adapters::transcript::Files<'_>| {
                (files.status(agent.id.pid).ok().flatten(), files.turn_in_progress(of, agent.id.pid).ok().flatten())
            };
            match launched.look(&peer.profile, look) {
                (Some(own), _) if own.waits_for.is_some() => {
                    return Ok(Some(format!("it waits for a person: {}", own.waits_for.unwrap_or_default())));
                }
                (_, Some(true)) => return Ok(Some(WORKS.to_owned())),
                _ => {}
            }
        }
        if peer.profile.composer.is_none() && peer.profile.busy.is_empty() && peer.profile.dialog.is_empty() {
            return Ok(None);
        }
        let view = screen::read(&peer.profile, &self.capture(record).await?);
        let is_ours = record.typing.is_some() || (record.typed.is_some() && !record.typed_was_accepted);
        Ok(match (view.phase, view.composer) {
            (Shows::Busy, _) => Some(WORKS.to_owned()),
            (Shows::Dialog(dialog), _) => Some(format!("it asks: {}", dialog.question)),
            (Shows::Starting, _) => Some("its composer is not shown".to_owned()),
            (Shows::Ready, Composer::Holds(_)) if !is_ours => Some("its input box holds an unsent draft".to_owned()),
            (Shows::Ready, _) => {
                let refused = self.refused_turn(peer, record, view.limited.as_deref());
                match refused.map(|(turn, ..)| turn.at(self.now())) {
                    // Of one that is not known to be over soon nobody knows whether it still holds: it is tried.
                    Some(Turn::Limited(limit)) => {
                        limit.until_ms.map(|until| format!("a usage limit stops it until {until}"))
                    }
                    Some(Turn::Waiting(_)) => Some(SIGNED_OUT.to_owned()),
                    _ => None,
                }
            }
        })
    }
}

const WORKS: &str = "it is busy";
const SIGNED_OUT: &str =
    "its service does not accept its account or key: sign in in its pane, or send it a message directly";
const ANOTHER: &str = "it has another message; each is for an incarnation of its own";

/// Whether what waits is for the next incarnation: this one has the one message that it was started for.
pub(crate) fn has_its_message(peer: &Peer, record: &SessionRecord) -> bool {
    record.had_message && is_for_one(peer)
}

/// Whether each incarnation of it is for one message.
fn is_for_one(peer: &Peer) -> bool {
    peer.effective.policy.value == ContextPolicy::Ephemeral
}

fn next() -> String {
    "the next wake or tick delivers it".to_owned()
}

/// Whether nothing that was typed is left unread in its terminal.
fn has_read_all(record: &SessionRecord) -> bool {
    let input = record.process.map(|agent| terminal::input(agent.id.pid));
    input.is_none_or(|input| input.is_ok_and(|input| input.unread == 0))
}

/// Whether nothing of the message is in the agent or its composer.
fn was_not_typed(error: &EngineError) -> bool {
    match error.itself() {
        EngineError::NotAccepted { how, .. } | EngineError::Interrupted { how, .. } => *how == Undelivered::NotTyped,
        EngineError::NoRoom { .. } => true,
        _ => false,
    }
}
