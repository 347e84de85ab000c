//! `peer stop`: park it, and refuse wakes until `peer start`.

use serde::Serialize;

use super::wake::Live;
use super::{Engine, Result};
use crate::policy::ending::Intent;
use crate::policy::name::PeerName;
use crate::store::Marker;

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
    /// [`super::EngineError::Refused`] while an axis is unknown: nothing was marked or signalled.
    pub async fn stop(&self, name: &PeerName) -> Result<Stopped> {
        let peer = self.peer(name)?;
        let locked = self.lock(name).await?;
        let record = self.on_record(&peer, &locked)?;
        let now = self.now();
        match self.live_in_reach(&peer, record).await? {
            Live::None => {
                self.clear_left(&peer, &locked).await?;
                locked.mark(Marker::Stopped, now)?;
                Ok(Stopped { peer: name.clone(), parked: false, conversation: None })
            }
            Live::Session(record, sight) if sight.is_over() => {
                self.bury(&peer, &locked, &record, &sight).await?;
                locked.mark(Marker::Stopped, now)?;
                Ok(Stopped { peer: name.clone(), parked: false, conversation: None })
            }
            Live::Starting(record) | Live::Session(record, _) => {
                let last = self.end(&peer, &locked, *record, Some(Intent::Stopped)).await?;
                Ok(Stopped { peer: name.clone(), parked: true, conversation: last.conversation })
            }
        }
    }
}
