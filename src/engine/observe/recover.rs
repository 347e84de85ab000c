//! A living session without a record: its record was corrupt and set aside, or somebody removed it, the state directory
//! with it, or put an older one in its place.
//!
//! What is not on record is not awake, and the next wake would start a second agent beside the first. So a pane process
//! holds a name in the kernel that no file can take away ([`presence_name`]); where that is held and nothing is on record,
//! the pane process is found by its arguments, which nobody else has, and what the record must have said is read from it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use peer_adapters::{presence, process};

use crate::engine::observe::survey::Stray;
use crate::engine::observe::{fnv1a, recorded, recorded_host, target_of_row};
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::ending::Incarnation;
use crate::policy::name::PeerName;
use crate::policy::wake::Refusal;
use crate::store::{ConversationEntry, Event, Locked, Place, SessionRecord, Stored};

mod found;

use found::Pane;

/// Up to so many names are asked for one by one, for some 5 µs each. The kernel's table takes about 1 µs a line, with a line
/// for each agent that is awake: read for a few, it would be felt in the tick of a thousand.
const FEW: usize = 64;

/// The name that the pane process of a peer holds as long as its agent lives.
pub fn presence_name(state: &Path, peer: &PeerName) -> String {
    format!("{}{peer}", presence_root(state))
}

/// What the names of one state directory begin with; two directories on one machine must not share any.
fn presence_root(state: &Path) -> String {
    format!("peer/{:016x}/", fnv1a(state.as_os_str().as_encoded_bytes()))
}

/// The incarnation of this peer, other than `own`, whose pane process has a living agent.
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
    /// The incarnation on record, under the lock: files that do not parse are set aside, and a record that was lost is
    /// put together again where its agent still runs. Costs one directory listing and some microseconds where there is no
    /// record.
    ///
    /// # Errors
    /// A file cannot be read or moved, or the process table cannot be read; [`EngineError::Refused`] where what was launched
    /// without a record is elsewhere.
    pub(crate) fn on_record(&self, peer: &Peer, locked: &Locked) -> Result<Option<SessionRecord>> {
        self.heal(locked)?;
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
                done: "woken",
                refusal: Refusal::Elsewhere { owner },
            });
        }
        let panes = self.panes()?.remove(&peer.name).unwrap_or_default();
        for pane in &panes {
            // What would be written down is what its spec says.
            self.check_declared(peer)?;
            if let Some(record) = self.take_up(peer, locked, pane)? {
                return Ok(Some(record));
            }
        }
        // Of starts that never came about, and their environment is nobody's business any more.
        for (incarnation, _) in launched.iter().filter(|(n, _)| panes.iter().all(|pane| pane.incarnation != *n)) {
            locked.remove_pane_files(*incarnation)?;
        }
        Ok(None)
    }

    /// Whether it is worth a walk over all processes to look for a pane process of this peer.
    fn may_run(&self, name: &PeerName) -> Result<bool> {
        match presence::is_held(&presence_name(self.state.root(), name)) {
            Ok(held) => Ok(held || !self.state.has_launched()),
            // Where the kernel has no such names, only a peer that never ended is looked for.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                Ok(self.state.peer(name).end()?.present().is_none())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Those of these peers, which are not on record, of which something runs. For what is shown, and for what is looked at
    /// again under the lock.
    ///
    /// # Errors
    /// The kernel could not be asked.
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

    /// Whose names are held: one question each where they are few, one table of all where they are many.
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

    /// What runs of a peer that is not on record, for a view: reads only.
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

    /// Whether a peer runs although nothing is on record, for a view of it alone.
    ///
    /// # Errors
    /// The process table or its record cannot be read.
    pub(crate) fn is_unrecorded(&self, peer: &Peer) -> Result<bool> {
        // Looked at last: one that is being started has a record before it has a pane process.
        Ok(self.may_run(&peer.name)? && self.panes()?.contains_key(&peer.name) && self.has_no_record(&peer.name))
    }

    /// Whether there is no record now.
    pub(crate) fn has_no_record(&self, name: &PeerName) -> bool {
        matches!(self.state.peer(name).session(), Ok(Stored::Absent))
    }

    /// The pane processes of this state directory, the newest of each peer first: one walk over all processes.
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

    /// Puts the record of a living incarnation together again, with its launch file and its conversation. `None`: no agent of
    /// it runs under its pane process.
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
            let entry = ConversationEntry { at_ms: self.now(), conversation, agent, incarnation: record.incarnation };
            locked.append_conversation(&entry)?;
        }
        crate::engine::observe::conversation::Learner::new(&peer.profile, &peer.spec.cwd).learn(
            &self.state,
            locked,
            &mut record,
        )?;
        let event = Event::new(self.now(), "session.recovered").peer(&peer.name).incarnation(record.incarnation);
        self.log(&event.with("conversation", record.conversation.clone()))?;
        self.progress.notice(&format!("{}: its record was lost and its agent still runs; it is kept", peer.name));
        Ok(Some(record))
    }

    /// Clears a session of this peer that is not the one on record: a dead pane is removed; an agent in it is ended with
    /// the ladder first, unless nothing newer is on record: then it is taken up. Returns whether anything was done. A pane
    /// process that has no agent is left alone: it waits for the lock, and leaves at the fence.
    ///
    /// # Errors
    /// As [`Engine::end`].
    pub(crate) async fn clear_stray(&self, peer: &Peer, locked: &Locked, stray: &Stray) -> Result<bool> {
        let current = peer.files.session()?.present().map(|record| record.incarnation);
        let last = peer.files.end()?.present();
        let ended = last.as_ref().map(|last| last.end.incarnation);
        // What the last incarnation left is cleared by its own rule, with its screen kept.
        let kept = last.and_then(|last| last.left).is_some_and(|place| stray.is_at(&place));
        if current == Some(stray.incarnation) || kept {
            return Ok(false);
        }
        let runtime = self.runtime_of(&self.place_of_stray(peer, stray)?)?;
        if !stray.row.pane_dead {
            let mut panes = self.panes()?.remove(&peer.name).unwrap_or_default();
            // Listed with our tag, and known to the kernel as what we started there.
            panes.retain(|pane| pane.incarnation == stray.incarnation && stray.row.pane_pid == Some(pane.pid()));
            let Some(pane) = panes.first() else { return Ok(false) };
            if current.is_none() && ended.is_none_or(|ended| ended < stray.incarnation) {
                return Ok(self.take_up(peer, locked, pane)?.is_some());
            }
            let Some(record) = self.rebuild(peer, pane)? else { return Ok(false) };
            let sight = self.observe(&peer.name, &record).await?;
            Self::refuse_unknown(peer, &sight)?;
            self.climb(peer, &record, &sight).await?;
        }
        runtime.remove(&target_of_row(&stray.server, Some(stray.server_process), &stray.row)).await?;
        locked.remove_pane_files(stray.incarnation)?;
        Ok(true)
    }

    fn place_of_stray(&self, peer: &Peer, stray: &Stray) -> Result<Place> {
        let kind = crate::engine::peer::runtimes::kind_of(&stray.runtime)?;
        let binary = self.runtime_binary(kind, Some(&peer.spec))?;
        Ok(Place {
            session_id: stray.row.session_id.clone(),
            pane: stray.row.pane.clone(),
            server_process: Some(recorded(stray.server_process)),
            host: Some(recorded_host()?),
            ..Place::planned(&stray.runtime, binary, stray.server.clone(), stray.row.session.clone())
        })
    }
}
