//! Environment variables that an agent needs, and those that belong to another agent's session.

use std::collections::{BTreeMap, HashSet};
use std::sync::OnceLock;

use serde::Deserialize;

use super::{BUILTIN, Profile, Variable};
use crate::terminal::variables::belongs_to_terminal;

/// Which environment variables the agent needs, which must not reach it, and which are set for it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Environment {
    /// Variables that lead the agent to its account, its service and its own files. Without one that it had before, it
    /// still starts, but then asks for a login or remembers nothing.
    pub needs: Vec<Variable>,
    /// Variables that it needs only if the variable in the key is set.
    pub needs_with: BTreeMap<String, Vec<Variable>>,
    /// Variables that describe the agent and its session to its child processes. They are kept from every agent, of
    /// whatever profile.
    pub session: Vec<Variable>,
    /// Variables to remove in addition to those that every profile removes ([`Profile::removes`]).
    pub remove: Vec<Variable>,
    /// Variables to set, after the removals and before the peer's own.
    pub set: BTreeMap<String, String>,
}

/// Variables that a user may also set, and that an agent sets for its shell if the second one is present.
///
/// # Source
/// `env` run by Claude Code 2.1.328 (`GIT_EDITOR`), Codex 0.169.0 and Gemini CLI 0.61.0.
const COMPANIONS: &[(&str, &str)] = &[
    ("GH_PAGER", "CODEX_CI"),
    ("GIT_EDITOR", "CLAUDECODE"),
    ("GIT_PAGER", "CODEX_CI"),
    ("GIT_PAGER", "GEMINI_CLI"),
    ("NO_COLOR", "CODEX_CI"),
    ("PAGER", "CODEX_CI"),
    ("PAGER", "GEMINI_CLI"),
];

/// Variables that `peer` sets for one peer or one event, and that are wrong for any other.
const OURS: &[&str] = &[
    "PEER_CONVERSATION_FILE",
    "PEER_EVENT",
    "PEER_EVENT_CAUSE",
    "PEER_EVENT_PEER",
    "PEER_EXECUTABLE",
    "PEER_GIVEN",
    "PEER_INCARNATION",
    "PEER_NAME",
];

/// Returns the session variables of the built-in profiles without parsing the rest of them: a wake parses only one
/// profile.
fn session_variables() -> Vec<Variable> {
    // A test checks that every profile has this form.
    let lists = BUILTIN.iter().filter_map(|(_, text)| text.split_once("\nsession = [")?.1.split_once(']'));
    lists
        .flat_map(|(list, _)| session_in(&format!("environment.session = [{list}]")).expect("a test reads every one"))
        .collect()
}

/// The session variables, prepared for checking whole environments against a list for each of a thousand peers.
struct Sessions {
    names: HashSet<String>,
    beginnings: Vec<Variable>,
}

impl Sessions {
    fn known() -> &'static Self {
        static KNOWN: OnceLock<Sessions> = OnceLock::new();
        KNOWN.get_or_init(|| {
            let (beginnings, names): (Vec<_>, Vec<_>) =
                session_variables().into_iter().partition(|variable| variable.as_str().ends_with('*'));
            let ours = OURS.iter().map(|name| (*name).to_owned());
            Self { names: names.iter().map(|name| name.as_str().to_owned()).chain(ours).collect(), beginnings }
        })
    }

    fn have(&self, name: &str) -> bool {
        self.names.contains(name) || self.beginnings.iter().any(|beginning| beginning.matches(name))
    }
}

/// Returns the session variables in the text of a profile and ignores the rest. `None` if it cannot be parsed.
pub fn session_in(text: &str) -> Option<Vec<Variable>> {
    #[derive(Deserialize)]
    struct Whole {
        #[serde(default)]
        environment: Part,
    }
    #[derive(Default, Deserialize)]
    struct Part {
        #[serde(default)]
        session: Vec<Variable>,
    }
    toml::from_str(text).ok().map(|whole: Whole| whole.environment.session)
}

/// Returns `true` if a variable belongs to the session of a known agent or of a `peer`. `is_set` returns whether
/// another variable is set in the same environment. For terminals see [`crate::terminal::variables`].
pub fn belongs_to_session(name: &str, is_set: impl Fn(&str) -> bool) -> bool {
    Sessions::known().have(name) || COMPANIONS.iter().any(|(variable, with)| *variable == name && is_set(with))
}

impl Profile {
    /// Returns `true` if one of our variables must be kept from the agent; `is_set` returns whether we have another
    /// one.
    pub fn removes(&self, variable: &str, is_set: impl Fn(&str) -> bool) -> bool {
        let named = |list: &[Variable]| list.iter().any(|removed| removed.matches(variable));
        belongs_to_session(variable, &is_set)
            || belongs_to_terminal(variable, &is_set)
            || named(&self.environment.session)
            || named(&self.environment.remove)
    }

    /// Returns `true` if the agent needs a variable; `is_set` returns whether it has another one.
    pub fn needs(&self, variable: &str, is_set: impl Fn(&str) -> bool) -> bool {
        let named = |list: &[Variable]| list.iter().any(|needed| needed.matches(variable));
        named(&self.environment.needs)
            || self.environment.needs_with.iter().any(|(with, list)| named(list) && is_set(with))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_of_the_built_in_profiles_in_short_is_what_they_say() {
        for (name, text) in BUILTIN {
            let found = text.matches("\nsession = [").count();
            assert_eq!(found, 1, "{name}: [environment] has one line that begins with `session = [`");
        }
        let whole = BUILTIN.iter().flat_map(|(name, _)| Profile::builtin(name).expect("built in").environment.session);
        assert_eq!(session_variables(), whole.collect::<Vec<_>>());
        assert!(session_variables().len() > 40);
    }

    #[test]
    fn nothing_that_an_agent_depends_on_is_kept_from_it() {
        for (name, _) in BUILTIN {
            let profile = Profile::builtin(name).expect("built in");
            let environment = &profile.environment;
            for needed in environment.needs.iter().chain(environment.needs_with.values().flatten()) {
                let example = needed.as_str().replace('*', "X");
                assert!(!profile.removes(&example, |_| true), "{name}: {example}");
            }
        }
    }

    #[test]
    fn some_are_essential_where_another_is_set() {
        let claude = Profile::builtin("claude").expect("built in");
        assert!(claude.needs("ANTHROPIC_API_KEY", |_| false) && !claude.needs("HOME", |_| true));
        assert!(!claude.needs("AWS_PROFILE", |_| false));
        assert!(claude.needs("AWS_PROFILE", |name| name == "CLAUDE_CODE_USE_BEDROCK"));
    }

    #[test]
    fn what_an_agent_sets_for_its_shell_stays_there_and_a_persons_own_passes() {
        assert!(belongs_to_session("GIT_EDITOR", |name| name == "CLAUDECODE"));
        assert!(!belongs_to_session("GIT_EDITOR", |_| false) && !belongs_to_session("NO_COLOR", |_| false));
        assert!(belongs_to_session("PEER_EVENT_PEER", |_| false) && !belongs_to_session("PEER_STATE_DIR", |_| true));
    }
}
