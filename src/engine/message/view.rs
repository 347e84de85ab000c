//! Looks at the agent's screen until it is as it should be, and answers the dialogs that the spec accepts.

use std::cell::OnceCell;
use std::time::Duration;

use peer_adapters::agent::DialogKind;
use peer_adapters::screen::{self, Composer, DialogView, Phase, View};
use tokio::time::Instant;

use super::computing::Computing;
use super::typing::Typing;
use crate::engine::Result;
use crate::engine::error::{AnswerWith, choices};
use crate::engine::observe::changes::Changes;
use crate::engine::observe::launched::Launched;
use crate::engine::observe::{process_axis, target};
use crate::policy::axis::Axis;

/// How an empty composer is described.
pub(super) const NOTHING_SHOWN: &str = "it is empty";

/// How long a dialog must stay before a message is refused because of it; it may be drawn only for a moment.
const DIALOG_STANDS: Duration = Duration::from_millis(300);

/// How long the expected screen may fail to appear before the pane's view is cleared. A redraw takes less.
const BLIND: Duration = Duration::from_secs(1);

/// The least time between two looks at a screen: a capture costs 3 ms.
const SCREEN_POLL: Duration = Duration::from_millis(15);

impl Typing<'_> {
    /// Watches the agent, whose screen has not been looked at.
    pub(super) fn unseen(&self) -> Changes {
        Changes::unseen(self.record, SCREEN_POLL)
    }

    /// Watches the agent, which is about to get keys.
    pub(super) fn before_keys(&self) -> Changes {
        Changes::before_keys(self.record, SCREEN_POLL)
    }

    pub(super) async fn view(&self) -> Option<View> {
        // A failed capture proves nothing; the caller looks again until it times out.
        self.look().await.ok()
    }

    async fn look(&self) -> Result<View> {
        Ok(screen::read(&self.peer.profile, &self.engine.capture(self.record).await?))
    }

    /// Makes the pane readable again if the user has scrolled it or made it small; at most once per `BLIND`.
    pub(super) async fn clear_view(&self, cleared: &mut Instant) {
        if cleared.elapsed() >= BLIND {
            // A failure costs nothing: the caller looks again until it times out.
            if let Err(error) = self.engine.clear_view(self.peer, self.record, "").await {
                tracing::debug!(%error, "the pane");
            }
            *cleared = Instant::now();
        }
    }

    /// Looks at the screen whenever it has changed, until it is as `wanted`, for as long as `patience` and what the agent
    /// computes without drawing. Returns what was seen last if that does not happen, or if a dialog is in the way. A dialog
    /// that the spec accepts is answered, with one key per frame.
    pub(super) async fn await_view(
        &self,
        changes: &mut Changes,
        patience: Duration,
        mut wanted: impl FnMut(&View) -> bool,
    ) -> std::result::Result<View, Last> {
        let (started, mut cleared) = (Instant::now(), Instant::now());
        let (mut last, mut asks, mut redrawn) = (String::new(), None::<(DialogView, Instant)>, false);
        let launched = OnceCell::new();
        let mut computing = Computing::of(self.record);
        while started.elapsed() < patience + computing.time() {
            changes.screen().await;
            let look = self.look().await;
            changes.looked();
            last = match look {
                Ok(view) if wanted(&view) => return Ok(view),
                Ok(view) => {
                    self.answer_dialog(&view, &mut asks, &launched).await?;
                    describe(&view)
                }
                Err(error) => format!("its screen could not be read: {error}"),
            };
            if process_axis(self.record) == Axis::Dead {
                return Err("it ended".to_owned().into());
            }
            self.clear_view(&mut cleared).await;
            if !redrawn && asks.is_none() && started.elapsed() >= BLIND {
                redrawn = true;
                self.engine.redraw(self.record).await;
            }
            self.waiting("to show its composer", started, patience);
        }
        Err(last.into())
    }

    /// Answers a dialog that has stayed for long enough, if the spec accepts it. `asks` is the dialog that is shown, and
    /// since when.
    ///
    /// # Errors
    /// What needs a person.
    async fn answer_dialog(
        &self,
        view: &View,
        asks: &mut Option<(DialogView, Instant)>,
        launched: &OnceCell<Option<Launched>>,
    ) -> std::result::Result<(), Last> {
        let says = self.waits_for(launched);
        let stands = asks.take().filter(|(dialog, _)| matches!(&view.phase, Phase::Dialog(now) if now == dialog));
        let since = stands.map_or_else(Instant::now, |(_, since)| since);
        if let Phase::Dialog(dialog) = &view.phase {
            *asks = Some((dialog.clone(), since));
        }
        let stood = asks.is_some() && since.elapsed() >= DIALOG_STANDS;
        match (&view.phase, says) {
            (Phase::Dialog(dialog), says) if stood || says.is_some() => match self.peer.key_for(dialog) {
                Some(key) if stood => {
                    // A key that was lost is pressed again after the dialog has stayed for the same time
                    // once more.
                    *asks = None;
                    let pressed = self.runtime.press(&target(&self.record.place), &[key]).await;
                    pressed.map_err(|error| error.to_string())?;
                }
                Some(_) => {}
                None => return Err(Last::of(view)),
            },
            (_, Some(what)) => {
                let what = format!("it waits for a person: {what}");
                return Err(Last { what, asks: Some(AnswerWith::Attach) });
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns what the agent itself reports as waiting for a person. Its launch file, which does not change, is read
    /// once.
    fn waits_for(&self, launched: &OnceCell<Option<Launched>>) -> Option<String> {
        let agent = self.record.process?;
        self.peer.profile.conversation.status?;
        let read = || Launched::of(self.locked.files(), self.record, &self.peer.spec.cwd).ok();
        let status = launched.get_or_init(read).as_ref()?.look(&self.peer.profile, |files| files.status(agent.id.pid));
        status.ok().flatten()?.waits_for
    }
}

/// What was seen last, when something else was expected.
pub(super) struct Last {
    pub(super) what: String,
    /// How a person can answer it, if it is a question.
    pub(super) asks: Option<AnswerWith>,
}

impl From<String> for Last {
    fn from(what: String) -> Self {
        Self { what, asks: None }
    }
}

impl Last {
    pub(super) fn of(view: &View) -> Self {
        let asks = match &view.phase {
            Phase::Dialog(dialog) => Some(AnswerWith::of(dialog.answerable)),
            Phase::Starting | Phase::Busy | Phase::Ready => None,
        };
        Self { what: describe(view), asks }
    }
}

fn describe(view: &View) -> String {
    match (&view.phase, &view.composer) {
        // A description of ours.
        (Phase::Dialog(dialog), _) => {
            let opening = match dialog.kind {
                // A description of ours.
                _ if dialog.question.starts_with(char::is_lowercase) => "",
                DialogKind::Menu => "a menu is open: ",
                _ => "it asks: ",
            };
            format!("{opening}{}{}", dialog.question, choices(&dialog.rows))
        }
        (_, Composer::Holds(_)) if view.popup => "a list of completions is open".to_owned(),
        (_, Composer::Holds(_)) => "the input box holds an unsent draft".to_owned(),
        (_, Composer::Empty) => NOTHING_SHOWN.to_owned(),
        (_, Composer::Hidden) => "it is not shown".to_owned(),
    }
}
