//! `peer interrupt`: the keys that stop the agent's turn.

use std::time::Duration;

use peer_adapters::screen::{self, Phase as Shows};
use tokio::time::Instant;

use crate::engine::observe::conversation::Launched;
use crate::engine::observe::target;
use crate::engine::{Engine, EngineError, POLL, Peer, Result};
use crate::policy::name::PeerName;
use crate::store::{Phase, SessionRecord};

/// How long an agent may take to show that it stopped, before the next of its keys is pressed. opencode takes two, within
/// seconds of each other, and one alone in a question.
const STOPS: Duration = Duration::from_millis(500);

/// How long an agent's own files may be behind its screen: Claude Code needs 0.2 s.
const SAYS: Duration = Duration::from_secs(2);

/// What an interrupt found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupted {
    /// A turn was in progress, or a question stood, and its keys were pressed.
    Turn,
    /// Nothing was in progress: nothing was pressed. The same keys mean something else then; two Escapes open a menu of
    /// Claude Code's.
    Nothing,
}

impl Engine {
    /// Presses the profile's interrupt keys in the pane of one peer that is awake, one after the other until its turn is over.
    /// One that is not ready yet has no turn to stop, and what it shows may take that key for an answer: Claude Code leaves
    /// when its question for trust gets Escape. An agent whose screen and files do not tell is taken to be in a turn.
    ///
    /// # Errors
    /// [`EngineError::NotAwake`] and [`EngineError::StillStarting`]: nothing was pressed. Else the runtime's own.
    pub async fn interrupt(&self, name: &PeerName) -> Result<Interrupted> {
        let peer = self.known(name)?;
        let locked = self.lock(name).await?;
        let mut record = self.awake(&peer).await.map_err(|error| error.instead_of("interrupted"))?;
        if matches!(record.phase, Phase::Starting { .. }) {
            return Err(EngineError::StillStarting { peer: peer.name });
        }
        if !self.shows_turn(&peer, &record).await? && !has_turn(&peer, &record) {
            return Ok(Interrupted::Nothing);
        }
        // What is interrupted may stand in the composer from here on, and is ours.
        record.typed_is_said = false;
        record.pressed_at_ms = Some(self.now());
        locked.write_session(&record)?;
        self.press_until_stopped(&peer, &record).await?;
        self.await_own_word(&peer, &record).await;
        Ok(Interrupted::Turn)
    }

    async fn press_until_stopped(&self, peer: &Peer, record: &SessionRecord) -> Result<()> {
        let runtime = self.runtime_of(&record.place)?;
        for key in &peer.profile.interrupt {
            runtime.press(&target(&record.place), std::slice::from_ref(key)).await?;
            let pressed = Instant::now();
            while pressed.elapsed() < STOPS {
                if !self.shows_turn(peer, record).await? {
                    return Ok(());
                }
                tokio::time::sleep(POLL * 4).await;
            }
        }
        Ok(())
    }

    /// Waits until the agent's own files say no more that it waits for a person, for `SAYS` at most: they are written a moment
    /// after the screen, and whoever looks at once would be told of a question that is gone.
    async fn await_own_word(&self, peer: &Peer, record: &SessionRecord) {
        let started = Instant::now();
        while started.elapsed() < SAYS && waits(peer, record) {
            tokio::time::sleep(POLL * 4).await;
        }
    }

    async fn shows_turn(&self, peer: &Peer, record: &SessionRecord) -> Result<bool> {
        if peer.profile.busy.is_empty() {
            return Ok(true);
        }
        let shows = screen::read(&peer.profile, &self.capture(record).await?).phase;
        Ok(matches!(shows, Shows::Busy | Shows::Dialog(_)))
    }
}

/// Whether its own files say that it waits for a person.
fn waits(peer: &Peer, record: &SessionRecord) -> bool {
    let (Some(agent), Ok(launched)) = (record.process, Launched::of(&peer.files, record, &peer.spec.cwd)) else {
        return false;
    };
    let status = launched.look(&peer.profile, |files| files.status(agent.id.pid));
    matches!(status, Ok(Some(status)) if status.waits_for.is_some())
}

/// Whether its own files say that a turn is in progress: one that began a moment ago is not on the screen yet.
fn has_turn(peer: &Peer, record: &SessionRecord) -> bool {
    let (Some(agent), Ok(launched)) = (record.process, Launched::of(&peer.files, record, &peer.spec.cwd)) else {
        return false;
    };
    let turn =
        launched.look(&peer.profile, |files| files.turn_in_progress(record.conversation.as_deref(), agent.id.pid));
    matches!(turn, Ok(Some(true)))
}
