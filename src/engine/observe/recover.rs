//! Recovery of a living session without a record: its record was corrupt and set aside, or the record or the whole
//! state directory was removed, or replaced by an older one.
//!
//! A peer without a record counts as not awake, and the next wake would start a second agent beside the first. So a
//! pane process holds a name in the kernel that no file operation can take away ([`presence_name`]). If that name is
//! held and there is no record, the pane process is found by its arguments, which are unique, and the contents of the
//! record are reconstructed from it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use peer_adapters::{presence, process};

use crate::engine::observe::fleet_observation::UntrackedSession;
use crate::engine::observe::{fleet_number, recorded, recorded_host, target_of_row};
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::ending::Incarnation;
use crate::policy::event::EventName;
use crate::policy::name::PeerName;
use crate::policy::wake::Refusal;
use crate::store::{ConversationEntry, Event, Locked, Place, SessionRecord, Stored};

mod found;

use found::Pane;

/// Up to this many names are queried one by one, for some 5 µs each. Reading the kernel's whole table costs about 1 µs
/// per line, with one line for each agent that is awake; for a few names, that would be noticeable in the tick of a
/// thousand peers.
const FEW: usize = 64;

/// Returns the name that a peer's pane process holds while its agent is alive.
pub fn presence_name(state: &Path, peer: &PeerName) -> String {
    format!("{}{peer}", presence_root(state))
}

/// Returns the prefix of all names of one state directory; two directories on one machine must not share it.
fn presence_root(state: &Path) -> String {
    format!("peer/{:016x}/", fleet_number(state))
}

/// Returns the incarnation of this peer, other than `own`, whose pane process has a living agent.
///
/// # Errors
/// The process table cannot be read.
pub fn living_rival(state: &Path, name: &PeerName, own: Incarnation) -> Result<Option<Incarnation>> {
    for (status, arguments) in process::with_first_arguments(&["pane".as_ref(), state.as_os_str()])? {
        if let Some((of, pane)) = Pane::of(status, &arguments)
            && (of == *name && pane.incarnation != own)
            && pane.agent()?.is_some()
        {
            return Ok(Some(pane.incarnation));
        }
    }
    Ok(None)
}

impl Engine {
    /// Returns the recorded incarnation, under the lock. Files that do not parse are set aside, and a lost record is
    /// reconstructed if its agent still runs. Without a record this costs one directory listing and some microseconds.
    ///
    /// # Errors
    /// A file cannot be read or moved, or the process table cannot be read; [`EngineError::Refused`] if what was
    /// launched without a record is on another machine or in another pid namespace.
    pub(crate) fn on_record(&self, peer: &Peer, locked: &Locked) -> Result<Option<SessionRecord>> {
        self.quarantine_corrupt(locked)?;
        if let Some(record) = peer.files.session()?.present() {
            return Ok(Some(record));
        }
        let launched = peer.files.launched()?;
        if launched.is_empty() && !self.may_run(&peer.name)? {
            return Ok(None);
        }
        if let Some((_, owner)) = self.launched_elsewhere(peer)? {
            return Err(EngineError::Refused {
                peer: peer.name.clone(),
                verb: "wake",
                refusal: Refusal::Elsewhere { owner },
            });
        }
        let panes = self.panes()?.remove(&peer.name).unwrap_or_default();
        for pane in &panes {
            // The record would contain what the spec declares, so the spec must be usable.
            self.check_declared(peer)?;
            if let Some(record) = self.take_up(peer, locked, pane)? {
                return Ok(Some(record));
            }
        }
        // These starts never completed, and their files contain an environment that must not be kept.
        for (incarnation, _) in launched.iter().filter(|(n, _)| panes.iter().all(|pane| pane.incarnation != *n)) {
            locked.remove_pane_files(*incarnation)?;
        }
        Ok(None)
    }

