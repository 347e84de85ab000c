//! Determines the one cause of an end from what is known about it.

use super::record::{SIGHUP, SIGKILL, SIGTERM};
use super::{COMPLETED_AFTER, EndCause, Exit, Intent};
use crate::policy::time::Timestamp;

/// How an incarnation is known to be over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Its parent process saw it exit.
    Exit {
        /// The exit code or signal.
        exit: Exit,
        /// When it had become ready, if it had.
        ready_at: Option<Timestamp>,
    },
    /// The pane process received SIGHUP before the agent exited: the terminal was taken away, so the way in which the
    /// agent then exited is not its own doing.
    HungUp,
    /// It could not be started.
    SpawnFailed,
    /// Both axes were probed twice, and the agent does not exist.
    Absent,
}

/// Whether the runtime's server existed when the end was examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The server answered.
    Up,
    /// The server has no socket, or nothing listens on it.
    Gone,
}

/// The facts by which an end is classified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndFacts {
    /// The intent recorded before this incarnation was ended.
    pub intent: Option<Intent>,
    /// How it is known to be over.
    pub evidence: Evidence,
    /// The state of its runtime's server.
    pub server: Server,
    /// Whether the machine's boot id differs from that at the incarnation's start.
    pub rebooted: bool,
    /// When it ended, or was found to have ended.
    pub at: Timestamp,
}

/// Returns the one cause of an end. A recorded intent comes first, then the exit record, then whatever took the agent
/// away, then a confirmed absence, which is a death.
pub fn classify(facts: &EndFacts) -> EndCause {
    if let Some(intent) = facts.intent {
        return intent.cause();
    }
    let gone = facts.rebooted || facts.server == Server::Gone;
    match facts.evidence {
        // The hangup of a terminal reaches the agent too, and its parent may see the agent exit before its own SIGHUP.
        Evidence::Exit { exit: Exit::Signal(SIGHUP), .. } if gone => taken_away(facts, EndCause::Killed),
        // A machine that shuts down ends every process with these two signals. The agent's parent may have lived long
        // enough to see it.
        Evidence::Exit { exit: Exit::Signal(SIGTERM | SIGKILL), .. } if facts.rebooted => EndCause::Rebooted,
        Evidence::Exit { exit: Exit::Signal(_), .. } => EndCause::Killed,
        Evidence::Exit { exit: Exit::Code(0), ready_at } => {
            let completed = ready_at.is_some_and(|ready| facts.at.since(ready) >= COMPLETED_AFTER);
            if completed { EndCause::Completed } else { EndCause::CompletedEarly }
        }
        Evidence::Exit { exit: Exit::Code(_), .. } => EndCause::Crashed,
        Evidence::SpawnFailed => EndCause::SpawnFailed,
        Evidence::HungUp => taken_away(facts, EndCause::Closed),
        Evidence::Absent => taken_away(facts, EndCause::Vanished),
    }
}

/// Returns what took the agent away if it did not exit by itself, or `alone` if its server still runs.
const fn taken_away(facts: &EndFacts, alone: EndCause) -> EndCause {
    match (facts.rebooted, facts.server) {
        (true, _) => EndCause::Rebooted,
        (false, Server::Gone) => EndCause::RuntimeLost,
        (false, Server::Up) => alone,
    }
}
