//! What a recorded incarnation is: nothing, a start in progress, or a session, with what was observed of it.

use peer_adapters::process;
use tokio::time::Instant;

use super::{Observation, complete, process_id, sweep};
use crate::engine::{Engine, EngineError, POLL, Peer, Result};
use crate::policy::axis::Axis;
use crate::policy::ending::Intent;
use crate::policy::recorded::RecordedState;
use crate::policy::verdict::CONFIRM_AFTER;
use crate::store::{Phase, SessionRecord};

/// The recorded incarnation with its observation.
#[derive(Debug)]
pub(crate) enum Live {
    /// None, or a start that never completed.
    None,
    /// A start in progress.
    Starting(Box<SessionRecord>),
    /// A session that was started; the policy decides whether it is alive.
    Session(Box<SessionRecord>, Box<Observation>),
}

impl Live {
    /// Distinguishes a start in progress, a start that never completed, and a session that was up.
    pub(crate) fn of(mut record: SessionRecord, observation: Observation) -> Self {
        if record.phase == Phase::Refused {
            return Self::None;
        }
        complete(&mut record, &observation);
        if matches!(record.phase, Phase::Ready { .. }) {
            return Self::Session(Box::new(record), Box::new(observation));
        }
        let pane_lives = observation.row.as_ref().is_some_and(|row| !row.pane_dead);
        match (&observation.runtime, record.process.is_some(), &observation.process) {
            // The pane has not started its agent yet, or the agent is up and not ready yet.
            (Axis::Alive, false, _) if pane_lives => Self::Starting(Box::new(record)),
            (Axis::Alive, true, Axis::Alive) => Self::Starting(Box::new(record)),
            // A session can exist before its pane does (zellij 0.45.1: up to 300 ms, and for ever if the client that
            // creates it exits first). If no process waits for it, it is fenced off; its end was not observed, so it is
            // not counted as a death.
            (Axis::Alive, false, _) if record.place.pane_process.is_none() => {
                if is_driven(&record) {
                    Self::Starting(Box::new(record))
                } else {
                    Self::None
                }
            }
            // The runtime was never asked, or the request is stuck in it: the next incarnation fences it off.
            (Axis::Dead, false, _) => Self::None,
            _ => Self::Session(Box::new(record), Box::new(observation)),
        }
    }

    /// Returns the record, if there is one.
    pub(crate) fn record(&self) -> Option<&SessionRecord> {
        match self {
            Self::None => None,
            Self::Starting(record) | Self::Session(record, _) => Some(record),
        }
    }

    pub(crate) fn recorded(&self) -> RecordedState {
        match self {
            Self::None => RecordedState::None,
            Self::Starting(record) => RecordedState::Starting { is_watched: is_driven(record) },
            Self::Session(_, observation) => match &observation.elsewhere {
                Some(owner) => RecordedState::Elsewhere { owner: owner.clone() },
                None => RecordedState::Session {
                    runtime: observation.runtime.clone(),
                    process: observation.process.clone(),
                },
            },
        }
    }
}

/// Whether another process waits for this start. A kernel that cannot be queried is not proof that none does.
fn is_driven(record: &SessionRecord) -> bool {
    let Phase::Starting { driver } = record.phase else { return false };
    !matches!(process::find(process_id(driver)), Ok(None))
}

/// Returns the intent for ending an agent that has lost its session.
pub(crate) fn why_orphaned(observation: &Observation) -> Intent {
    if observation.server_gone { Intent::RuntimeLost } else { Intent::Closed }
}

impl Engine {
    /// Observes the recorded incarnation on both axes.
    pub(crate) async fn live(&self, peer: &Peer, record: Option<SessionRecord>) -> Result<Live> {
        let Some(record) = record else { return Ok(Live::None) };
        let observation = self.observe(&peer.name, &record).await?;
        if !observation.leftovers.is_empty() {
            // Best effort: a leftover is a dead pane, and the next observation finds it again.
            if let Err(error) = sweep(self.runtime_of(&record.place)?.as_ref(), &record, &observation).await {
                tracing::debug!(%error, "leftover sessions");
            }
        }
        Ok(Live::of(record, observation))
    }

    /// Returns the last observation of an incarnation whose agent is gone, given that `observation` is one. If nobody
    /// recorded how the agent ended, what took it along may have taken its server too, which can end a moment later: that
    /// is waited for, for half a second at most.
    ///
    /// # Errors
    /// As [`Engine::observe`].
    pub(crate) async fn confirm_end(
        &self,
        peer: &Peer,
        record: &SessionRecord,
        mut observation: Observation,
    ) -> Result<Observation> {
        let started = Instant::now();
        while !observation.server_gone
            && !observation.ended
            && started.elapsed() < CONFIRM_AFTER
            && peer.files.exit(record.incarnation)?.present().is_none()
        {
            tokio::time::sleep(POLL * 5).await;
            observation = self.observe(&peer.name, record).await?;
        }
        Ok(observation)
    }

    /// Refuses while an axis is unknown, because then no signal may be sent and no marker set.
    pub(crate) fn refuse_unknown(peer: &Peer, observation: &Observation) -> Result<()> {
        match observation.unknown() {
            Some(refusal) => Err(EngineError::Refused { peer: peer.name.clone(), verb: "wake", refusal }),
            None => Ok(()),
        }
    }
}
