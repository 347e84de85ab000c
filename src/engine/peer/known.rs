//! A peer whose spec or whose agent's profile cannot be used, as its files and what can be read of its spec still tell of it.
//!
//! A slip of the pen in a spec must not lock anybody out while an agent runs. Whatever looks, ends or delivers goes by the
//! record; what would be started needs the spec, and is refused with what is wrong with it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use peer_adapters::agent::Profile;

use crate::config::{ConfigError, Effective, PeerSpec};
use crate::engine::life::launch::check_before_launch;
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::name::PeerName;
use crate::store::{Launch, PeerFiles, Stored};

/// The profile of any command: how to end it is known of each.
const ANY: &str = "command";

/// What the files tell of where and what a peer is.
#[derive(Debug, Default)]
struct Told {
    agent: Option<String>,
    runtime: Option<String>,
    cwd: Option<PathBuf>,
    command: Option<Vec<String>>,
}

impl Told {
    fn by(files: &PeerFiles) -> Self {
        // What cannot be read tells nothing.
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
    /// A peer as it is declared, or where that cannot be used as its files tell of it: for whoever looks at it, ends it or
    /// speaks to it.
    ///
    /// # Errors
    /// Nobody declared it and it never ran, or somebody else may have written its spec.
    pub fn known(&self, name: &PeerName) -> Result<Peer> {
        self.peer(name).or_else(|error| self.known_in_spite_of(name, &error).ok_or(error))
    }

    /// What is known of a peer that cannot be loaded for this reason; `None` where that is no reason to go on.
    pub(crate) fn known_in_spite_of(&self, name: &PeerName, error: &EngineError) -> Option<Peer> {
        let unusable = matches!(
            error,
            EngineError::Config(ConfigError::Invalid { .. } | ConfigError::Io { .. })
                | EngineError::Profile { .. }
                | EngineError::NoSuchProfile { .. }
        );
        let files = self.state.peer(name);
        // One whose spec was renamed or removed by hand, and that ran.
        let was_declared = || matches!(error, EngineError::NoSuchPeer { .. }) && files.has_run();
        if !unusable && !was_declared() {
            return None;
        }
        let told = Told::by(&files);
        let spec = self.legible(name, &told);
        let profile = self.profile_in_any_case(&[Some(&spec.agent), told.agent.as_ref()])?;
        let effective = Effective::of(&spec, &self.settings);
        Some(Peer { name: name.clone(), spec, effective, profile, files, is_declared: false })
    }

    /// A spec of what its files tell and what can be read of its text. Where it runs its record knows best.
    fn legible(&self, name: &PeerName, told: &Told) -> PeerSpec {
        let base = PeerSpec {
            agent: told.agent.clone().unwrap_or_else(|| ANY.to_owned()),
            command: told.command.clone().unwrap_or_default(),
            cwd: told.cwd.clone().unwrap_or_else(|| PathBuf::from("/")),
            runtime: told.runtime.clone().unwrap_or_default(),
            ..PeerSpec::default()
        };
        let text = self.config.spec_text(name).ok().flatten().unwrap_or_default();
        let spec = PeerSpec::legible(&text, base);
        let runtime = told.runtime.clone().unwrap_or_else(|| spec.runtime.clone());
        PeerSpec { runtime, ..spec }
    }

    /// The first of these profiles that can be used, as it is or as it is built in.
    fn profile_in_any_case(&self, names: &[Option<&String>]) -> Option<Arc<Profile>> {
        let names = || names.iter().copied().flatten().map(String::as_str).chain([ANY]);
        let usable = names().find_map(|name| self.profile(name).ok());
        usable.or_else(|| names().find_map(Profile::builtin).map(Arc::new))
    }

    /// What would make each start fail, without a look at any runtime.
    ///
    /// # Errors
    /// What is wrong with its spec, its profile, its directory, its program or its `env_file`.
    pub(crate) fn check_startable(&self, peer: &Peer) -> Result<()> {
        self.check_declared(peer)?;
        check_before_launch(peer)?;
        self.kept_variables(&peer.spec).map(drop)
    }

    /// What keeps a peer from being started that is only known.
    ///
    /// # Errors
    /// What is wrong with its spec or its profile.
    pub(crate) fn check_declared(&self, peer: &Peer) -> Result<()> {
        if peer.is_declared { Ok(()) } else { self.peer(&peer.name).map(drop) }
    }
}
