//! The effective settings of a peer: its spec with all defaults filled in, and the origin of each value.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::{PeerSpec, Settings};
use crate::policy::health::{MAX_RESTARTS_DEFAULT, Restart};
use crate::policy::idle::IDLE_TIMEOUT_DEFAULT;
use crate::policy::stall::{self, OnLimit, OnStall};
use crate::policy::wake::ContextPolicy;

/// The origin of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The peer's own spec.
    Spec,
    /// The agent's profile.
    Profile,
    /// `[defaults]` in `config.toml`.
    Config,
    /// A built-in default.
    Default,
    /// The record of the running incarnation, or the readable part of an unusable spec.
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

/// A value with its origin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Value<T> {
    /// The effective value.
    pub value: T,
    /// Where it came from.
    pub origin: Origin,
}

fn pick<T>(spec: Option<T>, config: Option<T>, default: T) -> Value<T> {
    match (spec, config) {
        (Some(value), _) => Value { value, origin: Origin::Spec },
        (None, Some(value)) => Value { value, origin: Origin::Config },
        (None, None) => Value { value: default, origin: Origin::Default },
    }
}

/// The settings that `policy` decides by.
#[derive(Clone, Debug)]
pub struct Effective {
    /// How long the peer may be idle before it is parked; `None` means never.
    pub idle_timeout: Value<Option<Duration>>,
    /// After which ends the reaper restarts the peer.
    pub restart: Value<Restart>,
    /// Whether a parked conversation is worth keeping.
    pub policy: Value<ContextPolicy>,
    /// Deaths in a row before the peer is `failed`; 0 means never.
    pub max_restarts: Value<u32>,
    /// The memory limit of the agent's whole process tree, in KiB. An agent above it is drained. `None` means no limit.
    pub max_memory_kib: Value<Option<u64>>,
    /// The longest silence of an agent that promised heartbeats; `None` means that it promised none.
    pub beat_timeout: Value<Option<Duration>>,
    /// The longest wait for readiness; `None` means the profile's.
    pub ready_timeout: Value<Option<Duration>>,
    /// Whether a wake without a topic may resume a parked conversation.
    pub resume_without_topic: Value<bool>,
    /// How long nothing may happen in a turn before it is stalled; `None` is for ever.
    pub stall_timeout: Value<Option<Duration>>,
    /// What is done about a turn that is stalled.
    pub on_stall: Value<OnStall>,
    /// What is done once a usage limit is over.
    pub on_limit: Value<OnLimit>,
    /// What it is sent then.
    pub limit_prompt: Value<String>,
    /// Whether the peer is parked even while a user is attached.
    pub reap_attached: Value<bool>,
    /// Whether the agent gets hooks by which it reports what it does.
    pub agent_hooks: Value<bool>,
    /// The dialogs that `peer` may answer for the user.
    pub accept: Value<Vec<String>>,
}

/// Half an hour: a build or a download that says nothing for longer, and computes nothing, is rare.
const STALL_TIMEOUT: Duration = Duration::from_secs(30 * 60);

impl Effective {
    /// Fills in the values that `spec` leaves out.
    pub fn of(spec: &PeerSpec, settings: &Settings) -> Self {
        let defaults = &settings.defaults;
        let span = |value: Option<super::Span>| value.map(|span| (!span.0.is_zero()).then_some(span.0));
        let size = |value: Option<super::Size>| value.map(|size| (size.kib > 0).then_some(size.kib));
        Self {
            idle_timeout: pick(span(spec.idle_timeout), span(defaults.idle_timeout), Some(IDLE_TIMEOUT_DEFAULT)),
            restart: pick(spec.restart, defaults.restart, Restart::OnWake),
            policy: pick(spec.policy, defaults.policy, ContextPolicy::default()),
            max_restarts: pick(spec.max_restarts, defaults.max_restarts, MAX_RESTARTS_DEFAULT),
            max_memory_kib: pick(size(spec.max_memory), size(defaults.max_memory), None),
            beat_timeout: pick(span(spec.beat_timeout), span(defaults.beat_timeout), None),
            ready_timeout: pick(span(spec.ready_timeout), span(defaults.ready_timeout), None),
            resume_without_topic: pick(spec.resume_without_topic, defaults.resume_without_topic, true),
            stall_timeout: pick(span(spec.stall_timeout), span(defaults.stall_timeout), Some(STALL_TIMEOUT)),
            on_stall: pick(spec.on_stall, defaults.on_stall, OnStall::default()),
            on_limit: pick(spec.on_limit, defaults.on_limit, OnLimit::default()),
            limit_prompt: pick(
                spec.limit_prompt.clone(),
                defaults.limit_prompt.clone(),
                stall::LIMIT_PROMPT.to_owned(),
            ),
            reap_attached: pick(spec.reap_attached, defaults.reap_attached, false),
            agent_hooks: pick(spec.agent_hooks, defaults.agent_hooks, true),
            accept: pick(spec.accept.clone(), defaults.accept.clone(), Vec::new()),
        }
    }
}
