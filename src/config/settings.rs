//! The settings in `config.toml`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use peer_adapters::runtime::{RuntimeKind, RuntimeName};
use serde::Deserialize;

use super::values::{Size, Span, check_runtime};
use crate::policy::event::is_meant;
use crate::policy::health::Restart;
use crate::policy::hops::MAX_HOPS;
use crate::policy::stall::{OnLimit, OnStall};
use crate::policy::wake::ContextPolicy;

/// The user's settings for the whole fleet. Every key has a default, so the file need not exist.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The runtime of a new peer. If unset, the first one that is installed.
    pub runtime: Option<RuntimeName>,
    /// How many messages of agents may follow one another without a person's message among them; 0 means no limit.
    pub max_hops: u32,
    /// How to reach tmux.
    pub tmux: TmuxSettings,
    /// How to reach zellij.
    pub zellij: ZellijSettings,
    /// Limits of one query to a runtime.
    pub probe: ProbeSettings,
    /// Limits of one tick.
    pub tick: TickSettings,
    /// Default values for specs.
    pub defaults: Defaults,
    /// Commands to run on events.
    #[serde(rename = "hook")]
    pub hooks: Vec<Hook>,
}

impl Settings {
    /// Returns the configured binary of a runtime.
    pub fn binary(&self, kind: RuntimeKind) -> Option<&Path> {
        match kind {
            RuntimeKind::Tmux => self.tmux.binary.as_deref(),
            RuntimeKind::Zellij => self.zellij.binary.as_deref(),
        }
    }

    /// Returns what the configuration calls the fleet's server of a runtime: a name, or an absolute path. Empty for a
    /// runtime whose servers have no names.
    pub fn server(&self, kind: RuntimeKind) -> &str {
        match kind {
            RuntimeKind::Tmux => &self.tmux.socket,
            RuntimeKind::Zellij => "",
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            runtime: None,
            max_hops: MAX_HOPS,
            tmux: TmuxSettings::default(),
            zellij: ZellijSettings::default(),
            probe: ProbeSettings::default(),
            tick: TickSettings::default(),
            defaults: Defaults::default(),
            hooks: Vec::new(),
        }
    }
}

/// `[tmux]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TmuxSettings {
    /// The private server: a name, as in `tmux -L NAME`, or an absolute path, as in `tmux -S PATH`.
    pub socket: String,
    /// The binary. If unset, it is searched for on `PATH`.
    pub binary: Option<PathBuf>,
}

impl Default for TmuxSettings {
    fn default() -> Self {
        Self { socket: "peer".to_owned(), binary: None }
    }
}

/// `[zellij]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ZellijSettings {
    /// The binary. If unset, it is searched for on `PATH`.
    pub binary: Option<PathBuf>,
}

/// `[probe]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProbeSettings {
    /// How long a runtime may take to answer one query.
    pub timeout: Span,
}

impl Default for ProbeSettings {
    fn default() -> Self {
        // A listing of 1,000 sessions takes 40 ms. 2 s tolerates a loaded machine and still bounds a tick.
        Self { timeout: Span(Duration::from_secs(2)) }
    }
}

/// `[tick]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TickSettings {
    /// How long one tick may take.
    pub budget: Span,
}

impl Default for TickSettings {
    fn default() -> Self {
        // Well below cron's interval of a minute, so that ticks do not pile up.
        Self { budget: Span(Duration::from_secs(20)) }
    }
}

/// `[defaults]`: the values of keys that a spec leaves out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Defaults {
    /// See [`super::PeerSpec`].
    pub idle_timeout: Option<Span>,
    /// See [`super::PeerSpec`].
    pub restart: Option<Restart>,
    /// See [`super::PeerSpec`].
    pub policy: Option<ContextPolicy>,
    /// See [`super::PeerSpec`].
    pub max_restarts: Option<u32>,
    /// See [`super::PeerSpec`].
    pub max_memory: Option<Size>,
    /// See [`super::PeerSpec`].
    pub beat_timeout: Option<Span>,
    /// See [`super::PeerSpec`].
    pub ready_timeout: Option<Span>,
    /// See [`super::PeerSpec`].
    pub resume_without_topic: Option<bool>,
    /// See [`super::PeerSpec`].
    pub stall_timeout: Option<Span>,
    /// See [`super::PeerSpec`].
    pub on_stall: Option<OnStall>,
    /// See [`super::PeerSpec`].
    pub on_limit: Option<OnLimit>,
    /// See [`super::PeerSpec`].
    pub limit_prompt: Option<String>,
    /// See [`super::PeerSpec`].
    pub reap_attached: Option<bool>,
    /// See [`super::PeerSpec`].
    pub agent_hooks: Option<bool>,
    /// See [`super::PeerSpec`].
    pub accept: Option<Vec<String>>,
}

