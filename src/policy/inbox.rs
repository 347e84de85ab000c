//! Decides what happens to a queued message whose delivery was interrupted or did not succeed.

use std::time::Duration;

use super::ending::{EndCause, WorkerMessage};

/// How long an agent must have been at rest before a message missing from its transcript counts as not delivered. An
/// agent records a message within a quarter of a second, and much later on a loaded machine.
pub const REST_TIME: Duration = Duration::from_secs(3);

/// How many times a message is typed without confirmation before it is put aside. An agent that takes it for something
/// else does so every time, and it must not block all later messages.
pub const MAX_TRIES: u32 = 3;

/// The facts about a delivery that was begun by a process that did not see it finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveryFacts {
    /// Whether the message is in the agent's transcript.
    pub found: bool,
    /// Whether the agent records the messages that it gets.
    pub keeps_transcript: bool,
    /// Whether the delivery was begun to the incarnation that runs now.
    pub same_incarnation: bool,
    /// How long the current incarnation has shown no turn and has read all typed input.
    pub at_rest: Duration,
}

/// How to recover the delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Do nothing: the message was delivered.
    Said,
    /// Deliver the message: it was not delivered, and no other process will deliver it.
    Deliver,
    /// Check again later: the message may still be on its way.
    Look,
    /// Put the message aside: its delivery cannot be determined, and a message is never delivered twice.
    PutAside,
}

/// Decides whether a message whose delivery was begun is delivered again.
pub fn recover(facts: &RecoveryFacts) -> Recovery {
    match facts {
        RecoveryFacts { found: true, .. } => Recovery::Said,
        RecoveryFacts { keeps_transcript: false, .. } => Recovery::PutAside,
        // An agent that has ended will not record the message any more.
        RecoveryFacts { same_incarnation: false, .. } => Recovery::Deliver,
        RecoveryFacts { at_rest, .. } if *at_rest >= REST_TIME => Recovery::Deliver,
        RecoveryFacts { .. } => Recovery::Look,
    }
}

/// How often a message may be given back because its worker died: once. If the next worker dies of it too, it is put aside.
pub const RETURNS: u32 = 1;

/// What becomes of the message of an ephemeral worker (`policy = "ephemeral"`) that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// It is done.
    Done,
    /// The next worker has it.
    Again {
        /// Whether the worker itself caused the end.
        counted: bool,
    },
    /// It is put aside, because every worker that gets it dies.
    PutAside,
}

/// Decides what becomes of the message. `said_done`: the worker ran `peer self-done`; `returned`: how often the message was
/// given back before.
pub fn afterwards(said_done: bool, cause: EndCause, returned: u32) -> Afterwards {
    match cause.meaning().message {
        _ if said_done => Afterwards::Done,
        WorkerMessage::Done => Afterwards::Done,
        WorkerMessage::Returned => Afterwards::Again { counted: false },
        WorkerMessage::ReturnedOnce if returned >= RETURNS => Afterwards::PutAside,
        WorkerMessage::ReturnedOnce => Afterwards::Again { counted: true },
    }
}

/// Returns the message with a first line that names its sender.
pub fn signed(from: &str, text: &str) -> String {
    format!("[from {from}]\n{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNKNOWN: RecoveryFacts =
        RecoveryFacts { found: false, keeps_transcript: true, same_incarnation: true, at_rest: Duration::ZERO };

    #[test]
    fn a_worker_gives_its_message_back_once() {
        for &cause in EndCause::ALL {
            assert_eq!(afterwards(true, cause, 0), Afterwards::Done, "{cause:?}");
            if cause.counted() {
                assert_eq!(afterwards(false, cause, 0), Afterwards::Again { counted: true }, "{cause:?}");
                assert_eq!(afterwards(false, cause, 1), Afterwards::PutAside, "{cause:?}");
            }
        }
        let again = Afterwards::Again { counted: false };
        let other = [
            (EndCause::IdleReaped, Afterwards::Done),
            (EndCause::Completed, Afterwards::Done),
            (EndCause::Stopped, again),
            (EndCause::Moved, again),
            (EndCause::Replaced, again),
            (EndCause::Declined, again),
            (EndCause::Closed, again),
            (EndCause::RuntimeLost, again),
            (EndCause::Rebooted, again),
            (EndCause::SelfFresh, Afterwards::PutAside),
            (EndCause::MemoryDrained, Afterwards::PutAside),
        ];
        for (cause, becomes) in other {
            assert_eq!(afterwards(false, cause, 1), becomes, "{cause:?}");
        }
        let not_deaths = EndCause::ALL.iter().filter(|cause| !cause.counted()).count();
        assert_eq!(not_deaths, other.len(), "every cause that is no death is listed above");
    }

    #[test]
    fn a_message_is_said_again_only_where_it_is_known_that_it_was_not() {
        let cases = [
            (UNKNOWN, Recovery::Look),
            (RecoveryFacts { at_rest: REST_TIME, ..UNKNOWN }, Recovery::Deliver),
            (RecoveryFacts { same_incarnation: false, ..UNKNOWN }, Recovery::Deliver),
            (RecoveryFacts { found: true, ..UNKNOWN }, Recovery::Said),
            (RecoveryFacts { found: true, keeps_transcript: false, at_rest: REST_TIME, ..UNKNOWN }, Recovery::Said),
            (RecoveryFacts { keeps_transcript: false, at_rest: REST_TIME, ..UNKNOWN }, Recovery::PutAside),
            (RecoveryFacts { keeps_transcript: false, same_incarnation: false, ..UNKNOWN }, Recovery::PutAside),
        ];
        for (facts, expected) in cases {
            assert_eq!(recover(&facts), expected, "{facts:?}");
        }
    }
}
