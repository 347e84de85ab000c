//! Which conversation an agent is in: the one that it chose itself, and the one that took its place since.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use peer_adapters::agent::{ConversationId, Profile};
use peer_adapters::process::{self, ProcessId};
use peer_adapters::transcript::{Files, Run, TranscriptError};

use crate::config::ConfigDir;
use crate::engine::observe::process_id;
use crate::engine::{Engine, Peer, Result};
use crate::policy::ending::Incarnation;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::policy::turn::Witness;
use crate::store::{
    ConversationEntry, Event, LastEnd, Launch, Locked, Owners, PeerFiles, SessionRecord, StateDir, StoreError, Stored,
};

/// What is needed to look into an agent's own files.
#[derive(Debug)]
pub struct Learner {
    profile: Profile,
    cwd: PathBuf,
    /// Who said that the conversation may be another, where somebody did.
    witness: Option<Witness>,
}

impl Learner {
    /// For a peer whose spec and profile are at hand.
    pub fn new(profile: &Profile, cwd: &Path) -> Self {
        Self { profile: profile.clone(), cwd: cwd.to_owned(), witness: None }
    }

    /// The same at the word of somebody, which the log then names.
    #[must_use]
    pub fn told_by(self, witness: Witness) -> Self {
        Self { witness: Some(witness), ..self }
    }

    /// For the pane process, which has nothing at hand. `None`: the spec or the profile is not usable any more.
    pub fn load(config: &Path, name: &PeerName) -> Option<Self> {
        let config = ConfigDir::new(config);
        let spec = config.spec(name).ok()??;
        let profile = match config.profile_text(&spec.agent).ok()? {
            Some((_, text)) => Profile::parse(&spec.agent, &text).ok()?,
            None => Profile::builtin(&spec.agent)?,
        };
        Some(Self { profile, cwd: spec.cwd, witness: None })
    }

    /// Puts the conversation that the agent is in into the record and into the peer's list, where it can be told and is not on
    /// record: the first one, and each one that a person or a message has begun in its place since. Beside it, what another
    /// one can be told by later. Where it cannot be told, what is known stays.
    ///
    /// # Errors
    /// A file of ours cannot be read or written. That the agent's files do not tell is no error.
    pub fn learn(&self, state: &StateDir, locked: &Locked, record: &mut SessionRecord) -> Result<()> {
        let traces = record.traces.clone();
        let found = self.look(state, locked.files(), record)?;
        if record.traces != traces {
            locked.write_session(record)?;
        }
        let Some(id) = found else { return Ok(()) };
        let before = record.conversation.clone();
        keep(locked, record, &id, SystemTime::now().into())?;
        let name = locked.files().name();
        let event = match before {
            None => learned(name, record.incarnation, &id),
            Some(before) => {
                // They were those of the conversation before.
                locked.replace_topics(None)?;
                changed(name, record.incarnation, &id).with("previous", before)
            }
        };
        Ok(state.journal().append(&event.with("witness", self.witness.map(Witness::as_str)))?)
    }

    /// Completes the record as [`Learner::learn`] would, and writes nothing.
    ///
    /// # Errors
    /// A file of ours cannot be read.
    pub fn foresee(&self, state: &StateDir, files: &PeerFiles, record: &mut SessionRecord) -> Result<()> {
        if let Some(id) = self.look(state, files, record)? {
            note(record, id);
        }
        Ok(())
    }

    /// The conversation of a record where it is another than the one on it, if it can be told; what it can be told by later is
    /// added to its traces.
    fn look(&self, state: &StateDir, files: &PeerFiles, record: &mut SessionRecord) -> Result<Option<String>> {
        if self.profile.conversation.id == ConversationId::None {
            return Ok(None);
        }
        let leader = record.process.map(|agent| process_id(agent.id));
        let pids = leader.map(tree).unwrap_or_default();
        let launched = Launched::of(files, record, &self.cwd)?;
        self.add_traces(record, &pids, &launched);
        let owners = Others::of(state, files.name());
        let run = Run { since: record.written_since().into(), leader, pids: &pids, traces: &record.traces };
        let found = launched.look(&self.profile, |files| match &record.conversation {
            Some(known) => files.current(&run, known, |id| owners.own(id)),
            None => first(files, &run, |id| owners.own(id)),
        });
        // Whose an id is cannot be told while another peer's list cannot be read; that peer's trouble is not this one's.
        if let Err(error) = owners.check() {
            tracing::warn!(%error, "whose a conversation is");
            return Ok(None);
        }
        Ok(found.ok().flatten())
    }

