//! Delivery through a composer: paste the text, see it there, press Enter, see it accepted.

use std::time::Duration;

use nix::sys::signal::Signal;
use peer_adapters::agent::letters;
use peer_adapters::runtime::Key;
use peer_adapters::screen::{Composer, Phase, View};
use tokio::time::Instant;

use super::fingerprint::fingerprint;
use super::held::{Held, Waits, placeholder_of};
use super::proof::Proof;
use super::terminal::has_read_all;
use super::typing::{ACCEPT_PATIENCE, Typing};
use super::view::{Last, NOTHING_SHOWN};
use crate::engine::error::Undelivered;
use crate::engine::message::interruption::interrupted;
use crate::engine::message::room;
use crate::engine::observe::changes::{Changes, Due};
use crate::engine::observe::conversation::ConversationFinder;
use crate::engine::observe::target;
use crate::engine::{EngineError, Result};

/// How long to wait for a composer to appear, or to be released by a dialog or a draft.
const COMPOSER_PATIENCE: Duration = Duration::from_secs(10);

/// How long pasted text may take to show, and how many bytes of it earn another second: pi took 11 s for a line of
/// 100 KB.
pub(super) const PASTE_PATIENCE: Duration = Duration::from_secs(5);
const PASTE_RATE: u64 = 5_000;

/// How long nothing of a paste may show before it counts as lost. It usually takes tens of milliseconds, and seconds if
/// it is long or the machine is loaded.
const LOST: Duration = Duration::from_secs(4);

/// How long an agent usually takes to write a message into its transcript (pi 21 ms, Codex 30 ms). Until then, the screen
/// proves nothing.
const RECORDED_WITHIN: Duration = Duration::from_millis(35);

