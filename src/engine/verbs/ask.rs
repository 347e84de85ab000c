//! `peer send --wait`: deliver a message, and wait for what is answered in its own turn.
//!
//! The answer is told by the agent's transcript: behind the place where it stood before the message was typed, the record of this
//! message, and what the agent wrote from there to the end of that turn. Agents answer what waits behind a turn together, so
//! those who wait for answers stand in line before they are typed.

use std::time::Duration;

use peer_adapters::watch::Watch;
use serde::Serialize;
use tokio::time::Instant;

use crate::engine::error::Undelivered;
use crate::engine::message::interruption::interrupted;
use crate::engine::message::{Delivery, Message, check_message};
use crate::engine::observe::turn::Turns;
use crate::engine::verbs::transcript::{of_files, tells};
use crate::engine::verbs::wake::Woken;
use crate::engine::{Engine, EngineError, Peer, Result, pause};
use crate::policy::answer::{Answer, Course, Entry, course};
use crate::policy::name::PeerName;
use crate::policy::state::State;
use crate::policy::turn::AskKind;
use crate::policy::wait::{Goal, Verdict, judge};
use crate::store::Stored;

/// Between two looks at what the agent is doing, beside its files.
const LOOK: Duration = Duration::from_secs(1);

/// Between two looks at its files where nothing tells that they changed.
const BLIND: Duration = Duration::from_millis(250);

/// How long an agent must be seen to be free before a turn of which nothing tells that it is over is taken to be.
const FREE: Duration = Duration::from_secs(2);

/// An answer, and what it took.
#[derive(Clone, Debug, Serialize)]
pub struct Asked {
    /// How the message was delivered.
    #[serde(flatten)]
    pub woken: Woken,
    /// What was answered; none where the turn was stopped, or ended without a word.
    pub answer: Option<String>,
    /// From when the agent took the message up to the end of its turn, where its transcript tells.
    pub turn_ms: Option<u64>,
    /// What the turn cost, where its transcript tells.
    pub tokens: Option<crate::policy::answer::Tokens>,
}

