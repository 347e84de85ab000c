//! `peer` keeps named, long-lived terminal agents warm on demand.
//!
//! Theory of operation: there is no daemon. Each command observes, decides, acts and exits.
//!
//! ```text
//!   cli ──▶ engine ──▶ adapters   observe   runtime axis (one listing), process axis (pid and start time)
//!              │
//!              ├─────▶ policy     decide    facts and `now` in, decision and cause out; pure
//!              │
//!              └─────▶ store      record    all changes go through `Locked`, under the peer's lock;
//!                                           the record is written first and removed last
//! ```
//!
//! The runtime's pane runs [`pane`], which starts the agent, stays its parent, and records its end.
//!
//! Every effect names an incarnation, whose number only grows. A late effect of a hung server finds a newer incarnation
//! recorded and is dropped. If a witness does not answer, the result is `unknown`, which never leads to a signal, a
//! marker or a start. If a command is killed between two steps, the next command continues its work: each step can be
//! repeated, and the record is removed last.

pub mod cli;
pub mod config;
pub mod engine;
pub mod pane;
pub mod policy;
pub mod store;
