//! A start that is not ready: why, said to its caller and once in the log.

use std::time::Duration;

use peer_adapters::screen;

use crate::engine::error::NotReady;
use crate::engine::message::room;
use crate::engine::observe::{fnv1a, target};
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::ending::{End, EndCause, Incarnation};
use crate::policy::event::EventName;
use crate::store::{Event, Phase, SessionRecord, Stored};

/// How long to wait for the lock to record what was logged. The pane process, which may be recording its agent, needs
/// milliseconds. Another process that holds it longer either ends this start, or costs one more log entry.
const NOTE_PATIENCE: Duration = Duration::from_secs(2);

/// What to do with a failure that is already in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repetition {
    /// Log it again: this start was requested, and its failure is the answer.
    Logged,
    /// Do not log it again: nothing requested it, and one entry per tick would crowd out everything else.
    Silent,
}

impl Engine {
    /// Clears what is left of a start whose agent was not executed: its pane, and its launch file, which contains
    /// secrets. What cannot be cleared now is cleared by the next start or tick.
    pub(super) async fn clear_refused(&self, peer: &Peer, incarnation: Incarnation) -> Result<()> {
        let locked = self.lock(&peer.name).await?;
        let Some(record) = peer.files.session()?.present() else { return Ok(()) };
        if (record.incarnation, record.phase) != (incarnation, Phase::Refused) {
            return Ok(());
        }
        if let Err(error) = self.runtime_of(&record.place)?.remove(&target(&record.place)).await {
            tracing::debug!(%error, "the pane of a start that was refused");
        }
        Ok(locked.remove_pane_files(incarnation)?)
    }

    pub(super) fn how_it_ended(&self, peer: &Peer, incarnation: Incarnation) -> Result<NotReady> {
        let end = peer.files.end()?.present().map(|last| last.end).filter(|end| end.incarnation == incarnation);
        let how = end.as_ref().map_or_else(|| "another start took its place".to_owned(), End::shown_as);
        Ok(NotReady::Ended { how, failed_resumes: end.map_or(0, |end| end.failed_resumes) })
    }

    /// Whether this incarnation ended because its runtime's server did, or because another start took its place.
    pub(crate) fn was_taken_away(&self, peer: &Peer, incarnation: Incarnation) -> Result<bool> {
        if let Some(record) = peer.files.session()?.present() {
            return Ok(record.incarnation != incarnation);
        }
        let end = peer.files.end()?.present().map(|last| last.end);
        Ok(end.is_some_and(|end| end.incarnation == incarnation && end.cause == EndCause::RuntimeLost))
    }

    pub(super) fn kept_screen(&self, peer: &Peer) -> Vec<String> {
        let text = peer.files.kept_screen().ok().and_then(Stored::present).unwrap_or_default();
        screen::last_lines(&text, 2)
    }

    /// Returns the error for a start that is not ready, with the rows of its question or the last lines of its screen.
    pub(super) async fn not_ready(&self, peer: &Peer, record: &SessionRecord, why: NotReady) -> EngineError {
        let why = match (why, room::cramped(record)) {
            (NotReady::TimedOut(after), Some(size)) => NotReady::NoRoom { after, size },
            (why, _) => why,
        };
        // The last lines of a question may be one of its rows, and could be taken for all of them.
        let told = matches!(&why, NotReady::NeedsPerson { rows, .. } if !rows.is_empty());
        let screen = match self.capture(record).await {
            Ok(_) if told => Vec::new(),
            Ok(text) => screen::last_lines(&text, 2),
            Err(_) => self.kept_screen(peer),
        };
        EngineError::NotReady { peer: peer.name.clone(), incarnation: record.incarnation, why, screen }
    }

    /// Logs that a start is not ready, and records that it was logged. A start that ended already has its end in the
    /// log. Blocks for at most `NOTE_PATIENCE`.
    ///
    /// # Errors
    /// The state directory failed.
    pub(crate) async fn log_not_ready(
        &self,
        peer: &Peer,
        incarnation: Incarnation,
        why: &NotReady,
        repetition: Repetition,
    ) -> Result<()> {
        let (cause, question) = match why {
            NotReady::Ended { .. } => return Ok(()),
            NotReady::TimedOut(_) | NotReady::NoRoom { .. } => ("timed-out", ""),
            NotReady::NeedsPerson { question, .. } => ("needs-person", &**question),
        };
        // A hash instead of the question, because what a pane shows is not written to disk.
        let report = format!("{cause}-{:016x}", fnv1a(question.as_bytes()));
        let locked = tokio::time::timeout(NOTE_PATIENCE, self.lock(&peer.name)).await.ok().transpose()?;
        let record = peer.files.session()?.present().filter(|record| record.incarnation == incarnation);
        let same = record.as_ref().is_some_and(|record| record.last_reported.as_ref() == Some(&report));
        if same && repetition == Repetition::Silent {
            return Ok(());
        }
        self.log(
            &Event::new(self.now(), EventName::WakeFailed).peer(&peer.name).incarnation(incarnation).cause(cause),
        )?;
        if let (Some(locked), Some(mut record), false) = (locked, record, same) {
            record.last_reported = Some(report);
            locked.write_session(&record)?;
        }
        Ok(())
    }
}
