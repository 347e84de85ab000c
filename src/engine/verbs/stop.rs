//! `peer stop`: parks a peer, and refuses wakes until `peer start`.

use serde::Serialize;

use crate::engine::observe::live::Live;
use crate::engine::{Engine, Peer, Result};
use crate::policy::axis::Axis;
use crate::policy::ending::Intent;
use crate::policy::event::EventName;
use crate::policy::name::PeerName;
use crate::store::{Event, Locked, Marker};

/// The result of a stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stopped {
    /// The peer.
    pub peer: PeerName,
    /// Whether it was awake, and is parked now.
    pub parked: bool,
    /// Whether a turn is known to have been in progress, and was cut off.
    pub turn_cut: bool,
    /// Its conversation, if its id is known.
    pub conversation: Option<String>,
}

impl Engine {
    /// Stops one peer. Only a peer that was awake is parked; stopping a crashed peer does not turn its crash into a
    /// park.
    ///
    /// # Errors
    /// [`crate::engine::EngineError::Refused`] while an axis is unknown: nothing was marked or signalled.
    pub async fn stop(&self, name: &PeerName) -> Result<Stopped> {
        let peer = self.known(name)?;
        let locked = self.lock(name).await?;
        let stopped = self.stop_locked(&peer, &locked).await.map_err(|error| error.instead_of("stop"))?;
        self.log(&Event::new(self.now(), EventName::PeerStopped).peer(name).with("parked", stopped.parked))?;
        // The peer is stopped in any case; the next tick tries again.
        if let Err(error) = self.sweep_peer(&peer, &locked).await {
            self.progress.notice(&format!("{name}: something is left of an earlier session: {error}"));
        }
        Ok(stopped)
    }

    async fn stop_locked(&self, peer: &Peer, locked: &Locked) -> Result<Stopped> {
        let record = self.on_record(peer, locked)?;
        let mut turn_cut = false;
        let last = match self.live_in_reach(peer, record).await? {
            Live::None => {
                self.clear_left(peer, locked).await?;
                None
            }
            Live::Session(record, observation) if observation.is_over() => {
                self.record_dead_session(peer, locked, &record, &observation).await?;
                None
            }
            Live::Starting(record) => Some(self.end(peer, locked, *record, Some(Intent::Stopped)).await?),
            Live::Session(record, observation) => {
                turn_cut = self.is_in_a_turn(peer, &record, &observation).await;
                let last = self.end_by_hand(peer, locked, *record, &observation, Intent::Stopped).await?;
                (observation.process != Axis::Dead).then_some(last)
            }
        };
        if let Some(last) = last {
            let conversation = last.conversation;
            return Ok(Stopped { peer: peer.name.clone(), parked: true, turn_cut, conversation });
        }
        locked.mark(Marker::Stopped, self.now())?;
        Ok(Stopped { peer: peer.name.clone(), parked: false, turn_cut: false, conversation: None })
    }
}
