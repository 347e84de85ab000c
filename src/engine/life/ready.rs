//! Waiting until a started agent is ready, and saying so once.

use std::time::Duration;

use peer_adapters::process;
use peer_adapters::runtime::Capture;
use peer_adapters::screen::{self, Phase as ScreenPhase};
use tokio::time::Instant;

use crate::engine::error::NotReady;
use crate::engine::life::record_end::{self, Absence};
use crate::engine::message::room;
use crate::engine::observe::changes::Changes;
use crate::engine::observe::conversation::Learner;
use crate::engine::observe::{self, fnv1a, process_axis, process_id, recorded, target};
use crate::engine::{Engine, EngineError, POLL, Peer, Result, pause};
use crate::policy::axis::Axis;
use crate::policy::ending::{End, Incarnation};
use crate::policy::time::Timestamp;
use crate::store::{Event, Locked, Marker, Phase, SessionRecord, Stored};

/// Between two looks at a screen at least: an agent that starts writes all the time, and a capture costs 3 ms.
const LOOK: Duration = Duration::from_millis(25);

/// How long a dialog must stand still before a key is pressed into it. What is drawn is not yet what Enter means: Claude
/// Code 2.1.328 on a loaded machine took an Enter for the row that had been chosen one frame before, and ended.
const STILL: Duration = Duration::from_millis(300);

/// How long a dialog may take to answer a key with another frame. A key that came before the agent read any is lost.
const FRAME: Duration = Duration::from_secs(1);

/// How long nothing may be seen of an agent before its pane is looked after: longer than most need to be ready.
const BLIND: Duration = Duration::from_secs(5);

/// How long the pane process may take to come up and start the agent after the runtime made its pane.
const PANE_PATIENCE: Duration = Duration::from_secs(10);

/// How long the lock is waited for to note what was logged: the pane process, which may be writing down its agent, needs
/// milliseconds. Whoever holds it for longer ends this start or costs the log one entry more.
const NOTE_PATIENCE: Duration = Duration::from_secs(2);

/// What one look says.
#[derive(Clone, PartialEq, Eq)]
enum Look {
    /// Wait on.
    NotYet,
    /// The readiness rule holds.
    Ready,
    /// It asks something.
    Asks(screen::DialogView),
}

/// For how long each look has said the same.
#[derive(Default)]
struct Steady(Option<(Look, Instant)>);

impl Steady {
    fn stood(&mut self, look: &Look) -> Duration {
        match &self.0 {
            Some((seen, since)) if seen == look => since.elapsed(),
            _ => {
                self.0 = Some((look.clone(), Instant::now()));
                Duration::ZERO
            }
        }
    }
}

impl Engine {
    /// Waits until incarnation `incarnation` is ready, whoever started it. One `peer` process looks at its screen; the
    /// others watch the record, and one of them takes over when the first is gone. No lock is held meanwhile.
    ///
    /// # Errors
    /// [`EngineError::NotReady`]: it ended, it asks something, or its time is over; a living session is left as it is, and
    /// the log says so. [`EngineError::NotStarted`]: its agent was not executed, and nothing is left of it.
    pub async fn await_ready(&self, peer: &Peer, incarnation: Incarnation) -> Result<()> {
        let result = self.see_ready(peer, incarnation).await;
        if let Err(EngineError::NotReady { why, .. }) = &result {
            self.log_not_ready(peer, incarnation, why, Repetition::Logged).await?;
        }
        if let Err(EngineError::NotStarted { .. }) = &result {
            self.clear_refused(peer, incarnation).await?;
        }
        result
    }

