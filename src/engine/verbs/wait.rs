//! `peer wait`: waits until a turn is over, or until something else has happened.
//!
//! The agents' own files are watched, so that most of the time nothing needs to be observed. All peers together are
//! observed once a second anyway, and less often if that takes long: it may cost a hundredth of a core.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use peer_adapters::watch::Watch;
use serde::Serialize;
use tokio::time::Instant;

use crate::engine::observe::turn::{HOOK_LEAD, Turns, known_turn};
use crate::engine::verbs::list::Row;
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::look::SCREEN_WINS;
use crate::policy::name::PeerName;
use crate::policy::state::State;
use crate::policy::wait::{Goal, Verdict, judge};
use crate::store::{SessionRecord, Stored};

/// The interval at which all peers are observed.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The least time between two observations, as a multiple of what one costs: they take at most a hundredth of a core. The
/// clients of the runtimes and the servers take some processor time beside.
const IDLE_FACTOR: u32 = 150;

/// How long to wait after a change before observing, because changes come in bursts.
const BURST: Duration = Duration::from_millis(10);

/// How much time the observations of single peers may take before they are throttled.
const ALLOWANCE: Duration = Duration::from_millis(200);

/// How long the same files are watched. An agent that restarts or continues in another conversation has other files.
const REGISTERED: Duration = Duration::from_secs(5);

/// How long a delivered message may take to show as a turn, if only the agent's screen shows turns.
const TAKEN_UP: Duration = Duration::from_secs(1);

/// What to wait for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Any of these is enough.
    pub goals: Vec<Goal>,
    /// Whether one peer is enough.
    pub any: bool,
    /// The maximum time to wait.
    pub timeout: Option<Duration>,
}

/// The outcome for one peer.
#[derive(Clone, Debug, Serialize)]
pub struct Waited {
    /// The goal that was reached; `None` if something else happened.
    pub reached: Option<Goal>,
    /// Whether it needs a person.
    pub needs_person: bool,
    /// Its row in the list.
    #[serde(flatten)]
    pub row: Row,
}

/// The outcome of a wait.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The peers that are settled, in the order in which that was observed.
    pub settled: Vec<Waited>,
    /// Whether the time ran out first.
    pub timed_out: bool,
}

impl Engine {
    /// Waits for some peers: until all have reached one of the goals (with `any`, until one has); until one of them can
    /// no longer reach a goal by itself (with `any`, until none can); or until the time is over.
    ///
    /// # Errors
    /// A name is not declared, or a file of `peer` cannot be read. If a runtime does not answer, this keeps waiting.
    pub async fn wait(&self, names: &[PeerName], wanted: &Wanted) -> Result<Outcome> {
        let peers = names.iter().map(|name| self.peer(name)).collect::<Result<Vec<_>>>()?;
        let deadline = wanted.timeout.map(|timeout| Instant::now() + timeout);
        let mut waiting = Waiting {
            engine: self,
            wanted,
            open: peers,
            free_since: HashMap::new(),
            turns: Turns::default(),
            watched: Watched::default(),
            began: Instant::now(),
            spent: Duration::ZERO,
        };
        let mut outcome = Outcome::default();
        loop {
            let began = Instant::now();
            waiting.look(&mut outcome, None).await?;
            if waiting.is_over(&outcome) {
                return Ok(outcome);
            }
            waiting.watch();
            let next = Instant::now() + POLL_INTERVAL.max(began.elapsed() * IDLE_FACTOR);
            if waiting.until(next, deadline, &mut outcome).await? {
                return Ok(outcome);
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                outcome.timed_out = true;
                return Ok(outcome);
            }
        }
    }

    /// Returns the files that change when what the agent is doing changes, or when it ends.
    pub(crate) fn activity_files(&self, peer: &Peer) -> Vec<PathBuf> {
        let mut files = vec![peer.files.path("session"), peer.files.path("end")];
        let Some(record) = peer.files.session().ok().and_then(Stored::present) else { return files };
        if !peer.profile.hooks.reports.is_empty() {
            files.push(peer.files.turn_path(record.incarnation));
        }
        files.extend(self.own_activity_files(peer, &record));
        files
    }

    /// Returns the files of [`Engine::activity_files`] that the agent itself writes.
    pub(crate) fn own_activity_files(&self, peer: &Peer, record: &SessionRecord) -> Vec<PathBuf> {
        let Some(agent) = record.process else { return Vec::new() };
        let id = record.conversation.as_deref();
        let own =
            self.in_own_files(peer, &peer.profile, |own| own.activity_files(id, agent.id.pid).unwrap_or_default());
        own.unwrap_or_default()
    }

    /// Whether an agent whose screen is free is still in a turn: its own files say so, or a message was delivered a
    /// moment ago and nothing shows yet that its turn is over.
    pub(crate) fn is_in_turn(&self, peer: &Peer) -> Option<bool> {
        let record = peer.files.session().ok()?.present()?;
        let pid = record.process?.id.pid;
        let id = record.conversation.as_deref();
        let told = self.in_own_files(peer, &peer.profile, |files| {
            let in_turn = files.turn_in_progress(id, pid).ok().flatten();
            (in_turn, files.last_activity(id, pid).ok().flatten())
        });
        let (in_turn, active) = told.ok()?;
        let reported = known_turn(peer, &record).and_then(|known| known.reported_since());
        if in_turn != Some(true) && reported.is_some_and(|began| self.now().since(began) < HOOK_LEAD) {
            return Some(true);
        }
        let Some(delivered) = record.delivered_at_ms else { return in_turn };
        let is_of_before = active.is_none_or(|active| delivered > active.into());
        let just_now = self.now().since(delivered) < TAKEN_UP;
        if in_turn != Some(true) && is_of_before && just_now { Some(true) } else { in_turn }
    }
}

