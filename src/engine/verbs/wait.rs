//! `peer wait`: waits until a turn is over, or until something else has happened.
//!
//! The agents' own files are watched, so that most of the time nothing needs to be observed. All peers together are
//! observed once a second anyway, and less often if that takes much processor time: it may cost a hundredth of a core.

mod pace;

use std::collections::HashMap;
use std::time::Duration;

use peer_adapters::watch::Watch;
use serde::Serialize;
use tokio::time::Instant;

use self::pace::{Budget, Cost, Lagging};
use crate::engine::observe::turn::Turns;
use crate::engine::verbs::list::Row;
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::look::SCREEN_WINS;
use crate::policy::name::PeerName;
use crate::policy::state::State;
use crate::policy::wait::{Goal, Verdict, judge};

/// The interval at which all peers are observed.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How long to wait after a change before observing, because changes come in bursts.
const BURST: Duration = Duration::from_millis(10);

/// How long the same files are watched. An agent that restarts or continues in another conversation has other files.
const REGISTERED: Duration = Duration::from_secs(5);

/// How long the end of an agent may take to be recorded. Its pane process needs milliseconds; if that is gone, a tick or
/// a wake records it.
const RECORDED: Duration = Duration::from_secs(1);

/// How long a question may take to be drawn with the rows that can be chosen, after the agent's files or hooks report it.
pub(super) const DRAWN: Duration = Duration::from_secs(1);

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
            over_since: HashMap::new(),
            asks_since: HashMap::new(),
            turns: Turns::default(),
            watched: Watched::default(),
            lagging: Lagging::default(),
            budget: Budget::new(),
        };
        let mut outcome = Outcome::default();
        loop {
            let cost = Cost::begin();
            // A change between the look and the watch would not be noticed.
            waiting.watch();
            let soon = waiting.look(&mut outcome, None).await?.undrawn;
            waiting.lagging.add(soon);
            if waiting.is_over(&outcome) {
                return Ok(outcome);
            }
            let next = Instant::now() + POLL_INTERVAL.max(cost.allowed_every());
            if waiting.until(next, deadline, &mut outcome).await? {
                return Ok(outcome);
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                outcome.timed_out = true;
                return Ok(outcome);
            }
        }
    }
}

struct Waiting<'a> {
    engine: &'a Engine,
    wanted: &'a Wanted,
    /// The peers that are not settled.
    open: Vec<Peer>,
    /// Since when a screen has been free although a file reports a turn.
    free_since: HashMap<PeerName, Instant>,
    /// Since when an agent has been gone whose end is not recorded.
    over_since: HashMap<PeerName, Instant>,
    /// Since when an agent has asked something that `peer` cannot answer.
    asks_since: HashMap<PeerName, Instant>,
    turns: Turns,
    watched: Watched,
    lagging: Lagging,
    /// What the observations of single peers may cost.
    budget: Budget,
}

/// Peers that are not settled, and may be soon.
#[derive(Default)]
struct Open {
    busy: Vec<PeerName>,
    /// Their question may not be drawn yet.
    undrawn: Vec<PeerName>,
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
    /// Observes all open peers, or only those of `only`, and moves the settled ones to `outcome`. Returns those of the
    /// others that may change soon.
    async fn look(&mut self, outcome: &mut Outcome, only: Option<&[PeerName]>) -> Result<Open> {
        let meant = |name: &PeerName| only.is_none_or(|only| only.contains(name));
        let names: Vec<PeerName> = self.open.iter().map(|peer| peer.name.clone()).filter(meant).collect();
        let mut open = Open::default();
        if names.is_empty() {
            return Ok(open);
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
            if row.unrecorded_end && since(&mut self.over_since, &row.peer) < RECORDED {
                continue;
            }
            let in_turn = row.state == State::Awake && self.believes_turn(at);
            if row.is_ending && !row.unrecorded_end {
                continue;
            }
            let verdict = judge(row.state, in_turn, &self.wanted.goals);
            let (reached, needs_person) = match verdict {
                Verdict::NotYet => {
                    open.busy.extend((row.state == State::Busy).then_some(row.peer));
                    continue;
                }
                Verdict::NeedsPerson | Verdict::Reached(Goal::Waiting) if self.is_undrawn(&row) => {
                    open.undrawn.push(row.peer);
                    continue;
                }
                Verdict::Reached(goal) => (Some(goal), false),
                Verdict::NeedsPerson => (None, true),
                Verdict::Ended => (None, false),
            };
            self.open.remove(at);
            outcome.settled.push(Waited { reached, needs_person, row });
        }
        Ok(open)
    }

    /// Whether the question of this peer may still be drawn: its words and rows would be missing.
    fn is_undrawn(&mut self, row: &Row) -> bool {
        if row.state != State::Waiting || row.answerable {
            self.asks_since.remove(&row.peer);
            return false;
        }
        since(&mut self.asks_since, &row.peer) < DRAWN
    }

    /// Whether a turn continues behind a free screen.
    fn believes_turn(&mut self, at: usize) -> bool {
        let peer = &self.open[at];
        if self.engine.is_in_turn(peer) != Some(true) {
            self.free_since.remove(&peer.name);
            return false;
        }
        since(&mut self.free_since, &peer.name) < SCREEN_WINS
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
            let due = self.lagging.due().map_or(next, |due| due.min(next));
            let cost = match tokio::time::timeout_at(due, self.watched.watch.changed()).await {
                Ok(changed) => {
                    // Files that are written all the time are checked as often as the budget allows.
                    tokio::time::sleep_until(next.min(Instant::now() + BURST.max(self.budget.owed()))).await;
                    let cost = Cost::begin();
                    self.look_at_changed(&changed, outcome).await?;
                    cost
                }
                Err(_) if due == next => return Ok(false),
                Err(_) => {
                    let (cost, lagging) = (Cost::begin(), self.lagging.take());
                    let open = self.look(outcome, Some(&lagging)).await?;
                    self.lagging.looked([open.busy, open.undrawn].concat());
                    cost
                }
            };
            self.budget.spend(&cost);
            if self.is_over(outcome) {
                return Ok(true);
            }
        }
    }

    /// Observes the peers with these keys. A write during a turn does not warrant that, unless the beginning of a turn is
    /// a goal.
    async fn look_at_changed(&mut self, keys: &[usize], outcome: &mut Outcome) -> Result<()> {
        let (mut changed, mut over) = (Vec::new(), Vec::new());
        for peer in &self.open {
            if !keys.iter().any(|key| self.watched.names[*key] == peer.name) {
                continue;
            }
            let in_turn = self.engine.is_in_turn(peer);
            if in_turn != Some(true) || self.wanted.goals.contains(&Goal::Busy) {
                changed.push(peer.name.clone());
            }
            over.extend((in_turn == Some(false)).then(|| peer.name.clone()));
        }
        let open = self.look(outcome, Some(&changed)).await?;
        let redrawn = open.busy.into_iter().filter(|name| over.contains(name));
        self.lagging.add(redrawn.chain(open.undrawn).collect());
        Ok(())
    }
}

/// Returns how long ago something was first seen of a peer: now, if it was not seen before.
fn since(seen: &mut HashMap<PeerName, Instant>, name: &PeerName) -> Duration {
    seen.entry(name.clone()).or_insert_with(Instant::now).elapsed()
}
