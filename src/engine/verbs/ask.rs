//! `peer send --wait`: delivers a message, and waits for the answer in the message's own turn.
//!
//! The answer comes from the agent's transcript: after the position recorded before the message was typed, it is what
//! the agent wrote between the entry of this message and the end of that turn. Agents answer all messages that wait
//! behind a turn together, so senders that wait for answers queue before their messages are typed.

use std::time::Duration;

use peer_adapters::watch::Watch;
use serde::Serialize;
use tokio::time::Instant;

use crate::engine::error::{AnswerWith, Undelivered};
use crate::engine::message::interruption::interrupted;
use crate::engine::message::{Delivery, Message, check_message};
use crate::engine::observe::own_files::policy_entries;
use crate::engine::observe::turn::Turns;
use crate::engine::verbs::wait::DRAWN;
use crate::engine::verbs::wake::Woken;
use crate::engine::{Engine, EngineError, POLL, Peer, Result, pause};
use crate::policy::answer::{Answer, Entry, TurnProgress, turn_progress};
use crate::policy::name::PeerName;
use crate::policy::state::State;
use crate::policy::time::millis;
use crate::policy::turn::AskKind;
use crate::policy::wait::{Goal, Verdict, judge};
use crate::policy::wake::Decision;
use crate::store::Stored;

/// How often to check what the agent is doing, apart from its files.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How often to read its files if nothing reports that they changed.
const BLIND: Duration = Duration::from_millis(250);

/// How long an agent must be seen to be free before a turn without a recorded end counts as over.
const FREE: Duration = Duration::from_secs(2);

/// As [`FREE`], if a turn has ended without an answer: an agent may show for a moment that it is free before it tries again
/// what failed (pi).
const STOPPED: Duration = Duration::from_millis(900);

/// An answer, with its turn's duration and cost.
#[derive(Clone, Debug, Serialize)]
pub struct Asked {
    /// How the message was delivered.
    #[serde(flatten)]
    pub woken: Woken,
    /// The answer; `None` if the turn was stopped, or ended without one.
    pub answer: Option<String>,
    /// From when the agent took the message to the end of its turn, if the transcript shows it.
    pub turn_ms: Option<u64>,
    /// What the turn cost, if the transcript shows it.
    pub tokens: Option<crate::policy::answer::Tokens>,
}

impl Engine {
    /// Delivers a message as [`Engine::send`] does, and waits for the end of its turn, for at most `timeout`.
    ///
    /// # Errors
    /// As [`Engine::send`]; [`EngineError::NoTranscript`] before anything is typed; [`EngineError::NoAnswerInTime`],
    /// which says whether the message was sent; [`EngineError::NeedsPerson`], [`EngineError::HeldUp`],
    /// [`EngineError::EndedMeanwhile`], [`EngineError::LeftWaiting`] once it is delivered.
    pub async fn send_and_wait(
        &self,
        name: &PeerName,
        message: &Message,
        wake: bool,
        timeout: Option<Duration>,
    ) -> Result<Asked> {
        let peer = self.peer(name)?;
        check_message(&peer, message)?;
        self.check_hops(name, message)?;
        if !peer.profile.capabilities().transcript {
            let why = "its agent keeps none, so its answer could not be read; nothing was sent".to_owned();
            return Err(EngineError::NoTranscript { peer: name.clone(), why });
        }
        let began = Instant::now();
        let deadline = timeout.map(|timeout| began + timeout);
        let late = |sent| EngineError::NoAnswerInTime { peer: name.clone(), sent, waited: began.elapsed() };
        // Released when this call ends, or this process.
        let _turn = loop {
            if let Some(turn) = peer.files.try_turn()? {
                break turn;
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(late(false));
            }
            let stopped = |signal| interrupted(&peer, Undelivered::NotTyped, signal);
            self.interruption.before(pause(began)).await.map_err(stopped)?;
        };
        let woken = self.send(name, message, wake).await?;
        if woken.decision != Decision::AlreadyAwake || woken.queued_first > 0 {
            // The answer alone would not show that it comes from a new context.
            self.progress.notice(&format!("{name}: {woken}"));
        }
        let Some(delivery) = woken.delivery.clone() else { return Err(late(true)) };
        let left = |signal| EngineError::LeftWaiting { peer: name.clone(), signal };
        let answer = self.interruption.before(Box::pin(self.await_answer(&peer, &delivery, deadline))).await;
        let answer = answer.map_err(left)??;
        match answer {
            Some(TurnProgress::Over { since, at, answer }) => {
                Ok(Asked::of(woken, since.zip(at).map(|(s, at)| at.since(s)), answer))
            }
            Some(TurnProgress::InProgress { last, .. }) => Ok(Asked::of(woken, None, last)),
            Some(TurnProgress::NotAccepted) => Ok(Asked::of(woken, None, None)),
            None => Err(late(true)),
        }
    }