impl Engine {
    /// Delivers a message as [`Engine::send`] does, and waits for its turn's end, `timeout` at most.
    ///
    /// # Errors
    /// As [`Engine::send`]; [`EngineError::NoTranscript`] before anything is typed; [`EngineError::NeedsPerson`],
    /// [`EngineError::NoAnswerInTime`], [`EngineError::EndedMeanwhile`] once the message is delivered.
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
        if !tells(&peer.profile) {
            let why = "its agent keeps none, so nothing tells its answer; nothing was sent".to_owned();
            return Err(EngineError::NoTranscript { peer: name.clone(), why });
        }
        let began = Instant::now();
        let deadline = timeout.map(|timeout| began + timeout);
        let late = |sent| EngineError::NoAnswerInTime { peer: name.clone(), sent, waited: began.elapsed() };
        // Let go when this is over, or this process.
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
        let Some(delivery) = woken.delivery.clone() else { return Err(late(true)) };
        let left = |signal| EngineError::LeftWaiting { peer: name.clone(), signal };
        let answer = self.interruption.before(Box::pin(self.await_answer(&peer, &delivery, deadline))).await;
        match answer.map_err(left)?? {
            Some(Course::Over { since, at, answer }) => {
                Ok(Asked::of(woken, since.zip(at).map(|(s, at)| at.since(s)), answer))
            }
            Some(Course::InProgress { last, .. }) => Ok(Asked::of(woken, None, last)),
            Some(Course::Unsaid) => Ok(Asked::of(woken, None, None)),
            None => Err(late(true)),
        }
    }

    /// How the turn of a message went, once it is over; `None` where the time was over before.
    async fn await_answer(
        &self,
        peer: &Peer,
        delivery: &Delivery,
        deadline: Option<Instant>,
    ) -> Result<Option<Course>> {
        let (mut turns, mut looked, mut free) = (Turns::default(), None::<Instant>, None::<Instant>);
        let mut watch = Watch::new();
        let mut sees = self.watch_answer(peer, &mut watch);
        let mut written = 0;
        loop {
            let entries = self.entries_since(peer, delivery)?;
            let course = course(&entries, |said| peer.profile.is_said(said, &delivery.text));
            if matches!(course, Course::Over { .. }) {
                return Ok(Some(course));
            }
            if written != entries.len() {
                (written, free) = (entries.len(), None);
            }
            if looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
                let is_free = self.is_free(peer, &mut turns).await?;
                looked = Some(Instant::now());
                free = free.filter(|_| is_free).or_else(|| is_free.then(Instant::now));
                if free.is_some_and(|free| free.elapsed() >= FREE) {
                    return Ok(Some(course));
                }
                // Its files may be elsewhere by now.
                if !sees {
                    watch = Watch::new();
                    sees = self.watch_answer(peer, &mut watch);
                }
            }
            let step = Instant::now() + if sees { LOOK } else { BLIND };
            let until = deadline.map_or(step, |deadline| deadline.min(step));
            let _ = tokio::time::timeout_at(until, watch.changed()).await;
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(None);
            }
        }
    }

    /// Watches what tells how a turn goes. Whether the agent's own files are among that.
    fn watch_answer(&self, peer: &Peer, watch: &mut Watch) -> bool {
        let record = peer.files.session().ok().and_then(Stored::present);
        let own = record.map(|record| self.own_telling_files(peer, &record)).unwrap_or_default();
        let watched = self.telling_files(peer).into_iter().filter(|file| watch.add(file, 0)).collect::<Vec<_>>();
        own.iter().any(|file| watched.contains(file))
    }

    /// Whether it takes a message now.
    ///
    /// # Errors
    /// It needs a person, or has ended: no answer comes by itself.
    async fn is_free(&self, peer: &Peer, turns: &mut Turns) -> Result<bool> {
        let fleet = self.list_since(std::slice::from_ref(&peer.name), turns).await?;
        if let Some((_, error)) = fleet.broken.into_iter().next() {
            return Err(error);
        }
        let Some(row) = fleet.rows.into_iter().next() else { return Ok(false) };
        let in_turn = row.state == State::Awake && self.is_in_turn(peer) == Some(true);
        match judge(row.state, in_turn, &[Goal::Idle]) {
            Verdict::Reached(_) => Ok(true),
            Verdict::NotYet => Ok(false),
            Verdict::NeedsPerson => Err(EngineError::NeedsPerson {
                peer: peer.name.clone(),
                kind: row.waiting_for.unwrap_or(AskKind::Menu),
                question: row.question,
            }),
            Verdict::Ended => Err(EngineError::EndedMeanwhile { peer: peer.name.clone(), state: row.state }),
        }
    }

    /// What was written since a message was typed.
    fn entries_since(&self, peer: &Peer, delivery: &Delivery) -> Result<Vec<Entry>> {
        let Some(id) = self.current_conversation(peer)? else { return Ok(Vec::new()) };
        let known = delivery.mark.conversation.as_deref() == Some(id.as_str());
        let position = if known { delivery.mark.position } else { 0 };
        let read = self.in_own_files(peer, &peer.profile, |files| files.entries(&id, position))?;
        // What cannot be read now may be a moment later.
        let mut entries = of_files(read.ok().flatten().unwrap_or_default());
        if !known {
            // It is another conversation, which may hold what was said in it before.
            entries.retain(|entry| entry.at.is_none_or(|at| at >= delivery.at));
        }
        Ok(entries)
    }
}

impl Asked {
    fn of(woken: Woken, took: Option<Duration>, answer: Option<Answer>) -> Self {
        Self {
            woken,
            turn_ms: took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            tokens: answer.as_ref().and_then(|answer| answer.tokens),
            answer: answer.map(|answer| answer.text),
        }
    }
}
