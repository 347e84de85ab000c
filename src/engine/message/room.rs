//! Making a pane readable before something is typed into it: a size in which the agent can show itself, and its newest
//! lines.

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

/// How long a client must be attached before it counts as a person's. A client of another `peer`, which only makes a
/// query, is gone after some 10 ms.
const LOOKS: Duration = Duration::from_millis(300);

/// How long the kernel may take to show a new size: tmux delays it for 250 ms after the one before. A pane beside which
/// the user opened another may keep its size, and costs this time on each attempt.
const RESIZE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long an agent may take to redraw in another size: tens of milliseconds, more on a busy machine.
const REDRAWS: Duration = Duration::from_millis(500);

impl Engine {
    /// Makes sure that what is typed into a pane can be seen there: a pane that was left small gets its size back, and
    /// the scrolling of an attached client is ended.
    ///
    /// # Errors
    /// [`EngineError::NoRoom`]: a client is attached whose terminal is too small for `text`.
    pub(crate) async fn clear_view(&self, peer: &Peer, record: &SessionRecord, text: &str) -> Result<()> {
        if peer.profile.message.accepted == Accepted::Consumed {
            return Ok(());
        }
        self.make_room(peer, record, text).await?;
        Ok(self.runtime_of(&record.place)?.show_bottom(&target(&record.place)).await?)
    }

    /// Makes the agent redraw its whole screen, as it does when its terminal changes size. What a terminal shows can
    /// differ from what the agent drew: another program wrote to it (wall(1)), or agent and terminal disagree on a
    /// character's width (pi 0.73.1 in tmux 3.3a: its composer loses its edge). So the terminal is made one row shorter
    /// until the screen changes. Takes at most `REDRAWS`; a failure has no other effect.
    ///
    /// Before that, the runtime lays the pane out again: one that was scrolled may stand still for ever (zellij).
    pub(crate) async fn redraw(&self, record: &SessionRecord) {
        if let Ok(runtime) = self.runtime_of(&record.place)
            && let Err(error) = runtime.lay_out_again(&target(&record.place)).await
        {
            tracing::debug!(%error, "the pane's layout");
        }
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
        // Unless the multiplexer changed the size meanwhile.
        if terminal::size(pid).is_ok_and(|now| now == shorter) {
            let _ = terminal::resize(pid, size);
        }
    }

    /// The first half of [`Engine::clear_view`]. For a pane of a usual size it costs only a query of the kernel.
    pub(crate) async fn make_room(&self, peer: &Peer, record: &SessionRecord, text: &str) -> Result<()> {
        let Some(size) = cramped(record) else { return Ok(()) };
        let abbreviates_pastes = peer.profile.composer.as_ref().is_some_and(|composer| composer.placeholder.is_some());
        let attached = self.is_looked_at(peer, record).await?;
        match room::decide(&RoomFacts { size: (size.columns, size.rows), attached, text, abbreviates_pastes }) {
            Room::Enough => Ok(()),
            Room::TooSmall => Err(EngineError::NoRoom { peer: peer.name.clone(), size, attached }),
            Room::Stretch => {
                self.stretch(record, size, room_of(peer)).await?;
                // The user may have made it small beside other panes; then its size must suffice.
                let size = cramped(record).unwrap_or_else(|| room_of(peer));
                match room::decide(&RoomFacts {
                    size: (size.columns, size.rows),
                    attached: true,
                    text,
                    abbreviates_pastes,
                }) {
                    Room::TooSmall => Err(EngineError::NoRoom { peer: peer.name.clone(), size, attached }),
                    Room::Enough | Room::Stretch => Ok(()),
                }
            }
        }
    }

    /// Whether a client is attached, and stays longer than one of `peer`'s own clients would.
    ///
    /// # Errors
    /// The runtime cannot be queried.
    pub(crate) async fn is_looked_at(&self, peer: &Peer, record: &SessionRecord) -> Result<bool> {
        let started = Instant::now();
        loop {
            let observation = self.observe(&peer.name, record).await?;
            if observation.row.is_none_or(|row| row.attached == 0) {
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
        while asked.elapsed() < RESIZE_TIMEOUT && pane_size(record) == Some(before) {
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

/// Returns the size that a pane is given to be readable: the declared one, unless that is too small.
fn room_of(peer: &Peer) -> Size {
    let declared = launch::size(&peer.spec);
    let (columns, rows) = if room::is_cramped(declared) { launch::SIZE } else { declared };
    Size { columns, rows }
}

/// Returns the size of a pane, if the kernel reports it and its process is alive.
pub(crate) fn pane_size(record: &SessionRecord) -> Option<Size> {
    terminal_of(record).map(|(_, size)| size)
}

/// Returns a living process on the pane's terminal, and the terminal's size.
fn terminal_of(record: &SessionRecord) -> Option<(u32, Size)> {
    let of_agent = record.process.map(|agent| agent.id);
    [record.place.pane_process, of_agent].into_iter().flatten().find_map(|id| {
        let id = process_id(id);
        process::find(id).ok().flatten()?;
        terminal::size(id.pid).ok().map(|size| (id.pid, size))
    })
}

/// Returns the size of a pane that is smaller than agents are made for.
pub(crate) fn cramped(record: &SessionRecord) -> Option<Size> {
    pane_size(record).filter(|size| room::is_cramped((size.columns, size.rows)))
}