    /// Clears what a start left whose agent was not executed: its pane, and its launch file with what is secret in it. What
    /// cannot be cleared now, the next start or tick clears.
    async fn clear_refused(&self, peer: &Peer, incarnation: Incarnation) -> Result<()> {
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

    /// [`Engine::await_ready`], with what the log is told left to the caller.
    pub(crate) async fn see_ready(&self, peer: &Peer, incarnation: Incarnation) -> Result<()> {
        let started = Instant::now();
        let limit = peer.effective.ready_timeout.value.unwrap_or(peer.profile.ready.timeout);
        loop {
            let record = self.current(peer, incarnation)?;
            let Phase::Starting { driver } = record.phase else { return Ok(()) };
            if driver == recorded(process::me()?) {
                return self.drive(peer, incarnation, started, limit).await;
            }
            if process::find(process_id(driver))?.is_none() {
                self.take_over(peer, incarnation).await?;
                continue;
            }
            if started.elapsed() > limit {
                return Err(self.not_ready(peer, &record, NotReady::TimedOut(limit)).await);
            }
            self.waiting(peer, started, limit);
            tokio::time::sleep(POLL).await;
        }
    }

    fn waiting(&self, peer: &Peer, started: Instant, limit: Duration) {
        self.progress.waiting(&format!("{} to be ready", peer.name), started.elapsed(), limit);
    }

    /// The record, while this incarnation is the one on it.
    pub(crate) fn current(&self, peer: &Peer, incarnation: Incarnation) -> Result<SessionRecord> {
        match peer.files.session()? {
            Stored::Present(SessionRecord { incarnation: now, phase: Phase::Refused, refused, .. })
                if now == incarnation =>
            {
                let why = refused.unwrap_or_else(|| "its runtime refused".to_owned());
                Err(EngineError::NotStarted { peer: peer.name.clone(), why })
            }
            Stored::Present(record) if record.incarnation == incarnation => Ok(record),
            _ => Err(EngineError::NotReady {
                peer: peer.name.clone(),
                incarnation,
                why: self.how_it_ended(peer, incarnation)?,
                screen: self.kept_screen(peer),
            }),
        }
    }

    fn how_it_ended(&self, peer: &Peer, incarnation: Incarnation) -> Result<NotReady> {
        let end = peer.files.end()?.present().map(|last| last.end).filter(|end| end.incarnation == incarnation);
        let how = end.as_ref().map_or_else(|| "another start took its place".to_owned(), End::shown_as);
        Ok(NotReady::Ended { how, failed_resumes: end.map_or(0, |end| end.failed_resumes) })
    }

    fn kept_screen(&self, peer: &Peer) -> Vec<String> {
        let text = peer.files.kept_screen().ok().and_then(Stored::present).unwrap_or_default();
        screen::last_lines(&text, 2)
    }

    /// Becomes the one who looks at the screen, in the place of one who died.
    async fn take_over(&self, peer: &Peer, incarnation: Incarnation) -> Result<()> {
        let locked = self.lock(&peer.name).await?;
        let mut record = self.current(peer, incarnation)?;
        if let Phase::Starting { driver } = record.phase
            && process::find(process_id(driver))?.is_none()
        {
            record.phase = Phase::Starting { driver: recorded(process::me()?) };
            let sight = self.observe(&peer.name, &record).await?;
            observe::complete(&mut record, &sight);
            locked.write_session(&record)?;
        }
        Ok(())
    }

    /// Looks until the readiness rule holds, and still holds a moment later.
    async fn drive(&self, peer: &Peer, incarnation: Incarnation, started: Instant, limit: Duration) -> Result<()> {
        let (mut steady, mut cleared) = (Steady::default(), Instant::now());
        let mut changes = None;
        loop {
            let record = self.current(peer, incarnation)?;
            if record.process.is_some() && process_axis(&record) == Axis::Dead {
                self.settle_dead(peer, &record).await?;
                continue;
            }
            if record.process.is_none() && started.elapsed() > PANE_PATIENCE {
                return Err(self.not_ready(peer, &record, NotReady::TimedOut(PANE_PATIENCE)).await);
            }
            let look = self.look(peer, &record).await?;
            let stood = steady.stood(&look);
            match &look {
                Look::Asks(dialog) if stood >= STILL => {
                    self.answer(peer, &record, dialog).await?;
                    steady = Steady::default();
                }
                Look::Ready if stood >= hold(peer, &record) => {
                    return self.declare_ready(peer, incarnation).await;
                }
                Look::NotYet if stood >= BLIND && cleared.elapsed() >= BLIND => {
                    // Whoever is attached may have scrolled, or may have left it small. What cannot be done costs a look.
                    let _ = self.clear_view(peer, &record, "").await;
                    cleared = Instant::now();
                }
                Look::NotYet | Look::Asks(_) | Look::Ready => {}
            }
            if started.elapsed() > limit {
                return Err(self.not_ready(peer, &record, NotReady::TimedOut(limit)).await);
            }
            self.waiting(peer, started, limit);
            if record.process.is_none() {
                pause(started).await;
                continue;
            }
            let changes = changes.get_or_insert_with(|| Changes::of(&record, LOOK));
            changes.looked();
            changes.screen().await;
        }
    }

    async fn look(&self, peer: &Peer, record: &SessionRecord) -> Result<Look> {
        if record.process.is_none() {
            return Ok(Look::NotYet);
        }
        if ready_when_started(peer) {
            return Ok(Look::Ready);
        }
        // A capture that fails is no sign of anything: look again until the time is over.
        let Ok(text) = self.capture(record).await else { return Ok(Look::NotYet) };
        Ok(match screen::read(&peer.profile, &text).phase {
            ScreenPhase::Ready | ScreenPhase::Busy => Look::Ready,
            ScreenPhase::Starting => Look::NotYet,
            ScreenPhase::Dialog(dialog) => Look::Asks(dialog),
        })
    }

    pub(crate) async fn capture(&self, record: &SessionRecord) -> Result<String> {
        let runtime = self.runtime_of(&record.place)?;
        Ok(runtime.capture(&target(&record.place), Capture { history: 0, ansi: true }).await?)
    }

    /// Answers a dialog that the spec accepts, one key a frame; anything else needs a person.
    async fn answer(&self, peer: &Peer, record: &SessionRecord, dialog: &screen::DialogView) -> Result<()> {
        let accepted = peer.effective.accept.value.contains(&dialog.id);
        let key = if accepted { screen::next_key(dialog) } else { None };
        let Some(key) = key else {
            let acceptable = (!dialog.needs_person).then(|| dialog.id.clone());
            let why = NotReady::NeedsPerson { question: dialog.question.clone(), acceptable };
            return Err(self.not_ready(peer, record, why).await);
        };
        let runtime = self.runtime_of(&record.place)?;
        runtime.press(&target(&record.place), &[key]).await?;
        let pressed = Instant::now();
        while pressed.elapsed() < FRAME
            && matches!(self.look(peer, record).await?, Look::Asks(shown) if shown == *dialog)
        {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// An agent that died before it was ready: its end is recorded, unless its pane process was quicker.
    async fn settle_dead(&self, peer: &Peer, record: &SessionRecord) -> Result<()> {
        let locked = self.lock(&peer.name).await?;
        if matches!(peer.files.session()?, Stored::Present(now) if now.incarnation == record.incarnation) {
            self.settle_locked(peer, &locked, record).await?;
        }
        Ok(())
    }

    async fn settle_locked(&self, peer: &Peer, locked: &Locked, record: &SessionRecord) -> Result<()> {
        self.await_exit_record(peer, record).await?;
        let sight = self.observe(&peer.name, record).await?;
        self.keep_screen(record, locked, &sight).await;
        record_end::record_end(&self.state, locked, record, Absence::UNSEEN, self.now())?;
        Ok(())
    }

    /// The record of an incarnation that was ready a moment ago, while it lives; its end is recorded where it does not.
    ///
    /// # Errors
    /// [`EngineError::NotReady`] with how it ended.
    pub(crate) async fn still_current(
        &self,
        peer: &Peer,
        locked: &Locked,
        incarnation: Incarnation,
    ) -> Result<SessionRecord> {
        let record = self.current(peer, incarnation)?;
        if process_axis(&record) == Axis::Dead {
            self.settle_locked(peer, locked, &record).await?;
            return self.current(peer, incarnation);
        }
        Ok(record)
    }

    /// READY: only now are the markers used up, so that a failed start costs no context.
    async fn declare_ready(&self, peer: &Peer, incarnation: Incarnation) -> Result<()> {
        let locked = self.lock(&peer.name).await?;
        let mut record = self.current(peer, incarnation)?;
        if process_axis(&record) != Axis::Alive {
            drop(locked);
            return Box::pin(self.see_ready(peer, incarnation)).await;
        }
        // Before anybody speaks to it: a person may, in its pane, and end it before anybody looks.
        Learner::new(&peer.profile, &peer.spec.cwd).learn(&self.state, &locked, &mut record)?;
        let now = self.now();
        self.mark_ready(&locked, &mut record, now)?;
        self.log(
            &Event::new(now, "wake.ready")
                .peer(&peer.name)
                .incarnation(incarnation)
                .cause(record.cause.clone())
                .with("after_ms", u64::try_from(now.since(record.woke_at_ms).as_millis()).unwrap_or(u64::MAX)),
        )
    }

    fn mark_ready(&self, locked: &Locked, record: &mut SessionRecord, now: Timestamp) -> Result<()> {
        record.phase = Phase::Ready { ready_at_ms: now };
        record.told = None;
        locked.write_session(record)?;
        locked.unmark(Marker::IdleReaped)?;
        locked.unmark(Marker::FreshNext)?;
        match (&record.topic, record.resumed) {
            (topic, false) => locked.replace_topics(topic.as_deref())?,
            (Some(topic), true) => locked.add_topic(topic)?,
            (None, true) => {}
        }
        Ok(())
    }

    /// The error for a start that is not ready, with what its screen says.
    async fn not_ready(&self, peer: &Peer, record: &SessionRecord, why: NotReady) -> EngineError {
        let why = match (why, room::cramped(record)) {
            (NotReady::TimedOut(after), Some(size)) => NotReady::NoRoom { after, size },
            (why, _) => why,
        };
        let screen = match self.capture(record).await {
            Ok(text) => screen::last_lines(&text, 2),
            Err(_) => self.kept_screen(peer),
        };
        EngineError::NotReady { peer: peer.name.clone(), incarnation: record.incarnation, why, screen }
    }

    /// Logs that a start is not ready, and notes on its record what was logged. One that ended has its end in the log.
    /// Blocks for `NOTE_PATIENCE` at most.
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
            NotReady::NeedsPerson { question, .. } => ("needs-person", question.as_str()),
        };
        // Not the question itself: what a pane shows is not written down.
        let told = format!("{cause}-{:016x}", fnv1a(question.as_bytes()));
        let locked = tokio::time::timeout(NOTE_PATIENCE, self.lock(&peer.name)).await.ok().transpose()?;
        let record = peer.files.session()?.present().filter(|record| record.incarnation == incarnation);
        let same = record.as_ref().is_some_and(|record| record.told.as_ref() == Some(&told));
        if same && repetition == Repetition::Silent {
            return Ok(());
        }
        self.log(&Event::new(self.now(), "wake.failed").peer(&peer.name).incarnation(incarnation).cause(cause))?;
        if let (Some(locked), Some(mut record), false) = (locked, record, same) {
            record.told = Some(told);
            locked.write_session(&record)?;
        }
        Ok(())
    }
}

/// What becomes of a failure that the log has told already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repetition {
    /// It is logged: somebody asked for this start and is told that it failed.
    Logged,
    /// It is not: nobody asked, and a tick a minute would push everything else out of the log.
    Silent,
}

/// A profile without a rule for the screen: to be started is to be ready.
fn ready_when_started(peer: &Peer) -> bool {
    peer.profile.ready.screen.is_empty()
}

/// How long readiness must last before it is believed: a refused resume dies a moment after it looked healthy.
fn hold(peer: &Peer, record: &SessionRecord) -> Duration {
    if record.resumed { peer.profile.ready.hold_resume } else { peer.profile.ready.hold_fresh }
}
