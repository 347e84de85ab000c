//! Paste, see it there, press Enter, see it taken.

use std::time::{Duration, SystemTime};

use peer_adapters::agent::Accepted;
use peer_adapters::runtime::{Key, Runtime};
use peer_adapters::screen::{self, Composer, Phase, View};
use peer_adapters::terminal::{self, Input};
use peer_adapters::transcript::{Mark, TranscriptError};
use tokio::time::Instant;

use crate::engine::learn::{self, Launched, Learner};
use crate::engine::observe::{process_axis, target};
use crate::engine::{Engine, EngineError, POLL, Peer, Result, room};
use crate::policy::axis::Axis;
use crate::policy::time::Timestamp;
use crate::store::{Locked, SessionRecord};

/// How long a process may be without its files and not be called ended: microseconds, on a loaded machine milliseconds.
const LEAVING: Duration = Duration::from_secs(1);

/// How long a composer may take to appear or to be given back by a dialog or a draft.
const COMPOSER_PATIENCE: Duration = Duration::from_secs(10);
/// How long pasted text may take to show. 100 KB took the slowest agent under a second.
pub(super) const PASTE_PATIENCE: Duration = Duration::from_secs(5);
/// How long acceptance may take in all.
const ACCEPT_PATIENCE: Duration = Duration::from_secs(20);
/// How long nothing of what is awaited may be seen before the pane is looked after. A redraw takes less.
const BLIND: Duration = Duration::from_secs(1);
/// Between two looks at a screen.
const LOOK: Duration = Duration::from_millis(50);

/// One text on its way into one agent.
pub(super) struct Typing<'a> {
    pub(super) engine: &'a Engine,
    pub(super) peer: &'a Peer,
    pub(super) locked: &'a Locked,
    pub(super) runtime: &'a dyn Runtime,
    pub(super) record: &'a mut SessionRecord,
}

