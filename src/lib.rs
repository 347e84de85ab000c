//! `peer` keeps named, long-lived terminal agents warm on demand.
//!
//! Theory of operation. There is no daemon: each command observes, decides, acts, and leaves.
//!
//! ```text
//!   cli ──▶ engine ──▶ adapters   what is there?  runtime axis (one listing), process axis (pid and start time)
//!              │
//!              ├─────▶ policy     what follows?   facts and `now` in, decision and cause out; pure
//!              │
//!              └─────▶ store      what is so now  one mutator, under the peer's lock; the record is written first
//!                                                 and taken away last
//! ```
//!
//! A runtime's pane runs [`pane`], which starts the agent, stays its parent, and records its end. Every effect names an
//! incarnation, whose number only grows: what a hung server does late meets a fence and leaves. A witness that does not
//! answer says `unknown`, and unknown leads to no signal, no marker and no start. Whoever is killed between any two
//! steps is followed by the next command, because each step can be done again and the record goes away last.

pub mod cli;
pub mod config;
pub mod engine;
pub mod pane;
pub mod policy;
pub mod store;
