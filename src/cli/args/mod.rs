//! Handling of arguments that several verbs share.

pub(crate) mod choice;
pub(crate) mod complete;
pub(crate) mod mistyped;
pub(crate) mod order;
pub(crate) mod several;
pub(crate) mod unquoted;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use peer_adapters::runtime::RuntimeKind;

/// Parses the name of a runtime.
pub(crate) fn runtime() -> impl TypedValueParser<Value = RuntimeKind> {
    PossibleValuesParser::new(RuntimeKind::NAMES).map(|name| RuntimeKind::named(&name).expect("a possible value"))
}
