//! Every test of the program from outside, in one binary: it is linked once, and its cases run side by side.
//!
//! `cargo test --test it life::wake_table` runs one file, `cargo test --test it zellij::` only the cases on zellij.

mod agents;
mod campaign;
mod common;
mod environment;
mod files;
mod house;
mod life;
mod messages;
mod model;
mod people;
mod runtimes;
