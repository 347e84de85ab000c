//! Errors that name file, line and key, and the way out.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use peer_adapters::file::Untrusted;
use serde::de::DeserializeOwned;

/// A place in a file a person wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1, where it is known.
    pub line: Option<usize>,
    /// Dotted key, where it is known.
    pub key: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ": {key}")?;
        }
        Ok(())
    }
}

/// What is wrong with a configuration file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read or written.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Others could have written it.
    #[error("cannot trust {}: {why}, and what it says is run as you", .path.display())]
    Untrusted {
        /// Which file or directory.
        path: PathBuf,
        /// Whose it is, or who may write to it.
        why: Untrusted,
    },
    /// Others may read or write what is secret.
    #[error("cannot use the env_file {}: {why}", .path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Who may.
        why: Untrusted,
    },
    /// The file of a peer's variables cannot be read.
    #[error("cannot read the env_file {}: {source}", .path.display())]
    NoEnvFile {
        /// Which file.
        path: PathBuf,
        /// What the kernel said, or what it is.
        source: io::Error,
    },
    /// It says something that it may not.
    #[error("{place}: {problem}")]
    Invalid {
        /// Where.
        place: Place,
        /// What is wrong with it.
        problem: String,
        /// What to write instead, where that is known.
        hint: Option<String>,
    },
}

/// Parses a whole file into a type that refuses unknown keys.
pub(super) fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|error| explain(path, text, &error))
}

fn explain(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let problem = error.message().trim_end().to_owned();
    let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let key = line.and_then(|line| key_on_line(text, line));
    let hint = unknown_and_known(&problem).and_then(|(unknown, known)| {
        nearest(unknown, known.iter().copied()).map(|near| format!("did you mean `{near}`?"))
    });
    ConfigError::Invalid { place: Place { file: path.to_owned(), line, key }, problem, hint }
}

fn key_on_line(text: &str, line: usize) -> Option<String> {
    let (key, _) = text.lines().nth(line - 1)?.split_once('=')?;
    let key = key.trim().trim_matches('"');
    (!key.is_empty()).then(|| key.to_owned())
}

/// The line that sets `key`, for errors found after parsing.
pub(super) fn line_of(text: &str, key: &str) -> Option<usize> {
    let at = text.lines().position(|line| line.split_once('=').is_some_and(|(found, _)| found.trim() == key))?;
    Some(at + 1)
}

/// Takes serde's words apart: "unknown field `x`, expected one of `a`, `b`", and the same for variants.
fn unknown_and_known(message: &str) -> Option<(&str, Vec<&str>)> {
    let quoted = message.strip_prefix("unknown field ").or_else(|| message.strip_prefix("unknown variant "))?;
    let mut names = quoted.split('`').skip(1).step_by(2);
    let unknown = names.next()?;
    Some((unknown, names.collect()))
}

/// The name most like `typed`, where one is alike enough to be meant.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(typed, name), name))
        // 0.75: `idel` finds `idle_timeout`, `x` finds nothing.
        .filter(|(likeness, _)| *likeness >= 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
