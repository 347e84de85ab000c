//! The spec of a declared peer (`peers/NAME.toml`), as the user wrote it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use peer_adapters::inherited::{self, Inherited, Limit, LimitName, Umask};
use peer_adapters::runtime::{RuntimeKind, RuntimeName};
use serde::{Deserialize, Serialize};

use super::error::{self, ConfigError, Location};
use super::values::{PaneSize, Size, Span, check_runtime};
use crate::policy::health::Restart;
use crate::policy::may::is_pattern;
use crate::policy::stall::{OnLimit, OnStall};
use crate::policy::wake::ContextPolicy;

/// A declared peer. A field is `None` if the spec does not set it; see [`super::Effective`] for its effective value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerSpec {
    /// The name of the agent's profile.
    pub agent: String,
    /// The absolute path of the agent's executable, then the user's own arguments.
    pub command: Vec<String>,
    /// The absolute path of the working directory.
    pub cwd: PathBuf,
    /// `tmux` or `zellij`.
    pub runtime: RuntimeName,
    /// A separate tmux socket, by name or absolute path, for isolation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<String>,
    /// How long the peer may be idle before it is parked; 0 means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<Span>,
    /// After which ends the reaper restarts the peer. Otherwise it stays down until the next wake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
    /// Whether a parked conversation is worth keeping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<ContextPolicy>,
    /// Typed into each fresh conversation before the first message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_prompt: Option<String>,
    /// Whether a wake without a topic may resume a parked conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume_without_topic: Option<bool>,
    /// Whether a message from another peer's agent begins with a line that names that peer: `[from NAME]`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub show_sender: bool,
    /// Whether the agent gets `peer mcp` for each launch.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mcp: bool,
    /// The peers for which its agent may use every tool over MCP: names, and patterns with `*`. Without this key it may list
    /// and send to all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may: Option<Vec<String>>,
    /// The dialogs that `peer` may answer for the user, by id: `trust-folder` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<Vec<String>>,
    /// What else starts and stops this agent. If set, `peer` refuses to do so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_by: Option<String>,
    /// Deaths in a row before the peer is `failed`; 0 means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_restarts: Option<u32>,
    /// The memory limit of the agent's whole process tree. An agent above it is drained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_memory: Option<Size>,
    /// The longest silence of an agent that promised heartbeats; 0 means that it promised none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beat_timeout: Option<Span>,
    /// The longest wait for readiness. If unset, the profile's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_timeout: Option<Span>,
    /// How long nothing may happen in a turn before it is reported as stalled; 0 is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stall_timeout: Option<Span>,
    /// What is done about a turn that is stalled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_stall: Option<OnStall>,
    /// What is done once a usage limit is over that has stopped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_limit: Option<OnLimit>,
    /// What it is sent then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_prompt: Option<String>,
    /// Whether the peer is parked even while a user is attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reap_attached: Option<bool>,
    /// Whether the agent gets hooks by which it reports what it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_hooks: Option<bool>,
    /// `PATH` at the time of the declaration. It is appended to the waker's, so that a wake from cron finds what the
    /// user's shell finds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search_path: Option<String>,
    /// Columns and rows of a pane to which no user is attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<PaneSize>,
    /// The agent's file mode mask. If unset, the waker's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub umask: Option<Umask>,
    /// The agent's nice value, -20 to 19. If unset, the waker's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nice: Option<i32>,
    /// A file with further variables for the agent that do not belong in the spec, as one `NAME=VALUE` per line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_file: Option<PathBuf>,
    /// The agent's resource limits. Unset limits are the waker's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<LimitName, Limit>,
    /// Variables for the agent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

impl PeerSpec {
    /// Whether both start the same agent in the same way. What else differs applies to an agent that runs already.
    pub fn starts_alike(&self, other: &Self) -> bool {
        let what = |spec: &Self| (spec.agent.clone(), spec.command.clone(), spec.cwd.clone(), spec.runtime.clone());
        let how = |spec: &Self| (spec.socket.clone(), spec.mcp, spec.agent_hooks, spec.search_path.clone());
        let with = |spec: &Self| (spec.size, spec.umask, spec.nice, spec.limits.clone());
        what(self) == what(other)
            && how(self) == how(other)
            && with(self) == with(other)
            && (&self.env, &self.env_file) == (&other.env, &other.env_file)
    }

