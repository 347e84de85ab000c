//! The heartbeat (`heartbeat.json`): the observations of the last tick over the whole fleet, in one file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;

use peer_adapters::file;
use serde::{Deserialize, Serialize};

use super::fleet_files::{HEARTBEAT, TICK_LOCK};
use super::lock::{Wait, lock_file};
use super::records::Process;
use super::{Result, StateDir, StoreError, Stored, atomic};
use crate::policy::axis::{Axis, Stamped};
use crate::policy::ending::Incarnation;
use crate::policy::name::PeerName;
use crate::policy::stall::Progress;
use crate::policy::time::Timestamp;
use crate::policy::turn::{Ask, Limit, TurnObservation};
use crate::policy::verdict::Verdict;

/// The record of one tick.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The number of the tick. It only grows.
    pub tick: u64,
    /// When it began.
    pub started_at_ms: Timestamp,
    /// How long it took.
    pub duration_ms: u64,
    /// The `peer watch` that ticks now, or the last one that did. Only the kernel knows whether it is still running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<Watch>,
    /// What the tick had no time for or could not do, one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
    /// Peers whose end waits for the next tick to confirm it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub waiting: BTreeSet<PeerName>,
    /// The total time that the machine has been suspended since boot.
    #[serde(default)]
    pub suspended_ms: u64,
    /// The machine's uptime when the tick began, by a monotonic clock; 0 if an older `peer` wrote the file.
    #[serde(default)]
    pub up_ms: u64,
    /// When the machine was last seen to have been suspended, or its clock to have been set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_woke_at_ms: Option<Timestamp>,
    /// Every peer with a recorded incarnation.
    pub peers: BTreeMap<PeerName, PeerObservation>,
}

/// A process that ticks repeatedly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// The process.
    pub process: Process,
    /// The interval between two ticks.
    pub every_ms: u64,
}

/// What a tick observed of one peer: both axes, each with its own time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerObservation {
    /// The observed incarnation.
    pub incarnation: Incarnation,
    /// Whether the runtime's session exists.
    pub runtime: Stamped<Axis>,
    /// Whether the agent's process exists.
    pub process: Stamped<Axis>,
    /// The combined result of both axes.
    pub verdict: Verdict,
    /// What the agent was doing, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<TurnObservation>,
    /// The last known question of the agent, kept even if a later observation saw nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Ask>,
    /// The progress of its turn, while one goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// The usage limit that was reported, and is not over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited: Option<Limit>,
    /// Whether it was reported that its turn makes no progress, and it has made none since.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stalled: bool,
    /// The memory of the agent's process tree, if it has a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_kib: Option<u64>,
    /// Whether the agent was warned that its memory exceeds four fifths of its limit. Cleared once it falls below that.
    #[serde(default, skip_serializing_if = "is_false")]
    pub memory_warned: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// The exclusive right to tick, held until it is dropped. Two ticks never overlap.
#[derive(Debug)]
pub struct TickLock {
    lock: File,
}

impl Drop for TickLock {
    fn drop(&mut self) {
        // The next process that finds the lock held must not mistake it for this tick. If the file keeps this text
        // anyway, the process's start time shows that it is stale.
        let _ = self.lock.set_len(0);
    }
}

/// The tick in progress, as described in the lock of ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickInProgress {
    /// The process that ticks.
    pub process: Process,
    /// When the tick began, as time that the machine had been running. Neither setting the clock nor suspending the
    /// machine changes it.
    pub began_ms: u64,
    /// The time limit of the tick.
    pub budget_ms: u64,
}

impl StateDir {
    /// Returns the last tick, or `None` if there was none or its file does not parse: a tick works without a
    /// predecessor.
    ///
    /// # Errors
    /// If the file exists and cannot be read.
    pub fn heartbeat(&self) -> Result<Option<Heartbeat>> {
        Ok(self.stored_heartbeat()?.present())
    }

    /// Like [`StateDir::heartbeat`], but reports why a file does not parse.
    ///
    /// # Errors
    /// As [`StateDir::heartbeat`].
    pub fn stored_heartbeat(&self) -> Result<Stored<Heartbeat>> {
        Ok(super::read_text(&self.root().join(HEARTBEAT))?.parse())
    }

    /// Writes the tick in compact form, because with a thousand peers it is written every minute and read by programs.
    ///
    /// # Errors
    /// If the disk is full or the directory is read-only.
    pub fn write_heartbeat(&self, _ticking: &TickLock, heartbeat: &Heartbeat) -> Result<()> {
        let mut text = serde_json::to_vec(heartbeat).expect("a heartbeat has string keys");
        text.push(b'\n');
        atomic::write(&self.root().join(HEARTBEAT), &text, atomic::Durability::Cached)
    }

    /// Begins the tick that `own` describes. The inner `Err` means that another tick is in progress, and holds its
    /// description if there is one. Never blocks.
    ///
    /// # Errors
    /// If the lock file cannot be created or written.
    pub fn try_tick(&self, own: TickInProgress) -> Result<std::result::Result<TickLock, Option<TickInProgress>>> {
        let path = self.root().join(TICK_LOCK);
        let file = file::open_or_create(&path).map_err(StoreError::new("open", &path))?;
        if !lock_file(&file, &path, Wait::Never)? {
            // An empty or partial file means that the other tick is just beginning or ending.
            let text = file::read(&path, file::MOST).unwrap_or_default();
            return Ok(Err(serde_json::from_slice(&text).ok()));
        }
        let mut ticking = TickLock { lock: file };
        let text = serde_json::to_vec(&own).expect("numbers");
        let told = ticking.lock.set_len(0).and_then(|()| ticking.lock.write_all(&text));
        told.map_err(StoreError::new("write", path))?;
        Ok(Ok(ticking))
    }
}
