//! Versions of a runtime's executables: which version a file is, which versions are known to work, and which pairs of
//! client and server are compatible.
//!
//! An executable is run once for its version, and the answer is remembered by the identity of the file: a wake then
//! costs a `stat` and no process. Where answers are stored is up to the caller ([`Memory`]).

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::command::{self, Argv, RunError};
use crate::file;
use crate::process::ProcessId;
use crate::runtime::{RuntimeError, RuntimeKind};

/// The identity of an executable, as the kernel sees it: a package upgrade keeps the path and changes the rest.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Executable {
    /// The path it is reached by.
    pub path: PathBuf,
    /// Its file system.
    pub device: u64,
    /// Its inode number.
    pub inode: u64,
    /// Its length in bytes.
    pub size: u64,
    /// When its content last changed, in nanoseconds since the epoch.
    pub modified_ns: i64,
}

impl Executable {
    /// Returns the identity of the file at `path`.
    ///
    /// # Errors
    /// It does not exist, or cannot be examined.
    pub fn at(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified_ns: found.mtime().saturating_mul(1_000_000_000).saturating_add(found.mtime_nsec()),
        })
    }

    /// Returns the executable that a process runs, with a path that can be executed: its own path if that is still the
    /// same file, otherwise the kernel's link to it, which remains after the file is unlinked. `None` if the kernel
    /// does not report it.
    pub fn of(process: ProcessId) -> Option<Self> {
        let link = PathBuf::from(format!("/proc/{}/exe", process.pid));
        let by_link = Self::at(&link).ok()?;
        let by_name = fs::read_link(&link).ok().and_then(|path| Self::at(&path).ok());
        Some(by_name.filter(|named| named.is(&by_link)).unwrap_or(by_link))
    }

    /// Returns the path that the executable of a process had when it was started, whether or not it still exists.
    pub fn name_of(process: ProcessId) -> Option<PathBuf> {
        let name = fs::read_link(format!("/proc/{}/exe", process.pid)).ok()?;
        let text = name.to_string_lossy();
        Some(text.strip_suffix(" (deleted)").map_or_else(|| name.clone(), PathBuf::from))
    }

    /// Returns `true` if both are the same file, by whatever path they are reached.
    pub fn is(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Returns `true` if it may run a different program tomorrow: a script, or a link to a program of another name, as
    /// version managers put on `PATH`.
    fn is_a_stand_in(&self, kind: RuntimeKind) -> bool {
        let named = fs::canonicalize(&self.path)
            .is_ok_and(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(kind.as_str())));
        let mut start = [0; 2];
        let script = file::open(&self.path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *b"#!";
        script || !named
    }
}

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
            Self::TooOld => format!("{said} is installed, and {} or newer is needed", oldest(runtime)),
            Self::ExtraOutput => format!("it prints lines of its own, so that its answers cannot be read: {said:?}"),
            Self::Untested => format!("{said} is newer than any tested version"),
            Self::Supported | Self::Unreadable => format!("asked for its version it printed {said:?}"),
        };
        RuntimeError::VersionMismatch { runtime, server: binary.to_owned(), detail }
    }
}

/// The oldest version that works, and the newest that is tested.
const fn range(kind: RuntimeKind) -> ([u32; 3], [u32; 3]) {
    match kind {
        // 3.1c does not know `-N`. The newest was the development version of 3.8.
        RuntimeKind::Tmux => ([3, 2, 0], [3, 8, 0]),
        RuntimeKind::Zellij => ([0, 44, 1], [0, 45, u32::MAX]),
    }
}

/// Returns the oldest accepted version of a runtime, as text.
pub const fn oldest(kind: RuntimeKind) -> &'static str {
    match kind {
        RuntimeKind::Tmux => "3.2",
        RuntimeKind::Zellij => "0.44.1",
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
        let (oldest, newest) = range(kind);
        match numbers(text) {
            Some(numbers) if numbers < oldest => Fitness::TooOld,
            _ if self.besides.is_some() => Fitness::ExtraOutput,
            Some(numbers) if numbers <= newest => Fitness::Supported,
            _ => Fitness::Untested,
        }
    }

    /// Returns `true` if a client of this version can do everything with a server of version `server`.
    ///
    /// # Source
    /// Each of 3.2a, 3.3a, 3.4, 3.5a, 3.6a, 3.7c and the development version against each other. The header of a
    /// message changed in 3.6, under the same protocol number: an older client is cut off by a newer server (`server
    /// exited unexpectedly`), and a newer one cannot hand its terminal to an older server (`open terminal failed: not a
    /// terminal`).
    pub fn fits(&self, server: &Self, kind: RuntimeKind) -> bool {
        let family = |version: &Self| {
            let numbers = version.text.as_deref().and_then(numbers)?;
            Some(match kind {
                RuntimeKind::Tmux => [u32::from(numbers >= [3, 6, 0]), 0, 0],
                RuntimeKind::Zellij => numbers,
            })
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
fn numbers(version: &str) -> Option<[u32; 3]> {
    let number = version.split_once(' ')?.1.trim_start_matches("next-");
    let mut parts = number.split(['.', '-', '+']).map(|part| {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        part[..digits].parse().ok()
    });
    let (major, minor) = (parts.next()??, parts.next()??);
    Some([major, minor, parts.next().flatten().unwrap_or(0)])
}

/// Storage that keeps reported versions from one process to the next.
pub trait Memory: Send + Sync {
    /// Returns what this executable reported at most `since` ago, or at any time if `since` is `None`.
    fn recall(&self, file: &Executable, since: Option<Duration>) -> Option<Version>;
    /// Stores what this executable reported.
    fn keep(&self, file: &Executable, version: &Version);
}

/// How long the version of a stand-in is trusted: the file does not change when a version manager is switched to
/// another version.
const STAND_IN: Duration = Duration::from_secs(600);

/// The versions of executables, each run at most once.
#[derive(Clone)]
pub struct Versions {
    memory: Option<Arc<dyn Memory>>,
    known: Arc<Mutex<HashMap<Executable, Version>>>,
    deadline: Duration,
}

impl std::fmt::Debug for Versions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Versions").field("known", &self.known).finish_non_exhaustive()
    }
}

