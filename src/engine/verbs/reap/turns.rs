//! The tick's part in the turn axis: records what live agents are doing, and logs the turns and questions that no hook
//! has reported.

use std::time::Duration;

use peer_adapters::agent::Report;
use tokio::time::{Instant, sleep};

use super::held_up::HeldUp;
use super::{Subject, TickAction, skipped};
use crate::engine::observe::launched::Launched;
use crate::engine::observe::live::Live;
use crate::engine::observe::own_files::policy_entries;
use crate::engine::observe::turn::{Activity, Turns, shows_turns};
use crate::engine::observe::turn_event::turn_event;
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::answer::ended_with_answer;
use crate::policy::look::{Look, compare, may_change};
use crate::policy::report::{Change, TurnRecord};
use crate::policy::time::Timestamp;
use crate::policy::turn::{Turn, TurnObservation, current_request};
use crate::store::{Heartbeat, PeerObservation, SessionRecord};

/// How long to wait while another process writes to the same record of turns, which takes a few milliseconds. After that,
/// the next tick logs what is new.
const WRITTEN_WITHIN: Duration = Duration::from_millis(200);

/// The interval between two attempts.
const RETRY: Duration = Duration::from_millis(10);

/// A live agent that this tick looks at.
struct Watched<'a> {
    subject: &'a Subject,
    live: Live,
    /// What was on record about its turns before the look.
    known: Option<TurnRecord>,
}

