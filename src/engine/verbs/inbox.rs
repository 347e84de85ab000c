//! Messages that wait for their peer: they are posted, shown, cancelled, and held up.

mod drain;

use peer_adapters::screen::{self, Composer, Phase as Shows};

use crate::engine::message::{Message, check_message};
use crate::engine::observe::launched::Launched;
use crate::engine::observe::live::Live;
use crate::engine::{Engine, Peer, Result};
use crate::policy::event::EventName;
use crate::policy::health::{Health, HealthPolicy, Restart, RestartDelay};
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::policy::turn::Turn;
use crate::policy::wake::{WakeDecision, WakeRequest, decide};
use crate::store::{Event, Inbox, Queued, SessionRecord};
use drain::is_for_one;

/// A message that was put into an inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Posted {
    /// Its number.
    pub id: u64,
    /// Whether it was delivered at once.
    pub delivered: bool,
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
        let mut told = self.state.journal().tail_from_now()?;
        let is_declared = || self.config.spec_path(name).exists();
        let Some(id) = self.state.queue(name, &queued, is_declared)? else { return Err(self.no_such_peer(name)) };
        let event = Event::new(now, EventName::MessageQueued)
            .peer(name)
            .with("message", id)
            .with("topic", queued.topic.clone());
        let event = event.with("from", queued.from.as_ref().map(PeerName::as_str));
        self.log(&event.with("not_before", not_before.map(|at| at.to_string())))?;
        self.drain_if_possible(&peer).await;
        // If it waits no more, it may also have been put aside or cancelled.
        let is_ours = |event: &Event| {
            event.is(EventName::MessageDelivered)
                && event.peer.as_ref() == Some(name)
                && event.details.get("message").and_then(serde_json::Value::as_u64) == Some(id)
        };
        let delivered = !peer.files.waits(id) && told.next_events()?.iter().any(is_ours);
        Ok(Posted { id, delivered })
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
        let request = WakeRequest::default();
        match &live {
            Live::Session(record, _) => match decide(&self.wake_facts(peer, &live, &request)?, &request, self.now()) {
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
        let (now, request) = (self.now(), WakeRequest::default());
        if let WakeDecision::Refuse(refusal) = decide(&self.wake_facts(peer, &Live::None, &request)?, &request, now) {
            return Ok(Some(refusal.to_string()));
        }
        let policy = HealthPolicy { restart: Restart::OnFailure, ..peer.health_policy() };
        let last = peer.files.end()?.present();
        let health = Health::assess(&self.deaths(peer)?, last.as_ref().map(|last| &last.end), policy, now);
        let left = health.held_until(now).map(|until| until.since(now).as_secs() + 1);
        Ok(left.map(|left| match health.restart_delay {
            Some(RestartDelay::Pause { cause, .. }) => {
                format!("its last end was {cause}; its inbox is delivered after a pause, in {left} s")
            }
            _ => format!("it crashed; its inbox is delivered after its backoff, in {left} s"),
        }))
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
            (Shows::Starting, _) => Some("its input box is not shown".to_owned()),
            (Shows::Ready, Composer::Holds(_)) if !is_ours => Some("its input box holds an unsent draft".to_owned()),
            (Shows::Ready, _) => {
                let refused = self.refused_turn(peer, record, view.limited.as_deref());
                match refused.map(|(turn, ..)| turn.at(self.now())) {
                    // Whether a limit without a known end still holds is unknown, so the delivery is tried.
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

/// What is said of an inbox that nothing holds up.
pub const NEXT: &str = "the next wake or tick delivers what waits";
const WORKS: &str = "it is busy";
const SIGNED_OUT: &str =
    "its service does not accept its account or key: sign in from its pane, or send it a message directly";
const ANOTHER: &str = "it has another message; each is for an incarnation of its own";

/// Whether what waits is for the next incarnation: this one has the one message that it was started for.
pub(crate) fn has_its_message(peer: &Peer, record: &SessionRecord) -> bool {
    record.had_message && is_for_one(peer)
}

fn next() -> String {
    NEXT.to_owned()
}
