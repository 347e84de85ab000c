//! The facts for the wake table.

use crate::engine::observe::conversation::ConversationFinder;
use crate::engine::observe::launched;
use crate::engine::observe::live::Live;
use crate::engine::observe::turn::reported_turn;
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::health::Deaths;
use crate::policy::recorded::RecordedState;
use crate::policy::wake::{Markers, WakeFacts, WakeRequest};
use crate::store::{Ends, LastEnd, Marker, Outcome, SessionRecord, Stored};

/// The conversation that a peer was in last.
#[derive(Debug)]
pub(crate) struct LastConversation {
    /// Its id, if one is known.
    pub(crate) id: Option<String>,
    /// Whether it was given to the peer, and not resumed since.
    is_adopted: bool,
    /// Whether the record of the last end was lost.
    is_end_lost: bool,
}

impl Engine {
    /// Returns the facts for the wake table, as it is now.
    ///
    /// # Errors
    /// If a file of `peer` cannot be read.
    pub(crate) fn wake_facts(&self, peer: &Peer, live: &Live, request: &WakeRequest) -> Result<WakeFacts> {
        let Ends { last, deaths } = peer.files.ends()?;
        let facts = self.facts_of(peer, live.recorded(), last, deaths)?;
        let is_untouched = live.record().is_some_and(|record| {
            let began = reported_turn(peer, record).and_then(|known| known.began_ms);
            !record.resumed && !record.had_message && began.is_none()
        });
        let facts = WakeFacts { is_untouched, ..facts };
        self.with_asked_conversation(peer, request, live.record(), facts)
    }

    /// Returns the facts for the wake table, as it will be once this end is recorded.
    ///
    /// # Errors
    /// If a file of `peer` cannot be read.
    pub(crate) fn wake_facts_after(&self, peer: &Peer, end: Outcome, request: &WakeRequest) -> Result<WakeFacts> {
        let facts = self.facts_of(peer, RecordedState::None, Some(end.last), end.deaths)?;
        self.with_asked_conversation(peer, request, None, facts)
    }

    /// Adds, for a wake that names a conversation, whether it can be resumed, and which one the peer is in now.
    fn with_asked_conversation(
        &self,
        peer: &Peer,
        request: &WakeRequest,
        record: Option<&SessionRecord>,
        facts: WakeFacts,
    ) -> Result<WakeFacts> {
        let Some(asked) = request.conversation.as_deref() else { return Ok(facts) };
        let now_in = match record {
            Some(record) => {
                let mut record = record.clone();
                ConversationFinder::of(peer).preview(&self.state, &peer.files, &mut record)?;
                record.conversation
            }
            None => None,
        };
        Ok(WakeFacts { conversation: self.resumable(peer, Some(asked)), now_in, ..facts })
    }

    fn facts_of(&self, peer: &Peer, live: RecordedState, last: Option<LastEnd>, deaths: Deaths) -> Result<WakeFacts> {
        let files = &peer.files;
        let known = self.last_conversation(peer, last.as_ref())?;
        let conversation = self.resumable(peer, known.id.as_deref());
        Ok(WakeFacts {
            managed_by: self.manager_of(peer),
            stopped: files.has(Marker::Stopped)?,
            live,
            markers: Markers {
                idle_reaped: files.has(Marker::IdleReaped)?,
                self_fresh_requested: files.has(Marker::NewEager)?,
                fresh_next: files.has(Marker::FreshNext)?,
                adopted: known.is_adopted,
            },
            ever_ran: last.as_ref().map_or(known.is_end_lost, |last| last.end.lasting_cause().is_some()),
            last_end: last.map(|last| last.end),
            deaths: self.unless_changed_since(peer, deaths),
            max_restarts: peer.effective.max_restarts.value,
            context_policy: peer.effective.policy.value,
            topics: files.topics()?,
            conversation,
            now_in: None,
            is_untouched: false,
            resume_without_topic: peer.effective.resume_without_topic.value,
        })
    }

    /// Returns the conversation that a peer without a living agent was in last, whether or not the agent's own files still
    /// have it.
    ///
    /// # Errors
    /// If a file of `peer` cannot be read.
    pub(crate) fn last_conversation(&self, peer: &Peer, last: Option<&LastEnd>) -> Result<LastConversation> {
        let files = &peer.files;
        // One that does not parse counts as set aside already: `why` reads what the next wake sets aside.
        let lost = || Ok::<_, EngineError>(matches!(files.end()?, Stored::Corrupt(_)) || files.has_lost_end()?);
        let is_end_lost = last.is_none() && lost()?;
        let adopted = if files.has(Marker::Adopted)? { files.adopted()? } else { None };
        let is_adopted = adopted.is_some();
        let id = match last {
            _ if is_adopted => adopted,
            Some(last) => self.late_conversation(peer, last).or_else(|| last.conversation.clone()),
            None if is_end_lost => files.conversations()?.pop().map(|entry| entry.conversation),
            None => None,
        };
        Ok(LastConversation { id, is_adopted, is_end_lost })
    }

    /// Returns the conversation that a resume would use: the last one, if the agent's own files still have it.
    pub(crate) fn resumable(&self, peer: &Peer, last: Option<&str>) -> Option<String> {
        let id = last?;
        if !peer.profile.capabilities().resume {
            return None;
        }
        let env = self.agent_environment(peer);
        match launched::with_files(&peer.profile, &peer.spec.cwd, &env, |files| files.exists(id)) {
            Ok(found) => found.map(|_| id.to_owned()),
            Err(error) => {
                // Unreadable does not mean absent: the agent itself decides, and if it fails the markers stay.
                self.progress.notice(&launched::unreadable(&error));
                Some(id.to_owned())
            }
        }
    }
}
