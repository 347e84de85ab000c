//! Pure decisions: facts in, decision and reason out.
//!
//! Nothing here reads a file, a clock, the kernel or a runtime, and nothing here imports another module of ours: `now`
//! is an argument, and every fact arrives in a struct. The meanings are those of `docs/lifecycle.md`.

pub mod answer;
pub mod axis;
pub mod choice;
pub mod ending;
pub mod health;
pub mod hops;
pub mod idle;
pub mod inbox;
pub mod may;
pub mod name;
pub mod recorded;
pub mod report;
pub mod room;
pub mod shown;
pub mod state;
pub mod time;
pub mod turn;
pub mod verdict;
pub mod wait;
pub mod wake;
