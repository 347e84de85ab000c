//! The available multiplexers, located only when one is needed.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use peer_adapters::command;
use peer_adapters::runtime::{Runtime, RuntimeError, RuntimeKind, RuntimeName, Setup};
use peer_adapters::version::Versions;

use crate::config::{PeerSpec, Settings};
use crate::engine::peer::versions::VersionFile;
use crate::engine::{Engine, EngineError, Result};
use crate::store::{Place, StateDir};

/// Runtimes by binary, created on first use.
pub(crate) struct Runtimes {
    deadline: Duration,
    state: PathBuf,
    configured: HashMap<RuntimeKind, PathBuf>,
    made: Mutex<HashMap<(RuntimeKind, PathBuf), Arc<dyn Runtime>>>,
    versions: Versions,
}

impl Runtimes {
    pub(crate) fn new(settings: &Settings, state: &StateDir) -> Self {
        let deadline = settings.probe.timeout.0;
        Self {
            deadline,
            state: state.root().to_owned(),
            versions: Versions::new(Some(Arc::new(VersionFile::new(state.clone()))), deadline),
            configured: RuntimeKind::ALL
                .into_iter()
                .filter_map(|kind| Some((kind, settings.binary(kind)?.to_owned())))
                .collect(),
            made: Mutex::default(),
        }
    }

    fn configured(&self, kind: RuntimeKind) -> Option<&PathBuf> {
        self.configured.get(&kind)
    }

    fn get(&self, kind: RuntimeKind, binary: PathBuf) -> Arc<dyn Runtime> {
        let mut made = self.made.lock().expect("no holder of this lock panics");
        let runtime = made.entry((kind, binary.clone())).or_insert_with(|| {
            let configuration = kind.facts().configuration().map_or("", |(name, _)| name);
            kind.facts().open(Setup {
                binary,
                configuration: self.state.join(configuration),
                deadline: self.deadline,
                versions: self.versions.clone(),
            })
        });
        Arc::clone(runtime)
    }

    /// The known versions of the runtimes' executables.
    pub(crate) fn versions(&self) -> &Versions {
        &self.versions
    }
}

/// Returns the runtime that a spec or a record names.
///
/// # Errors
/// This version does not know it. Specs with such a name are rejected when they are read.
pub fn kind_of(name: &RuntimeName) -> Result<RuntimeKind> {
    name.kind().ok_or_else(|| EngineError::Declaration {
        what: format!("runtime {:?}", name.as_str()),
        problem: "no such runtime".to_owned(),
        hint: Some(format!("use {}", RuntimeKind::NAMES.join(" or "))),
    })
}

impl Engine {
    /// Returns the runtime of a recorded session, using the binary that started it: a bare `PATH`, as in cron, must not
    /// hide it.
    ///
    /// # Errors
    /// The record names a runtime that this version does not know.
    pub fn runtime_of(&self, place: &Place) -> Result<Arc<dyn Runtime>> {
        let kind = kind_of(&place.runtime)?;
        Ok(self.runtimes.get(kind, self.client_binary(kind, place)))
    }

    /// Returns the binary whose clients talk to the server of a recorded session.
    pub(crate) fn client_binary(&self, kind: RuntimeKind, place: &Place) -> PathBuf {
        let recorded = self.runtimes.configured(kind).unwrap_or(&place.binary);
        // Version managers keep each version in its own directory and remove the directory with the version. If no
        // other binary fits the server either, the adapter uses the server's own executable.
        let binary = if recorded.exists() { Ok(recorded.clone()) } else { self.runtime_binary(kind, None) };
        binary.unwrap_or_else(|_| recorded.clone())
    }

    /// Returns a runtime for questions that the kernel can answer, for which no binary is needed.
    pub(crate) fn by_the_kernel(&self, kind: RuntimeKind) -> Arc<dyn Runtime> {
        self.runtimes.get(kind, self.runtimes.configured(kind).cloned().unwrap_or_else(|| kind.as_str().into()))
    }

    /// Returns a runtime for cleaning up. If its binary is not found, the kernel's facts suffice.
    pub(crate) fn to_clean_up(&self, kind: RuntimeKind) -> Arc<dyn Runtime> {
        self.runtimes.get(kind, self.runtime_binary(kind, None).unwrap_or_else(|_| kind.as_str().into()))
    }

    /// Finds the binary of a runtime: as configured, else on the caller's `PATH`, else on the one that the peer was
    /// declared with.
    ///
    /// # Errors
    /// [`RuntimeError::NoBinary`].
    pub fn runtime_binary(&self, kind: RuntimeKind, spec: Option<&PeerSpec>) -> Result<PathBuf> {
        if let Some(binary) = self.runtimes.configured(kind) {
            return Ok(binary.clone());
        }
        let name = OsStr::new(kind.as_str());
        let own = self.var("PATH").map(OsStr::new);
        let declared = spec.and_then(|spec| spec.search_path.as_deref()).map(OsStr::new);
        [own, declared]
            .into_iter()
            .flatten()
            .find_map(|path| command::resolve(name, Some(path), Path::new("/")).ok())
            .ok_or_else(|| RuntimeError::NoBinary { runtime: kind, path: PathBuf::from(kind.as_str()) }.into())
    }

    /// Returns the runtime for a new session of this peer, and its binary.
    ///
    /// # Errors
    /// As [`Engine::runtime_binary`]; or `config.toml`, which may name another binary, cannot be used.
    pub fn runtime_for(&self, spec: &PeerSpec) -> Result<(RuntimeKind, PathBuf, Arc<dyn Runtime>)> {
        self.usable_settings()?;
        let kind = kind_of(&spec.runtime)?;
        let binary = self.runtime_binary(kind, Some(spec))?;
        Ok((kind, binary.clone(), self.runtimes.get(kind, binary)))
    }
}
