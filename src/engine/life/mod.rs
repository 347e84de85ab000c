//! An incarnation's life: it is launched, becomes ready, is brought to its end, and that end is recorded.

mod given;
pub mod launch;
pub mod ready;
pub mod record_end;
pub mod terminate;
