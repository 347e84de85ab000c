//! `peer release`: what runs elsewhere is declared gone, by a person who knows.

use peer_adapters::runtime::RuntimeKind;
use peer_adapters::zellij::Zellij;
use serde::Serialize;

use crate::engine::life::record_end::{self, Absence};
use crate::engine::observe::{Standing, elsewhere, is_another_boot, standing};
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::ending::{EndCause, Incarnation};
use crate::policy::name::PeerName;
use crate::store::{Event, Locked, Place, Session, SessionRecord};

/// How a release came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Released {
    /// Whom.
    pub peer: PeerName,
    /// Which start of it was given up.
    pub incarnation: Incarnation,
    /// What its end is on record as; none where it never came to a record.
    pub cause: Option<EndCause>,
    /// What the next wake continues.
    pub conversation: Option<String>,
}

impl Engine {
    /// Where a peer was started, if that is another machine or pid namespace; reads only.
    ///
    /// # Errors
    /// Nobody declared it, or its files cannot be read.
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

    /// Records the end of an incarnation that was started elsewhere, as if its runtime was lost: not counted, and the next
    /// wake resumes, here. An agent that lives there all the same would then be the first of two.
    ///
    /// # Errors
    /// [`EngineError::NotElsewhere`].
    pub async fn release(&self, name: &PeerName) -> Result<Released> {
        let peer = self.known(name)?;
        let locked = self.lock(name).await?;
        self.heal(&locked)?;
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
        // Nobody there brings an ending that was begun to its end.
        record.intent = None;
        let lost = Absence { server_gone: true, rebooted: false, session: Session::Cleared };
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
        let event = Event::new(self.now(), "session.released").peer(&peer.name).incarnation(incarnation);
        self.log(&event.with("owner", owner))
    }

    /// zellij keeps a session's files below the state directory; nobody else would ever delete those of a session that is
    /// elsewhere.
    fn discard_session_files(&self, place: &Place) {
        let zellij = place.runtime == RuntimeKind::Zellij.as_str() && place.server.starts_with(self.state.root());
        if zellij && let Err(error) = Zellij::discard(&place.server) {
            self.progress.notice(&error.to_string());
        }
    }

    /// A launch file without a record, of another machine or pid namespace: which start, and where.
    pub(crate) fn launched_elsewhere(&self, peer: &Peer) -> Result<Option<(Incarnation, String)>> {
        for (incarnation, at) in peer.files.launched()? {
            let Some(launch) = peer.files.launch(incarnation)?.present() else { continue };
            let another_boot = launch.boot_id.as_deref().is_some_and(is_another_boot);
            if let Some(owner) = elsewhere(launch.host.as_ref(), another_boot, at)? {
                return Ok(Some((incarnation, owner.text)));
            }
        }
        Ok(None)
    }
}
