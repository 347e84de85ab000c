//! Which conversation an agent is in: the id that the agent chose itself, and the conversations that have replaced it
//! since.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use peer_adapters::agent::{ConversationId, Profile};
use peer_adapters::process::{self, ProcessId};
use peer_adapters::transcript::{Files, Run, TranscriptError};

use crate::config::ConfigDir;
use crate::engine::observe::launched::{Launched, with_files};
use crate::engine::observe::process_id;
use crate::engine::{Engine, Peer, Result};
use crate::policy::ending::Incarnation;
use crate::policy::event::EventName;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::policy::turn::Witness;
use crate::store::{
    ConversationEntry, Event, LastEnd, Locked, Marker, Origin, Owners, PeerFiles, SessionRecord, StateDir, StoreError,
};

/// Where to look in an agent's own files.
#[derive(Debug)]
pub struct ConversationFinder {
    profile: Arc<Profile>,
    cwd: PathBuf,
    /// The witness that reported a change of conversation, if one did.
    witness: Option<Witness>,
}

impl ConversationFinder {
    /// A finder for a peer whose spec and profile are already loaded.
    pub fn of(peer: &Peer) -> Self {
        Self { profile: Arc::clone(&peer.profile), cwd: peer.spec.cwd.clone(), witness: None }
    }

    /// Returns the same finder with the witness that reported the change, which the log names.
    #[must_use]
    pub fn reported_by(self, witness: Witness) -> Self {
        Self { witness: Some(witness), ..self }
    }

    /// Loads the spec and profile for the pane process. `None` if either is not usable any more.
    pub fn load(config: &Path, name: &PeerName) -> Option<Self> {
        let config = ConfigDir::new(config);
        let spec = config.spec(name).ok()??;
        let profile = match config.profile_text(&spec.agent).ok()? {
            Some((_, text)) => Profile::parse(&spec.agent, &text).ok()?,
            None => Profile::builtin(&spec.agent)?,
        };
        Some(Self { profile: Arc::new(profile), cwd: spec.cwd, witness: None })
    }

    /// Adds the agent's current conversation to the record and to the peer's list, if it can be determined and is not
    /// recorded yet: the first one, and each one that the user or a message has begun in its place since. Also records
    /// markers by which a later conversation can be found. If the conversation cannot be determined, the record keeps
    /// the known one.
    ///
    /// # Errors
    /// A file of `peer` cannot be read or written. Agent files that show nothing are not an error.
    pub fn find(&self, state: &StateDir, locked: &Locked, record: &mut SessionRecord) -> Result<()> {
        let process_markers = record.process_markers.clone();
        let found = self.look(state, locked.files(), record)?;
        if record.process_markers != process_markers {
            locked.write_session(record)?;
        }
        let Some(id) = found else { return Ok(()) };
        let before = record.conversation.clone();
        let switched = before.is_some() || record.unidentified_since_ms.is_some();
        keep_as(locked, record, &id, SystemTime::now().into(), switched.then_some(Origin::Switched))?;
        let name = locked.files().name();
        let event = match before {
            None => learned(name, record.incarnation, &id),
            Some(before) => {
                // The topics were those of the previous conversation.
                locked.replace_topics(None)?;
                changed(name, record.incarnation, &id).with("previous", before)
            }
        };
        Ok(state.journal().append(&event.with("witness", self.witness.map(Witness::as_str)))?)
    }

    /// Completes the record as [`ConversationFinder::find`] would, but writes nothing.
    ///
    /// # Errors
    /// A file of `peer` cannot be read.
    pub fn preview(&self, state: &StateDir, files: &PeerFiles, record: &mut SessionRecord) -> Result<()> {
        if let Some(id) = self.look(state, files, record)? {
            note(record, id);
        }
        Ok(())
    }

