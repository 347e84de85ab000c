//! Wording of a peer's row that list, top and templates share.

use crate::cli::render::terminal::relative;
use crate::engine::verbs::list::Row;
use crate::policy::time::Timestamp;

/// `crashed (exit 3) 5m ago`; an end that is not a death by its cause alone: `idle-reaped 3h ago`.
pub(crate) fn last_end(row: &Row, now: Timestamp) -> Option<String> {
    let (cause, at) = (row.last_end_cause?, row.last_end_at_ms?);
    let how = row.last_end.as_deref().filter(|_| cause.counted()).unwrap_or(cause.as_str());
    Some(format!("{how} {}", relative(at, now)))
}

/// What stands for [`last_end`] where there is less room, longest first: `crashed 5m ago`, `crashed 5m`, `5m ago`.
pub(crate) fn shorter_last_end(row: &Row, now: Timestamp) -> Vec<String> {
    let Some((cause, at)) = row.last_end_cause.zip(row.last_end_at_ms) else { return Vec::new() };
    let ago = relative(at, now);
    vec![format!("{cause} {ago}"), format!("{cause} {}", ago.trim_end_matches(" ago")), ago]
}
