//! Which starts this process is seeing through. The record of a start names the process that watches it; a process that
//! lives long (`peer mcp`, `peer top`, `peer watch`) may have stopped watching, or be asked twice at once.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use peer_adapters::process;

use crate::engine::observe::recorded;
use crate::engine::{Engine, Peer, Result};
use crate::policy::ending::Incarnation;
use crate::store::{Phase, Process};

/// How long to wait for another process that works on the peer, before a start is left to others.
const LEAVE_PATIENCE: Duration = Duration::from_secs(1);

type Start = (PathBuf, Incarnation);

static DRIVEN: Mutex<BTreeSet<Start>> = Mutex::new(BTreeSet::new());

/// The right to see one start through, in this process. It ends when this is dropped, also by a caller that gives up.
pub(super) struct Driving(Start);

impl Driving {
    /// Returns `None` if another task of this process sees this start through.
    pub(super) fn begin(peer: &Peer, incarnation: Incarnation) -> Option<Self> {
        let start = start(peer, incarnation);
        let is_first = driven().insert(start.clone());
        // Only then: what is made here ends the right when it is dropped.
        is_first.then(|| Self(start))
    }
}

impl Drop for Driving {
    fn drop(&mut self) {
        driven().remove(&self.0);
    }
}

/// Whether a task of this process sees this start through.
fn is_driven_here(peer: &Peer, incarnation: Incarnation) -> bool {
    driven().contains(&start(peer, incarnation))
}

fn start(peer: &Peer, incarnation: Incarnation) -> Start {
    (peer.files.path("session"), incarnation)
}

fn driven() -> MutexGuard<'static, BTreeSet<Start>> {
    DRIVEN.lock().expect("no holder of this lock panics")
}

impl Engine {
    /// Leaves a start that this process has stopped watching to whoever comes next: the next wake or tick. Otherwise, it
    /// would be nobody's for as long as this process lives.
    pub(crate) async fn leave_start(&self, peer: &Peer) {
        if let Err(error) = self.try_leave_start(peer).await {
            tracing::debug!(peer = %peer.name, %error, "its start is not left to others");
        }
    }

    async fn try_leave_start(&self, peer: &Peer) -> Result<()> {
        let Some(locked) = self.lock_within(&peer.name, LEAVE_PATIENCE).await? else { return Ok(()) };
        if let Some(mut record) = peer.files.session()?.present()
            && record.phase == (Phase::Starting { driver: recorded(process::me()?) })
            && !is_driven_here(peer, record.incarnation)
        {
            record.phase = Phase::Starting { driver: Process::NOBODY };
            locked.write_session(&record)?;
        }
        Ok(())
    }
}
