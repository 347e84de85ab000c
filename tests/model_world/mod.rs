//! The parts of tests/model.rs.

pub(crate) mod plain;
pub(crate) mod random;
pub(crate) mod worker;
