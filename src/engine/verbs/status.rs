//! `peer status`: everything known about one peer. Changes nothing.

use std::collections::BTreeSet;
use std::path::PathBuf;

use peer_adapters::runtime::Size;
use serde::Serialize;

use crate::engine::message::room;
use crate::engine::observe::live::Live;
use crate::engine::observe::turn::Turns;
use crate::engine::verbs::list::Row;
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::axis::{Axis, Stamped};
use crate::policy::ending::Incarnation;
use crate::policy::health::{self, GUARD_WINDOW};
use crate::policy::name::PeerName;
use crate::policy::state::State;
use crate::policy::verdict::Verdict;
use crate::policy::wake::{WakeDecision, WakeRequest};
use crate::store::{LastEnd, Place, SessionRecord};

/// Everything known about one peer.
#[derive(Debug, Serialize)]
pub struct Status {
    /// The peer's row in the list.
    #[serde(flatten)]
    pub row: Row,
    /// Both axes, observed now; `None` if no incarnation is recorded.
    pub axes: Option<Axes>,
    /// What the last tick observed, and when.
    pub heartbeat: Option<Seen>,
    /// The recorded incarnation.
    pub session: Option<SessionView>,
    /// The transcript of its conversation, if its agent keeps one.
    pub transcript: Option<PathBuf>,
    /// How many conversations it ever had.
    pub conversations: usize,
    /// `NAME.end`.
    pub end: Option<LastEnd>,
    /// Counted deaths within the guard's window.
    pub deaths_in_window: usize,
    /// That window, in seconds.
    pub deaths_window_s: u64,
    /// Topics of its conversation, oldest first.
    pub topics: Vec<String>,
    /// Names of the variables that its `env_file` has for its agent.
    pub kept_env: Vec<String>,
    /// Names of the variables that its agent depends on and had before, but was started without.
    pub missing_env: Vec<String>,
    /// Files of the peer or of the fleet that exist and do not have the expected contents.
    pub warnings: Vec<String>,
    /// Its spec.
    pub spec: PathBuf,
    /// Its files in the state directory.
    pub files: Vec<PathBuf>,
    /// The next useful command.
    pub next: String,
}

/// Both axes, each with the time at which it was observed.
#[derive(Clone, Debug, Serialize)]
pub struct Axes {
    /// Whether the runtime's session exists.
    pub runtime: Stamped<Axis>,
    /// Whether the agent's process exists.
    pub process: Stamped<Axis>,
}

/// What a tick observed.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    /// The tick's number.
    pub tick: u64,
    /// The incarnation that it observed.
    pub incarnation: Incarnation,
    /// Both axes at that time.
    #[serde(flatten)]
    pub axes: Axes,
    /// The tick's verdict.
    pub verdict: Verdict,
    /// Memory of the process tree, if it has a limit.
    pub memory_kib: Option<u64>,
}

/// Where the recorded incarnation is.
#[derive(Clone, Debug, Serialize)]
pub struct SessionView {
    /// The incarnation.
    pub incarnation: Incarnation,
    /// Runtime, server, session and pane.
    #[serde(flatten)]
    pub place: Place,
    /// The agent's pid.
    pub pid: Option<u32>,
    /// Whether it continues an older conversation.
    pub resumed: bool,
    /// Why it was started fresh or resumed.
    pub cause: String,
    /// How many clients are attached to it.
    pub attached: u32,
    /// The size of its pane, if the kernel reports it.
    pub size: Option<Size>,
}

/// How many conversations a peer ever had, as `peer conversations` lists them: one that it came back to is one.
fn ever_had(peer: &Peer, current: Option<&str>) -> Result<usize> {
    let entries = peer.files.conversations()?;
    let ids: BTreeSet<&str> = entries.iter().map(|entry| entry.conversation.as_str()).chain(current).collect();
    Ok(ids.len())
}

