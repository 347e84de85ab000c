//! Signals that arrive while a message is in transit: Ctrl-C, a closed terminal, a service manager.
//!
//! A process that is killed in the middle of a message leaves its caller without any word about the message. So the
//! command line raises the signal here, and the typing stops, checks how far it came, and reports that.

use std::future::Future;

use nix::sys::signal::Signal;
use tokio::sync::watch;

use crate::engine::error::Undelivered;
use crate::engine::{EngineError, Peer};

/// The signal that was raised, if any.
#[derive(Debug)]
pub struct Interruption(watch::Sender<Option<Signal>>);

impl Default for Interruption {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Interruption {
    /// Asks everything that can be interrupted to stop.
    pub fn raise(&self, signal: Signal) {
        self.0.send_replace(Some(signal));
    }

    /// Waits for `work`, unless a signal is raised or was raised before; then `work` is dropped.
    ///
    /// # Errors
    /// The signal.
    pub(crate) async fn before<T>(&self, work: impl Future<Output = T>) -> std::result::Result<T, Signal> {
        let mut signal = self.0.subscribe();
        tokio::select! {
            biased;
            raised = signal.wait_for(Option::is_some) => match raised.ok().and_then(|signal| *signal) {
                Some(signal) => Err(signal),
                None => unreachable!("the sender lives as long as we do, and the value is some"),
            },
            done = work => Ok(done),
        }
    }
}

/// Returns the error for a message that a signal stopped.
pub(crate) fn interrupted(peer: &Peer, how: Undelivered, signal: Signal) -> EngineError {
    EngineError::Interrupted { peer: peer.name.clone(), how, signal }
}
