//! Waiting until the pane process of a start has started the agent.

use std::time::Duration;

use tokio::time::Instant;

use crate::engine::error::NotReady;
use crate::engine::life::record_end::{self, EndContext};
use crate::engine::{Engine, Peer, Result, pause};
use crate::policy::ending::Incarnation;
use crate::store::Phase;

/// How long the pane process may take to come up and start the agent after the runtime created the pane.
const PANE_PATIENCE: Duration = Duration::from_secs(10);

/// How often to look whether the server still exists while its pane process has not started the agent: that normally
/// takes a few milliseconds, and a look is a listing call.
const SERVER_POLL: Duration = Duration::from_millis(250);

impl Engine {
    /// Waits until the pane process has started the agent, or the start is over. If its server ends first, that is
    /// recorded: there is no pane process then that could start the agent. Blocks for at most `limit` and
    /// `PANE_PATIENCE`, whichever is less.
    ///
    /// # Errors
    /// As [`Engine::await_ready`].
    pub(super) async fn await_agent(
        &self,
        peer: &Peer,
        incarnation: Incarnation,
        started: Instant,
        limit: Duration,
    ) -> Result<()> {
        let limit = limit.min(PANE_PATIENCE);
        let mut looked = Instant::now();
        loop {
            let record = self.current(peer, incarnation)?;
            if record.process.is_some() || !matches!(record.phase, Phase::Starting { .. }) {
                return Ok(());
            }
            if started.elapsed() > limit {
                return Err(self.not_ready(peer, &record, NotReady::TimedOut(limit)).await);
            }
            if looked.elapsed() >= SERVER_POLL {
                self.record_lost_start(peer, incarnation).await?;
                looked = Instant::now();
            }
            self.waiting(peer, started, limit);
            pause(started).await;
        }
    }

    /// Records the end of a start whose server is gone and whose agent was never started. The lock includes the gate of
    /// the start, so no pane process starts the agent meanwhile, nor does one that comes later.
    async fn record_lost_start(&self, peer: &Peer, incarnation: Incarnation) -> Result<()> {
        let locked = self.lock(&peer.name).await?;
        let Some(record) = peer.files.session()?.present() else { return Ok(()) };
        if record.incarnation != incarnation || record.process.is_some() {
            return Ok(());
        }
        let observation = self.observe(&peer.name, &record).await?;
        if observation.is_over() && (observation.server_gone || observation.ended) {
            record_end::record_end(&self.state, &locked, &record, EndContext::cleared(&observation), self.now())?;
        }
        Ok(())
    }
}
