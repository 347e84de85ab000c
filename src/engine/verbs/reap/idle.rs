//! What a peer has done last, from the sources that its profile names.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use peer_adapters::agent::ActivitySource;
use peer_adapters::transcript::{Files, TranscriptError};

use super::{View, since_wake};
use crate::engine::observe::Sight;
use crate::engine::observe::conversation;
use crate::engine::{Engine, Peer, Result};
use crate::policy::idle::{Activity, IdleDecision, IdleFacts, Turn, idle};
use crate::policy::time::Timestamp;
use crate::policy::wake::Lifestyle;
use crate::store::Marker;

/// The last output or beat, whatever they are worth as signs of work: for the question whether it was there a moment ago.
pub(super) fn last_sign_of_life(peer: &Peer, sight: &Sight) -> Result<Option<Timestamp>> {
    Ok(sight.last_output().max(peer.files.marked_at(Marker::Beat)?))
}

/// Whether a healthy peer is to be parked.
pub(super) fn decide(engine: &Engine, view: View<'_>, machine_woke_at: Option<Timestamp>) -> Result<IdleDecision> {
    let View { peer, files, record, sight } = view;
    let now = engine.now();
    let lifestyle = peer.effective.policy.value;
    let cheap = IdleFacts {
        activity: Activity::NoneYet,
        woke_at: record.woke_at_ms,
        last_delivery: record.delivered_at_ms,
        child_activity: None,
        machine_woke_at,
        turn: Turn::NotTold,
        attached: false,
        lifestyle,
        idle_timeout: peer.effective.idle_timeout.value.unwrap_or(Duration::ZERO),
        done_at: match lifestyle {
            Lifestyle::Ephemeral => since_wake(files, record, Marker::Done)?,
            // What only ends an ephemeral one is not looked for elsewhere.
            Lifestyle::Conversational | Lifestyle::Executor => None,
        },
    };
    // Whoever is not idle by what is at hand needs no look into its agent's files.
    if let kept @ IdleDecision::Keep(_) = idle(&cheap, now) {
        return Ok(kept);
    }
    let own = own_signs(view)?;
    let attached = sight.row.as_ref().is_some_and(|row| row.attached > 0) && !peer.effective.reap_attached.value;
    let facts = IdleFacts { activity: own.activity, turn: own.turn, attached, ..cheap };
    match idle(&facts, now) {
        kept @ IdleDecision::Keep(_) => Ok(kept),
        // Its children come last: there may be many, and they matter only to whoever would be parked.
        IdleDecision::Park { .. } => Ok(idle(&with_children(view, facts, now)?, now)),
    }
}

/// What the agent's own files and its pane say.
struct OwnSigns {
    activity: Activity,
    turn: Turn,
}

fn own_signs(view: View<'_>) -> Result<OwnSigns> {
    with_own_files(view, |files| Ok(OwnSigns { activity: activity(view, files)?, turn: turn(view, files) }))?
}

/// Looks into the agent's files, where its own environment puts them.
fn with_own_files<T>(view: View<'_>, look: impl FnOnce(&Files<'_>) -> T) -> Result<T> {
    // Its environment tells where its files are; the largest file that a peer has is not read for one that has none.
    let View { peer, record, .. } = view;
    if peer.profile.conversation.transcript.is_none() {
        return Ok(conversation::with_files(&peer.profile, &peer.spec.cwd, &[], look));
    }
    Ok(conversation::Launched::of(&peer.files, record, &peer.spec.cwd)?.look(&peer.profile, look))
}

/// The same with what its children did since anything else happened.
fn with_children(view: View<'_>, facts: IdleFacts, now: Timestamp) -> Result<IdleFacts> {
    let Some(id) = view.record.conversation.as_deref() else { return Ok(facts) };
    let since = facts.last_sign(now).into();
    let found = with_own_files(view, |files| told(files.child_activity(id, since)))?;
    Ok(match found {
        Ok(child_activity) => IdleFacts { child_activity, ..facts },
        Err(why) => IdleFacts { activity: Activity::Unknown(why), ..facts },
    })
}

/// The first source that says anything; one that fails is not passed over for a worse one.
fn activity(View { peer, files: own, record, sight }: View<'_>, files: &Files<'_>) -> Result<Activity> {
    let id = record.conversation.as_deref();
    let pid = record.process.map_or(0, |agent| agent.id.pid);
    for source in &peer.profile.conversation.activity {
        let found = match source {
            ActivitySource::StatusFile | ActivitySource::Transcript => told(files.last_activity(id, pid)),
            ActivitySource::Beats => Ok(since_wake(own, record, Marker::Beat)?),
            ActivitySource::Output => Ok(sight.last_output()),
        };
        match found {
            Ok(Some(at)) => return Ok(Activity::Last(at)),
            Ok(None) => {}
            Err(why) => return Ok(Activity::Unknown(why)),
        }
    }
    Ok(Activity::NoneYet)
}

fn turn(view: View<'_>, files: &Files<'_>) -> Turn {
    let pid = view.record.process.map_or(0, |agent| agent.id.pid);
    match files.turn_in_progress(view.record.conversation.as_deref(), pid) {
        Ok(Some(true)) => Turn::InProgress,
        Ok(Some(false)) => Turn::Over,
        // The screen may tell; whoever parks looks at it first.
        Ok(None) => Turn::NotTold,
        Err(error) => Turn::Unknown(error.to_string()),
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
