//! `peer list`: every peer in a line.

use std::path::PathBuf;
use std::time::Duration;

use peer_adapters::transcript::AgentStatus;
use serde::Serialize;

use crate::engine::life::record_end::{self, Absence};
use crate::engine::observe::Sight;
use crate::engine::observe::fleet::Member;
use crate::engine::observe::turn::{Doing, Turns};
use crate::engine::peer::undeclared::Undeclared;
use crate::engine::verbs::wake::Live;
use crate::engine::{Engine, EngineError, Peer, Result};
use crate::policy::ending::{End, EndCause, Incarnation};
use crate::policy::health::{Deaths, Health, HealthPolicy};
use crate::policy::name::PeerName;
use crate::policy::shown::{StateFacts, state};
use crate::policy::state::State;
use crate::policy::time::Timestamp;
use crate::policy::turn::{AskKind, TurnSeen};
use crate::store::{Inventory, LastEnd, Marker, Outcome, SessionRecord};

/// One peer, as the list shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub peer: PeerName,
    /// The word for its state.
    pub state: State,
    /// What belongs to that word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What kind of answer it waits for.
    pub waiting_for: Option<AskKind>,
    /// What it asks, where that is known.
    pub question: Option<String>,
    /// Since when it is in that state, where that is known.
    pub since_ms: Option<Timestamp>,
    /// Its agent's profile.
    pub agent: String,
    /// Its runtime.
    pub runtime: String,
    /// The newest topic of its conversation.
    pub topic: Option<String>,
    /// Its incarnation, while one is on record.
    pub incarnation: Option<Incarnation>,
    /// The conversation that it has, or that a resume would continue.
    pub conversation: Option<String>,
    /// How long nothing has been seen to happen, in seconds, while it is awake.
    pub idle_s: Option<u64>,
    /// How long it may be idle before it is parked; none: for ever.
    pub idle_timeout_s: Option<u64>,
    /// The agent's process, while one is on record.
    pub pid: Option<u32>,
    /// How many messages wait in its inbox.
    pub queued: usize,
    /// Counted deaths since it was last stable.
    pub restarts: usize,
    /// When its hold is over.
    pub held_until_ms: Option<Timestamp>,
    /// How its last incarnation ended, in words.
    pub last_end: Option<String>,
    /// The same under its name in the log.
    pub last_end_cause: Option<EndCause>,
    /// When it ended.
    pub last_end_at_ms: Option<Timestamp>,
    /// Its working directory.
    pub cwd: PathBuf,
}

/// Every declared peer, and those that could not be shown.
#[derive(Debug, Default)]
pub struct Fleet {
    /// In order of name.
    pub rows: Vec<Row>,
    /// Peers whose spec or files cannot be read: they hide nobody else. One whose files can has a row all the same.
    pub broken: Vec<(PeerName, EngineError)>,
    /// Who ran here and has no spec any more; nobody where only some are listed.
    pub undeclared: Vec<Undeclared>,
}

/// What is on disk of a peer beside the incarnation on record.
#[derive(Debug)]
pub(crate) struct Past {
    last: Option<LastEnd>,
    deaths: Deaths,
    stopped: Option<Timestamp>,
    topic: Option<String>,
}

impl Engine {
    /// Every declared peer, seen now: one listing call a server.
    ///
    /// # Errors
    /// The directory of specs cannot be listed, or a record names an unknown runtime.
    pub async fn list(&self) -> Result<Fleet> {
        let names = self.config.names()?;
        let fleet = self.list_of(&names).await?;
        Ok(Fleet { undeclared: self.undeclared()?, ..fleet })
    }

    /// The same for some of them.
    ///
    /// # Errors
    /// As [`Engine::list`]; a name that nobody declared is broken.
    pub async fn list_of(&self, names: &[PeerName]) -> Result<Fleet> {
        self.list_since(names, &mut Turns::default()).await
    }

    /// The same for somebody who looks again and again: screens that have not changed since are not looked at again.
    ///
    /// # Errors
    /// The same.
    pub(crate) async fn list_since(&self, names: &[PeerName], turns: &mut Turns) -> Result<Fleet> {
        let read = |peer: &mut Peer, there: &Inventory| {
            peer.files = peer.files.as_of(there);
            self.past(peer)
        };
        let mut fleet = Fleet::default();
        let members = self.look_at(names, false, read).await?.members;
        let asleep = members.iter().filter(|(_, member)| matches!(member, Ok(Member { seen: None, .. })));
        let asleep: Vec<_> = asleep.map(|(name, _)| name).collect();
        // What the kernel does not tell is not shown.
        let running = self.running(&asleep).unwrap_or_default();
        let mut seen = Vec::with_capacity(members.len());
        for (name, member) in members {
            match member {
                Ok(Member { peer, seen: on_record, read, broken }) => {
                    let unknown = broken.is_some() && on_record.is_none() && read.last.is_none();
                    fleet.broken.extend(broken.map(|error| (name, error)));
                    if unknown {
                        continue;
                    }
                    let live = on_record.map_or(Live::None, |(record, sight)| Live::of(record, sight));
                    seen.push((peer, live, read));
                }
                Err(error) => fleet.broken.push((name, error)),
            }
        }
        let mail = self.state.mail()?;
        let doing = self.doing(&seen.iter().map(|(peer, live, _)| (peer, live)).collect::<Vec<_>>(), turns).await;
        fleet.rows.extend(seen.into_iter().zip(doing).map(|((peer, live, past), doing)| {
            let lost = running.contains(&peer.name) && self.has_no_record(&peer.name);
            let queued = mail.get(&peer.name).copied().unwrap_or_default();
            let row = Row { queued, ..self.row(&peer, &live, past, doing) };
            if lost { row.unrecorded() } else { row }
        }));
        Ok(fleet)
    }