    /// Returns the agent's conversation if it can be determined and is not the recorded one. Adds the markers by which
    /// it can be found later to the record's process markers.
    fn look(&self, state: &StateDir, files: &PeerFiles, record: &mut SessionRecord) -> Result<Option<String>> {
        if self.profile.conversation.id == ConversationId::None {
            return Ok(None);
        }
        let leader = record.process.map(|agent| process_id(agent.id));
        let pids = leader.map(tree).unwrap_or_default();
        let launched = Launched::of(files, record, &self.cwd)?;
        self.add_process_markers(record, &pids, &launched);
        let owners = Others::of(state, files.name());
        let run =
            Run { since: record.written_since().into(), leader, pids: &pids, process_markers: &record.process_markers };
        let found = launched.look(&self.profile, |files| match &record.conversation {
            Some(known) => files.current(&run, known, |id| owners.has(id)),
            None => first(files, &run, |id| owners.has(id)),
        });
        // Without the other peers' lists the owner of an id is unknown. That is not an error of this peer.
        if let Err(error) = owners.check() {
            tracing::warn!(%error, "whose a conversation is");
            return Ok(None);
        }
        Ok(found.ok().flatten())
    }

    /// Adds the markers of these processes to the record.
    fn add_process_markers(&self, record: &mut SessionRecord, pids: &[u32], launched: &Launched) {
        let process_markers = launched.look(&self.profile, |files| files.process_markers(pids)).unwrap_or_default();
        let is_new =
            |marker: &String| !record.process_markers.contains(marker) && record.conversation.as_ref() != Some(marker);
        let new: Vec<String> = process_markers.into_iter().filter(is_new).collect();
        record.process_markers.extend(new);
        let surplus = record.process_markers.len().saturating_sub(MOST_PROCESS_MARKERS);
        record.process_markers.drain(..surplus);
    }

    /// Returns the conversation of the last incarnation, if it was unknown at the end and can be determined now.
    /// Changes nothing.
    pub fn find_after_exit(
        &self,
        state: &StateDir,
        name: &PeerName,
        last: &LastEnd,
        env: &[(OsString, OsString)],
    ) -> Option<String> {
        let pending = last.pending_conversation.as_ref().filter(|_| last.agent == self.profile.name)?;
        let owners = Others::of(state, name);
        let found = with_files(&self.profile, &self.cwd, env, |files| {
            files.by_markers(pending.woke_at_ms.into(), &pending.process_markers, |id| owners.has(id))
        });
        if let Err(error) = owners.check() {
            tracing::warn!(%error, "whose a conversation is");
            return None;
        }
        found.ok().flatten()
    }
}

/// Returns the conversation of a run for which none is known yet.
fn first(
    files: &Files<'_>,
    run: &Run<'_>,
    taken: impl Fn(&str) -> bool + Copy,
) -> std::result::Result<Option<String>, TranscriptError> {
    match files.discover(run.since, run.pids, taken) {
        // A living agent is found by the conversation that it has open now.
        Ok(None) => files.by_markers(run.since, run.process_markers, taken),
        found => found,
    }
}

/// How many process markers are kept. A process has one or two, and one more for each conversation that the user begins
/// in it.
const MOST_PROCESS_MARKERS: usize = 16;

/// The owners of conversation ids. All lists are read when the first id is checked, which happens once per
/// conversation. If a list cannot be read, every id counts as another peer's.
struct Others<'a> {
    state: &'a StateDir,
    name: &'a PeerName,
    owners: OnceCell<std::result::Result<Owners, StoreError>>,
}

impl<'a> Others<'a> {
    fn of(state: &'a StateDir, name: &'a PeerName) -> Self {
        Self { state, name, owners: OnceCell::new() }
    }

    /// Whether the conversation belongs to another peer. If that is not known, it may.
    fn has(&self, id: &str) -> bool {
        match self.owners.get_or_init(|| self.state.conversation_owners()) {
            Ok(owners) => owners.of(id).is_some_and(|owner| owner != self.name),
            Err(_) => true,
        }
    }

    /// # Errors
    /// A list could not be read, so the ids were not really checked.
    fn check(self) -> Result<()> {
        match self.owners.into_inner() {
            Some(Err(error)) => Err(error.into()),
            Some(Ok(_)) | None => Ok(()),
        }
    }
}

