//! What is known of the incarnation on record.

use super::axis::Axis;

/// What is known of the incarnation on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// No `.session` file: both axes are dead, and nothing was probed.
    None,
    /// Somebody is starting it, and its time to become ready is not over.
    Starting,
    /// It was started on another machine or in another pid namespace: nothing can be told of it from here.
    Elsewhere {
        /// Where, and since when.
        owner: String,
    },
    /// A session is on record, and both axes were asked about it.
    Session {
        /// Is the runtime's session there?
        runtime: Axis,
        /// Is the agent of this incarnation there?
        process: Axis,
    },
}
