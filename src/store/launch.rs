//! The launch file: how the pane process starts the agent.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use peer_adapters::inherited::Inherited;
use serde::{Deserialize, Serialize};

use super::Host;

/// How to start the agent. It holds the whole environment, so it is passed as a file with mode 0600 and never as
/// arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// Absolute path of the executable, then its arguments.
    pub argv: Vec<OsText>,
    /// Working directory.
    pub cwd: PathBuf,
    /// The configuration directory of the wake. The pane process cannot derive it, because it has the runtime's
    /// environment.
    pub config_dir: PathBuf,
    /// The host of the launch. On another host, the rest of this incarnation cannot be judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
    /// The boot id of that machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// How long a self-fresh waits between `SIGTERM` and `SIGKILL`.
    #[serde(default)]
    pub grace_ms: u64,
    /// The agent's whole environment, except for what the terminal itself sets.
    pub env: Vec<(OsText, OsText)>,
    /// The umask, nice value and limits of the process that woke the peer, with the overrides of its spec.
    #[serde(default)]
    pub inherited: Inherited,
}

/// Text as the operating system passes it: a plain JSON string if it is UTF-8, and its bytes otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OsTextForm", into = "OsTextForm")]
pub struct OsText(pub OsString);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum OsTextForm {
    Text(String),
    Bytes { bytes: Vec<u8> },
}

impl From<OsTextForm> for OsText {
    fn from(form: OsTextForm) -> Self {
        Self(match form {
            OsTextForm::Text(text) => text.into(),
            OsTextForm::Bytes { bytes } => OsString::from_vec(bytes),
        })
    }
}

impl From<OsText> for OsTextForm {
    fn from(text: OsText) -> Self {
        match text.0.into_string() {
            Ok(text) => Self::Text(text),
            Err(text) => Self::Bytes { bytes: text.into_vec() },
        }
    }
}
