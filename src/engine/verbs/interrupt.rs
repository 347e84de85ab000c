//! `peer interrupt`: presses the keys that stop the agent's turn.

use std::time::Duration;

use peer_adapters::screen::{self, Phase as Shows};
use tokio::time::Instant;

use crate::engine::observe::launched::Launched;
use crate::engine::observe::target;
use crate::engine::{Engine, EngineError, POLL, Peer, Result};
use crate::policy::event::EventName;
use crate::policy::name::PeerName;
use crate::store::{Event, Phase, SessionRecord};

/// How long an agent may take to show that it stopped, before its next interrupt key is pressed. opencode needs two,
/// within seconds of each other, and only one in a question.
const STOPS: Duration = Duration::from_millis(500);

/// How long an agent's own files may lag behind its screen: Claude Code needs 0.2 s.
const SAYS: Duration = Duration::from_secs(2);

/// What an interrupt found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupted {
    /// A turn was in progress or a question was open, and the keys were pressed.
    Turn,
    /// Nothing was in progress, and no key was pressed. The same keys would mean something else: two Escapes open a
    /// menu of Claude Code.
    Nothing,
}

impl Engine {
    /// Presses the profile's interrupt keys in the pane of a peer that is awake, one after the other until its turn is
    /// over. An agent that is not ready has no turn to stop, and may take the key for an answer: Claude Code exits when
    /// its trust question gets Escape. If neither screen nor files show whether a turn is in progress, one is assumed.
    ///
    /// # Errors
    /// [`EngineError::NotAwake`] and [`EngineError::StillStarting`]: nothing was pressed. Otherwise a runtime error.
    pub async fn interrupt(&self, name: &PeerName) -> Result<Interrupted> {
        let peer = self.known(name)?;
        let locked = self.lock(name).await?;
        let mut record = self.awake(&peer).await.map_err(|error| error.instead_of("interrupt"))?;
        if matches!(record.phase, Phase::Starting { .. }) {
            return Err(EngineError::StillStarting { peer: peer.name });
        }
        if !self.shows_turn(&peer, &record).await? && !has_turn(&peer, &record) {
            return Ok(Interrupted::Nothing);
        }
        // The agent may put the interrupted message back into its composer; that text is `peer`'s own.
        record.typed_was_accepted = false;
        record.pressed_at_ms = Some(self.now());
        locked.write_session(&record)?;
        let event = Event::new(self.now(), EventName::AgentInterrupted).peer(name).incarnation(record.incarnation);
        self.log(&event)?;
        self.press_until_stopped(&peer, &record).await?;
        self.await_own_report(&peer, &record).await;
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

    /// Waits until the agent's own files no longer report that it waits for a person, for at most `SAYS`. They are
    /// written a moment after the screen, and an immediate query would still show the question.
    async fn await_own_report(&self, peer: &Peer, record: &SessionRecord) {
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

/// Whether its own files report that it waits for a person.
fn waits(peer: &Peer, record: &SessionRecord) -> bool {
    let (Some(agent), Ok(launched)) = (record.process, Launched::of(&peer.files, record, &peer.spec.cwd)) else {
        return false;
    };
    let status = launched.look(&peer.profile, |files| files.status(agent.id.pid));
    matches!(status, Ok(Some(status)) if status.waits_for.is_some())
}

/// Whether its own files report a turn in progress: one that has just begun is not on the screen yet.
fn has_turn(peer: &Peer, record: &SessionRecord) -> bool {
    let (Some(agent), Ok(launched)) = (record.process, Launched::of(&peer.files, record, &peer.spec.cwd)) else {
        return false;
    };
    let turn =
        launched.look(&peer.profile, |files| files.turn_in_progress(record.conversation.as_deref(), agent.id.pid));
    matches!(turn, Ok(Some(true)))
}
