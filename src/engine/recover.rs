//! A living session without a record: its record was corrupt and set aside, or somebody removed it.
//!
//! What is not on record is not awake, and the next wake would start a second agent beside the first. The launch file of
//! an incarnation stays until its end, so one without a record is where to look; and the pane process is found by its
//! arguments, which nobody else has.

use std::ffi::OsStr;
use std::path::PathBuf;

use peer_adapters::process::{self, ProcessId};
use peer_adapters::runtime::RuntimeKind;
use peer_adapters::zellij::Zellij;

use super::observe::{recorded, recorded_host, target_of_row};
use super::survey::Stray;
use super::{Engine, Peer, Result};
use crate::policy::ending::Incarnation;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::store::{AgentProcess, Event, Locked, Phase, Place, Process, SessionRecord};

/// The cause of an incarnation whose record was put together again.
const RECOVERED: &str = "recovered";

impl Engine {
    /// The incarnation on record, under the lock: files that do not parse are set aside, and a record that was lost is
    /// put together again where its agent still runs. Costs one directory listing where there is no record.
    ///
    /// # Errors
    /// A file cannot be read or moved, or the process table cannot be read.
    pub(super) fn on_record(&self, peer: &Peer, locked: &Locked) -> Result<Option<SessionRecord>> {
        self.heal(locked)?;
        if let Some(record) = peer.files.session()?.present() {
            return Ok(Some(record));
        }
        for (incarnation, launched_at) in peer.files.launched()? {
            let Some(pane) = self.pane_process(&peer.name, incarnation)? else {
                // Of a start that never came about, and its environment is nobody's business any more.
                locked.remove_pane_files(incarnation)?;
                continue;
            };
            if let Some(record) = self.rebuild(peer, incarnation, pane, launched_at)? {
                locked.write_session(&record)?;
                let event = Event::new(self.now(), "session.recovered").peer(&peer.name).incarnation(incarnation);
                self.log(&event.with("conversation", record.conversation.clone()))?;
                self.progress
                    .notice(&format!("{}: its record was lost and its agent still runs; it is kept", peer.name));
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Whether something of this peer runs although nothing is on record; reads only.
    ///
    /// # Errors
    /// As [`Engine::on_record`].
    pub(super) fn runs_unrecorded(&self, peer: &Peer) -> Result<bool> {
        for (incarnation, _) in peer.files.launched()? {
            if self.pane_process(&peer.name, incarnation)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What the record of a living incarnation must have said. `None`: no agent of it runs under its pane process.
    fn rebuild(
        &self,
        peer: &Peer,
        incarnation: Incarnation,
        pane: ProcessId,
        at: Timestamp,
    ) -> Result<Option<SessionRecord>> {
        // It leads a group of its own in the pane's session; a helper of ours (`seed`) has left that session.
        let agent = process::children(pane.pid)?
            .into_iter()
            .find(|child| child.group == child.id.pid && child.session == pane.pid);
        let Some(agent) = agent else { return Ok(None) };
        let opened = peer.files.conversations()?.into_iter().rev().find(|entry| entry.incarnation == incarnation);
        Ok(Some(SessionRecord {
            incarnation,
            place: self.place_of(peer, incarnation, pane)?,
            process: Some(AgentProcess { id: recorded(agent.id), session: agent.session }),
            boot_id: process::boot_id()?,
            agent: peer.spec.agent.clone(),
            conversation: opened.map(|entry| entry.conversation),
            traces: Vec::new(),
            // So that its topics stay, and its readiness must hold for longer: neither can be known any more.
            resumed: true,
            cause: RECOVERED.to_owned(),
            woke_at_ms: at,
            delivered_at_ms: None,
            typing: None,
            told: None,
            prompt_due: false,
            topic: None,
            intent: None,
            // Nobody: whoever wakes it, or the next tick, looks whether it is ready.
            phase: Phase::Starting { driver: Process { pid: 0, start: 0 } },
        }))
    }

    fn pane_process(&self, name: &PeerName, incarnation: Incarnation) -> Result<Option<ProcessId>> {
        let number = incarnation.to_string();
        let arguments: [&OsStr; 4] =
            ["pane".as_ref(), self.state.root().as_os_str(), name.as_str().as_ref(), number.as_ref()];
        Ok(process::with_arguments(&arguments)?.first().map(|status| status.id))
    }

    /// On which server a pane process is, by what its terminal told it; the next listing completes the address.
    fn place_of(&self, peer: &Peer, incarnation: Incarnation, pane: ProcessId) -> Result<Place> {
        let told = |variable| process::environment_variable(pane.pid, variable);
        let own_name = || format!("{}-{incarnation}", peer.name);
        // TMUX is `socket,server pid,session number`; a path may hold a comma.
        let tmux = told("TMUX")?.and_then(|value| value.into_string().ok());
        let mut parts = tmux.iter().flat_map(|value| value.rsplitn(3, ',')).skip(1);
        let told_pid = parts.next().and_then(|pid| pid.parse().ok());
        let socket = parts.next().map(PathBuf::from);
        // A pane's process is its server's child for as long as that lives.
        let parent = process::find(pane)?.map_or(Ok(None), |status| process::status(status.parent))?;
        let (kind, server, session) = if let Some(socket) = socket {
            (RuntimeKind::Tmux, socket, own_name())
        } else {
            // After a self-fresh, both are named for an older incarnation.
            let session = told("ZELLIJ_SESSION_NAME")?.and_then(|name| name.into_string().ok());
            let session = session.unwrap_or_else(own_name);
            let server = told("ZELLIJ_SOCKET_DIR")?.map(PathBuf::from);
            let server = server.map_or_else(|| self.server_address(RuntimeKind::Zellij, peer, &session), Ok)?;
            (RuntimeKind::Zellij, server, session)
        };
        let hosts = |parent: ProcessId| match kind {
            RuntimeKind::Tmux => told_pid == Some(parent.pid),
            RuntimeKind::Zellij => Zellij::is_server(&server, &session, parent),
        };
        let parent = parent.filter(|parent| hosts(parent.id));
        Ok(Place {
            runtime: kind.as_str().to_owned(),
            binary: self.runtime_binary(kind, Some(&peer.spec))?,
            server,
            session,
            session_id: String::new(),
            pane: String::new(),
            server_process: parent.map(|server| recorded(server.id)),
            pane_process: Some(recorded(pane)),
            server_version: None,
            server_executable: None,
            host: Some(recorded_host()?),
        })
    }

    /// Clears a session of this peer that is not the one on record: a dead pane is removed; an agent in it is ended with
    /// the ladder first. Returns whether anything was done. A pane process that has no agent is left alone: it waits for
    /// the lock, and leaves at the fence.
    ///
    /// # Errors
    /// As [`Engine::end`].
    pub(super) async fn clear_stray(&self, peer: &Peer, locked: &Locked, stray: &Stray) -> Result<bool> {
        let current = peer.files.session()?.present().map(|record| record.incarnation);
        // What the last incarnation left is cleared by its own rule, with its screen kept.
        let kept = peer.files.end()?.present().and_then(|last| last.left).is_some_and(|place| stray.is_at(&place));
        if current == Some(stray.incarnation) || kept {
            return Ok(false);
        }
        let runtime = self.runtime_of(&self.place_of_stray(peer, stray)?)?;
        if !stray.row.pane_dead {
            let pane = self.pane_process(&peer.name, stray.incarnation)?;
            // Listed with our tag, and known to the kernel as what we started there.
            let Some(pane) = pane.filter(|pane| stray.row.pane_pid == Some(pane.pid)) else { return Ok(false) };
            let Some(record) = self.rebuild(peer, stray.incarnation, pane, self.now())? else { return Ok(false) };
            let sight = self.observe(&peer.name, &record).await?;
            Self::refuse_unknown(peer, &sight)?;
            self.climb(peer, &record, &sight).await?;
        }
        runtime.remove(&target_of_row(&stray.server, Some(stray.server_process), &stray.row)).await?;
        locked.remove_pane_files(stray.incarnation)?;
        Ok(true)
    }

    fn place_of_stray(&self, peer: &Peer, stray: &Stray) -> Result<Place> {
        let kind = super::runtimes::kind_of(&stray.runtime)?;
        Ok(Place {
            runtime: stray.runtime.clone(),
            binary: self.runtime_binary(kind, Some(&peer.spec))?,
            server: stray.server.clone(),
            session: stray.row.session.clone(),
            session_id: stray.row.session_id.clone(),
            pane: stray.row.pane.clone(),
            server_process: Some(recorded(stray.server_process)),
            pane_process: None,
            server_version: None,
            server_executable: None,
            host: Some(recorded_host()?),
        })
    }
}