impl Engine {
    /// Collects everything about one peer, without its lock and without writing anything. Blocks for at most two probe
    /// deadlines: for a listing, and for a look at the screen of a peer that is awake.
    ///
    /// # Errors
    /// The peer is not declared, or its files cannot be read.
    pub async fn status(&self, name: &PeerName) -> Result<Status> {
        let peer = self.known(name)?;
        let (live, axes) = self.seen_now(&peer).await?;
        let activity = self.activity(&[(&peer, &live)], &mut Turns::default()).await.pop().unwrap_or_default();
        let mut row = self.row(&peer, &live, self.past(&peer)?, activity);
        if matches!(live, Live::None) && self.is_unrecorded(&peer)? {
            row = row.unrecorded();
        }
        // Counted as the next wake will count them, including an end that is not recorded yet.
        let deaths = match self.to_be_recorded(&peer, &live) {
            Some(to_be) => to_be.deaths,
            None => self.deaths(&peer)?,
        };
        let wake = self.next_wake(&peer, &live, &row);
        if let Some(WakeDecision::Resume { conversation, .. }) = &wake {
            row.conversation = Some(conversation.clone());
        }
        let kept = self.kept_variables(&peer.spec);
        let broken = self.check_startable(&peer).err();
        let unread = kept.as_ref().err().map(ToString::to_string).filter(|_| broken.is_none());
        let told = broken.as_ref().map(ToString::to_string);
        let warnings = told.into_iter().chain(unread).chain(self.warnings(&peer)).collect();
        Ok(Status {
            next: match self.usable_settings() {
                // No wake is possible until that is mended.
                Err(_) if wake.is_some() => "peer doctor".to_owned(),
                _ => next(&row, wake.as_ref(), broken.as_ref()),
            },
            axes,
            heartbeat: self.pulse(name)?,
            session: live.record().map(|record| view(record, &live)),
            transcript: self.transcript_path(&peer, row.conversation.as_deref()),
            conversations: ever_had(&peer, row.conversation.as_deref())?,
            end: peer.files.end()?.present(),
            deaths_in_window: health::recent(&deaths, self.now()).len(),
            deaths_window_s: GUARD_WINDOW.as_secs(),
            topics: peer.files.topics()?,
            kept_env: kept.map(|kept| kept.names().map(str::to_owned).collect()).unwrap_or_default(),
            missing_env: live.record().map(|record| record.missing_env.clone()).unwrap_or_default(),
            warnings,
            spec: self.config.spec_path(name),
            files: peer.files.all_on_disk()?,
            row,
        })
    }

    fn warnings(&self, peer: &Peer) -> Vec<String> {
        let found = peer.files.damaged().into_iter().chain(self.state.damaged());
        found.map(|damage| format!("{}: {}; read as absent", damage.file.display(), damage.why)).collect()
    }

    async fn seen_now(&self, peer: &Peer) -> Result<(Live, Option<Axes>)> {
        let Some(record) = peer.files.session()?.present() else { return Ok((Live::None, None)) };
        let observation = self.observe(&peer.name, &record).await?;
        let process_at = self.now();
        let axes = Axes {
            runtime: Stamped { value: observation.runtime.clone(), at_ms: observation.listed_at },
            process: Stamped { value: observation.process.clone(), at_ms: process_at },
        };
        Ok((Live::of(record, observation), Some(axes)))
    }

    /// Returns what the next wake does, if it would start something. Unreadable files of the agent must not hide
    /// everything else.
    fn next_wake(&self, peer: &Peer, live: &Live, row: &Row) -> Option<WakeDecision> {
        let awake = RUNS.contains(&row.state);
        if awake { None } else { self.preview_wake(peer, live, &WakeRequest::default()).ok() }
    }

    fn pulse(&self, name: &PeerName) -> Result<Option<Seen>> {
        let Some(mut beat) = self.state.heartbeat()? else { return Ok(None) };
        Ok(beat.peers.remove(name).map(|pulse| Seen {
            tick: beat.tick,
            incarnation: pulse.incarnation,
            axes: Axes { runtime: pulse.runtime, process: pulse.process },
            verdict: pulse.verdict,
            memory_kib: pulse.memory_kib,
        }))
    }

    /// Returns the path of the conversation's transcript. Unreadable files of the agent must not hide everything else.
    fn transcript_path(&self, peer: &Peer, conversation: Option<&str>) -> Option<PathBuf> {
        self.in_own_files(peer, &peer.profile, |files| files.exists(conversation?).ok()?).ok()?
    }
}

fn view(record: &SessionRecord, live: &Live) -> SessionView {
    let row = match live {
        Live::Session(_, observation) => observation.row.as_ref(),
        Live::Starting(_) | Live::None => None,
    };
    let mut place = record.place.clone();
    // With its current name: the user may have renamed the session, or moved the pane to another one.
    if let Some(row) = row {
        place.session.clone_from(&row.session);
        place.session_id.clone_from(&row.session_id);
    }
    SessionView {
        incarnation: record.incarnation,
        place,
        pid: record.process.map(|agent| agent.id.pid),
        resumed: record.resumed,
        cause: record.cause.clone(),
        attached: row.map_or(0, |row| row.attached),
        size: room::pane_size(record),
    }
}

/// States of an agent that runs, or of which that is not known: no wake would start it.
const RUNS: [State; 7] =
    [State::Awake, State::Busy, State::Waiting, State::Limited, State::Stalled, State::Starting, State::Unknown];

/// Returns the command that the user most likely needs next for this peer.
fn next(row: &Row, wake: Option<&WakeDecision>, broken: Option<&EngineError>) -> String {
    let name = &row.peer;
    match broken.filter(|_| wake.is_some()) {
        Some(EngineError::NoSuchPeer { .. }) => return format!("peer rm {name}"),
        Some(_) => return format!("peer edit {name}"),
        None => {}
    }
    let is_asleep = matches!(row.state, State::Asleep | State::Completed | State::Lost | State::NeverStarted);
    if is_asleep && matches!(wake, Some(WakeDecision::Refuse(_))) {
        return format!("peer why {name}");
    }
    row.next_command()
}
