//! Text that a sender left in a composer because it was killed between its paste and its Enter.
//!
//! Such text would block every later message as if a person had typed it. So a sender records what it is about to type,
//! and the next sender that finds exactly this text sends it. Anything else in the composer is a person's draft.

use std::time::Duration;

use peer_adapters::agent::Pattern;
use peer_adapters::screen::{Composer, View};
use tokio::time::Instant;

use super::fingerprint::{fingerprint, unmarked};
use super::held::{beside, placeholder_of};
use super::proof::Proof;
use super::typing::Typing;
use crate::engine::error::Undelivered;
use crate::engine::message::interruption::interrupted;
use crate::engine::message::room;
use crate::engine::{POLL, Result};
use crate::policy::event::EventName;
use crate::store::{Event, TextLength, TypingClaim};

/// How long the paste of a killed sender may still arrive: the sender's client outlives it by some milliseconds.
const LATE_PASTE: Duration = Duration::from_secs(1);

/// What became of a text that an earlier sender left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finished {
    /// There was none.
    Nothing,
    /// It was sent.
    Another,
    /// It was sent, and it is the message to be delivered now.
    This,
}

impl Typing<'_> {
    /// Records what is about to be typed, as a fingerprint, because the record must not contain what people write.
    ///
    /// # Errors
    /// The record cannot be written; then nothing may be typed.
    pub(super) fn claim(&mut self, text: &str) -> Result<()> {
        let claim = TypingClaim { text: fingerprint(text), unmarked: unmarked(text), extent: Some(extent(text)) };
        self.locked.write_typing_claim(self.record.incarnation, &claim)?;
        self.record.typing = Some(claim.text);
        self.record.typing_unmarked = claim.unmarked;
        self.record.typing_extent = claim.extent;
        Ok(self.locked.write_session(self.record)?)
    }

    /// Sends what an earlier sender left. Does nothing if there is no such text, or if the composer holds something
    /// else. `text` is the message to be delivered now: if it is the text that was left, the earlier sender is being
    /// retried, and the text is sent only once.
    ///
    /// # Errors
    /// As for any message.
    pub(super) async fn finish_interrupted_send(&mut self, text: Option<&str>) -> Result<Finished> {
        let Some(text_of) = self.record.typing.clone() else { return Ok(Finished::Nothing) };
        let (unmarked, extent) = (self.record.typing_unmarked.clone(), self.record.typing_extent);
        let claimed = TypingClaim { text: text_of, unmarked, extent };
        let (engine, peer) = (self.engine, self.peer);
        let stopped = |signal| interrupted(peer, Undelivered::NotTyped, signal);
        let holds_claimed = engine.interruption.before(self.holds_claimed(&claimed)).await.map_err(stopped)?;
        let mut finished = Finished::Nothing;
        if holds_claimed {
            tokio::time::sleep(peer.profile.message.settle).await;
            if let Some(text) = text.filter(|text| fingerprint(text) == claimed.text) {
                self.send_left(text, &claimed).await?;
                return Ok(Finished::This);
            }
            let placeholder = placeholder_of(peer);
            let submit = self.submit("", None, |view| holds(view, &claimed, placeholder));
            let sent = engine.interruption.before(submit).await.map_err(stopped)?;
            sent.map_err(|error| {
                let why = format!("an earlier sender's text is still in the input box: {error}");
                self.undelivered(Undelivered::NotTyped, why)
            })?;
            self.record.prompt_due = false;
            self.reached.set(Undelivered::NotTyped);
            self.log_finished()?;
            finished = Finished::Another;
        }
        self.forget_claim();
        self.locked.write_session(self.record)?;
        self.locked.remove_typing_claim(self.record.incarnation)?;
        Ok(finished)
    }

    /// Sends the text that an earlier sender left, which is the message to be delivered now. It is in the composer, so its
    /// outcome is recorded as that of any message.
    async fn send_left(&mut self, text: &str, claimed: &TypingClaim) -> Result<()> {
        let (engine, proof, placeholder) = (self.engine, self.proof()?, placeholder_of(self.peer));
        self.reached.set(Undelivered::NotSent);
        let submit = self.submit(text, proof.as_ref(), |view| holds(view, claimed, placeholder));
        let sent = match engine.interruption.before(submit).await {
            Ok(sent) => sent,
            Err(signal) => self.stopped(text, proof.as_ref(), signal).await,
        };
        self.record_outcome(text, proof.as_ref(), sent).await
    }

    fn forget_claim(&mut self) {
        self.record.typing = None;
        self.record.typing_unmarked = None;
        self.record.typing_extent = None;
    }

    /// Records what became of a text that was in the composer, and returns it.
    pub(super) async fn record_outcome(&mut self, text: &str, proof: Option<&Proof>, sent: Result<()>) -> Result<()> {
        // A killed sender leaves its claim, and so does one that could not see what it did. Otherwise the outcome is
        // known, and text that is left in the composer is recognized by `typed`.
        if sent.is_ok() || room::cramped(self.record).is_none() {
            self.record.typed = self.record.typing.take();
            self.record.typed_was_accepted = sent.is_ok();
            self.forget_claim();
        }
        if sent.as_ref().is_err_and(|error| error.unconfirmed() == Some(Undelivered::NotSeen.as_str())) {
            self.record.unseen = proof.map(|proof| proof.unseen(text));
        }
        if sent.is_err() {
            // A long text shows as the agent's placeholder, or as some lines of it.
            if let Some(shown) = self.shown_of(text).await.filter(|_| self.record.typed.is_some()) {
                self.record.typed = Some(fingerprint(&shown));
            }
            self.locked.write_session(self.record)?;
        }
        if self.record.typing.is_none() {
            self.locked.remove_typing_claim(self.record.incarnation)?;
        }
        sent
    }

    fn log_finished(&self) -> Result<()> {
        let event = Event::new(self.engine.now(), EventName::MessageDelivered).peer(&self.peer.name);
        self.engine.log(&event.incarnation(self.record.incarnation).cause("sender-killed"))
    }

    async fn holds_claimed(&self, claimed: &TypingClaim) -> bool {
        let started = Instant::now();
        while started.elapsed() < LATE_PASTE {
            match self.view().await {
                Some(view) if matches!(view.composer, Composer::Holds(_)) => {
                    return holds(&view, claimed, placeholder_of(self.peer));
                }
                _ => tokio::time::sleep(POLL * 5).await,
            }
        }
        false
    }
}

