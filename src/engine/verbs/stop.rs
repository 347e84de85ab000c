//! `peer stop`: park it, and refuse wakes until `peer start`.

use serde::Serialize;

use crate::engine::verbs::wake::Live;
use crate::engine::{Engine, Peer, Result};
use crate::policy::axis::Axis;
use crate::policy::ending::Intent;
use crate::policy::name::PeerName;
use crate::store::{Event, Locked, Marker};

/// How a stop came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stopped {
    /// Whom.
    pub peer: PeerName,
    /// It was awake, and is parked now.
    pub parked: bool,
    /// Its conversation, where its id is known.
    pub conversation: Option<String>,
}

impl Engine {
    /// Stops one peer. Only what was awake is parked: stopping a crashed peer does not turn its crash into a park. One
    /// that is not awake is stopped at once.
    ///
    /// # Errors
    /// [`crate::engine::EngineError::Refused`] while an axis is unknown: nothing was marked or signalled.
    pub async fn stop(&self, name: &PeerName) -> Result<Stopped> {
        let peer = self.known(name)?;
        let locked = self.lock(name).await?;
        let stopped = self.stop_locked(&peer, &locked).await.map_err(|error| error.instead_of("stopped"))?;
        self.log(&Event::new(self.now(), "peer.stopped").peer(name).with("parked", stopped.parked))?;
        // It is stopped in any case; the next tick tries again.
        if let Err(error) = self.sweep_peer(&peer, &locked).await {
            self.progress.notice(&format!("{name}: something is left of an earlier session: {error}"));
        }
        Ok(stopped)
    }

    async fn stop_locked(&self, peer: &Peer, locked: &Locked) -> Result<Stopped> {
        let record = self.on_record(peer, locked)?;
        let stopped = |parked, conversation| Stopped { peer: peer.name.clone(), parked, conversation };
        let last = match self.live_in_reach(peer, record).await? {
            Live::None => {
                self.clear_left(peer, locked).await?;
                None
            }
            Live::Session(record, sight) if sight.is_over() => {
                self.bury(peer, locked, &record, &sight).await?;
                None
            }
            Live::Starting(record) => Some(self.end(peer, locked, *record, Some(Intent::Stopped)).await?),
            Live::Session(record, sight) => {
                let last = self.end_by_hand(peer, locked, *record, &sight, Intent::Stopped).await?;
                (sight.process != Axis::Dead).then_some(last)
            }
        };
        if let Some(last) = last {
            return Ok(stopped(true, last.conversation));
        }
        locked.mark(Marker::Stopped, self.now())?;
        Ok(stopped(false, None))
    }
}
