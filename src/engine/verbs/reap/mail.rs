//! Delivery of inboxes by a tick.

use super::task::{Due, Task};
use super::{ActionKind, Fleet, TickAction, note_once, skipped};
use crate::engine::message::Message;
use crate::engine::verbs::inbox::has_its_message;
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::wake::WakeRequest;
use crate::store::{Heartbeat, SessionRecord};

impl Engine {
    /// Adds tasks for peers that have mail due and no other task. Usually costs one check of a directory that does not
    /// exist.
    pub(super) fn add_mail<'a>(&self, fleet: &'a Fleet, tasks: &mut Vec<Due<'a>>, beat: &mut Heartbeat) {
        let mut mail = match self.state.mail() {
            Ok(mail) if mail.is_empty() => return,
            Ok(mail) => mail,
            Err(error) => return note_once(beat, error.to_string()),
        };
        let awake = fleet.subjects.iter().filter(|subject| subject.record.ready_at().is_some());
        let awake = awake.map(|subject| (&subject.peer, Some(&subject.record)));
        let of: Vec<_> = awake.chain(fleet.asleep.iter().map(|peer| (peer, None))).collect();
        for (peer, record) in of {
            let busy = tasks.iter().any(|(other, ..)| other.name == peer.name);
            let task = match mail.remove(&peer.name) {
                // One inbox that cannot be listed must not cost the other peers their tick.
                Some(Err(error)) => Err(error.into()),
                Some(Ok(_)) if !busy => self.mail_for(peer, record),
                _ => continue,
            };
            match task {
                Ok(task) => tasks.extend(task.map(|task| (peer, record, task))),
                Err(error) => beat.skipped.push(skipped(&peer.name, &error)),
            }
        }
    }

    fn mail_for(&self, peer: &Peer, awake: Option<&SessionRecord>) -> Result<Option<Task>> {
        if awake.is_some_and(|record| has_its_message(peer, record)) {
            return Ok(None);
        }
        let Some(first) = peer.files.first_due(self.now())? else { return Ok(None) };
        if awake.is_none() && self.refuses_mail(peer)?.is_some() {
            return Ok(None);
        }
        Ok(Some(Task::Mail { topic: first.topic }))
    }

    /// Delivers to a peer that is awake. A peer that is not awake is woken, and the wake delivers its inbox.
    pub(super) async fn deliver_inbox(
        &self,
        peer: &Peer,
        awake: bool,
        topic: Option<String>,
    ) -> Result<Option<TickAction>> {
        let delivered = if awake {
            self.drain(peer).await?
        } else {
            let request = WakeRequest { topic, ..WakeRequest::default() };
            match self.wake(&peer.name, &request, &Message::default()).await {
                Ok(woken) => woken.queued_delivered,
                // The refusal of the wake table is already in the log.
                Err(EngineError::Refused { .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
        };
        let cause = format!("{delivered} of its inbox");
        Ok((delivered > 0 || !awake).then(|| TickAction {
            peer: peer.name.clone(),
            what: ActionKind::Delivered,
            cause,
        }))
    }
}
