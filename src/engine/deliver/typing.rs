//! Paste, see it there, press Enter, see it taken.

use std::cell::OnceCell;
use std::time::{Duration, SystemTime};

use peer_adapters::agent::{Accepted, Pattern, letters};
use peer_adapters::runtime::{Key, Runtime};
use peer_adapters::screen::{self, Composer, DialogView, Phase, View};
use peer_adapters::terminal::{self, Input};
use peer_adapters::transcript::{Mark, TranscriptError};
use tokio::time::Instant;

use super::abandoned::fingerprint;
use crate::engine::error::Undelivered;
use crate::engine::learn::{self, Launched, Learner};
use crate::engine::observe::{process_axis, target};
use crate::engine::{Engine, EngineError, POLL, Peer, Result, room};
use crate::policy::axis::Axis;
use crate::policy::time::Timestamp;
use crate::store::{Locked, SessionRecord, Unseen};

/// How long a process may be without its files and not be called ended: microseconds, on a loaded machine milliseconds.
const LEAVING: Duration = Duration::from_secs(1);

/// Bytes that a shell reads beside the message where it sets its terminal up for the next line.
const SET_UP_READS: u64 = 64;

/// How long a program without a composer may take to sleep; one that computes for longer is typed to all the same.
const READER_PATIENCE: Duration = Duration::from_secs(5);

