//! A declared peer, with everything that its spec leads to.

mod caller;
pub mod deaths;
pub mod environment;
pub mod kept;
mod known;
mod manager;
pub mod requester;
pub mod runtimes;
pub mod undeclared;
pub(crate) mod versions;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use peer_adapters::agent::{self, Profile};
use peer_adapters::nearest;
use peer_adapters::runtime::Key;
use peer_adapters::screen::{self, DialogView};

use super::{Engine, EngineError, Result};
use crate::config::{Effective, PeerSpec};
use crate::policy::health::HealthPolicy;
use crate::policy::name::PeerName;
use crate::store::PeerFiles;

/// How long a dialog must stay unchanged before a key is pressed. What is drawn is not yet what Enter means: Claude Code
/// 2.1.328 on a loaded machine applied an Enter to the row that was chosen one frame before, and ended.
pub(crate) const DIALOG_SETTLE: Duration = Duration::from_millis(300);

/// A declared peer.
#[derive(Debug)]
pub struct Peer {
    /// The peer's name.
    pub name: PeerName,
    /// The spec as the user wrote it.
    pub spec: PeerSpec,
    /// The spec with all defaults applied.
    pub effective: Effective,
    /// How its agent works.
    pub profile: Arc<Profile>,
    /// The peer's files in the state directory.
    pub files: PeerFiles,
    /// Whether this is what the spec declares. Otherwise the spec cannot be used and this is reconstructed: nothing is
    /// started from it.
    pub is_declared: bool,
}

impl Peer {
    /// Returns how long a start may take until its agent is ready: the time in its spec, else that of its profile.
    pub fn ready_timeout(&self) -> Duration {
        self.effective.ready_timeout.value.unwrap_or(self.profile.ready.timeout)
    }

    /// Returns what the spec says about restarts.
    pub(crate) fn health_policy(&self) -> HealthPolicy {
        HealthPolicy { restart: self.effective.restart.value, max_restarts: self.effective.max_restarts.value }
    }

    /// Whether the spec lets `peer` answer this dialog.
    pub fn accepts(&self, dialog: &DialogView) -> bool {
        !dialog.needs_person && self.effective.accept.value.contains(&dialog.id)
    }

    /// Returns the key to press next in a dialog that the spec accepts.
    pub fn key_for(&self, dialog: &DialogView) -> Option<Key> {
        if self.accepts(dialog) { screen::next_key(dialog) } else { None }
    }
}

impl Engine {
    /// Loads a peer: its spec and its agent's profile.
    ///
    /// # Errors
    /// The peer is not declared, or one of the two files is wrong.
    pub fn peer(&self, name: &PeerName) -> Result<Peer> {
        self.peer_with(name, |agent| self.profile(agent))
    }

    /// Loads many peers; a profile that several share is looked up once.
    pub(crate) fn peers<'a>(&'a self, names: &'a [PeerName]) -> impl Iterator<Item = Result<Peer>> + 'a {
        let mut known = HashMap::<String, Arc<Profile>>::new();
        names.iter().map(move |name| {
            self.peer_with(name, |agent| {
                if let Some(profile) = known.get(agent) {
                    return Ok(Arc::clone(profile));
                }
                let profile = self.profile(agent)?;
                known.insert(agent.to_owned(), Arc::clone(&profile));
                Ok(profile)
            })
        })
    }

    fn peer_with(&self, name: &PeerName, profile: impl FnOnce(&str) -> Result<Arc<Profile>>) -> Result<Peer> {
        let Some(spec) = self.config.spec(name)? else { return Err(self.no_such_peer(name)) };
        let profile = profile(&spec.agent).map_err(|error| self.in_spec(name, error))?;
        let accepted = spec.accept.as_deref().unwrap_or_default();
        if let Err((wrong, problem, hint)) = check_accepted(&spec.agent, &profile, accepted) {
            return Err(self
                .config
                .invalid_spec_value(name, "accept", format!("{wrong:?}: {problem}"), Some(hint))
                .into());
        }
        if let Err((problem, hint)) = check_mcp(&spec, &profile) {
            return Err(self.config.invalid_spec_value(name, "mcp", problem, Some(hint.to_owned())).into());
        }
        Ok(self.declared(name, spec, profile))
    }

    /// Returns the peer as it would be with this spec.
    ///
    /// # Errors
    /// As [`Engine::profile`].
    pub(crate) fn as_declared(&self, name: &PeerName, spec: PeerSpec) -> Result<Peer> {
        let profile = self.profile(&spec.agent)?;
        Ok(self.declared(name, spec, profile))
    }

    fn declared(&self, name: &PeerName, spec: PeerSpec, profile: Arc<Profile>) -> Peer {
        let effective = Effective::of(&spec, &self.settings);
        Peer { name: name.clone(), spec, effective, profile, files: self.state.peer(name), is_declared: true }
    }

