//! `peer rm`: takes a peer's declaration back, and puts its files into the trash.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use peer_adapters::file;
use peer_adapters::runtime::RuntimeKind;

use crate::config::EnvFile;
use crate::engine::observe::live::Live;
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::ending::Intent;
use crate::policy::event::EventName;
use crate::policy::name::PeerName;
use crate::policy::wake::Refusal;
use crate::store::{Event, Locked, Place, Stored, note_kept_names};

/// A peer that was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// The directory that has its files now.
    pub trash: PathBuf,
    /// How many queued messages are among them.
    pub queued: usize,
}

impl Engine {
    /// Removes a peer: its spec and its state, with its conversations, go to the trash. The values that were kept for
    /// it are deleted, because secrets do not belong in the trash. An `env_file` of the user's own is left alone.
    ///
    /// # Errors
    /// [`EngineError::Awake`] without `force`.
    pub async fn rm(&self, name: &PeerName, force: bool) -> Result<Removed> {
        let is_there = std::fs::symlink_metadata(self.config.spec_path(name)).is_ok();
        if !is_there && !self.state.peer(name).has_run() {
            return Err(self.no_such_peer(name));
        }
        let locked = self.lock(name).await?;
        // A file that is about to be removed, such as a launch file, may be the only one that has the highest
        // incarnation number.
        locked.keep_highest(self.now())?;
        let peer = self.known(name)?;
        let server = self.shared_server_of(&peer);
        self.shut_down_for_removal(&peer, &locked, force).await.map_err(|error| error.instead_of("remove"))?;
        let removed = self.put_all_away(name, &locked, is_there)?;
        let trash = removed.trash.to_string_lossy();
        self.log(&Event::new(self.now(), EventName::PeerRemoved).peer(name).with("trash", trash.as_ref()))?;
        if let Some((kind, server)) = server
            && !self.is_anybodys(&server)?
        {
            self.retire(kind, &server).await;
        }
        Ok(removed)
    }

    /// Moves a peer's files to the trash, and its spec if there is one. Reports each message that it gives up.
    fn put_all_away(&self, name: &PeerName, locked: &Locked, has_spec: bool) -> Result<Removed> {
        // From here on nobody adds a message: the next sender finds no spec.
        let _senders = self.state.lock_inbox(name)?;
        let kept = EnvFile::read(&locked.files().env_file()).unwrap_or_default();
        locked.forget_env()?;
        let inbox = self.state.peer(name).inbox()?;
        let queued = inbox.waiting.len();
        for message in inbox.waiting.into_iter().chain(inbox.taken) {
            self.log(
                &Event::new(self.now(), EventName::MessageExpired)
                    .peer(name)
                    .cause("removed")
                    .with("message", message.id),
            )?;
        }
        let trash = self.state.discard(locked, self.now())?;
        let kept: Vec<String> = kept.names().map(str::to_owned).collect();
        if !kept.is_empty() {
            note_kept_names(&trash, &kept)?;
        }
        if has_spec {
            self.put_away(name, &self.config.spec_path(name), trash.join(format!("{name}.toml")))?;
        }
        Ok(Removed { trash, queued })
    }

    /// Returns the shared server that a peer is on, or would be started on.
    fn shared_server_of(&self, peer: &Peer) -> Option<(RuntimeKind, PathBuf)> {
        let kind = peer.spec.runtime.kind().filter(|kind| kind.facts().shares_server())?;
        let on_record = peer.files.session().ok().and_then(Stored::present).map(|record| record.place.server);
        Some((kind, on_record.or_else(|| self.server_address(kind, peer, "").ok())?))
    }

    /// Whether a declared peer is on this server, or would be started on it.
    fn is_anybodys(&self, server: &Path) -> Result<bool> {
        Ok(self.config.names()?.iter().any(|name| {
            // If that is unknown, the server may be in use.
            self.known(name).map_or(true, |peer| self.shared_server_of(&peer).is_some_and(|(_, own)| own == server))
        }))
    }

    /// Ends a server of this fleet that no peer needs any more. Best effort.
    async fn retire(&self, kind: RuntimeKind, server: &Path) {
        let Ok(binary) = self.runtime_binary(kind, None) else { return };
        let place = Place::planned(kind, binary, server.to_owned(), String::new());
        let Ok(runtime) = self.runtime_of(&place) else { return };
        if let Err(error) = runtime.retire(server).await {
            tracing::debug!(%error, "a server that hosts nothing");
        }
    }

    /// Moves a spec, even one that is not a regular file, to the trash, which may be on another file system.
    fn put_away(&self, name: &PeerName, path: &Path, kept: PathBuf) -> Result<()> {
        match std::fs::rename(path, &kept) {
            Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
                let text = self.config.spec_text(name)?.unwrap_or_default();
                let written = file::create_new(&kept).and_then(|mut copy| copy.write_all(text.as_bytes()));
                written.map_err(|source| EngineError::Io { action: "write", path: kept, source })?;
                std::fs::remove_file(path)
            }
            moved => moved,
        }
        .map_err(|source| EngineError::Io { action: "remove", path: path.to_owned(), source })
    }

    /// Removes everything of a peer from its runtime's server, recorded or not. An agent that runs is parked: what comes
    /// back under another name, or from the trash, resumes.
    pub(crate) async fn shut_down_for_removal(&self, peer: &Peer, locked: &Locked, force: bool) -> Result<()> {
        // A session hidden by an older record is found once that record is gone.
        loop {
            let record = match self.on_record(peer, locked) {
                Err(EngineError::Refused { refusal: Refusal::Elsewhere { owner }, .. }) if force => {
                    self.leave_there(peer, &owner);
                    return Ok(());
                }
                record => record?,
            };
            match self.live_in_reach(peer, record).await? {
                Live::None => return self.clear_left(peer, locked).await,
                Live::Session(record, observation) if observation.is_over() => {
                    self.record_dead_session(peer, locked, &record, &observation).await?;
                }
                Live::Session(_, observation) if observation.elsewhere.is_some() && !force => {
                    return Self::refuse_unknown(peer, &observation);
                }
                Live::Session(_, observation) if observation.elsewhere.is_some() => {
                    self.leave_there(peer, &observation.elsewhere.unwrap_or_default());
                    return Ok(());
                }
                Live::Starting(_) | Live::Session(..) if !force => {
                    return Err(EngineError::Awake { peer: peer.name.clone() });
                }
                Live::Starting(record) => drop(self.end(peer, locked, *record, Some(Intent::Moved)).await?),
                Live::Session(record, observation) => {
                    drop(self.end_by_hand(peer, locked, *record, &observation, Intent::Moved).await?);
                }
            }
        }
    }

    /// The peer's files are moved away. What runs elsewhere under its name cannot be ended from here.
    fn leave_there(&self, peer: &Peer, owner: &str) {
        self.progress.notice(&format!("{}: it was started {owner}, and is left running there", peer.name));
    }
}
