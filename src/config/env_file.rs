//! The `env_file` of a peer: environment variables that do not belong in a spec, which may be in a repository. It has
//! one `NAME=VALUE` per line, and other users cannot read it.
//!
//! A line means the same as in a shell, or is refused; but `\n`, `\r` and `\t` in double quotes, of which a shell keeps both
//! characters, are a line break, a carriage return and a tab, as in other readers of such files. Nothing is expanded,
//! and text that a shell would expand must be quoted. Error messages contain no value or part of a value.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::Path;

use peer_adapters::file::{self, Untrusted};

use super::error::{ConfigError, Location};

/// Environment variables. The values are never displayed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct EnvFile(BTreeMap<String, String>);

impl fmt::Debug for EnvFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl EnvFile {
    /// The maximum size of the file, in bytes. A single variable may be this long, including its name (execve(2),
    /// `MAX_ARG_STRLEN`).
    pub const MAX_BYTES: u64 = 128 << 10;

    /// Reads a file that must belong to this user or root, and that its group and others cannot read.
    ///
    /// # Errors
    /// If the file does not exist, is not a regular file, is too long or is not UTF-8; if others can read it; or if a
    /// line is invalid.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = file::read_private(path, Self::MAX_BYTES).map_err(|source| match Untrusted::of(&source) {
            Some(why @ Untrusted::Owner(_)) => ConfigError::Untrusted { path: path.to_owned(), why },
            Some(why) => ConfigError::Exposed { path: path.to_owned(), why },
            None => ConfigError::NoEnvFile { path: path.to_owned(), source },
        })?;
        Self::parse(path, &text)
    }

    /// Parses the text of an `env_file`.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with the line.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let mut lines = BTreeMap::new();
        let mut variables = BTreeMap::new();
        for (number, line) in (1..).zip(text.split('\n')) {
            let bad = |key: Option<&str>, problem: &str| {
                let key = key.map(str::to_owned);
                let place = Location { line: Some(number), key, ..Location::in_file(path) };
                let hint = Some(
                    "NAME=VALUE; in single quotes what is more than letters, digits and _-./:,@%+=^ (man peer-files)"
                        .to_owned(),
                );
                Err(ConfigError::Invalid { place: Box::new(place), problem: problem.to_owned(), hint })
            };
            let line = line.strip_suffix('\r').unwrap_or(line).trim_matches(BLANK);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((name, written)) = line.split_once('=') else { return bad(None, "no NAME=VALUE") };
            let name = name.strip_prefix("export").filter(|rest| rest.starts_with(BLANK)).unwrap_or(name);
            let name = name.trim_start_matches(BLANK);
            if !is_variable_name(name) {
                return bad(None, "no variable's name before the =: use letters, digits and _, and no digit first");
            }
            if is_reserved(name) {
                return bad(Some(name), "peer sets its own variables (PEER_…) itself");
            }
            if let Some(first) = lines.insert(name.to_owned(), number) {
                return bad(Some(name), &format!("it stands in line {first} already"));
            }
            match value(written) {
                Ok(value) => variables.insert(name.to_owned(), value),
                Err(problem) => return bad(Some(name), problem),
            };
        }
        Ok(Self(variables))
    }

    /// Sets a variable, replacing one of the same name.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// Returns the names of the variables, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether there is a variable of this name.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Returns names and values, for the agent's environment.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns text that [`EnvFile::parse`] parses to the same variables.
    pub fn to_text(&self) -> String {
        let mut text = String::from("# Kept by `peer add --keep-env`. NAME=VALUE, one a line: peer-files(5).\n");
        for (name, value) in &self.0 {
            let _ = writeln!(text, "{name}={}", quoted(value));
        }
        text
    }
}

const BLANK: [char; 2] = [' ', '\t'];

/// Whether a shell could set a variable of this name (POSIX, 8.1, and lower case).
pub fn is_variable_name(name: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(word) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

/// Whether only `peer` itself may set this variable.
pub fn is_reserved(name: &str) -> bool {
    name.starts_with("PEER_")
}

/// Whether a character stands for itself anywhere in a shell word.
fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || "_-./:,@%+=^".contains(c)
}

fn value(written: &str) -> Result<String, &'static str> {
    if written.contains('\0') {
        return Err("the kernel cannot pass a NUL character");
    }
    let (value, rest) = if let Some(rest) = written.strip_prefix('\'') {
        let (value, rest) = rest.split_once('\'').ok_or(UNCLOSED_QUOTE)?;
        (value.to_owned(), rest)
    } else if let Some(rest) = written.strip_prefix('"') {
        double_quoted(rest)?
    } else {
        let (value, rest) = written.split_at(written.find(BLANK).unwrap_or(written.len()));
        if !value.chars().all(is_plain) {
            return Err("a character of its value means more to a shell than itself: put the value in single quotes");
        }
        (value.to_owned(), rest)
    };
    let after = rest.trim_start_matches(BLANK);
    match after.is_empty() || (after.starts_with('#') && after.len() < rest.len()) {
        true => Ok(value),
        false if written.starts_with(['\'', '"']) => Err("something stands behind the closing quote"),
        false => Err("its value holds a space: put the value in quotes"),
    }
}

