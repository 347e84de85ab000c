//! What `tests/campaign.rs` is made of.

pub(crate) mod faults;
pub(crate) mod fleet;
pub(crate) mod ledger;
#[path = "../model_world/random.rs"]
pub(crate) mod random;