/// How long a composer may take to appear or to be given back by a dialog or a draft.
const COMPOSER_PATIENCE: Duration = Duration::from_secs(10);
/// How long pasted text may take to show, and how many bytes of it are given another second: pi took 11 s for a line of
/// 100 KB.
pub(super) const PASTE_PATIENCE: Duration = Duration::from_secs(5);
const PASTE_RATE: u64 = 5_000;
/// How long nothing of a paste may show before it is taken for lost. It takes tens of milliseconds, and seconds where it is long
/// or the machine is loaded.
const LOST: Duration = Duration::from_secs(4);
/// What is said of an empty composer.
const NOTHING_SHOWN: &str = "it is empty";
/// How long a composer must show the same part of a text, where it cannot show the whole of it.
const PART_STANDS: Duration = Duration::from_millis(300);
/// How long a dialog must stand before a message is refused for it: one that is drawn away again is none.
const DIALOG_STANDS: Duration = Duration::from_millis(300);
/// How long acceptance may take in all.
const ACCEPT_PATIENCE: Duration = Duration::from_secs(20);
/// How long nothing of what is awaited may be seen before the pane is looked after. A redraw takes less.
const BLIND: Duration = Duration::from_secs(1);
/// Between two looks at a screen: a capture costs 3 ms.
const LOOK: Duration = Duration::from_millis(15);

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
                self.type_into_composer(text, command, proof.as_ref()).await
            }
        }
    }

    /// The place in the transcript from which on a message is looked for, where the profile names that as proof.
    pub(super) fn proof(&self) -> Result<Option<Proof>> {
        let needed = self.peer.profile.message.accepted == Accepted::Transcript;
        needed.then(|| Proof::taken_before(self.peer, self.locked, self.record)).transpose()
    }

    pub(super) fn undelivered(&self, how: Undelivered, why: impl Into<String>) -> EngineError {
        EngineError::NotAccepted { peer: self.peer.name.clone(), how, why: why.into() }
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

    fn check_alive(&self, how: Undelivered) -> Result<()> {
        if process_axis(self.record) == Axis::Dead { Err(self.undelivered(how, "it ended")) } else { Ok(()) }
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
    async fn input(&self, pid: u32, how: Undelivered) -> Result<Input> {
        let started = Instant::now();
        loop {
            match terminal::input(pid) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && started.elapsed() < LEAVING => {
                    self.check_alive(how)?;
                    tokio::time::sleep(POLL).await;
                }
                seen => return Ok(seen?),
            }
        }
    }

    /// An agent without a composer: the proof is that it read what was typed.
    async fn type_into_terminal(&self, text: &str) -> Result<()> {
        let unread = |why| self.undelivered(Undelivered::NotTyped, why);
        let agent = self.record.process.ok_or_else(|| unread("it has no process"))?;
        self.await_reader(agent.id.pid).await?;
        let before = self.input(agent.id.pid, Undelivered::NotTyped).await?;
        self.runtime.paste(&target(&self.record.place), text).await?;
        self.runtime.press(&target(&self.record.place), &[Key::Enter]).await?;
        let started = Instant::now();
        loop {
            self.check_alive(Undelivered::NotSeen)?;
            let now = self.input(agent.id.pid, Undelivered::NotSeen).await?;
            if has_read(now, before, text.len() as u64 + 1) {
                return Ok(());
            }
            if started.elapsed() > ACCEPT_PATIENCE {
                return Err(if now.was_set_up_since(before) {
                    let why = "it set its terminal up meanwhile, which may have discarded the text";
                    self.undelivered(Undelivered::NotSeen, why)
                } else {
                    let why = "it has not read its terminal; the text waits there";
                    self.undelivered(Undelivered::NotSeen, why)
                });
            }
            self.waiting("to read the message", started, ACCEPT_PATIENCE);
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until the program sleeps, as one does that waits for its terminal. What it reads while it starts is files, and a
    /// program that then sets its terminal up discards what was typed before. One that never sleeps may read all the same.
    async fn await_reader(&self, pid: u32) -> Result<()> {
        let started = Instant::now();
        let mut last = None;
        while started.elapsed() < READER_PATIENCE {
            self.check_alive(Undelivered::NotTyped)?;
            let seen = terminal::rest(pid).ok();
            if seen.is_some_and(|rest| rest.sleeps) && seen == last {
                return Ok(());
            }
            last = seen;
            self.waiting("to read its terminal", started, READER_PATIENCE);
            tokio::time::sleep(POLL * 4).await;
        }
        Ok(())
    }

    /// An agent with a composer. Text that a person left in it is not joined with ours.
    async fn type_into_composer(&mut self, text: &str, command: bool, proof: Option<&Proof>) -> Result<()> {
        self.await_free().await?;
        self.claim(text)?;
        let sent = self.paste_and_submit(text, command, proof).await;
        // One that is killed leaves its claim, and one that could not see what it did. Any other says how it went, and what it
        // left is known again by what it typed.
        if sent.is_ok() || room::cramped(self.record).is_none() {
            self.record.typed = self.record.typing.take();
        }
        if let Err(EngineError::NotAccepted { how: Undelivered::NotSeen, .. }) = &sent {
            self.record.unseen = proof.map(|proof| proof.unseen(text));
        }
        if sent.is_err() {
            self.locked.write_session(self.record)?;
        }
        sent
    }

    /// Waits until nothing stands in the composer, and clears what is our own: a text that was typed and not sent, or the
    /// last prompt, which an agent may put back after an interrupt. A person's draft is never touched.
    async fn await_free(&mut self) -> Result<()> {
        let refused = |typing: &Self, last: String| {
            typing.undelivered(Undelivered::NotTyped, format!("its composer was not free: {last}{}", typing.small()))
        };
        for _ in 0..2 {
            let is_ours = |view: &View| match &view.composer {
                Composer::Holds(text) => self.record.typed.as_ref().is_some_and(|typed| fingerprint(text) == *typed),
                Composer::Empty | Composer::Hidden => false,
            };
            let wanted = |view: &View| view.composer == Composer::Empty || is_ours(view);
            let view = self.await_view(COMPOSER_PATIENCE, wanted).await.map_err(|last| refused(self, last))?;
            if view.composer == Composer::Empty {
                return Ok(());
            }
            // In a turn that key would stop the turn.
            let key = self.peer.profile.message.clear.clone().filter(|_| view.phase != Phase::Busy);
            let Some(key) = key else { return Err(refused(self, describe(&view))) };
            self.runtime.press(&target(&self.record.place), &[key]).await?;
        }
        let empty = |view: &View| view.composer == Composer::Empty;
        self.await_view(COMPOSER_PATIENCE, empty).await.map(|_| ()).map_err(|last| refused(self, last))
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

    async fn paste_and_submit(&mut self, text: &str, command: bool, proof: Option<&Proof>) -> Result<()> {
        let pasted = if command { text.to_owned() } else { self.peer.profile.pasted(text) };
        self.runtime.paste(&target(&self.record.place), &pasted).await?;
        if self.is_lost(text).await {
            self.runtime.paste(&target(&self.record.place), &pasted).await?;
        }
        self.await_text(text, command).await?;
        // An Enter right behind a paste is taken for a part of it, by some.
        tokio::time::sleep(self.peer.profile.message.settle).await;
        self.submit(text, proof).await
    }

    /// Whether nothing of a paste showed for so long that it was lost: an agent draws its composer before it reads, and throws
    /// away what came before that. Where both come after all, the composer does not hold the text alone, and it is not sent.
    async fn is_lost(&self, text: &str) -> bool {
        let patience = LOST + Duration::from_secs(text.len() as u64 / PASTE_RATE);
        self.await_view(patience, |view| view.composer != Composer::Empty)
            .await
            .is_err_and(|last| last == NOTHING_SHOWN)
    }

    /// Waits until the composer holds exactly the text, or as much of it as it can show, and no list of completions is open
    /// from which Enter would choose.
    async fn await_text(&self, text: &str, command: bool) -> Result<()> {
        let patience = PASTE_PATIENCE + Duration::from_secs(text.len() as u64 / PASTE_RATE);
        let placeholder = self.peer.profile.composer.as_ref().and_then(|rule| rule.placeholder.as_ref());
        let mut part: Option<(String, Instant)> = None;
        let mut holds_text = |view: &View| {
            let Composer::Holds(shown) = &view.composer else { return false };
            if view.popup && !command {
                return false;
            }
            match Held::of(shown, text, placeholder) {
                Held::All => true,
                Held::Other => false,
                Held::Part => match &part {
                    Some((seen, since)) if seen == shown => since.elapsed() >= PART_STANDS,
                    _ => {
                        part = Some((shown.clone(), Instant::now()));
                        false
                    }
                },
            }
        };
        let shown = self.await_view(patience, |view| holds_text(view)).await;
        shown.map(|_| ()).map_err(|last| {
            let why = format!("the pasted text did not show alone: {last}{}", self.left_in_composer());
            self.undelivered(Undelivered::NotSent, why)
        })
    }

    /// Presses Enter until it is acted on.
    pub(super) async fn submit(&mut self, text: &str, proof: Option<&Proof>) -> Result<()> {
        let (started, mut cleared) = (Instant::now(), Instant::now());
        let mut holds = true;
        while started.elapsed() < ACCEPT_PATIENCE {
            holds = self.view().await.is_some_and(|view| matches!(view.composer, Composer::Holds(_)));
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
        let how = if holds { Undelivered::NotSent } else { Undelivered::NotSeen };
        let why = format!("neither its transcript nor its screen shows it{}", self.left_in_composer());
        Err(self.undelivered(how, why))
    }

    /// Whether this text is the one that was sent before and not seen to arrive, and is there now.
    pub(super) fn has_arrived(&self, text: Option<&str>) -> Result<bool> {
        let (Some(text), Some(unseen)) = (text, &self.record.unseen) else { return Ok(false) };
        if fingerprint(text) != unseen.text {
            return Ok(false);
        }
        Proof::behind(self.peer, self.locked, self.record, unseen)?.given(self.peer, self.record, text)
    }

    async fn accepted(&mut self, text: &str, proof: Option<&Proof>) -> Result<bool> {
        self.check_alive(Undelivered::NotSeen)?;
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

    /// Looks at the screen until it is as `wanted`; what was seen last, if it never is, or if a dialog stands in the way. One
    /// that the spec accepts is answered, a key a frame.
    async fn await_view(
        &self,
        patience: Duration,
        mut wanted: impl FnMut(&View) -> bool,
    ) -> std::result::Result<View, String> {
        let (started, mut cleared) = (Instant::now(), Instant::now());
        let (mut last, mut asks) = (String::new(), None::<(DialogView, Instant)>);
        let launched = OnceCell::new();
        while started.elapsed() < patience {
            last = match self.look().await {
                Ok(view) if wanted(&view) => return Ok(view),
                Ok(view) => {
                    let says = self.waits_for(&launched);
                    let stands =
                        asks.take().filter(|(dialog, _)| matches!(&view.phase, Phase::Dialog(now) if now == dialog));
                    let since = stands.map_or_else(Instant::now, |(_, since)| since);
                    if let Phase::Dialog(dialog) = &view.phase {
                        asks = Some((dialog.clone(), since));
                    }
                    let stood = asks.is_some() && since.elapsed() >= DIALOG_STANDS;
                    match (&view.phase, says) {
                        (Phase::Dialog(dialog), says) if stood || says.is_some() => match self.key_for(dialog) {
                            Some(key) if stood => {
                                // A key that is lost is pressed again when the dialog has stood for as long once more.
                                asks = None;
                                let pressed = self.runtime.press(&target(&self.record.place), &[key]).await;
                                pressed.map_err(|error| error.to_string())?;
                            }
                            Some(_) => {}
                            None => return Err(describe(&view)),
                        },
                        (_, Some(what)) => return Err(format!("it waits for a person: {what}")),
                        _ => {}
                    }
                    describe(&view)
                }
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

    /// The key that answers a dialog which the spec accepts.
    fn key_for(&self, dialog: &DialogView) -> Option<Key> {
        if self.peer.effective.accept.value.contains(&dialog.id) { screen::next_key(dialog) } else { None }
    }

    /// What the agent itself says that it waits for a person for. Its launch file, which does not change, is read once.
    fn waits_for(&self, launched: &OnceCell<Option<Launched>>) -> Option<String> {
        let agent = self.record.process?;
        self.peer.profile.conversation.status?;
        let read = || Launched::of(self.locked.files(), self.record, &self.peer.spec.cwd).ok();
        let status = launched.get_or_init(read).as_ref()?.look(&self.peer.profile, |files| files.status(agent.id.pid));
        status.ok().flatten()?.waits_for
    }
}

fn describe(view: &View) -> String {
    match (&view.phase, &view.composer) {
        (Phase::Dialog(dialog), _) => format!("it asks: {}", dialog.question),
        (_, Composer::Holds(_)) if view.popup => "a list of completions is open".to_owned(),
        (_, Composer::Holds(_)) => "it holds text that somebody typed".to_owned(),
        (_, Composer::Empty) => NOTHING_SHOWN.to_owned(),
        (_, Composer::Hidden) => "it is not shown".to_owned(),
    }
}

/// How much of a text a composer shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// The whole, or the agent's placeholder for it.
    All,
    /// Some rows of it.
    Part,
    /// Something else, or something else besides.
    Other,
}

impl Held {
    fn of(shown: &str, text: &str, placeholder: Option<&Pattern>) -> Self {
        if placeholder.is_some_and(|pattern| pattern.is_match(shown)) {
            return Self::All;
        }
        let (shown, text) = (letters(shown), letters(text));
        if shown == text {
            Self::All
        } else if text.contains(&shown) || drawn(&text).contains(&drawn(&shown)) {
            Self::Part
        } else {
            Self::Other
        }
    }
}

/// What every terminal draws as it is.
fn drawn(text: &str) -> String {
    text.chars().filter(char::is_ascii).collect()
}

/// Whether `typed` bytes reached the program: the queue is empty, and it has read that many more than `before`. The queue
/// alone proves nothing, because a multiplexer writes to the terminal after its client has returned. One that set its terminal
/// up since may have discarded them and read files instead: then it must have read these and hardly more.
fn has_read(now: Input, before: Input, typed: u64) -> bool {
    let most = if now.was_set_up_since(before) { typed + SET_UP_READS } else { u64::MAX };
    now.unread == 0 && now.grown_since(before).is_some_and(|grown| (typed..=most).contains(&grown))
}

/// A place in the agent's transcript from before the message was typed.
pub(super) struct Proof {
    launched: Launched,
    mark: Mark,
    taken_at: SystemTime,
}

impl Proof {
    /// The place from which a message is looked for that was sent earlier.
    fn behind(peer: &Peer, locked: &Locked, record: &SessionRecord, unseen: &Unseen) -> Result<Self> {
        let mark = Mark { conversation: unseen.conversation.clone(), position: unseen.position };
        tracing::debug!(peer = %peer.name, "a message that was not seen to arrive is looked for");
        Ok(Self {
            mark,
            launched: Launched::of(locked.files(), record, &peer.spec.cwd)?,
            taken_at: unseen.at_ms.into(),
        })
    }

    fn unseen(&self, text: &str) -> Unseen {
        let Mark { conversation, position } = self.mark.clone();
        Unseen { text: fingerprint(text), conversation, position, at_ms: self.taken_at.into() }
    }

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
    EngineError::NotAccepted { peer: peer.name.clone(), how: Undelivered::NotTyped, why: learn::tell(error) }
}