struct Waiting<'a> {
    engine: &'a Engine,
    wanted: &'a Wanted,
    /// The peers that are not settled.
    open: Vec<Peer>,
    /// Since when a screen has been free although a file reports a turn.
    free_since: HashMap<PeerName, Instant>,
    turns: Turns,
    watched: Watched,
    began: Instant,
    /// How much time the observations of peers with changed files have taken.
    spent: Duration,
}

/// The watched files of the open peers.
#[derive(Default)]
struct Watched {
    /// The owners of the files: a key is an index into this list.
    names: Vec<PeerName>,
    since: Option<Instant>,
    watch: Watch,
}

impl Waiting<'_> {
    /// Observes all open peers, or only those with the indices `only`, and moves the settled ones to `outcome`.
    async fn look(&mut self, outcome: &mut Outcome, only: Option<&[usize]>) -> Result<()> {
        let meant = |index: &usize| only.is_none_or(|only| only.contains(index));
        let names: Vec<PeerName> =
            self.open.iter().enumerate().filter(|(index, _)| meant(index)).map(|(_, peer)| peer.name.clone()).collect();
        if names.is_empty() {
            return Ok(());
        }
        let fleet = self.engine.list_since(&names, &mut self.turns).await?;
        for (name, error) in fleet.broken {
            // A spec that does not parse now may be corrected; a peer that is gone does not come back.
            if matches!(error, EngineError::NoSuchPeer { .. }) {
                return Err(error);
            }
            tracing::debug!(%name, %error, "is not seen");
        }
        for row in fleet.rows {
            let Some(at) = self.open.iter().position(|peer| peer.name == row.peer) else { continue };
            let in_turn = row.state == State::Awake && self.believes_turn(at);
            let verdict = judge(row.state, in_turn, &self.wanted.goals);
            let (reached, needs_person) = match verdict {
                Verdict::NotYet => continue,
                Verdict::Reached(goal) => (Some(goal), false),
                Verdict::NeedsPerson => (None, true),
                Verdict::Ended => (None, false),
            };
            self.open.remove(at);
            outcome.settled.push(Waited { reached, needs_person, row });
        }
        Ok(())
    }

    /// Whether a turn continues behind a free screen.
    fn believes_turn(&mut self, at: usize) -> bool {
        let peer = &self.open[at];
        if self.engine.is_in_turn(peer) != Some(true) {
            self.free_since.remove(&peer.name);
            return false;
        }
        self.free_since.entry(peer.name.clone()).or_insert_with(Instant::now).elapsed() < SCREEN_WINS
    }

    fn is_over(&self, outcome: &Outcome) -> bool {
        let mut settled = outcome.settled.iter();
        let reached = |waited: &Waited| waited.reached.is_some();
        self.open.is_empty()
            || if self.wanted.any { settled.any(reached) } else { settled.any(|waited| !reached(waited)) }
    }

    /// Watches the files of the open peers. If an agent's files move, the new ones are found a little later.
    fn watch(&mut self) {
        let is_new = self.watched.since.is_none_or(|since| since.elapsed() > REGISTERED);
        if !is_new && self.watched.names.len() == self.open.len() {
            return;
        }
        let mut watch = Watch::new();
        for (key, peer) in self.open.iter().enumerate() {
            for file in self.engine.activity_files(peer) {
                watch.add(&file, key);
            }
        }
        let names = self.open.iter().map(|peer| peer.name.clone()).collect();
        self.watched = Watched { names, since: Some(Instant::now()), watch };
    }

    /// Waits until the next observation of all peers is due, and observes peers whose files change meanwhile. Returns
    /// whether the wait is over.
    async fn until(&mut self, next: Instant, deadline: Option<Instant>, outcome: &mut Outcome) -> Result<bool> {
        let next = deadline.map_or(next, |deadline| next.min(deadline));
        loop {
            let Ok(changed) = tokio::time::timeout_at(next, self.watched.watch.changed()).await else {
                return Ok(false);
            };
            // Files that are written all the time are checked as often as the budget allows.
            let earned = ALLOWANCE + self.began.elapsed() / IDLE_FACTOR;
            let owed = self.spent.saturating_sub(earned) * IDLE_FACTOR;
            tokio::time::sleep_until(next.min(Instant::now() + BURST.max(owed))).await;
            let looked = Instant::now();
            let at = |key: &usize| self.open.iter().position(|peer| peer.name == self.watched.names[*key]);
            let changed =
                changed.iter().filter_map(at).filter(|index| self.is_worth_a_look(*index)).collect::<Vec<_>>();
            if !changed.is_empty() {
                self.look(outcome, Some(&changed)).await?;
            }
            self.spent += looked.elapsed();
            if self.is_over(outcome) {
                return Ok(true);
            }
        }
    }

    /// Whether a change of the peer's files warrants an observation. A write during a turn does not, unless the
    /// beginning of a turn is a goal.
    fn is_worth_a_look(&self, index: usize) -> bool {
        self.wanted.goals.contains(&Goal::Busy) || self.engine.is_in_turn(&self.open[index]) != Some(true)
    }
}
