//! Signals that ask us to leave while a message is on its way: what became of it is said first.

use std::future::Future;

use nix::sys::signal::Signal;
use peer_adapters::signals;
use tokio::signal::unix::{SignalKind, signal};

use super::CliError;
use crate::engine::Engine;

/// Ctrl-C, a terminal that is closed, and whoever ends processes in order.
const ASK_TO_LEAVE: [Signal; 3] = [Signal::SIGINT, Signal::SIGHUP, Signal::SIGTERM];

/// Runs a verb to its end; where a signal asks us to leave, its message is stopped where it is, and the verb says how far it
/// came. What whoever started us ignores, as nohup(1) does, is not waited for.
///
/// # Errors
/// The signals cannot be waited for.
pub(super) async fn heeding<T>(engine: &Engine, verb: impl Future<Output = T>) -> Result<T, CliError> {
    // A message's way is long, and each caller would be as large.
    let verb = Box::pin(verb);
    let mut waits = Vec::new();
    for one in ASK_TO_LEAVE.into_iter().filter(|one| !signals::is_ignored(*one)) {
        let mut stream = signal(SignalKind::from_raw(one as i32))?;
        waits.push(Box::pin(async move {
            stream.recv().await;
            one
        }));
    }
    let heard = async {
        if !waits.is_empty() {
            let (one, ..) = futures_util::future::select_all(waits).await;
            engine.interruption.raise(one);
        }
        std::future::pending::<T>().await
    };
    Ok(tokio::select! {
        biased;
        done = verb => done,
        never = heard => never,
    })
}