impl Typing<'_> {
    /// Types `text` and waits for the proof that the agent's profile names. A `command` leaves no trace in a transcript,
    /// so for one the composer is proof enough.
    pub(super) async fn type_in(&mut self, text: &str, command: bool) -> Result<()> {
        match self.peer.profile.message.accepted {
            Accepted::Consumed => self.type_into_terminal(text).await,
            Accepted::Transcript | Accepted::Composer => {
                let proof = if command { None } else { self.proof()? };
                self.type_into_composer(text, proof.as_ref()).await
            }
        }
    }

    /// The place in the transcript from which on a message is looked for, where the profile names that as proof.
    pub(super) fn proof(&self) -> Result<Option<Proof>> {
        let needed = self.peer.profile.message.accepted == Accepted::Transcript;
        needed.then(|| Proof::taken_before(self.peer, self.locked, self.record)).transpose()
    }

    fn not_accepted(&self, why: impl Into<String>) -> EngineError {
        EngineError::NotAccepted { peer: self.peer.name.clone(), why: why.into() }
    }

    /// The pane's size, where that is why nothing is seen.
    fn small(&self) -> String {
        let size = room::cramped(self.record);
        size.map(|size| format!("; its pane has {} columns and {} rows", size.columns, size.rows)).unwrap_or_default()
    }

    fn left_in_composer(&self) -> String {
        let small = self.small();
        if small.is_empty() {
            small
        } else {
            format!("{small}; the text is in its composer, and the next message sends it")
        }
    }

    fn waiting(&self, what: &str, started: Instant, limit: Duration) {
        self.engine.progress.waiting(&format!("{} {what}", self.peer.name), started.elapsed(), limit);
    }

    fn check_alive(&self) -> Result<()> {
        if process_axis(self.record) == Axis::Dead { Err(self.not_accepted("it ended")) } else { Ok(()) }
    }

    pub(super) async fn view(&self) -> Option<View> {
        // A capture that fails is no sign of anything: the caller looks again until its time is over.
        self.look().await.ok()
    }

    async fn look(&self) -> Result<View> {
        Ok(screen::read(&self.peer.profile, &self.engine.capture(self.record).await?))
    }

    /// What its terminal holds and what it has read. One on its way out has closed its files a moment before the kernel
    /// calls it ended.
    async fn input(&self, pid: u32) -> Result<Input> {
        let started = Instant::now();
        loop {
            match terminal::input(pid) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && started.elapsed() < LEAVING => {
                    self.check_alive()?;
                    tokio::time::sleep(POLL).await;
                }
                seen => return Ok(seen?),
            }
        }
    }

    /// An agent without a composer: the proof is that it read what was typed.
    async fn type_into_terminal(&self, text: &str) -> Result<()> {
        let agent = self.record.process.ok_or_else(|| self.not_accepted("it has no process"))?;
        let before = self.input(agent.id.pid).await?.read;
        self.runtime.paste(&target(&self.record.place), text).await?;
        self.runtime.press(&target(&self.record.place), &[Key::Enter]).await?;
        let started = Instant::now();
        loop {
            self.check_alive()?;
            if has_read(self.input(agent.id.pid).await?, before, text.len() as u64 + 1) {
                return Ok(());
            }
            if started.elapsed() > ACCEPT_PATIENCE {
                return Err(self.not_accepted("it has not read its terminal; the text waits there"));
            }
            self.waiting("to read the message", started, ACCEPT_PATIENCE);
            tokio::time::sleep(POLL).await;
        }
    }

    /// An agent with a composer. Text that a person left in it is not joined with ours.
    async fn type_into_composer(&mut self, text: &str, proof: Option<&Proof>) -> Result<()> {
        self.await_composer(COMPOSER_PATIENCE, |composer| *composer == Composer::Empty)
            .await
            .map_err(|last| self.not_accepted(format!("its composer was not free: {last}{}", self.small())))?;
        self.claim(text)?;
        let sent = self.paste_and_submit(text, proof).await;
        // One that is killed leaves its claim, and one that could not see what it did. Any other that failed says so, and what
        // stands there is a person's to judge.
        if sent.is_ok() || room::cramped(self.record).is_none() {
            self.record.typing = None;
        }
        if sent.is_err() {
            self.locked.write_session(self.record)?;
        }
        sent
    }

    /// Sees to it that the pane can be read again, where a person has scrolled it or made it small; at most once in `BLIND`.
    async fn clear_view(&self, cleared: &mut Instant) {
        if cleared.elapsed() >= BLIND {
            // What cannot be done costs a look: the caller goes on until its time is over.
            if let Err(error) = self.engine.clear_view(self.peer, self.record, "").await {
                tracing::debug!(%error, "the pane");
            }
            *cleared = Instant::now();
        }
    }

    async fn paste_and_submit(&mut self, text: &str, proof: Option<&Proof>) -> Result<()> {
        self.runtime.paste(&target(&self.record.place), text).await?;
        self.await_composer(PASTE_PATIENCE, |composer| matches!(composer, Composer::Holds(_))).await.map_err(
            |last| self.not_accepted(format!("the pasted text did not show: {last}{}", self.left_in_composer())),
        )?;
        // An Enter right behind a paste is taken for a part of it.
        tokio::time::sleep(self.peer.profile.message.settle).await;
        self.submit(text, proof).await
    }

    /// Presses Enter until it is acted on.
    pub(super) async fn submit(&mut self, text: &str, proof: Option<&Proof>) -> Result<()> {
        let (started, mut cleared) = (Instant::now(), Instant::now());
        while started.elapsed() < ACCEPT_PATIENCE {
            let holds = self.view().await.is_some_and(|view| matches!(view.composer, Composer::Holds(_)));
            if holds {
                self.runtime.press(&target(&self.record.place), &[Key::Enter]).await?;
            }
            let pressed = Instant::now();
            while pressed.elapsed() < self.peer.profile.message.again {
                if self.accepted(text, proof).await? {
                    return Ok(());
                }
                self.clear_view(&mut cleared).await;
                self.waiting("to accept the message", started, ACCEPT_PATIENCE);
                tokio::time::sleep(LOOK).await;
            }
        }
        let why = format!("neither its transcript nor its screen shows it{}", self.left_in_composer());
        Err(self.not_accepted(why))
    }

    async fn accepted(&mut self, text: &str, proof: Option<&Proof>) -> Result<bool> {
        self.check_alive()?;
        if let Some(proof) = proof {
            // The first message is what makes an agent choose its id, and the id is what names the transcript; a person, or the
            // command before this message, may have begun another conversation.
            Learner::new(&self.peer.profile, &self.peer.spec.cwd).learn(
                &self.engine.state,
                self.locked,
                self.record,
            )?;
            if proof.given(self.peer, self.record, text)? {
                return Ok(true);
            }
        }
        let Some(view) = self.view().await else { return Ok(false) };
        // Behind a turn in progress a message waits on the screen, and is in the transcript only when its turn comes.
        Ok(view.composer == Composer::Empty && (proof.is_none() || view.queued))
    }

    /// Looks at the composer until it is as `wanted`; what was seen last, if it never is.
    async fn await_composer(
        &self,
        patience: Duration,
        wanted: impl Fn(&Composer) -> bool,
    ) -> std::result::Result<(), String> {
        let (started, mut cleared) = (Instant::now(), Instant::now());
        let mut last = String::new();
        while started.elapsed() < patience {
            last = match self.look().await {
                Ok(view) if wanted(&view.composer) => return Ok(()),
                Ok(view) => describe(&view),
                Err(error) => format!("its screen could not be read: {error}"),
            };
            if process_axis(self.record) == Axis::Dead {
                return Err("it ended".to_owned());
            }
            self.clear_view(&mut cleared).await;
            self.waiting("to show its composer", started, patience);
            tokio::time::sleep(LOOK).await;
        }
        Err(last)
    }
}

