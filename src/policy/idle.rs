//! Decides when an awake peer is parked because it is idle.

use std::time::Duration;

use super::time::Timestamp;
use super::wake::ContextPolicy;

/// How long a peer may be idle before it is parked, unless its spec sets another time: 1 h. If it were shorter, the
/// user would lose a warm agent to a lunch break; if it were longer, unused agents would hold a fleet's memory.
pub const IDLE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(3600);

/// How long an ephemeral peer that reported it is done must be quiet before it is reaped: 20 s. If it were shorter, its
/// last words might be cut off; if it were longer, finished tasks would pile up.
pub const DONE_QUIET: Duration = Duration::from_secs(20);

/// How long an ephemeral peer that never reported it is done must be quiet before it is reaped: 600 s. If it were
/// shorter, a slow tool call without output would end the task; if it were longer, an agent that forgot to report would
/// go on costing money.
pub const NEVER_DONE_QUIET: Duration = Duration::from_secs(600);

/// How far in the future an event may appear to be. Activity is read after the clock, so it may be slightly newer than
/// `now`. This is longer than such a read takes, and shorter than any clock step that matters.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(60);

/// The last activity of a conversation, from the best source in the agent's profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LastActivity {
    /// The time of the last activity.
    At(Timestamp),
    /// The source is readable and shows no activity in this incarnation.
    NoneYet,
    /// The source could not be read; holds the reason. Never a reason to park.
    Unknown(String),
}

/// Whether the agent is in the middle of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TurnState {
    /// The agent is working.
    InProgress,
    /// The agent is waiting for a message.
    Over,
    /// The agent's profile has no way to find out, so idleness alone decides.
    Unreported,
    /// The profile's way to find out failed; holds the reason. Never a reason to park.
    Unknown(String),
}

/// The facts by which idleness is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleFacts {
    /// The last activity of the agent's conversation.
    pub activity: LastActivity,
    /// When the peer was woken.
    pub woke_at: Timestamp,
    /// When a message was last delivered.
    pub last_delivery: Option<Timestamp>,
    /// The last activity of an agent that this agent started.
    pub child_activity: Option<Timestamp>,
    /// When the machine was last seen to have slept, or its clock to have been set. Time before that does not count.
    pub machine_woke_at: Option<Timestamp>,
    /// Whether a turn is in progress.
    pub turn: TurnState,
    /// Whether an attached user keeps the peer awake. Also `false` if the spec says that attaching does not.
    pub attached: bool,
    /// `policy` in its spec.
    pub context_policy: ContextPolicy,
    /// `idle_timeout` in its spec; zero means never.
    pub idle_timeout: Duration,
    /// When an ephemeral peer reported that it is done.
    pub done_at: Option<Timestamp>,
}

/// Why a peer is not parked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeepReason {
    /// Its spec says never to park it.
    Never,
    /// The last activity is too recent.
    Active {
        /// When the peer will be idle if nothing else happens.
        until: Timestamp,
    },
    /// A turn is in progress.
    TurnInProgress,
    /// A user is attached.
    Attached,
    /// Whether a turn is in progress, or when the agent was last active, is unknown; holds the reason.
    Unknown(String),
}

/// Whether a peer is parked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdleDecision {
    /// The peer stays awake; holds the reason.
    Keep(KeepReason),
    /// The peer is parked because it was idle for too long.
    Park {
        /// How long it was idle.
        idle: Duration,
    },
}

impl IdleFacts {
    /// Returns the time of the last activity that counts, as of `now`.
    ///
    /// A time far in the future was recorded by a clock that has been set back since. If that step was noticed, such a
    /// time lies before it and does not count.
    pub fn last_activity(&self, now: Timestamp) -> Timestamp {
        let activity = match self.activity {
            LastActivity::At(at) => Some(at),
            LastActivity::NoneYet | LastActivity::Unknown(_) => None,
        };
        let all = [Some(self.woke_at), activity, self.last_delivery, self.child_activity];
        let set_at = self.machine_woke_at.filter(|at| *at <= now);
        let counts = |at: &Timestamp| set_at.is_none() || at.since(now) <= CLOCK_TOLERANCE;
        all.into_iter().flatten().filter(counts).chain(self.machine_woke_at).fold(Timestamp::default(), Timestamp::max)
    }