    /// Whether walking over all processes to find a pane process of this peer is worthwhile.
    fn may_run(&self, name: &PeerName) -> Result<bool> {
        match presence::is_held(&presence_name(self.state.root(), name)) {
            Ok(held) => Ok(held || !self.state.has_launched()),
            // If the kernel has no such names, only a peer that never ended is searched for.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                Ok(self.state.peer(name).end()?.present().is_none())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Returns which of these peers, none of which has a record, run anyway. For display, and for a second check under
    /// the lock.
    ///
    /// # Errors
    /// The kernel could not be queried.
    pub(crate) fn running(&self, asleep: &[&PeerName]) -> Result<BTreeSet<PeerName>> {
        if asleep.is_empty() {
            return Ok(BTreeSet::new());
        }
        let held = if self.state.has_launched() { self.held(asleep) } else { Err(io::ErrorKind::Unsupported.into()) };
        match held {
            Ok(names) => Ok(names),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(self.panes()?.into_keys().collect()),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the peers whose names are held: one query per name for a few names, one read of the whole table for
    /// many.
    fn held(&self, asleep: &[&PeerName]) -> io::Result<BTreeSet<PeerName>> {
        if asleep.len() > FEW {
            let root = presence_root(self.state.root());
            let names = presence::names(&root)?;
            return Ok(names.iter().filter_map(|name| name.strip_prefix(&root)?.parse().ok()).collect());
        }
        let mut held = BTreeSet::new();
        for name in asleep {
            if presence::is_held(&presence_name(self.state.root(), name))? {
                held.insert((*name).clone());
            }
        }
        Ok(held)
    }

    /// Reconstructs the record of a peer that has none, for a view. Only reads.
    ///
    /// # Errors
    /// The process table cannot be read.
    pub(crate) fn unrecorded(&self, peer: &Peer) -> Result<Option<SessionRecord>> {
        if !self.may_run(&peer.name)? {
            return Ok(None);
        }
        let panes = self.panes()?.remove(&peer.name).unwrap_or_default();
        for pane in &panes {
            if let Some(record) = self.rebuild(peer, pane)? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Whether this peer runs although it has no record. For a view of this peer alone.
    ///
    /// # Errors
    /// The process table or its record cannot be read.
    pub(crate) fn is_unrecorded(&self, peer: &Peer) -> Result<bool> {
        // The record is checked last: a peer that is being started has a record before it has a pane process.
        Ok(self.may_run(&peer.name)? && self.panes()?.contains_key(&peer.name) && self.has_no_record(&peer.name))
    }

    /// Whether there is no record now. One that does not parse is none: the next command that takes the lock sets it aside.
    pub(crate) fn has_no_record(&self, name: &PeerName) -> bool {
        matches!(self.state.peer(name).session(), Ok(Stored::Absent | Stored::Corrupt(_)))
    }

    /// Returns the pane processes of this state directory, each peer's newest first. Costs one walk over all processes.
    ///
    /// # Errors
    /// The process table cannot be read.
    pub(crate) fn panes(&self) -> Result<BTreeMap<PeerName, Vec<Pane>>> {
        let mut panes = BTreeMap::<PeerName, Vec<Pane>>::new();
        for (status, arguments) in process::with_first_arguments(&["pane".as_ref(), self.state.root().as_os_str()])? {
            if let Some((name, pane)) = Pane::of(status, &arguments) {
                panes.entry(name).or_default().push(pane);
            }
        }
        for panes in panes.values_mut() {
            panes.sort_unstable_by_key(|pane| std::cmp::Reverse(pane.incarnation));
        }
        Ok(panes)
    }

    /// Writes the reconstructed record of a living incarnation, with its launch file and its conversation. `None` if no
    /// agent runs under its pane process.
    fn take_up(&self, peer: &Peer, locked: &Locked, pane: &Pane) -> Result<Option<SessionRecord>> {
        let Some(mut record) = self.rebuild(peer, pane)? else { return Ok(None) };
        if peer.files.launch(record.incarnation)?.present().is_none()
            && let Some(launch) = self.relaunch(peer, &record)?
        {
            locked.write_launch(record.incarnation, &launch)?;
        }
        locked.write_session(&record)?;
        if let Some(conversation) = record.conversation.clone() {
            let agent = record.agent.clone();
            let (at_ms, incarnation) = (self.now(), record.incarnation);
            locked.append_conversation(&ConversationEntry { at_ms, conversation, agent, incarnation, how: None })?;
        }
        crate::engine::observe::conversation::ConversationFinder::of(peer).find(&self.state, locked, &mut record)?;
        let event =
            Event::new(self.now(), EventName::SessionRecovered).peer(&peer.name).incarnation(record.incarnation);
        self.log(&event.with("conversation", record.conversation.clone()))?;
        self.progress.notice(&format!("{}: its record was lost and its agent still runs; it is kept", peer.name));
        Ok(Some(record))
    }

    /// Clears a session of this peer that is not the recorded one. A dead pane is removed. The agent of a living one is
    /// ended with the ladder first, or, if nothing newer is recorded, its record is reconstructed instead. Returns
    /// whether anything was done. A pane process without an agent is left alone: it waits for the lock, and exits at
    /// the fence.
    ///
    /// # Errors
    /// As [`Engine::end`].
    pub(crate) async fn clear_untracked(
        &self,
        peer: &Peer,
        locked: &Locked,
        untracked: &UntrackedSession,
    ) -> Result<bool> {
        let current = peer.files.session()?.present().map(|record| record.incarnation);
        let last = peer.files.end()?.present();
        let ended = last.as_ref().map(|last| last.end.incarnation);
        // What the last incarnation left is cleared by another rule, which keeps its screen.
        let kept = last.and_then(|last| last.left).is_some_and(|place| untracked.is_at(&place));
        if current == Some(untracked.incarnation) || kept {
            return Ok(false);
        }
        let runtime = self.runtime_of(&self.place_of_untracked(peer, untracked)?)?;
        if !untracked.row.pane_dead {
            let mut panes = self.panes()?.remove(&peer.name).unwrap_or_default();
            // Listed with this fleet's tag, and known to the kernel as the pane process that was started there.
            panes
                .retain(|pane| pane.incarnation == untracked.incarnation && untracked.row.pane_pid == Some(pane.pid()));
            let Some(pane) = panes.first() else { return Ok(false) };
            if current.is_none() && ended.is_none_or(|ended| ended < untracked.incarnation) {
                return Ok(self.take_up(peer, locked, pane)?.is_some());
            }
            let Some(record) = self.rebuild(peer, pane)? else { return Ok(false) };
            let observation = self.observe(&peer.name, &record).await?;
            Self::refuse_unknown(peer, &observation)?;
            self.terminate(peer, &record, &observation).await?;
        }
        runtime.remove(&target_of_row(&untracked.server, Some(untracked.server_process), &untracked.row)).await?;
        locked.remove_pane_files(untracked.incarnation)?;
        Ok(true)
    }

    fn place_of_untracked(&self, peer: &Peer, untracked: &UntrackedSession) -> Result<Place> {
        let binary = self.runtime_binary(untracked.runtime, Some(&peer.spec))?;
        Ok(Place {
            session_id: untracked.row.session_id.clone(),
            pane: untracked.row.pane.clone(),
            server_process: Some(recorded(untracked.server_process)),
            host: Some(recorded_host()?),
            ..Place::planned(untracked.runtime, binary, untracked.server.clone(), untracked.row.session.clone())
        })
    }
}
