//! The displayed state of a peer: one function for `peer list`, `peer status` and JSON.

use serde::Serialize;

use super::ending::End;
use super::health::{Breaker, Health};
use super::recorded::RecordedState;
use super::state::State;
use super::time::Timestamp;
use super::turn::Turn;

/// The facts from which the displayed state is derived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateFacts {
    /// The recorded incarnation.
    pub live: RecordedState,
    /// What its agent is known to be doing.
    pub turn: Option<Turn>,
    /// Whether `NAME.stopped` exists.
    pub stopped: bool,
    /// The content of `NAME.end`. If the recorded incarnation is over, what the file will hold once that end is
    /// recorded.
    pub last_end: Option<End>,
    /// Its guard, latch and restart delay, at the same time.
    pub health: Health,
    /// Whether any incarnation was ever ready.
    pub ever_ran: bool,
}

/// A displayed state with its details.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The state.
    pub state: State,
    /// Additional text: `exit 3` for crashed, `crashed (exit 3)` for held, the reason for unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When the restart delay or the guard ends, if either applies.
    #[serde(rename = "held_until_ms", skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Timestamp>,
}

impl Shown {
    fn new(state: State, detail: Option<String>) -> Self {
        Self { state, detail, held_until: None }
    }
}

/// Returns the displayed state of a peer at `now`.
pub fn state(facts: &StateFacts, now: Timestamp) -> Shown {
    match &facts.live {
        RecordedState::None => not_awake(facts, now),
        RecordedState::Starting { is_watched } => match &facts.turn {
            Some(Turn::Waiting(ask)) => Shown::new(State::Waiting, Some(ask.to_string())),
            // Nobody records that it is ready, and its screen shows it.
            Some(Turn::Free) if !is_watched => Shown::new(State::Awake, None),
            Some(Turn::Busy) if !is_watched => Shown::new(State::Busy, None),
            _ => Shown::new(State::Starting, None),
        },
        RecordedState::Elsewhere { owner } => Shown::new(State::Unknown, Some(format!("started {owner}"))),
        RecordedState::Session { runtime, process } => match (runtime.alive(), process.alive()) {
            (Some(true), Some(true)) => match &facts.turn {
                Some(Turn::Waiting(ask)) => Shown::new(State::Waiting, Some(ask.to_string())),
                Some(Turn::Busy) => Shown::new(State::Busy, None),
                Some(Turn::Limited(limit)) => {
                    Shown::new(State::Limited, limit.until_ms.map(|until| format!("until {until}")))
                }
                Some(Turn::Stalled(stall)) => {
                    Shown::new(State::Stalled, Some(format!("nothing has happened since {}", stall.progress_ms)))
                }
                Some(Turn::Free) | None => Shown::new(State::Awake, None),
            },
            (Some(false), Some(true)) => Shown::new(State::Lost, Some("the agent outlived its session".to_owned())),
            (Some(_), Some(false)) => unrecorded(not_awake(facts, now)),
            _ => Shown::new(State::Unknown, runtime.why_unknown().or(process.why_unknown()).map(str::to_owned)),
        },
    }
}

/// Marks a state as derived from an end that is not recorded yet. The next wake or tick records it.
fn unrecorded(shown: Shown) -> Shown {
    let detail = shown.detail.map_or_else(String::new, |detail| format!("{detail}, "));
    Shown { detail: Some(detail + "not recorded yet"), ..shown }
}

