//! zellij behaviour beyond the trait.

mod lab;
mod life;
mod pane;
