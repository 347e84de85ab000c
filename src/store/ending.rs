//! The end of an incarnation, recorded once.
//!
//! The steps are written so that whoever is killed between any two of them can be followed by anybody who holds the
//! lock: each step is idempotent for one incarnation, and the record goes away last. A death is therefore counted once,
//! however many passes see it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::records::{Host, Place, SessionRecord, Unseen};
use super::{Locked, Result};
use crate::policy::ending::{End, EndReport};
use crate::policy::health::Deaths;
use crate::policy::time::Timestamp;

/// `NAME.end`: the last end, and the conversation that a resume would continue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastEnd {
    /// What policy decides by.
    #[serde(flatten)]
    pub end: End,
    /// The conversation of the last incarnation that was ever ready; an unready start does not displace it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// The profile whose conversation that is, or is to be.
    pub agent: String,
    /// Names of the variables that its agent lives by, and that the last incarnation that was ready had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lives_by: Vec<String>,
    /// The message that was sent to it last and not seen to arrive: a resume looks for it before it is sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<Unseen>,
    /// By what its conversation may still be told, where it was not known at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlearned: Option<Unlearned>,
    /// Where it ran: nobody elsewhere starts it again by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
    /// The session that the runtime still shows with the agent's last screen in it, until it is cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Place>,
}

/// What is left of an incarnation whose conversation is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlearned {
    /// When it was asked for: nothing of it is older.
    pub woke_at_ms: Timestamp,
    /// What marked its processes in the agent's own files, newest last.
    pub traces: Vec<String>,
}

/// Whether the runtime's session was removed before its end was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// It is gone.
    Cleared,
    /// It still shows the agent's last screen: somebody has to clear it later.
    Left,
}

impl LastEnd {
    /// What stands in `NAME.end` once `record` has ended as `report` says, where `previous` stood before it.
    ///
    /// A start that never was ready leaves the conversation as it was, also one that is still to be learned.
    fn after(record: &SessionRecord, report: EndReport, previous: Option<Self>, session: Session) -> Self {
        let end = End::new(report, previous.as_ref().map(|last| &last.end));
        let left = (session == Session::Left).then(|| record.place.clone());
        let unknown = record.conversation.is_none() && !record.traces.is_empty();
        let own = unknown.then(|| Unlearned { woke_at_ms: record.written_since(), traces: record.traces.clone() });
        let agent = record.agent.clone();
        let (lives_by, unseen) = match (record.ready_at().is_some(), &previous) {
            (false, Some(last)) => (last.lives_by.clone(), last.unseen.clone()),
            _ => (record.lives_by.clone(), record.unseen.clone()),
        };
        let (conversation, unlearned, agent) = match (record.ready_at().is_some(), previous) {
            (true, previous) => {
                // One that was begun since, and in which nothing was said, does not bring an older one back.
                let kept = previous.filter(|_| record.begun_at_ms.is_none()).and_then(|last| last.conversation);
                (record.conversation.clone().or(kept), own, agent)
            }
            (false, Some(last)) if last.conversation.is_some() || last.unlearned.is_some() => {
                (last.conversation, last.unlearned, last.agent)
            }
            (false, _) => (None, own, agent),
        };
        Self { end, conversation, agent, lives_by, unseen, unlearned, host: record.place.host.clone(), left }
    }
}

/// What is on record of a peer's ends once one more is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// `NAME.end`.
    pub last: LastEnd,
    /// `NAME.deaths`.
    pub deaths: Deaths,
}

impl Outcome {
    /// What `record`'s end leads to, where `previous` and `deaths` are on record now. Writes nothing: who records an end and
    /// who only tells of it read the same.
    ///
    /// Where an earlier pass was killed half-way, its `NAME.end` stands: the cause is not judged twice. A long ready life
    /// forgives the deaths before it; then this one is added, once.
    pub fn of(
        record: &SessionRecord,
        report: EndReport,
        session: Session,
        previous: Option<LastEnd>,
        mut deaths: Deaths,
    ) -> Self {
        let ready_for = record.ready_at().map(|ready| report.at.since(ready)).unwrap_or_default();
        let last = match previous {
            Some(last) if last.end.incarnation == record.incarnation => last,
            previous => LastEnd::after(record, report, previous, session),
        };
        deaths.trim_stable(ready_for);
        deaths.record(last.end.cause, last.end.incarnation, last.end.at_ms);
        Self { last, deaths }
    }
}

impl Locked {
    /// Records the end of the incarnation on record, and takes the record away.
    ///
    /// # Errors
    /// A file could not be written; the record still stands and the next pass finishes.
    pub fn record_end(&self, record: &SessionRecord, outcome: &Outcome) -> Result<()> {
        if self.files().end()?.present().as_ref() != Some(&outcome.last) {
            self.write_json("end", &outcome.last)?;
        }
        if self.files().deaths()?.present().unwrap_or_default() != outcome.deaths {
            self.write_deaths(&outcome.deaths)?;
        }
        self.remove("session")?;
        self.remove_pane_files(record.incarnation)
    }

    /// Notes that the session of the last incarnation is not there any more.
    ///
    /// # Errors
    /// As [`Locked::write_session`].
    pub fn note_cleared(&self, mut last: LastEnd) -> Result<()> {
        last.left = None;
        self.write_json("end", &last)
    }

    /// Notes the conversation of the last incarnation, which was not known at its end; its id must be in the list already.
    ///
    /// # Errors
    /// As [`Locked::write_session`].
    pub fn note_conversation(&self, mut last: LastEnd, id: &str) -> Result<()> {
        last.conversation = Some(id.to_owned());
        last.unlearned = None;
        self.write_json("end", &last)
    }

    /// Clears the deaths and the budgets that are used up, and with them hold and latch. Returns the deaths.
    ///
    /// # Errors
    /// The directory is read-only.
    pub fn forgive(&self) -> Result<Deaths> {
        let deaths = self.files().deaths()?.present().unwrap_or_default();
        if let Some(mut last) = self.files().end()?.present() {
            last.end.reset();
            self.write_json("end", &last)?;
        }
        self.remove("deaths")?;
        Ok(deaths)
    }

    /// Forgets the deaths of an incarnation's predecessors once it was ready for long enough; says whether there were any.
    ///
    /// # Errors
    /// As [`Locked::write_session`].
    pub fn trim_stable(&self, ready_for: Duration) -> Result<bool> {
        let mut deaths = self.files().deaths()?.present().unwrap_or_default();
        let trimmed = deaths.trim_stable(ready_for);
        if trimmed {
            self.write_deaths(&deaths)?;
        }
        Ok(trimmed)
    }
}
