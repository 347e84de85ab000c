//! Variables that are kept for a peer, so that a wake from anywhere has them: an `env_file` of a person's own, or the one that
//! `peer add --keep-env` writes. Values go to the agent and to that file, and nowhere else.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use peer_adapters::agent::Profile;

use crate::config::{ConfigError, EnvFile, PeerSpec, is_reserved};
use crate::engine::peer::environment::Environment;
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::name::PeerName;
use crate::store::{Event, Locked, SessionRecord};

impl Engine {
    /// What the `env_file` of a spec says; nothing where it names none.
    ///
    /// # Errors
    /// The file cannot be read, others can read it, or a line of it is none.
    pub fn kept_variables(&self, spec: &PeerSpec) -> Result<EnvFile> {
        Ok(spec.env_file.as_deref().map(EnvFile::read).transpose()?.unwrap_or_default())
    }

    /// The file of our own for a peer's variables, whether or not it is there.
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

    /// The variables of these names, with the values that they have here.
    ///
    /// # Errors
    /// One is not set, or is none that an agent could be given. No error says a value.
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
                    let problem = "it belongs to the terminal or session of whoever has it, and no agent gets it";
                    return bad(problem.to_owned(), "");
                }
                _ if spec.env.contains_key(name) => {
                    let problem = "the spec's [env] has it too, and goes over what is kept";
                    return bad(problem.to_owned(), "say it in one of the two");
                }
                None => return bad("it is not set here, so there is no value to keep".to_owned(), &set),
                Some(None) => return bad("its value is not UTF-8, and the file is".to_owned(), ""),
                Some(Some("")) => return bad("it is empty here".to_owned(), &set),
                Some(Some(value)) => values.set(name, value),
            }
        }
        Ok(values)
    }

    /// Keeps the values of these variables for a peer that is declared, and has its spec name the file. Returns the spec.
    ///
    /// # Errors
    /// As for [`Engine::add`]; its spec names a file of the person's own.
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
        self.log(&Event::new(self.now(), "peer.edited").peer(name).with("kept", names.to_vec()))?;
        Ok(spec)
    }

    /// Writes values to our own file of a peer, beside those that `old` has there.
    ///
    /// # Errors
    /// `old` names a file of the person's own, which is not ours to write; ours cannot be read or written.
    pub(crate) fn write_kept(&self, locked: &Locked, old: Option<&PeerSpec>, values: &EnvFile) -> Result<()> {
        let name = locked.files().name();
        let own = locked.files().env_file();
        let mut kept = match old.and_then(|old| old.env_file.as_deref()) {
            Some(theirs) if theirs != own => {
                return Err(EngineError::Declaration {
                    what: format!("keep variables of {name}"),
                    problem: format!("its spec names an env_file of yours, {}", theirs.display()),
                    hint: Some("add them there, one NAME=VALUE a line, or take env_file out of the spec".to_owned()),
                });
            }
            // One that was removed by hand is made anew.
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
        if text.len() as u64 > EnvFile::MOST {
            return Err(EngineError::Declaration {
                what: format!("keep variables of {name}"),
                problem: format!(
                    "they have {} bytes together, and more than {} are never read",
                    text.len(),
                    EnvFile::MOST
                ),
                hint: None,
            });
        }
        Ok(locked.keep_env(&text)?)
    }

    /// The variables that a peer's agent lives by and that are set here, but would not be for a wake from elsewhere: neither
    /// its spec nor its `env_file` has them.
    pub fn not_kept(&self, spec: &PeerSpec) -> Vec<String> {
        let Ok(profile) = self.profile(&spec.agent) else { return Vec::new() };
        let kept = self.kept_variables(spec).unwrap_or_default();
        let mut names = lived_by(&profile, &self.env);
        names.retain(|name| !spec.env.contains_key(name) && !kept.has(name));
        names
    }

    /// Puts on record which of the variables that its agent lives by it is started with, and says which of them it lacks
    /// that the last one that was ready had.
    pub(crate) fn note_missing(&self, peer: &Peer, record: &mut SessionRecord, env: &Environment) -> Result<()> {
        record.lives_by = lived_by(&peer.profile, env);
        let had = peer.files.end()?.present().map(|last| last.lives_by).unwrap_or_default();
        record.missing_env = missing(&peer.profile, &had, &record.lives_by);
        if !record.missing_env.is_empty() {
            let (name, names) = (&peer.name, record.missing_env.join(", "));
            let cure = how_to_keep(name, &record.missing_env);
            self.progress.notice(&format!(
                "{name}: it is started without {names}, which its agent lives by and had the last time; {cure}, where that \
                 is set, or an env_file in its spec gives it to every wake"
            ));
        }
        Ok(())
    }

    /// Our own file of a peer's variables, where it is there and the spec does not name it.
    pub fn unused_env_file(&self, name: &PeerName, spec: &PeerSpec) -> Option<PathBuf> {
        let own = self.state.peer(name).env_file();
        (own.is_file() && spec.env_file.as_ref() != Some(&own)).then_some(own)
    }
}

/// Names of the variables that an agent of this profile lives by, of those that are set and not empty; in order.
pub(crate) fn lived_by(profile: &Profile, env: &[(OsString, OsString)]) -> Vec<String> {
    let is_set = |name: &str| env.iter().any(|(key, value)| key == OsStr::new(name) && !value.is_empty());
    let set = env.iter().filter(|(_, value)| !value.is_empty()).filter_map(|(key, _)| key.to_str());
    let mut names: Vec<String> = set.filter(|name| profile.needs(name, is_set)).map(str::to_owned).collect();
    names.sort();
    names
}

/// Which of `had` are not among `has`, less those that an agent of this profile does not live by (any more).
pub(crate) fn missing(profile: &Profile, had: &[String], has: &[String]) -> Vec<String> {
    let is_set = |name: &str| had.iter().chain(has).any(|known| known == name);
    had.iter().filter(|name| !has.contains(name) && profile.needs(name, is_set)).cloned().collect()
}

/// How a person keeps these variables of a peer.
pub fn how_to_keep(name: &PeerName, variables: &[String]) -> String {
    let separator = " --keep-env ";
    format!("peer add {name}{separator}{}", variables.join(separator))
}
