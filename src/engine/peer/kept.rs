//! Variables that are kept for a peer, so that a wake from any environment has them. They are in an `env_file` of the
//! user's own, or in the one that `peer add --keep-env` writes. Values go to the agent and to that file, and nowhere
//! else.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use peer_adapters::agent::Profile;

use crate::config::{ConfigError, EnvFile, PeerSpec, is_reserved};
use crate::engine::peer::environment::Environment;
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::event::EventName;
use crate::policy::name::PeerName;
use crate::store::{Event, Locked, SessionRecord};

impl Engine {
    /// Returns the variables in the spec's `env_file`, or none if the spec names no file.
    ///
    /// # Errors
    /// The file cannot be read, other users can read it, or a line of it is malformed.
    pub fn kept_variables(&self, spec: &PeerSpec) -> Result<EnvFile> {
        Ok(spec.env_file.as_deref().map(EnvFile::read).transpose()?.unwrap_or_default())
    }

    /// As [`Engine::kept_variables`], for a peer that is to be started.
    ///
    /// # Errors
    /// [`EngineError::NoEnvFile`] if the file does not exist, and what else is wrong with it.
    pub(crate) fn kept_variables_of(&self, peer: &Peer) -> Result<EnvFile> {
        self.kept_variables(&peer.spec).map_err(|error| match error {
            EngineError::Config(ConfigError::NoEnvFile { path, source })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                let own = path == peer.files.env_file();
                EngineError::NoEnvFile { peer: peer.name.clone(), path, own, source }
            }
            error => error,
        })
    }

    /// Returns the path of the file that `peer` manages for a peer's variables, whether or not the file exists.
    ///
    /// # Errors
    /// Its path is not UTF-8, so no spec can name it.
    pub(crate) fn own_env_file(&self, name: &PeerName) -> Result<String> {
        let path = self.state.peer(name).env_file();
        path.into_os_string().into_string().map_err(|path| EngineError::Declaration {
            what: format!("keep variables of {name} in {}", path.display()),
            problem: "its path is not UTF-8".to_owned(),
            hint: Some("set PEER_STATE_DIR to another directory".to_owned()),
        })
    }

    /// Returns the variables of these names with their values in the caller's environment.
    ///
    /// # Errors
    /// A variable is not set, or cannot be given to an agent. No error contains a value.
    pub(crate) fn values_to_keep(&self, spec: &PeerSpec, profile: &Profile, names: &[String]) -> Result<EnvFile> {
        let mut values = EnvFile::default();
        for name in names {
            let bad = |problem: String, hint: &str| {
                let hint = (!hint.is_empty()).then(|| hint.to_owned());
                Err(EngineError::Declaration { what: format!("keep {name}"), problem, hint })
            };
            let set = format!("export {name}=…, then the same command");
            let value = self.var(name);
            match value.map(|value| value.to_str()) {
                _ if is_reserved(name) || name == "PWD" => return bad("peer sets it itself".to_owned(), ""),
                _ if profile.removes(name, |other| self.var(other).is_some()) => {
                    let problem = "it belongs to a terminal or session, so it is never passed to an agent";
                    return bad(problem.to_owned(), "");
                }
                _ if spec.env.contains_key(name) => {
                    let problem = "the spec's [env] sets it too, which overrides the kept value";
                    return bad(problem.to_owned(), "set it in only one of the two");
                }
                None => return bad("it is not set here, so there is no value to keep".to_owned(), &set),
                Some(None) => return bad("its value is not UTF-8, and the file is".to_owned(), ""),
                Some(Some("")) => return bad("it is empty here".to_owned(), &set),
                Some(Some(value)) => values.set(name, value),
            }
        }
        Ok(values)
    }

    /// Keeps the values of these variables for a declared peer, makes its spec name the file, and returns the spec.
    ///
    /// # Errors
    /// As for [`Engine::add`]; or the spec names an `env_file` of the user's own.
    pub async fn keep(&self, name: &PeerName, names: &[String]) -> Result<PeerSpec> {
        let peer = self.peer(name)?;
        let values = self.values_to_keep(&peer.spec, &peer.profile, names)?;
        let locked = self.lock(name).await?;
        let own = self.own_env_file(name)?;
        let path = self.config.spec_path(name);
        let Some(text) = self.config.spec_text(name)? else { return Err(self.no_such_peer(name)) };
        let spec = PeerSpec::parse(&path, &text)?;
        self.write_kept(&locked, Some(&spec), &values)?;
        let changed = PeerSpec::with_env_file(&path, &text, &own)?;
        let spec = PeerSpec::parse(&path, &changed)?;
        if changed != text {
            self.config.write_spec(name, &changed)?;
        }
        self.log(&Event::new(self.now(), EventName::PeerEdited).peer(name).with("kept", names.to_vec()))?;
        Ok(spec)
    }

    /// Writes values to the file that `peer` manages for this peer, and keeps those that `old` already has there.
    ///
    /// # Errors
    /// `old` names a file of the user's own, which `peer` must not write; or the managed file cannot be read or
    /// written.
    pub(crate) fn write_kept(&self, locked: &Locked, old: Option<&PeerSpec>, values: &EnvFile) -> Result<()> {
        let name = locked.files().name();
        let own = locked.files().env_file();
        let mut kept = match old.and_then(|old| old.env_file.as_deref()) {
            Some(theirs) if theirs != own => {
                return Err(EngineError::Declaration {
                    what: format!("keep variables of {name}"),
                    problem: format!("its spec uses your own env_file, {}", theirs.display()),
                    hint: Some("add them there, one NAME=VALUE per line, or remove env_file from the spec".to_owned()),
                });
            }
            // If the user removed the file, a new one is made.
            Some(_) => match EnvFile::read(&own) {
                Err(ConfigError::NoEnvFile { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                    EnvFile::default()
                }
                read => read?,
            },
            None => EnvFile::default(),
        };
        for (key, value) in values.iter() {
            kept.set(key, value);
        }
        let text = kept.to_text();
        if text.len() as u64 > EnvFile::MAX_BYTES {
            return Err(EngineError::Declaration {
                what: format!("keep variables of {name}"),
                problem: format!(
                    "they have {} bytes together, and more than {} are never read",
                    text.len(),
                    EnvFile::MAX_BYTES
                ),
                hint: None,
            });
        }
        Ok(locked.keep_env(&text)?)
    }

    /// Returns the variables that the peer's agent depends on and that are set here, but would be missing in a wake
    /// from elsewhere, because neither the spec nor its `env_file` has them.
    pub fn not_kept(&self, spec: &PeerSpec) -> Vec<String> {
        let Ok(profile) = self.profile(&spec.agent) else { return Vec::new() };
        let kept = self.kept_variables(spec).unwrap_or_default();
        let mut names = essential(&profile, &self.env);
        names.retain(|name| !spec.env.contains_key(name) && !kept.has(name));
        names
    }

    /// Records which of the variables that its agent depends on are set for this start, and notifies the user of those
    /// that are missing although the last ready incarnation had them.
    pub(crate) fn note_missing(&self, peer: &Peer, record: &mut SessionRecord, env: &Environment) -> Result<()> {
        record.essential_env = essential(&peer.profile, env);
        let had = peer.files.end()?.present().map(|last| last.essential_env).unwrap_or_default();
        record.missing_env = missing(&peer.profile, &had, &record.essential_env);
        if !record.missing_env.is_empty() {
            let (name, names) = (&peer.name, record.missing_env.join(", "));
            let cure = how_to_keep(name, &record.missing_env);
            self.progress.notice(&format!(
                "{name}: it is started without {names}, which its agent depends on and had the last time; {cure}, where that \
                 is set, or an env_file in its spec gives it to every wake"
            ));
        }
        Ok(())
    }

    /// Returns the managed file of a peer's variables, if it exists and the spec does not name it.
    pub fn unused_env_file(&self, name: &PeerName, spec: &PeerSpec) -> Option<PathBuf> {
        let own = self.state.peer(name).env_file();
        (own.is_file() && spec.env_file.as_ref() != Some(&own)).then_some(own)
    }
}

/// Returns the names, sorted, of the set and non-empty variables that an agent of this profile depends on.
pub(crate) fn essential(profile: &Profile, env: &[(OsString, OsString)]) -> Vec<String> {
    let is_set = |name: &str| env.iter().any(|(key, value)| key == OsStr::new(name) && !value.is_empty());
    let set = env.iter().filter(|(_, value)| !value.is_empty()).filter_map(|(key, _)| key.to_str());
    let mut names: Vec<String> = set.filter(|name| profile.needs(name, is_set)).map(str::to_owned).collect();
    names.sort();
    names
}

/// Returns the names in `had` that are not in `has`, except those that an agent of this profile does not depend on (any
/// more).
pub(crate) fn missing(profile: &Profile, had: &[String], has: &[String]) -> Vec<String> {
    let is_set = |name: &str| had.iter().chain(has).any(|known| known == name);
    had.iter().filter(|name| !has.contains(name) && profile.needs(name, is_set)).cloned().collect()
}

/// Returns the command with which the user keeps these variables of a peer.
pub fn how_to_keep(name: &PeerName, variables: &[String]) -> String {
    format!("peer add {name} --keep-env {}", variables.join(","))
}
