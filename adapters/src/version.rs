//! Which version an executable of a runtime is, which versions are known to work, and which of two speak with each other.
//!
//! An executable is asked once, and what it said is remembered by what the file is: a wake then costs a `stat` and no
//! process. Where that is kept is the caller's business ([`Memory`]).

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

/// An executable as the kernel tells one from another: a package that is upgraded leaves the path and changes the rest.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Executable {
    /// How it is reached.
    pub path: PathBuf,
    /// Its file system.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// Its length in bytes.
    pub size: u64,
    /// When its content last changed, in nanoseconds since the epoch.
    pub modified_ns: i64,
}

impl Executable {
    /// What is at `path` now.
    ///
    /// # Errors
    /// It is not there, or cannot be looked at.
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

    /// The executable that a process runs, by a path that can be run: its own where the same file is still there, else
    /// the kernel's link to it, which outlives the file's name. `None` where the kernel does not tell.
    pub fn of(process: ProcessId) -> Option<Self> {
        let link = PathBuf::from(format!("/proc/{}/exe", process.pid));
        let by_link = Self::at(&link).ok()?;
        let by_name = fs::read_link(&link).ok().and_then(|path| Self::at(&path).ok());
        Some(by_name.filter(|named| named.is(&by_link)).unwrap_or(by_link))
    }

    /// The name that the executable of a process had when it was started, be it still there or not.
    pub fn name_of(process: ProcessId) -> Option<PathBuf> {
        let name = fs::read_link(format!("/proc/{}/exe", process.pid)).ok()?;
        let text = name.to_string_lossy();
        Some(text.strip_suffix(" (deleted)").map_or_else(|| name.clone(), PathBuf::from))
    }

    /// Whether both are one file, whatever they are reached by.
    pub fn is(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Whether it may run one program today and another one tomorrow: a script, or a link to a program of another name, as
    /// version managers put on `PATH`.
    fn is_a_stand_in(&self, kind: RuntimeKind) -> bool {
        let named = fs::canonicalize(&self.path)
            .is_ok_and(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(kind.as_str())));
        let mut start = [0; 2];
        let script = file::open(&self.path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *b"#!";
        script || !named
    }
}

/// What an executable said of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// As in `tmux 3.3a`; nothing where no line of it was a version.
    pub text: Option<String>,
    /// All that it printed, where that was more than its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub besides: Option<String>,
}

/// How a version stands to those that are tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fitness {
    /// Tested.
    Supported,
    /// Newer than any that is tested, or without a number.
    Untested,
    /// It lacks what is needed.
    TooOld,
    /// It prints more than it was asked for, so that its answers cannot be read.
    Chatty,
    /// It did not say.
    Unreadable,
}

impl Fitness {
    /// What is wrong with an executable that is not fit, in an error that names it.
    pub fn refusal(self, runtime: RuntimeKind, binary: &Path, said: Option<String>) -> RuntimeError {
        let said = said.unwrap_or_else(|| "nothing".to_owned());
        let detail = match self {
            Self::TooOld => format!("{said} is installed, and {} or newer is needed", oldest(runtime)),
            Self::Chatty => format!("it prints lines of its own, so that its answers cannot be read: {said:?}"),
            Self::Untested => format!("{said} is newer than any version that was tested"),
            Self::Supported | Self::Unreadable => format!("asked for its version it printed {said:?}"),
        };
        RuntimeError::VersionMismatch { runtime, server: binary.to_owned(), detail }
    }
}

/// The oldest that works, and the newest that is tested.
const fn range(kind: RuntimeKind) -> ([u32; 3], [u32; 3]) {
    match kind {
        // 3.1c does not know `-N`. The newest was the development version of 3.8.
        RuntimeKind::Tmux => ([3, 2, 0], [3, 8, 0]),
        RuntimeKind::Zellij => ([0, 44, 1], [0, 45, u32::MAX]),
    }
}

/// The oldest version of a runtime that is accepted, in words.
pub const fn oldest(kind: RuntimeKind) -> &'static str {
    match kind {
        RuntimeKind::Tmux => "3.2",
        RuntimeKind::Zellij => "0.44.1",
    }
}

