//! Configuration errors that name the file, line and key, and suggest a fix.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use peer_adapters::file::Untrusted;
use peer_adapters::nearest;
use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

use crate::policy::name::PeerName;

/// A place in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1, if known.
    pub line: Option<usize>,
    /// The key, if known.
    pub key: Option<String>,
    /// The table that contains the key, written as its header; `None` for top-level keys.
    pub table: Option<String>,
}

impl Location {
    /// Creates a place that names only the file.
    pub(super) fn in_file(file: &Path) -> Self {
        Self { file: file.to_owned(), line: None, key: None, table: None }
    }

    /// Returns the peer whose spec the file is, if it is a spec.
    pub fn peer(&self) -> Option<PeerName> {
        let is_spec = self.file.parent()?.file_name()? == "peers" && self.file.extension()? == "toml";
        self.file.file_stem()?.to_str().filter(|_| is_spec)?.parse().ok()
    }

    /// Returns the place of a key for problems found after parsing. `keys` is the path from the outermost table; an
    /// array element is given by its index.
    pub(super) fn of_key(file: &Path, text: &str, keys: &[&str]) -> Self {
        let (table, _) = DeTable::parse_recoverable(text);
        let line = offset_of(table.get_ref(), keys).map(|at| line_at(text, at));
        let (key, around) =
            keys.split_last().map_or((None, &[][..]), |(key, around)| (Some((*key).to_owned()), around));
        let around: Vec<Step> = around.iter().map(|key| Step::of_text(key)).collect();
        Self { file: file.to_owned(), line, key, table: header(&around) }
    }
}

impl fmt::Display for Location {
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
    /// The file cannot be read or written.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// The operation.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The error from the kernel.
        source: io::Error,
    },
    /// Another user could have written the file.
    #[error("cannot trust {}: {why}, and its content is run as you", .path.display())]
    Untrusted {
        /// The file or directory.
        path: PathBuf,
        /// Who owns it, or who may write to it.
        why: Untrusted,
    },
    /// Another user may read or write a secret file.
    #[error("cannot use the env_file {}: {why}", .path.display())]
    Exposed {
        /// The path of the file.
        path: PathBuf,
        /// Who may read or write it.
        why: Untrusted,
    },
    /// The `env_file` of a peer cannot be read.
    #[error("cannot read the env_file {}: {source}", .path.display())]
    NoEnvFile {
        /// The path of the file.
        path: PathBuf,
        /// The error from the kernel, or what kind of file it is.
        source: io::Error,
    },
    /// The content is invalid.
    #[error("{place}: {problem}{}", inside(.place))]
    Invalid {
        /// The place of the problem.
        place: Box<Location>,
        /// What is wrong.
        problem: String,
        /// What to write instead, if known.
        hint: Option<String>,
    },
}

impl ConfigError {
    /// Whether the file itself is what is wrong: its content, or that it cannot be read. Another user cannot have written
    /// it, so what does not depend on it may go on.
    pub(crate) const fn is_mistake(&self) -> bool {
        matches!(self, Self::Invalid { .. } | Self::Io { .. })
    }

    /// Returns the same error once more, for each caller that needs what could not be read.
    pub(crate) fn again(&self) -> Self {
        let same = |source: &io::Error| io::Error::new(source.kind(), source.to_string());
        match self {
            Self::Io { action, path, source } => Self::Io { action, path: path.clone(), source: same(source) },
            Self::Untrusted { path, why } => Self::Untrusted { path: path.clone(), why: *why },
            Self::Exposed { path, why } => Self::Exposed { path: path.clone(), why: *why },
            Self::NoEnvFile { path, source } => Self::NoEnvFile { path: path.clone(), source: same(source) },
            Self::Invalid { place, problem, hint } => {
                Self::Invalid { place: place.clone(), problem: problem.clone(), hint: hint.clone() }
            }
        }
    }
}

fn inside(place: &Location) -> String {
    place.table.as_ref().map(|table| format!(" (inside {table})")).unwrap_or_default()
}

/// Parses a whole file into a type that rejects unknown keys.
pub(super) fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|error| explain(path, text, &error))
}

fn explain(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let problem = error.message().trim_end().to_owned();
    let mut place = Location::in_file(path);
    if let Some(at) = error.span().map(|span| span.start.min(text.len())) {
        let (table, _) = DeTable::parse_recoverable(text);
        let mut steps = steps_to(table.get_ref(), at).unwrap_or_default();
        // A missing key has no place, but its table has one.
        let missing = problem.starts_with("missing field");
        if !missing && matches!(steps.last(), Some(Step::Key(_))) {
            place.key = steps.pop().map(|step| step.to_string());
        }
        place.line = (!missing || !steps.is_empty()).then(|| line_at(text, at));
        place.table = header(&steps);
    }
    let known = unknown_and_known(&problem);
    let near = known.as_ref().and_then(|(unknown, known)| {
        nearest(unknown, known.iter().copied()).map(|near| format!("did you mean `{near}`?"))
    });
    let is_key = problem.starts_with("unknown field");
    let below = |table: &String| format!("keys below {table} belong to it: top-level keys go above the first [table]");
    let hint = near.or_else(|| place.table.as_ref().filter(|_| is_key).map(below));
    // More than a person reads; what is meant is near, or is in the manual.
    let (problem, hint) = match known {
        Some((unknown, known)) if is_key && known.len() > LISTED => {
            let pages = || "man 5 peer-files lists the keys".to_owned();
            (format!("unknown field `{unknown}`"), Some(hint.unwrap_or_else(pages)))
        }
        _ => (problem, hint),
    };
    ConfigError::Invalid { place: Box::new(place), problem, hint }
}

/// As many keys as an error lists.
const LISTED: usize = 8;

