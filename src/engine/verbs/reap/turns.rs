//! The tick's part in the turn axis: records what live agents are doing, and logs those that need a person.

use std::time::Duration;

use tokio::time::Instant;

use super::held_up::HeldUp;
use super::{Subject, TickAction};
use crate::engine::observe::turn::{Doing, Turns, known_turn, tells_of_turns};
use crate::engine::verbs::wake::Live;
use crate::engine::{Engine, Result};
use crate::policy::event::EventName;
use crate::policy::report::Known;
use crate::policy::turn::{TurnObservation, current_request};
use crate::store::{Event, Heartbeat, PeerObservation, StoreError};

impl Engine {
    /// Records, for each peer on which this tick did not act, what it is doing. Stops at `deadline`, because parking
    /// agents and recording ends in time matter more than observing a screen. Logs each agent that needs a person, is
    /// limited or is stalled, once per occurrence. Returns the agents that are held up.
    pub(super) async fn stamp_turns<'a>(
        &self,
        beat: &mut Heartbeat,
        subjects: &'a [Subject],
        done: &[TickAction],
        before: &Heartbeat,
        deadline: Instant,
    ) -> Result<Vec<(&'a Subject, HeldUp)>> {
        let left_alone = |subject: &&Subject| done.iter().all(|action| action.peer != subject.peer.name);
        let lives: Vec<_> = subjects
            .iter()
            .filter(|subject| tells_of_turns(&subject.peer.profile))
            .filter(left_alone)
            .map(|subject| (subject, Live::of(subject.record.clone(), subject.observation.clone())))
            .collect();
        let of: Vec<_> = lives.iter().map(|(subject, live)| (&subject.peer, live)).collect();
        let room = deadline.saturating_duration_since(Instant::now());
        let doing = match room {
            // What is not observed is unknown.
            Duration::ZERO => lives.iter().map(|_| Doing::default()).collect(),
            room => self.doing_within(&of, &mut Turns::of(before), room).await,
        };
        let mut held_up = Vec::new();
        for ((subject, _), Doing { seen, .. }) in lives.iter().zip(doing) {
            let (name, incarnation) = (&subject.peer.name, subject.record.incarnation);
            let same = before.peers.get(name).filter(|pulse| pulse.incarnation == incarnation);
            self.tell_waiting(subject, same, seen.as_ref())?;
            let Some(pulse) = beat.peers.get_mut(name) else { continue };
            held_up.extend(self.tell_held_up(subject, same, seen.as_ref(), pulse, before)?.map(|how| (*subject, how)));
            pulse.asked = current_request(seen.as_ref(), same.and_then(asked));
            pulse.turn = seen;
        }
        Ok(held_up)
    }

    fn tell_waiting(
        &self,
        subject: &Subject,
        before: Option<&PeerObservation>,
        seen: Option<&TurnObservation>,
    ) -> Result<()> {
        let asked = before.and_then(asked);
        let news = seen.filter(|seen| seen.is_new_request(asked.as_ref())).filter(|seen| !has_told(subject, seen));
        let Some((seen, ask)) = news.and_then(|seen| Some((seen, seen.ask()?))) else { return Ok(()) };
        let event = Event::new(self.now(), EventName::AgentWaiting).peer(&subject.peer.name);
        let event = event.incarnation(subject.record.incarnation).cause(ask.kind.as_str());
        self.log(&event.with("witness", seen.witness.as_str()).with_for_hooks("question", ask.question.clone()))?;
        note_told(subject, seen);
        Ok(())
    }
}

/// Whether this question is already logged, because the agent reported it.
fn has_told(subject: &Subject, seen: &TurnObservation) -> bool {
    known_turn(&subject.peer, &subject.record).is_some_and(|known| !seen.is_new_request(known.seen.ask()))
}

/// Records a question as logged, so that a later report of the same question is not logged again. If another process
/// holds the file, it has a newer report, and nothing is recorded.
fn note_told(subject: &Subject, seen: &TurnObservation) {
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

/// Returns the agent's last known request. A heartbeat of an older version has it only in the turn.
fn asked(PeerObservation { asked, turn, .. }: &PeerObservation) -> Option<crate::policy::turn::Ask> {
    asked.as_ref().or(turn.as_ref()?.ask()).cloned()
}
