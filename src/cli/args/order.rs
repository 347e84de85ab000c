//! The orders in which a fleet can be shown: `peer list --sort`, and the `o` of `peer top`.

use std::cmp::Reverse;

use crate::engine::verbs::list::Row;

/// How a fleet is sorted; ties are ordered by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Order {
    /// By name
    #[default]
    Name,
    /// By state: running peers first, then sleeping ones, then failed ones
    State,
    /// By idle time: most recently active first; peers that are not awake last
    Idle,
    /// By last end: most recent first; peers that never ended last
    LastEnd,
    /// By restarts: most first
    Restarts,
}

impl Order {
    /// The next order; the first one follows the last.
    #[cfg(feature = "top")]
    pub(crate) const fn next(self) -> Self {
        match self {
            Self::Name => Self::State,
            Self::State => Self::Idle,
            Self::Idle => Self::LastEnd,
            Self::LastEnd => Self::Restarts,
            Self::Restarts => Self::Name,
        }
    }

    /// The name on the command line and in the heading of `peer top`.
    #[cfg(feature = "top")]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::State => "state",
            Self::Idle => "idle",
            Self::LastEnd => "last-end",
            Self::Restarts => "restarts",
        }
    }

    /// Sorts `rows`, which must be in order of name; `row` gets the row out of an item.
    pub(crate) fn sort<T>(self, rows: &mut [T], row: impl Fn(&T) -> &Row) {
        match self {
            Self::Name => rows.sort_by(|a, b| row(a).peer.cmp(&row(b).peer)),
            Self::State => rows.sort_by_key(|item| row(item).state),
            Self::Idle => rows.sort_by_key(|item| row(item).idle_s.unwrap_or(u64::MAX)),
            Self::LastEnd => rows.sort_by_key(|item| Reverse(row(item).last_end_at_ms)),
            Self::Restarts => rows.sort_by_key(|item| Reverse(row(item).restarts)),
        }
    }
}
