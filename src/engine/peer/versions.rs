//! Admission of runtimes by version, and the memory of what their executables reported.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use peer_adapters::runtime::{Runtime, RuntimeKind};
use peer_adapters::version::{Executable, Fitness, Memory, Version};
use serde::{Deserialize, Serialize};

use crate::config::PeerSpec;
use crate::engine::{Engine, Result, wall_clock};
use crate::policy::time::Timestamp;
use crate::store::StateDir;

/// The name of the file in the state directory.
const FILE: &str = "versions.json";

/// How many executables are remembered, which is more than anyone has; the oldest are dropped.
const MOST: usize = 16;

/// The reported versions, kept in the state directory. Best effort: an executable that is not remembered is queried
/// again.
pub(crate) struct VersionFile(StateDir);

#[derive(Default, Serialize, Deserialize)]
struct KnownVersions {
    executables: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    file: Executable,
    #[serde(flatten)]
    version: Version,
    asked_at_ms: Timestamp,
}

impl VersionFile {
    pub(crate) fn new(state: StateDir) -> Self {
        Self(state)
    }

    fn read(&self) -> KnownVersions {
        let text = self.0.kept_file(FILE).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }
}

impl Memory for VersionFile {
    fn recall(&self, file: &Executable, since: Option<Duration>) -> Option<Version> {
        let entry = self.read().executables.into_iter().find(|entry| entry.file == *file)?;
        let recent = since.is_none_or(|since| wall_clock().since(entry.asked_at_ms) < since);
        recent.then_some(entry.version)
    }

    fn keep(&self, file: &Executable, version: &Version) {
        let mut known = self.read();
        known.executables.retain(|entry| entry.file.path != file.path);
        let entry = Entry { file: file.clone(), version: version.clone(), asked_at_ms: wall_clock() };
        known.executables.insert(0, entry);
        known.executables.truncate(MOST);
        let written = serde_json::to_string(&known).map(|text| self.0.keep_file(FILE, &text));
        tracing::debug!(?written, "versions of executables");
    }
}

/// A runtime whose executable may be used.
pub(crate) struct Admitted {
    pub(crate) kind: RuntimeKind,
    pub(crate) binary: PathBuf,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) version: Version,
}

impl Engine {
    /// Returns the runtime for a new session of this peer, after checking its version.
    ///
    /// # Errors
    /// As [`Engine::check_version`].
    pub(crate) async fn admit(&self, spec: &PeerSpec) -> Result<Admitted> {
        let (kind, binary, runtime) = self.runtime_for(spec)?;
        let version = self.check_version(kind, &binary, false).await?;
        Ok(Admitted { kind, binary, runtime, version })
    }

    /// Refuses an executable that is too old. Notifies the user of any other problem with it: if `always`, or if the
    /// executable is new to `peer`. A known executable is not run again.
    ///
    /// # Errors
    /// The executable is too old, cannot be run, or does not answer.
    pub(crate) async fn check_version(&self, kind: RuntimeKind, binary: &Path, always: bool) -> Result<Version> {
        let (version, is_new) = self.runtimes.versions().look_up(kind, binary).await?;
        let fitness = version.fitness(kind);
        match fitness {
            Fitness::TooOld => Err(complaint(kind, binary, &version).into()),
            Fitness::Supported => Ok(version),
            Fitness::Untested | Fitness::ExtraOutput | Fitness::Unreadable => {
                if always || is_new {
                    let problem = complaint(kind, binary, &version);
                    self.progress.notice(&format!("{problem}; `peer doctor` tries whether it works"));
                }
                Ok(version)
            }
        }
    }
}

fn complaint(kind: RuntimeKind, binary: &Path, version: &Version) -> peer_adapters::runtime::RuntimeError {
    version.fitness(kind).refusal(kind, binary, version.besides.clone().or_else(|| version.text.clone()))
}
