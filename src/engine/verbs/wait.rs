//! `peer wait`: until a turn is over, or something else has come about.
//!
//! Agents' own files are watched, so that most of the time nothing is looked at. All peers together are looked at once a second
//! in any case, and more seldom where such a look takes long: it may cost a hundredth of a core.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use peer_adapters::watch::Watch;
use serde::Serialize;
use tokio::time::Instant;

use crate::engine::observe::turn::{AHEAD, Turns, known_turn};
use crate::engine::verbs::list::Row;
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::name::PeerName;
use crate::policy::state::State;
use crate::policy::wait::{Goal, Verdict, judge};
use crate::store::{SessionRecord, Stored};

/// Between two looks at everybody.
const LOOK: Duration = Duration::from_secs(1);

/// How many times as long as a look takes lies between two: looks cost a hundredth of a core at most.
const SPARING: u32 = 100;

/// What changes comes in bursts; as long is waited before it is looked at.
const BURST: Duration = Duration::from_millis(10);

/// What looks at single peers may cost before they are spared.
const ALLOWANCE: Duration = Duration::from_millis(200);

/// How long the same files are watched: an agent that starts anew or goes on in another conversation has others.
const REGISTERED: Duration = Duration::from_secs(5);

/// How long what an agent was told may take to show as a turn, where nothing but its screen tells of turns.
const TAKEN_UP: Duration = Duration::from_secs(1);

/// How long a screen must show no turn before it is believed over an agent's files, which may say for ever that one goes on:
/// nobody wrote its end down.
const SCREEN_WINS: Duration = Duration::from_secs(3);

/// What is waited for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Any of these will do.
    pub goals: Vec<Goal>,
    /// One peer is enough.
    pub any: bool,
    /// For how long at most.
    pub timeout: Option<Duration>,
}

/// What became of one peer.
#[derive(Clone, Debug, Serialize)]
pub struct Waited {
    /// What was waited for and has come about; none where something else has.
    pub reached: Option<Goal>,
    /// It needs a person.
    pub needs_person: bool,
    /// As the list shows it.
    #[serde(flatten)]
    pub row: Row,
}

impl Waited {
    /// Whether it does not run.
    pub fn ended(&self) -> bool {
        self.reached.is_none() && !self.needs_person
    }
}

/// How a wait came out.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Of whom something is known to have come about, in the order in which it was seen.
    pub settled: Vec<Waited>,
    /// The time was over before it had.
    pub timed_out: bool,
}

impl Engine {
    /// Waits for some peers: until all have reached one of the goals, or with `any` one has; until one of them does not by
    /// itself any more (with `any`, until none does); until the time is over.
    ///
    /// # Errors
    /// A name that nobody declared, or files of ours that cannot be read. A runtime that does not answer is waited for.
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
            let next = Instant::now() + LOOK.max(began.elapsed() * SPARING);
            if waiting.until(next, deadline, &mut outcome).await? {
                return Ok(outcome);
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                outcome.timed_out = true;
                return Ok(outcome);
            }
        }
    }

    /// The files by which a change of what an agent is doing is told, and its end.
    pub(crate) fn telling_files(&self, peer: &Peer) -> Vec<PathBuf> {
        let mut files = vec![peer.files.path("session"), peer.files.path("end")];
        let Some(record) = peer.files.session().ok().and_then(Stored::present) else { return files };
        if !peer.profile.hooks.reports.is_empty() {
            files.push(peer.files.turn_path(record.incarnation));
        }
        files.extend(self.own_telling_files(peer, &record));
        files
    }

    /// Those of the agent's own among them.
    pub(crate) fn own_telling_files(&self, peer: &Peer, record: &SessionRecord) -> Vec<PathBuf> {
        let Some(agent) = record.process else { return Vec::new() };
        let id = record.conversation.as_deref();
        let own = self.in_own_files(peer, &peer.profile, |own| own.telling(id, agent.id.pid).unwrap_or_default());
        own.unwrap_or_default()
    }

    /// Whether an agent whose screen is free is in a turn all the same: its own files say so, or it was told something a moment
    /// ago and nothing says that this is done.
    pub(crate) fn is_in_turn(&self, peer: &Peer) -> Option<bool> {
        let record = peer.files.session().ok()?.present()?;
        let pid = record.process?.id.pid;
        let id = record.conversation.as_deref();
        let told = self.in_own_files(peer, &peer.profile, |files| {
            let in_turn = files.turn_in_progress(id, pid).ok().flatten();
            (in_turn, files.last_activity(id, pid).ok().flatten())
        });
        let (in_turn, active) = told.ok()?;
        let reported = known_turn(peer, &record).and_then(|known| known.in_progress_since());
        if in_turn != Some(true) && reported.is_some_and(|began| self.now().since(began) < AHEAD) {
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
    /// Of whom nothing is settled.
    open: Vec<Peer>,
    /// Since when a screen is free though a file says that a turn goes on.
    free_since: HashMap<PeerName, Instant>,
    turns: Turns,
    watched: Watched,
    began: Instant,
    /// How long looks at whose files changed have taken.
    spent: Duration,
}

/// The files of those who are waited for.
#[derive(Default)]
struct Watched {
    /// Whose they are: their keys are the places in this list.
    names: Vec<PeerName>,
    since: Option<Instant>,
    watch: Watch,
}

impl Waiting<'_> {
    /// Looks at all who are waited for, or at those alone.
    async fn look(&mut self, outcome: &mut Outcome, only: Option<&[usize]>) -> Result<()> {
        let meant = |index: &usize| only.is_none_or(|only| only.contains(index));
        let names: Vec<PeerName> =
            self.open.iter().enumerate().filter(|(index, _)| meant(index)).map(|(_, peer)| peer.name.clone()).collect();
        if names.is_empty() {
            return Ok(());
        }
        let fleet = self.engine.list_since(&names, &mut self.turns).await?;
        for (name, error) in fleet.broken {
            // What does not parse now is set right by whoever acts; a peer that is gone does not come back.
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

    /// Whether a turn goes on behind a free screen.
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

    /// Watches the files of who is waited for; those of an agent that is elsewhere by now are found a little later.
    fn watch(&mut self) {
        let is_new = self.watched.since.is_none_or(|since| since.elapsed() > REGISTERED);
        if !is_new && self.watched.names.len() == self.open.len() {
            return;
        }
        let mut watch = Watch::new();
        for (key, peer) in self.open.iter().enumerate() {
            for file in self.engine.telling_files(peer) {
                watch.add(&file, key);
            }
        }
        let names = self.open.iter().map(|peer| peer.name.clone()).collect();
        self.watched = Watched { names, since: Some(Instant::now()), watch };
    }

    /// Waits until everybody is to be looked at again, and looks at whose files change meanwhile. Whether it is over.
    async fn until(&mut self, next: Instant, deadline: Option<Instant>, outcome: &mut Outcome) -> Result<bool> {
        let next = deadline.map_or(next, |deadline| next.min(deadline));
        loop {
            let Ok(changed) = tokio::time::timeout_at(next, self.watched.watch.changed()).await else {
                return Ok(false);
            };
            // What is written all the time is looked at as often as that may cost.
            let earned = ALLOWANCE + self.began.elapsed() / SPARING;
            let owed = self.spent.saturating_sub(earned) * SPARING;
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

    /// What an agent in a turn writes is no reason to look at its screen; that a turn is over, or begins, is.
    fn is_worth_a_look(&self, index: usize) -> bool {
        self.wanted.goals.contains(&Goal::Busy) || self.engine.is_in_turn(&self.open[index]) != Some(true)
    }
}