impl Engine {
    /// Returns the conversation that a peer is in, or was in last. Writes nothing.
    ///
    /// # Errors
    /// A file of `peer` cannot be read.
    pub(crate) fn current_conversation(&self, peer: &Peer) -> Result<Option<String>> {
        if let Some(mut record) = peer.files.session()?.present() {
            ConversationFinder::of(peer).preview(&self.state, &peer.files, &mut record)?;
            if record.conversation.is_some() {
                return Ok(record.conversation);
            }
        }
        if peer.files.has(Marker::Adopted)?
            && let Some(adopted) = peer.files.adopted()?
        {
            return Ok(Some(adopted));
        }
        let last = peer.files.end()?.present().and_then(|last| last.conversation);
        Ok(last.or_else(|| Some(peer.files.conversations().ok()?.pop()?.conversation)))
    }

    /// Looks once more for the conversation of an incarnation that ended before its id was known. An id that is found
    /// becomes the one that a resume continues.
    ///
    /// # Errors
    /// A file of `peer` cannot be read or written.
    pub(crate) fn find_late_conversation(&self, peer: &Peer, locked: &Locked) -> Result<()> {
        let Some(last) = peer.files.end()?.present() else { return Ok(()) };
        let Some(id) = self.late_conversation(peer, &last) else { return Ok(()) };
        let incarnation = last.end.incarnation;
        let (at_ms, conversation, agent) = (self.now(), id.clone(), last.agent.clone());
        locked.append_conversation(&ConversationEntry { at_ms, conversation, agent, incarnation, how: None })?;
        locked.note_conversation(last, &id)?;
        self.log(&learned(&peer.name, incarnation, &id))
    }

    /// Returns what [`Engine::find_late_conversation`] would find.
    pub(crate) fn late_conversation(&self, peer: &Peer, last: &LastEnd) -> Option<String> {
        last.pending_conversation.as_ref()?;
        let env = self.agent_environment(peer);
        ConversationFinder::of(peer).find_after_exit(&self.state, &peer.name, last, &env)
    }
}

/// Removes the conversation from the record: another one was begun, and its id is not known yet.
///
/// # Errors
/// The disk is full.
pub fn begin_without_trace(
    state: &StateDir,
    locked: &Locked,
    record: &mut SessionRecord,
    now: Timestamp,
) -> Result<()> {
    record.unidentified_since_ms = Some(now);
    let Some(before) = record.conversation.take() else { return Ok(locked.write_session(record)?) };
    locked.write_session(record)?;
    locked.replace_topics(None)?;
    let name = locked.files().name();
    let event = Event::new(now, EventName::ConversationChanged).peer(name).incarnation(record.incarnation);
    Ok(state.journal().append(&event.with("previous", before))?)
}

fn learned(name: &PeerName, incarnation: Incarnation, id: &str) -> Event {
    let event =
        Event::new(SystemTime::now().into(), EventName::ConversationLearned).peer(name).incarnation(incarnation);
    event.with("conversation", id)
}

pub(crate) fn changed(name: &PeerName, incarnation: Incarnation, id: &str) -> Event {
    let event =
        Event::new(SystemTime::now().into(), EventName::ConversationChanged).peer(name).incarnation(incarnation);
    event.with("conversation", id)
}

/// Records a conversation id: first in the list, where it cannot be lost, then in the record, where it is used.
///
/// # Errors
/// The disk is full. The agent must not be launched with an id that is not kept.
pub fn keep(locked: &Locked, record: &mut SessionRecord, id: &str, now: Timestamp) -> Result<()> {
    keep_as(locked, record, id, now, None)
}

fn keep_as(locked: &Locked, record: &mut SessionRecord, id: &str, now: Timestamp, how: Option<Origin>) -> Result<()> {
    let (conversation, agent) = (id.to_owned(), record.agent.clone());
    let incarnation = record.incarnation;
    locked.append_conversation(&ConversationEntry { at_ms: now, conversation, agent, incarnation, how })?;
    note(record, id.to_owned());
    locked.write_session(record)?;
    Ok(())
}

fn note(record: &mut SessionRecord, id: String) {
    record.process_markers.retain(|marker| *marker != id);
    record.conversation = Some(id);
}

/// Returns the agent and its descendants, parents before their children. Empty if the agent has ended.
pub(crate) fn tree(agent: ProcessId) -> Vec<u32> {
    let lives = process::find(agent).is_ok_and(|found| found.is_some());
    if lives { process::pids_of_tree(agent.pid) } else { Vec::new() }
}