    /// Returns how the turn of a message went, once it is over; `None` if the deadline passed first.
    async fn await_answer(
        &self,
        peer: &Peer,
        delivery: &Delivery,
        deadline: Option<Instant>,
    ) -> Result<Option<TurnProgress>> {
        let (mut turns, mut looked, mut free) = (Turns::default(), None::<Instant>, None::<Instant>);
        let mut watch = Watch::new();
        let mut sees = self.watch_answer(peer, &mut watch);
        let mut written = 0;
        loop {
            let entries = self.entries_since(peer, delivery)?;
            let course = turn_progress(&entries, |said| peer.profile.matches_record(said, &delivery.text));
            if matches!(course, TurnProgress::Over { answer: Some(_), .. }) {
                return Ok(Some(course));
            }
            if written != entries.len() {
                (written, free) = (entries.len(), None);
            }
            if looked.is_none_or(|looked| looked.elapsed() >= POLL_INTERVAL) {
                let is_free = self.is_free(peer, &mut turns).await?;
                looked = Some(Instant::now());
                free = free.filter(|_| is_free).or_else(|| is_free.then(Instant::now));
                let patience = if matches!(course, TurnProgress::Over { .. }) { STOPPED } else { FREE };
                if free.is_some_and(|free| free.elapsed() >= patience) {
                    return Ok(Some(course));
                }
                // Its files may have moved by now.
                if !sees {
                    watch = Watch::new();
                    sees = self.watch_answer(peer, &mut watch);
                }
            }
            let step = Instant::now() + if sees { POLL_INTERVAL } else { BLIND };
            let until = deadline.map_or(step, |deadline| deadline.min(step));
            let _ = tokio::time::timeout_at(until, watch.changed()).await;
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(None);
            }
        }
    }

    /// Watches the files that show how a turn goes. Returns whether the agent's own files are among them.
    fn watch_answer(&self, peer: &Peer, watch: &mut Watch) -> bool {
        let record = peer.files.session().ok().and_then(Stored::present);
        let own = record.map(|record| self.own_activity_files(peer, &record)).unwrap_or_default();
        let watched = self.activity_files(peer).into_iter().filter(|file| watch.add(file, 0)).collect::<Vec<_>>();
        own.iter().any(|file| watched.contains(file))
    }

    /// Whether the agent can take a message now. A question that was reported and is not drawn with its rows yet is waited
    /// for, for [`DRAWN`] at most.
    ///
    /// # Errors
    /// It needs a person, or has ended: no answer will come by itself.
    async fn is_free(&self, peer: &Peer, turns: &mut Turns) -> Result<bool> {
        let began = Instant::now();
        loop {
            match self.is_seen_free(peer, turns).await {
                Err(EngineError::NeedsPerson { answer: AnswerWith::Attach, .. }) if began.elapsed() < DRAWN => {
                    tokio::time::sleep(POLL).await;
                }
                seen => return seen,
            }
        }
    }

    async fn is_seen_free(&self, peer: &Peer, turns: &mut Turns) -> Result<bool> {
        let fleet = self.list_since(std::slice::from_ref(&peer.name), turns).await?;
        if let Some((_, error)) = fleet.broken.into_iter().next() {
            return Err(error);
        }
        let Some(row) = fleet.rows.into_iter().next() else { return Ok(false) };
        if row.is_ending && !row.unrecorded_end {
            return Ok(false);
        }
        let in_turn = row.state == State::Awake && self.is_in_turn(peer) == Some(true);
        match judge(row.state, in_turn, &[Goal::Idle]) {
            Verdict::Reached(_) => Ok(true),
            Verdict::NotYet => Ok(false),
            Verdict::NeedsPerson if row.state != State::Waiting => {
                Err(EngineError::HeldUp { peer: peer.name.clone(), state: row.state, detail: row.detail })
            }
            Verdict::NeedsPerson => Err(EngineError::NeedsPerson {
                peer: peer.name.clone(),
                kind: row.waiting_for.unwrap_or(AskKind::Menu),
                question: row.question,
                answer: AnswerWith::of(row.answerable),
            }),
            Verdict::Ended => Err(EngineError::EndedMeanwhile { peer: peer.name.clone(), state: row.state }),
        }
    }

    /// Returns what was written since a message was typed.
    fn entries_since(&self, peer: &Peer, delivery: &Delivery) -> Result<Vec<Entry>> {
        let Some(id) = self.current_conversation(peer)? else { return Ok(Vec::new()) };
        let known = delivery.mark.conversation.as_deref() == Some(id.as_str());
        let position = if known { delivery.mark.position } else { 0 };
        let read = self.in_own_files(peer, &peer.profile, |files| files.entries(&id, position))?;
        // What cannot be read now may be readable a moment later.
        let mut entries = policy_entries(read.ok().flatten().unwrap_or_default());
        if !known {
            // This is another conversation, which may contain older messages.
            entries.retain(|entry| entry.at.is_none_or(|at| at >= delivery.at));
        }
        Ok(entries)
    }
}

impl Asked {
    fn of(woken: Woken, took: Option<Duration>, answer: Option<Answer>) -> Self {
        Self {
            woken,
            turn_ms: took.map(millis),
            tokens: answer.as_ref().and_then(|answer| answer.tokens),
            answer: answer.map(|answer| answer.text),
        }
    }
}
