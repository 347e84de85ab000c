//! `peer new`: a fresh start now, whatever the peer's state.

use crate::engine::message::{Message, check_message};
use crate::engine::observe::live::Live;
use crate::engine::verbs::wake::Woken;
use crate::engine::{Engine, Peer, Result};
use crate::policy::ending::Intent;
use crate::policy::name::PeerName;
use crate::policy::wake::{Mode, WakeRequest};
use crate::store::ClearedBy;

impl Engine {
    /// Ends what runs, clears what would prevent it, and starts fresh.
    ///
    /// # Errors
    /// As [`Engine::wake`] and [`Engine::stop`].
    pub async fn new_conversation(&self, name: &PeerName, message: &Message) -> Result<Woken> {
        let peer = self.peer(name)?;
        // What would refuse the start is reported before anything is ended.
        self.admit(&peer.spec).await?;
        self.kept_variables_of(&peer)?;
        check_message(&peer, message)?;
        self.check_hops(name, message)?;
        let turn_cut = self.end_for_another(&peer).await.map_err(|error| error.instead_of("restart"))?;
        let request = WakeRequest {
            mode: Mode::Fresh,
            force: true,
            topic: message.topic.clone(),
            conversation: None,
            only_if_awake: false,
            has_ended_it: true,
        };
        Ok(Woken { turn_cut, ..self.wake(name, &request, message).await? })
    }

    /// Ends what runs. Returns whether a turn is known to have been in progress.
    async fn end_for_another(&self, peer: &Peer) -> Result<bool> {
        let locked = self.lock(&peer.name).await?;
        let record = self.on_record(peer, &locked)?;
        let mut turn_cut = false;
        match self.live_in_reach(peer, record).await? {
            Live::None => self.clear_left(peer, &locked).await?,
            Live::Session(record, observation) if observation.is_over() => {
                self.record_dead_session(peer, &locked, &record, &observation).await?;
            }
            Live::Starting(record) => {
                self.end(peer, &locked, *record, Some(Intent::Replaced)).await?;
            }
            Live::Session(record, observation) => {
                turn_cut = self.is_in_a_turn(peer, &record, &observation).await;
                self.end_by_hand(peer, &locked, *record, &observation, Intent::Replaced).await?;
            }
        }
        locked.clear_markers(ClearedBy::Start)?;
        Ok(turn_cut)
    }
}
