//! `peer` keeps named, long-lived terminal agents warm on demand.
//!
//! (theory of operation: written with the engine)

pub mod cli;
pub mod config;
pub mod engine;
pub mod pane;
pub mod policy;
pub mod store;
