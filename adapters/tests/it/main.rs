//! All external tests of the adapters in one binary: tmux, zellij and the agents themselves.
//!
//! `cargo test -p peer-adapters --test it conformance::` runs the cases that each runtime must pass.

mod agents;
mod conformance;
mod tmux;
mod writes;
mod zellij;
