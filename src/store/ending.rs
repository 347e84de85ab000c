//! Records the end of an incarnation exactly once.
//!
//! If a process is killed between two steps, any other process that holds the lock can finish the work: each step is
//! idempotent for one incarnation, and the session record is removed last. A death is therefore counted once, however
//! many passes see it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::records::{Host, Place, SessionRecord, Unseen};
use super::{Locked, PeerFiles, Result, Stored};
use crate::policy::ending::{End, EndReport, Incarnation};
use crate::policy::health::Deaths;
use crate::policy::time::Timestamp;

/// `NAME.end`: the last end, and the conversation that a resume would continue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastEnd {
    /// The facts that `policy` decides by.
    #[serde(flatten)]
    pub end: End,
    /// The conversation of the last incarnation that was ever ready. A start that never became ready does not replace
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// The profile that this conversation belongs to, or will belong to.
    pub agent: String,
    /// The names of the essential environment variables that the last ready incarnation had.
    #[serde(default, skip_serializing_if = "Vec::is_empty", alias = "lives_by")]
    pub essential_env: Vec<String>,
    /// The last message that was sent but not confirmed. A resume looks for it before it is sent again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen: Option<Unseen>,
    /// Evidence for finding the conversation later, if it was unknown at the end.
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "unlearned")]
    pub pending_conversation: Option<PendingConversation>,
    /// Where the incarnation ran. A `peer` on another host does not restart it automatically.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
    /// The session that the runtime still shows with the agent's last screen, until it is cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Place>,
}

/// Evidence for finding, after the fact, the conversation of an incarnation that ended before its id was known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingConversation {
    /// When the incarnation was requested. No file of the conversation is older.
    pub woke_at_ms: Timestamp,
    /// The markers of its processes in the agent's own files, newest last.
    #[serde(alias = "traces")]
    pub process_markers: Vec<String>,
}

/// Whether the runtime's session was removed before the end was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// The session is gone.
    Cleared,
    /// The session still shows the agent's last screen, and has to be cleared later.
    Left,
}

impl LastEnd {
    /// Returns the next content of `NAME.end`, given that `record` ended as `report` says and `previous` is the current
    /// content.
    ///
    /// A start that never became ready leaves the conversation unchanged, even one that is still unknown.
    fn after(record: &SessionRecord, report: EndReport, previous: Option<Self>, session: Session) -> Self {
        let end = End::new(report, previous.as_ref().map(|last| &last.end));
        let left = (session == Session::Left).then(|| record.place.clone());
        let unknown = record.conversation.is_none() && !record.process_markers.is_empty();
        let own = unknown.then(|| PendingConversation {
            woke_at_ms: record.written_since(),
            process_markers: record.process_markers.clone(),
        });
        let agent = record.agent.clone();
        let (essential_env, unseen) = match (record.ready_at().is_some(), &previous) {
            (false, Some(last)) => (last.essential_env.clone(), last.unseen.clone()),
            _ => (record.essential_env.clone(), record.unseen.clone()),
        };
        let (conversation, pending_conversation, agent) = match (record.ready_at().is_some(), previous) {
            (true, previous) => {
                // If a newer conversation was begun, the older one does not come back, even if the newer one is still
                // empty.
                let kept =
                    previous.filter(|_| record.unidentified_since_ms.is_none()).and_then(|last| last.conversation);
                (record.conversation.clone().or(kept), own, agent)
            }
            (false, Some(last)) if last.conversation.is_some() || last.pending_conversation.is_some() => {
                (last.conversation, last.pending_conversation, last.agent)
            }
            (false, _) => (None, own, agent),
        };
        Self {
            end,
            conversation,
            agent,
            essential_env,
            unseen,
            pending_conversation,
            host: record.place.host.clone(),
            left,
        }
    }
}

/// The files about a peer's ends, before one more end.
#[derive(Clone, Debug, Default)]
pub struct Ends {
    /// The content of `NAME.end`, if there was an end.
    pub last: Option<LastEnd>,
    /// The content of `NAME.deaths`.
    pub deaths: Deaths,
}

/// The files about a peer's ends, after one more end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The content of `NAME.end`.
    pub last: LastEnd,
    /// The content of `NAME.deaths`.
    pub deaths: Deaths,
}

impl Outcome {
    /// Computes the outcome of `record`'s end. It writes nothing, so that recording an end and displaying an unrecorded
    /// one use the same result.
    ///
    /// If an earlier pass was killed half-way, its `NAME.end` is kept and the cause is not judged again. A long ready
    /// life clears the deaths before it. Then this death is added, once.
    pub fn of(record: &SessionRecord, report: EndReport, session: Session, before: Ends) -> Self {
        let Ends { last: previous, mut deaths } = before;
        let last = match previous {
            Some(last) if last.end.incarnation == record.incarnation => last,
            previous => LastEnd::after(record, report, previous, session),
        };
        let ready_for = record.ready_at().map(|ready| last.end.at_ms.since(ready)).unwrap_or_default();
        deaths.trim_stable(ready_for);
        deaths.record(last.end.cause, last.end.incarnation, last.end.at_ms);
        Self { last, deaths }
    }
}

