//! The rows of the wake table, in the order in which they are evaluated.

use super::{
    Axis, Breaker, Case, ContextPolicy, EndCause, Mode, Past, RecordedState, Refusal, WakeDecision, WakeReason,
};

/// One row of the table.
pub(super) struct Row {
    pub(super) number: u8,
    /// The condition in words.
    pub(super) condition: &'static str,
    /// What the row would do, in words, for when its condition does not hold.
    pub(super) result_text: &'static str,
    /// Returns the decision, or `None` if the condition does not hold.
    pub(super) evaluate: fn(&Case<'_>) -> Option<WakeDecision>,
}

/// Rows 2 to 21.
pub(super) static TABLE: [Row; 20] = [
    Row {
        number: 2,
        condition: "something else manages its lifecycle (managed_by)",
        result_text: "refuse (managed-elsewhere)",
        evaluate: |case| {
            let by = case.facts.managed_by.clone()?;
            Some(WakeDecision::Refuse(Refusal::ManagedElsewhere { by }))
        },
    },
    Row {
        number: 3,
        condition: "stopped with `peer stop`",
        result_text: "refuse (stopped)",
        evaluate: |case| case.facts.stopped.then_some(WakeDecision::Refuse(Refusal::Stopped)),
    },
    Row {
        number: 4,
        condition: "its pane or its process cannot be checked",
        result_text: "refuse, retryable (runtime-unavailable)",
        evaluate: |case| {
            if let RecordedState::Elsewhere { owner } = &case.facts.live {
                return Some(WakeDecision::Refuse(Refusal::Elsewhere { owner: owner.clone() }));
            }
            let (axis, why) = unknown(case)?;
            Some(WakeDecision::Refuse(Refusal::RuntimeUnavailable { axis, why: why.to_owned() }))
        },
    },
    Row {
        number: 5,
        condition: "alive on both axes, or being started",
        result_text: "find it awake (already-awake)",
        evaluate: |case| match case.facts.live {
            RecordedState::Starting { .. } => Some(elsewhere(case).unwrap_or(WakeDecision::StillStarting)),
            _ => (axes(case)? == (true, true)).then(|| elsewhere(case).unwrap_or(WakeDecision::AlreadyAwake)),
        },
    },
    Row {
        number: 6,
        condition: "the agent is alive and its session is gone",
        result_text: "end the orphan, then go on",
        evaluate: |case| (axes(case)? == (false, true)).then_some(WakeDecision::EndOrphan),
    },
    Row {
        number: 7,
        // This includes a session that is gone too: the recorded incarnation has to end before another begins.
        condition: "a session is on record and its agent is gone",
        result_text: "record the end, clear the session, then go on",
        evaluate: |case| matches!(axes(case)?, (_, false)).then_some(WakeDecision::RecordEnd),
    },
    Row {
        number: 8,
        condition: "failed: too many deaths in a row",
        result_text: "refuse (failed)",
        evaluate: |case| match case.breaker {
            Breaker::Failed { deaths } if !case.forced() => Some(WakeDecision::Refuse(Refusal::Failed { deaths })),
            _ => None,
        },
    },
    Row {
        number: 9,
        condition: "too many counted deaths in the window",
        result_text: "refuse, with retry_after (crash-loop)",
        evaluate: |case| match case.breaker {
            Breaker::CrashLoop { deaths, retry_after } if !case.forced() => {
                Some(WakeDecision::Refuse(Refusal::CrashLoop { deaths, retry_after }))
            }
            _ => None,
        },
    },
    Row {
        number: 10,
        condition: "asked for fresh, or for one of its conversations",
        result_text: "start fresh (asked-fresh), or resume it (asked-conversation)",
        evaluate: |case| match (case.request.mode, &case.request.conversation) {
            (Mode::Fresh, _) => Some(Case::fresh(WakeReason::AskedFresh)),
            (_, Some(asked)) if case.facts.conversation.as_ref() != Some(asked) => {
                Some(WakeDecision::Refuse(Refusal::ConversationGone { conversation: asked.clone() }))
            }
            (_, Some(_)) => Some(case.resume(WakeReason::AskedConversation)),
            (_, None) => None,
        },
    },
    Row {
        number: 11,
        condition: "it asked for a fresh start of itself",
        result_text: "start fresh (self-fresh)",
        evaluate: |case| {
            case.facts.markers.self_fresh_requested.then(|| Case::fresh(WakeReason::Ended(EndCause::SelfFresh)))
        },
    },
    Row {
        number: 12,
        condition: "asked to resume, or a conversation was adopted for it",
        result_text: "resume (adopted, asked-resume), or refuse (nothing-to-resume)",
        evaluate: |case| match (case.request.mode, &case.facts.conversation) {
            (Mode::Resume, Some(_)) => Some(case.resume(WakeReason::AskedResume)),
            (Mode::Resume, None) => Some(WakeDecision::Refuse(Refusal::NothingToResume)),
            _ => case.facts.markers.adopted.then(|| case.resume(WakeReason::Adopted)),
        },
    },
    Row {
        number: 13,
        condition: "a refresh is due",
        result_text: "start fresh (refresh)",
        evaluate: |case| case.facts.markers.fresh_next.then(|| Case::fresh(WakeReason::Refresh)),
    },
    Row {
        number: 14,
        condition: "never ran before",
        result_text: "start fresh (first-wake)",
        evaluate: |case| (case.past == Past::Nothing).then(|| Case::fresh(WakeReason::FirstWake)),
    },
    Row {
        number: 15,
        condition: "its policy is ephemeral",
        result_text: "start fresh (ephemeral)",
        evaluate: |case| {
            (case.facts.context_policy == ContextPolicy::Ephemeral).then(|| Case::fresh(WakeReason::Ephemeral))
        },
    },
    Row {
        number: 16,
        condition: "its last context is broken, finished or given up",
        result_text: "start fresh (the end's own name)",
        evaluate: |case| match case.past {
            Past::Unusable(end) => Some(Case::fresh(WakeReason::Ended(end))),
            _ => None,
        },
    },
    Row {
        number: 17,
        condition: "interrupted: closed, lost, rebooted, moved or stopped",
        result_text: "resume (closed, runtime-lost, rebooted, moved, stopped)",
        evaluate: |case| match case.past {
            Past::Interrupted(end) => Some(case.resume(WakeReason::Ended(end))),
            _ => None,
        },
    },
    Row {
        number: 18,
        condition: "ended for its memory",
        result_text: "resume, or start fresh the second time within 600 s (memory-drained)",
        evaluate: |case| match case.past {
            Past::Drained { again: true } => Some(Case::fresh(WakeReason::Ended(EndCause::MemoryDrained))),
            Past::Drained { again: false } => Some(case.resume(WakeReason::Ended(EndCause::MemoryDrained))),
            _ => None,
        },
    },
    Row {
        number: 19,
        condition: "parked, and its policy is conversational",
        result_text: "resume (idle-reaped)",
        evaluate: |case| {
            let conversational = case.facts.context_policy == ContextPolicy::Conversational;
            (case.past == Past::Parked && conversational).then(|| case.resume(PARKED))
        },
    },
    Row {
        number: 20,
        condition: "parked, and the topic is new",
        result_text: "start fresh (new-topic)",
        evaluate: |case| (case.past == Past::Parked && case.new_topic()).then(|| Case::fresh(WakeReason::NewTopic)),
    },
    Row {
        number: 21,
        condition: "parked",
        result_text: "resume (idle-reaped), or fresh (no-topic) where resuming needs a topic",
        evaluate: |case| {
            let opt_in = !case.facts.resume_without_topic && case.topic().is_none();
            let result = || if opt_in { Case::fresh(WakeReason::NoTopic) } else { case.resume(PARKED) };
            (case.past == Past::Parked).then(result)
        },
    },
];

/// Returns the decision of the first row that holds.
pub(super) fn first_that_holds(case: &Case<'_>) -> WakeDecision {
    let first = TABLE.iter().find_map(|row| (row.evaluate)(case));
    first.expect("rows 4 to 7 cover a recorded session, and rows 14 to 21 every past")
}

/// The reason for resuming a parked peer.
const PARKED: WakeReason = WakeReason::Ended(EndCause::IdleReaped);

/// Whether another conversation is requested than the one that it is awake in, which is not taken away from it.
fn elsewhere(case: &Case<'_>) -> Option<WakeDecision> {
    let (facts, request) = (case.facts, case.request);
    if request.mode == Mode::Fresh && !facts.is_untouched && !request.has_ended_it {
        return Some(WakeDecision::Refuse(Refusal::InOldConversation));
    }
    let asked = case.request.conversation.as_ref().filter(|asked| case.facts.now_in.as_ref() != Some(*asked))?;
    let (asked, now_in) = (asked.clone(), case.facts.now_in.clone());
    Some(WakeDecision::Refuse(Refusal::InAnotherConversation { asked, now_in }))
}

/// Returns whether the recorded session and process are alive, if both axes are known.
fn axes(case: &Case<'_>) -> Option<(bool, bool)> {
    match &case.facts.live {
        RecordedState::Session { runtime, process } => Some((runtime.alive()?, process.alive()?)),
        RecordedState::None | RecordedState::Starting { .. } | RecordedState::Elsewhere { .. } => None,
    }
}

/// Returns the unknown axis and the reason. The runtime axis comes first, because the user can repair the runtime.
fn unknown<'a>(case: &'a Case<'_>) -> Option<(&'static str, &'a str)> {
    let RecordedState::Session { runtime, process } = &case.facts.live else { return None };
    match (runtime, process) {
        (Axis::Unknown(why), _) => Some(("runtime", why)),
        (_, Axis::Unknown(why)) => Some(("process", why)),
        _ => None,
    }
}
