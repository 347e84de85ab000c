//! `peer send`: delivers a message, waking the peer first unless told not to.

use crate::engine::message::Message;
use crate::engine::verbs::wake::Woken;
use crate::engine::{Engine, Result};
use crate::policy::name::PeerName;
use crate::policy::wake::WakeRequest;

impl Engine {
    /// Delivers a message to one peer. With `wake` the peer is woken first, according to the wake table.
    ///
    /// # Errors
    /// As [`Engine::wake`]; without `wake`, [`crate::engine::EngineError::NotAwake`].
    pub async fn send(&self, name: &PeerName, message: &Message, wake: bool) -> Result<Woken> {
        let peer = self.known(name)?;
        if !wake {
            // Most callers learn this here, without waiting for the lock.
            self.awake(&peer).await.map_err(|error| error.instead_of("send to"))?;
        }
        let request = WakeRequest { topic: message.topic.clone(), only_if_awake: !wake, ..WakeRequest::default() };
        self.wake_peer(&peer, &request, message).await
    }
}