impl Engine {
    /// Records, for each peer on which this tick did not act, what it is doing. Stops at `deadline`, because parking
    /// agents and recording ends in time matter more than observing a screen. Logs each turn that began or ended, and
    /// each agent that needs a person, is limited or is stalled, once per occurrence. Returns the agents that are held up.
    pub(super) async fn stamp_turns<'a>(
        &self,
        beat: &mut Heartbeat,
        subjects: &'a [Subject],
        done: &[TickAction],
        before: &Heartbeat,
        deadline: Instant,
    ) -> Result<Vec<(&'a Subject, HeldUp)>> {
        let left_alone = |subject: &&Subject| done.iter().all(|action| action.peer != subject.peer.name);
        let mut turns = Turns::of(before);
        let watched: Vec<_> = subjects
            .iter()
            .filter(|subject| shows_turns(&subject.peer.profile))
            .filter(left_alone)
            .map(|subject| {
                let live = Live::of(subject.record.clone(), subject.observation.clone());
                let known = subject.peer.files.known_turn(subject.record.incarnation);
                // A hook has reported something since, so the screen may have changed, whatever the runtime says.
                if let Some(known) = &known {
                    turns.forget_before(&subject.peer.name, known.changed_at());
                }
                Watched { subject, live, known }
            })
            .collect();
        let of: Vec<_> = watched.iter().map(|watched| (&watched.subject.peer, &watched.live)).collect();
        let room = deadline.saturating_duration_since(Instant::now());
        let activity = match room {
            // What is not observed is unknown.
            Duration::ZERO => watched.iter().map(|_| Activity::default()).collect(),
            room => self.activity_within(&of, &mut turns, room).await,
        };
        let mut held_up = Vec::new();
        for (watched, Activity { seen, .. }) in watched.iter().zip(activity) {
            let subject = watched.subject;
            let (name, incarnation) = (&subject.peer.name, subject.record.incarnation);
            let same = before.peers.get(name).filter(|pulse| pulse.incarnation == incarnation);
            // One peer's file must not cost the others their tick. The next one tries again.
            let is_recorded = self.record_turn(watched, same, seen.as_ref()).await.unwrap_or_else(|error| {
                beat.skipped.push(skipped(name, &error));
                false
            });
            let machine_woke_at = beat.machine_woke_at_ms;
            let Some(pulse) = beat.peers.get_mut(name) else { continue };
            let told = self.tell_held_up(subject, same, seen.as_ref(), pulse, machine_woke_at)?;
            held_up.extend(told.map(|how| (subject, how)));
            pulse.asked = current_request(seen.as_ref().filter(|_| is_recorded), same.and_then(asked));
            pulse.turn = seen;
        }
        Ok(held_up)
    }

    /// Logs what this look shows and no hook or earlier look has reported. Returns `false` if another process kept the
    /// record of the turns, so that nothing was logged.
    async fn record_turn(
        &self,
        watched: &Watched<'_>,
        before: Option<&PeerObservation>,
        seen: Option<&TurnObservation>,
    ) -> Result<bool> {
        let Watched { subject, live, known } = watched;
        // What is unknown changes nothing.
        let Some(seen) = seen.filter(|seen| may_change(known.as_ref(), seen)) else { return Ok(true) };
        let is_starting = !matches!(live, Live::Session(..)) && seen.ask().is_none();
        // An older version kept the question in the heartbeat alone.
        let is_old = known.is_none() && seen.ask().is_some() && !seen.is_new_request(before.and_then(asked).as_ref());
        if is_starting || is_old {
            return Ok(true);
        }
        let (peer, record) = (&subject.peer, &subject.record);
        let is_free = |turn: &&TurnObservation| matches!(turn.turn, Turn::Free | Turn::Limited(_));
        let look = Look {
            seen,
            reports_starts: reports_starts(peer, record),
            in_turn: self.is_in_turn(peer),
            free_before: before.and_then(|before| before.turn.as_ref()).filter(is_free).map(|turn| turn.at_ms),
        };
        let until = Instant::now() + WRITTEN_WITHIN;
        loop {
            // Nothing is written for an incarnation that has ended meanwhile.
            let now = peer.files.session()?.present();
            if now.is_none_or(|now| now.incarnation != record.incarnation) {
                return Ok(true);
            }
            let told = peer.files.change_known_turn(record.incarnation, |known| {
                let Some((change, now)) = compare(known.as_ref(), &look) else { return Ok(None) };
                change.into_iter().try_for_each(|change| self.tell_change(subject, seen, change, &now))?;
                Ok::<_, EngineError>(Some(now))
            })?;
            if told.is_some() || Instant::now() >= until {
                return Ok(told.is_some());
            }
            sleep(RETRY).await;
        }
    }

    fn tell_change(&self, subject: &Subject, seen: &TurnObservation, change: Change, now: &TurnRecord) -> Result<()> {
        let event = turn_event(&subject.peer.name, subject.record.incarnation, self.now(), change, now);
        let event = event.with("witness", seen.witness.as_str());
        self.log(&match change {
            // Known only if it was before the look.
            Change::Started => {
                let since = now.began_ms.filter(|began| *began < seen.at_ms);
                event.with("since", since.map(|since| since.to_string()))
            }
            Change::Finished(_) => {
                let began = now.began_ms.unwrap_or_default();
                event.with("answered", self.answered_since(&subject.peer, &subject.record, began))
            }
            Change::Asks => event,
        })
    }

    /// Whether the turn that began at `began` and is over has an answer, according to the agent's transcript.
    fn answered_since(&self, peer: &Peer, record: &SessionRecord, began: Timestamp) -> Option<bool> {
        let id = record.conversation.as_deref().filter(|_| peer.profile.capabilities().transcript)?;
        let entries = self.in_own_files(peer, &peer.profile, |files| files.entries(id, 0)).ok()?.ok()??;
        ended_with_answer(&policy_entries(entries), began)
    }
}

/// Whether the hooks of this incarnation report the start of each turn, and their reports are accepted.
fn reports_starts(peer: &Peer, record: &SessionRecord) -> bool {
    peer.profile.hooks.reports.contains(&Report::TurnStarted)
        && peer.effective.agent_hooks.value
        && Launched::of(&peer.files, record, &peer.spec.cwd).is_ok_and(|launched| launched.has_hooks())
}

/// Returns the agent's last known request. A heartbeat of an older version has it only in the turn.
fn asked(PeerObservation { asked, turn, .. }: &PeerObservation) -> Option<crate::policy::turn::Ask> {
    asked.clone().or_else(|| turn.as_ref()?.ask().cloned())
}
