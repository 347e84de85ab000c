//! `peer wake`: bring an agent up, fresh or resumed, deliver a message, and say why.

use std::time::Duration;

use peer_adapters::process;
use serde::Serialize;
use tokio::time::Instant;

use crate::engine::error::Undelivered;
use crate::engine::life::launch::Plan;
use crate::engine::life::record_end;
use crate::engine::message::interruption::interrupted;
use crate::engine::message::{Delivery, Message, check_message};
use crate::engine::observe::conversation;
use crate::engine::observe::{self, Sight};
use crate::engine::{Engine, EngineError, POLL, Peer, Result};
use crate::policy::axis::Axis;
use crate::policy::ending::{Incarnation, Intent};
use crate::policy::health::Deaths;
use crate::policy::name::PeerName;
use crate::policy::recorded::Recorded;
use crate::policy::wake::{Markers, Refusal, WakeDecision, WakeFacts, WakeReason, WakeRequest, decide};
use crate::store::{Event, LastEnd, Locked, Marker, Phase, SessionRecord, Stored};

/// How often a wake starts over after clearing what stood in its way. Two are needed at most (an orphan, then its
/// record); more means that somebody works against us.
const MAX_ROUNDS: u32 = 5;

/// How a wake came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Woken {
    /// Whom.
    pub peer: PeerName,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// `fresh`, `resume` or `already-awake`.
    pub decision: &'static str,
    /// Why, under the name of the table.
    pub cause: String,
    /// Its conversation, where its id is known.
    pub conversation: Option<String>,
    /// Whether a message was typed and accepted.
    pub delivered: bool,
    /// How many messages of its inbox were delivered then.
    pub queued_delivered: usize,
    /// What was typed, and from where on its answer is to be found.
    #[serde(skip)]
    pub delivery: Option<Delivery>,
    /// Names of the variables that its agent lives by, and that it was started without, though it had them before.
    pub missing_env: Vec<String>,
}

/// How long an agent that starts over may take to leave: its pane process kills it after its grace, 5 s unless its
/// profile says otherwise.
const LEAVE_PATIENCE: Duration = Duration::from_secs(15);

/// What one round under the lock came to.
enum Round {
    /// Something was cleared: look again.
    Again,
    /// An incarnation is on its way, started by us or by another.
    Started { incarnation: Incarnation, decision: &'static str, cause: String, lacks: Vec<String> },
    /// It starts over by itself.
    Leaving { incarnation: Incarnation },
    /// It is awake.
    Awake(Box<SessionRecord>),
}

/// An incarnation that is ready for a message.
struct Up {
    locked: Locked,
    record: SessionRecord,
    decision: &'static str,
    cause: String,
}

impl Engine {
    /// Wakes one peer and delivers `message`. Blocks until it is ready and the message accepted.
    ///
    /// # Errors
    /// [`EngineError::Refused`] with the row that says no; [`EngineError::NotReady`]; [`EngineError::NotAccepted`].
    pub async fn wake(&self, name: &PeerName, request: &WakeRequest, message: &Message) -> Result<Woken> {
        self.wake_peer(&self.peer(name)?, request, message).await
    }

    /// The same for a peer that is loaded, or known all the same: then it gets its message where it is awake.
    ///
    /// # Errors
    /// As [`Engine::wake`], and what is wrong with its spec where it would have to be started.
    pub(crate) async fn wake_peer(&self, peer: &Peer, request: &WakeRequest, message: &Message) -> Result<Woken> {
        check_message(peer, message)?;
        self.check_hops(&peer.name, message)?;
        let mut woken = self.wake_and_deliver(peer, request, message).await;
        match &mut woken {
            Ok(woken) => woken.queued_delivered = self.drain_if_possible(peer).await,
            Err(error) => self.log_unconfirmed(peer, error)?,
        }
        woken
    }

