//! A runtime as a file names it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::RuntimeKind;

/// The runtime that a spec or a record names. A name that this version does not know is kept as it is: the file may be that
/// of a newer version, and what runs there is then unknown, not gone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum RuntimeName {
    /// One of those that this version knows.
    Known(RuntimeKind),
    /// Another name.
    Unknown(String),
}

impl RuntimeName {
    /// Returns the runtime; `None` if this version does not know it.
    pub fn kind(&self) -> Option<RuntimeKind> {
        match self {
            Self::Known(kind) => Some(*kind),
            Self::Unknown(_) => None,
        }
    }

    /// Returns the name as it is written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(kind) => kind.as_str(),
            Self::Unknown(name) => name,
        }
    }
}

/// No runtime's name.
impl Default for RuntimeName {
    fn default() -> Self {
        Self::Unknown(String::new())
    }
}

impl From<RuntimeKind> for RuntimeName {
    fn from(kind: RuntimeKind) -> Self {
        Self::Known(kind)
    }
}

impl From<String> for RuntimeName {
    fn from(name: String) -> Self {
        RuntimeKind::named(&name).map_or(Self::Unknown(name), Self::Known)
    }
}

impl From<RuntimeName> for String {
    fn from(name: RuntimeName) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for RuntimeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