/// `[[hook]]`: a command that receives each selected event as JSON on its stdin.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// The names of events, as in the log.
    pub on: Vec<String>,
    /// The command and its arguments. It is not run through a shell.
    pub command: Vec<String>,
    /// How long it may take.
    #[serde(default = "Hook::default_timeout")]
    pub timeout: Span,
}

impl Hook {
    /// Whether the hook is run for this event: `on` means it, or is `*`.
    pub fn wants(&self, event: &str) -> bool {
        self.on.iter().any(|on| on == "*" || is_meant(on, event))
    }

    fn default_timeout() -> Span {
        Span(Duration::from_secs(5))
    }
}

impl Settings {
    /// Parses the readable keys of an invalid file, without its hooks.
    pub(super) fn lenient(text: &str) -> Self {
        let Ok(typed) = text.parse::<toml::Table>() else { return Self::default() };
        let mut known = toml::Table::new();
        let mut keep_if_valid = |add: &dyn Fn(&mut toml::Table)| {
            let mut with = known.clone();
            add(&mut with);
            if with.clone().try_into::<Self>().is_ok_and(|read| read.check().is_ok()) {
                known = with;
            }
        };
        for (name, value) in typed.iter().filter(|(name, _)| *name != "hook") {
            let toml::Value::Table(keys) = value else {
                keep_if_valid(&|with| drop(with.insert(name.clone(), value.clone())));
                continue;
            };
            for (key, value) in keys {
                keep_if_valid(&|with| {
                    let table = with.entry(name).or_insert_with(|| toml::Table::new().into());
                    table.as_table_mut().expect("one of ours").insert(key.clone(), value.clone());
                });
            }
        }
        known.try_into().unwrap_or_default()
    }

    /// Checks what the types cannot express. The error is the path of the key from its outermost table, the problem,
    /// and what to write instead.
    pub(super) fn check(&self) -> Result<(), (Vec<String>, String, String)> {
        if let Some((problem, cure)) = self.runtime.as_ref().and_then(check_runtime) {
            return Err((vec!["runtime".to_owned()], problem, cure));
        }
        for (table, key, span) in [("probe", "timeout", self.probe.timeout), ("tick", "budget", self.tick.budget)] {
            if span.0.is_zero() {
                let problem = "zero leaves no time for anything".to_owned();
                return Err((vec![table.to_owned(), key.to_owned()], problem, "write it like 2s".to_owned()));
            }
        }
        for (number, hook) in self.hooks.iter().enumerate() {
            let key = |key: &str| vec!["hook".to_owned(), number.to_string(), key.to_owned()];
            if hook.command.first().is_none_or(String::is_empty) {
                let cure = "name a program and its arguments, each as a word of its own";
                return Err((key("command"), "a hook has no command".to_owned(), cure.to_owned()));
            }
            if hook.timeout.0.is_zero() {
                return Err((key("timeout"), "a hook has no time".to_owned(), "write it like 5s".to_owned()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_read_of_an_invalid_file_is_kept_but_its_hooks() {
        let text = "runtime = \"tmux\"\nidel = 3\n[tmux]\nsokcet = \"x\"\nbinary = \"/opt/tmux\"\n\
                    [defaults]\nmax_restarts = 7\nidle_timeout = 3\n[probe]\ntimeout = \"9s\"\n[tmxu]\nsocket = \"y\"\n\
                    [[hook]]\non = [\"*\"]\ncommand = [\"/bin/a\"]\n";
        toml::from_str::<Settings>(text).expect_err("it is invalid");
        let read = Settings::lenient(text);
        assert_eq!((read.tmux.binary, read.defaults.max_restarts), (Some(PathBuf::from("/opt/tmux")), Some(7)));
        assert_eq!((read.probe.timeout.0, read.defaults.idle_timeout), (Duration::from_secs(9), None));
        assert!(read.hooks.is_empty() && read.tmux.socket == TmuxSettings::default().socket);
        assert_eq!(read.runtime, Some(RuntimeKind::ALL[0].into()));
        let nothing = Settings::lenient("[probe]\ntimeout = \"9s\"\n[tmux\n");
        assert_eq!(nothing.probe.timeout.0, ProbeSettings::default().timeout.0);
    }

    #[test]
    fn a_time_of_nothing_is_a_mistake_and_is_not_used() {
        for (text, key) in [("[probe]\ntimeout = \"0\"\n", "timeout"), ("[tick]\nbudget = \"0s\"\n", "budget")] {
            let settings: Settings = toml::from_str(text).expect("it has the right types");
            let (at, problem, _) = settings.check().expect_err("nothing could be done in time");
            assert!(at.ends_with(&[key.to_owned()]) && problem.contains("zero"), "{at:?} {problem}");
            let read = Settings::lenient(text);
            assert!(!read.probe.timeout.0.is_zero() && !read.tick.budget.0.is_zero(), "{text}");
        }
    }
}