    /// Adds what marks these processes.
    fn add_traces(&self, record: &mut SessionRecord, pids: &[u32], launched: &Launched) {
        let traces = launched.look(&self.profile, |files| files.traces(pids)).unwrap_or_default();
        let is_new = |trace: &String| !record.traces.contains(trace) && record.conversation.as_ref() != Some(trace);
        let new: Vec<String> = traces.into_iter().filter(is_new).collect();
        record.traces.extend(new);
        let surplus = record.traces.len().saturating_sub(MOST_TRACES);
        record.traces.drain(..surplus);
    }

    /// The conversation of the last incarnation, where it was not known at its end and can be told now. Changes nothing.
    ///
    /// # Errors
    /// The state directory cannot be read.
    pub fn late(
        &self,
        state: &StateDir,
        name: &PeerName,
        last: &LastEnd,
        env: &[(OsString, OsString)],
    ) -> Result<Option<String>> {
        let Some(unlearned) = last.unlearned.as_ref().filter(|_| last.agent == self.profile.name) else {
            return Ok(None);
        };
        let owners = Others::of(state, name);
        let found = with_files(&self.profile, &self.cwd, env, |files| {
            files.traced(unlearned.woke_at_ms.into(), &unlearned.traces, |id| owners.own(id))
        });
        if let Err(error) = owners.check() {
            tracing::warn!(%error, "whose a conversation is");
            return Ok(None);
        }
        Ok(found.ok().flatten())
    }
}

/// The conversation of a run of which none is known yet.
fn first(
    files: &Files<'_>,
    run: &Run<'_>,
    taken: impl Fn(&str) -> bool + Copy,
) -> std::result::Result<Option<String>, TranscriptError> {
    match files.discover(run.since, run.pids, taken) {
        // Whoever lives says which conversation is on its screen now.
        Ok(None) => files.traced(run.since, run.traces, taken),
        found => found,
    }
}

/// How many traces are kept: a process has one or two, and one more for each conversation that a person begins in it.
const MOST_TRACES: usize = 16;

/// Which ids belong to other peers. The lists of all are read when the first id is asked about, which is once a
/// conversation; a list that cannot be read makes every id somebody else's.
struct Others<'a> {
    state: &'a StateDir,
    name: &'a PeerName,
    owners: OnceCell<std::result::Result<Owners, StoreError>>,
}

impl<'a> Others<'a> {
    fn of(state: &'a StateDir, name: &'a PeerName) -> Self {
        Self { state, name, owners: OnceCell::new() }
    }

    fn own(&self, id: &str) -> bool {
        match self.owners.get_or_init(|| self.state.conversation_owners()) {
            Ok(owners) => owners.of(id).is_some_and(|owner| owner != self.name),
            Err(_) => true,
        }
    }

    /// # Errors
    /// A list could not be read: what was found was not judged.
    fn check(self) -> Result<()> {
        match self.owners.into_inner() {
            Some(Err(error)) => Err(error.into()),
            Some(Ok(_)) | None => Ok(()),
        }
    }
}

impl Engine {
    /// Looks once more for the conversation of an incarnation that ended before its agent's files told it. An id that is
    /// found takes its place as the one that a resume continues.
    ///
    /// # Errors
    /// A file of ours cannot be read or written.
    pub(crate) fn learn_late(&self, peer: &Peer, locked: &Locked) -> Result<()> {
        let Some(last) = peer.files.end()?.present() else { return Ok(()) };
        let Some(id) = self.late_conversation(peer, &last)? else { return Ok(()) };
        let incarnation = last.end.incarnation;
        let (conversation, agent) = (id.clone(), last.agent.clone());
        locked.append_conversation(&ConversationEntry { at_ms: self.now(), conversation, agent, incarnation })?;
        locked.note_conversation(last, &id)?;
        self.log(&learned(&peer.name, incarnation, &id))
    }

    /// What [`Engine::learn_late`] would find.
    ///
    /// # Errors
    /// The state directory cannot be read.
    pub(crate) fn late_conversation(&self, peer: &Peer, last: &LastEnd) -> Result<Option<String>> {
        if last.unlearned.is_none() {
            return Ok(None);
        }
        let env = self.agent_environment(peer);
        Learner::new(&peer.profile, &peer.spec.cwd).late(&self.state, &peer.name, last, &env)
    }
}

