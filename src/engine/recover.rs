//! An agent whose record was set aside as corrupt: it lives on, and must be found before another is started.
//!
//! Its launch file tells its incarnation, and the kernel tells the rest: our process in its pane names peer and
//! incarnation on its command line, and its child is the agent.

use std::ffi::OsStr;

use peer_adapters::process;

use super::launch::Plan;
use super::observe::recorded;
use super::{Engine, Peer, Result};
use crate::policy::ending::Incarnation;
use crate::policy::wake::{WakeCause, WakeReason};
use crate::store::{AgentProcess, Event, Locked, Phase, Place, SessionRecord};

impl Engine {
    /// Writes the record of the incarnation that lives without one; nothing happens where none does.
    ///
    /// # Errors
    /// The process table or a file of ours cannot be read: nothing may be started then.
    pub(super) fn recover(&self, peer: &Peer, locked: &Locked) -> Result<()> {
        let Some(incarnation) = locked.files().newest_launch()? else { return Ok(()) };
        let number = incarnation.to_string();
        let name = OsStr::new(peer.name.as_str());
        let words = ["pane".as_ref(), self.state.root().as_os_str(), name, number.as_ref()];
        let Some(pane) = process::with_arguments(&words)?.into_iter().next() else { return Ok(()) };
        let mut record = self.lost_record(peer, locked, incarnation)?;
        record.pane_process = Some(recorded(pane.id));
        let agent = process::children(pane.id.pid)?.into_iter().next();
        record.process = agent.map(|agent| AgentProcess { id: recorded(agent.id), session: agent.session });
        locked.write_session(&record)?;
        self.log(&Event::new(self.now(), "session.recovered").peer(&peer.name).incarnation(incarnation))
    }

    /// What the record said, as far as it can be told. The address of the session is completed by the next listing.
    fn lost_record(&self, peer: &Peer, locked: &Locked, incarnation: Incarnation) -> Result<SessionRecord> {
        let (kind, binary, _) = self.runtime_for(&peer.spec)?;
        let session = format!("{}-{incarnation}", peer.name);
        let server = self.server_address(kind, peer, &session)?;
        let place = Place {
            runtime: kind.as_str().to_owned(),
            binary,
            server,
            session,
            session_id: String::new(),
            pane: String::new(),
        };
        let plan = Plan { resume: None, cause: WakeCause::from(WakeReason::FirstWake), topic: None };
        let mut record = self.planned(peer, &plan, incarnation, place)?;
        "recovered".clone_into(&mut record.cause);
        record.prompt_due = false;
        record.phase = Phase::Ready { ready_at_ms: self.now() };
        let conversation = locked.files().conversations()?.pop().filter(|entry| entry.incarnation == incarnation);
        record.conversation = conversation.map(|entry| entry.conversation);
        Ok(record)
    }
}
