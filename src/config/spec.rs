//! `peers/NAME.toml`: one declared peer, as it was typed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use peer_adapters::inherited::{self, Inherited, Limit, LimitName, Umask};
use serde::{Deserialize, Serialize};

use super::error::{self, ConfigError, Place};
use super::values::{PaneSize, Size, Span, check_runtime};
use crate::policy::health::Restart;
use crate::policy::may::is_pattern;
use crate::policy::wake::Lifestyle;

/// A declared peer. What is `None` was not said; see [`super::Effective`] for what it means then.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerSpec {
    /// Name of the agent's profile.
    pub agent: String,
    /// Absolute path of the agent's executable, then the person's own arguments.
    pub command: Vec<String>,
    /// Absolute working directory.
    pub cwd: PathBuf,
    /// `tmux` or `zellij`.
    pub runtime: String,
    /// A tmux socket of its own, by name or absolute path, for isolation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<String>,
    /// Parked after so long without activity; 0 is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<Span>,
    /// What the reaper does after it ended: nothing until the next wake, or a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
    /// What a parked conversation is worth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Lifestyle>,
    /// Typed into each fresh conversation before the first message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_prompt: Option<String>,
    /// Whether a wake without a topic may resume a parked conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume_without_topic: Option<bool>,
    /// A message that another peer's agent sends begins with a line that names it: `[from NAME]`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub show_sender: bool,
    /// Its agent is given `peer mcp` for each launch.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mcp: bool,
    /// To whom its agent may do everything over MCP: names, and patterns with `*`. Without it, it may list all and send to all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub may: Option<Vec<String>>,
    /// Dialogs that may be answered for the person, by id: `trust-folder` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<Vec<String>>,
    /// Who else starts and stops this agent; `peer` then refuses to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_by: Option<String>,
    /// Restarts in a row before it is `failed`; 0 is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_restarts: Option<u32>,
    /// Memory of the whole process tree before it is drained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_memory: Option<Size>,
    /// Longest silence of an agent that promised beats; 0 is no promise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beat_timeout: Option<Span>,
    /// Longest wait for readiness; the profile's when not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_timeout: Option<Span>,
    /// Park it even while somebody is attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reap_attached: Option<bool>,
    /// Whether its agent is given hooks by which it reports what it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_hooks: Option<bool>,
    /// `PATH` as it was when the peer was declared: appended to the waker's, so that a wake from cron finds what the
    /// person's shell finds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search_path: Option<String>,
    /// Columns and rows of a pane that nobody looks at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<PaneSize>,
    /// The agent's file mode mask; the waker's when not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub umask: Option<Umask>,
    /// The agent's nice value, -20 to 19; the waker's when not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nice: Option<i32>,
    /// A file with variables for the agent that do not belong into this one: `NAME=VALUE`, one a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_file: Option<PathBuf>,
    /// The agent's resource limits; the waker's where not set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<LimitName, Limit>,
    /// Variables for the agent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

impl PeerSpec {
    /// Reads and checks the text of a spec.
    ///
    /// # Errors
    /// It is no TOML, has an unknown key or a value out of range; the error names file, line and key.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let spec: Self = error::parse(path, text)?;
        spec.check().map_err(|(keys, problem, hint)| ConfigError::Invalid {
            place: Box::new(Place::of_key(path, text, &keys)),
            problem,
            hint: Some(hint),
        })?;
        Ok(spec)
    }

    /// The text of a spec with another runtime, and everything else as it was typed, comments included.
    ///
    /// # Errors
    /// It is no spec.
    pub fn with_runtime(path: &Path, text: &str, runtime: &str) -> Result<String, ConfigError> {
        /// Where in the text the value stands.
        #[derive(Deserialize)]
        struct Typed {
            runtime: toml::Spanned<String>,
        }
        let typed: Typed = error::parse(path, text)?;
        let mut changed = text.to_owned();
        changed.replace_range(typed.runtime.span(), &toml::Value::from(runtime).to_string());
        Ok(changed)
    }

    /// The text of a spec with another `env_file`, and everything else as it was typed, comments included.
    ///
    /// # Errors
    /// It is no spec.
    pub fn with_env_file(path: &Path, text: &str, env_file: &str) -> Result<String, ConfigError> {
        /// Where in the text the value stands, if it does.
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
            // In front, because its tables come last.
            None => format!("env_file = {value}\n{text}"),
        })
    }

    /// What the types cannot say: the key from its outermost table on, what is wrong with it, and what to write instead.
    fn check(&self) -> Result<(), (Vec<&str>, String, String)> {
        let bad = |key: &'static str, problem: &str, hint: &str| Err((vec![key], problem.to_owned(), hint.to_owned()));
        match self.command.first() {
            None => return bad("command", "it is empty", "give the agent's absolute path, then its arguments"),
            Some(program) if !Path::new(program).is_absolute() => {
                return bad("command", "the first word is no absolute path", "write the whole path of the executable");
            }
            Some(_) => {}
        }
        let nul = "the kernel cannot pass it; remove it";
        if self.command.iter().any(|word| word.contains('\0')) {
            return bad("command", "a word holds a NUL character", nul);
        }
        if !self.cwd.is_absolute() {
            return bad("cwd", "it is no absolute path", "write the whole path of the directory");
        }
        if let Some((problem, cure)) = check_runtime(&self.runtime) {
            return Err((vec!["runtime"], problem, cure));
        }
        if self.env_file.as_ref().is_some_and(|path| !path.is_absolute()) {
            return bad("env_file", "it is no absolute path", "write the whole path of the file");
        }
        if let Some((name, _)) = self.env.iter().find(|(_, value)| value.contains('\0')) {
            return Err((vec!["env", name], "its value holds a NUL character".to_owned(), nul.to_owned()));
        }
        if let Some(name) = self.env.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
            return Err((vec!["env"], format!("{name:?} is no variable's name"), "use a name without '='".to_owned()));
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

    /// What can be read of the text of a spec that is none, over what `known` says: each key whose value can be one. For what
    /// is looked at and ended, never for what is started.
    pub(crate) fn legible(text: &str, known: Self) -> Self {
        let Ok(typed) = text.parse::<toml::Table>() else { return known };
        typed.into_iter().fold(known, |known, (key, value)| {
            let mut with = toml::Table::try_from(&known).expect("a spec is plain data");
            with.insert(key, value);
            with.try_into().unwrap_or(known)
        })
    }

    /// What the agent is to have of these, whoever wakes it.
    pub fn inherited(&self) -> Inherited {
        Inherited { umask: self.umask, nice: self.nice, limits: self.limits.clone() }
    }

    /// The text that [`PeerSpec::parse`] reads as this spec.
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
    fn another_runtime_changes_that_value_and_nothing_else() {
        let text = "# mine\nagent = \"claude\"\nruntime='tmux' # the old one\ncommand = [\"/bin/a\"]\ncwd = \"/\"\n\
                    initial_prompt = \"runtime = tmux\"\n\n[env]\nruntime = \"tmux\"\n";
        let path = Path::new("peers/a.toml");
        let changed = PeerSpec::with_runtime(path, text, "zellij").expect("a spec");
        assert_eq!(changed, text.replacen("'tmux'", "\"zellij\"", 1));
        assert_eq!(PeerSpec::parse(path, &changed).expect("a spec").runtime, "zellij");
        PeerSpec::with_runtime(path, "agent = 1", "zellij").expect_err("no spec");
    }
}
