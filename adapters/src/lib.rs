//! Adapters speak to foreign programs and decide nothing.
//!
//! Everything here answers "what is there?" or carries out one effect on a terminal multiplexer, the kernel or an
//! agent's own files. Nothing here knows what a peer is, reads `peer`'s own state, or chooses between outcomes:
//! that is the engine's and the policy's work in the crate above.
//!
//! A probe returns a `Result`: a failed or late one is an error and never reads as "absent".

pub mod agent;
pub mod command;
pub mod file;
pub mod inherited;
pub mod presence;
pub mod process;
pub mod runtime;
pub mod screen;
pub mod signals;
pub mod socket;
pub mod systemd;
pub mod terminal;
pub mod tmux;
pub mod transcript;
pub mod version;
pub mod watch;
pub mod writes;
pub mod zellij;
