//! The third axis, stamped at each tick: what living agents are doing.

use std::time::Duration;

use tokio::time::Instant;

use super::{Deed, Subject};
use crate::engine::observe::turn::{Doing, Turns, known_turn, tells_of_turns};
use crate::engine::verbs::wake::Live;
use crate::engine::{Engine, Result};
use crate::policy::report::Known;
use crate::policy::turn::{TurnSeen, still_asked};
use crate::store::{Event, Heartbeat, Pulse, StoreError};

impl Engine {
    /// What everybody is doing whom this tick left alone, by `deadline`: a look at a screen is worth less than an agent that is
    /// parked or buried in time. Whoever needs a person is an event, once for each thing that it asks.
    pub(super) async fn stamp_turns(
        &self,
        beat: &mut Heartbeat,
        subjects: &[Subject],
        done: &[Deed],
        before: &Heartbeat,
        deadline: Instant,
    ) -> Result<()> {
        let left_alone = |subject: &&Subject| done.iter().all(|deed| deed.peer != subject.peer.name);
        let lives: Vec<_> = subjects
            .iter()
            .filter(|subject| tells_of_turns(&subject.peer.profile))
            .filter(left_alone)
            .map(|subject| (subject, Live::of(subject.record.clone(), subject.sight.clone())))
            .collect();
        let of: Vec<_> = lives.iter().map(|(subject, live)| (&subject.peer, live)).collect();
        let room = deadline.saturating_duration_since(Instant::now());
        let doing = match room {
            // What is not looked at is not known.
            Duration::ZERO => lives.iter().map(|_| Doing::default()).collect(),
            room => self.doing_within(&of, &mut Turns::of(before), room).await,
        };
        for ((subject, _), Doing { seen, .. }) in lives.iter().zip(doing) {
            let (name, incarnation) = (&subject.peer.name, subject.record.incarnation);
            let same = before.peers.get(name).filter(|pulse| pulse.incarnation == incarnation);
            // A heartbeat of an older version tells it by the turn alone.
            let asked = same.and_then(|Pulse { asked, turn, .. }| asked.as_ref().or(turn.as_ref()?.ask()).cloned());
            let news = seen.as_ref().filter(|seen| seen.is_news(asked.as_ref()));
            let news = news.filter(|seen| !has_told(subject, seen));
            if let Some((seen, ask)) = news.and_then(|seen| Some((seen, seen.ask()?))) {
                let event = Event::new(self.now(), "agent.waiting").peer(name).incarnation(incarnation);
                let event = event.cause(ask.kind.as_str()).with("witness", seen.witness.as_str());
                self.log(&event.tell("question", ask.question.clone()))?;
                note_told(subject, seen);
            }
            if let Some(pulse) = beat.peers.get_mut(name) {
                pulse.asked = still_asked(seen.as_ref(), asked);
                pulse.turn = seen;
            }
        }
        Ok(())
    }
}

/// Whether the agent's own report told of this question.
fn has_told(subject: &Subject, seen: &TurnSeen) -> bool {
    known_turn(&subject.peer, &subject.record).is_some_and(|known| !seen.is_news(known.seen.ask()))
}

/// So that a report of the same which is heard later is none. Somebody who writes down another one right now knows better.
fn note_told(subject: &Subject, seen: &TurnSeen) {
    let Subject { peer, record, .. } = subject;
    if peer.profile.hooks.reports.is_empty() {
        return;
    }
    let noted = peer.files.change_known_turn(record.incarnation, |known| {
        let (began_ms, finished_ms) = known.map_or((None, None), |known| (known.began_ms, known.finished_ms));
        Ok::<_, StoreError>(Known { seen: seen.clone(), began_ms, finished_ms })
    });
    if let Err(error) = noted {
        tracing::debug!(%error, "what was told of a turn");
    }
}
