//! The versions of executables, remembered: each is run at most once.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Executable, Fitness, Version};
use crate::command::{self, Argv, RunError};
use crate::file;
use crate::process::ProcessId;
use crate::runtime::{RuntimeError, RuntimeKind};

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
        let recalled = self.recall(kind, &file);
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

    /// Returns the version of the executable at `path` if it was run before. Does not run it.
    pub fn known_of(&self, kind: RuntimeKind, path: &Path) -> Option<Version> {
        self.recall(kind, &Executable::at(path).ok()?)
    }

    fn recall(&self, kind: RuntimeKind, file: &Executable) -> Option<Version> {
        let known = self.known().get(file).cloned();
        known.or_else(|| {
            let since = file.is_a_stand_in(kind).then_some(STAND_IN);
            self.memory.as_ref()?.recall(file, since)
        })
    }

    /// Runs the executable at `path`, and returns its version if it can be used.
    ///
    /// # Errors
    /// As [`Versions::of`], or it is too old, or its version cannot be read.
    pub async fn usable(&self, kind: RuntimeKind, path: &Path) -> Result<String, RuntimeError> {
        let version = self.ask(kind, path).await?;
        match (version.fitness(kind), version.text) {
            (Fitness::Supported | Fitness::Untested, Some(text)) => Ok(text),
            (fitness, text) => Err(fitness.refusal(kind, path, text.or(version.besides))),
        }
    }

    /// Runs the executable at `path` for its version, without looking the answer up or storing it.
    ///
    /// # Errors
    /// As [`Versions::of`].
    pub async fn ask(&self, kind: RuntimeKind, path: &Path) -> Result<Version, RuntimeError> {
        let flag = kind.facts().supported().flag;
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