    async fn wake_and_deliver(&self, peer: &Peer, request: &WakeRequest, message: &Message) -> Result<Woken> {
        // A start goes on without whoever asked for it, and says so to whoever comes next; a message does not.
        let up = self.interruption.before(Box::pin(self.bring_up(peer, request, message.hops))).await;
        let Up { locked, mut record, decision, cause } =
            up.map_err(|signal| interrupted(peer, Undelivered::NotTyped, signal))??;
        let delivered = self.deliver(peer, &locked, &mut record, message).await;
        let delivery = delivered.map_err(|error| error.lacking(record.missing_env.clone()))?;
        Ok(Woken {
            peer: peer.name.clone(),
            incarnation: record.incarnation,
            decision,
            cause,
            conversation: record.conversation,
            queued_delivered: 0,
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
                    let cause = "already-awake".to_owned();
                    return Ok(Up { locked, record: *record, decision: "already-awake", cause });
                }
                Round::Leaving { incarnation } => {
                    drop(locked);
                    self.await_departure(peer, incarnation).await?;
                    waited = true;
                }
                Round::Started { incarnation, decision, cause, lacks } => {
                    drop(locked);
                    self.await_ready(peer, incarnation).await.map_err(|error| error.lacking(lacks.clone()))?;
                    let locked = self.lock(&peer.name).await?;
                    // One call starts one incarnation: one that was ready and is gone already is told, not replaced.
                    let record = self.still_current(peer, &locked, incarnation).await;
                    let record = record.map_err(|error| error.lacking(lacks))?;
                    self.note_shortfalls(peer, &record);
                    return Ok(Up { locked, record, decision, cause });
                }
            }
        }
        let detail = "something starts it again and again".to_owned();
        Err(EngineError::NotEnded { peer: peer.name.clone(), detail })
    }

    /// A message of which nobody can say that it arrived is an event, whatever is typed next.
    fn log_unconfirmed(&self, peer: &Peer, error: &EngineError) -> Result<()> {
        let Some(cause) = error.unconfirmed() else { return Ok(()) };
        let signal = match error.itself() {
            EngineError::Interrupted { signal, .. } => Some(*signal as i32),
            _ => None,
        };
        let mut event =
            Event::new(self.now(), "message.unconfirmed").peer(&peer.name).cause(cause).with("signal", signal);
        event.incarnation = peer.files.session()?.present().map(|record| record.incarnation);
        self.log(&event)
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
            self.learn_late(peer, locked)?;
        }
        let facts = self.facts(peer, &live)?;
        match (decide(&facts, request, self.now()), live) {
            (WakeDecision::Refuse(refusal), _) => Err(self.refused(peer, refusal)?),
            (WakeDecision::AlreadyAwake, Live::Session(record, _)) => {
                self.awake_or_ending(peer, locked, *record, waited).await
            }
            (WakeDecision::StillStarting, Live::Starting(record))
                if record.intent.is_some_and(|intent| !intent.of_an_orphan()) =>
            {
                self.awake_or_ending(peer, locked, *record, waited).await
            }
            (WakeDecision::StillStarting, Live::Starting(record)) => Ok(Round::Started {
                incarnation: record.incarnation,
                decision: "already-awake",
                cause: "already-awake".to_owned(),
                lacks: record.missing_env,
            }),
            (WakeDecision::EndOrphan, Live::Session(record, sight)) => {
                self.end_orphan(peer, locked, *record, &sight).await?;
                Ok(Round::Again)
            }
            (WakeDecision::RecordEnd, Live::Session(record, sight)) => {
                self.bury(peer, locked, &record, &sight).await?;
                Ok(Round::Again)
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
            self.progress.notice(&format!("{}: its conversation was not found, so it starts fresh", peer.name));
        }
        let record = self.launch(peer, locked, plan).await?;
        let decision = if record.resumed { "resume" } else { "fresh" };
        let SessionRecord { incarnation, cause, missing_env: lacks, .. } = record;
        Ok(Round::Started { incarnation, decision, cause, lacks })
    }

    /// It is awake, but somebody began to end it and was killed. The keys and signals of that may still be on their way,
    /// so what was begun is brought to its end: an agent that is only left alone dies a moment later, as if by itself.
    ///
    /// A self-fresh is its pane process's own doing; it is waited for first.
    async fn awake_or_ending(
        &self,
        peer: &Peer,
        locked: &Locked,
        record: SessionRecord,
        waited: bool,
    ) -> Result<Round> {
        let Some(intent) = record.intent.filter(|intent| !intent.of_an_orphan()) else {
            return Ok(Round::Awake(Box::new(record)));
        };
        if intent == Intent::SelfFresh && !waited {
            return Ok(Round::Leaving { incarnation: record.incarnation });
        }
        let refused = peer.files.has(Marker::Stopped)?;
        self.end(peer, locked, record, Some(intent)).await?;
        // Whoever wakes it does not want it stopped; a stop that came to its marker refused this wake before.
        if !refused {
            locked.unmark(Marker::Stopped)?;
        }
        Ok(Round::Again)
    }

    /// Waits until `incarnation` is not on record any more, for `LEAVE_PATIENCE` at most; the lock must not be held.
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

    /// Row 6: the agent outlived its session. What took that away is why it ends, and not how it takes the ladder.
    pub(crate) async fn end_orphan(
        &self,
        peer: &Peer,
        locked: &Locked,
        record: SessionRecord,
        sight: &Sight,
    ) -> Result<()> {
        let incarnation = record.incarnation;
        let intent = record.intent.unwrap_or_else(|| why_orphaned(sight));
        self.end(peer, locked, record, Some(intent)).await?;
        self.log(&Event::new(self.now(), "session.orphan-ended").peer(&peer.name).incarnation(incarnation))
    }