impl Version {
    /// Reads what `-V` printed on both streams. tmux calls itself by the `name` that it was run by.
    fn read(kind: RuntimeKind, name: &str, stdout: &str, stderr: &str) -> Self {
        let said =
            [stdout.trim(), stderr.trim()].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n");
        let number = said.lines().find_map(|line| version_in(kind, name, line.trim()));
        let text = number.map(|number| format!("{kind} {number}"));
        let besides = (text.is_none() || said.lines().count() > 1).then_some(said);
        Self { text, besides }
    }

    /// How it stands to the versions that are tested.
    pub fn fitness(&self, kind: RuntimeKind) -> Fitness {
        let Some(text) = &self.text else { return Fitness::Unreadable };
        let (oldest, newest) = range(kind);
        match numbers(text) {
            Some(numbers) if numbers < oldest => Fitness::TooOld,
            _ if self.besides.is_some() => Fitness::Chatty,
            Some(numbers) if numbers <= newest => Fitness::Supported,
            _ => Fitness::Untested,
        }
    }

    /// Whether a client of this version can do everything on a server of `server`'s.
    ///
    /// # Source
    /// Each of 3.2a, 3.3a, 3.4, 3.5a, 3.6a, 3.7c and the development version against each other. The header of a message changed in 3.6, under the
    /// same protocol number: an older client is cut off by a newer server (`server exited unexpectedly`), and a newer one
    /// cannot hand its terminal to an older server (`open terminal failed: not a terminal`).
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

/// The version in a line that holds the program's name and one word.
fn version_in<'a>(kind: RuntimeKind, name: &str, line: &'a str) -> Option<&'a str> {
    let (program, version) = line.split_once(' ')?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+' | b'_');
    let ours = (program == kind.as_str() || program == name) && !version.is_empty() && version.bytes().all(plain);
    ours.then_some(version)
}

/// `tmux 3.3a` → 3, 3, 0. Builds without a number of tmux's own (`tmux master`, `tmux openbsd-7.6`) have none.
fn numbers(version: &str) -> Option<[u32; 3]> {
    let number = version.split_once(' ')?.1.trim_start_matches("next-");
    let mut parts = number.split(['.', '-', '+']).map(|part| {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        part[..digits].parse().ok()
    });
    let (major, minor) = (parts.next()??, parts.next()??);
    Some([major, minor, parts.next().flatten().unwrap_or(0)])
}

/// Where it is kept from one process to the next what executables said.
pub trait Memory: Send + Sync {
    /// What this executable said not longer than `since` ago; `None`: at any time.
    fn recall(&self, file: &Executable, since: Option<Duration>) -> Option<Version>;
    /// Keeps it.
    fn keep(&self, file: &Executable, version: &Version);
}

/// How long what a stand-in said is believed: the file stays as it is when a version manager is told to run another version.
const STAND_IN: Duration = Duration::from_secs(600);

/// The versions of executables, each asked at most once.
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
    /// Remembers for the life of this process, and for longer where there is a `memory`; each executable that has to be asked
    /// is given `deadline` to answer.
    pub fn new(memory: Option<Arc<dyn Memory>>, deadline: Duration) -> Self {
        Self { memory, known: Arc::default(), deadline }
    }

    /// The version of the executable at `path`. Runs it at most once for as long as it is the same file.
    ///
    /// # Errors
    /// It is not there, cannot be run, or does not answer in time.
    pub async fn of(&self, kind: RuntimeKind, path: &Path) -> Result<Version, RuntimeError> {
        Ok(self.look_up(kind, path).await?.0)
    }

    /// The same, and whether it had to be asked.
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

    /// The same, asked now, and remembered by nobody.
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

    /// The executable to talk to a server with: `binary`, but where that is gone or is known not to fit, the server's own.
    ///
    /// Two `stat`s where the server runs that very file, as nearly always.
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
                    // One that says nothing of itself is taken at its word when it is asked something.
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

/// Whether a server is of this kind by its name or that of its executable: whatever else may listen on a socket is not run to
/// see what it is.
fn is_named_for(kind: RuntimeKind, server: ProcessId) -> bool {
    let comm = format!("/proc/{}/comm", server.pid);
    let of_process = file::read_to_string(Path::new(&comm), file::MOST).unwrap_or_default();
    let of_file = Executable::name_of(server).and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    of_process.starts_with(kind.as_str()) || of_file.is_some_and(|name| name.contains(kind.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Fitness::{Chatty, Supported, TooOld, Unreadable, Untested};
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
                (Some("tmux 3.3a"), Chatty),
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
