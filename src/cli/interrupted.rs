//! Signals that ask `peer` to quit while an agent starts or a message is being delivered: it first reports how far that got.

use std::future::Future;

use nix::sys::signal::Signal;
use peer_adapters::signals;
use tokio::signal::unix::{SignalKind, signal};

use super::CliError;
use crate::engine::Engine;

/// Ctrl-C, a closed terminal, and the orderly end that service managers request.
const ASK_TO_LEAVE: [Signal; 3] = [Signal::SIGINT, Signal::SIGHUP, Signal::SIGTERM];

/// Runs a verb to its end. If a signal asks `peer` to quit, it stops where it is, and the verb reports how far
/// it got. A signal that the parent process set to be ignored, as nohup(1) does, stays ignored.
///
/// # Errors
/// The signal handlers cannot be installed.
pub(super) async fn heeding<T>(engine: &Engine, verb: impl Future<Output = T>) -> Result<T, CliError> {
    // The future of a delivery is large, and each caller's would be as large.
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
