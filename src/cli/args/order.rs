//! The orders in which a fleet can be shown: `peer list --sort`, and the `o` of `peer top`.

use std::cmp::Reverse;

use crate::engine::verbs::list::Row;

/// By what a fleet is sorted; those that are equal stand in order of name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Order {
    /// By name
    #[default]
    Name,
    /// By state: those that run first, then those that wait, then those that went wrong
    State,
    /// By idle time: who was active last first, and who is not awake behind those who are
    Idle,
    /// By the last end: the newest first, and who never ended last
    LastEnd,
    /// By restarts: the most first
    Restarts,
}

impl Order {
    /// The one behind this one; after the last comes the first.
    pub(crate) const fn next(self) -> Self {
        match self {
            Self::Name => Self::State,
            Self::State => Self::Idle,
            Self::Idle => Self::LastEnd,
            Self::LastEnd => Self::Restarts,
            Self::Restarts => Self::Name,
        }
    }

    /// Its name on the command line and in the heading of `peer top`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::State => "state",
            Self::Idle => "idle",
            Self::LastEnd => "last-end",
            Self::Restarts => "restarts",
        }
    }

    /// Sorts rows that are in order of name; `row` finds the row in what is sorted.
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
