//! When a peer that is awake is parked because nothing happens.

use std::time::Duration;

use super::time::Timestamp;
use super::wake::Lifestyle;

/// Idle time after which a peer is parked, unless its spec says otherwise: 1 h. Shorter and a person's lunch costs the
/// warm agent; longer and a fleet's memory is held by agents that nobody uses.
pub const IDLE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(3600);

/// Quiet time after which an ephemeral peer that said it is done is reaped: 20 s. Shorter and its last words may be cut;
/// longer and finished tasks pile up.
pub const DONE_QUIET: Duration = Duration::from_secs(20);

/// Quiet time after which an ephemeral peer that never said so is reaped: 600 s. Shorter and a slow tool call without
/// any output ends the task; longer and an agent that forgot to say it is done is paid for.
pub const NEVER_DONE_QUIET: Duration = Duration::from_secs(600);

/// How far ahead of now something may seem to have happened: it is looked at after the clock was. More than a look takes, and
/// less than any step that matters.
const AHEAD: Duration = Duration::from_secs(60);

/// The last activity of a conversation, from the best source that the agent's profile names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It was at this time.
    Last(Timestamp),
    /// The source answered, and there was none in this incarnation.
    NoneYet,
    /// The source could not be read; why. Never a reason to park.
    Unknown(String),
}

/// Whether the agent is in the middle of a turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It works.
    InProgress,
    /// It waits.
    Over,
    /// Its profile has no way to tell: idleness alone decides.
    NotTold,
    /// Its profile has a way, and that failed; why. Never a reason to park.
    Unknown(String),
}

/// Everything by which idleness is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleFacts {
    /// Last activity of its conversation.
    pub activity: Activity,
    /// When it was woken.
    pub woke_at: Timestamp,
    /// When a message was last delivered.
    pub last_delivery: Option<Timestamp>,
    /// Last activity of an agent that it started.
    pub child_activity: Option<Timestamp>,
    /// When the machine was last seen to have been asleep, or its clock to have been set: the time before does not count.
    pub machine_woke_at: Option<Timestamp>,
    /// Whether a turn is in progress.
    pub turn: Turn,
    /// Whether somebody is attached who holds it awake: false also where the spec says that attaching does not.
    pub attached: bool,
    /// `policy` of its spec.
    pub lifestyle: Lifestyle,
    /// `idle_timeout` of its spec; zero is never.
    pub idle_timeout: Duration,
    /// When an ephemeral peer said that it is done.
    pub done_at: Option<Timestamp>,
}

/// Why a peer is not parked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// Its spec says never.
    Never,
    /// Something happened not long enough ago.
    Active {
        /// When it will be idle, if nothing happens.
        until: Timestamp,
    },
    /// It works.
    TurnInProgress,
    /// Somebody looks at it.
    Attached,
    /// Whether it works is not known; why.
    NotKnown(String),
}

/// Whether a peer is parked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdleDecision {
    /// It stays, and why.
    Keep(Kept),
    /// It goes, after so long without anything.
    Park {
        /// How long nothing happened.
        idle: Duration,
    },
}

impl IdleFacts {
    /// The last time anything happened that counts, as it is told at `now`.
    ///
    /// What lies far ahead was written by a clock that has been set back since; where that was seen, it was before.
    pub fn last_sign(&self, now: Timestamp) -> Timestamp {
        let activity = match self.activity {
            Activity::Last(at) => Some(at),
            Activity::NoneYet | Activity::Unknown(_) => None,
        };
        let all = [Some(self.woke_at), activity, self.last_delivery, self.child_activity];
        let set_at = self.machine_woke_at.filter(|at| *at <= now);
        let counts = |at: &Timestamp| set_at.is_none() || at.since(now) <= AHEAD;
        all.into_iter().flatten().filter(counts).chain(self.machine_woke_at).fold(Timestamp::default(), Timestamp::max)
    }

    /// How long nothing may happen, and since when that is counted; `None` is for ever.
    fn allowance(&self, now: Timestamp) -> Option<(Duration, Timestamp)> {
        let last = self.last_sign(now);
        let (limit, since) = match (self.lifestyle, self.done_at) {
            (Lifestyle::Ephemeral, Some(done_at)) => return Some((DONE_QUIET, last.max(done_at))),
            (Lifestyle::Ephemeral, None) => (NEVER_DONE_QUIET, last),
            (Lifestyle::Conversational | Lifestyle::Executor, _) => (self.idle_timeout, last),
        };
        (!self.idle_timeout.is_zero()).then_some((limit, since))
    }
}

