//! `peer status`: everything known of one peer, changing nothing.

use std::path::PathBuf;

use peer_adapters::runtime::Size;
use serde::Serialize;

use crate::engine::message::room;
use crate::engine::observe::conversation;
use crate::engine::observe::turn::Turns;
use crate::engine::verbs::list::Row;
use crate::engine::verbs::wake::Live;
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::axis::{Axis, Stamped};
use crate::policy::ending::Incarnation;
use crate::policy::health::{Deaths, GUARD_WINDOW};
use crate::policy::name::PeerName;
use crate::policy::state::State;
use crate::policy::time::Timestamp;
use crate::policy::verdict::Verdict;
use crate::policy::wake::{WakeDecision, WakeRequest};
use crate::store::{LastEnd, Place, SessionRecord};

/// Everything known of one peer.
#[derive(Debug, Serialize)]
pub struct Status {
    /// What the list says of it.
    #[serde(flatten)]
    pub row: Row,
    /// Both axes, asked now; none where no incarnation is on record.
    pub axes: Option<Axes>,
    /// What the last tick of the reaper saw of it, and when.
    pub heartbeat: Option<Seen>,
    /// The incarnation on record.
    pub session: Option<SessionView>,
    /// The transcript of its conversation, where its agent keeps one.
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
    /// Names of the variables that its agent lives by, and that it was started without, though it had them before.
    pub missing_env: Vec<String>,
    /// Files of it, or of the fleet, that are there and do not say what they should.
    pub warnings: Vec<String>,
    /// Its spec.
    pub spec: PathBuf,
    /// Its files in the state directory.
    pub files: Vec<PathBuf>,
    /// The next useful command.
    pub next: String,
}

/// Both axes, each with the time at which it was asked.
#[derive(Clone, Debug, Serialize)]
pub struct Axes {
    /// Is the runtime's session there?
    pub runtime: Stamped<Axis>,
    /// Is the agent's process there?
    pub process: Stamped<Axis>,
}

/// What a tick saw.
#[derive(Clone, Debug, Serialize)]
pub struct Seen {
    /// The tick's number.
    pub tick: u64,
    /// Which incarnation it saw.
    pub incarnation: Incarnation,
    /// Both axes then.
    #[serde(flatten)]
    pub axes: Axes,
    /// What it made of them.
    pub verdict: Verdict,
    /// Memory of the process tree, where it has a limit.
    pub memory_kib: Option<u64>,
}

/// Where the incarnation on record is.
#[derive(Clone, Debug, Serialize)]
pub struct SessionView {
    /// Which start.
    pub incarnation: Incarnation,
    /// Runtime, server, session and pane.
    #[serde(flatten)]
    pub place: Place,
    /// The agent's pid.
    pub pid: Option<u32>,
    /// Whether it continues an older conversation.
    pub resumed: bool,
    /// Why it was started this way.
    pub cause: String,
    /// How many clients look at it.
    pub attached: u32,
    /// How large its pane is, where the kernel tells.
    pub size: Option<Size>,
}

impl Engine {
    /// Looks at one peer from all sides, without its lock and without writing anything. Blocks for two probe deadlines
    /// at most: a listing, and a look at the screen of one that is awake.
    ///
    /// # Errors
    /// Nobody declared it, or its files cannot be read.
    pub async fn status(&self, name: &PeerName) -> Result<Status> {
        let peer = self.known(name)?;
        let (live, axes) = self.seen_now(&peer).await?;
        let doing = self.doing(&[(&peer, &live)], &mut Turns::default()).await.pop().unwrap_or_default();
        let mut row = self.row(&peer, &live, self.past(&peer)?, doing);
        if matches!(live, Live::None) && self.is_unrecorded(&peer)? {
            row = row.unrecorded();
        }
        // As the next wake counts them: with an end that nobody has recorded yet.
        let deaths = match self.to_be_recorded(&peer, &live) {
            Some(to_be) => to_be.deaths,
            None => peer.files.deaths()?.present().unwrap_or_default(),
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
            next: next(&row, wake.as_ref(), broken.as_ref()),
            axes,
            heartbeat: self.pulse(name)?,
            session: live.record().map(|record| view(record, &live)),
            transcript: self.transcript_path(&peer, &live, row.conversation.as_deref()),
            conversations: peer.files.conversations()?.len(),
            end: peer.files.end()?.present(),
            deaths_in_window: recent(&deaths, self.now()),
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
        let sight = self.observe(&peer.name, &record).await?;
        let process_at = self.now();
        let axes = Axes {
            runtime: Stamped { value: sight.runtime.clone(), at_ms: sight.listed_at },
            process: Stamped { value: sight.process.clone(), at_ms: process_at },
        };
        Ok((Live::of(record, sight), Some(axes)))
    }

    /// What the next wake does, where it would start something. Files of its agent that cannot be read are no reason to show
    /// nothing else.
    fn next_wake(&self, peer: &Peer, live: &Live, row: &Row) -> Option<WakeDecision> {
        let awake = [State::Awake, State::Busy, State::Waiting, State::Starting, State::Unknown].contains(&row.state);
        if awake { None } else { self.foretell(peer, live, &WakeRequest::default()).ok() }
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

    /// Where the conversation's transcript is. An agent's files that cannot be read are no reason to show nothing else.
    fn transcript_path(&self, peer: &Peer, live: &Live, conversation: Option<&str>) -> Option<PathBuf> {
        let launched = live.record().and_then(|r| conversation::Launched::of(&peer.files, r, &peer.spec.cwd).ok());
        if let Some(launched) = launched.filter(conversation::Launched::is_known) {
            return launched.look(&peer.profile, |files| files.exists(conversation?).ok()?);
        }
        let env = self.agent_environment(peer);
        conversation::with_files(&peer.profile, &peer.spec.cwd, &env, |files| files.exists(conversation?).ok()?)
    }
}

fn view(record: &SessionRecord, live: &Live) -> SessionView {
    let row = match live {
        Live::Session(_, sight) => sight.row.as_ref(),
        Live::Starting(_) | Live::None => None,
    };
    let mut place = record.place.clone();
    // By the name that it has now: a person may have renamed it, or moved the pane elsewhere.
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

fn recent(deaths: &Deaths, now: Timestamp) -> usize {
    deaths.as_slice().iter().filter(|death| now.since(death.at_ms) < GUARD_WINDOW).count()
}

/// The command that a person who looks at this peer most likely wants next.
fn next(row: &Row, wake: Option<&WakeDecision>, broken: Option<&EngineError>) -> String {
    let name = &row.peer;
    match broken.filter(|_| wake.is_some()) {
        Some(EngineError::NoSuchPeer { .. }) => return format!("peer rm {name}"),
        Some(_) => return format!("peer edit {name}"),
        None => {}
    }
    let refused = matches!(wake, Some(WakeDecision::Refuse(_)));
    match row.state {
        State::Waiting => format!("peer attach {name}"),
        State::Awake => format!("peer send {name} TEXT"),
        State::Busy | State::Starting | State::Crashed => format!("peer screen {name}"),
        State::Asleep | State::Completed | State::Lost | State::NeverStarted if refused => format!("peer why {name}"),
        State::Asleep | State::Completed | State::Lost | State::NeverStarted => format!("peer wake {name}"),
        State::Stopped => format!("peer start {name}"),
        State::Held => format!("peer why {name}"),
        State::Failed => format!("peer reset {name}"),
        State::Unknown => "peer doctor".to_owned(),
    }
}
