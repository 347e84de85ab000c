//! Decides when `peer wait` has what it waits for.

use std::fmt;

use serde::Serialize;

use super::state::State;

/// A condition that can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Goal {
    /// The turn is over, and the agent accepts a message.
    Idle,
    /// A turn is in progress.
    Busy,
    /// The agent needs the user.
    Waiting,
    /// The agent does not run, however it ended.
    Ended,
    /// The peer is parked, and the next wake brings it back.
    Asleep,
}

impl Goal {
    /// All goals.
    pub const ALL: [Self; 5] = [Self::Idle, Self::Busy, Self::Waiting, Self::Ended, Self::Asleep];

    /// Returns the name on the command line and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Waiting => "waiting",
            Self::Ended => "ended",
            Self::Asleep => "asleep",
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The result for one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Keep waiting.
    NotYet,
    /// The peer reached this goal.
    Reached(Goal),
    /// The agent needs the user, or is limited or stalled; its state says which.
    NeedsPerson,
    /// The agent does not run, so the goal will not be reached without a wake.
    Ended,
}

/// Decides whether a peer in this state has reached one of the goals.
///
/// `open` means that the screen is free although a turn is in progress, according to the agent's own files or because
/// it accepted a message a moment ago.
pub fn judge(state: State, open: bool, goals: &[Goal]) -> Verdict {
    let is_goal = |goal: Goal| goals.contains(&goal).then_some(Verdict::Reached(goal));
    match state {
        State::Awake if open => is_goal(Goal::Busy).unwrap_or(Verdict::NotYet),
        State::Awake => is_goal(Goal::Idle).unwrap_or(Verdict::NotYet),
        State::Busy => is_goal(Goal::Busy).unwrap_or(Verdict::NotYet),
        State::Stalled => is_goal(Goal::Busy).unwrap_or(Verdict::NeedsPerson),
        State::Limited => Verdict::NeedsPerson,
        State::Waiting => is_goal(Goal::Waiting).unwrap_or(Verdict::NeedsPerson),
        // The state is unknown or about to change.
        State::Starting | State::Unknown => Verdict::NotYet,
        State::Asleep | State::Stopped => {
            is_goal(Goal::Asleep).or_else(|| is_goal(Goal::Ended)).unwrap_or(Verdict::Ended)
        }
        State::Completed | State::Crashed | State::Held | State::Failed | State::Lost | State::NeverStarted => {
            is_goal(Goal::Ended).unwrap_or(Verdict::Ended)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Ended, NeedsPerson, NotYet, Reached};
    use super::*;

    #[test]
    fn each_state_is_something_to_whoever_waits_for_the_end_of_a_turn() {
        let judged = State::ALL.map(|state| judge(state, false, &[Goal::Idle]));
        let told = [
            Reached(Goal::Idle),
            NotYet,
            NotYet,
            NeedsPerson,
            NeedsPerson,
            NeedsPerson,
            Ended,
            Ended,
            Ended,
            Ended,
            Ended,
            Ended,
            Ended,
            NotYet,
            Ended,
        ];
        assert_eq!(judged, told);
        assert_eq!(judge(State::Awake, true, &[Goal::Idle]), NotYet);
        assert_eq!(judge(State::Awake, true, &[Goal::Idle, Goal::Busy]), Reached(Goal::Busy));
    }

    #[test]
    fn what_is_waited_for_is_no_failure() {
        for goal in Goal::ALL {
            let reached = State::ALL.map(|state| judge(state, false, &[goal])).contains(&Verdict::Reached(goal));
            assert!(reached, "{goal} can be reached");
        }
        assert_eq!(judge(State::Waiting, false, &[Goal::Waiting]), Verdict::Reached(Goal::Waiting));
        assert_eq!(judge(State::Crashed, false, &[Goal::Asleep]), Verdict::Ended);
        assert_eq!(judge(State::Stopped, false, &[Goal::Ended]), Verdict::Reached(Goal::Ended));
    }
}