const UNCLOSED_QUOTE: &str = "its quote is not closed on this line; \\n in double quotes is a line break";

/// Returns the text up to the closing quote, and the text after it.
fn double_quoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '$' | '`' => return Err("nothing is expanded: write \\$ and \\`, or use single quotes"),
            '\\' => value.push(match chars.next() {
                Some((_, c @ ('\\' | '"' | '$' | '`'))) => c,
                Some((_, 'n')) => '\n',
                Some((_, 'r')) => '\r',
                Some((_, 't')) => '\t',
                _ => return Err("in double quotes \\ stands before \\ \" $ ` n r and t alone"),
            }),
            c => value.push(c),
        }
    }
    Err(UNCLOSED_QUOTE)
}

fn quoted(value: &str) -> String {
    if !value.is_empty() && value.chars().all(is_plain) {
        return value.to_owned();
    }
    // A CR at the end of a line would be read as part of the line ending.
    if !value.contains(['\'', '\n', '\r']) {
        return format!("'{value}'");
    }
    let mut text = String::from("\"");
    for c in value.chars() {
        match c {
            '\\' | '"' | '$' | '`' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            c => text.push(c),
        }
    }
    text + "\""
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<EnvFile, String> {
        EnvFile::parse(Path::new("/e"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn each_way_to_write_a_value_is_read_as_a_shell_reads_it() {
        let text = "# mine\r\n\nA=plain:/x@y%2B+=\n  B='a $b \"c\" \\'\t# why\nexport C=\"a \\\"b\\\" \\$c \\\\ \\n\"\nD=\nE=x # no\nF=''\r\n\
                    export=e\n";
        let read: Vec<_> = parse(text).expect("right").0.into_iter().collect();
        let expected = [
            ("A", "plain:/x@y%2B+="),
            ("B", "a $b \"c\" \\"),
            ("C", "a \"b\" $c \\ \n"),
            ("D", ""),
            ("E", "x"),
            ("F", ""),
            ("export", "e"),
        ];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn what_could_be_meant_otherwise_is_refused_with_its_line_and_without_its_value() {
        for (line, says) in [
            ("sk-secret", "/e:2: no NAME=VALUE"),
            ("sk-secret=", "/e:2: no variable's name before the ="),
            ("1A=secret", "no variable's name"),
            ("A =secret", "no variable's name"),
            ("A= secret", "/e:2: A: its value holds a space"),
            ("A=b secret", "/e:2: A: its value holds a space"),
            ("A=$secret", "/e:2: A: a character of its value means more"),
            ("A=~/secret", "means more"),
            ("A=se\"cret\"", "means more"),
            ("A=\"$secret\"", "/e:2: A: nothing is expanded"),
            ("A=\"`secret`\"", "nothing is expanded"),
            ("A=\"secret", "/e:2: A: its quote is not closed on this line"),
            ("A='secret", "its quote is not closed"),
            ("A=\"se\\cret\"", "in double quotes \\ stands before"),
            ("A='secret'secret", "/e:2: A: something stands behind the closing quote"),
            ("A='secret'#secret", "behind the closing quote"),
            ("A=secret\0", "NUL"),
            ("PEER_NAME=secret", "/e:2: PEER_NAME: peer sets its own"),
            ("FIRST=secret", "/e:2: FIRST: it stands in line 1 already"),
        ] {
            let error = parse(&format!("FIRST=x\n{line}\n")).expect_err(line);
            assert!(error.contains(says) && !error.contains("cret"), "{line}: {error}");
        }
    }

    #[test]
    fn a_name_is_one_that_a_shell_could_set() {
        for name in ["A", "_", "http_proxy", "A1"] {
            assert!(is_variable_name(name), "{name}");
        }
        for name in ["", "1A", "A-B", "A=B", "A B", "Ä", "A\n", "*"] {
            assert!(!is_variable_name(name), "{name:?}");
        }
    }

    #[test]
    fn values_are_not_shown_by_whoever_prints_everything() {
        let read = parse("A=secret").expect("right");
        assert_eq!(format!("{read:?}"), "{\"A\"}");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(values in prop::collection::vec("[^\0]{0,40}", 1..4)) {
            let mut file = EnvFile::default();
            for (number, value) in values.iter().enumerate() {
                file.set(&format!("V{number}"), value);
            }
            prop_assert_eq!(parse(&file.to_text()).expect("ours"), file);
        }

        #[test]
        fn no_text_is_too_odd(text in "[\\PC\n\"'\\\\$ =#]{0,80}") {
            let _ = parse(&text);
        }
    }
}
