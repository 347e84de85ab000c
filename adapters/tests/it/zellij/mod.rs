//! zellij behaviour beyond the trait.

mod directories;
mod lab;
mod life;
mod pane;
