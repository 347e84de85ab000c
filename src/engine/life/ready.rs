//! Waiting until a started agent is ready, and recording that once.

use std::time::Duration;

use peer_adapters::process;
use peer_adapters::runtime::Capture;
use peer_adapters::screen::{self, Phase as ScreenPhase};
use tokio::time::Instant;

use crate::engine::error::{AnswerWith, NotReady};
use crate::engine::life::driving::Driving;
use crate::engine::life::not_ready::Repetition;
use crate::engine::life::record_end::{self, EndContext};
use crate::engine::observe::changes::Changes;
use crate::engine::observe::conversation::ConversationFinder;
use crate::engine::observe::{self, process_axis, process_id, recorded, target};
use crate::engine::peer::DIALOG_SETTLE;
use crate::engine::{Engine, EngineError, POLL, Peer, Result};
use crate::policy::axis::Axis;
use crate::policy::ending::Incarnation;
use crate::policy::event::EventName;
use crate::policy::time::{Timestamp, millis};
use crate::store::{ClearedBy, Event, Locked, Phase, SessionRecord, Stored};

/// The least time between two looks at a screen: a starting agent writes all the time, and a capture costs 3 ms.
const SCREEN_POLL: Duration = Duration::from_millis(25);

/// How long a dialog may take to redraw after a key. A key that arrives before the agent reads input is lost.
const REDRAW_TIMEOUT: Duration = Duration::from_secs(1);

/// How long an agent may show nothing before its view is cleared: longer than most agents need to be ready.
const BLIND: Duration = Duration::from_secs(5);

/// The result of one look at the screen.
#[derive(Clone, PartialEq, Eq)]
enum Look {
    /// Not ready yet.
    NotYet,
    /// The readiness rule matches.
    Ready,
    /// It shows a dialog.
    Asks(screen::DialogView),
}