impl Versions {
    /// Creates a cache that lasts as long as this process, and longer with a `memory`. Each executable that has to be
    /// run gets `deadline` to answer.
    pub fn new(memory: Option<Arc<dyn Memory>>, deadline: Duration) -> Self {
        Self { memory, known: Arc::default(), deadline }
    }

    /// Returns the version of the executable at `path`. Runs it at most once while it is the same file.
    ///
    /// # Errors
    /// It does not exist, cannot be run, or does not answer in time.
    pub async fn of(&self, kind: RuntimeKind, path: &Path) -> Result<Version, RuntimeError> {
        Ok(self.look_up(kind, path).await?.0)
    }

    /// Returns the version of the executable at `path`, and whether it had to be run.
    ///
    /// # Errors
    /// As [`Versions::of`].
    pub async fn look_up(&self, kind: RuntimeKind, path: &Path) -> Result<(Version, bool), RuntimeError> {
        let file = Executable::at(path).map_err(|_| RuntimeError::NoBinary { runtime: kind, path: path.to_owned() })?;
        if let Some(known) = self.known().get(&file) {
            return Ok((known.clone(), false));
        }
        let recalled = self.memory.as_ref().and_then(|memory| {
            let since = file.is_a_stand_in(kind).then_some(STAND_IN);
            memory.recall(&file, since)
        });
        let is_new = recalled.is_none();
        let version = match recalled {
            Some(version) => version,
            None => self.ask(kind, path).await?,
        };
        if let Some(memory) = self.memory.as_ref().filter(|_| is_new) {
            memory.keep(&file, &version);
        }
        self.known().insert(file, version.clone());
        Ok((version, is_new))
    }

    /// Runs the executable at `path` for its version, without looking the answer up or storing it.
    ///
    /// # Errors
    /// As [`Versions::of`].
    pub async fn ask(&self, kind: RuntimeKind, path: &Path) -> Result<Version, RuntimeError> {
        let flag = match kind {
            RuntimeKind::Tmux => "-V",
            RuntimeKind::Zellij => "--version",
        };
        let argv = Argv::new(path).arg(flag).env_remove("TMUX").ends_with_us();
        match command::run(&argv, None, self.deadline).await {
            Ok(output) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                let version = Version::read(kind, &name, &String::from_utf8_lossy(&output.stdout), &output.stderr);
                Ok(if output.status.success() {
                    version
                } else {
                    Version { text: None, besides: Some(output.summary()) }
                })
            }
            Err(RunError::TimedOut { after, .. }) => {
                Err(RuntimeError::TimedOut { runtime: kind, server: path.to_owned(), command: flag.to_owned(), after })
            }
            Err(RunError::NotStarted { source, .. })
                if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) =>
            {
                Err(RuntimeError::NoBinary { runtime: kind, path: path.to_owned() })
            }
            Err(error) => {
                Err(RuntimeError::Failed { runtime: kind, command: flag.to_owned(), detail: error.to_string() })
            }
        }
    }

    /// Returns the executable for talking to a server: `binary`, or the server's own if `binary` is gone or known to be
    /// incompatible.
    ///
    /// Costs two `stat`s if the server runs that very file, as is nearly always the case.
    ///
    /// # Errors
    /// `binary` is gone, and the server's own cannot be run either; or `binary` does not answer.
    pub async fn client(&self, kind: RuntimeKind, binary: &Path, server: ProcessId) -> Result<PathBuf, RuntimeError> {
        let own = Executable::of(server);
        let mine = Executable::at(binary).ok();
        match (own, mine) {
            (None, _) => Ok(binary.to_owned()),
            (Some(own), Some(mine)) if own.is(&mine) => Ok(binary.to_owned()),
            (Some(_), _) if !is_named_for(kind, server) => Ok(binary.to_owned()),
            (Some(own), mine) => {
                let Ok(of_server) = self.of(kind, &own.path).await else { return Ok(binary.to_owned()) };
                if of_server.text.is_none() {
                    return Ok(binary.to_owned());
                }
                let fits = mine.is_some() && {
                    let of_client = self.of(kind, binary).await?;
                    // An executable that reports no version is still used; a request to it will show whether it works.
                    of_client.text.is_none() || of_client.fits(&of_server, kind)
                };
                Ok(if fits { binary.to_owned() } else { own.path })
            }
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Executable, Version>> {
        self.known.lock().expect("no holder of this lock panics")
    }
}

/// Returns `true` if the name of a server's process or executable matches this kind. Any other program that listens on
/// a socket must not be run to find out its version.
fn is_named_for(kind: RuntimeKind, server: ProcessId) -> bool {
    let comm = format!("/proc/{}/comm", server.pid);
    let of_process = file::read_to_string(Path::new(&comm), file::MOST).unwrap_or_default();
    let of_file = Executable::name_of(server).and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    of_process.starts_with(kind.as_str()) || of_file.is_some_and(|name| name.contains(kind.as_str()))
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