    /// Row 7: the agent is gone. What is left of its session is cleared first, so that a pass that is killed in between
    /// finds the record again.
    pub(crate) async fn bury(&self, peer: &Peer, locked: &Locked, record: &SessionRecord, sight: &Sight) -> Result<()> {
        let mut record = record.clone();
        conversation::Learner::new(&peer.profile, &peer.spec.cwd).learn(&self.state, locked, &mut record)?;
        self.await_exit_record(peer, &record).await?;
        self.keep_screen(&record, locked, sight).await;
        self.clear_session(peer, &record).await?;
        // A pane process that lived until its pane was cleared saw that end.
        self.await_exit_record(peer, &record).await?;
        record_end::record_end(&self.state, locked, &record, record_end::Absence::cleared(sight), self.now())?;
        Ok(())
    }

    fn refused(&self, peer: &Peer, refusal: Refusal) -> Result<EngineError> {
        self.log(
            &Event::new(self.now(), "wake.refused")
                .peer(&peer.name)
                .cause(refusal.cause())
                .with("retry_after_s", refusal.retry_after().map(|after| after.as_secs())),
        )?;
        Ok(EngineError::Refused { peer: peer.name.clone(), done: "woken", refusal })
    }

    /// What is on record, looked at with the eyes of both axes.
    pub(crate) async fn live(&self, peer: &Peer, record: Option<SessionRecord>) -> Result<Live> {
        let Some(record) = record else { return Ok(Live::None) };
        let sight = self.observe(&peer.name, &record).await?;
        if !sight.leftovers.is_empty() {
            // Best effort here: a leftover is a dead pane, and the next look finds it again.
            if let Err(error) = observe::sweep(self.runtime_of(&record.place)?.as_ref(), &record, &sight).await {
                tracing::debug!(%error, "leftover sessions");
            }
        }
        Ok(Live::of(record, sight))
    }

    /// Everything the table asks about, gathered.
    pub(crate) fn facts(&self, peer: &Peer, live: &Live) -> Result<WakeFacts> {
        let (last, deaths) = (peer.files.end()?.present(), peer.files.deaths()?.present().unwrap_or_default());
        self.facts_of(peer, live.recorded(), last, deaths)
    }

    /// The same, with these ends on record.
    pub(crate) fn facts_of(
        &self,
        peer: &Peer,
        live: Recorded,
        last: Option<LastEnd>,
        deaths: Deaths,
    ) -> Result<WakeFacts> {
        let files = &peer.files;
        let set_aside = last.is_none() && files.has_lost_end()?;
        let known = match &last {
            Some(last) => self.late_conversation(peer, last)?.or_else(|| last.conversation.clone()),
            None if set_aside => files.conversations()?.pop().map(|entry| entry.conversation),
            None => None,
        };
        let conversation = self.resumable(peer, known.as_deref());
        Ok(WakeFacts {
            managed_by: self.manager_of(peer),
            stopped: files.has(Marker::Stopped)?,
            live,
            markers: Markers {
                idle_reaped: files.has(Marker::IdleReaped)?,
                new_eager: files.has(Marker::NewEager)?,
                fresh_next: files.has(Marker::FreshNext)?,
            },
            ever_ran: last.as_ref().map_or(set_aside, |last| last.end.lasting_cause().is_some()),
            last_end: last.map(|last| last.end),
            deaths: self.unless_changed_since(peer, deaths),
            max_restarts: peer.effective.max_restarts.value,
            lifestyle: peer.effective.policy.value,
            topics: files.topics()?,
            conversation,
            resume_without_topic: peer.effective.resume_without_topic.value,
        })
    }

    /// The conversation that a resume would use: the last one, while the agent's own files still have it.
    pub(crate) fn resumable(&self, peer: &Peer, last: Option<&str>) -> Option<String> {
        let id = last?;
        if !peer.profile.capabilities().resume {
            return None;
        }
        let env = self.agent_environment(peer);
        match conversation::with_files(&peer.profile, &peer.spec.cwd, &env, |files| files.exists(id)) {
            Ok(found) => found.map(|_| id.to_owned()),
            Err(error) => {
                // Not readable is not absent: let the agent itself say so, and keep the markers if it does.
                self.progress.notice(&conversation::tell(&error));
                Some(id.to_owned())
            }
        }
    }

