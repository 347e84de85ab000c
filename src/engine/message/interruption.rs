//! Being asked to leave while a message is on its way: by Ctrl-C, by a terminal that closes, by a service manager.
//!
//! Whoever is killed in mid-message leaves its sender without a word of what became of it. So the command line raises the
//! signal here, and what types stops where it is, looks, and says so.

use std::future::Future;

use nix::sys::signal::Signal;
use tokio::sync::watch;

use crate::engine::error::Undelivered;
use crate::engine::{EngineError, Peer};

/// The signal that came, once one has.
#[derive(Debug)]
pub struct Interruption(watch::Sender<Option<Signal>>);

impl Default for Interruption {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Interruption {
    /// Asks whatever can be interrupted to stop where it is.
    pub fn raise(&self, signal: Signal) {
        self.0.send_replace(Some(signal));
    }

    /// Waits for `work`, unless a signal comes first, or has come: then `work` is dropped where it is.
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

/// The error for a message that a signal stopped on its way.
pub(crate) fn interrupted(peer: &Peer, how: Undelivered, signal: Signal) -> EngineError {
    EngineError::Interrupted { peer: peer.name.clone(), how, signal }
}