/// Returns the state of a peer without a recorded session. Whatever keeps it down takes precedence over how it ended.
fn not_awake(facts: &StateFacts, now: Timestamp) -> Shown {
    let ended = facts.last_end.as_ref();
    let how = || ended.map(End::shown_as);
    if facts.stopped {
        return Shown::new(State::Stopped, how().filter(|how| how != State::Stopped.as_str()));
    }
    if let Breaker::Failed { deaths } = facts.health.breaker {
        let last = how().map_or_else(String::new, |how| format!(", last {how}"));
        return Shown::new(State::Failed, Some(format!("{deaths} deaths in a row{last}")));
    }
    if let Some(until) = facts.health.held_until(now) {
        return Shown { state: State::Held, detail: how(), held_until: Some(until) };
    }
    match ended {
        Some(end) => {
            let meaning = end.cause.meaning();
            // The peer was stopped and has been allowed again since, so the next wake brings it back.
            if meaning.state == State::Stopped {
                return Shown::new(State::Asleep, None);
            }
            let own_word = (meaning.shown_as != meaning.state.as_str()).then(|| meaning.shown_as.to_owned());
            Shown::new(meaning.state, end.detail().or(own_word))
        }
        None if facts.ever_ran => Shown::new(State::Asleep, Some("its last end is not on record".to_owned())),
        None => Shown::new(State::NeverStarted, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::axis::Axis;
    use crate::policy::ending::{EndCause, EndReport, Exit, Incarnation, Reached};
    use crate::policy::health::RestartDelay;
    use crate::policy::turn::{Ask, AskKind, Limit, Stall};
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_ms(1_795_305_600_000);

    fn facts() -> StateFacts {
        StateFacts {
            live: RecordedState::None,
            turn: None,
            stopped: false,
            last_end: None,
            health: Health { deaths: 0, breaker: Breaker::Closed, restart_delay: None },
            ever_ran: true,
        }
    }

    fn ended(cause: EndCause, exit: Option<Exit>) -> StateFacts {
        let uptime = Duration::from_secs(5);
        let report = EndReport {
            incarnation: Incarnation(1),
            cause,
            at: NOW,
            exit,
            uptime,
            max_rss_kib: None,
            reached: Reached::Ready,
        };
        StateFacts { last_end: Some(End::new(report, None)), ..facts() }
    }

    fn live(runtime: Axis, process: Axis) -> StateFacts {
        StateFacts { live: RecordedState::Session { runtime, process }, ..facts() }
    }

    /// Formats as `state` or `state: detail`.
    fn shown(facts: &StateFacts) -> String {
        let Shown { state, detail, .. } = state(facts, NOW);
        detail.map_or_else(|| state.to_string(), |detail| format!("{state}: {detail}"))
    }

    #[test]
    fn a_live_peer_is_awake_busy_or_starting() {
        assert_eq!(shown(&live(Axis::Alive, Axis::Alive)), "awake");
        let doing = |turn| StateFacts { turn: Some(turn), ..live(Axis::Alive, Axis::Alive) };
        assert_eq!((shown(&doing(Turn::Free)), shown(&doing(Turn::Busy))), ("awake".to_owned(), "busy".to_owned()));
        let until = Some(NOW.after(Duration::from_secs(60)));
        let limited = |until_ms| shown(&doing(Turn::Limited(Limit { until_ms })));
        assert_eq!(
            (limited(None), limited(until)),
            ("limited".to_owned(), "limited: until 2026-11-22T00:01:00.000Z".to_owned())
        );
        let stalled = shown(&doing(Turn::Stalled(Stall { progress_ms: NOW })));
        assert_eq!(stalled, "stalled: nothing has happened since 2026-11-22T00:00:00.000Z");
        let asks = |question: Option<&str>| {
            Turn::Waiting(Ask { kind: AskKind::Permission, question: question.map(str::to_owned), answerable: false })
        };
        assert_eq!(shown(&doing(asks(None))), "waiting: permission");
        assert_eq!(shown(&doing(asks(Some("May I?")))), "waiting: permission: May I?");
        let starting =
            |is_watched, turn| shown(&StateFacts { live: RecordedState::Starting { is_watched }, turn, ..facts() });
        for (turn, watched, left) in [
            (None, "starting", "starting"),
            (Some(Turn::Busy), "starting", "busy"),
            (Some(Turn::Free), "starting", "awake"),
            (Some(asks(None)), "waiting: permission", "waiting: permission"),
        ] {
            assert_eq!((starting(true, turn.clone()), starting(false, turn)), (watched.to_owned(), left.to_owned()));
        }
    }

    #[test]
    fn a_late_probe_is_shown_as_unknown_and_never_as_crashed() {
        let late = || Axis::Unknown("timed out".to_owned());
        for other in [Axis::Alive, Axis::Dead, late()] {
            assert_eq!(shown(&live(late(), other.clone())), "unknown: timed out");
            assert_eq!(shown(&live(other, late())), "unknown: timed out");
        }
    }

    #[test]
    fn what_nobody_recorded_yet_is_told_as_it_is() {
        assert_eq!(shown(&live(Axis::Dead, Axis::Alive)), "lost: the agent outlived its session");
        let over = |runtime, cause, exit| {
            let live = RecordedState::Session { runtime, process: Axis::Dead };
            shown(&StateFacts { live, ..ended(cause, exit) })
        };
        let crashed = over(Axis::Alive, EndCause::Crashed, Some(Exit::Code(3)));
        assert_eq!(crashed, "crashed: exit 3, not recorded yet");
        assert_eq!(over(Axis::Dead, EndCause::RuntimeLost, None), "lost: not recorded yet");
        assert_eq!(over(Axis::Dead, EndCause::Rebooted, None), "lost: not recorded yet");
        assert_eq!(over(Axis::Dead, EndCause::Closed, None), "asleep: closed, not recorded yet");
    }

    #[test]
    fn a_peer_that_is_not_awake_is_shown_by_its_last_end() {
        assert_eq!(shown(&ended(EndCause::IdleReaped, None)), "asleep");
        assert_eq!(shown(&ended(EndCause::Completed, Some(Exit::Code(0)))), "completed");
        assert_eq!(shown(&ended(EndCause::Crashed, Some(Exit::Code(3)))), "crashed: exit 3");
        assert_eq!(shown(&ended(EndCause::MemoryDrained, None)), "asleep: drained");
        assert_eq!(shown(&ended(EndCause::Closed, None)), "asleep: closed");
        assert_eq!(shown(&ended(EndCause::RuntimeLost, None)), "lost");
        assert_eq!(shown(&facts()), "asleep: its last end is not on record");
        assert_eq!(shown(&StateFacts { ever_ran: false, ..facts() }), "never-started");
    }

    #[test]
    fn stopped_hides_no_crash() {
        assert_eq!(shown(&StateFacts { stopped: true, ..ended(EndCause::Stopped, None) }), "stopped");
        let crashed = StateFacts { stopped: true, ..ended(EndCause::Killed, Some(Exit::Signal(9))) };
        assert_eq!(shown(&crashed), "stopped: crashed (SIGKILL)");
    }

    #[test]
    fn one_that_may_be_started_again_is_asleep() {
        assert_eq!(shown(&ended(EndCause::Stopped, None)), "asleep");
    }

    #[test]
    fn held_tells_until_when_and_after_what() {
        let until = NOW.after(Duration::from_secs(60));
        let health = Health { restart_delay: Some(RestartDelay::Backoff { until, deaths: 2 }), ..facts().health };
        let held = StateFacts { health, ..ended(EndCause::Vanished, None) };
        assert_eq!(shown(&held), "held: crashed (pane gone)");
        assert_eq!(state(&held, NOW).held_until, Some(until));
    }

    #[test]
    fn failed_comes_before_held() {
        let hold = Some(RestartDelay::Backoff { until: NOW.after(Duration::from_secs(60)), deaths: 20 });
        let health = Health { deaths: 20, breaker: Breaker::Failed { deaths: 20 }, restart_delay: hold };
        let failed = StateFacts { health, ..ended(EndCause::Crashed, Some(Exit::Code(1))) };
        assert_eq!(shown(&failed), "failed: 20 deaths in a row, last crashed (exit 1)");
        assert_eq!(state(&failed, NOW).held_until, None);
    }

    #[test]
    fn json_has_the_names_of_the_contract() {
        let json = serde_json::to_string(&state(&StateFacts { ever_ran: false, ..facts() }, NOW));
        assert_eq!(json.ok().as_deref(), Some(r#"{"state":"never-started"}"#));
    }
}
