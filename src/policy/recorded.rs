//! What is known about the recorded incarnation of a peer.

use super::axis::Axis;

/// What is known about the recorded incarnation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordedState {
    /// No incarnation runs: there is no `.session` file, or it is of a start that was refused or never completed.
    None,
    /// It is being started: its pane or its agent is alive and not ready, however long that has taken.
    Starting {
        /// Whether a process waits until it is ready. If none does, the next wake or tick sees the start through.
        is_watched: bool,
    },
    /// It was started on another machine or in another pid namespace, so its state cannot be determined here.
    Elsewhere {
        /// Where it was started, and since when.
        owner: String,
    },
    /// A session is recorded, and both axes were probed.
    Session {
        /// Whether the runtime's session exists.
        runtime: Axis,
        /// Whether the agent of this incarnation exists.
        process: Axis,
    },
}
