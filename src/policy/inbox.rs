//! What becomes of a message that waits.

use std::time::Duration;

use super::ending::EndCause;

/// How long an agent must have been at rest before what it has not written down by then counts as not said: it writes down a
/// message within a quarter of a second, and much later on a loaded machine.
pub const REST: Duration = Duration::from_secs(3);

/// How often a message is typed that is not seen to arrive, before it is put aside: what an agent takes for something else, it
/// takes for that each time, and it must not hold up all that comes after it.
pub const TRIES: u32 = 3;

/// What is known of a delivery that was begun, and that whoever began it did not see to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BegunFacts {
    /// The agent wrote it down.
    pub found: bool,
    /// Its agent writes down what is said to it.
    pub written_down: bool,
    /// It was begun to the incarnation that runs now.
    pub same_incarnation: bool,
    /// How long that one has shown no turn, and has read all that was typed.
    pub at_rest: Duration,
}

/// What is to be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Nothing: it was said.
    Said,
    /// It is delivered; it was not said, and nobody will say it any more.
    Deliver,
    /// Look again: it may be on its way.
    Look,
    /// It is put aside: nobody can tell, and it is never said twice.
    PutAside,
}

/// Whether a message whose delivery was begun is delivered again.
pub fn recover(facts: &BegunFacts) -> Recovery {
    match facts {
        BegunFacts { found: true, .. } => Recovery::Said,
        BegunFacts { written_down: false, .. } => Recovery::PutAside,
        // What an agent that has ended has not written, it never will.
        BegunFacts { same_incarnation: false, .. } => Recovery::Deliver,
        BegunFacts { at_rest, .. } if *at_rest >= REST => Recovery::Deliver,
        BegunFacts { .. } => Recovery::Look,
    }
}

/// How often a worker of one message may die with it: once, and the next one has it.
pub const RETURNS: u32 = 1;

/// What becomes of the message of a worker of one message (`policy = "ephemeral"`) that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// It is done.
    Done,
    /// The next worker has it.
    Again {
        /// That was the worker's own doing.
        counted: bool,
    },
    /// It is put aside: each worker that has it dies.
    PutAside,
}

/// What becomes of it where its worker ended so. `said_done`: by `peer self-done`; `returned`: how often it was given back.
pub fn afterwards(said_done: bool, cause: EndCause, returned: u32) -> Afterwards {
    match cause {
        _ if said_done => Afterwards::Done,
        // Quiet for so long, or left in order: it never says so.
        EndCause::IdleReaped | EndCause::Completed => Afterwards::Done,
        // Not its doing.
        EndCause::Stopped
        | EndCause::Moved
        | EndCause::Replaced
        | EndCause::Closed
        | EndCause::RuntimeLost
        | EndCause::Rebooted => Afterwards::Again { counted: false },
        _ if returned >= RETURNS => Afterwards::PutAside,
        _ => Afterwards::Again { counted: true },
    }
}

/// The first line of a message that names its sender.
pub fn signed(from: &str, text: &str) -> String {
    format!("[from {from}]\n{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNKNOWN: BegunFacts =
        BegunFacts { found: false, written_down: true, same_incarnation: true, at_rest: Duration::ZERO };

    #[test]
    fn a_worker_gives_its_message_back_once() {
        for cause in EndCause::ALL {
            assert_eq!(afterwards(true, cause, 0), Afterwards::Done, "{cause:?}");
            if cause.counted() {
                assert_eq!(afterwards(false, cause, 0), Afterwards::Again { counted: true }, "{cause:?}");
                assert_eq!(afterwards(false, cause, 1), Afterwards::PutAside, "{cause:?}");
            }
        }
        for (cause, becomes) in [
            (EndCause::IdleReaped, Afterwards::Done),
            (EndCause::Completed, Afterwards::Done),
            (EndCause::Stopped, Afterwards::Again { counted: false }),
            (EndCause::RuntimeLost, Afterwards::Again { counted: false }),
            (EndCause::MemoryDrained, Afterwards::PutAside),
        ] {
            assert_eq!(afterwards(false, cause, 1), becomes, "{cause:?}");
        }
    }

    #[test]
    fn a_message_is_said_again_only_where_it_is_known_that_it_was_not() {
        let cases = [
            (UNKNOWN, Recovery::Look),
            (BegunFacts { at_rest: REST, ..UNKNOWN }, Recovery::Deliver),
            (BegunFacts { same_incarnation: false, ..UNKNOWN }, Recovery::Deliver),
            (BegunFacts { found: true, ..UNKNOWN }, Recovery::Said),
            (BegunFacts { found: true, written_down: false, at_rest: REST, ..UNKNOWN }, Recovery::Said),
            (BegunFacts { written_down: false, at_rest: REST, ..UNKNOWN }, Recovery::PutAside),
            (BegunFacts { written_down: false, same_incarnation: false, ..UNKNOWN }, Recovery::PutAside),
        ];
        for (facts, expected) in cases {
            assert_eq!(recover(&facts), expected, "{facts:?}");
        }
    }
}
