//! The rows, in the order in which they are asked.

use super::{Axis, Breaker, Case, EndCause, Lifestyle, Mode, Past, Recorded, Refusal, WakeDecision, WakeReason};

/// One row of the table.
pub(super) struct Row {
    pub(super) number: u8,
    /// When it holds, for a reader.
    pub(super) condition: &'static str,
    /// What it would do, for a reader, while it does not hold.
    pub(super) otherwise: &'static str,
    /// What it does; `None` where its condition does not hold.
    pub(super) reads: fn(&Case<'_>) -> Option<WakeDecision>,
}

/// Rows 2 to 21.
pub(super) static TABLE: [Row; 20] = [
    Row {
        number: 2,
        condition: "someone else owns its lifecycle",
        otherwise: "refuse (managed-elsewhere)",
        reads: |case| {
            let by = case.facts.managed_by.clone()?;
            Some(WakeDecision::Refuse(Refusal::ManagedElsewhere { by }))
        },
    },
    Row {
        number: 3,
        condition: "stopped by hand",
        otherwise: "refuse (stopped)",
        reads: |case| case.facts.stopped.then_some(WakeDecision::Refuse(Refusal::Stopped)),
    },
    Row {
        number: 4,
        condition: "an axis is unknown",
        otherwise: "refuse, retryable (runtime-unavailable)",
        reads: |case| {
            if let Recorded::Elsewhere { owner } = &case.facts.live {
                return Some(WakeDecision::Refuse(Refusal::Elsewhere { owner: owner.clone() }));
            }
            let (axis, why) = unknown(case)?;
            Some(WakeDecision::Refuse(Refusal::RuntimeUnavailable { axis, why: why.to_owned() }))
        },
    },
    Row {
        number: 5,
        condition: "alive on both axes, or being started",
        otherwise: "find it awake (already-awake)",
        reads: |case| match case.facts.live {
            Recorded::Starting => Some(WakeDecision::StillStarting),
            _ => (axes(case)? == (true, true)).then_some(WakeDecision::AlreadyAwake),
        },
    },
    Row {
        number: 6,
        condition: "the agent is alive and its session is gone",
        otherwise: "end the orphan, then go on",
        reads: |case| (axes(case)? == (false, true)).then_some(WakeDecision::EndOrphan),
    },
    Row {
        number: 7,
        // Also where the session is gone with it: an incarnation on record has to end before another begins.
        condition: "a session is on record and its agent is gone",
        otherwise: "record the end, clear the session, then go on",
        reads: |case| matches!(axes(case)?, (_, false)).then_some(WakeDecision::RecordEnd),
    },
    Row {
        number: 8,
        condition: "failed: too many deaths in a row",
        otherwise: "refuse (failed)",
        reads: |case| match case.breaker {
            Breaker::Failed { deaths } if !case.forced() => Some(WakeDecision::Refuse(Refusal::Failed { deaths })),
            _ => None,
        },
    },
    Row {
        number: 9,
        condition: "too many counted deaths in the window",
        otherwise: "refuse, with retry_after (crash-loop)",
        reads: |case| match case.breaker {
            Breaker::CrashLoop { deaths, retry_after } if !case.forced() => {
                Some(WakeDecision::Refuse(Refusal::CrashLoop { deaths, retry_after }))
            }
            _ => None,
        },
    },
    Row {
        number: 10,
        condition: "asked for fresh",
        otherwise: "start fresh (asked-fresh)",
        reads: |case| (case.request.mode == Mode::Fresh).then(|| Case::fresh(WakeReason::AskedFresh)),
    },
    Row {
        number: 11,
        condition: "it asked for a fresh start of itself",
        otherwise: "start fresh (self-fresh)",
        reads: |case| case.facts.markers.new_eager.then(|| Case::fresh(WakeReason::Ended(EndCause::SelfFresh))),
    },
    Row {
        number: 12,
        condition: "asked to resume",
        otherwise: "resume, or refuse with nothing-to-resume (asked-resume)",
        reads: |case| {
            (case.request.mode == Mode::Resume).then(|| match case.facts.conversation {
                Some(_) => case.resume(WakeReason::AskedResume),
                None => WakeDecision::Refuse(Refusal::NothingToResume),
            })
        },
    },
    Row {
        number: 13,
        condition: "a refresh is due",
        otherwise: "start fresh (refresh)",
        reads: |case| case.facts.markers.fresh_next.then(|| Case::fresh(WakeReason::Refresh)),
    },
    Row {
        number: 14,
        condition: "never ran before",
        otherwise: "start fresh (first-wake)",
        reads: |case| (case.past == Past::Nothing).then(|| Case::fresh(WakeReason::FirstWake)),
    },
    Row {
        number: 15,
        condition: "its policy is ephemeral",
        otherwise: "start fresh (ephemeral)",
        reads: |case| (case.facts.lifestyle == Lifestyle::Ephemeral).then(|| Case::fresh(WakeReason::Ephemeral)),
    },
    Row {
        number: 16,
        condition: "its last context is broken, finished or given up",
        otherwise: "start fresh (the end's own name)",
        reads: |case| match case.past {
            Past::Spent(end) => Some(Case::fresh(WakeReason::Ended(end))),
            _ => None,
        },
    },
    Row {
        number: 17,
        condition: "closed, runtime lost, rebooted, moved or stopped and started",
        otherwise: "resume (closed, runtime-lost, rebooted, moved, stopped)",
        reads: |case| match case.past {
            Past::Interrupted(end) => Some(case.resume(WakeReason::Ended(end))),
            _ => None,
        },
    },
    Row {
        number: 18,
        condition: "ended for its memory",
        otherwise: "resume, or start fresh the second time within 600 s (memory-drained)",
        reads: |case| match case.past {
            Past::Drained { again: true } => Some(Case::fresh(WakeReason::Ended(EndCause::MemoryDrained))),
            Past::Drained { again: false } => Some(case.resume(WakeReason::Ended(EndCause::MemoryDrained))),
            _ => None,
        },
    },
    Row {
        number: 19,
        condition: "parked, and its policy is conversational",
        otherwise: "resume (idle-reaped)",
        reads: |case| {
            let conversational = case.facts.lifestyle == Lifestyle::Conversational;
            (case.past == Past::Parked && conversational).then(|| case.resume(PARKED))
        },
    },
    Row {
        number: 20,
        condition: "parked, and the topic is new",
        otherwise: "start fresh (new-topic)",
        reads: |case| (case.past == Past::Parked && case.new_topic()).then(|| Case::fresh(WakeReason::NewTopic)),
    },
    Row {
        number: 21,
        condition: "parked",
        otherwise: "resume (idle-reaped), or fresh (no-topic) where resuming needs a topic",
        reads: |case| {
            let opt_in = !case.facts.resume_without_topic && case.topic().is_none();
            let result = || if opt_in { Case::fresh(WakeReason::NoTopic) } else { case.resume(PARKED) };
            (case.past == Past::Parked).then(result)
        },
    },
];

/// The decision of the table.
pub(super) fn first_that_holds(case: &Case<'_>) -> WakeDecision {
    let first = TABLE.iter().find_map(|row| (row.reads)(case));
    first.expect("rows 14 to 21 cover every past that a peer can have")
}

/// Why a parked peer is resumed.
const PARKED: WakeReason = WakeReason::Ended(EndCause::IdleReaped);

/// Runtime and process of the session on record, as alive or not, where both witnesses answered.
fn axes(case: &Case<'_>) -> Option<(bool, bool)> {
    match &case.facts.live {
        Recorded::Session { runtime, process } => Some((runtime.alive()?, process.alive()?)),
        Recorded::None | Recorded::Starting | Recorded::Elsewhere { .. } => None,
    }
}

/// The axis that is not known, and why; the runtime's first, since it is what a person can mend.
fn unknown<'a>(case: &'a Case<'_>) -> Option<(&'static str, &'a str)> {
    let Recorded::Session { runtime, process } = &case.facts.live else { return None };
    match (runtime, process) {
        (Axis::Unknown(why), _) => Some(("runtime", why)),
        (_, Axis::Unknown(why)) => Some(("process", why)),
        _ => None,
    }
}
