//! The real agents, without a network: run by `scripts/test-agents`.

mod accidents;
mod answers;
mod conversations;
mod hooks;
mod interrupts;
mod limits;
mod lists;
mod lives;
mod looks;
#[cfg(feature = "mcp")]
mod mcp;
mod messages;
mod overtaking;
mod questions;
mod survivors;
mod trials;
mod turns;
mod words;
