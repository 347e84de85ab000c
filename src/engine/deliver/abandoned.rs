//! Text that a sender left in a composer because it was killed between its paste and its Enter.
//!
//! It would block every later message as if a person had typed it. So a sender says on record what it is about to type,
//! and whoever comes next and finds just that text sends it. Anything else in the composer stays a person's draft.

use std::time::Duration;

use peer_adapters::agent::{Pattern, letters};
use peer_adapters::screen::{Composer, View};
use tokio::time::Instant;

use super::held::{beside, placeholder_of};
use super::typing::Typing;
use crate::engine::error::Undelivered;
use crate::engine::observe::fnv1a;
use crate::engine::{POLL, Result};
use crate::store::Event;

/// How long the paste of a sender that was killed may still be on its way: its client outlives it by some milliseconds.
const LATE_PASTE: Duration = Duration::from_secs(1);

/// What came of a text that an earlier sender had left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finished {
    /// There was none.
    Nothing,
    /// It was sent.
    Another,
    /// It was sent, and is the very one that is to be said now.
    This,
}

impl Typing<'_> {
    /// Says on record what is about to be typed. No text, because the record is not the place for what people write.
    ///
    /// # Errors
    /// The record cannot be written: nothing may be typed then.
    pub(super) fn claim(&mut self, text: &str) -> Result<()> {
        self.record.typing = Some(fingerprint(text));
        Ok(self.locked.write_session(self.record)?)
    }

    /// Sends what an earlier sender left; nothing happens where none did, or where something else stands there. `text` is
    /// what is to be said now: where it is the same, whoever could not finish has come back with it, and it is said once.
    ///
    /// # Errors
    /// As for any message.
    pub(super) async fn finish_abandoned(&mut self, text: Option<&str>) -> Result<Finished> {
        let Some(claimed) = self.record.typing.take() else { return Ok(Finished::Nothing) };
        let (mut finished, placeholder) = (Finished::Nothing, placeholder_of(self.peer));
        if self.holds_claimed(&claimed).await {
            tokio::time::sleep(self.peer.profile.message.settle).await;
            if let Some(text) = text.filter(|text| fingerprint(text) == claimed) {
                let proof = self.proof()?;
                self.submit(text, proof.as_ref(), |view| holds(view, &claimed, placeholder)).await?;
                finished = Finished::This;
            } else {
                let sent = self.submit("", None, |view| holds(view, &claimed, placeholder)).await;
                sent.map_err(|error| {
                    let why = format!("before it stands what an earlier sender left: {error}");
                    self.undelivered(Undelivered::NotTyped, why)
                })?;
                self.record.prompt_due = false;
                self.log_finished()?;
                finished = Finished::Another;
            }
        }
        self.locked.write_session(self.record)?;
        Ok(finished)
    }

    fn log_finished(&self) -> Result<()> {
        let event = Event::new(self.engine.now(), "message.delivered").peer(&self.peer.name);
        self.engine.log(&event.incarnation(self.record.incarnation).cause("sender-killed"))
    }

    async fn holds_claimed(&self, claimed: &str) -> bool {
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

/// Whether a composer holds the text of this fingerprint and nothing else. A long paste shows as no more than the agent's own
/// words for it.
fn holds(view: &View, claimed: &str, placeholder: Option<&Pattern>) -> bool {
    let Composer::Holds(text) = &view.composer else { return false };
    let is_placeholder = |pattern: &Pattern| {
        beside(pattern, text).is_some_and(|(before, behind)| before.is_empty() && behind.trim().is_empty())
    };
    fingerprint(text) == claimed || placeholder.is_some_and(is_placeholder)
}

/// The same for a text and for what a composer makes of it, which breaks lines where it likes.
pub(super) fn fingerprint(text: &str) -> String {
    format!("{:016x}", fnv1a(letters(text).as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_known_again_however_its_lines_are_broken() {
        assert_eq!(fingerprint("one two\nthree"), fingerprint("  one\n  twothree "));
        assert_ne!(fingerprint("one two"), fingerprint("one two, and what a person added"));
    }
}
