//! Versions of a runtime's executables: which version a file is, which versions are known to work, and which pairs of
//! client and server are compatible.
//!
//! An executable is run once for its version, and the answer is remembered by the identity of the file: a wake then
//! costs a `stat` and no process. Where answers are stored is up to the caller ([`Memory`]).

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::runtime::{RuntimeError, RuntimeKind};

mod cache;
mod executable;

pub use cache::{Memory, Versions};
pub use executable::Executable;

/// What an executable reported about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// For example `tmux 3.3a`; `None` if no line of its output was a version.
    pub text: Option<String>,
    /// All of its output, if that was more than a version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub besides: Option<String>,
}

/// How a version relates to the tested ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fitness {
    /// Tested.
    Supported,
    /// Newer than any tested version, or without a number.
    Untested,
    /// It lacks needed features.
    TooOld,
    /// It prints extra lines, so its answers cannot be parsed.
    ExtraOutput,
    /// It did not report a version.
    Unreadable,
}

impl Fitness {
    /// Returns the error for an executable that is not fit, which names it.
    pub fn refusal(self, runtime: RuntimeKind, binary: &Path, said: Option<String>) -> RuntimeError {
        let said = said.unwrap_or_else(|| "nothing".to_owned());
        let detail = match self {
            Self::TooOld => {
                format!("{said} is installed, and {} or newer is needed", runtime.facts().supported().oldest)
            }
            Self::ExtraOutput => format!("it prints lines of its own, so that its answers cannot be read: {said:?}"),
            Self::Untested => format!("{said} is newer than any tested version"),
            Self::Supported | Self::Unreadable => format!("asked for its version it printed {said:?}"),
        };
        RuntimeError::VersionMismatch { runtime, server: binary.to_owned(), detail }
    }
}

impl Version {
    /// Parses the output of `-V` on both streams. tmux calls itself by the `name` that it was run by.
    fn read(kind: RuntimeKind, name: &str, stdout: &str, stderr: &str) -> Self {
        let said =
            [stdout.trim(), stderr.trim()].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n");
        let number = said.lines().find_map(|line| version_in(kind, name, line.trim()));
        let text = number.map(|number| format!("{kind} {number}"));
        let besides = (text.is_none() || said.lines().count() > 1).then_some(said);
        Self { text, besides }
    }

    /// Returns how the version relates to the tested ones.
    pub fn fitness(&self, kind: RuntimeKind) -> Fitness {
        let Some(text) = &self.text else { return Fitness::Unreadable };
        let supported = kind.facts().supported();
        match numbers(text) {
            found @ Some(_) if found < parts(supported.oldest) => Fitness::TooOld,
            _ if self.besides.is_some() => Fitness::ExtraOutput,
            Some(numbers) if numbers <= supported.newest => Fitness::Supported,
            _ => Fitness::Untested,
        }
    }

    /// Returns `true` if a client of this version can do everything with a server of version `server`: if both speak the
    /// same protocol, or are the same version where that is unknown.
    pub fn fits(&self, server: &Self, kind: RuntimeKind) -> bool {
        let family = |version: &Self| {
            let numbers = version.text.as_deref().and_then(numbers)?;
            Some(kind.facts().protocol(numbers))
        };
        match (family(self), family(server)) {
            (Some(client), Some(server)) => client == server && self.besides.is_none(),
            _ => self.text.is_some() && self.text == server.text && self.besides.is_none(),
        }
    }
}

/// Returns the version from a line that consists of the program's name and one word.
fn version_in<'a>(kind: RuntimeKind, name: &str, line: &'a str) -> Option<&'a str> {
    let (program, version) = line.split_once(' ')?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+' | b'_');
    let ours = (program == kind.as_str() || program == name) && !version.is_empty() && version.bytes().all(plain);
    ours.then_some(version)
}

/// `tmux 3.3a` → 3, 3, 0. tmux builds without a version number (`tmux master`, `tmux openbsd-7.6`) have none.
pub(crate) fn numbers(version: &str) -> Option<[u32; 3]> {
    parts(version.split_once(' ')?.1.trim_start_matches("next-"))
}

/// `3.3a` → 3, 3, 0.
fn parts(number: &str) -> Option<[u32; 3]> {
    let mut parts = number.split(['.', '-', '+']).map(|part| {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        part[..digits].parse().ok()
    });
    let (major, minor) = (parts.next()??, parts.next()??);
    Some([major, minor, parts.next().flatten().unwrap_or(0)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use Fitness::{ExtraOutput, Supported, TooOld, Unreadable, Untested};
    use RuntimeKind::{Tmux, Zellij};

    fn said(kind: RuntimeKind, stdout: &str) -> Version {
        Version::read(kind, "exe", stdout, "")
    }

    #[test]
    fn versions_are_compared_by_number() {
        for (text, fitness) in [
            ("tmux 1.8", TooOld),
            ("tmux 2.9a", TooOld),
            ("tmux 3.1c", TooOld),
            ("tmux 3.2", Supported),
            ("tmux 3.2a", Supported),
            ("tmux 3.3a", Supported),
            ("tmux 3.5a", Supported),
            ("tmux 3.7c", Supported),
            ("exe 3.7c", Supported),
            ("tmux 3.10", Untested),
            ("tmux 4.0", Untested),
            ("tmux next-3.8", Supported),
            ("tmux next-3.9", Untested),
            ("tmux master", Untested),
            ("tmux openbsd-7.6", Untested),
            ("tmuxinator 3.3", Unreadable),
            ("tmux: unknown option -- V", Unreadable),
            ("", Unreadable),
        ] {
            assert_eq!(said(Tmux, &format!("{text}\n")).fitness(Tmux), fitness, "{text}");
        }
        for (text, fitness) in [
            ("zellij 0.43.1", TooOld),
            ("zellij 0.45.1", Supported),
            ("zellij 0.100.0", Untested),
            ("tmux 3.3a", Unreadable),
        ] {
            assert_eq!(said(Zellij, text).fitness(Zellij), fitness, "{text}");
        }
    }

    #[test]
    fn more_than_a_version_is_chatter_whichever_stream_it_comes_on() {
        for (stdout, stderr) in
            [("hello\ntmux 3.3a\n", ""), ("tmux 3.3a\nbye\n", ""), ("tmux 3.3a\n", "warning: slow\n")]
        {
            let version = Version::read(Tmux, "tmux", stdout, stderr);
            assert_eq!(
                (version.text.as_deref(), version.fitness(Tmux)),
                (Some("tmux 3.3a"), ExtraOutput),
                "{stdout}{stderr}"
            );
        }
        assert_eq!(Version::read(Tmux, "tmux", "tmux 3.0\n", "warning: slow\n").fitness(Tmux), TooOld);
    }

    #[test]
    fn a_client_fits_a_server_whose_messages_have_the_same_header() {
        let tmux = |text: &str| said(Tmux, &format!("tmux {text}"));
        for (client, server, fits) in [
            ("3.3a", "3.5a", true),
            ("3.2a", "3.5a", true),
            ("3.6", "3.7c", true),
            ("next-3.8", "3.6a", true),
            ("3.6a", "3.5a", false),
            ("3.3a", "3.6", false),
            ("master", "3.6", false),
            ("master", "master", true),
        ] {
            assert_eq!(tmux(client).fits(&tmux(server), Tmux), fits, "{client} with {server}");
        }
        assert!(!Version::read(Tmux, "tmux", "hello\ntmux 3.3a", "").fits(&tmux("3.3a"), Tmux));
        assert!(!said(Zellij, "zellij 0.44.1").fits(&said(Zellij, "zellij 0.45.1"), Zellij));
    }
}