    /// Parses and checks the text of a spec.
    ///
    /// # Errors
    /// If it is not TOML, has an unknown key or a value out of range. The error names the file, line and key.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let spec: Self = error::parse(path, text)?;
        spec.check().map_err(|(keys, problem, hint)| ConfigError::Invalid {
            place: Box::new(Location::of_key(path, text, &keys)),
            problem,
            hint: Some(hint),
        })?;
        Ok(spec)
    }

    /// Returns the text of a spec with another runtime. Everything else stays as the user wrote it, including comments.
    ///
    /// # Errors
    /// If the text is not a spec.
    pub fn with_runtime(path: &Path, text: &str, runtime: RuntimeKind) -> Result<String, ConfigError> {
        /// The position of the value in the text.
        #[derive(Deserialize)]
        struct Typed {
            runtime: toml::Spanned<String>,
        }
        let typed: Typed = error::parse(path, text)?;
        let mut changed = text.to_owned();
        changed.replace_range(typed.runtime.span(), &toml::Value::from(runtime.as_str()).to_string());
        Ok(changed)
    }

    /// Returns the text of a spec with another `env_file`. Everything else stays as the user wrote it, including
    /// comments.
    ///
    /// # Errors
    /// If the text is not a spec.
    pub fn with_env_file(path: &Path, text: &str, env_file: &str) -> Result<String, ConfigError> {
        /// The position of the value in the text, if it is set.
        #[derive(Deserialize)]
        struct Typed {
            env_file: Option<toml::Spanned<String>>,
        }
        let typed: Typed = error::parse(path, text)?;
        let value = toml::Value::from(env_file).to_string();
        Ok(match typed.env_file {
            Some(typed) => {
                let mut changed = text.to_owned();
                changed.replace_range(typed.span(), &value);
                changed
            }
            // At the beginning, because tables follow the top-level keys.
            None => format!("env_file = {value}\n{text}"),
        })
    }

    /// Checks what the types cannot express. The error is the path of the key from its outermost table, the problem,
    /// and what to write instead.
    fn check(&self) -> Result<(), (Vec<&str>, String, String)> {
        let bad = |key: &'static str, problem: &str, hint: &str| Err((vec![key], problem.to_owned(), hint.to_owned()));
        match self.command.first() {
            None => return bad("command", "it is empty", "give the agent's absolute path, then its arguments"),
            Some(program) if !Path::new(program).is_absolute() => {
                return bad(
                    "command",
                    "the first word is not an absolute path",
                    "write the whole path of the executable",
                );
            }
            Some(_) => {}
        }
        let nul = "the kernel cannot pass it; remove it";
        if self.command.iter().any(|word| word.contains('\0')) {
            return bad("command", "a word holds a NUL character", nul);
        }
        if !self.cwd.is_absolute() {
            return bad("cwd", "it is not an absolute path", "write the whole path of the directory");
        }
        if let Some((problem, cure)) = check_runtime(&self.runtime) {
            return Err((vec!["runtime"], problem, cure));
        }
        if self.env_file.as_ref().is_some_and(|path| !path.is_absolute()) {
            return bad("env_file", "it is not an absolute path", "write the whole path of the file");
        }
        if let Some((name, _)) = self.env.iter().find(|(_, value)| value.contains('\0')) {
            return Err((vec!["env", name], "its value holds a NUL character".to_owned(), nul.to_owned()));
        }
        if let Some(name) = self.env.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
            return Err((
                vec!["env"],
                format!("{name:?} is not a variable's name"),
                "use a name without '='".to_owned(),
            ));
        }
        if let Some(wrong) = self.may.iter().flatten().find(|pattern| !is_pattern(pattern)) {
            let problem = format!("{wrong:?} is neither a peer's name nor a pattern for some");
            return Err((vec!["may"], problem, "write names and patterns like \"web-*\"".to_owned()));
        }
        if let Some(Err(problem)) = self.nice.map(inherited::check_nice) {
            return Err((vec!["nice"], problem, "0 is what a login has".to_owned()));
        }
        Ok(())
    }

    /// Parses as much as possible of an invalid spec: every key with a valid value replaces that in `known`. Use it to
    /// observe or end an agent, never to start one.
    pub(crate) fn lenient(text: &str, known: Self) -> Self {
        let Ok(typed) = text.parse::<toml::Table>() else { return known };
        typed.into_iter().fold(known, |known, (key, value)| {
            let mut with = toml::Table::try_from(&known).expect("a spec is plain data");
            with.insert(key, value);
            with.try_into().unwrap_or(known)
        })
    }

    /// Returns the process settings that the agent gets from its spec, whichever process wakes it.
    pub fn inherited(&self) -> Inherited {
        Inherited { umask: self.umask, nice: self.nice, limits: self.limits.clone() }
    }

    /// Returns text that [`PeerSpec::parse`] parses to this spec.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a spec has string keys, and its table comes last")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_env_file_is_named_where_it_was_or_in_front() {
        let path = Path::new("peers/a.toml");
        let bare = "# mine\nagent = \"command\"\ncommand = [\"/bin/a\"]\ncwd = \"/\"\nruntime = \"tmux\"\n[env]\nenv_file = \"x\"\n";
        let named = PeerSpec::with_env_file(path, bare, "/s/a.env").expect("a spec");
        assert_eq!(named, format!("env_file = \"/s/a.env\"\n{bare}"));
        let again = PeerSpec::with_env_file(path, &named, "/s/b.env").expect("a spec");
        assert_eq!(again, format!("env_file = \"/s/b.env\"\n{bare}"));
        let read = PeerSpec::parse(path, &again).expect("a spec");
        assert_eq!(read.env_file.as_deref(), Some(Path::new("/s/b.env")));
        PeerSpec::parse(path, &format!("env_file = \"b.env\"\n{bare}")).expect_err("no absolute path");
    }

    #[test]
    fn a_memory_limit_of_zero_is_none_whatever_the_default_is() {
        let limit = |spec: &str, defaults: &str| {
            let spec = format!("{spec}agent = \"command\"\ncommand = [\"/bin/a\"]\ncwd = \"/\"\nruntime = \"tmux\"\n");
            let spec = PeerSpec::parse(Path::new("peers/a.toml"), &spec).expect("a spec");
            let settings = toml::from_str(&format!("[defaults]\n{defaults}")).expect("settings");
            super::super::Effective::of(&spec, &settings).max_memory_kib.value
        };
        assert_eq!(limit("", "max_memory = \"2K\""), Some(2));
        for none in ["0", "0K", "0GiB"] {
            assert_eq!(limit(&format!("max_memory = {none:?}\n"), "max_memory = \"2K\""), None);
            assert_eq!(limit("", &format!("max_memory = {none:?}")), None);
        }
    }

    #[test]
    fn another_runtime_changes_that_value_and_nothing_else() {
        let text = "# mine\nagent = \"claude\"\nruntime='tmux' # the old one\ncommand = [\"/bin/a\"]\ncwd = \"/\"\n\
                    initial_prompt = \"runtime = tmux\"\n\n[env]\nruntime = \"tmux\"\n";
        let path = Path::new("peers/a.toml");
        let changed = PeerSpec::with_runtime(path, text, RuntimeKind::Zellij).expect("a spec");
        assert_eq!(changed, text.replacen("'tmux'", "\"zellij\"", 1));
        assert_eq!(PeerSpec::parse(path, &changed).expect("a spec").runtime, RuntimeKind::Zellij.into());
        PeerSpec::with_runtime(path, "agent = 1", RuntimeKind::Zellij).expect_err("no spec");
    }
}