/// Whether a peer that is awake is parked at `now`.
pub fn idle(facts: &IdleFacts, now: Timestamp) -> IdleDecision {
    let Some((limit, since)) = facts.allowance(now) else { return IdleDecision::Keep(Kept::Never) };
    let idle = now.since(since);
    if idle <= limit {
        return IdleDecision::Keep(Kept::Active { until: since.after(limit) });
    }
    match (&facts.turn, &facts.activity) {
        (Turn::InProgress, _) => IdleDecision::Keep(Kept::TurnInProgress),
        _ if facts.attached => IdleDecision::Keep(Kept::Attached),
        (Turn::Unknown(why), _) | (_, Activity::Unknown(why)) => IdleDecision::Keep(Kept::NotKnown(why.clone())),
        (Turn::Over | Turn::NotTold, Activity::Last(_) | Activity::NoneYet) => IdleDecision::Park { idle },
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
            activity: Activity::Last(ago(3601)),
            woke_at: ago(86_400),
            last_delivery: None,
            child_activity: None,
            machine_woke_at: None,
            turn: Turn::Over,
            attached: false,
            lifestyle: Lifestyle::Executor,
            idle_timeout: IDLE_TIMEOUT_DEFAULT,
            done_at: None,
        }
    }

    fn parked(seconds: u64) -> IdleDecision {
        IdleDecision::Park { idle: Duration::from_secs(seconds) }
    }

    fn kept_by(kept: Kept) -> IdleDecision {
        IdleDecision::Keep(kept)
    }

    #[test]
    fn idle_is_more_than_the_timeout_and_not_just_as_much() {
        assert_eq!(idle(&facts(), NOW), parked(3601));
        let still = IdleFacts { activity: Activity::Last(ago(3600)), ..facts() };
        assert_eq!(idle(&still, NOW), kept_by(Kept::Active { until: NOW }));
    }

    #[test]
    fn each_sign_of_activity_keeps_it() {
        let until = ago(10).after(IDLE_TIMEOUT_DEFAULT);
        let recent = Some(ago(10));
        for facts in [
            IdleFacts { activity: Activity::Last(ago(10)), ..facts() },
            IdleFacts { woke_at: ago(10), ..facts() },
            IdleFacts { last_delivery: recent, ..facts() },
            IdleFacts { child_activity: recent, ..facts() },
        ] {
            assert_eq!(idle(&facts, NOW), kept_by(Kept::Active { until }), "{facts:?}");
        }
    }

    #[test]
    fn time_that_the_machine_slept_is_not_idle_time() {
        let facts = IdleFacts { machine_woke_at: Some(ago(60)), ..facts() };
        assert_eq!(idle(&facts, NOW), kept_by(Kept::Active { until: ago(60).after(IDLE_TIMEOUT_DEFAULT) }));
    }

    #[test]
    fn a_clock_that_was_set_back_keeps_nobody_awake_until_it_has_caught_up() {
        let tomorrow = Timestamp::from_ms(NOW.as_ms() + 86_400_000);
        let ahead = |machine_woke_at| IdleFacts {
            woke_at: tomorrow,
            activity: Activity::Last(tomorrow),
            last_delivery: Some(tomorrow),
            machine_woke_at,
            ..facts()
        };
        assert_eq!(idle(&ahead(Some(ago(3601))), NOW), parked(3601));
        assert_eq!(idle(&ahead(Some(NOW)), NOW), kept_by(Kept::Active { until: NOW.after(IDLE_TIMEOUT_DEFAULT) }));
        // Where nobody saw that it was set, nothing is known better.
        assert!(matches!(idle(&ahead(None), NOW), IdleDecision::Keep(Kept::Active { .. })));
    }

    #[test]
    fn a_long_turn_is_not_reaped_in_the_middle() {
        assert_eq!(idle(&IdleFacts { turn: Turn::InProgress, ..facts() }, NOW), kept_by(Kept::TurnInProgress));
        assert_eq!(idle(&IdleFacts { turn: Turn::NotTold, ..facts() }, NOW), parked(3601));
    }

    #[test]
    fn nobody_is_cut_off_while_attached() {
        assert_eq!(idle(&IdleFacts { attached: true, ..facts() }, NOW), kept_by(Kept::Attached));
    }

    #[test]
    fn what_could_not_be_read_is_never_a_reason_to_park() {
        let why = || "permission denied".to_owned();
        let expected = kept_by(Kept::NotKnown(why()));
        assert_eq!(idle(&IdleFacts { turn: Turn::Unknown(why()), ..facts() }, NOW), expected);
        assert_eq!(idle(&IdleFacts { activity: Activity::Unknown(why()), ..facts() }, NOW), expected);
    }

    #[test]
    fn an_agent_that_never_said_a_word_is_parked_by_its_wake_time() {
        assert_eq!(idle(&IdleFacts { activity: Activity::NoneYet, ..facts() }, NOW), parked(86_400));
    }

    #[test]
    fn timeout_0_is_never() {
        for lifestyle in [Lifestyle::Executor, Lifestyle::Conversational, Lifestyle::Ephemeral] {
            let facts = IdleFacts { idle_timeout: Duration::ZERO, lifestyle, ..facts() };
            assert_eq!(idle(&facts, NOW), kept_by(Kept::Never));
        }
    }

    #[test]
    fn ephemeral_that_is_done_is_reaped_after_20_s_of_quiet() {
        let done = |done_at, activity| IdleFacts {
            lifestyle: Lifestyle::Ephemeral,
            activity: Activity::Last(activity),
            done_at: Some(done_at),
            ..facts()
        };
        assert_eq!(idle(&done(ago(21), ago(30)), NOW), parked(21));
        assert_eq!(idle(&done(ago(20), ago(30)), NOW), kept_by(Kept::Active { until: NOW }));
        assert_eq!(idle(&done(ago(60), ago(5)), NOW), kept_by(Kept::Active { until: ago(5).after(DONE_QUIET) }));
    }

    #[test]
    fn ephemeral_that_never_said_so_is_reaped_after_600_s() {
        let quiet = |seconds| {
            let activity = Activity::Last(ago(seconds));
            idle(&IdleFacts { lifestyle: Lifestyle::Ephemeral, activity, ..facts() }, NOW)
        };
        assert_eq!(quiet(601), parked(601));
        assert_eq!(quiet(600), kept_by(Kept::Active { until: NOW }));
    }
}
