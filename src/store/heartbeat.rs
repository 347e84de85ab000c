//! `heartbeat.json`: what the last tick of the reaper saw of the whole fleet, in one write.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;

use fs2::FileExt;
use peer_adapters::file;
use serde::{Deserialize, Serialize};

use super::records::Process;
use super::{Result, StateDir, StoreError, Stored, atomic};
use crate::policy::axis::{Axis, Stamped};
use crate::policy::ending::Incarnation;
use crate::policy::name::PeerName;
use crate::policy::time::Timestamp;
use crate::policy::turn::{Ask, TurnSeen};
use crate::policy::verdict::Verdict;

/// The file in the state directory.
pub(super) const HEARTBEAT: &str = "heartbeat.json";

/// One tick.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Its number; it only grows.
    pub tick: u64,
    /// When it began.
    pub started_at_ms: Timestamp,
    /// How long it took.
    pub duration_ms: u64,
    /// The `peer watch` that ticks by itself, or was the last to. Whether it still runs is for the kernel to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<Watch>,
    /// What it had no time for, or could not do; one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
    /// Peers whose end waits for the next tick to agree.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub waiting: BTreeSet<PeerName>,
    /// How long the machine had been suspended since boot, in all.
    #[serde(default)]
    pub suspended_ms: u64,
    /// How long the machine had been up when it began, by a clock that nobody sets; 0 where an older `peer` wrote this.
    #[serde(default)]
    pub up_ms: u64,
    /// When the machine was last seen to have been suspended, or its clock to have been set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_woke_at_ms: Option<Timestamp>,
    /// Every peer with an incarnation on record.
    pub peers: BTreeMap<PeerName, Pulse>,
}

/// A process that ticks again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Which.
    pub process: Process,
    /// From one tick to the next.
    pub every_ms: u64,
}

/// What a tick saw of one peer: both axes, each with its own time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulse {
    /// Which start.
    pub incarnation: Incarnation,
    /// Is the runtime's session there?
    pub runtime: Stamped<Axis>,
    /// Is the agent's process there?
    pub process: Stamped<Axis>,
    /// What both say together.
    pub verdict: Verdict,
    /// What its agent was doing, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<TurnSeen>,
    /// What it was known to ask last, also where a later look saw nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Ask>,
    /// Memory of its process tree, where it has a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_kib: Option<u64>,
    /// It was warned that its memory is above four fifths of its limit, and has not been below since.
    #[serde(default, skip_serializing_if = "is_false")]
    pub memory_warned: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// The right to tick, for as long as it lives; two ticks never overlap.
#[derive(Debug)]
pub struct Ticking {
    lock: File,
}

impl Drop for Ticking {
    fn drop(&mut self) {
        // Whoever finds it held next must not take it for this tick. What stays is told by the process's start time.
        let _ = self.lock.set_len(0);
    }
}

/// The tick that is under way, as it says of itself in `reap.lock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickUnderWay {
    /// Who ticks.
    pub process: Process,
    /// When it began, by how long the machine had been running: neither a clock that is set nor a suspension moves that.
    pub began_ms: u64,
    /// How long it may take.
    pub budget_ms: u64,
}

impl StateDir {
    /// The last tick; none where there was none or its file does not parse: a tick needs no predecessor.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn heartbeat(&self) -> Result<Option<Heartbeat>> {
        Ok(self.stored_heartbeat()?.present())
    }

    /// The same, with what is wrong with a file that does not parse.
    ///
    /// # Errors
    /// As [`StateDir::heartbeat`].
    pub fn stored_heartbeat(&self) -> Result<Stored<Heartbeat>> {
        Ok(match super::read_text(&self.root().join(HEARTBEAT))? {
            Stored::Absent => Stored::Absent,
            Stored::Corrupt(why) => Stored::Corrupt(why),
            Stored::Present(text) => match serde_json::from_str(&text) {
                Ok(heartbeat) => Stored::Present(heartbeat),
                Err(error) => Stored::Corrupt(error.to_string()),
            },
        })
    }

    /// Writes the tick, compactly: with a thousand peers it is written every minute and read by programs.
    ///
    /// # Errors
    /// The disk is full or the directory read-only.
    pub fn write_heartbeat(&self, _ticking: &Ticking, heartbeat: &Heartbeat) -> Result<()> {
        let mut text = serde_json::to_vec(heartbeat).expect("a heartbeat has string keys");
        text.push(b'\n');
        atomic::write(&self.root().join(HEARTBEAT), &text, atomic::Durability::Cached)
    }

    /// Begins a tick, which is `own`. `Err` within: another one is under way, and which, where it says so. Never blocks.
    ///
    /// # Errors
    /// The lock file cannot be made or written.
    pub fn try_tick(&self, own: TickUnderWay) -> Result<std::result::Result<Ticking, Option<TickUnderWay>>> {
        let path = self.root().join("reap.lock");
        let file = file::open_or_create(&path).map_err(StoreError::new("open", &path))?;
        match FileExt::try_lock_exclusive(&file) {
            Ok(()) => {
                let mut ticking = Ticking { lock: file };
                let text = serde_json::to_vec(&own).expect("numbers");
                let told = ticking.lock.set_len(0).and_then(|()| ticking.lock.write_all(&text));
                told.map_err(StoreError::new("write", path))?;
                Ok(Ok(ticking))
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                // Nothing, or half of it: that one begins or ends this moment.
                let text = file::read(&path, file::MOST).unwrap_or_default();
                Ok(Err(serde_json::from_slice(&text).ok()))
            }
            Err(error) => Err(StoreError::new("lock", path)(error)),
        }
    }
}