    /// Returns how long the peer may be idle and the time from which that counts, or `None` if it may be idle forever.
    fn allowance(&self, now: Timestamp) -> Option<(Duration, Timestamp)> {
        let last = self.last_activity(now);
        let (limit, since) = match (self.context_policy, self.done_at) {
            (ContextPolicy::Ephemeral, Some(done_at)) => return Some((DONE_QUIET, last.max(done_at))),
            (ContextPolicy::Ephemeral, None) => (NEVER_DONE_QUIET, last),
            (ContextPolicy::Conversational | ContextPolicy::Executor, _) => (self.idle_timeout, last),
        };
        (!self.idle_timeout.is_zero()).then_some((limit, since))
    }
}

/// Decides whether an awake peer is parked at `now`.
pub fn idle(facts: &IdleFacts, now: Timestamp) -> IdleDecision {
    let Some((limit, since)) = facts.allowance(now) else { return IdleDecision::Keep(KeepReason::Never) };
    let idle = now.since(since);
    if idle <= limit {
        return IdleDecision::Keep(KeepReason::Active { until: since.after(limit) });
    }
    match (&facts.turn, &facts.activity) {
        (TurnState::InProgress, _) => IdleDecision::Keep(KeepReason::TurnInProgress),
        _ if facts.attached => IdleDecision::Keep(KeepReason::Attached),
        (TurnState::Unknown(why), _) | (_, LastActivity::Unknown(why)) => {
            IdleDecision::Keep(KeepReason::Unknown(why.clone()))
        }
        (TurnState::Over | TurnState::Unreported, LastActivity::At(_) | LastActivity::NoneYet) => {
            IdleDecision::Park { idle }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_795_305_600_000);

    fn ago(seconds: u64) -> Timestamp {
        Timestamp::from_ms(NOW.as_ms() - seconds * 1000)
    }

    /// An executor that was woken a day ago and did nothing for 3601 s.
    fn facts() -> IdleFacts {
        IdleFacts {
            activity: LastActivity::At(ago(3601)),
            woke_at: ago(86_400),
            last_delivery: None,
            child_activity: None,
            machine_woke_at: None,
            turn: TurnState::Over,
            attached: false,
            context_policy: ContextPolicy::Executor,
            idle_timeout: IDLE_TIMEOUT_DEFAULT,
            done_at: None,
        }
    }

    fn parked(seconds: u64) -> IdleDecision {
        IdleDecision::Park { idle: Duration::from_secs(seconds) }
    }

    fn kept_by(kept: KeepReason) -> IdleDecision {
        IdleDecision::Keep(kept)
    }

    #[test]
    fn idle_is_more_than_the_timeout_and_not_just_as_much() {
        assert_eq!(idle(&facts(), NOW), parked(3601));
        let still = IdleFacts { activity: LastActivity::At(ago(3600)), ..facts() };
        assert_eq!(idle(&still, NOW), kept_by(KeepReason::Active { until: NOW }));
    }

    #[test]
    fn each_sign_of_activity_keeps_it() {
        let until = ago(10).after(IDLE_TIMEOUT_DEFAULT);
        let recent = Some(ago(10));
        for facts in [
            IdleFacts { activity: LastActivity::At(ago(10)), ..facts() },
            IdleFacts { woke_at: ago(10), ..facts() },
            IdleFacts { last_delivery: recent, ..facts() },
            IdleFacts { child_activity: recent, ..facts() },
        ] {
            assert_eq!(idle(&facts, NOW), kept_by(KeepReason::Active { until }), "{facts:?}");
        }
    }

    #[test]
    fn time_that_the_machine_slept_is_not_idle_time() {
        let facts = IdleFacts { machine_woke_at: Some(ago(60)), ..facts() };
        assert_eq!(idle(&facts, NOW), kept_by(KeepReason::Active { until: ago(60).after(IDLE_TIMEOUT_DEFAULT) }));
    }

    #[test]
    fn a_clock_that_was_set_back_keeps_nobody_awake_until_it_has_caught_up() {
        let tomorrow = Timestamp::from_ms(NOW.as_ms() + 86_400_000);
        let ahead = |machine_woke_at| IdleFacts {
            woke_at: tomorrow,
            activity: LastActivity::At(tomorrow),
            last_delivery: Some(tomorrow),
            machine_woke_at,
            ..facts()
        };
        assert_eq!(idle(&ahead(Some(ago(3601))), NOW), parked(3601));
        assert_eq!(
            idle(&ahead(Some(NOW)), NOW),
            kept_by(KeepReason::Active { until: NOW.after(IDLE_TIMEOUT_DEFAULT) })
        );
        // If no tick noticed that the clock was set, the times cannot be corrected.
        assert!(matches!(idle(&ahead(None), NOW), IdleDecision::Keep(KeepReason::Active { .. })));
    }

    #[test]
    fn a_long_turn_is_not_reaped_in_the_middle() {
        assert_eq!(
            idle(&IdleFacts { turn: TurnState::InProgress, ..facts() }, NOW),
            kept_by(KeepReason::TurnInProgress)
        );
        assert_eq!(idle(&IdleFacts { turn: TurnState::Unreported, ..facts() }, NOW), parked(3601));
    }

    #[test]
    fn nobody_is_cut_off_while_attached() {
        assert_eq!(idle(&IdleFacts { attached: true, ..facts() }, NOW), kept_by(KeepReason::Attached));
    }

    #[test]
    fn what_could_not_be_read_is_never_a_reason_to_park() {
        let why = || "permission denied".to_owned();
        let expected = kept_by(KeepReason::Unknown(why()));
        assert_eq!(idle(&IdleFacts { turn: TurnState::Unknown(why()), ..facts() }, NOW), expected);
        assert_eq!(idle(&IdleFacts { activity: LastActivity::Unknown(why()), ..facts() }, NOW), expected);
    }

    #[test]
    fn an_agent_that_never_said_a_word_is_parked_by_its_wake_time() {
        assert_eq!(idle(&IdleFacts { activity: LastActivity::NoneYet, ..facts() }, NOW), parked(86_400));
    }

    #[test]
    fn timeout_0_is_never() {
        for context_policy in [ContextPolicy::Executor, ContextPolicy::Conversational, ContextPolicy::Ephemeral] {
            let facts = IdleFacts { idle_timeout: Duration::ZERO, context_policy, ..facts() };
            assert_eq!(idle(&facts, NOW), kept_by(KeepReason::Never));
        }
    }

    #[test]
    fn ephemeral_that_is_done_is_reaped_after_20_s_of_quiet() {
        let done = |done_at, activity| IdleFacts {
            context_policy: ContextPolicy::Ephemeral,
            activity: LastActivity::At(activity),
            done_at: Some(done_at),
            ..facts()
        };
        assert_eq!(idle(&done(ago(21), ago(30)), NOW), parked(21));
        assert_eq!(idle(&done(ago(20), ago(30)), NOW), kept_by(KeepReason::Active { until: NOW }));
        assert_eq!(idle(&done(ago(60), ago(5)), NOW), kept_by(KeepReason::Active { until: ago(5).after(DONE_QUIET) }));
    }

    #[test]
    fn ephemeral_that_never_said_so_is_reaped_after_600_s() {
        let quiet = |seconds| {
            let activity = LastActivity::At(ago(seconds));
            idle(&IdleFacts { context_policy: ContextPolicy::Ephemeral, activity, ..facts() }, NOW)
        };
        assert_eq!(quiet(601), parked(601));
        assert_eq!(quiet(600), kept_by(KeepReason::Active { until: NOW }));
    }
}