    /// The record of a peer that is awake on both axes.
    ///
    /// # Errors
    /// [`EngineError::NotAwake`], or a refusal while an axis is unknown.
    pub(crate) async fn awake(&self, peer: &Peer) -> Result<SessionRecord> {
        let record = peer.files.session()?.present();
        match self.live_in_reach(peer, record).await? {
            Live::Starting(record) => Ok(*record),
            Live::Session(record, sight) => match sight.unknown() {
                Some(refusal) => Err(EngineError::Refused { peer: peer.name.clone(), done: "woken", refusal }),
                None if sight.process == Axis::Alive && sight.runtime == Axis::Alive => Ok(*record),
                None => Err(EngineError::NotAwake { peer: peer.name.clone() }),
            },
            Live::None => Err(EngineError::NotAwake { peer: peer.name.clone() }),
        }
    }

    /// No signal and no marker while an axis is unknown.
    pub(crate) fn refuse_unknown(peer: &Peer, sight: &Sight) -> Result<()> {
        match sight.unknown() {
            Some(refusal) => Err(EngineError::Refused { peer: peer.name.clone(), done: "woken", refusal }),
            None => Ok(()),
        }
    }

    /// Who else starts and stops this agent: its spec, or a user unit or launchd plist of its name.
    pub(crate) fn manager_of(&self, peer: &Peer) -> Option<String> {
        if let Some(manager) = &peer.spec.managed_by {
            return Some(manager.clone());
        }
        let home = std::path::PathBuf::from(self.var("HOME")?);
        let units = match self.var("XDG_CONFIG_HOME") {
            Some(dir) => std::path::PathBuf::from(dir),
            None => home.join(".config"),
        };
        let unit = units.join("systemd/user").join(format!("peer-{}.service", peer.name));
        let plist = home.join("Library/LaunchAgents").join(format!("peer.{}.plist", peer.name));
        [unit, plist].into_iter().find(|path| path.exists()).map(|path| path.display().to_string())
    }
}

/// Why an agent without its session is ended.
pub(crate) fn why_orphaned(sight: &Sight) -> Intent {
    if sight.server_gone { Intent::RuntimeLost } else { Intent::Closed }
}

/// Whether somebody waits for this start. A kernel that does not tell is no proof that nobody does.
fn is_driven(record: &SessionRecord) -> bool {
    let Phase::Starting { driver } = record.phase else { return false };
    !matches!(process::find(observe::process_id(driver)), Ok(None))
}

/// The incarnation on record with what was seen of it.
#[derive(Debug)]
pub(crate) enum Live {
    /// None, or one that never came about.
    None,
    /// On its way.
    Starting(Box<SessionRecord>),
    /// It was started; alive or not is for the policy to say.
    Session(Box<SessionRecord>, Box<Sight>),
}

impl Live {
    /// Tells a start in progress from one that never came about and from a session that was up.
    pub(crate) fn of(mut record: SessionRecord, sight: Sight) -> Self {
        if record.phase == Phase::Refused {
            return Self::None;
        }
        observe::complete(&mut record, &sight);
        if matches!(record.phase, Phase::Ready { .. }) {
            return Self::Session(Box::new(record), Box::new(sight));
        }
        let pane_lives = sight.row.as_ref().is_some_and(|row| !row.pane_dead);
        match (&sight.runtime, record.process.is_some(), &sight.process) {
            // The pane has not started its agent yet, or the agent is up and not ready yet.
            (Axis::Alive, false, _) if pane_lives => Self::Starting(Box::new(record)),
            (Axis::Alive, true, Axis::Alive) => Self::Starting(Box::new(record)),
            // A session can be there before its pane is (zellij 0.45.1: up to 300 ms, and never where the client that makes
            // it dies first). Without anybody who waits for it, it is fenced off; nobody saw it end, so no death counts.
            (Axis::Alive, false, _) if record.place.pane_process.is_none() => {
                if is_driven(&record) {
                    Self::Starting(Box::new(record))
                } else {
                    Self::None
                }
            }
            // Nobody ever asked the runtime, or what was asked is stuck in it: the next incarnation fences it off.
            (Axis::Dead, false, _) => Self::None,
            _ => Self::Session(Box::new(record), Box::new(sight)),
        }
    }

    /// The record, where one stands.
    pub(crate) fn record(&self) -> Option<&SessionRecord> {
        match self {
            Self::None => None,
            Self::Starting(record) | Self::Session(record, _) => Some(record),
        }
    }

    pub(crate) fn recorded(&self) -> Recorded {
        match self {
            Self::None => Recorded::None,
            Self::Starting(_) => Recorded::Starting,
            Self::Session(_, sight) => match &sight.elsewhere {
                Some(owner) => Recorded::Elsewhere { owner: owner.clone() },
                None => Recorded::Session { runtime: sight.runtime.clone(), process: sight.process.clone() },
            },
        }
    }
}
