//! Rendering: tables, templates, JSON, and what the terminal can show.

pub(crate) mod fold;
pub(crate) mod output;
pub(crate) mod progress;
pub(crate) mod row;
pub(crate) mod table;
pub(crate) mod template;
pub(crate) mod terminal;
