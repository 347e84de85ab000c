//! `peer wake`: brings an agent up, fresh or resumed, delivers a message, and reports the cause.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use crate::engine::error::{LeftStart, Undelivered};
use crate::engine::life::plan::Plan;
use crate::engine::message::interruption::interrupted;
use crate::engine::message::{Delivery, Message, check_message};
use crate::engine::observe::live::Live;
use crate::engine::{Engine, EngineError, POLL, Peer, Result};
use crate::policy::ending::{Incarnation, Intent};
use crate::policy::event::EventName;
use crate::policy::name::PeerName;
use crate::policy::wake::{Decision, Refusal, WakeDecision, WakeReason, WakeRequest, decide};
use crate::store::{ClearedBy, Event, Locked, Marker, SessionRecord, Stored};

/// How often a wake starts over after it cleared what was in its way. At most two rounds are needed (an orphan, then
/// its record); more means that something interferes.
const MAX_ROUNDS: u32 = 5;

/// The result of a wake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Woken {
    /// The peer.
    pub peer: PeerName,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// What was done.
    pub decision: Decision,
    /// The cause, as the wake table names it.
    pub cause: String,
    /// Its conversation, if its id is known.
    pub conversation: Option<String>,
    /// Whether a turn was in progress when what was awake before ended.
    pub turn_cut: bool,
    /// Whether a message was typed and accepted.
    pub delivered: bool,
    /// How many messages of its inbox were delivered, before and after this one.
    pub queued_delivered: usize,
    /// How many of these were delivered before this one.
    #[serde(skip)]
    pub queued_first: usize,
    /// What was typed, and the position after which its answer will be.
    #[serde(skip)]
    pub delivery: Option<Delivery>,
    /// Names of the variables that its agent depends on and had before, but was started without.
    pub missing_env: Vec<String>,
}

impl fmt::Display for Woken {
    /// Writes what was done and why, and what was delivered.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queued = |number| match number {
            0 => String::new(),
            1 => "; a queued message delivered".to_owned(),
            some => format!("; {some} queued messages delivered"),
        };
        match self.decision {
            Decision::Fresh => write!(f, "woken fresh ({})", self.cause)?,
            Decision::Resume => write!(f, "woken resumed ({})", self.cause)?,
            Decision::AlreadyAwake => f.write_str("already awake")?,
        }
        let cut = if self.turn_cut { TURN_CUT } else { "" };
        let first = if self.queued_first > 0 { " first" } else { "" };
        let delivered = if self.delivered { "; message delivered" } else { "" };
        let behind = queued(self.queued_delivered - self.queued_first);
        write!(f, "{cut}{}{first}{delivered}{behind}", queued(self.queued_first))
    }
}

/// What is said if a turn was in progress when an agent was ended.
pub(crate) const TURN_CUT: &str = "; the turn that was in progress was cut off";

/// How long an agent that starts over may take to exit: its pane process kills it after its grace period, 5 s unless
/// its profile sets another.
const LEAVE_PATIENCE: Duration = Duration::from_secs(15);

/// The result of one round under the lock.
enum Round {
    /// Something was cleared; look again.
    Again,
    /// An incarnation is starting, started by this process or another.
    Started { incarnation: Incarnation, decision: Decision, cause: String, lacks: Vec<String>, turn_cut: bool },
    /// The agent is restarting itself.
    Leaving { incarnation: Incarnation },
    /// The agent is awake.
    Awake(Box<SessionRecord>),
}

/// An incarnation that is ready for a message.
struct Up {
    locked: Locked,
    record: SessionRecord,
    decision: Decision,
    cause: String,
    turn_cut: bool,
}

/// What goes on of a wake without its caller.
fn left(peer: &Peer) -> Result<LeftStart> {
    Ok(match peer.files.session()?.present().map(|record| record.ready_at().is_some()) {
        None => LeftStart::NotBegun,
        Some(false) => LeftStart::GoesOn,
        Some(true) => LeftStart::Awake,
    })
}

impl Engine {
    /// Wakes one peer and delivers `message`. Blocks until the peer is ready and the message accepted.
    ///
    /// # Errors
    /// [`EngineError::Refused`] with the rule that refuses; [`EngineError::NotReady`]; [`EngineError::NotAccepted`].
    pub async fn wake(&self, name: &PeerName, request: &WakeRequest, message: &Message) -> Result<Woken> {
        let peer = self.peer(name)?;
        let request = self.with_conversation(&peer, request)?;
        self.wake_peer(&peer, &request, message).await
    }