impl Typing<'_> {
    /// Types into an agent with a composer. Text that a person left in it is not joined with the message.
    pub(super) async fn type_into_composer(&mut self, text: &str, command: bool, proof: Option<&Proof>) -> Result<()> {
        let (engine, peer) = (self.engine, self.peer);
        let free = engine.interruption.before(self.await_free()).await;
        free.map_err(|signal| interrupted(peer, Undelivered::NotTyped, signal))??;
        self.claim(text)?;
        let sent = engine.interruption.before(self.paste_and_submit(text, command, proof)).await;
        let sent = match sent {
            Ok(sent) => sent,
            Err(signal) => self.stopped(text, proof, signal).await,
        };
        self.record_outcome(text, proof, sent).await
    }

    /// Determines what became of a text that a signal stopped. The agent's record and its composer show more than the
    /// steps that were completed.
    pub(super) async fn stopped(&mut self, text: &str, proof: Option<&Proof>, signal: Signal) -> Result<()> {
        let sent = self.reached.get() == Undelivered::NotSeen;
        if sent
            && let Some(proof) = proof
            && proof.given(self.peer, self.record, text)?
        {
            return Ok(());
        }
        let stands = self.reached.get() != Undelivered::NotTyped && self.shown_of(text).await.is_some();
        Err(interrupted(self.peer, if stands { Undelivered::NotSent } else { self.reached.get() }, signal))
    }

    /// Returns what the composer shows, if that is this text or part of it, and nothing else.
    pub(super) async fn shown_of(&self, text: &str) -> Option<String> {
        let Composer::Holds(shown) = self.view().await?.composer else { return None };
        (Held::of(&shown, text, placeholder_of(self.peer)) != Held::Other).then_some(shown)
    }

    /// Waits until the composer is empty, and clears text of `peer`'s own: a message that was typed but not sent, or
    /// the last prompt, which an agent may put back after an interrupt. A person's draft is never touched, whatever it
    /// says.
    async fn await_free(&mut self) -> Result<()> {
        let refused = |typing: &Self, Last { what, asks }: Last| EngineError::NotAccepted {
            peer: typing.peer.name.clone(),
            how: Undelivered::NotTyped,
            why: format!("its input box was not free: {what}{}", typing.small()),
            asks,
        };
        let is_ours = |view: &View| match &view.composer {
            Composer::Holds(text) if !self.record.typed_was_accepted => {
                self.record.typed.as_ref().is_some_and(|typed| fingerprint(text) == *typed)
            }
            Composer::Holds(_) => false,
            Composer::Empty | Composer::Hidden => false,
        };
        let wanted = |view: &View| view.composer == Composer::Empty || is_ours(view);
        let view = self.await_view(&mut self.unseen(), COMPOSER_PATIENCE, wanted).await;
        let view = view.map_err(|last| refused(self, last))?;
        if view.composer == Composer::Empty {
            return Ok(());
        }
        // During a turn, this key would stop the turn.
        let key = self.peer.profile.message.clear.clone().filter(|_| view.phase != Phase::Busy);
        let Some(key) = key else { return Err(refused(self, Last::of(&view))) };
        // Only once, however long the composer still shows the text: a second C-c in an empty composer ends Claude
        // Code, Codex and pi, and a slow agent may read both at once.
        let mut changes = self.before_keys();
        self.runtime.press(&target(&self.record.place), &[key]).await?;
        let empty = |view: &View| view.composer == Composer::Empty;
        self.await_view(&mut changes, COMPOSER_PATIENCE, empty).await.map(|_| ()).map_err(|last| refused(self, last))
    }

    async fn paste_and_submit(&mut self, text: &str, command: bool, proof: Option<&Proof>) -> Result<()> {
        let pasted = if command { text.to_owned() } else { self.peer.profile.pasted(text) };
        let mut changes = self.before_keys();
        self.paste(&pasted).await?;
        let mut waits = Waits::for_text(text, command, self.peer);
        // The first text to show may be the whole message; otherwise wait for the rest.
        let mut shown = self.await_shown(&mut changes, text).await;
        if shown.as_ref().is_err_and(|last| last.what == NOTHING_SHOWN) && has_read_all(self.record) {
            changes = self.before_keys();
            self.paste(&pasted).await?;
            shown = Err(String::new().into());
        }
        if !shown.is_ok_and(|view| waits.is_over(&view)) {
            self.await_text(&mut changes, &mut waits).await?;
        }
        // Some agents take an Enter right after a paste as part of the paste.
        tokio::time::sleep(self.peer.profile.message.settle).await;
        self.submit(text, proof, |view| waits.is_over(view)).await
    }

    /// Pastes the text. From here on it may be in the composer, even if the runtime fails.
    async fn paste(&self, text: &str) -> Result<()> {
        self.reached.set(Undelivered::NotSent);
        let pasted = self.runtime.paste(&target(&self.record.place), text).await;
        pasted.map_err(|error| self.undelivered(Undelivered::NotSent, error.to_string()))
    }

    /// Presses Enter. From here on the text may be sent, unless the runtime reports that nothing was pressed.
    async fn press_enter(&self) -> Result<()> {
        self.reached.set(Undelivered::NotSeen);
        let pressed = self.runtime.press(&target(&self.record.place), &[Key::Enter]).await;
        pressed.map_err(|error| {
            let how = if error.may_have_taken_effect() { Undelivered::NotSeen } else { Undelivered::NotSent };
            self.undelivered(how, error.to_string())
        })
    }

    /// Waits until part of a paste shows. If nothing has shown by then and everything was read, the paste was lost: an
    /// agent draws its composer before it reads input, and discards what came before that. If both pastes arrive after
    /// all, the composer does not hold the text alone, and it is not sent.
    async fn await_shown(&self, changes: &mut Changes, text: &str) -> std::result::Result<View, Last> {
        let patience = LOST + Duration::from_secs(text.len() as u64 / PASTE_RATE);
        self.await_view(changes, patience, |view| view.composer != Composer::Empty).await
    }

    /// Waits until the composer holds exactly the text, or as much of it as it can show, and no list of completions is
    /// open from which Enter would choose.
    async fn await_text(&self, changes: &mut Changes, waits: &mut Waits<'_>) -> Result<()> {
        let patience = PASTE_PATIENCE + Duration::from_secs(waits.text.len() as u64 / PASTE_RATE);
        let shown = self.await_view(changes, patience, |view| waits.is_over(view)).await;
        shown.map(|_| ()).map_err(|last| {
            let (shows, left) = (last.what, self.left_in_composer());
            self.undelivered(Undelivered::NotSent, format!("the pasted text did not appear on its own: {shows}{left}"))
        })
    }

    /// Presses Enter until it takes effect; the text was just seen in the composer. Enter is repeated only if the
    /// composer `holds` this text and nothing else, because a person may have typed meanwhile.
    pub(super) async fn submit(
        &mut self,
        text: &str,
        proof: Option<&Proof>,
        mut holds: impl FnMut(&View) -> bool,
    ) -> Result<()> {
        let (started, mut cleared) = (Instant::now(), Instant::now());
        let (mut is_ours, mut last) = (true, None);
        while started.elapsed() < ACCEPT_PATIENCE {
            let (mut changes, mut due) = (self.before_keys(), Due::Files);
            if is_ours {
                self.press_enter().await?;
            }
            let pressed = Instant::now();
            if proof.is_some() {
                changes.delay_first(RECORDED_WITHIN);
            }
            while pressed.elapsed() < self.peer.profile.message.again {
                let accepted = self.accepted(text, proof, due).await;
                if accepted.map_err(|error| self.sent(error))? {
                    return Ok(());
                }
                if due == Due::Screen {
                    changes.looked();
                }
                self.clear_view(&mut cleared).await;
                self.waiting("to accept the message", started, ACCEPT_PATIENCE);
                due = changes.next().await;
            }
            last = self.view().await;
            is_ours = last.as_ref().is_some_and(&mut holds);
        }
        let beside =
            |view: View| matches!(view.composer, Composer::Holds(shown) if letters(&shown).contains(&letters(text)));
        let how = if is_ours || last.is_some_and(beside) { Undelivered::NotSent } else { Undelivered::NotSeen };
        let left = self.left_in_composer();
        Err(self.undelivered(how, format!("it appears neither in its transcript nor on its screen{left}")))
    }

    /// Turns a failure after the text was sent into an unconfirmed delivery.
    fn sent(&self, error: EngineError) -> EngineError {
        match error {
            EngineError::NotAccepted { .. } => error,
            other => self.undelivered(Undelivered::NotSeen, other.to_string()),
        }
    }

    /// Whether the agent has the text, according to its own record, and, if a look at its screen is `due`, according to
    /// that.
    async fn accepted(&mut self, text: &str, proof: Option<&Proof>, due: Due) -> Result<bool> {
        self.check_alive(Undelivered::NotSeen)?;
        if let Some(proof) = proof {
            // The first message makes an agent choose its conversation id, which names the transcript. The user or the
            // preceding command may also have begun another conversation.
            ConversationFinder::of(self.peer).find(&self.engine.state, self.locked, self.record)?;
            if proof.given(self.peer, self.record, text)? {
                return Ok(true);
            }
        }
        if due == Due::Files {
            return Ok(false);
        }
        let Some(view) = self.view().await else { return Ok(false) };
        // A message that waits behind a turn shows on the screen, and is in the transcript only when its turn comes.
        let shows = |proof: &Proof| {
            let begins = self.peer.profile.message.first_by_turn && view.phase == Phase::Busy;
            view.queued || (begins && proof.is_unwritten(self.peer, self.record))
        };
        Ok(view.composer == Composer::Empty && proof.is_none_or(shows))
    }

    /// Describes the pane's size, if that is why nothing is seen.
    fn small(&self) -> String {
        let size = room::cramped(self.record);
        size.map(|size| format!("; its pane has {} columns and {} rows", size.columns, size.rows)).unwrap_or_default()
    }

    /// Describes what a person has to know of a text that stays in the input box of a small pane.
    fn left_in_composer(&self) -> String {
        let small = self.small();
        if small.is_empty() {
            return small;
        }
        format!("{small}; the text is in its input box; the next message sends it first")
    }
}
