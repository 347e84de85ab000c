//! The environment that an agent is launched with.
//!
//! It is the waker's own environment, because users expect what their shell has. Variables that belong to the waker's
//! terminal or session are removed (the waker may be an agent itself), and variables that a bare environment (cron,
//! launchd) lacks are added. What the agent's own terminal sets (`TERM`, `TMUX` …) is added in the pane.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use peer_adapters::agent::{GIVEN, Variable, session_in};
use peer_adapters::transcript::SAID;

use crate::config::EnvFile;
use crate::engine::{Engine, Peer, Result};
use crate::policy::ending::Incarnation;

/// Variables that systemd sets for the service it starts (`peer watch`). An agent that inherited them would talk to the
/// service manager in the name of `peer` (`sd_notify(3)`, `systemd.exec(5)`).
const SERVICE_VARIABLES: [&str; 5] =
    ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "INVOCATION_ID", "JOURNAL_STREAM"];

/// Variable names and values.
pub type Environment = Vec<(OsString, OsString)>;

impl Engine {
    /// Returns the complete environment for the agent of this incarnation. This reads all of the user's own profiles,
    /// because the waker may be an agent with any of them.
    ///
    /// # Errors
    /// The `env_file` of the peer's spec cannot be read.
    pub(crate) fn launch_environment(&self, peer: &Peer, incarnation: Incarnation) -> Result<Environment> {
        let theirs = self.session_variables_of_own_profiles();
        let kept = self.kept_variables_of(peer)?;
        let mut env = self.environment(peer, incarnation, &kept);
        env.retain(|(key, _)| {
            let key = key.to_string_lossy();
            let said = peer.spec.env.contains_key(key.as_ref()) || kept.has(&key);
            said || !theirs.iter().any(|theirs| theirs.matches(&key))
        });
        Ok(env)
    }

    /// A profile that cannot be read is skipped; it only affects its own peers.
    fn session_variables_of_own_profiles(&self) -> Vec<Variable> {
        let names = self.config.profile_names().unwrap_or_default();
        let texts = names.iter().filter_map(|name| self.config.profile_text(name).ok().flatten());
        texts.filter_map(|(_, text)| session_in(&text)).flatten().collect()
    }

    /// Returns the environment in which agents locate their own files. An `env_file` that cannot be read prevents a
    /// start, but not an observation, so it is ignored here.
    pub fn agent_environment(&self, peer: &Peer) -> Environment {
        self.environment(peer, Incarnation::default(), &self.kept_variables(&peer.spec).unwrap_or_default())
    }

    /// Order of precedence: the spec, then its `env_file`, then the profile, then the waker's environment.
    fn environment(&self, peer: &Peer, incarnation: Incarnation, kept: &EnvFile) -> Environment {
        let is_set = |key: &str| self.var(key).is_some();
        // What `peer` gave to the agent that is the waker, for its launch.
        let given = self.var(GIVEN).map(|names| names.to_string_lossy().into_owned()).unwrap_or_default();
        let passed =
            |key: &OsStr| !SERVICE_VARIABLES.iter().any(|own| key == *own) && !given.split(' ').any(|name| key == name);
        let mut env: Environment = self
            .env
            .iter()
            .filter(|(key, _)| passed(key) && !peer.profile.removes(&key.to_string_lossy(), is_set))
            .cloned()
            .collect();
        add_missing(&mut env);
        extend_path(&mut env, peer.spec.search_path.as_deref());
        set(&mut env, "PWD", peer.spec.cwd.as_os_str());
        let text = |(key, value)| (String::as_str(key), String::as_str(value));
        let said = peer.profile.environment.set.iter().map(text).chain(kept.iter());
        for (key, value) in said.chain(peer.spec.env.iter().map(text)) {
            set(&mut env, key, OsStr::new(value));
        }
        set(&mut env, "PEER_NAME", OsStr::new(peer.name.as_str()));
        set(&mut env, "PEER_INCARNATION", OsStr::new(&incarnation.to_string()));
        set(&mut env, SAID, peer.files.conversation_path(incarnation).as_os_str());
        set(&mut env, "PEER_STATE_DIR", self.state.root().as_os_str());
        set(&mut env, "PEER_CONFIG_DIR", self.config.root().as_os_str());
        env
    }
}

fn set(env: &mut Environment, key: &str, value: &OsStr) {
    match env.iter_mut().find(|(known, _)| known == key) {
        Some((_, old)) => value.clone_into(old),
        None => env.push((key.into(), value.to_owned())),
    }
}

fn has(env: &Environment, key: &str) -> bool {
    env.iter().any(|(known, value)| known == key && !value.is_empty())
}

/// Adds what cron leaves out and programs rely on: the user's identity, from the user database, and a UTF-8 locale,
/// without which terminal programs draw question marks.
fn add_missing(env: &mut Environment) {
    if ["HOME", "USER", "LOGNAME", "SHELL"].iter().any(|key| !has(env, key))
        && let Ok(Some(user)) = nix::unistd::User::from_uid(nix::unistd::geteuid())
    {
        let known = [
            ("HOME", user.dir.as_os_str()),
            ("USER", OsStr::new(&user.name)),
            ("LOGNAME", OsStr::new(&user.name)),
            ("SHELL", user.shell.as_os_str()),
        ];
        for (key, value) in known {
            if !has(env, key) {
                set(env, key, value);
            }
        }
    }
    if !["LC_ALL", "LC_CTYPE", "LANG"].iter().any(|key| has(env, key)) {
        // macOS has no C.UTF-8.
        set(env, "LANG", OsStr::new(if cfg!(target_os = "macos") { "en_US.UTF-8" } else { "C.UTF-8" }));
    }
}

/// Appends the directories that were on `PATH` when the peer was declared and are not on it now.
fn extend_path(env: &mut Environment, declared: Option<&str>) {
    let current = env.iter().find(|(key, _)| key == "PATH").map(|(_, value)| value.clone()).unwrap_or_default();
    let mut dirs: Vec<OsString> = split(&current);
    for dir in declared.map(OsStr::new).map(split).unwrap_or_default() {
        if !dirs.contains(&dir) {
            dirs.push(dir);
        }
    }
    let joined = dirs.join(OsStr::new(":"));
    if !joined.is_empty() {
        set(env, "PATH", &joined);
    }
}

fn split(path: impl AsRef<OsStr>) -> Vec<OsString> {
    let dirs = path.as_ref().as_bytes().split(|byte| *byte == b':').filter(|dir| !dir.is_empty());
    dirs.map(|dir| OsStr::from_bytes(dir).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().map(|(key, value)| (key.into(), value.into())).collect()
    }

    #[test]
    fn a_bare_path_gets_the_declared_directories_behind_its_own() {
        let mut bare = env(&[("PATH", "/usr/bin:/bin")]);
        extend_path(&mut bare, Some("/home/x/.local/bin:/usr/bin"));
        assert_eq!(bare, env(&[("PATH", "/usr/bin:/bin:/home/x/.local/bin")]));
    }

    #[test]
    fn an_empty_environment_gets_a_home_and_a_utf8_locale() {
        let mut bare = Environment::new();
        add_missing(&mut bare);
        assert!(has(&bare, "HOME") && has(&bare, "USER") && has(&bare, "LANG"), "{bare:?}");
    }

    #[test]
    fn a_locale_that_is_set_stays() {
        let mut set =
            env(&[("LC_ALL", "de_DE.UTF-8"), ("HOME", "/h"), ("USER", "u"), ("LOGNAME", "u"), ("SHELL", "s")]);
        let before = set.clone();
        add_missing(&mut set);
        assert_eq!(set, before);
    }
}
