//! What a spec means once its gaps are filled, and where each value came from.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::{PeerSpec, Settings};
use crate::policy::health::Restart;
use crate::policy::wake::Lifestyle;

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The peer's own spec.
    Spec,
    /// The agent's profile.
    Profile,
    /// `[defaults]` in `config.toml`.
    Config,
    /// Built in.
    Default,
    /// The record of what runs, or what could be read of a spec that cannot be used.
    Known,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Spec => "spec",
            Self::Profile => "profile",
            Self::Config => "config.toml",
            Self::Default => "default",
            Self::Known => "as known",
        })
    }
}

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Value<T> {
    /// What holds.
    pub value: T,
    /// Who said so.
    pub origin: Origin,
}

fn pick<T>(spec: Option<T>, config: Option<T>, default: T) -> Value<T> {
    match (spec, config) {
        (Some(value), _) => Value { value, origin: Origin::Spec },
        (None, Some(value)) => Value { value, origin: Origin::Config },
        (None, None) => Value { value: default, origin: Origin::Default },
    }
}

/// The values that policy decides by.
#[derive(Clone, Debug)]
pub struct Effective {
    /// Parked after so long without activity; `None` is never.
    pub idle_timeout: Value<Option<Duration>>,
    /// What the reaper does after it ended.
    pub restart: Value<Restart>,
    /// What a parked conversation is worth.
    pub policy: Value<Lifestyle>,
    /// Restarts in a row before it is `failed`; 0 is never.
    pub max_restarts: Value<u32>,
    /// Memory of the whole process tree before it is drained, in KiB; `None` is unlimited.
    pub max_memory_kib: Value<Option<u64>>,
    /// Longest silence of an agent that promised beats; `None` is no promise.
    pub beat_timeout: Value<Option<Duration>>,
    /// Longest wait for readiness; `None` is the profile's.
    pub ready_timeout: Value<Option<Duration>>,
    /// Whether a wake without a topic may resume a parked conversation.
    pub resume_without_topic: Value<bool>,
    /// Park it even while somebody is attached.
    pub reap_attached: Value<bool>,
    /// Whether its agent is given hooks by which it reports what it does.
    pub agent_hooks: Value<bool>,
    /// Dialogs that may be answered for the person.
    pub accept: Value<Vec<String>>,
}

/// One hour: long enough to go to lunch, short enough that a forgotten fleet sleeps overnight.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// Twenty restarts in a row is more than an hour of trying under the longest backoff.
const MAX_RESTARTS: u32 = 20;

impl Effective {
    /// Fills the gaps of `spec`.
    pub fn of(spec: &PeerSpec, settings: &Settings) -> Self {
        let defaults = &settings.defaults;
        let span = |value: Option<super::Span>| value.map(|span| (!span.0.is_zero()).then_some(span.0));
        Self {
            idle_timeout: pick(span(spec.idle_timeout), span(defaults.idle_timeout), Some(IDLE_TIMEOUT)),
            restart: pick(spec.restart, defaults.restart, Restart::OnWake),
            policy: pick(spec.policy, defaults.policy, Lifestyle::default()),
            max_restarts: pick(spec.max_restarts, defaults.max_restarts, MAX_RESTARTS),
            max_memory_kib: pick(
                spec.max_memory.map(|size| Some(size.kib)),
                defaults.max_memory.map(|size| Some(size.kib)),
                None,
            ),
            beat_timeout: pick(span(spec.beat_timeout), span(defaults.beat_timeout), None),
            ready_timeout: pick(span(spec.ready_timeout), span(defaults.ready_timeout), None),
            resume_without_topic: pick(spec.resume_without_topic, defaults.resume_without_topic, true),
            reap_attached: pick(spec.reap_attached, defaults.reap_attached, false),
            agent_hooks: pick(spec.agent_hooks, defaults.agent_hooks, true),
            accept: pick(spec.accept.clone(), defaults.accept.clone(), Vec::new()),
        }
    }
}
