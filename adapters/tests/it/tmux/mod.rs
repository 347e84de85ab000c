//! tmux behaviour beyond the trait.

mod basics;
mod create;
mod input;
mod lab;
mod server;
mod skew;
mod start;
mod versions;