    /// As [`Engine::wake`], for a peer that is already loaded. A peer that was only reconstructed gets its message if
    /// it is awake.
    ///
    /// # Errors
    /// As [`Engine::wake`], and what is wrong with its spec if it would have to be started.
    pub(crate) async fn wake_peer(&self, peer: &Peer, request: &WakeRequest, message: &Message) -> Result<Woken> {
        check_message(peer, message)?;
        self.check_hops(&peer.name, message)?;
        let mut woken = self.wake_and_deliver(peer, request, message).await;
        match &mut woken {
            Ok(woken) => woken.queued_delivered = woken.queued_first + self.drain_behind(peer, message).await,
            Err(error) => self.log_unconfirmed(peer, error)?,
        }
        woken
    }

    async fn wake_and_deliver(&self, peer: &Peer, request: &WakeRequest, message: &Message) -> Result<Woken> {
        // An interrupted start continues without its caller, and the next caller finds it. A message does not continue.
        let up = self.interruption.before(Box::pin(self.bring_up(peer, request, message.hops))).await;
        let Up { locked, mut record, decision, cause, turn_cut } = match up {
            Ok(up) if message.text.is_some() => up.map_err(EngineError::without_the_message)?,
            Ok(up) => up?,
            Err(signal) => {
                self.leave_start(peer).await;
                return Err(match message.text {
                    Some(_) => interrupted(peer, Undelivered::NotTyped, signal),
                    None => EngineError::LeftStart { peer: peer.name.clone(), how: left(peer)?, signal },
                });
            }
        };
        let queued_first = self.drain_before(peer, &locked, &mut record, message).await?;
        let delivered = self.deliver(peer, &locked, &mut record, message).await;
        let delivery = delivered.map_err(|error| error.lacking(record.missing_env.clone()))?;
        Ok(Woken {
            peer: peer.name.clone(),
            incarnation: record.incarnation,
            decision,
            cause,
            conversation: record.conversation,
            turn_cut,
            queued_delivered: 0,
            queued_first,
            delivered: delivery.is_some(),
            delivery,
            missing_env: record.missing_env,
        })
    }

    async fn bring_up(&self, peer: &Peer, request: &WakeRequest, hops: u32) -> Result<Up> {
        let mut waited = false;
        for _ in 0..MAX_ROUNDS {
            let locked = self.lock(&peer.name).await?;
            match self.round(peer, &locked, request, hops, waited).await? {
                Round::Again => {}
                Round::Awake(record) => {
                    let decision = Decision::AlreadyAwake;
                    return Ok(Up { locked, record: *record, decision, cause: decision.to_string(), turn_cut: false });
                }
                Round::Leaving { incarnation } => {
                    drop(locked);
                    self.await_departure(peer, incarnation).await?;
                    waited = true;
                }
                Round::Started { incarnation, decision, cause, lacks, turn_cut } => {
                    drop(locked);
                    match self.seen_ready(peer, incarnation).await {
                        Ok((locked, record)) => {
                            self.note_shortfalls(peer, &record);
                            return Ok(Up { locked, record, decision, cause, turn_cut });
                        }
                        // This call has started nothing yet, and what it waited for lost its place without a fault.
                        Err(_) if decision == Decision::AlreadyAwake && self.was_taken_away(peer, incarnation)? => {}
                        Err(error) => return Err(error.lacking(lacks)),
                    }
                }
            }
        }
        let detail = "another process keeps starting it".to_owned();
        Err(EngineError::NotEnded { peer: peer.name.clone(), detail })
    }

    /// Waits until this incarnation is ready. One call starts one incarnation: if it was ready and has ended already,
    /// that is reported and it is not replaced.
    async fn seen_ready(&self, peer: &Peer, incarnation: Incarnation) -> Result<(Locked, SessionRecord)> {
        self.await_ready(peer, incarnation).await?;
        let locked = self.lock(&peer.name).await?;
        let record = self.still_current(peer, &locked, incarnation).await?;
        Ok((locked, record))
    }

