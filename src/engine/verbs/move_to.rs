//! `peer move`: the same peer, with its conversation, in another runtime.

use peer_adapters::runtime::RuntimeKind;
use serde::Serialize;

use crate::config::PeerSpec;
use crate::engine::message::Message;
use crate::engine::observe::live::Live;
use crate::engine::peer::runtimes::kind_of;
use crate::engine::verbs::wake::Woken;
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::ending::Intent;
use crate::policy::event::EventName;
use crate::policy::name::PeerName;
use crate::policy::wake::{Mode, WakeRequest};
use crate::store::{Event, Locked, SessionRecord};

/// The result of a move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// The peer.
    pub peer: PeerName,
    /// The runtime that it was on.
    pub from: RuntimeKind,
    /// The runtime that it is on.
    pub to: RuntimeKind,
    /// How it was woken there; `None` if it was not awake before, or was already there.
    pub woken: Option<Woken>,
}

/// The peer's state before the change, under the lock.
enum Parked {
    /// It was not awake.
    Asleep,
    /// It was awake and is parked now.
    Now,
    /// It is starting, and cannot be parked before it is ready.
    Starting(Box<SessionRecord>),
}

impl Engine {
    /// Moves one peer to the other runtime: parks it if it is awake, changes its spec, and wakes it there in the same
    /// conversation. Blocks for a park and a wake.
    ///
    /// Each step leaves a peer that a wake can resume: in the old runtime until its spec is changed, in the new one
    /// afterwards.
    ///
    /// # Errors
    /// Before the peer is parked, nothing was changed. If its spec cannot be written after that, it is parked in the old
    /// runtime. [`EngineError::MovedNotWoken`]: the spec is changed; the peer is asleep with its conversation, and moving
    /// it back works.
    pub async fn move_to(&self, name: &PeerName, to: RuntimeKind) -> Result<Moved> {
        let peer = self.peer(name)?;
        let from = kind_of(&peer.spec.runtime)?;
        if from == to {
            return Ok(Moved { peer: name.clone(), from, to, woken: None });
        }
        self.check_move(&peer, to).await?;
        let was_awake = loop {
            let locked = self.lock(name).await?;
            match self.park_to_move(&peer, &locked).await? {
                Parked::Starting(record) => {
                    drop(locked);
                    self.await_ready(&peer, record.incarnation).await?;
                }
                parked => {
                    // Read again, because it may have been changed since it was checked.
                    self.config.write_spec(name, &self.text_moved(name, to)?)?;
                    let event = Event::new(self.now(), EventName::PeerMoved).peer(name);
                    self.log(&event.with("from", from.as_str()).with("runtime", to.as_str()))?;
                    break matches!(parked, Parked::Now);
                }
            }
        };
        if !was_awake {
            return Ok(Moved { peer: name.clone(), from, to, woken: None });
        }
        match self.wake_moved(name).await {
            Ok(woken) => Ok(Moved { peer: name.clone(), from, to, woken: Some(woken) }),
            Err(why) => Err(EngineError::MovedNotWoken { peer: name.clone(), from, to, why: Box::new(why) }),
        }
    }

    /// Returns the text of the changed spec.
    fn text_moved(&self, name: &PeerName, to: RuntimeKind) -> Result<String> {
        let Some(text) = self.config.spec_text(name)? else { return Err(self.no_such_peer(name)) };
        Ok(PeerSpec::with_runtime(&self.config.spec_path(name), &text, to)?)
    }

    /// Reports everything that is known to fail before anything is ended.
    async fn check_move(&self, peer: &Peer, to: RuntimeKind) -> Result<()> {
        let refuse = |problem: String, hint: String| {
            Err(EngineError::Declaration { what: format!("move {}", peer.name), problem, hint: Some(hint) })
        };
        if let Some(manager) = self.manager_of(peer) {
            let hint = match peer.spec.managed_by {
                Some(_) => format!("remove managed_by in `peer edit {}` first", peer.name),
                None => format!("remove or rename {manager} first"),
            };
            return refuse(format!("its lifecycle is managed by {manager}"), hint);
        }
        if self.var("PEER_NAME").is_some_and(|own| own == peer.name.as_str()) {
            let hint = "run it in another terminal".to_owned();
            return refuse("this runs in its own pane, which ends on the way".to_owned(), hint);
        }
        let text = self.text_moved(&peer.name, to)?;
        let (_, _, runtime) = self.runtime_for(&PeerSpec::parse(&self.config.spec_path(&peer.name), &text)?)?;
        self.kept_variables(&peer.spec)?;
        // The one check that a wake does not make, and that would certainly fail there.
        runtime.version().await?;
        Ok(())
    }

    async fn park_to_move(&self, peer: &Peer, locked: &Locked) -> Result<Parked> {
        match self.live_in_reach(peer, self.on_record(peer, locked)?).await? {
            Live::None => self.clear_left(peer, locked).await.map(|()| Parked::Asleep),
            Live::Starting(record) => Ok(Parked::Starting(record)),
            Live::Session(record, observation) if observation.is_over() => {
                self.record_dead_session(peer, locked, &record, &observation).await.map(|()| Parked::Asleep)
            }
            Live::Session(record, observation) => {
                Self::refuse_unknown(peer, &observation).map_err(|error| error.instead_of("move"))?;
                if !peer.profile.capabilities().resume {
                    return Err(EngineError::Declaration {
                        what: format!("move {}", peer.name),
                        problem: format!("it is awake, and {} cannot resume a conversation", peer.spec.agent),
                        hint: Some(format!("peer stop {0}, which discards its state, then move it", peer.name)),
                    });
                }
                self.end(peer, locked, *record, Some(Intent::Moved)).await.map(|_| Parked::Now)
            }
        }
    }

    /// Wakes a peer in the same conversation, whatever its policy after a park; fresh only if it never had one.
    pub(crate) async fn wake_moved(&self, name: &PeerName) -> Result<Woken> {
        let peer = self.peer(name)?;
        let last = peer.files.end()?.present().and_then(|last| last.conversation);
        let mode = if self.resumable(&peer, last.as_deref()).is_some() { Mode::Resume } else { Mode::Auto };
        self.wake(name, &WakeRequest { mode, ..WakeRequest::default() }, &Message::default()).await
    }
}
