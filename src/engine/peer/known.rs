//! A peer whose spec or profile cannot be used, reconstructed from its files and the readable parts of its spec.
//!
//! A mistake in a spec must not lock the user out while an agent runs. Verbs that observe, end or deliver go by the
//! record. A start needs the spec, and is refused with the mistake in it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use peer_adapters::agent::Profile;
use peer_adapters::runtime::RuntimeName;

use crate::config::{ConfigError, Effective, PeerSpec};
use crate::engine::life::launch::check_before_launch;
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::ending::Incarnation;
use crate::policy::name::PeerName;
use crate::store::{Launch, PeerFiles, Stored};

/// The profile that fits any command, because it knows how to end each.
const ANY: &str = "command";

/// What the files of a peer say about its agent and where it runs.
#[derive(Debug, Default)]
struct LastKnown {
    agent: Option<String>,
    runtime: Option<RuntimeName>,
    cwd: Option<PathBuf>,
    command: Option<Vec<String>>,
}

impl LastKnown {
    fn by(files: &PeerFiles) -> Self {
        // A file that cannot be read is treated as missing.
        let record = files.session().ok().and_then(Stored::present);
        let last = || files.end().ok()?.present();
        let opened = || files.conversations().ok()?.pop();
        let Some(record) = record else {
            let agent = last().map(|last| last.agent).or_else(|| Some(opened()?.agent));
            return Self { agent, ..Self::default() };
        };
        let launch: Option<Launch> = files.launch(record.incarnation).ok().and_then(Stored::present);
        let (cwd, argv) = launch.map(|launch| (launch.cwd, launch.argv)).unzip();
        let word = |word: OsString| word.to_string_lossy().into_owned();
        Self {
            agent: Some(record.agent),
            runtime: Some(record.place.runtime),
            cwd: cwd.or(record.real_cwd),
            command: argv.map(|argv| argv.into_iter().map(|one| word(one.0)).collect()),
        }
    }
}

impl Engine {
    /// Loads a peer as declared, or, if the declaration cannot be used, as its files describe it. For verbs that
    /// observe it, end it or send to it.
    ///
    /// # Errors
    /// The peer is not declared and never ran, or another user may have written its spec.
    pub fn known(&self, name: &PeerName) -> Result<Peer> {
        self.peer(name).or_else(|error| self.known_in_spite_of(name, &error).ok_or(error))
    }

    /// Returns the incarnation of one peer that is recorded now. Reads one file.
    ///
    /// # Errors
    /// The peer is not declared, or its record cannot be read.
    pub fn recorded_incarnation(&self, name: &PeerName) -> Result<Option<Incarnation>> {
        Ok(self.known(name)?.files.session()?.present().map(|record| record.incarnation))
    }

    /// Reconstructs a peer that cannot be loaded for this reason. `None` if the reason is one that must stop the verb.
    pub(crate) fn known_in_spite_of(&self, name: &PeerName, error: &EngineError) -> Option<Peer> {
        let unusable = matches!(
            error,
            EngineError::Config(ConfigError::Invalid { .. } | ConfigError::Io { .. })
                | EngineError::Profile { .. }
                | EngineError::NoSuchProfile { .. }
        );
        let files = self.state.peer(name);
        // The user renamed or removed the spec of a peer that has run.
        let was_declared = || matches!(error, EngineError::NoSuchPeer { .. }) && files.has_run();
        if !unusable && !was_declared() {
            return None;
        }
        let known = LastKnown::by(&files);
        let spec = self.readable_spec(name, &known);
        let profile = self.profile_in_any_case(&[Some(&spec.agent), known.agent.as_ref()])?;
        let effective = Effective::of(&spec, &self.settings);
        Some(Peer { name: name.clone(), spec, effective, profile, files, is_declared: false })
    }

    /// Builds a spec from the peer's files and the readable parts of its spec. For a running peer, the record decides
    /// the runtime.
    fn readable_spec(&self, name: &PeerName, known: &LastKnown) -> PeerSpec {
        let base = PeerSpec {
            agent: known.agent.clone().unwrap_or_else(|| ANY.to_owned()),
            command: known.command.clone().unwrap_or_default(),
            cwd: known.cwd.clone().unwrap_or_else(|| PathBuf::from("/")),
            runtime: known.runtime.clone().unwrap_or_default(),
            ..PeerSpec::default()
        };
        let text = self.config.spec_text(name).ok().flatten().unwrap_or_default();
        let spec = PeerSpec::lenient(&text, base);
        let runtime = known.runtime.clone().unwrap_or_else(|| spec.runtime.clone());
        PeerSpec { runtime, ..spec }
    }

    /// Returns the first of these profiles that can be used, from the user's own or the built-in ones.
    fn profile_in_any_case(&self, names: &[Option<&String>]) -> Option<Arc<Profile>> {
        let names = || names.iter().copied().flatten().map(String::as_str).chain([ANY]);
        let usable = names().find_map(|name| self.profile(name).ok());
        usable.or_else(|| names().find_map(Profile::builtin).map(Arc::new))
    }

    /// Checks for anything that would make every start fail, without contacting a runtime.
    ///
    /// # Errors
    /// What is wrong with the peer's spec, profile, directory, program or `env_file`.
    pub(crate) fn check_startable(&self, peer: &Peer) -> Result<()> {
        self.check_declared(peer)?;
        check_before_launch(peer)?;
        self.kept_variables_of(peer).map(drop)
    }

    /// Fails for a peer that was only reconstructed, which must not be started.
    ///
    /// # Errors
    /// What is wrong with its spec or its profile.
    pub(crate) fn check_declared(&self, peer: &Peer) -> Result<()> {
        if peer.is_declared { Ok(()) } else { self.peer(&peer.name).map(drop) }
    }
}
