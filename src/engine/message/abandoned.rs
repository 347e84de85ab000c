//! Text that a sender left in a composer because it was killed between its paste and its Enter.
//!
//! It would block every later message as if a person had typed it. So a sender says on record what it is about to type,
//! and whoever comes next and finds just that text sends it. Anything else in the composer stays a person's draft.

use std::time::Duration;

use peer_adapters::agent::Pattern;
use peer_adapters::screen::{Composer, View};
use tokio::time::Instant;

use super::fingerprint::fingerprint;
use super::held::{beside, placeholder_of};
use super::typing::Typing;
use crate::engine::error::Undelivered;
use crate::engine::{POLL, Result};
use crate::store::{Event, Extent};

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
        self.record.typing_extent = Some(extent(text));
        Ok(self.locked.write_session(self.record)?)
    }

    /// Sends what an earlier sender left; nothing happens where none did, or where something else stands there. `text` is
    /// what is to be said now: where it is the same, whoever could not finish has come back with it, and it is said once.
    ///
    /// # Errors
    /// As for any message.
    pub(super) async fn finish_abandoned(&mut self, text: Option<&str>) -> Result<Finished> {
        let Some(text_of) = self.record.typing.take() else { return Ok(Finished::Nothing) };
        let claimed = Claim { text: text_of, extent: self.record.typing_extent.take() };
        let (mut finished, placeholder) = (Finished::Nothing, placeholder_of(self.peer));
        if self.holds_claimed(&claimed).await {
            tokio::time::sleep(self.peer.profile.message.settle).await;
            if let Some(text) = text.filter(|text| fingerprint(text) == claimed.text) {
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

    async fn holds_claimed(&self, claimed: &Claim) -> bool {
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

/// What a sender said that it was about to type.
struct Claim {
    text: String,
    /// Not on a record of an older version.
    extent: Option<Extent>,
}

/// Whether a composer holds the text that was claimed and nothing else. A long paste shows as no more than the agent's own
/// words for it, which tell how long it is.
fn holds(view: &View, claimed: &Claim, placeholder: Option<&Pattern>) -> bool {
    let Composer::Holds(text) = &view.composer else { return false };
    let is_placeholder = |pattern: &Pattern| {
        beside(pattern, text).is_some_and(|(before, behind)| before.is_empty() && behind.trim().is_empty())
    };
    let fits = || claimed.extent.is_none_or(|extent| may_be(text, extent));
    fingerprint(text) == claimed.text || (placeholder.is_some_and(is_placeholder) && fits())
}

/// How long a text is.
fn extent(text: &str) -> Extent {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let text = text.replace("\r\n", "\n");
    Extent {
        least_lines: count(text.trim_end().matches('\n').count()),
        most_lines: count(text.matches(['\n', '\u{2028}', '\u{2029}']).count()) + 1,
        characters: count(text.chars().count()),
    }
}

/// Whether an agent's words for a long paste (`[Pasted text #1 +300 lines]`, `[paste #2 1500 chars]`) may be for a text of this
/// length. Words without one may be for any.
fn may_be(words: &str, extent: Extent) -> bool {
    let told = words.split([' ', '[', ']', '+', '~']).filter(|word| !word.is_empty()).collect::<Vec<_>>();
    told.windows(2).all(|pair| match (pair[0].parse::<u64>(), pair[1]) {
        (Ok(lines), "line" | "lines") => (extent.least_lines..=extent.most_lines).contains(&lines),
        // A space may have been typed behind it.
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
