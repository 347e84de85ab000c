//! Runs the operations that keys start, while the view goes on.

use std::rc::Rc;

use tokio::sync::{Semaphore, mpsc};

use super::UiEvent;
use super::operation::{Done, Failure, Operation, Target};
use crate::cli::CliError;
use crate::engine::message::Message;
use crate::engine::verbs::interrupt::Interrupted;
use crate::engine::{Engine, EngineError};
use crate::policy::name::PeerName;
use crate::policy::wake::WakeRequest;

/// The limit of `peer wake` and `peer stop`.
const AT_ONCE: usize = 4;

/// Runs the operation on each target. Of several, `settled` hears of each for which it is over.
pub(super) async fn act(
    engine: &Engine,
    number: u64,
    operation: Operation,
    targets: Vec<Target>,
    settled: impl Fn(&PeerName),
) -> Done {
    let (gate, several) = (Semaphore::new(AT_ONCE), targets.len() > 1);
    let each = targets.into_iter().map(async |target| {
        let _turn = gate.acquire().await.expect("the gate is never closed");
        let how = Box::pin(one(engine, &operation, &target)).await;
        if several {
            settled(&target.name);
        }
        (target, how)
    });
    let results = futures_util::future::join_all(each).await;
    Done { number, operation, results }
}

/// Starts to attach to a pane; `tell` receives the command that does it.
pub(super) fn attach(engine: &Rc<Engine>, number: u64, target: Target, tell: &mpsc::UnboundedSender<UiEvent>) {
    let (engine, tell) = (Rc::clone(engine), tell.clone());
    tokio::task::spawn_local(async move {
        let way = engine.attach(&target.name, false).await;
        tell.send(UiEvent::Attach(number, target.name, way))
    });
}

async fn one(engine: &Engine, operation: &Operation, target: &Target) -> Result<String, Failure> {
    let name = &target.name;
    let done = Box::pin(engine.expecting(name, target.incarnation, done(engine, operation, name))).await;
    done.map_err(|error| match error {
        EngineError::Changed { now, .. } => Failure::Changed(now),
        error => Failure::Failed(in_words(error)),
    })
}

async fn done(engine: &Engine, operation: &Operation, name: &PeerName) -> Result<String, EngineError> {
    let nothing = Message::default();
    if !matches!(operation, Operation::Stop | Operation::Interrupt) {
        // As on the command line: only what ends is done by records alone.
        engine.usable_settings().map_err(|mistake| unless_mended(engine, mistake))?;
    }
    match operation {
        Operation::Wake => {
            let woken = engine.wake(name, &WakeRequest::default(), &nothing).await?;
            Ok(format!("{} ({})", woken.decision, woken.cause))
        }
        Operation::Start => {
            let stopped = engine.start(name).await?;
            Ok(if stopped { "may be woken again" } else { "was not stopped" }.to_owned())
        }
        Operation::Refresh => engine.refresh(name).await.map(|()| "fresh at its next wake".to_owned()),
        Operation::Interrupt => Ok(match engine.interrupt(name).await? {
            Interrupted::Turn => "interrupted",
            Interrupted::Nothing => "no turn is in progress; nothing was pressed",
        }
        .to_owned()),
        Operation::New => {
            let woken = engine.new_conversation(name, &nothing).await?;
            Ok(format!("{} ({})", woken.decision, woken.cause))
        }
        Operation::Stop => {
            Ok(if engine.stop(name).await?.parked { "parked and stopped" } else { "stopped" }.to_owned())
        }
        Operation::Send(text) => {
            let message = Message { text: Some(text.clone()), ..Message::default() };
            engine.send(name, &message, true).await.map(|_| "the message was accepted".to_owned())
        }
    }
}

/// The view has read what could be read of `config.toml` when it was opened.
fn unless_mended(engine: &Engine, mistake: EngineError) -> EngineError {
    if engine.config.settings().is_err() {
        return mistake;
    }
    let problem = "it had a mistake when this view was opened".to_owned();
    EngineError::Declaration { what: "config.toml".to_owned(), problem, hint: Some("quit, then peer top".to_owned()) }
}

/// Formats an error with its hint.
pub(super) fn in_words(error: EngineError) -> String {
    let error = CliError::from(error);
    let hint = error.hint().map(|hint| as_key(&hint).map(str::to_owned).or_else(|| as_keys(&hint)).unwrap_or(hint));
    let hint = hint.map(|hint| format!("   hint: {hint}")).unwrap_or_default();
    format!("{error}{hint}")
}

/// The key that does what a hint says, where this view has one.
fn as_key(hint: &str) -> Option<&'static str> {
    match hint.split_whitespace().collect::<Vec<_>>()[..] {
        ["peer", "start", _] => Some("S lets it be woken"),
        ["peer", "wake", _] => Some("w wakes it"),
        ["peer", "attach", _, "and", "answer", "it"] => Some("a attaches to it"),
        _ => None,
    }
}

/// The keys that answer a question, in place of the commands at the beginning of a hint.
fn as_keys(hint: &str) -> Option<String> {
    let (name, rest) = hint.strip_prefix("peer answer ")?.split_once(", or peer attach ")?;
    Some(format!("A answers it, a attaches{}", rest.strip_prefix(name)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::wake::Refusal;

    #[test]
    fn a_hint_names_the_key_that_does_it() {
        let peer: PeerName = "api".parse().expect("a name");
        let stopped = EngineError::Refused { peer: peer.clone(), verb: "wake", refusal: Refusal::Stopped };
        let says = "cannot wake api: it was stopped with `peer stop`   hint: S lets it be woken";
        assert_eq!(in_words(stopped), says);
        let failed = EngineError::Refused { peer, verb: "wake", refusal: Refusal::Failed { deaths: 3 } };
        assert!(in_words(failed).contains("hint: peer reset api, or "));
        let keys = "A answers it, a attaches; then send it again";
        assert_eq!(as_keys("peer answer api, or peer attach api; then send it again").as_deref(), Some(keys));
        assert_eq!(as_keys("peer answer api shows what it asks now"), None);
    }
}
