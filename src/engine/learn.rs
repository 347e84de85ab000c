//! Learning which conversation an agent opened, where it chooses the id itself.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use peer_adapters::agent::{ConversationId, Profile};
use peer_adapters::process;
use peer_adapters::transcript::{Files, TranscriptError};

use super::Result;
use crate::config::ConfigDir;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::store::{ConversationEntry, Event, Launch, Locked, PeerFiles, SessionRecord, StateDir, Stored};

/// What is needed to look into an agent's own files.
#[derive(Debug)]
pub struct Learner {
    profile: Profile,
    cwd: PathBuf,
}

impl Learner {
    /// For a peer whose spec and profile are at hand.
    pub fn new(profile: &Profile, cwd: &Path) -> Self {
        Self { profile: profile.clone(), cwd: cwd.to_owned() }
    }

    /// For the pane process, which has nothing at hand. `None`: the spec or the profile is not usable any more.
    pub fn load(config: &Path, name: &PeerName) -> Option<Self> {
        let config = ConfigDir::new(config);
        let spec = config.spec(name).ok()??;
        let profile = match config.profile_text(&spec.agent).ok()? {
            Some((_, text)) => Profile::parse(&spec.agent, &text).ok()?,
            None => Profile::builtin(&spec.agent)?,
        };
        Some(Self { profile, cwd: spec.cwd })
    }

    /// Puts the conversation into the record and into the peer's list, if it can be told which it is. Nothing happens
    /// where the id is known already or the agent has none.
    ///
    /// # Errors
    /// A file of ours cannot be read or written. That the agent's files do not tell is no error.
    pub fn learn(&self, state: &StateDir, locked: &Locked, record: &mut SessionRecord) -> Result<()> {
        if record.conversation.is_some() || self.profile.conversation.id != ConversationId::Found {
            return Ok(());
        }
        let owners = state.conversation_owners()?;
        let name = locked.files().name();
        let taken = |id: &str| owners.of(id).is_some_and(|owner| owner != name);
        let pids = record.process.map(|agent| tree(agent.id.pid)).unwrap_or_default();
        let env = launch_environment(locked.files(), record)?;
        let found =
            with_files(&self.profile, &self.cwd, &env, |files| files.discover(record.woke_at_ms.into(), &pids, taken));
        if let Ok(Some(id)) = found {
            keep(locked, record, &id, std::time::SystemTime::now().into())?;
            state.journal().append(
                &Event::new(std::time::SystemTime::now().into(), "conversation.learned")
                    .peer(name)
                    .incarnation(record.incarnation)
                    .with("conversation", id),
            )?;
        }
        Ok(())
    }
}

/// Puts an id on record: first where it is never lost, then where it is used.
///
/// # Errors
/// The disk is full; an agent must not be launched with an id that is not kept.
pub fn keep(locked: &Locked, record: &mut SessionRecord, id: &str, now: Timestamp) -> Result<()> {
    locked.append_conversation(&ConversationEntry {
        at_ms: now,
        conversation: id.to_owned(),
        agent: record.agent.clone(),
        incarnation: record.incarnation,
    })?;
    record.conversation = Some(id.to_owned());
    locked.write_session(record)?;
    Ok(())
}

fn tree(pid: u32) -> Vec<u32> {
    process::tree(pid).unwrap_or_default().iter().map(|status| status.id.pid).collect()
}

/// The environment that the agent was launched with; empty when its launch file is gone.
///
/// # Errors
/// The file is there and cannot be read.
pub fn launch_environment(files: &PeerFiles, record: &SessionRecord) -> Result<Vec<(OsString, OsString)>> {
    Ok(match files.launch(record.incarnation)? {
        Stored::Present(Launch { env, .. }) => env.into_iter().map(|(key, value)| (key.0, value.0)).collect(),
        Stored::Absent | Stored::Corrupt(_) => Vec::new(),
    })
}

/// Looks into the agent's own files, where the agent itself would find them: `env` is its environment.
pub fn with_files<T>(
    profile: &Profile,
    cwd: &Path,
    env: &[(OsString, OsString)],
    look: impl FnOnce(&Files<'_>) -> T,
) -> T {
    let lookup = |name: &str| env.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let home = lookup("HOME").map(PathBuf::from).unwrap_or_default();
    // Agents name their files after the real path; a directory that is gone has no other than the one on record.
    let real = std::fs::canonicalize(cwd).unwrap_or_else(|_| cwd.to_owned());
    look(&Files { profile, home: &home, env: &lookup, cwd: &real })
}

/// Not being able to read an agent's files is worth a notice, never a failure of the verb.
pub fn tell(error: &TranscriptError) -> String {
    format!("the agent's own files could not be read: {error}")
}
