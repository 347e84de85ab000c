//! `peer screen`: what its pane shows now, or showed last.

use peer_adapters::runtime::Capture;

use super::wake::Live;
use super::{Engine, Result};
use crate::policy::axis::Axis;
use crate::policy::name::PeerName;

/// The text of a pane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Screen {
    /// What it says, with SGR sequences.
    pub text: String,
    /// It is the last screen of an agent that has ended.
    pub ended: bool,
}

impl Engine {
    /// Reads the pane of one peer, with `history` lines above what is visible; of one that has ended, what was kept.
    /// `None`: it never had a screen.
    ///
    /// # Errors
    /// The runtime's own; an unknown runtime axis is not an ended agent.
    pub async fn screen(&self, name: &PeerName, history: u32) -> Result<Option<Screen>> {
        let peer = self.peer(name)?;
        let record = peer.files.session()?.present();
        match self.live(&peer, record).await? {
            Live::Starting(record) => self.shown(&record, history, false).await.map(Some),
            Live::Session(record, sight) => {
                Self::refuse_unknown(&peer, &sight)?;
                if sight.row.is_some() {
                    return self.shown(&record, history, sight.process == Axis::Dead).await.map(Some);
                }
                self.kept(&peer)
            }
            Live::None => self.kept(&peer),
        }
    }

    async fn shown(&self, record: &crate::store::SessionRecord, history: u32, ended: bool) -> Result<Screen> {
        let runtime = self.runtime_of(record)?;
        let how = Capture { history, ansi: true };
        let text = runtime.capture(&super::observe::target(record), how).await?;
        Ok(Screen { text, ended })
    }

    fn kept(&self, peer: &super::Peer) -> Result<Option<Screen>> {
        Ok(peer.files.kept_screen()?.present().map(|text| Screen { text, ended: true }))
    }
}
