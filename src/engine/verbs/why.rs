//! `peer why`: what a wake would do now, rule by rule. Changes nothing.

use serde::Serialize;

use crate::engine::life::record_end::{self, EndContext};
use crate::engine::observe::conversation::ConversationFinder;
use crate::engine::observe::live::{Live, why_orphaned};
use crate::engine::{Engine, Peer, Result};
use crate::policy::name::PeerName;
use crate::policy::wake::{RowReading, WakeDecision, WakeRequest, decide, explain};

/// What a wake would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Why {
    /// The peer.
    pub peer: PeerName,
    /// The decision, in words.
    pub decision: String,
    /// Every row of the wake table.
    pub rows: Vec<RowReading>,
    /// If the deciding row only clears something, the decision that follows.
    pub then: Option<String>,
    /// Why that start would fail, if that can be seen without trying: no directory, program or `env_file`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fails: Option<String>,
}

impl Why {
    /// Replaces a decision to start by a failure, because of a mistake in the spec.
    fn refuse_to_start(&mut self, later: bool, how: String) {
        if later {
            self.then = Some(how);
            return;
        }
        self.decision = how;
        for row in &mut self.rows {
            row.decides = false;
        }
    }
}

impl Engine {
    /// Evaluates the wake table for one peer, without its lock and without writing anything.
    ///
    /// # Errors
    /// The peer is not declared, or its files cannot be read.
    pub async fn why(&self, name: &PeerName, request: &WakeRequest) -> Result<Why> {
        let peer = self.known(name)?;
        let request = &self.with_conversation(&peer, request)?;
        let record = match peer.files.session()?.present() {
            Some(record) => Some(record),
            None => self.unrecorded(&peer)?,
        };
        let live = self.live(&peer, record).await?;
        let facts = self.wake_facts(&peer, &live, request)?;
        let now = self.now();
        let decision = decide(&facts, request, now);
        let then = self.then(&peer, &live, request, &decision)?;
        let mut why = Why {
            peer: name.clone(),
            decision: decision.to_string(),
            rows: explain(&facts, request, now),
            then: then.as_ref().map(ToString::to_string),
            fails: None,
        };
        let starts = then.as_ref().unwrap_or(&decision).starts();
        if starts && let Err(error) = self.check_declared(&peer) {
            why.refuse_to_start(then.is_some(), format!("fail: {error}"));
        } else if starts {
            why.fails = self.check_startable(&peer).err().map(|error| error.to_string());
        }
        Ok(why)
    }

    /// Returns what a wake would decide in the end, once it has cleared what is in its way.
    ///
    /// # Errors
    /// The peer's files cannot be read.
    pub(crate) fn preview_wake(&self, peer: &Peer, live: &Live, request: &WakeRequest) -> Result<WakeDecision> {
        let decision = decide(&self.wake_facts(peer, live, request)?, request, self.now());
        Ok(self.then(peer, live, request, &decision)?.unwrap_or(decision))
    }

    /// Returns the decision after the recorded incarnation has ended, based on the record that its end will leave, as
    /// [`Engine::wake`] reads it in its next round.
    fn then(
        &self,
        peer: &Peer,
        live: &Live,
        request: &WakeRequest,
        decision: &WakeDecision,
    ) -> Result<Option<WakeDecision>> {
        let (WakeDecision::EndOrphan | WakeDecision::RecordEnd, Live::Session(record, observation)) = (decision, live)
        else {
            return Ok(None);
        };
        let mut record = record.clone();
        if *decision == WakeDecision::EndOrphan {
            record.intent = record.intent.or_else(|| Some(why_orphaned(observation)));
        }
        ConversationFinder::of(peer).preview(&self.state, &peer.files, &mut record)?;
        let end = record_end::preview(&peer.files, &record, EndContext::cleared(observation), self.now())?;
        let after = self.wake_facts_after(peer, end, request)?;
        Ok(Some(decide(&after, request, self.now())))
    }
}
