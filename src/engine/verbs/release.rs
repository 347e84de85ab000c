//! `peer release`: the user declares that what runs elsewhere is gone.

use serde::Serialize;

use crate::engine::life::record_end::{self, EndContext};
use crate::engine::observe::{Standing, standing};
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::ending::{EndCause, Incarnation};
use crate::policy::event::EventName;
use crate::policy::name::PeerName;
use crate::store::{Event, Locked, Place, Session, SessionRecord};

/// The result of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Released {
    /// The peer.
    pub peer: PeerName,
    /// The incarnation that was given up.
    pub incarnation: Incarnation,
    /// The recorded cause of its end; `None` if it never had a record.
    pub cause: Option<EndCause>,
    /// The conversation that the next wake continues.
    pub conversation: Option<String>,
}

impl Engine {
    /// Returns where a peer was started, if that is another machine or pid namespace. Only reads.
    ///
    /// # Errors
    /// The peer is not declared, or its files cannot be read.
    pub fn started_elsewhere(&self, name: &PeerName) -> Result<Option<String>> {
        let peer = self.known(name)?;
        if let Some(record) = peer.files.session()?.present() {
            return Ok(match standing(&record) {
                Standing::Elsewhere(owner) => Some(owner),
                Standing::Here | Standing::Refused | Standing::Rebooted | Standing::Unclear(_) => None,
            });
        }
        Ok(self.launched_elsewhere(&peer)?.map(|(_, owner)| owner))
    }

    /// Records the end of an incarnation that was started elsewhere, as if its runtime was lost: it is not counted, and
    /// the next wake resumes here. If its agent is still alive there, there will be two agents.
    ///
    /// # Errors
    /// [`EngineError::NotElsewhere`].
    pub async fn release(&self, name: &PeerName) -> Result<Released> {
        let peer = self.known(name)?;
        let locked = self.lock(name).await?;
        self.quarantine_corrupt(&locked)?;
        let not_elsewhere = || EngineError::NotElsewhere { peer: name.clone() };
        if let Some(record) = peer.files.session()?.present() {
            return match standing(&record) {
                Standing::Elsewhere(owner) => self.give_up(&peer, &locked, record, &owner),
                Standing::Here | Standing::Refused | Standing::Rebooted | Standing::Unclear(_) => Err(not_elsewhere()),
            };
        }
        let (incarnation, owner) = self.launched_elsewhere(&peer)?.ok_or_else(not_elsewhere)?;
        self.log_release(&peer, incarnation, &owner)?;
        locked.remove_pane_files(incarnation)?;
        Ok(Released { peer: name.clone(), incarnation, cause: None, conversation: None })
    }

    fn give_up(&self, peer: &Peer, locked: &Locked, mut record: SessionRecord, owner: &str) -> Result<Released> {
        self.log_release(peer, record.incarnation, owner)?;
        // If it was being ended there, that will never be completed.
        record.intent = None;
        let lost = EndContext { server_gone: true, rebooted: false, session: Session::Cleared };
        let last = record_end::record_end(&self.state, locked, &record, lost, self.now())?;
        self.discard_session_files(&record.place);
        Ok(Released {
            peer: peer.name.clone(),
            incarnation: record.incarnation,
            cause: Some(last.end.cause),
            conversation: last.conversation,
        })
    }

    fn log_release(&self, peer: &Peer, incarnation: Incarnation, owner: &str) -> Result<()> {
        let event = Event::new(self.now(), EventName::SessionReleased).peer(&peer.name).incarnation(incarnation);
        self.log(&event.with("owner", owner))
    }

    /// Deletes the session's own files below the state directory, if its runtime keeps some. Those of a session that is
    /// elsewhere would never be deleted otherwise.
    fn discard_session_files(&self, place: &Place) {
        let kind = place.kind().filter(|_| place.server.starts_with(self.state.root()));
        if let Some(Err(error)) = kind.map(|kind| kind.facts().discard(&place.server)) {
            self.progress.notice(&error.to_string());
        }
    }
}
