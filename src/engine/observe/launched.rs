//! Where an agent's own files are, by the directory and environment that it was launched with.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use peer_adapters::agent::{EXECUTABLE, Profile};
use peer_adapters::transcript::{Files, TranscriptError};

use crate::engine::observe::{elsewhere, is_another_boot};
use crate::engine::{Engine, Peer, Result};
use crate::policy::ending::Incarnation;
use crate::store::{Launch, PeerFiles, SessionRecord, Stored};

/// The directory and environment that an agent was launched with, which determine where its own files are.
#[derive(Debug)]
pub struct Launched {
    env: Vec<(OsString, OsString)>,
    real_cwd: PathBuf,
}

impl Launched {
    /// Returns those of a recorded incarnation. `declared` is the directory in its spec, used for a record of an older
    /// version.
    ///
    /// # Errors
    /// The launch file exists and cannot be read.
    pub fn of(files: &PeerFiles, record: &SessionRecord, declared: &Path) -> Result<Self> {
        let env = launch_environment(files, record)?;
        Ok(Self { env, real_cwd: record.real_cwd.clone().unwrap_or_else(|| real(declared)) })
    }

    /// Whether the launch file was found. Without it there is no environment.
    pub const fn is_known(&self) -> bool {
        !self.env.is_empty()
    }

    /// Whether the agent was given hooks that report to `peer`: only then does it get the variable that they need.
    pub fn has_hooks(&self) -> bool {
        self.env.iter().any(|(key, _)| key == EXECUTABLE)
    }

    /// Runs `look` on the agent's own files.
    pub fn look<T>(&self, profile: &Profile, look: impl FnOnce(&Files<'_>) -> T) -> T {
        in_files(profile, &self.real_cwd, &self.env, look)
    }
}

impl Engine {
    /// Returns the incarnation and host of a launch file without a record, if it is from another machine or pid
    /// namespace.
    pub(crate) fn launched_elsewhere(&self, peer: &Peer) -> Result<Option<(Incarnation, String)>> {
        for (incarnation, at) in peer.files.launched()? {
            let Some(launch) = peer.files.launch(incarnation)?.present() else { continue };
            let another_boot = launch.boot_id.as_deref().is_some_and(is_another_boot);
            if let Some(owner) = elsewhere(launch.host.as_ref(), another_boot, at)? {
                return Ok(Some((incarnation, owner.text)));
            }
        }
        Ok(None)
    }
}

/// Returns the real path of a directory, after which agents name their files. A directory that is gone keeps the given
/// path.
pub fn real(cwd: &Path) -> PathBuf {
    std::fs::canonicalize(cwd).unwrap_or_else(|_| cwd.to_owned())
}

/// Returns the environment that the agent was launched with; empty if its launch file is gone.
///
/// # Errors
/// The file exists and cannot be read.
fn launch_environment(files: &PeerFiles, record: &SessionRecord) -> Result<Vec<(OsString, OsString)>> {
    Ok(match files.launch(record.incarnation)? {
        Stored::Present(Launch { env, .. }) => env.into_iter().map(|(key, value)| (key.0, value.0)).collect(),
        Stored::Absent | Stored::Corrupt(_) => Vec::new(),
    })
}

/// Runs `look` on the agent's own files, where an agent started now with `env` would find them.
pub fn with_files<T>(
    profile: &Profile,
    cwd: &Path,
    env: &[(OsString, OsString)],
    look: impl FnOnce(&Files<'_>) -> T,
) -> T {
    let keeps_files = profile.capabilities().transcript;
    in_files(profile, &if keeps_files { real(cwd) } else { cwd.to_owned() }, env, look)
}

fn in_files<T>(
    profile: &Profile,
    real_cwd: &Path,
    env: &[(OsString, OsString)],
    look: impl FnOnce(&Files<'_>) -> T,
) -> T {
    let lookup = |name: &str| env.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let home = lookup("HOME").map(PathBuf::from).unwrap_or_default();
    look(&Files { profile, home: &home, env: &lookup, cwd: real_cwd })
}

/// Formats the notice for agent files that cannot be read, which is never a failure of the verb.
pub fn unreadable(error: &TranscriptError) -> String {
    format!("the agent's own files could not be read: {error}")
}