/// Whether a composer holds the claimed text and nothing else. A long paste shows only as the agent's placeholder,
/// which says how long the paste is.
fn holds(view: &View, claimed: &TypingClaim, placeholder: Option<&Pattern>) -> bool {
    let Composer::Holds(text) = &view.composer else { return false };
    let is_placeholder = |pattern: &Pattern| {
        beside(pattern, text).is_some_and(|(before, behind)| before.is_empty() && behind.trim().is_empty())
    };
    let fits = || claimed.extent.is_none_or(|extent| may_be(text, extent));
    let is_drawn = || claimed.unmarked.as_ref().is_some_and(|drawn| fingerprint(text) == *drawn);
    fingerprint(text) == claimed.text || is_drawn() || (placeholder.is_some_and(is_placeholder) && fits())
}

/// Returns the length of a text.
fn extent(text: &str) -> TextLength {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let text = text.replace("\r\n", "\n");
    TextLength {
        min_lines: count(text.trim_end().matches('\n').count()),
        max_lines: count(text.matches(['\n', '\u{2028}', '\u{2029}']).count()) + 1,
        characters: count(text.chars().count()),
    }
}

/// Whether an agent's placeholder (`[Pasted text #1 +300 lines]`, `[paste #2 1500 chars]`) may stand for a text of this
/// length. A placeholder without a length may stand for any.
fn may_be(words: &str, extent: TextLength) -> bool {
    let told = words.split([' ', '[', ']', '+', '~']).filter(|word| !word.is_empty()).collect::<Vec<_>>();
    told.windows(2).all(|pair| match (pair[0].parse::<u64>(), pair[1]) {
        (Ok(lines), "line" | "lines") => (extent.min_lines..=extent.max_lines).contains(&lines),
        // A space may have been typed after it.
        (Ok(characters), "char" | "chars") => (extent.characters..=extent.characters + 1).contains(&characters),
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_paste_of_another_length_is_somebody_elses() {
        let text = format!("{}\n", vec!["a line"; 30].join("\n"));
        let (claude, codex) = ("[Pasted text #2 +30 lines]", "[Pasted Content 210 chars]");
        for words in
            [claude, codex, "[paste #3 +31 lines]", "[Pasted ~29 lines]", "[paste #1 211 chars]", "[Pasted text #7]"]
        {
            assert!(may_be(words, extent(&text)), "{words}");
        }
        for words in
            ["[Pasted text #30 +300 lines]", "[Pasted Content 30 chars]", "[paste #1 +28 lines]", "[Pasted ~1 lines]"]
        {
            assert!(!may_be(words, extent(&text)), "{words}");
        }
    }
}
