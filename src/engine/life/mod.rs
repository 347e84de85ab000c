//! The life of an incarnation: it is launched, becomes ready, is ended, and its end is recorded.

mod agent_start;
mod answered_end;
mod driving;
mod end;
mod facts;
mod given;
pub mod launch;
mod login;
pub(crate) mod not_ready;
pub mod plan;
pub mod ready;
pub mod record_end;
mod sweep;
mod terminate;
