//! The life of an incarnation: it is launched, becomes ready, is ended, and its end is recorded.

mod given;
pub mod launch;
pub mod ready;
pub mod record_end;
pub mod terminate;