/// Takes the conversation off the record: another one was begun, of which nothing tells yet.
///
/// # Errors
/// The disk is full.
pub fn begin_untold(state: &StateDir, locked: &Locked, record: &mut SessionRecord, now: Timestamp) -> Result<()> {
    record.begun_at_ms = Some(now);
    let Some(before) = record.conversation.take() else { return Ok(locked.write_session(record)?) };
    locked.write_session(record)?;
    locked.replace_topics(None)?;
    let name = locked.files().name();
    let event = Event::new(now, "conversation.changed").peer(name).incarnation(record.incarnation);
    Ok(state.journal().append(&event.with("previous", before))?)
}

fn learned(name: &PeerName, incarnation: Incarnation, id: &str) -> Event {
    let event = Event::new(SystemTime::now().into(), "conversation.learned").peer(name).incarnation(incarnation);
    event.with("conversation", id)
}

fn changed(name: &PeerName, incarnation: Incarnation, id: &str) -> Event {
    let event = Event::new(SystemTime::now().into(), "conversation.changed").peer(name).incarnation(incarnation);
    event.with("conversation", id)
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
    note(record, id.to_owned());
    locked.write_session(record)?;
    Ok(())
}

fn note(record: &mut SessionRecord, id: String) {
    record.traces.retain(|trace| *trace != id);
    record.conversation = Some(id);
}

/// The agent and those below it, children behind their parents; nobody where its number is another's by now.
fn tree(agent: ProcessId) -> Vec<u32> {
    let mut tree = Vec::new();
    if process::find(agent).is_ok_and(|found| found.is_some()) {
        tree.push(agent.pid);
    }
    let mut next = 0;
    while next < tree.len() {
        // One that ends while it is looked at has no children.
        let children = process::children(tree[next]).unwrap_or_default();
        tree.extend(children.iter().map(|status| status.id.pid));
        next += 1;
    }
    tree
}

/// Where and with what an agent was launched: that says where its own files are.
#[derive(Debug)]
pub struct Launched {
    env: Vec<(OsString, OsString)>,
    real_cwd: PathBuf,
}

impl Launched {
    /// That of an incarnation on record. `declared` is the directory in its spec, for a record of an older version.
    ///
    /// # Errors
    /// Its launch file is there and cannot be read.
    pub fn of(files: &PeerFiles, record: &SessionRecord, declared: &Path) -> Result<Self> {
        let env = launch_environment(files, record)?;
        Ok(Self { env, real_cwd: record.real_cwd.clone().unwrap_or_else(|| real(declared)) })
    }

    /// Whether its launch file told; one that is gone leaves no environment.
    pub const fn is_known(&self) -> bool {
        !self.env.is_empty()
    }

    /// Looks into the agent's own files.
    pub fn look<T>(&self, profile: &Profile, look: impl FnOnce(&Files<'_>) -> T) -> T {
        in_files(profile, &self.real_cwd, &self.env, look)
    }
}

/// Agents name their files after the real path; a directory that is gone has no other than the one on record.
pub fn real(cwd: &Path) -> PathBuf {
    std::fs::canonicalize(cwd).unwrap_or_else(|_| cwd.to_owned())
}

/// The environment that the agent was launched with; empty when its launch file is gone.
///
/// # Errors
/// The file is there and cannot be read.
fn launch_environment(files: &PeerFiles, record: &SessionRecord) -> Result<Vec<(OsString, OsString)>> {
    Ok(match files.launch(record.incarnation)? {
        Stored::Present(Launch { env, .. }) => env.into_iter().map(|(key, value)| (key.0, value.0)).collect(),
        Stored::Absent | Stored::Corrupt(_) => Vec::new(),
    })
}

/// Looks into the agent's own files, where one that is started now would find them: `env` is its environment.
pub fn with_files<T>(
    profile: &Profile,
    cwd: &Path,
    env: &[(OsString, OsString)],
    look: impl FnOnce(&Files<'_>) -> T,
) -> T {
    let keeps_files = profile.conversation.transcript.is_some();
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

/// Not being able to read an agent's files is worth a notice, never a failure of the verb.
pub fn tell(error: &TranscriptError) -> String {
    format!("the agent's own files could not be read: {error}")
}
