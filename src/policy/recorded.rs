//! What is known about the recorded incarnation of a peer.

use super::axis::Axis;

/// What is known about the recorded incarnation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordedState {
    /// There is no `.session` file: both axes are dead, and nothing was probed.
    None,
    /// Another process is starting it, and its time to become ready has not run out.
    Starting,
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
