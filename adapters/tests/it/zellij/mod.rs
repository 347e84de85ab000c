//! What zellij does beyond the trait.

mod lab;
mod life;
mod pane;
