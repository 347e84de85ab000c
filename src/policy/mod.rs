//! Pure decisions: they take facts and return a decision and its reason.
//!
//! Nothing here reads a file, a clock, the kernel or a runtime, and nothing imports a module outside `policy`: `now` is
//! an argument, and all facts arrive in structs. `docs/lifecycle.md` defines the meanings.

pub mod answer;
pub mod axis;
pub mod choice;
pub mod ending;
pub mod event;
pub mod health;
pub mod hops;
pub mod idle;
pub mod inbox;
pub mod look;
pub mod may;
pub mod name;
pub mod recorded;
pub mod report;
pub mod room;
pub mod shown;
pub mod stall;
pub mod state;
pub mod time;
pub mod turn;
pub mod verdict;
pub mod wait;
pub mod wake;