    async fn round(
        &self,
        peer: &Peer,
        locked: &Locked,
        request: &WakeRequest,
        hops: u32,
        waited: bool,
    ) -> Result<Round> {
        let live = self.live_in_reach(peer, self.on_record(peer, locked)?).await?;
        if matches!(live, Live::None) {
            self.clear_left(peer, locked).await?;
            self.find_late_conversation(peer, locked)?;
        }
        let facts = self.wake_facts(peer, &live, request)?;
        match (decide(&facts, request, self.now()), live) {
            (WakeDecision::Refuse(refusal), _) => Err(self.refused(peer, refusal)?),
            (WakeDecision::AlreadyAwake, Live::Session(record, _)) => {
                self.awake_or_ending(peer, locked, *record, waited).await
            }
            (WakeDecision::StillStarting, Live::Starting(record))
                if record.intent.is_some_and(|intent| !intent.is_for_orphan()) =>
            {
                self.awake_or_ending(peer, locked, *record, waited).await
            }
            (WakeDecision::StillStarting, Live::Starting(record)) => Ok(Round::Started {
                incarnation: record.incarnation,
                decision: Decision::AlreadyAwake,
                cause: Decision::AlreadyAwake.to_string(),
                lacks: record.missing_env,
                turn_cut: false,
            }),
            (WakeDecision::EndOrphan, Live::Session(record, observation)) => {
                self.end_orphan(peer, locked, *record, &observation).await?;
                Ok(Round::Again)
            }
            (WakeDecision::RecordEnd, Live::Session(record, observation)) => {
                self.record_dead_session(peer, locked, &record, &observation).await?;
                Ok(Round::Again)
            }
            (WakeDecision::Fresh { .. } | WakeDecision::Resume { .. }, live) if request.only_if_awake => {
                Err(self.not_awake(peer, &live))
            }
            (WakeDecision::Fresh { cause }, _) => {
                let plan = Plan { resume: None, cause, topic: request.topic.clone(), hops };
                self.start_as_planned(peer, locked, &plan).await
            }
            (WakeDecision::Resume { conversation, cause }, _) => {
                let plan = Plan { resume: Some(conversation), cause, topic: request.topic.clone(), hops };
                self.start_as_planned(peer, locked, &plan).await
            }
            (decision, live) => unreachable!("the policy answered {decision} to {live:?}"),
        }
    }

    async fn start_as_planned(&self, peer: &Peer, locked: &Locked, plan: &Plan) -> Result<Round> {
        self.check_declared(peer)?;
        if plan.cause.reason == WakeReason::FirstWake {
            self.note_renamed(peer)?;
        }
        if plan.cause.no_conversation && peer.profile.capabilities().resume {
            let (name, cwd) = (&peer.name, peer.spec.cwd.display());
            self.progress.notice(&format!("{name}: its conversation was not found for {cwd}, so it starts fresh"));
        }
        let turn_cut = self.was_turn_cut(peer, plan.resume.as_deref())?;
        let record = self.launch(peer, locked, plan).await?;
        let decision = Decision::of_start(record.resumed);
        let SessionRecord { incarnation, cause, missing_env: lacks, .. } = record;
        Ok(Round::Started { incarnation, decision, cause, lacks, turn_cut })
    }

    /// Handles an agent that is awake. If another process began to end it and was killed, its keys and signals may
    /// still arrive, so the end is completed here; otherwise the agent would exit a moment later, apparently by itself.
    ///
    /// A self-fresh belongs to the pane process, which is waited for first.
    async fn awake_or_ending(
        &self,
        peer: &Peer,
        locked: &Locked,
        record: SessionRecord,
        waited: bool,
    ) -> Result<Round> {
        let Some(intent) = record.intent.filter(|intent| !intent.is_for_orphan()) else {
            return Ok(Round::Awake(Box::new(record)));
        };
        if intent == Intent::SelfFresh && !waited {
            return Ok(Round::Leaving { incarnation: record.incarnation });
        }
        let refused = peer.files.has(Marker::Stopped)?;
        self.end(peer, locked, record, Some(intent)).await?;
        // This wake overrides the interrupted stop. A stop that had set its marker would have refused this wake before.
        if !refused {
            locked.clear_markers(ClearedBy::Start)?;
        }
        Ok(Round::Again)
    }

    /// Waits until `incarnation` is no longer recorded, for at most `LEAVE_PATIENCE`. The lock must not be held.
    async fn await_departure(&self, peer: &Peer, incarnation: Incarnation) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < LEAVE_PATIENCE {
            match peer.files.session()? {
                Stored::Present(record) if record.incarnation == incarnation => {}
                _ => return Ok(()),
            }
            let what = format!("{} to start over", peer.name);
            self.progress.waiting(&what, started.elapsed(), LEAVE_PATIENCE);
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    fn refused(&self, peer: &Peer, refusal: Refusal) -> Result<EngineError> {
        self.log(
            &Event::new(self.now(), EventName::WakeRefused)
                .peer(&peer.name)
                .cause(refusal.cause())
                .with("retry_after_s", refusal.retry_after().map(|after| after.as_secs())),
        )?;
        Ok(EngineError::Refused { peer: peer.name.clone(), verb: "wake", refusal })
    }
}
