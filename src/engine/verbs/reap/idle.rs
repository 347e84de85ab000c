//! When a peer was last active, from the sources that its profile names.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use peer_adapters::agent::ActivitySource;
use peer_adapters::transcript::{Files, TranscriptError};

use super::{View, since_wake};
use crate::engine::observe::Observation;
use crate::engine::observe::launched;
use crate::engine::{Engine, Peer, Result};
use crate::policy::idle::{IdleDecision, IdleFacts, LastActivity, TurnState, idle};
use crate::policy::time::Timestamp;
use crate::policy::wake::ContextPolicy;
use crate::store::Marker;

/// Returns the last output or beat, whatever it is worth as a sign of work. It shows that the agent existed a moment
/// ago.
pub(super) fn last_sign_of_life(peer: &Peer, observation: &Observation) -> Result<Option<Timestamp>> {
    Ok(observation.last_output().max(peer.files.marked_at(Marker::Beat)?))
}

/// Decides whether a healthy peer is to be parked.
pub(super) fn decide(engine: &Engine, view: View<'_>, machine_woke_at: Option<Timestamp>) -> Result<IdleDecision> {
    let View { peer, files, record, observation } = view;
    let now = engine.now();
    let context_policy = peer.effective.policy.value;
    let cheap = IdleFacts {
        activity: LastActivity::NoneYet,
        woke_at: record.woke_at_ms,
        last_delivery: record.delivered_at_ms,
        child_activity: None,
        machine_woke_at,
        turn: TurnState::Unreported,
        attached: false,
        context_policy,
        idle_timeout: peer.effective.idle_timeout.value.unwrap_or(Duration::ZERO),
        done_at: match context_policy {
            ContextPolicy::Ephemeral => since_wake(files, record, Marker::Done)?,
            // Only an ephemeral peer is ended by this marker, so the others are not checked for it.
            ContextPolicy::Conversational | ContextPolicy::Executor => None,
        },
    };
    // If the cheap facts already show that the peer is not idle, the agent's files are not read.
    if let kept @ IdleDecision::Keep(_) = idle(&cheap, now) {
        return Ok(kept);
    }
    let own = own_signs(view)?;
    let attached = observation.row.as_ref().is_some_and(|row| row.attached > 0) && !peer.effective.reap_attached.value;
    let facts = IdleFacts { activity: own.activity, turn: own.turn, attached, ..cheap };
    match idle(&facts, now) {
        kept @ IdleDecision::Keep(_) => Ok(kept),
        // The agent's children are checked last: there may be many, and they matter only if the peer would be parked.
        IdleDecision::Park { .. } => Ok(idle(&with_children(view, facts, now)?, now)),
    }
}

/// What the agent's own files and its pane show.
struct OwnSigns {
    activity: LastActivity,
    turn: TurnState,
}

fn own_signs(view: View<'_>) -> Result<OwnSigns> {
    with_own_files(view, |files| Ok(OwnSigns { activity: activity(view, files)?, turn: turn(view, files) }))?
}

/// Runs `look` on the agent's files, where its own environment puts them.
fn with_own_files<T>(view: View<'_>, look: impl FnOnce(&Files<'_>) -> T) -> Result<T> {
    // The environment that locates the files is in the peer's largest file, which is not read for an agent that has no
    // files.
    let View { peer, record, .. } = view;
    if !peer.profile.capabilities().transcript {
        return Ok(launched::with_files(&peer.profile, &peer.spec.cwd, &[], look));
    }
    Ok(launched::Launched::of(&peer.files, record, &peer.spec.cwd)?.look(&peer.profile, look))
}

/// Adds what the agent's children did since its last other activity.
fn with_children(view: View<'_>, facts: IdleFacts, now: Timestamp) -> Result<IdleFacts> {
    let Some(id) = view.record.conversation.as_deref() else { return Ok(facts) };
    let since = facts.last_activity(now).into();
    let found = with_own_files(view, |files| told(files.child_activity(id, since)))?;
    Ok(match found {
        Ok(child_activity) => IdleFacts { child_activity, ..facts },
        Err(why) => IdleFacts { activity: LastActivity::Unknown(why), ..facts },
    })
}

/// When something was written in the transcript of an agent, or of one that it started.
pub(super) fn last_written(view: View<'_>) -> Result<Option<Timestamp>> {
    let id = view.record.conversation.as_deref();
    let pid = view.record.process.map_or(0, |agent| agent.id.pid);
    with_own_files(view, |files| {
        let own = files.last_activity(id, pid).ok().flatten();
        let since = own.unwrap_or(UNIX_EPOCH);
        let child = id.and_then(|id| files.child_activity(id, since).ok().flatten());
        own.max(child).map(Timestamp::from)
    })
}

/// Returns the result of the first source that has one. A source that fails is not skipped in favour of a worse one.
fn activity(View { peer, files: own, record, observation }: View<'_>, files: &Files<'_>) -> Result<LastActivity> {
    let id = record.conversation.as_deref();
    let pid = record.process.map_or(0, |agent| agent.id.pid);
    for source in &peer.profile.conversation.activity {
        let found = match source {
            ActivitySource::StatusFile | ActivitySource::Transcript => told(files.last_activity(id, pid)),
            ActivitySource::Beats => Ok(since_wake(own, record, Marker::Beat)?),
            ActivitySource::Output => Ok(observation.last_output()),
        };
        match found {
            Ok(Some(at)) => return Ok(LastActivity::At(at)),
            Ok(None) => {}
            Err(why) => return Ok(LastActivity::Unknown(why)),
        }
    }
    Ok(LastActivity::NoneYet)
}

fn turn(view: View<'_>, files: &Files<'_>) -> TurnState {
    let pid = view.record.process.map_or(0, |agent| agent.id.pid);
    match files.turn_in_progress(view.record.conversation.as_deref(), pid) {
        Ok(Some(true)) => TurnState::InProgress,
        Ok(Some(false)) => TurnState::Over,
        // The screen may show it, and is checked before a park.
        Ok(None) => TurnState::Unreported,
        Err(error) => TurnState::Unknown(error.to_string()),
    }
}

fn told(
    found: std::result::Result<Option<SystemTime>, TranscriptError>,
) -> std::result::Result<Option<Timestamp>, String> {
    match found {
        Ok(at) => Ok(at.filter(|at| *at > UNIX_EPOCH).map(Timestamp::from)),
        Err(error) => Err(error.to_string()),
    }
}
