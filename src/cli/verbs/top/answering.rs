//! Reads and answers the questions of agents, while the view goes on.

use std::rc::Rc;

use tokio::sync::mpsc;

use super::UiEvent;
use super::act::in_words;
use super::asked::{Choice, NotAnswered};
use super::operation::Target;
use crate::engine::error::Unanswered;
use crate::engine::verbs::answer::{Answered, Choice as Chosen};
use crate::engine::{Engine, EngineError};

/// Reads what a peer asks; `tell` receives it.
pub(super) fn read(engine: &Rc<Engine>, number: u64, whom: Target, tell: &mpsc::UnboundedSender<UiEvent>) {
    let (engine, tell) = (Rc::clone(engine), tell.clone());
    tokio::task::spawn_local(async move {
        let question = engine.question(&whom.name).await.map_err(in_words);
        tell.send(UiEvent::Question(number, question))
    });
}

/// Chooses a row, only if this incarnation of the peer still asks this question.
pub(super) async fn answer(engine: &Engine, whom: &Target, choice: &Choice) -> Result<Answered, NotAnswered> {
    let chosen = Chosen::Seen(&choice.question, choice.row);
    let answer = engine.answer_question(&whom.name, chosen);
    let answered = Box::pin(engine.expecting(&whom.name, whom.incarnation, answer)).await;
    answered.map_err(|error| match error {
        EngineError::Changed { now, .. } => NotAnswered::Changed(now),
        EngineError::NotAnswered { why: why @ (Unanswered::Changed | Unanswered::Replaced), .. } => {
            NotAnswered::Asks(format!("{}: {why}", whom.name))
        }
        EngineError::NotAnswered { .. } => NotAnswered::Asks(in_words(error)),
        EngineError::AsksNothing { .. } => {
            NotAnswered::Over(format!("{}: it asks nothing by now; no key was pressed", whom.name))
        }
        error => NotAnswered::Over(in_words(error)),
    })
}
