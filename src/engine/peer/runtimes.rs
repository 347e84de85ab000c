//! The available multiplexers, located only when one is needed.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use peer_adapters::command;
use peer_adapters::runtime::{Runtime, RuntimeError, RuntimeKind};
use peer_adapters::tmux::Tmux;
use peer_adapters::version::Versions;
use peer_adapters::zellij::Zellij;

use crate::config::{PeerSpec, Settings};
use crate::engine::peer::versions::VersionFile;
use crate::engine::{Engine, EngineError, Result};
use crate::store::{Place, StateDir};

/// Runtimes by binary, created on first use.
pub(crate) struct Runtimes {
    deadline: Duration,
    state: PathBuf,
    tmux: Option<PathBuf>,
    zellij: Option<PathBuf>,
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
            tmux: settings.tmux.binary.clone(),
            zellij: settings.zellij.binary.clone(),
            made: Mutex::default(),
        }
    }

    fn configured(&self, kind: RuntimeKind) -> Option<&PathBuf> {
        match kind {
            RuntimeKind::Tmux => self.tmux.as_ref(),
            RuntimeKind::Zellij => self.zellij.as_ref(),
        }
    }

    fn get(&self, kind: RuntimeKind, binary: PathBuf) -> Arc<dyn Runtime> {
        let mut made = self.made.lock().expect("no holder of this lock panics");
        let runtime = made.entry((kind, binary.clone())).or_insert_with(|| match kind {
            RuntimeKind::Tmux => {
                let tmux = Tmux::new(binary, self.state.join("tmux.conf"), self.deadline);
                Arc::new(tmux.with_versions(self.versions.clone()))
            }
            RuntimeKind::Zellij => Arc::new(Zellij::new(binary, self.deadline).with_versions(self.versions.clone())),
        });
        Arc::clone(runtime)
    }

    /// The known versions of the runtimes' executables.
    pub(crate) fn versions(&self) -> &Versions {
        &self.versions
    }
}

/// Parses the runtime's name in a spec or a record.
///
/// # Errors
/// The name is unknown. Specs with such a name are rejected when they are read.
pub fn kind_of(name: &str) -> Result<RuntimeKind> {
    match name {
        "tmux" => Ok(RuntimeKind::Tmux),
        "zellij" => Ok(RuntimeKind::Zellij),
        other => Err(EngineError::Declaration {
            what: format!("runtime {other:?}"),
            problem: "no such runtime".to_owned(),
            hint: Some("use tmux or zellij".to_owned()),
        }),
    }
}

impl Engine {
    /// Returns the runtime of a recorded session, using the binary that started it: a bare `PATH`, as in cron, must not
    /// hide it.
    ///
    /// # Errors
    /// The record names an unknown runtime.
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

    /// Returns a zellij adapter for questions that the kernel can answer, for which no binary is needed.
    pub(crate) fn zellij_by_the_kernel(&self) -> Arc<dyn Runtime> {
        let kind = RuntimeKind::Zellij;
        self.runtimes.get(kind, self.runtimes.configured(kind).cloned().unwrap_or_else(|| kind.as_str().into()))
    }

    /// Returns the zellij adapter itself, for cleaning up what only zellij leaves behind. If its binary is not found,
    /// the kernel's facts suffice.
    pub(crate) fn zellij(&self) -> Zellij {
        let kind = RuntimeKind::Zellij;
        let binary = self.runtime_binary(kind, None).unwrap_or_else(|_| kind.as_str().into());
        Zellij::new(binary, self.runtimes.deadline).with_versions(self.runtimes.versions.clone())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spec_may_name_is_a_kind() {
        for name in crate::config::RUNTIMES {
            assert_eq!(kind_of(name).expect("a kind").as_str(), name);
        }
    }
}
