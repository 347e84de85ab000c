//! `peer key`: keys that the user presses by name.

use std::time::Duration;

use peer_adapters::runtime::Key;

use crate::engine::observe::live::Live;
use crate::engine::observe::target;
use crate::engine::{Engine, EngineError, Result};
use crate::policy::event::EventName;
use crate::policy::name::PeerName;
use crate::store::Event;

/// The pause between two keys. An agent tells Escape from the start of a sequence by what follows within some 50 ms,
/// and a menu must be redrawn before its next key.
const BETWEEN: Duration = Duration::from_millis(100);

impl Engine {
    /// Presses keys in the pane of a peer that is awake, one after the other. The caller must know what they mean to
    /// the agent or its dialog.
    ///
    /// # Errors
    /// [`EngineError::NotAwake`]: nothing was pressed. [`EngineError::KeysLeft`]: some were.
    pub async fn press_keys(&self, name: &PeerName, keys: &[Key]) -> Result<()> {
        let peer = self.known(name)?;
        let locked = self.lock(name).await?;
        let mut record = self.awake(&peer).await.map_err(|error| error.instead_of("press keys in"))?;
        if record.process.is_none() {
            return Err(self.not_awake(&peer, &Live::Starting(Box::new(record))));
        }
        // Text that an agent puts back into its composer at such a key is `peer`'s own, as after `peer interrupt`.
        let stops_turn = keys.iter().any(|key| peer.profile.interrupt.contains(key));
        if stops_turn && std::mem::take(&mut record.typed_was_accepted) {
            locked.write_session(&record)?;
        }
        let words: Vec<String> = keys.iter().map(Key::to_string).collect();
        let event = Event::new(self.now(), EventName::KeysPressed).peer(&peer.name).incarnation(record.incarnation);
        self.log(&event.with("keys", words.join(" ")))?;
        let runtime = self.runtime_of(&record.place)?;
        for (pressed, key) in keys.iter().enumerate() {
            if pressed > 0 {
                tokio::time::sleep(BETWEEN).await;
            }
            runtime.press(&target(&record.place), std::slice::from_ref(key)).await.map_err(|why| match pressed {
                0 => EngineError::Runtime(why),
                _ => EngineError::KeysLeft { peer: peer.name.clone(), pressed, of: keys.len(), why },
            })?;
        }
        Ok(())
    }
}