/// The result of the last look, and since when it has been the same.
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
    /// Waits until this incarnation is ready, even if another process started it. One `peer` process watches its
    /// screen; the others watch the record, and one of them takes over if the first exits. No lock is held meanwhile.
    ///
    /// # Errors
    /// [`EngineError::NotReady`]: the agent ended, shows a dialog, or timed out; a living session is left alone, and
    /// the failure is logged. [`EngineError::NotStarted`]: the agent was not executed, and nothing is left of it.
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

    /// As [`Engine::await_ready`], but leaves logging to the caller.
    pub(crate) async fn see_ready(&self, peer: &Peer, incarnation: Incarnation) -> Result<()> {
        let started = Instant::now();
        let limit = peer.ready_timeout();
        loop {
            let record = self.current(peer, incarnation)?;
            let Phase::Starting { driver } = record.phase else { return Ok(()) };
            if driver == recorded(process::me()?)
                && let Some(driving) = Driving::begin(peer, incarnation)
            {
                let driven = self.drive(peer, incarnation, started, limit).await;
                drop(driving);
                if driven.is_err() {
                    self.leave_start(peer).await;
                }
                return driven;
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

    pub(super) fn waiting(&self, peer: &Peer, started: Instant, limit: Duration) {
        self.progress.waiting(&format!("{} to be ready", peer.name), started.elapsed(), limit);
    }

    /// Returns the record if it is still that of this incarnation.
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

    /// Makes this process the one that watches the screen, in place of one that exited.
    async fn take_over(&self, peer: &Peer, incarnation: Incarnation) -> Result<()> {
        let locked = self.lock(&peer.name).await?;
        let mut record = self.current(peer, incarnation)?;
        if let Phase::Starting { driver } = record.phase
            && process::find(process_id(driver))?.is_none()
        {
            record.phase = Phase::Starting { driver: recorded(process::me()?) };
            let observation = self.observe(&peer.name, &record).await?;
            observe::complete(&mut record, &observation);
            locked.write_session(&record)?;
        }
        Ok(())
    }

    /// Watches the screen until the readiness rule matches, and still matches a moment later.
    async fn drive(&self, peer: &Peer, incarnation: Incarnation, started: Instant, limit: Duration) -> Result<()> {
        self.await_agent(peer, incarnation, started, limit).await?;
        let (mut steady, mut cleared) = (Steady::default(), Instant::now());
        let mut changes = None;
        loop {
            let record = self.current(peer, incarnation)?;
            if !matches!(record.phase, Phase::Starting { .. }) {
                return Ok(());
            }
            if record.process.is_some() && process_axis(&record) == Axis::Dead {
                self.record_failed_start(peer, &record).await?;
                continue;
            }
            let look = self.look(peer, &record).await?;
            let stood = steady.stood(&look);
            match &look {
                Look::Asks(dialog) if stood >= DIALOG_SETTLE => {
                    self.answer(peer, &record, dialog).await?;
                    steady = Steady::default();
                }
                Look::Ready if stood >= must_last(peer, &record) => self.declare_ready(peer, incarnation).await?,
                Look::NotYet if stood >= BLIND && cleared.elapsed() >= BLIND => {
                    // A client may have left the pane scrolled or too small. If that cannot be undone, the next look is
                    // as good as this one.
                    let _ = self.clear_view(peer, &record, "").await;
                    cleared = Instant::now();
                }
                Look::NotYet | Look::Asks(_) | Look::Ready => {}
            }
            if started.elapsed() > limit {
                return Err(self.not_ready(peer, &record, NotReady::TimedOut(limit)).await);
            }
            self.waiting(peer, started, limit);
            let changes = changes.get_or_insert_with(|| Changes::of(&record, SCREEN_POLL));
            changes.looked();
            changes.screen().await;
        }
    }

    async fn look(&self, peer: &Peer, record: &SessionRecord) -> Result<Look> {
        if ready_when_started(peer) {
            return Ok(Look::Ready);
        }
        // A failed capture proves nothing; the loop looks again until it times out.
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

    /// Answers a dialog that the spec accepts, with one key per frame; any other dialog needs a person.
    async fn answer(&self, peer: &Peer, record: &SessionRecord, dialog: &screen::DialogView) -> Result<()> {
        let Some(key) = peer.key_for(dialog) else {
            let acceptable = (!dialog.needs_person).then(|| dialog.id.as_str().into());
            let (question, answer) = (dialog.question.as_str().into(), AnswerWith::of(dialog.answerable));
            let why = NotReady::NeedsPerson { question, rows: dialog.rows.clone().into(), acceptable, answer };
            return Err(self.not_ready(peer, record, why).await);
        };
        let runtime = self.runtime_of(&record.place)?;
        runtime.press(&target(&record.place), &[key]).await?;
        let pressed = Instant::now();
        while pressed.elapsed() < REDRAW_TIMEOUT
            && matches!(self.look(peer, record).await?, Look::Asks(shown) if shown == *dialog)
        {
            tokio::time::sleep(SCREEN_POLL).await;
        }
        Ok(())
    }

    /// Records the end of an agent that died before it was ready, unless its pane process already did.
    async fn record_failed_start(&self, peer: &Peer, record: &SessionRecord) -> Result<()> {
        let locked = self.lock(&peer.name).await?;
        match peer.files.session()? {
            Stored::Present(now) if now.incarnation == record.incarnation => {
                self.record_end_of_start(peer, &locked, &now).await
            }
            _ => Ok(()),
        }
    }

    pub(super) async fn record_end_of_start(&self, peer: &Peer, locked: &Locked, record: &SessionRecord) -> Result<()> {
        self.await_exit_record(peer, record).await?;
        let observation = self.observe(&peer.name, record).await?;
        let observation = self.confirm_end(peer, record, observation).await?;
        // Without an exit record, what took the agent along decides whether it is a death.
        if peer.files.exit(record.incarnation)?.present().is_none() {
            Self::refuse_unknown(peer, &observation)?;
        }
        self.keep_screen(record, locked, &observation).await;
        record_end::record_end(&self.state, locked, record, EndContext::left(&observation), self.now())?;
        Ok(())
    }

    /// Returns the record of an incarnation that was just ready, if it is still alive; otherwise its end is recorded.
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
            self.record_end_of_start(peer, locked, &record).await?;
            return self.current(peer, incarnation);
        }
        Ok(record)
    }

    /// Records that the agent is ready, unless it may have ended meanwhile. The markers are consumed only now, so that a
    /// failed start costs no context.
    async fn declare_ready(&self, peer: &Peer, incarnation: Incarnation) -> Result<()> {
        let locked = self.lock(&peer.name).await?;
        let mut record = self.current(peer, incarnation)?;
        if process_axis(&record) != Axis::Alive || !matches!(record.phase, Phase::Starting { .. }) {
            return Ok(());
        }
        // Before any message: the user may type in the pane and end the agent before `peer` looks again.
        ConversationFinder::of(peer).find(&self.state, &locked, &mut record)?;
        let now = self.now();
        self.mark_ready(&locked, &mut record, now)?;
        self.log(
            &Event::new(now, EventName::WakeReady)
                .peer(&peer.name)
                .incarnation(incarnation)
                .cause(record.cause.clone())
                .with("after_ms", millis(now.since(record.woke_at_ms))),
        )
    }

    fn mark_ready(&self, locked: &Locked, record: &mut SessionRecord, now: Timestamp) -> Result<()> {
        record.phase = Phase::Ready { ready_at_ms: now };
        record.last_reported = None;
        record.consumes_markers = locked.has_markers(ClearedBy::Ready)?;
        locked.write_session(record)?;
        locked.consume_markers(record)?;
        // The topics on file are those of the conversation that it was in last.
        let last = locked.files().end()?.present().and_then(|last| last.conversation);
        let same = last.is_none() || last == record.conversation;
        match (&record.topic, record.resumed && same) {
            (topic, false) => locked.replace_topics(topic.as_deref())?,
            (Some(topic), true) => locked.add_topic(topic)?,
            (None, true) => {}
        }
        Ok(())
    }
}

/// Whether the profile has no screen rule, so that a started agent is ready.
fn ready_when_started(peer: &Peer) -> bool {
    peer.profile.ready.screen.is_empty()
}

/// Returns how long readiness must last before it is believed: a refused resume exits a moment after it looked healthy.
fn must_last(peer: &Peer, record: &SessionRecord) -> Duration {
    if record.resumed { peer.profile.ready.stable_for_resume } else { peer.profile.ready.stable_for_fresh }
}
