//! `peer screen`: what its pane shows now, or showed last.

use peer_adapters::runtime::Capture;

use crate::engine::observe::target;
use crate::engine::verbs::wake::Live;
use crate::engine::{Engine, Result};
use crate::policy::axis::Axis;
use crate::policy::name::PeerName;
use crate::store::Place;

/// The text of a pane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Screen {
    /// What it says, with SGR sequences.
    pub text: String,
    /// It is the last screen of an agent that has ended.
    pub ended: bool,
}

impl Engine {
    /// Reads the pane of one peer at its bottom, where somebody who is attached may have scrolled up from, with `history` lines above what is visible; of one that has ended, what was kept.
    /// `None`: it never had a screen.
    ///
    /// # Errors
    /// The runtime's own; an unknown runtime axis is not an ended agent.
    pub async fn screen(&self, name: &PeerName, history: u32) -> Result<Option<Screen>> {
        let peer = self.known(name)?;
        let record = peer.files.session()?.present();
        match self.live(&peer, record).await? {
            Live::Starting(record) => self.shown(&record.place, history, false).await.map(Some),
            Live::Session(record, sight) => {
                Self::refuse_unknown(&peer, &sight).map_err(|error| error.instead_of("shown"))?;
                if sight.row.is_some() {
                    // Where it fails, the capture below says why.
                    let _ = self.runtime_of(&record.place)?.show_bottom(&target(&record.place)).await;
                    return self.shown(&record.place, history, sight.process == Axis::Dead).await.map(Some);
                }
                self.kept(&peer, history).await
            }
            Live::None => self.kept(&peer, history).await,
        }
    }

    /// The same without asking whether it is still there, for a view that has just asked about everybody: one capture of
    /// what is on record, else what was kept.
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
            // Still on show where it ended; if not, what was kept of an older one is better than nothing.
            if let Ok(screen) = self.shown(&place, history, true).await {
                return Ok(Some(screen));
            }
        }
        Ok(peer.files.kept_screen()?.present().map(|text| Screen { text, ended: true }))
    }
}
