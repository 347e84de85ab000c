//! Handling of arguments that several verbs share.

pub(crate) mod choice;
pub(crate) mod complete;
pub(crate) mod mistyped;
pub(crate) mod order;
pub(crate) mod several;