    /// Reads what a row tells of the time before the incarnation on record.
    pub(crate) fn past(&self, peer: &Peer) -> Result<Past> {
        Ok(Past {
            last: peer.files.end()?.present(),
            deaths: self.deaths(peer)?,
            stopped: peer.files.marked_at(Marker::Stopped)?,
            topic: peer.files.topics()?.pop(),
        })
    }

    /// What the end of an incarnation that is over will be recorded as. `None`: it is not over, or its files cannot be read.
    pub(crate) fn to_be_recorded(&self, peer: &Peer, live: &Live) -> Option<Outcome> {
        let (record, sight) = over(live)?;
        let Outcome { last, deaths } =
            record_end::foresee(&peer.files, record, Absence::cleared(sight), self.now()).ok()?;
        Some(Outcome { last, deaths: self.unless_changed_since(peer, deaths) })
    }

    pub(crate) fn row(&self, peer: &Peer, live: &Live, past: Past, Doing { own, seen }: Doing) -> Row {
        let now = self.now();
        let Past { last, deaths, stopped, topic } = past;
        let end = last.as_ref().map(|last| &last.end);
        let to_be = self.to_be_recorded(peer, live);
        let (latest, deaths) = match &to_be {
            Some(Outcome { last, deaths }) => (Some(&last.end), deaths),
            None => (end, &deaths),
        };
        let health = Health::assess(deaths, latest, health_policy(peer), now);
        let facts = StateFacts {
            live: live.recorded(),
            turn: seen.as_ref().map(|seen| seen.turn.clone()),
            stopped: stopped.is_some(),
            last_end: latest.cloned(),
            health,
            ever_ran: latest.is_some_and(|end| end.lasting_cause().is_some()),
        };
        let shown = state(&facts, now);
        let ask = seen.as_ref().and_then(TurnSeen::ask).filter(|_| shown.state == State::Waiting);
        let conversation = match &to_be {
            // A start that never was ready gives nothing up: what was before it is what the next wake goes on with.
            Some(Outcome { last, .. }) => last.conversation.clone(),
            None => live.record().and_then(|record| record.conversation.clone()),
        };
        Row {
            peer: peer.name.clone(),
            since_ms: since(shown.state, live, seen.as_ref(), stopped, end),
            waiting_for: ask.map(|ask| ask.kind),
            question: ask.and_then(|ask| ask.question.clone()),
            state: shown.state,
            detail: shown.detail,
            agent: peer.spec.agent.clone(),
            runtime: peer.spec.runtime.clone(),
            topic,
            incarnation: live.record().map(|record| record.incarnation),
            conversation: conversation.or_else(|| last.as_ref()?.conversation.clone()),
            idle_s: idle(shown.state, live, own, now).map(|idle| idle.as_secs()),
            idle_timeout_s: peer.effective.idle_timeout.value.map(|timeout| timeout.as_secs()),
            pid: live.record().and_then(|record| record.process).map(|agent| agent.id.pid),
            queued: 0,
            restarts: health.deaths,
            held_until_ms: shown.held_until,
            last_end: end.map(End::shown_as),
            last_end_cause: end.map(|end| end.cause),
            last_end_at_ms: end.map(|end| end.at_ms),
            cwd: peer.spec.cwd.clone(),
        }
    }
}

impl Row {
    /// The same of a peer whose agent runs and whose record is lost: what the files say of it is not so.
    pub(crate) fn unrecorded(self) -> Self {
        let detail = Some(format!("its agent runs and its record is lost; peer wake {} takes it up again", self.peer));
        Self { state: State::Unknown, detail, since_ms: None, held_until_ms: None, ..self }
    }
}

/// An incarnation on record that is over.
fn over(live: &Live) -> Option<(&SessionRecord, &Sight)> {
    match live {
        Live::Session(record, sight) if sight.is_over() => Some((record, sight)),
        Live::Session(..) | Live::Starting(_) | Live::None => None,
    }
}

/// What a peer's spec says of its health.
pub(crate) fn health_policy(peer: &Peer) -> HealthPolicy {
    HealthPolicy { restart: peer.effective.restart.value, max_restarts: peer.effective.max_restarts.value }
}

/// Since when a peer is in its state.
fn since(
    state: State,
    live: &Live,
    seen: Option<&TurnSeen>,
    stopped: Option<Timestamp>,
    end: Option<&End>,
) -> Option<Timestamp> {
    match (state, live.record()) {
        (State::Busy | State::Waiting, Some(_)) => seen?.since_ms,
        (State::Awake, Some(record)) => record.ready_at(),
        (State::Starting, Some(record)) => Some(record.woke_at_ms),
        (State::Stopped, _) => stopped,
        // When the axes came to say so is not on record; the heartbeat knows how old its own stamps are.
        (_, Some(_)) | (State::NeverStarted, _) => None,
        _ => end.map(|end| end.at_ms),
    }
}

/// How long nothing has been seen to happen: by the status file of an agent that keeps one, else by its pane's output.
fn idle(state: State, live: &Live, status: Option<AgentStatus>, now: Timestamp) -> Option<Duration> {
    let Live::Session(record, sight) = live else { return None };
    if !matches!(state, State::Awake | State::Busy | State::Waiting) {
        return None;
    }
    let own = match status {
        Some(status) => status.since.map(Timestamp::from),
        None => sight.last_output(),
    };
    Some(now.since(own.max(record.delivered_at_ms).max(Some(started(record))).unwrap_or(now)))
}

fn started(record: &SessionRecord) -> Timestamp {
    record.ready_at().unwrap_or(record.woke_at_ms)
}