    /// Turns an unknown profile into a mistake in the spec that names it.
    fn in_spec(&self, name: &PeerName, error: EngineError) -> EngineError {
        let EngineError::NoSuchProfile { nearest, .. } = &error else { return error };
        let hint =
            nearest.as_ref().map_or("peer agents lists them".to_owned(), |near| format!("did you mean {near:?}?"));
        self.config.invalid_spec_value(name, "agent", error.to_string(), Some(hint)).into()
    }

    /// Returns the error for a name that is not declared, with the most similar name and whether `peer restore` has it.
    pub fn no_such_peer(&self, name: &PeerName) -> EngineError {
        let names = self.config.names().unwrap_or_default();
        let nearest = nearest(name.as_str(), names.iter().map(PeerName::as_str)).map(str::to_owned);
        // A trash that cannot be listed restores nothing.
        let removed = self.state.trashed().unwrap_or_default().iter().any(|trashed| trashed.peer == *name);
        EngineError::NoSuchPeer { peer: name.clone(), nearest, removed }
    }

    /// Returns a profile by name: the user's own first, then the built-in one.
    ///
    /// # Errors
    /// There is no profile of that name, or the user's own is wrong.
    pub fn profile(&self, name: &str) -> Result<Arc<Profile>> {
        let own = self.config.profile_text(name)?;
        let text = own.as_ref().map(|(_, text)| text.as_str());
        if let Some(known) = self.profiles.get(name, text) {
            return Ok(known);
        }
        let profile = match &own {
            Some((path, text)) => Profile::parse(name, text)
                .map_err(|source| EngineError::Profile { path: path.clone(), source: Box::new(source) })?,
            None => Profile::builtin(name).ok_or_else(|| self.no_such_profile(name))?,
        };
        Ok(self.profiles.keep(name, text, profile))
    }

    fn no_such_profile(&self, name: &str) -> EngineError {
        let own = self.config.profile_names().unwrap_or_default();
        let known = agent::BUILTIN.iter().map(|(name, _)| *name).chain(own.iter().map(String::as_str));
        EngineError::NoSuchProfile { name: name.to_owned(), nearest: nearest(name, known).map(str::to_owned) }
    }
}

/// Checks that the profile knows each accepted dialog, and allows a program to answer it. The error is the wrong id,
/// the problem, and a hint.
pub(crate) fn check_accepted(
    agent: &str,
    profile: &Profile,
    accepted: &[String],
) -> std::result::Result<(), (String, String, String)> {
    let can_be: Vec<&str> = profile.dialog.iter().filter(|one| !one.needs_person).map(|one| one.id.as_str()).collect();
    let Some(wrong) = accepted.iter().find(|id| !can_be.contains(&id.as_str())) else { return Ok(()) };
    let problem = if profile.dialog.iter().any(|one| one.id == *wrong) {
        format!("this dialog of {agent} needs a person's answer")
    } else {
        format!("{agent} has no dialog of this name")
    };
    let hint = match (nearest(wrong, can_be.iter().copied()), can_be.is_empty()) {
        (Some(near), _) => format!("did you mean {near}?"),
        (None, false) => format!("of its dialogs these can be accepted: {}", can_be.join(", ")),
        (None, true) => "none of its dialogs can be accepted".to_owned(),
    };
    Err((wrong.clone(), problem, hint))
}

/// Checks that the agent takes an MCP server for one launch, if the spec wants it to get ours. Returns the problem and a hint.
pub(crate) fn check_mcp(spec: &PeerSpec, profile: &Profile) -> std::result::Result<(), (String, &'static str)> {
    if !spec.mcp {
        return Ok(());
    }
    if !cfg!(feature = "mcp") {
        let problem = "this build has no MCP server".to_owned();
        return Err((problem, "remove it, or use a build with the feature mcp"));
    }
    let hint = "remove it; the agent's own settings can name a server with the command `peer mcp`";
    profile
        .mcp
        .is_some()
        .then_some(())
        .ok_or_else(|| (format!("{} takes no MCP server for one launch", spec.agent), hint))
}

/// Parsed profiles by name. A fleet of a thousand peers has a handful of them, and parsing one compiles its patterns.
///
/// An entry is valid for the text that it was parsed from, so `peer watch` notices an edited profile.
#[derive(Debug, Default)]
pub(crate) struct Profiles(Mutex<HashMap<String, Parsed>>);

/// The text that a profile was parsed from (`None` for a built-in one), and the profile.
type Parsed = (Option<String>, Arc<Profile>);

impl Profiles {
    fn get(&self, name: &str, text: Option<&str>) -> Option<Arc<Profile>> {
        let known = self.0.lock().expect("no holder of this lock panics");
        known.get(name).filter(|(of, _)| of.as_deref() == text).map(|(_, profile)| Arc::clone(profile))
    }

    fn keep(&self, name: &str, text: Option<&str>, profile: Profile) -> Arc<Profile> {
        let profile = Arc::new(profile);
        let entry = (text.map(str::to_owned), Arc::clone(&profile));
        self.0.lock().expect("no holder of this lock panics").insert(name.to_owned(), entry);
        profile
    }
}
