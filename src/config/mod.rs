//! From what was typed to what it means: `config.toml`, one `peers/NAME.toml` a peer, and a person's own agent profiles.
//!
//! Every file is checked whole before any of it is used; an error names file, line and key, and the nearest key that
//! exists. What was typed keeps its gaps ([`PeerSpec`]); [`Effective`] fills them and remembers where from.

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
pub use error::{ConfigError, Place, nearest};
pub use settings::{Defaults, Hook, Settings, TmuxSettings};
pub use spec::PeerSpec;
pub use values::{PaneSize, RUNTIMES, Size, Span, format_span};

/// The configuration directory.
#[derive(Clone, Debug)]
pub struct ConfigDir {
    root: PathBuf,
}

impl ConfigDir {
    /// Names the directory; reads nothing.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether what stands in it is ours or root's to say: its specs and profiles are commands that are run as us. Three
    /// looks at directories; each file is looked at when it is read.
    ///
    /// # Errors
    /// [`ConfigError::Untrusted`]: nothing of it may be carried out.
    pub fn check(&self) -> Result<(), ConfigError> {
        let [peers, agents] = ["peers", "agents"].map(|dir| self.root.join(dir));
        for dir in [&self.root, &peers, &agents] {
            file::check_directory(dir).map_err(|source| refused("use", dir, source))?;
        }
        Ok(())
    }

    /// `config.toml`; all defaults where there is none.
    ///
    /// # Errors
    /// It is there and cannot be read, or says something that it may not.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        let path = self.root.join("config.toml");
        let Some(text) = read(&path)? else { return Ok(Settings::default()) };
        let settings: Settings = error::parse(&path, &text)?;
        settings.check().map_err(|(keys, problem, hint)| {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            // The words tell the table.
            let place = Place { table: None, ..Place::of_key(&path, &text, &keys) };
            ConfigError::Invalid { place: Box::new(place), problem, hint: Some(hint) }
        })?;
        Ok(settings)
    }

    /// Where a peer's spec is, whether or not it exists.
    pub fn spec_path(&self, name: &PeerName) -> PathBuf {
        self.root.join("peers").join(format!("{name}.toml"))
    }

    /// A peer's spec. `Ok(None)`: no such peer.
    ///
    /// # Errors
    /// As [`ConfigDir::settings`].
    pub fn spec(&self, name: &PeerName) -> Result<Option<PeerSpec>, ConfigError> {
        let path = self.spec_path(name);
        read(&path)?.map(|text| PeerSpec::parse(&path, &text)).transpose()
    }

    /// The text of a peer's spec as it stands. `Ok(None)`: no such peer.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn spec_text(&self, name: &PeerName) -> Result<Option<String>, ConfigError> {
        read(&self.spec_path(name))
    }

    /// The error for the value of a key in a peer's spec that only its reader can tell to be wrong.
    pub fn wrong_in_spec(&self, name: &PeerName, key: &str, problem: String, hint: Option<String>) -> ConfigError {
        let text = self.spec_text(name).ok().flatten().unwrap_or_default();
        let place = Box::new(Place::of_key(&self.spec_path(name), &text, &[key]));
        ConfigError::Invalid { place, problem, hint }
    }

    /// Writes a spec that was checked before; the old one stands until the new one is whole.
    ///
    /// # Errors
    /// The directory or the file cannot be written.
    pub fn write_spec(&self, name: &PeerName, text: &str) -> Result<(), ConfigError> {
        let path = self.spec_path(name);
        let failed = |source| ConfigError::Io { action: "write", path: path.clone(), source };
        // Private whatever the caller's umask: what stands in it is carried out.
        let dir = path.parent().expect("a spec is in peers/");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        // A pid in the name: two `peer add` at once must not write into one temporary file.
        let temporary = path.with_extension(format!("toml.tmp{}", std::process::id()));
        let written = file::create_new(&temporary)
            .and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()))
            .and_then(|()| fs::rename(&temporary, &path));
        written.map_err(|source| {
            // Best effort: the error that matters is the one above.
            let _ = fs::remove_file(&temporary);
            failed(source)
        })
    }

    /// Removes what writers of specs left that were killed; how many. `lives` tells whether there is a process of this number.
    ///
    /// # Errors
    /// The directory is there and cannot be listed.
    pub fn sweep_temporaries(&self, lives: impl Fn(u32) -> bool) -> Result<usize, ConfigError> {
        let dir = self.root.join("peers");
        let spec = |file: &str| file.strip_suffix(".toml").is_some_and(|name| name.parse::<PeerName>().is_ok());
        file::sweep(&dir, spec, lives).map_err(|source| ConfigError::Io { action: "list", path: dir.clone(), source })
    }

    /// Every declared peer, in order of name. Files that are no `NAME.toml` are passed over.
    ///
    /// # Errors
    /// The directory is there and cannot be listed.
    pub fn names(&self) -> Result<Vec<PeerName>, ConfigError> {
        let dir = self.root.join("peers");
        let mut names: Vec<PeerName> = file_stems(&dir)?.iter().filter_map(|stem| stem.parse().ok()).collect();
        names.sort();
        Ok(names)
    }

    /// A person's own profile of this name. `Ok(None)`: there is none.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn profile_text(&self, name: &str) -> Result<Option<(PathBuf, String)>, ConfigError> {
        let path = self.root.join("agents").join(format!("{name}.toml"));
        Ok(read(&path)?.map(|text| (path, text)))
    }

    /// Names of a person's own profiles, in order.
    ///
    /// # Errors
    /// The directory is there and cannot be listed.
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

/// Names of the `*.toml` in a directory, without the ending; none where there is no directory.
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
