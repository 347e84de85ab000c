//! How an agent is asked to leave, and how long it may take.

use std::time::Duration;

use serde::Deserialize;

use super::values;
use crate::runtime::Key;

/// How the agent is asked to leave, and how long it may take.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quit {
    /// What to press, in order, until the agent has ended. Empty if the agent cannot be asked to leave.
    pub steps: Vec<QuitStep>,
    /// How long to wait after the last step before SIGTERM.
    #[serde(deserialize_with = "values::duration")]
    pub grace: Duration,
    /// How long to wait after SIGTERM before SIGKILL.
    #[serde(deserialize_with = "values::duration")]
    pub term_grace: Duration,
}

impl Default for Quit {
    fn default() -> Self {
        Self { steps: Vec::new(), grace: Duration::from_secs(5), term_grace: Duration::from_secs(5) }
    }
}

/// One step of asking the agent to leave.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuitStep {
    /// Keys pressed together.
    pub keys: Vec<Key>,
    /// How long to wait for the agent to end before the next step.
    #[serde(deserialize_with = "values::duration")]
    pub wait: Duration,
}
