//! What a user at the keyboard meets.

mod agent_hooks;
mod answers;
mod attach;
mod attach_ends;
mod complete;
mod doctor;
mod generated;
mod gone;
mod habits;
mod held_up;
mod hints;
mod history;
mod hooks;
mod keys;
mod list;
mod list_on_a_terminal;
mod looks;
mod man;
#[cfg(feature = "mcp")]
mod mcp;
#[cfg(feature = "mcp")]
mod mcp_raw;
#[cfg(feature = "mcp")]
mod mcp_starts;
mod narrow;
mod picture;
mod renaming;
mod status;
mod timer;
mod timer_hints;
mod timer_systemd;
mod top;
mod top_answers;
mod top_safety;
mod top_views;
mod tour;
mod verbs;
mod waiting;
mod words;