impl PeerFiles {
    /// Reads the files about the peer's ends. One that does not parse counts as absent.
    ///
    /// # Errors
    /// As [`PeerFiles::session`].
    pub fn ends(&self) -> Result<Ends> {
        Ok(Ends { last: self.end()?.present(), deaths: self.deaths()?.present().unwrap_or_default() })
    }
}

impl Locked {
    /// Records the end of the recorded incarnation in the files that still are as they were `before`.
    ///
    /// # Errors
    /// If a file could not be written. The session record remains, and the next pass finishes the work.
    pub fn write_outcome(&self, before: &Ends, outcome: &Outcome) -> Result<()> {
        if before.last.as_ref() != Some(&outcome.last) {
            self.write_json("end", &outcome.last)?;
        }
        if before.deaths != outcome.deaths {
            self.write_deaths(&outcome.deaths)?;
        }
        Ok(())
    }

    /// Removes the files in `panes/` of an incarnation whose end is recorded and logged, and its session record last.
    ///
    /// # Errors
    /// If the directory is read-only. The next pass finishes the work.
    pub fn remove_ended(&self, incarnation: Incarnation) -> Result<()> {
        self.remove_pane_files(incarnation)?;
        self.remove("session")
    }

    /// Removes what a pass that was killed left in `panes/` of an incarnation whose end is recorded.
    ///
    /// # Errors
    /// If a file cannot be read, or the directory is read-only.
    pub fn remove_pane_files_of_ended(&self) -> Result<()> {
        match (self.files().session()?, self.files().end()?) {
            (Stored::Absent, Stored::Present(last)) => {
                self.remove_older_pane_files(Incarnation(last.end.incarnation.0.saturating_add(1)))
            }
            _ => Ok(()),
        }
    }

    /// Records that the session of the last incarnation has been cleared.
    ///
    /// # Errors
    /// As [`Locked::write_session`].
    pub fn note_cleared(&self, mut last: LastEnd) -> Result<()> {
        last.left = None;
        self.write_json("end", &last)
    }

    /// Records the conversation of the last incarnation if it was unknown at its end. The conversation list must
    /// already have its id.
    ///
    /// # Errors
    /// As [`Locked::write_session`].
    pub fn note_conversation(&self, mut last: LastEnd, id: &str) -> Result<()> {
        last.conversation = Some(id.to_owned());
        last.pending_conversation = None;
        self.write_json("end", &last)
    }

    /// Clears the deaths and the used budgets, and with them any restart delay and the latch. Returns the cleared
    /// deaths.
    ///
    /// # Errors
    /// If the directory is read-only.
    pub fn reset_deaths(&self) -> Result<Deaths> {
        let deaths = self.files().deaths()?.present().unwrap_or_default();
        if let Some(mut last) = self.files().end()?.present() {
            last.end.reset();
            self.write_json("end", &last)?;
        }
        self.remove("deaths")?;
        Ok(deaths)
    }

    /// Forgets earlier deaths once an incarnation has been ready for long enough. Returns whether there were any.
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

#[cfg(test)]
mod tests {
    use peer_adapters::runtime::RuntimeKind;

    use super::*;
    use crate::policy::ending::{EndCause, Exit, Reached};
    use crate::store::{Phase, Process};

    fn at(s: u64) -> Timestamp {
        Timestamp::from_ms(1_000_000_000 + s * 1000)
    }

    fn report(incarnation: u64, ended_s: u64) -> EndReport {
        EndReport {
            incarnation: Incarnation(incarnation),
            cause: EndCause::Crashed,
            at: at(ended_s),
            exit: Some(Exit::Code(3)),
            uptime: Duration::from_secs(10),
            max_rss_kib: None,
            reached: Reached::Ready,
        }
    }

    #[test]
    fn a_pass_that_comes_late_forgets_no_death() {
        let place = Place::planned(RuntimeKind::Tmux, "/usr/bin/tmux".into(), "/nonexistent".into(), "a-3".to_owned());
        let driver = Process { pid: 1, start: 1 };
        let mut record = SessionRecord::starting(Incarnation(3), place, driver, String::new(), "command", "x", at(90));
        record.phase = Phase::Ready { ready_at_ms: at(90) };
        let mut deaths = Deaths::default();
        for (incarnation, ended_s) in [(1, 50), (2, 80)] {
            deaths.record(EndCause::Crashed, Incarnation(incarnation), at(ended_s));
        }
        let first = Outcome::of(&record, report(3, 100), Session::Left, Ends { last: None, deaths });
        assert_eq!(first.deaths.len(), 3);
        // Killed before it removed the record. The next pass sees no exit record, and takes its own time for that of the end.
        let before = Ends { last: Some(first.last.clone()), deaths: first.deaths.clone() };
        let next = Outcome::of(&record, report(3, 1000), Session::Left, before);
        assert_eq!(next, first);
    }
}
