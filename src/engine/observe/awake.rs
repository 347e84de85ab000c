//! A peer that has to be awake for what the user wants.

use super::live::Live;
use super::turn::Activity;
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::axis::Axis;
use crate::store::SessionRecord;

impl Engine {
    /// Returns the record of a peer that is awake on both axes.
    ///
    /// # Errors
    /// [`EngineError::NotAwake`], or a refusal while an axis is unknown.
    pub(crate) async fn awake(&self, peer: &Peer) -> Result<SessionRecord> {
        let record = peer.files.session()?.present();
        match self.live_in_reach(peer, record).await? {
            Live::Starting(record) => Ok(*record),
            Live::Session(record, observation) => {
                Self::refuse_unknown(peer, &observation)?;
                if observation.process == Axis::Alive && observation.runtime == Axis::Alive {
                    return Ok(*record);
                }
                Err(self.not_awake(peer, &Live::Session(record, observation)))
            }
            Live::None => Err(self.not_awake(peer, &Live::None)),
        }
    }

    /// Returns the error for a peer that has to be awake and is not.
    pub(crate) fn not_awake(&self, peer: &Peer, live: &Live) -> EngineError {
        // Files that cannot be read are named by the command that looks at them.
        let next = match self.past(peer) {
            Ok(past) => self.row(peer, live, past, Activity::default()).next_command(),
            Err(_) => format!("peer status {}", peer.name),
        };
        EngineError::NotAwake { peer: peer.name.clone(), next }
    }
}
