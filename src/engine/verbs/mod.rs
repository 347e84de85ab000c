//! What a person types: one verb a file, under its own name, each a method of the engine.

pub mod attach;
pub mod beat;
pub mod declare;
pub mod doctor;
pub mod interrupt;
pub mod list;
pub(crate) mod login;
pub mod move_to;
pub mod new;
pub mod reap;
pub mod refresh;
pub mod release;
pub mod reset;
pub mod restart_runtime;
pub mod screen;
pub mod self_fresh;
pub mod send;
pub mod start;
pub mod status;
pub mod stop;
pub(crate) mod sweep;
pub mod timer;
pub mod top;
pub mod transcript;
pub mod wake;
pub mod why;