fn describe(view: &View) -> String {
    match (&view.phase, &view.composer) {
        (Phase::Dialog(dialog), _) => format!("it asks: {}", dialog.question),
        (_, Composer::Holds(_)) => "it holds text that somebody typed".to_owned(),
        (_, Composer::Empty) => "it is empty".to_owned(),
        (_, Composer::Hidden) => "it is not shown".to_owned(),
    }
}

/// Whether `typed` bytes reached the program: the queue is empty, and it has read that many more than `before`. The queue
/// alone proves nothing, because a multiplexer writes to the terminal after its client has returned.
fn has_read(now: Input, before: Option<u64>, typed: u64) -> bool {
    let grown = now.read.zip(before).map(|(now, before)| now.saturating_sub(before));
    now.unread == 0 && grown.is_some_and(|grown| grown >= typed)
}

/// A place in the agent's transcript from before the message was typed.
pub(super) struct Proof {
    launched: Launched,
    mark: Mark,
    taken_at: SystemTime,
}

impl Proof {
    fn taken_before(peer: &Peer, locked: &Locked, record: &SessionRecord) -> Result<Self> {
        let launched = Launched::of(locked.files(), record, &peer.spec.cwd)?;
        // In whole milliseconds, as agents write their times.
        let taken_at = Timestamp::from(SystemTime::now()).into();
        let mark = launched.look(&peer.profile, |files| files.mark(record.conversation.as_deref()));
        Ok(Self { mark: mark.map_err(|error| unreadable(peer, &error))?, launched, taken_at })
    }

    /// Whether the message stands behind that place now, or, where the agent is in another conversation since, in that one
    /// as something that was said since.
    fn given(&self, peer: &Peer, record: &SessionRecord, text: &str) -> Result<bool> {
        let current = record.conversation.as_deref();
        let given = self.launched.look(&peer.profile, |files| {
            let moved = current.filter(|id| self.mark.conversation.as_deref().is_some_and(|before| before != *id));
            Ok(files.accepted(&self.mark, current, text)?
                || moved.map_or(Ok(false), |id| files.said_since(id, self.taken_at, text))?)
        });
        given.map_err(|error| unreadable(peer, &error))
    }
}

fn unreadable(peer: &Peer, error: &TranscriptError) -> EngineError {
    EngineError::NotAccepted { peer: peer.name.clone(), why: learn::tell(error) }
}
