//! Adapters to the programs outside `peer`: terminal multiplexers, the kernel, and the agents' own files.
//!
//! An adapter reports the current state or carries out one effect. It does not know what a peer is, does not read
//! `peer`'s own state, and does not choose between outcomes: the engine and the policy, in the crate above, do that.
//!
//! A probe returns a `Result`. A probe that fails or times out is an error and never reads as "absent".

pub mod agent;
pub mod command;
pub mod file;
pub mod inherited;
mod nearest;
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

pub use nearest::nearest;