/// One step of the path from the whole file to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    Element(usize),
}

impl Step {
    fn of_text(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Key(text.to_owned()), Self::Element)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => f.write_str(key),
            Self::Element(number) => write!(f, "{number}"),
        }
    }
}

/// Returns the path to the value at this byte offset, innermost step last.
fn steps_to(table: &DeTable<'_>, at: usize) -> Option<Vec<Step>> {
    table.iter().find_map(|(key, value)| {
        let key_here = key.span().start <= at && at < key.span().end;
        let below = if key_here { Some(Vec::new()) } else { steps_in(value.get_ref(), value.span(), at) };
        below.map(|below| prepended(Step::Key(key.get_ref().to_string()), below))
    })
}

fn steps_in(value: &DeValue<'_>, span: std::ops::Range<usize>, at: usize) -> Option<Vec<Step>> {
    let inside = match value {
        DeValue::Table(table) => steps_to(table, at),
        DeValue::Array(array) => array.iter().enumerate().find_map(|(number, element)| {
            let below = steps_in(element.get_ref(), element.span(), at)?;
            Some(prepended(Step::Element(number), below))
        }),
        _ => None,
    };
    inside.or_else(|| span.contains(&at).then(Vec::new))
}

fn prepended(first: Step, mut rest: Vec<Step>) -> Vec<Step> {
    rest.insert(0, first);
    rest
}

/// Returns the byte offset of a key, or of the array key for an element without a key.
fn offset_of(table: &DeTable<'_>, keys: &[&str]) -> Option<usize> {
    let (first, rest) = keys.split_first()?;
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == first)?;
    match (rest, value.get_ref()) {
        ([], _) => Some(key.span().start),
        (rest, DeValue::Table(table)) => offset_of(table, rest),
        ([number, rest @ ..], DeValue::Array(array)) => match array.get(number.parse::<usize>().ok()?)?.get_ref() {
            DeValue::Table(table) => offset_of(table, rest),
            _ => Some(key.span().start),
        },
        _ => None,
    }
}

fn line_at(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Formats the header of a table: `[env]`, or `[[hook]]` for an element of an array. `None` for the whole file.
fn header(steps: &[Step]) -> Option<String> {
    let keys: Vec<String> = steps.iter().filter(|step| matches!(step, Step::Key(_))).map(ToString::to_string).collect();
    let keys = Some(keys.join(".")).filter(|keys| !keys.is_empty())?;
    Some(if matches!(steps.last(), Some(Step::Element(_))) { format!("[[{keys}]]") } else { format!("[{keys}]") })
}

/// Extracts the names from serde's message: "unknown field `x`, expected one of `a`, `b`", and the same for variants.
fn unknown_and_known(message: &str) -> Option<(&str, Vec<&str>)> {
    let quoted = message.strip_prefix("unknown field ").or_else(|| message.strip_prefix("unknown variant "))?;
    let mut names = quoted.split('`').skip(1).step_by(2);
    let unknown = names.next()?;
    Some((unknown, names.collect()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only the errors are looked at")]
    struct File {
        name: Option<String>,
        #[serde(default)]
        env: BTreeMap<String, String>,
        #[serde(default)]
        hook: Vec<Hook>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only the errors are looked at")]
    struct Hook {
        command: Vec<String>,
    }

    #[test]
    fn an_error_names_line_key_and_the_table_that_the_key_stands_in() {
        for (text, begins, ends) in [
            ("nam = 1", "f.toml:1: nam: unknown field", ""),
            ("name = 1", "f.toml:1: name: invalid type: integer `1`", ""),
            ("name = \"x\"\n[env]\nA = \"b\"\nname = 1\n", "f.toml:4: name: invalid type", " (inside [env])"),
            ("env = { A = \"b\", name = 1 }\n", "f.toml:1: name: invalid type", " (inside [env])"),
            ("[[hook]]\ncommand = []\n[[hook]]\ncommand = 1\n", "f.toml:4: command: ", " (inside [[hook]])"),
            ("[[hook]]\ncommand = []\n[[hook]]\n", "f.toml:3: missing field `command`", " (inside [[hook]])"),
            ("[env]\nA = \"b\nname = 1\n", "f.toml:2: ", ""),
            ("\n\nname = \n", "f.toml:3: ", ""),
            ("[nev]\nA = 1\n", "f.toml:1: nev: unknown field", ""),
        ] {
            let error = parse::<File>(Path::new("f.toml"), text).expect_err(text).to_string();
            assert!(error.starts_with(begins) && error.ends_with(ends), "{text:?}: {error}");
        }
    }

    #[test]
    fn only_a_key_that_is_unknown_belongs_elsewhere() {
        let hint = |text: &str| match parse::<File>(Path::new("f.toml"), text) {
            Err(ConfigError::Invalid { hint, .. }) => hint,
            other => panic!("{text:?}: {other:?}"),
        };
        assert_eq!(hint("[env]\nA = 1\n"), None);
        let below = "keys below [[hook]] belong to it: top-level keys go above the first [table]";
        assert_eq!(hint("[[hook]]\ncommand = []\nxyz = 1\n").as_deref(), Some(below));
    }

    #[test]
    fn a_key_is_found_in_its_own_table() {
        let text = "[env]\nname = \"x\"\n[[hook]]\ncommand = []\n[[hook]]\n\ncommand = []\n";
        for (keys, says, table) in [
            (&["env", "name"][..], "f:2: name", Some("[env]")),
            (&["hook", "1", "command"], "f:7: command", Some("[[hook]]")),
            (&["name"], "f: name", None),
        ] {
            let place = Location::of_key(Path::new("f"), text, keys);
            assert_eq!((place.to_string().as_str(), place.table.as_deref()), (says, table));
        }
    }
}
