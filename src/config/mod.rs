//! The configuration: `config.toml`, one `peers/NAME.toml` per peer, and the user's own agent profiles.
//!
//! Every file is checked as a whole before any of it is used. An error names the file, line and key, and the most
//! similar existing key. A [`PeerSpec`] holds only what the user wrote. [`Effective`] fills in the defaults and
//! remembers the origin of each value.

mod effective;
mod env_file;
mod error;
mod settings;
mod spec;
mod values;

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use peer_adapters::file::{self, Untrusted};

use crate::policy::name::PeerName;

pub use effective::{Effective, Origin, Value};
pub use env_file::{EnvFile, is_reserved, is_variable_name};
pub use error::ConfigError;
use error::Location;
pub use settings::{Hook, Settings, TmuxSettings};
pub use spec::PeerSpec;
pub use values::{PaneSize, Size, Span, format_span};

/// The configuration directory.
#[derive(Clone, Debug)]
pub struct ConfigDir {
    root: PathBuf,
}

impl ConfigDir {
    /// Creates a handle for the directory without reading anything.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Returns the path of the directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Checks that only this user or root can write to the directories, because specs and profiles contain commands
    /// that run as this user. Costs a check of three directories. Each file is checked when it is read.
    ///
    /// # Errors
    /// [`ConfigError::Untrusted`], or [`ConfigError::Io`] if a directory cannot be examined. No command from the
    /// configuration may be run then.
    pub fn check(&self) -> Result<(), ConfigError> {
        let [peers, agents] = ["peers", "agents"].map(|dir| self.root.join(dir));
        for dir in [&self.root, &peers, &agents] {
            file::check_directory(dir).map_err(|source| refused("use", dir, source))?;
        }
        Ok(())
    }

    /// Reads `config.toml`, or returns the defaults if it does not exist.
    ///
    /// # Errors
    /// If the file exists and cannot be read, or is invalid.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        let path = self.root.join("config.toml");
        let Some(text) = read(&path)? else { return Ok(Settings::default()) };
        let settings: Settings = error::parse(&path, &text)?;
        settings.check().map_err(|(keys, problem, hint)| {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            ConfigError::Invalid { place: Box::new(Location::of_key(&path, &text, &keys)), problem, hint: Some(hint) }
        })?;
        Ok(settings)
    }

    /// Reads as much as possible of an unusable `config.toml`. Use it to observe or end what is on record, never to start
    /// anything, and never for the place of a server: a key that is misspelled reads as one that is missing.
    pub(crate) fn lenient_settings(&self) -> Settings {
        read(&self.root.join("config.toml"))
            .ok()
            .flatten()
            .map_or_else(Settings::default, |text| Settings::lenient(&text))
    }

    /// Returns the path of a peer's spec, whether or not it exists.
    pub fn spec_path(&self, name: &PeerName) -> PathBuf {
        self.root.join("peers").join(format!("{name}.toml"))
    }

    /// Reads a peer's spec. Returns `Ok(None)` if there is no such peer.
    ///
    /// # Errors
    /// As [`ConfigDir::settings`].
    pub fn spec(&self, name: &PeerName) -> Result<Option<PeerSpec>, ConfigError> {
        let path = self.spec_path(name);
        read(&path)?.map(|text| PeerSpec::parse(&path, &text)).transpose()
    }

    /// Reads the unparsed text of a peer's spec. Returns `Ok(None)` if there is no such peer.
    ///
    /// # Errors
    /// If the file exists and cannot be read.
    pub fn spec_text(&self, name: &PeerName) -> Result<Option<String>, ConfigError> {
        read(&self.spec_path(name))
    }

    /// Creates the error for a value in a peer's spec that only the code that uses the value can recognize as wrong.
    pub fn invalid_spec_value(&self, name: &PeerName, key: &str, problem: String, hint: Option<String>) -> ConfigError {
        let text = self.spec_text(name).ok().flatten().unwrap_or_default();
        let place = Box::new(Location::of_key(&self.spec_path(name), &text, &[key]));
        ConfigError::Invalid { place, problem, hint }
    }

    /// Writes a spec that was checked before. The old spec remains until the new one is complete.
    ///
    /// # Errors
    /// If the directory or the file cannot be written.
    pub fn write_spec(&self, name: &PeerName, text: &str) -> Result<(), ConfigError> {
        let path = self.spec_path(name);
        let failed = |source| ConfigError::Io { action: "write", path: path.clone(), source };
        // Private whatever the caller's umask is, because specs contain commands that will be run.
        let dir = path.parent().expect("a spec is in peers/");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        file::write(&path, text.as_bytes()).map_err(failed)
    }

    /// Removes temporary files of killed spec writers, and returns how many there were. `lives` reports whether a
    /// process with this pid exists.
    ///
    /// # Errors
    /// If the directory exists and cannot be listed.
    pub fn sweep_temporaries(&self, lives: impl Fn(u32) -> bool) -> Result<usize, ConfigError> {
        let dir = self.root.join("peers");
        let spec = |file: &str| file.strip_suffix(".toml").is_some_and(|name| name.parse::<PeerName>().is_ok());
        file::sweep(&dir, spec, lives).map_err(|source| ConfigError::Io { action: "list", path: dir.clone(), source })
    }

    /// Returns every declared peer, in order of name. Files with other names than `NAME.toml` are skipped.
    ///
    /// # Errors
    /// If the directory exists and cannot be listed.
    pub fn names(&self) -> Result<Vec<PeerName>, ConfigError> {
        let dir = self.root.join("peers");
        let mut names: Vec<PeerName> = file_stems(&dir)?.iter().filter_map(|stem| stem.parse().ok()).collect();
        names.sort();
        Ok(names)
    }

    /// Reads the user's own profile of this name. Returns `Ok(None)` if there is none.
    ///
    /// # Errors
    /// If the file exists and cannot be read.
    pub fn profile_text(&self, name: &str) -> Result<Option<(PathBuf, String)>, ConfigError> {
        let path = self.root.join("agents").join(format!("{name}.toml"));
        Ok(read(&path)?.map(|text| (path, text)))
    }

    /// Returns the names of the user's own profiles, sorted.
    ///
    /// # Errors
    /// If the directory exists and cannot be listed.
    pub fn profile_names(&self) -> Result<Vec<String>, ConfigError> {
        let mut names = file_stems(&self.root.join("agents"))?;
        names.sort();
        Ok(names)
    }
}

fn read(path: &Path) -> Result<Option<String>, ConfigError> {
    match file::read_trusted(path, file::MOST) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(refused("read", path, source)),
        Ok(text) => Ok(Some(text)),
    }
}

fn refused(action: &'static str, path: &Path, source: io::Error) -> ConfigError {
    match Untrusted::of(&source) {
        Some(why) => ConfigError::Untrusted { path: path.to_owned(), why },
        None => ConfigError::Io { action, path: path.to_owned(), source },
    }
}

/// Returns the names of the `*.toml` files in a directory without the suffix, or nothing if there is no such directory.
fn file_stems(dir: &Path) -> Result<Vec<String>, ConfigError> {
    let failed = |source| ConfigError::Io { action: "list", path: dir.to_owned(), source };
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut stems = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        stems.extend(name.to_str().and_then(|name| name.strip_suffix(".toml")).map(str::to_owned));
    }
    Ok(stems)
}
