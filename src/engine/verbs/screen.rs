//! `peer screen`: what a peer's pane shows now, or showed last.

use peer_adapters::runtime::Capture;

use crate::engine::observe::live::Live;
use crate::engine::observe::target;
use crate::engine::{Engine, Result};
use crate::policy::axis::Axis;
use crate::policy::name::PeerName;
use crate::store::Place;

/// The text of a pane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Screen {
    /// The text, with SGR sequences.
    pub text: String,
    /// Whether it is the last screen of an agent that has ended.
    pub ended: bool,
}

impl Engine {
    /// Reads the pane of one peer, with `history` lines above what is visible. The pane is read at its bottom, even if
    /// an attached client has scrolled up. If the agent has ended, this is the kept screen. `None` if the peer never
    /// had a screen.
    ///
    /// # Errors
    /// A runtime error, or an unknown runtime axis, which does not mean that the agent has ended.
    pub async fn screen(&self, name: &PeerName, history: u32) -> Result<Option<Screen>> {
        let peer = self.known(name)?;
        let record = peer.files.session()?.present();
        match self.live(&peer, record).await? {
            Live::Starting(record) => self.shown(&record.place, history, false).await.map(Some),
            Live::Session(record, observation) => {
                Self::refuse_unknown(&peer, &observation).map_err(|error| error.instead_of("show"))?;
                if observation.row.is_some() {
                    // If this fails, the capture below reports why.
                    let _ = self.runtime_of(&record.place)?.show_bottom(&target(&record.place)).await;
                    return self.shown(&record.place, history, observation.process == Axis::Dead).await.map(Some);
                }
                self.kept(&peer, history).await
            }
            Live::None => self.kept(&peer, history).await,
        }
    }

    /// As [`Engine::screen`], but does not check whether the pane still exists, for a view that has just observed all
    /// peers: one capture of the recorded pane, else the kept screen.
    ///
    /// # Errors
    /// As [`Engine::screen`].
    pub async fn glimpse(&self, name: &PeerName, history: u32) -> Result<Option<Screen>> {
        let peer = self.known(name)?;
        match peer.files.session()?.present() {
            Some(record) => self.shown(&record.place, history, false).await.map(Some),
            None => self.kept(&peer, history).await,
        }
    }

    async fn shown(&self, place: &Place, history: u32, ended: bool) -> Result<Screen> {
        let runtime = self.runtime_of(place)?;
        let how = Capture { history, ansi: true };
        let text = runtime.capture(&target(place), how).await?;
        Ok(Screen { text, ended })
    }

    async fn kept(&self, peer: &crate::engine::Peer, history: u32) -> Result<Option<Screen>> {
        if let Some(place) = peer.files.end()?.present().and_then(|last| last.left) {
            // The pane may still show it; if not, the kept screen of an older incarnation is better than nothing.
            if let Ok(screen) = self.shown(&place, history, true).await {
                return Ok(Some(screen));
            }
        }
        Ok(peer.files.kept_screen()?.present().map(|text| Screen { text, ended: true }))
    }
}
