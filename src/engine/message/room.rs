//! Seeing a pane before something is typed into it: a size in which its agent can show itself, and its newest rows.

use std::time::Duration;

use peer_adapters::agent::Accepted;
use peer_adapters::process;
use peer_adapters::runtime::Size;
use peer_adapters::terminal;
use tokio::time::Instant;

use crate::engine::life::launch;
use crate::engine::observe::{process_id, target};
use crate::engine::{Engine, EngineError, POLL, Peer, Result};
use crate::policy::room::{self, Room, RoomFacts};
use crate::store::SessionRecord;

/// How long one who looks at a pane is watched before they count: a client of another `peer`, which only asks, is gone in
/// some 10 ms.
const LOOKS: Duration = Duration::from_millis(300);

/// How long the kernel may take to show a new size: tmux puts it off for 250 ms behind the one before. A pane beside which a
/// person has made another may keep its size, and costs this each time.
const STRETCHES: Duration = Duration::from_secs(2);

/// How long an agent may take to draw itself in another size; tens of milliseconds, more on a machine that is busy.
const REDRAWS: Duration = Duration::from_millis(500);

impl Engine {
    /// Makes sure that what is typed into a pane can be seen there: gives one that was left small its size back, and ends
    /// the scrolling of whoever looks at it.
    ///
    /// # Errors
    /// [`EngineError::NoRoom`]: somebody looks at it with too small a terminal for `text`.
    pub(crate) async fn clear_view(&self, peer: &Peer, record: &SessionRecord, text: &str) -> Result<()> {
        if peer.profile.message.accepted == Accepted::Consumed {
            return Ok(());
        }
        self.make_room(peer, record, text).await?;
        Ok(self.runtime_of(&record.place)?.show_bottom(&target(&record.place)).await?)
    }

    /// Has the agent draw all of its screen again, as it does when its terminal has another size: what a terminal shows can
    /// be another thing than what was drawn there. Somebody wrote to it (wall(1)), or program and terminal give a character
    /// different widths (pi 0.73.1 in tmux 3.3a: its composer loses its edge). So the terminal is a row shorter until the
    /// screen changes. Takes `REDRAWS` at most; what cannot be done costs nothing but that.
    pub(crate) async fn redraw(&self, record: &SessionRecord) {
        let Some((pid, size)) = terminal_of(record) else { return };
        let shorter = Size { rows: size.rows.saturating_sub(1), ..size };
        let before = self.capture(record).await.ok();
        if shorter.rows == 0 || terminal::resize(pid, shorter).is_err() {
            return;
        }
        let asked = Instant::now();
        while asked.elapsed() < REDRAWS && self.capture(record).await.ok() == before {
            tokio::time::sleep(POLL).await;
        }
        // Not where the multiplexer gave it another size meanwhile.
        if terminal::size(pid).is_ok_and(|now| now == shorter) {
            let _ = terminal::resize(pid, size);
        }
    }

    /// The first half of [`Engine::clear_view`]. Costs no more than a kernel fact where the pane is of a usual size.
    pub(crate) async fn make_room(&self, peer: &Peer, record: &SessionRecord, text: &str) -> Result<()> {
        let Some(size) = cramped(record) else { return Ok(()) };
        let shortens = peer.profile.composer.as_ref().is_some_and(|composer| composer.placeholder.is_some());
        let attached = self.is_looked_at(peer, record).await?;
        match room::decide(&RoomFacts { size: (size.columns, size.rows), attached, text, shortens }) {
            Room::Enough => Ok(()),
            Room::TooSmall => Err(EngineError::NoRoom { peer: peer.name.clone(), size, attached }),
            Room::Stretch => {
                self.stretch(record, size, room_of(peer)).await?;
                // A person may have made it small beside others; then it must do as it is.
                let size = cramped(record).unwrap_or_else(|| room_of(peer));
                match room::decide(&RoomFacts { size: (size.columns, size.rows), attached: true, text, shortens }) {
                    Room::TooSmall => Err(EngineError::NoRoom { peer: peer.name.clone(), size, attached }),
                    Room::Enough | Room::Stretch => Ok(()),
                }
            }
        }
    }

    /// Whether somebody is attached, for longer than one of our own clients would be.
    ///
    /// # Errors
    /// The runtime cannot be asked.
    pub(crate) async fn is_looked_at(&self, peer: &Peer, record: &SessionRecord) -> Result<bool> {
        let started = Instant::now();
        loop {
            let sight = self.observe(&peer.name, record).await?;
            if sight.row.is_none_or(|row| row.attached == 0) {
                return Ok(false);
            }
            if started.elapsed() > LOOKS {
                return Ok(true);
            }
            tokio::time::sleep(POLL * 5).await;
        }
    }

    async fn stretch(&self, record: &SessionRecord, before: Size, wanted: Size) -> Result<()> {
        self.runtime_of(&record.place)?.resize(&target(&record.place), wanted).await?;
        let asked = Instant::now();
        while asked.elapsed() < STRETCHES && pane_size(record) == Some(before) {
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

/// The size that a pane is given to be seen in: its own, unless that is too small for it.
fn room_of(peer: &Peer) -> Size {
    let declared = launch::size(&peer.spec);
    let (columns, rows) = if room::is_cramped(declared) { launch::SIZE } else { declared };
    Size { columns, rows }
}

/// The size of a pane, where the kernel tells and its process lives.
pub(crate) fn pane_size(record: &SessionRecord) -> Option<Size> {
    terminal_of(record).map(|(_, size)| size)
}

/// A living process on the terminal of a pane, and the terminal's size.
fn terminal_of(record: &SessionRecord) -> Option<(u32, Size)> {
    let of_agent = record.process.map(|agent| agent.id);
    [record.place.pane_process, of_agent].into_iter().flatten().find_map(|id| {
        let id = process_id(id);
        process::find(id).ok().flatten()?;
        terminal::size(id.pid).ok().map(|size| (id.pid, size))
    })
}

/// The size of a pane that is smaller than what agents are made for.
pub(crate) fn cramped(record: &SessionRecord) -> Option<Size> {
    pane_size(record).filter(|size| room::is_cramped((size.columns, size.rows)))
}
